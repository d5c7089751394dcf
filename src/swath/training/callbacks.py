"""What happens after every epoch of a training."""

import time

from pytorch_lightning import Callback, LightningModule, Trainer

from swath.progress import console
from swath.training.module import diverged


class Progress(Callback):
    """A line on stderr; and what a checkpoint keeps: the time taken and the last scores.

    Attributes:
        title: How the line starts.
        after_s: Seconds that the run will take after this stage; None: not known.
        scores: The last losses and scores that were logged.
    """

    def __init__(self, title: str, after_s: float | None = None) -> None:
        self.title = title
        self.after_s = after_s
        self.scores: dict[str, float] = {}
        self._before = 0.0
        self._start: float | None = None
        self._first = 0

    @property
    def _spent(self) -> float:
        """Seconds since this process took the training up."""
        return 0.0 if self._start is None else time.perf_counter() - self._start

    @property
    def seconds(self) -> float:
        """Of the training so far, over all its resumptions."""
        return self._before + self._spent

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._start, self._first = time.perf_counter(), trainer.current_epoch

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the scores down, before the checkpoint is written."""
        self.scores = {k: float(v) for k, v in sorted(trainer.callback_metrics.items())}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same with the training's loss, or without validation; prints the line.

        Weights that the last step has broken get into no checkpoint.
        """
        if not all(weights.isfinite().all() for weights in pl_module.parameters()):
            raise diverged(trainer.current_epoch)
        self.on_validation_end(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        done = trainer.current_epoch + 1
        total = trainer.max_epochs or done
        left = self._spent / (done - self._first) * (total - done)
        scores = "  ".join(f"{name} {value:.4f}" for name, value in self.scores.items())
        of = "of this stage" if self.after_s is None else "of the training"
        left += self.after_s or 0
        console.print(
            f"{self.title} epoch {done}/{total}  {scores}  {self._spent:.0f} s, {left:.0f} s left {of}",
            highlight=False,
            soft_wrap=True,
        )

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint keeps."""
        return {"seconds": self.seconds, "scores": self.scores}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Goes on from a checkpoint."""
        self._before, self.scores = state_dict["seconds"], state_dict["scores"]  # type: ignore[assignment]
