"""What a training says while it runs: lines, and the time that is left of all of it."""

import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.tiny_training import STAGE, TINY
from swath.dataset.site import Dataset
from swath.training import callbacks, fitting
from swath.training.callbacks import After, Progress
from swath.training.compute import Compute
from swath.training.presets import Phase
from swath.training.train import train
from swath.training.trainplan import TrainPlan

LINE = re.compile(r"(U-Net|fusion) epoch (\d)/(\d) .* about (\d:\d\d:\d\d) left of the training")


@dataclass
class Clock:
    now: float = 100.0

    def perf_counter(self) -> float:
        return self.now


class Trainer(SimpleNamespace):
    """Two epochs of ten steps."""

    is_global_zero = True
    num_training_batches = 10
    max_epochs = 2
    current_epoch = 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(callbacks, "time", clock)
    return clock


def told(progress: Progress, clock: Clock, steps: int, step_s: float) -> None:
    for step in range(steps):
        clock.now += step_s
        progress.on_train_batch_end(Trainer(), None, None, None, step)


def test_lines_come_within_a_long_epoch(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Steps of 12 s: a line after the third and the sixth; of twenty steps, and 60 s that come after."""
    progress = Progress("fcn", After(seconds=60))
    progress.on_train_start(Trainer(), None)
    told(progress, clock, 7, 12)
    assert capsys.readouterr().err.splitlines() == [
        "fcn epoch 1/2  step 3/10  0:00:36, about 0:04:24 left of the training",
        "fcn epoch 1/2  step 6/10  0:01:12, about 0:03:48 left of the training",
    ]


def test_what_was_not_timed_is_counted_in_steps(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("fcn", After(steps=5))
    progress.on_train_start(Trainer(), None)
    told(progress, clock, 3, 12)
    assert "about 0:04:24 left of the training" in capsys.readouterr().err  # 17 + 5 steps


def test_short_steps_print_no_line_of_their_own(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("fcn", After())
    progress.on_train_start(Trainer(), None)
    told(progress, clock, 10, 1)
    assert capsys.readouterr().err == ""


def test_both_networks_count_and_the_last_line_has_nothing_left(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = STAGE.model_copy(update={"phases": (Phase(learning_rate=3e-3, epochs=2),)})
    settings = TINY.model_copy(update={"fcn": longer, "rnn": longer})
    plan = TrainPlan(dataset, settings)
    train(plan, tmp_path / "run")
    text = capsys.readouterr().err
    assert "\n\n" not in text
    lines = LINE.findall(text)
    assert [line[:3] for line in lines] == [
        ("U-Net", "1", "2"), ("U-Net", "2", "2"), ("fusion", "1", "2"), ("fusion", "2", "2"),
    ]  # fmt: skip
    assert lines[-1][3] == "0:00:00"
    made = fitting.prepare(plan, tmp_path / "other", Compute())
    assert made._after("fcn").steps == pytest.approx(4 * made.spec.dates / 3)
    assert made._after("rnn") == After()
