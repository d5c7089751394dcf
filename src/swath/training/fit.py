"""Fitting one stage with Lightning: logs, progress, checkpoints that resume."""

import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.strategies import DDPStrategy
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from swath.errors import DivergedError, InputError, Remedy, WorkerError, reason_of
from swath.files import finite, read_json, write_bytes, write_json
from swath.models.registry import count_parameters
from swath.training.callbacks import After, Progress
from swath.training.checkpointfile import WholeCheckpoints
from swath.training.metricslog import metrics_log
from swath.training.module import LOSS, Stage
from swath.training.norms import shared_norms
from swath.training.patchmodule import PatchModule

WEIGHTS = "weights.safetensors"
SCORES = "scores.json"
COST = "cost.json"
CHECKPOINT = "last.ckpt"
"""Of the last whole epoch, while a stage is trained."""

Scores = dict[str, float | None]
"""Losses and scores by name; None for what is no finite number, as the loss of one that diverged."""

_SCORES = TypeAdapter(Scores)


def fit_stage(stage: Stage, patches: PatchModule, folder: Path, title: str, after: After) -> Scores:
    """Train one network, or take it up where an earlier run stopped.

    Args:
        stage: The network and its loss. Its weights are the result; bf16 trains under autocast,
            they stay float32.
        patches: What it learns from, and where.
        folder: Gets the weights (safetensors), the scores, the cost (seconds, number of weights),
            the logs (CSV and TensorBoard) and, meanwhile, a checkpoint after every epoch.
        title: How progress lines start.
        after: What the run does after this stage.

    Returns:
        The last logged losses and scores; None for what is no finite number.

    Raises:
        DivergedError: The loss is no longer finite. The network and `folder` have the weights of
            the last whole epoch before.
        InputError: What an earlier run left is damaged.
    """
    if (folder / WEIGHTS).is_file():
        scores = _stored(stage.network, folder)
        (folder / CHECKPOINT).unlink(missing_ok=True)  # of a run that was killed at its very end
        return scores
    folder.mkdir(parents=True, exist_ok=True)
    processes = patches.source.compute.processes
    progress, checkpoint = Progress(title, after), folder / CHECKPOINT
    # Not Trainer(deterministic=True): torchmetrics then counts bins through a dense mesh of 30 GB.
    with (
        _quiet(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        shared_norms(stage.network) if processes.count > 1 else nullcontext(),
    ):
        if not _ended(checkpoint, stage, progress):
            first = {name: value.clone() for name, value in stage.network.state_dict().items()}
            try:
                _fit(_trainer(stage, patches, folder, progress), stage, patches, checkpoint)
            except DivergedError as error:
                kept = _last_good(checkpoint, stage, first)
                if processes.first:
                    _keep(stage.network, folder, {**_finite(progress), LOSS: None}, progress.seconds)
                raise DivergedError(f"{error}; training has stopped, with {kept}") from None
    scores = _finite(progress)
    if processes.first:
        _keep(stage.network, folder, scores, progress.seconds)
    return scores


def _finite(progress: Progress) -> Scores:
    """The last scores; JSON knows no NaN, as that of a class that no validation site has."""
    return {name: finite(value) for name, value in progress.scores.items()}


def _stored(network: nn.Module, folder: Path) -> Scores:
    """The scores of a stage that is finished; the network gets its weights.

    Raises:
        InputError: A file is damaged.
        DivergedError: The stage was stopped since its loss was no longer finite.
    """
    path = folder / WEIGHTS
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise _damaged(path, error) from None
    try:
        scores = _SCORES.validate_python(read_json(folder / SCORES))
    except ValidationError:
        raise _damaged(folder / SCORES, ValueError("not a table of scores")) from None
    if scores.get(LOSS, 0.0) is None:
        raise DivergedError(f"{folder.name}: its loss was not finite, training has stopped there")
    return scores


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} is damaged ({reason_of(error)[:100]}); remove it to train this stage from its start"
    )


def _fit(trainer: Trainer, stage: Stage, patches: PatchModule, checkpoint: Path) -> None:
    """Train; an interrupt is one, which Lightning makes an exit with code 1 of.

    Raises:
        WorkerError: A process that reads data died.
    """
    try:
        trainer.fit(
            stage,
            datamodule=patches,
            ckpt_path=checkpoint if checkpoint.is_file() else None,
            weights_only=True,
        )
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise WorkerError(
            "a process that reads data died, perhaps for lack of memory; the whole epochs before are kept",
            Remedy.RESUME,
        ) from None


def _last_good(checkpoint: Path, stage: Stage, first: Mapping[str, Tensor]) -> str:
    """Give the network the weights of the last whole epoch, or its first ones; which, in words."""
    if not checkpoint.is_file():
        stage.network.load_state_dict(first)
        return "the weights that it began with"
    state = _read_checkpoint(checkpoint)
    stage.load_state_dict(state["state_dict"])
    return f"the weights after epoch {state['epoch'] + 1}"


def _trainer(stage: Stage, patches: PatchModule, folder: Path, progress: Progress) -> Trainer:
    """Lightning's trainer for a stage."""
    compute, settings = patches.source.compute, stage.settings
    processes = compute.processes
    together = processes.count > 1
    kept = folder / CHECKPOINT
    steps = _read_checkpoint(kept).get("global_step", 0) if processes.first and kept.is_file() else 0
    checkpoints = ModelCheckpoint(
        folder, filename=Path(CHECKPOINT).stem, enable_version_counter=False, save_top_k=1
    )
    callbacks: list[Callback] = [progress, checkpoints]
    if settings.decay is not None:
        callbacks.append(EMAWeightAveraging(decay=settings.decay))
    return Trainer(
        accelerator="gpu" if compute.where.type == "cuda" else "cpu",
        devices=processes.devices,
        num_nodes=processes.nodes,
        strategy=DDPStrategy() if together else "auto",
        # Not what Lightning finds: within an allocation of SLURM it refuses a training of one process.
        plugins=[WholeCheckpoints(), LightningEnvironment()],
        use_distributed_sampler=False,
        precision="bf16-mixed" if compute.exactness == "bf16" else "32-true",
        max_epochs=settings.epochs,
        gradient_clip_val=settings.clip,
        callbacks=callbacks,
        logger=[metrics_log(folder, steps), TensorBoardLogger(folder, name="logs", version="tensorboard")],
        log_every_n_steps=1,
        limit_val_batches=None if patches.source.validation else 0,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _keep(network: nn.Module, folder: Path, scores: Scores, seconds: float) -> None:
    """Write what a finished stage leaves; the weights last, since they say that it is finished."""
    write_json(folder / SCORES, scores)
    write_json(folder / COST, {"seconds": seconds, "parameters": count_parameters(network)})
    weights = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    write_bytes(folder / WEIGHTS, save(weights))
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _ended(checkpoint: Path, stage: Stage, progress: Progress) -> bool:
    """Whether a training was killed after its last epoch; stage and progress are then as it ended.

    Lightning would give back the weights of the last step instead of their average: it has nothing
    left to train, and averages at the end of training only.
    """
    if not checkpoint.is_file():
        return False
    state = _read_checkpoint(checkpoint)
    try:
        if state["epoch"] + 1 < stage.settings.epochs:
            return False
        stage.load_state_dict(state["state_dict"])
        progress.load_state_dict(state["callbacks"][progress.state_key])
    except (KeyError, TypeError, RuntimeError) as error:
        raise _damaged(checkpoint, error) from None
    return True


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds
        raise _damaged(path, error) from None
    return state


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Lightning's remarks on hardware and workers away from the user."""
    logger = logging.getLogger("pytorch_lightning")
    level, shown = logger.level, sys.unraisablehook
    logger.setLevel(logging.ERROR)

    def show(ignored: "sys.UnraisableHookArgs") -> None:
        """A reader that dies while it is put away has done its work: its traceback is none of the user's."""
        if "DataLoader worker" not in str(ignored.exc_value):
            shown(ignored)

    sys.unraisablehook = show
    remarks = (
        "does not have many workers",
        "Checkpoint directory .* exists",
        "Experiment logs directory .* exists",
        "isinstance.treespec, LeafSpec",
        # Where several processes share a batch: the losses are those of all of them already, one of
        # them may have got no labelled pixel, and gradients are copied into another layout.
        "sync_dist=True",
        "before the ``update`` method",
        "Grad strides do not match",
    )
    with warnings.catch_warnings():
        for remark in remarks:
            warnings.filterwarnings("ignore", message=f".*{remark}")
        try:
            yield
        finally:
            logger.setLevel(level)
            sys.unraisablehook = shown
