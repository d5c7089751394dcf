"""Runs that are stopped, replaced, damaged, or trained twice at once: nothing is lost."""

import dataclasses
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from support.limits import file_limit
from support.tiny_training import STAGE, TINY
from swath.cli import run as swath
from swath.dataset.catalog import read_dataset
from swath.dataset.site import Dataset
from swath.errors import (
    BusyError,
    DatasetError,
    InputError,
    OutputError,
    OutputExistsError,
    Remedy,
    WorkerError,
)
from swath.files import sha256
from swath.locks import locked
from swath.models.trained import WEIGHTS
from swath.training.compute import Compute
from swath.training.module import Stage
from swath.training.presets import Phase
from swath.training.train import train
from swath.training.trainplan import TrainPlan


@pytest.fixture(scope="module")
def plan(dataset: Dataset) -> TrainPlan:
    return TrainPlan(dataset, TINY, stage="fcn")


@pytest.fixture
def stopped(plan: TrainPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was interrupted after its U-Net, with nothing but that."""
    with monkeypatch.context() as patch:
        patch.setattr("swath.training.train.save_model", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(plan, tmp_path / "stopped")
    return tmp_path / "stopped"


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_stopped_training_is_not_advised_away(plan: TrainPlan, stopped: Path) -> None:
    with pytest.raises(OutputExistsError, match="was stopped") as caught:
        train(plan, stopped)
    assert caught.value.remedy == Remedy.RESUME
    train(plan, stopped, resume=True)
    with pytest.raises(OutputExistsError) as caught:
        train(plan, stopped)
    assert caught.value.remedy == Remedy.OVERWRITE


def test_a_run_that_cannot_begin_leaves_nothing(plan: TrainPlan, tmp_path: Path) -> None:
    with file_limit(1024), pytest.raises(OutputError, match=f"{tmp_path / 'out'}/run.json: cannot"):
        train(plan, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_run_stands_until_the_one_that_replaces_it_is_whole(
    plan: TrainPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = tmp_path / "run", dataclasses.replace(plan, seed=1)
    train(plan, out)
    before = sha256(out / WEIGHTS)
    with monkeypatch.context() as patch:
        patch.setattr("swath.training.train.save_model", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(other, out, overwrite=True)
    assert sha256(out / WEIGHTS) == before
    with monkeypatch.context() as patch:  # it goes on: nothing is left to fit
        patch.setattr("swath.training.fit._fit", interrupt)
        train(other, out, overwrite=True)
    assert sha256(out / WEIGHTS) != before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_training_that_was_to_replace_another_goes_on_by_resume(
    plan: TrainPlan, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = stopped.with_name("run")
    stopped.rename(out.with_name(".new-run"))
    with monkeypatch.context() as patch:
        patch.setattr("swath.training.fit._fit", interrupt)
        train(plan, out, resume=True)
    assert (out / WEIGHTS).is_file()


def test_the_log_of_a_training_that_goes_on_is_whole(
    plan: TrainPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes as of one that was not stopped: no epoch lost, none twice, and half a row dropped."""
    three = STAGE.model_copy(update={"phases": (Phase(learning_rate=3e-3, epochs=3),)})
    longer = dataclasses.replace(plan, settings=TINY.model_copy(update={"fcn": three}))
    train(longer, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("swath.training.module.Stage.on_train_epoch_start", in_the_third)
        with pytest.raises(KeyboardInterrupt):
            train(longer, tmp_path / "run")
    log = Path("fcn/logs/csv/metrics.csv")
    with (tmp_path / "run" / log).open("a") as stream:
        stream.write("1,0.5")
    (tmp_path / "run/fcn/.tmp-0-weights.safetensors").touch()  # as of a kill while it was written
    train(longer, tmp_path / "run", resume=True)
    assert not [*(tmp_path / "run").rglob(".tmp-*")]
    assert (tmp_path / "run" / log).read_bytes() == (tmp_path / "whole" / log).read_bytes()


def in_the_third(stage: Stage) -> None:
    if stage.current_epoch == 2:
        raise KeyboardInterrupt


def test_two_trainings_of_one_run_are_refused(plan: TrainPlan, stopped: Path) -> None:
    with locked(stopped):
        for more in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(BusyError, match="stopped"):
                train(plan, stopped, **more)


def test_a_stopped_training_gives_the_command_to_copy(
    plan: TrainPlan, stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = stopped.with_name("my settings.yaml")
    settings.write_text(TINY.model_dump_json())
    command = ["train", str(plan.dataset.root), "--out", str(stopped), "--stage", "fcn"]
    command += ["--settings", str(settings)]
    assert swath(command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    again = shlex.split(line.partition("; add --resume: swath ")[2])
    assert again == [*command, "--resume"]
    assert swath(again) == 0


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04" + bytes(100)])
@pytest.mark.parametrize("name", ["last.ckpt", "weights.safetensors", "scores.json"])
def test_a_damaged_file_is_one_line_on_resume(
    name: str, content: bytes, plan: TrainPlan, stopped: Path
) -> None:
    (stopped / "fcn" / name).write_bytes(content)
    if name == "last.ckpt":
        (stopped / "fcn" / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=re.escape(name)):
        train(plan, stopped, resume=True)


def test_scores_of_another_shape_are_said_in_plain_words(plan: TrainPlan, stopped: Path) -> None:
    (stopped / "fcn" / "scores.json").write_text("[]")
    with pytest.raises(InputError, match=r"scores\.json is damaged \(not a table of scores\)"):
        train(plan, stopped, resume=True)


def test_an_empty_checkpoint_is_no_interrupt(
    plan: TrainPlan, stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stopped / "fcn" / "weights.safetensors").unlink()
    (stopped / "fcn" / "last.ckpt").touch()
    settings = tmp_path / "settings.yaml"
    settings.write_text(TINY.model_dump_json())
    command = ["train", str(plan.dataset.root), "--out", str(stopped), "--stage", "fcn", "--resume"]
    assert swath([*command, "--settings", str(settings)]) == 2
    line = capsys.readouterr().err
    assert "last.ckpt is damaged" in line
    assert "interrupted" not in line


@pytest.mark.parametrize("name", ["labels.tif", "image"])
def test_a_dataset_that_was_changed_is_noticed(
    name: str, dataset: Dataset, stopped: Path, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    shutil.copytree(dataset.root, root)
    data = read_dataset(root)
    site = data.in_split("train")[0]
    path = site.labels if name == "labels.tif" else site.acquisitions[0].path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    again = TrainPlan(read_dataset(root), TINY, stage="fcn")
    with pytest.raises(DatasetError, match=f"{path.name} was changed since the dataset was built"):
        train(again, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(DatasetError, match="build the dataset again"):
        train(again, stopped, resume=True)


def test_an_interrupt_ends_with_130_and_the_run_can_go_on(dataset: Dataset, tmp_path: Path) -> None:
    """A real SIGINT, which Lightning alone would make an exit with 1 of."""
    long = STAGE.model_copy(update={"phases": (Phase(learning_rate=3e-3, epochs=500),)})
    settings = tmp_path / "settings.yaml"
    settings.write_text(TINY.model_copy(update={"fcn": long}).model_dump_json())
    out = tmp_path / "run"
    command = [sys.executable, "-m", "swath", "train", str(dataset.root), "--out", str(out)]
    command += ["--settings", str(settings), "--stage", "fcn"]
    # Whoever runs the tests in the background has made their children deaf to it.
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, preexec_fn=hear, **pipes)
    deadline = time.monotonic() + 120
    while not (out / "fcn/last.ckpt").exists() and time.monotonic() < deadline:
        assert process.poll() is None, "ended before its first checkpoint"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130, text
    again = shlex.join(["swath", *command[3:], "--resume"])
    assert text.splitlines()[-1] == f"interrupted; go on with: {again}"
    assert text.splitlines()[-2].startswith("U-Net epoch ")  # nothing else is said of it
    assert "Traceback" not in text
    assert (out / "fcn/last.ckpt").stat().st_size
    assert not (out / "model.json").exists()


def test_a_reader_that_dies_is_one_line_and_the_training_goes_on(
    plan: TrainPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the system kills it for want of memory."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:  # readers are forked, and so have it too
        patch.setattr("swath.training.patchmodule.Padded.__getitem__", die)
        with pytest.raises(WorkerError, match="a process that reads data died") as caught:
            train(plan, tmp_path / "run", Compute(workers=1))
    assert caught.value.remedy == Remedy.RESUME
    train(plan, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / WEIGHTS).is_file()
