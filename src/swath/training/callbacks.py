"""How far a training is, and how long all of it will still take."""

import time
from dataclasses import dataclass
from datetime import timedelta

from pytorch_lightning import Callback, LightningModule, Trainer
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from swath.progress import console
from swath.training.module import diverged

EVERY_S = 30.0
"""How often a line is printed within an epoch that takes longer, where no terminal shows a bar."""


@dataclass(frozen=True, slots=True)
class After:
    """What a run does after a stage.

    Attributes:
        seconds: Of what was timed before it began.
        steps: Of what was not, in steps of this stage that take as long.
    """

    seconds: float = 0.0
    steps: float = 0.0


class Progress(Callback):
    """Lines on stderr; and what a checkpoint keeps: the time taken and the last scores.

    Attributes:
        title: How a line starts.
        after: What the run does after this stage.
        scores: The last losses and scores that were logged.
    """

    def __init__(self, title: str, after: After) -> None:
        self.title = title
        self.after = after
        self.scores: dict[str, float] = {}
        self._before = 0.0
        self._start: float | None = None
        self._told = 0.0
        self._steps = 0
        self._bar = Bar(
            TextColumn("{task.description}", markup=False), BarColumn(20), console=console, transient=True
        )

    @property
    def _spent(self) -> float:
        """Seconds since this process took the training up."""
        return 0.0 if self._start is None else time.perf_counter() - self._start

    @property
    def seconds(self) -> float:
        """Of the training so far, over all its resumptions."""
        return self._before + self._spent

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock, and on a terminal the bar."""
        self._start, self._steps = time.perf_counter(), 0
        self._told = self._start
        if trainer.is_global_zero and console.is_terminal:
            self._bar.add_task(self.title)
            self._bar.start()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the bar away."""
        self._end_bar()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """The same, before anything is said of it."""
        self._end_bar()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Moves the bar; prints a line where there is none and the last line is long ago."""
        self._steps += 1
        done, of = batch_idx + 1, int(trainer.num_training_batches)
        for task in self._bar.task_ids:
            total = of * (trainer.max_epochs or 1)
            self._bar.update(
                task,
                description=f"{self.title}: {self._left(trainer, done)}",
                completed=trainer.current_epoch * of + done,
                total=total,
            )
        long_ago = time.perf_counter() - self._told >= EVERY_S
        if long_ago and done < of and not self._bar.task_ids:
            self._tell(trainer, done, f"step {done}/{of}")

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
        scores = "  ".join(f"{name} {value:.4f}" for name, value in self.scores.items())
        self._tell(trainer, int(trainer.num_training_batches), scores)

    def _tell(self, trainer: Trainer, batches: int, what: str) -> None:
        """Print a line, after so many batches of the epoch."""
        self._told = time.perf_counter()
        if not trainer.is_global_zero:
            return
        console.print(
            f"{self.title} epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {what}  "
            f"{clock(self._spent)}, {self._left(trainer, batches)}",
            highlight=False,
            soft_wrap=True,
        )

    def _left(self, trainer: Trainer, batches: int) -> str:
        """How long the run will still take, after so many batches of the epoch, in words."""
        left = ((trainer.max_epochs or 1) - trainer.current_epoch) * trainer.num_training_batches - batches
        seconds = self._spent / max(1, self._steps) * (left + self.after.steps) + self.after.seconds
        return f"about {clock(seconds)} left of the training"

    def _end_bar(self) -> None:
        if self._bar.task_ids:  # without one it would leave an empty line
            self._bar.stop()

    def state_dict(self) -> dict[str, object]:
        """What a checkpoint keeps."""
        return {"seconds": self.seconds, "scores": self.scores}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Goes on from a checkpoint."""
        self._before, self.scores = state_dict["seconds"], state_dict["scores"]  # type: ignore[assignment]


def clock(seconds: float) -> str:
    """Such as `0:02:05`."""
    return str(timedelta(seconds=round(seconds)))
