"""Fitting one stage with Lightning: logs, progress, checkpoints that resume."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.strategies import DDPStrategy
from safetensors.torch import load_file, save_file
from torch import nn

from swath.files import finite, read_json, replacing, write_json
from swath.models.registry import count_parameters
from swath.progress import console
from swath.training.callbacks import Progress
from swath.training.module import Stage
from swath.training.norms import shared_norms
from swath.training.patchmodule import PatchModule

WEIGHTS = "weights.safetensors"
SCORES = "scores.json"
COST = "cost.json"
CHECKPOINT = "last.ckpt"
"""Of the last whole epoch, while a stage is trained."""

Scores = dict[str, float | None]
"""Losses and scores by name; None where a training diverged."""


def fit_stage(stage: Stage, patches: PatchModule, folder: Path, title: str) -> Scores:
    """Train one network, or take it up where an earlier run stopped.

    Args:
        stage: The network and its loss. Its weights are the result; bf16 trains under autocast,
            they stay float32.
        patches: What it learns from, and where.
        folder: Gets the weights (safetensors), the scores, the cost (seconds, number of weights),
            the logs (CSV and TensorBoard) and, meanwhile, a checkpoint after every epoch.
        title: How progress lines start.

    Returns:
        The last logged losses and scores; None for what is no finite number (diverged).
    """
    if (folder / WEIGHTS).is_file():
        stage.network.load_state_dict(load_file(folder / WEIGHTS))
        stored: Scores = read_json(folder / SCORES)
        return stored
    folder.mkdir(parents=True, exist_ok=True)
    processes = patches.source.compute.processes
    progress, checkpoint = Progress(title), folder / CHECKPOINT
    # Not Trainer(deterministic=True): torchmetrics then counts bins through a dense mesh of 30 GB.
    with (
        _quiet(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        shared_norms(stage.network) if processes.count > 1 else nullcontext(),
    ):
        if not _ended(checkpoint, stage, progress):
            _trainer(stage, patches, folder, progress).fit(
                stage,
                datamodule=patches,
                ckpt_path=checkpoint if checkpoint.is_file() else None,
                weights_only=True,
            )
    # JSON knows no NaN: a diverged training says null.
    scores = {name: finite(value) for name, value in progress.scores.items()}
    if processes.first:
        _keep(stage.network, folder, scores, progress.seconds)
    return scores


def _trainer(stage: Stage, patches: PatchModule, folder: Path, progress: Progress) -> Trainer:
    """Lightning's trainer for a stage."""
    compute, settings = patches.source.compute, stage.settings
    processes = compute.processes
    together = processes.count > 1
    checkpoints = ModelCheckpoint(
        folder, filename=Path(CHECKPOINT).stem, enable_version_counter=False, save_top_k=1
    )
    callbacks: list[Callback] = [progress, checkpoints]
    if settings.decay is not None:
        callbacks.append(EMAWeightAveraging(decay=settings.decay))
    if console.is_terminal:
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    return Trainer(
        accelerator="gpu" if compute.where.type == "cuda" else "cpu",
        devices=processes.devices,
        num_nodes=processes.nodes,
        strategy=DDPStrategy() if together else "auto",
        plugins=[LightningEnvironment()] if together else None,
        use_distributed_sampler=False,
        precision="bf16-mixed" if compute.exactness == "bf16" else "32-true",
        max_epochs=settings.epochs,
        gradient_clip_val=settings.clip,
        callbacks=callbacks,
        logger=[
            CSVLogger(folder, name="logs", version="csv"),
            TensorBoardLogger(folder, name="logs", version="tensorboard"),
        ],
        log_every_n_steps=1,
        limit_val_batches=None if patches.source.validation else 0,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        enable_progress_bar=console.is_terminal,
        enable_model_summary=False,
    )


def _keep(network: nn.Module, folder: Path, scores: Scores, seconds: float) -> None:
    """Write what a finished stage leaves; the weights last, since they say that it is finished."""
    write_json(folder / SCORES, scores)
    write_json(folder / COST, {"seconds": seconds, "parameters": count_parameters(network)})
    weights = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    with replacing(folder / WEIGHTS) as temporary:
        save_file(weights, temporary)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _ended(checkpoint: Path, stage: Stage, progress: Progress) -> bool:
    """Whether a training was killed after its last epoch; stage and progress are then as it ended.

    Lightning would give back the weights of the last step instead of their average: it has nothing
    left to train, and averages at the end of training only.
    """
    if not checkpoint.is_file():
        return False
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    if state["epoch"] + 1 < stage.settings.epochs:
        return False
    stage.load_state_dict(state["state_dict"])
    progress.load_state_dict(state["callbacks"][progress.state_key])
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Lightning's remarks on hardware and workers away from the user."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    remarks = (
        "does not have many workers",
        "Checkpoint directory .* exists",
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
