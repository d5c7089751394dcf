"""Fitting one stage with Lightning: logs, progress, checkpoints that resume."""

import logging
import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
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
from swath.training.module import Stage
from swath.training.norms import shared_norms
from swath.training.patchmodule import PatchModule

WEIGHTS = "weights.safetensors"
SCORES = "scores.json"
COST = "cost.json"
CHECKPOINT = "last.ckpt"

Scores = dict[str, float | None]
"""Losses and scores by name; None where a training diverged."""


class EpochLine(Callback):
    """One line an epoch on stderr: losses, validation scores, time left."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._start = 0.0
        self._first = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._start, self._first = time.perf_counter(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the line."""
        if not trainer.is_global_zero:
            return
        done = trainer.current_epoch + 1
        total = trainer.max_epochs or done
        spent = time.perf_counter() - self._start
        left = spent / (done - self._first) * (total - done)
        scores = "  ".join(f"{k} {v:.4f}" for k, v in read_scores(trainer).items())
        console.print(
            f"{self.title} epoch {done}/{total}  {scores}  {spent:.0f} s, {left:.0f} s left",
            highlight=False,
            soft_wrap=True,
        )


class Clock(Callback):
    """Counts the seconds of a training, over all its resumptions."""

    def __init__(self) -> None:
        self._before = 0.0
        self._start: float | None = None

    @property
    def seconds(self) -> float:
        """So far."""
        now = 0.0 if self._start is None else time.perf_counter() - self._start
        return self._before + now

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._start = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self._before = state_dict["seconds"]


class LastScores(Callback):
    """Keeps the scores in the checkpoint, for a run that is killed after its last epoch."""

    def __init__(self) -> None:
        self._scores: dict[str, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes them down before the checkpoint is written."""
        self._scores = read_scores(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same without validation."""
        self._scores = read_scores(trainer)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return dict(self._scores)


def read_scores(trainer: Trainer) -> dict[str, float]:
    """The last logged values as plain numbers."""
    return {key: float(value) for key, value in sorted(trainer.callback_metrics.items())}


def fit_stage(
    stage: Stage,
    patches: PatchModule,
    folder: Path,
    *,
    title: str,
    device: torch.device,
    precision: Precision,
) -> Scores:
    """Train one network, or take it up where an earlier run stopped.

    The folder then holds the weights (safetensors), the scores, the cost (seconds, number of
    weights), the logs (CSV and TensorBoard) and, while the training runs, a checkpoint after every
    epoch.

    Args:
        stage: The network and its loss. Its weights are the result.
        patches: What it learns from.
        folder: Of this stage in the run's folder.
        title: How progress lines start.
        device: Where to train.
        precision: `bf16` trains under autocast, weights stay float32.

    Returns:
        The last logged losses and scores; None for what is no finite number (diverged).
    """
    if (folder / WEIGHTS).is_file():
        stage.network.load_state_dict(load_file(folder / WEIGHTS))
        stored: Scores = read_json(folder / SCORES)
        return stored
    folder.mkdir(parents=True, exist_ok=True)
    has_validation = bool(patches.source.validation)
    processes = patches.source.processes
    checkpoint = folder / CHECKPOINT
    clock = Clock()
    # Not Trainer(deterministic=True): torchmetrics then counts bins through a dense mesh of 30 GB.
    with (
        _quiet(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        shared_norms(stage.network) if processes.count > 1 else nullcontext(),
    ):
        trainer = Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=processes.devices,
            num_nodes=processes.nodes,
            strategy=DDPStrategy() if processes.count > 1 else "auto",
            plugins=[LightningEnvironment()] if processes.count > 1 else None,
            use_distributed_sampler=False,
            precision="bf16-mixed" if precision == "bf16" else "32-true",
            max_epochs=stage.settings.epochs,
            gradient_clip_val=stage.settings.clip,
            callbacks=[clock, LastScores(), *_callbacks(stage, folder, title)],
            logger=[
                CSVLogger(folder, name="logs", version="csv"),
                TensorBoardLogger(folder, name="logs", version="tensorboard"),
            ],
            log_every_n_steps=1,
            limit_val_batches=None if has_validation else 0,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            enable_progress_bar=console.is_terminal,
            enable_model_summary=False,
        )
        found = _ended(checkpoint, stage)
        if found is None:
            trainer.fit(
                stage,
                datamodule=patches,
                ckpt_path=checkpoint if checkpoint.is_file() else None,
                weights_only=True,
            )
            found = read_scores(trainer), clock.seconds
    last, seconds = found
    # JSON knows no NaN: a diverged training says null.
    scores = {k: (v if math.isfinite(v) else None) for k, v in last.items()}
    if not processes.first:
        return scores
    write_json(folder / SCORES, scores)
    cost = {"seconds": seconds, "parameters": count_parameters(stage.network)}
    write_json(folder / COST, cost)
    with replacing(folder / WEIGHTS) as temporary:
        save_file(_plain(stage.network), temporary)
    checkpoint.unlink(missing_ok=True)
    return scores


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


def _callbacks(stage: Stage, folder: Path, title: str) -> list[Callback]:
    callbacks: list[Callback] = [
        ModelCheckpoint(
            folder, filename=Path(CHECKPOINT).stem, enable_version_counter=False, save_top_k=1
        ),
        EpochLine(title),
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
