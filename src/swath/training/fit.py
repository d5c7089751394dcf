"""Fitting one stage with Lightning: logs, progress, checkpoints that resume."""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import (
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
)
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.strategies import DDPStrategy
from safetensors.torch import load_file, save_file
from torch import nn

from swath.files import read_json, replacing, write_json
from swath.models.device import Precision
from swath.models.registry import count_parameters
from swath.progress import console
from swath.training.callbacks import Clock, EpochLine, LastScores, read_scores
from swath.training.module import Stage
from swath.training.norms import shared_norms
from swath.training.patchmodule import PatchModule

WEIGHTS = "weights.safetensors"
SCORES = "scores.json"
COST = "cost.json"
CHECKPOINT = "last.ckpt"

Scores = dict[str, float | None]
"""Losses and scores by name; None where a training diverged."""


@dataclass(frozen=True, slots=True)
class StageFolder:
    """Where a stage's results go while it is trained, and what is said of it meanwhile.

    Attributes:
        path: Gets the weights (safetensors), the scores, the cost (seconds, number of weights), the
            logs (CSV and TensorBoard) and, while the training runs, a checkpoint after every epoch.
        title: How progress lines start.
    """

    path: Path
    title: str

    @property
    def checkpoint(self) -> Path:
        """Of the last whole epoch."""
        return self.path / CHECKPOINT


def fit_stage(
    stage: Stage,
    patches: PatchModule,
    folder: StageFolder,
    device: torch.device,
    precision: Precision,
) -> Scores:
    """Train one network, or take it up where an earlier run stopped.

    Args:
        stage: The network and its loss. Its weights are the result.
        patches: What it learns from.
        folder: Of this stage in the run's folder.
        device: Where to train.
        precision: `bf16` trains under autocast, weights stay float32.

    Returns:
        The last logged losses and scores; None for what is no finite number (diverged).
    """
    if (folder.path / WEIGHTS).is_file():
        stage.network.load_state_dict(load_file(folder.path / WEIGHTS))
        stored: Scores = read_json(folder.path / SCORES)
        return stored
    folder.path.mkdir(parents=True, exist_ok=True)
    processes = patches.source.processes
    clock = Clock()
    # Not Trainer(deterministic=True): torchmetrics then counts bins through a dense mesh of 30 GB.
    with (
        _quiet(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        shared_norms(stage.network) if processes.count > 1 else nullcontext(),
    ):
        trainer = _trainer(stage, patches, folder, clock, device, precision)
        ended = _ended(folder.checkpoint, stage)
        if ended is None:
            trainer.fit(
                stage,
                datamodule=patches,
                ckpt_path=folder.checkpoint if folder.checkpoint.is_file() else None,
                weights_only=True,
            )
            ended = read_scores(trainer), clock.seconds
    scores, seconds = ended
    # JSON knows no NaN: a diverged training says null.
    finite: Scores = {k: (v if math.isfinite(v) else None) for k, v in scores.items()}
    if processes.first:
        _keep(stage.network, folder, finite, seconds)
    return finite


def _trainer(
    stage: Stage,
    patches: PatchModule,
    folder: StageFolder,
    clock: Clock,
    device: torch.device,
    precision: Precision,
) -> Trainer:
    processes = patches.source.processes
    together = processes.count > 1
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=processes.devices,
        num_nodes=processes.nodes,
        strategy=DDPStrategy() if together else "auto",
        plugins=[LightningEnvironment()] if together else None,
        use_distributed_sampler=False,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        max_epochs=stage.settings.epochs,
        gradient_clip_val=stage.settings.clip,
        callbacks=[clock, LastScores(), *_callbacks(stage, folder)],
        logger=[
            CSVLogger(folder.path, name="logs", version="csv"),
            TensorBoardLogger(folder.path, name="logs", version="tensorboard"),
        ],
        log_every_n_steps=1,
        limit_val_batches=None if patches.source.validation else 0,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        enable_progress_bar=console.is_terminal,
        enable_model_summary=False,
    )


def _keep(network: nn.Module, folder: StageFolder, scores: Scores, seconds: float) -> None:
    """Write what a finished stage leaves; the weights last, since they say that it is finished."""
    write_json(folder.path / SCORES, scores)
    cost = {"seconds": seconds, "parameters": count_parameters(network)}
    write_json(folder.path / COST, cost)
    with replacing(folder.path / WEIGHTS) as temporary:
        save_file(_plain(network), temporary)
    folder.checkpoint.unlink(missing_ok=True)


def _ended(checkpoint: Path, stage: Stage) -> tuple[dict[str, float], float] | None:
    """Scores and seconds of a training that was killed after its last epoch; None: it goes on.

    The stage gets its weights. Lightning would give back those of the last step instead of their
    average: it has nothing left to train, and averages at the end of training only.
    """
    if not checkpoint.is_file():
        return None
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    if state["epoch"] + 1 < stage.settings.epochs:
        return None
    stage.load_state_dict(state["state_dict"])
    kept = state["callbacks"]
    return kept["LastScores"], kept["Clock"]["seconds"]


def _callbacks(stage: Stage, folder: StageFolder) -> list[Callback]:
    callbacks: list[Callback] = [
        ModelCheckpoint(
            folder.path,
            filename=folder.checkpoint.stem,
            enable_version_counter=False,
            save_top_k=1,
        ),
        EpochLine(folder.title),
    ]
    if stage.settings.decay is not None:
        callbacks.append(EMAWeightAveraging(decay=stage.settings.decay))
    if console.is_terminal:
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    return callbacks


def _plain(network: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Lightning's remarks on hardware and workers away from the user."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists.*")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        # Where several processes share a batch: the losses are those of all of them already, one of
        # them may have got no labelled pixel, and gradients are copied into another layout.
        warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
        warnings.filterwarnings("ignore", message=".*before the ``update`` method.*")
        warnings.filterwarnings("ignore", message=".*Grad strides do not match.*")
        try:
            yield
        finally:
            logger.setLevel(level)
