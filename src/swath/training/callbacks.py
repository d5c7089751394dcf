"""What happens after every epoch of a training: a line on stderr, the clock, the last scores."""

import time

from pytorch_lightning import Callback, LightningModule, Trainer

from swath.progress import console


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

    def state_dict(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
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

    def state_dict(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return dict(self._scores)


def read_scores(trainer: Trainer) -> dict[str, float]:
    """The last logged values as plain numbers."""
    return {key: float(value) for key, value in sorted(trainer.callback_metrics.items())}
