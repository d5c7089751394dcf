"""Rounds of faults: few here, many in docs/reliability.md; and what counts as a loss."""

import signal
from pathlib import Path

import pytest

from swath.cli import run as swath
from swath.lab.faults.fault import Child, Fault
from swath.lab.faults.loss import left_at_work, loss_at_once, loss_in_the_end, loss_midway
from swath.lab.faults.outcome import FaultRounds, Outcome, tally
from swath.lab.faults.place import Command, Undisturbed, digests
from swath.lab.faults.rounds import Round
from swath.outfolder import MARK, Kind, mark

BUILD = Command("build", ("build",), "data", ("world",), other=("--bands", "B04"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an input, and an output that is whole."""
    for name in ("world/image.tif", "data/catalog.json", "data/town/image.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_few_rounds_lose_nothing_and_are_told_when_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk can be filled only where one may be mounted."""
    rounds: list[Path] = []

    def play(one: Round, folder: Path) -> Outcome:
        rounds.append(folder)
        if len(rounds) > 10:
            signal.raise_signal(signal.SIGTERM)
        return real(one, folder)

    real = Round.play
    monkeypatch.setattr(Round, "play", play)
    asked = ["--rounds", "50", "--seed", "3", "--command", "fetch", "--command", "build", "--json"]
    assert swath(["lab", "faults", *asked]) == 130
    out, err = capsys.readouterr()
    found = FaultRounds.model_validate_json(out)
    assert found.losses == ()
    assert "round 10 of 50: " in err
    assert err.splitlines()[-1] == "interrupted"
    assert not rounds[0].parent.exists()
    assert len(found.outcomes) == 10
    assert {row.command for row in found.tallies} == {"fetch", "build"}
    assert any(outcome.struck for outcome in found.outcomes)
    assert type(found).model_validate(found.as_json()) == found


def test_other_commands_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert swath(["lab", "faults", "--command", "inspect"]) == 2
    assert "known are fetch, build" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "said", "good"),
    [
        (0, "", True),
        (-9, "", True),
        (2, "WARNING: x\nerror: no space left", True),
        (130, "interrupted", True),
        (130, "", False),
        (2, "", False),
        (1, "Traceback (most recent call last):\nValueError", False),
        (1, "error: x", False),
        (None, "", False),
    ],
)
def test_a_command_is_done_killed_or_says_one_line(code: int | None, said: str, good: bool) -> None:
    assert (loss_at_once(BUILD, code, said) == "") == good


def test_half_a_file_under_its_name_is_a_loss(place: Path) -> None:
    known = Undisturbed(files=digests(place / "data"))
    assert loss_midway(BUILD, place, known, replacing=False) == ""
    mark(place / "data", Kind.DATASET, ["later.tif"])
    assert loss_midway(BUILD, place, known, replacing=False) == ""
    (place / "data" / MARK).write_text('{"kind": "data')
    assert "half-written" in loss_midway(BUILD, place, known, replacing=False)
    (place / "data" / MARK).unlink()
    (place / "data" / "town" / "image.tif").write_text("half")
    assert "half-written" in loss_midway(BUILD, place, known, replacing=False)
    known.old = {"catalog.json": "", "roads.parquet": ""}
    (place / "data" / "town" / "image.tif").unlink()
    assert "not whole" in loss_midway(BUILD, place, known, replacing=True)
    (place / "data").rename(place / ".old-data")  # the next command puts it back
    assert loss_midway(BUILD, place, known, replacing=True) == ""


def test_what_differs_in_the_end_is_a_loss(place: Path) -> None:
    known, inputs = Undisturbed(files=digests(place / "data")), {"world/image.tif": ""}
    assert loss_in_the_end(BUILD, place, known, inputs) == "an input was changed"
    inputs = {f"world/{name}": digest for name, digest in digests(place / "world").items()}
    assert loss_in_the_end(BUILD, place, known, inputs) == ""
    assert left_at_work(place) == []
    (place / ".tmp-data").mkdir()
    assert left_at_work(place) == [".tmp-data"]
    assert loss_in_the_end(BUILD, place, known, inputs) == ".tmp-data was left"
    (place / "data" / "town" / "image.tif").write_text("other")
    assert loss_in_the_end(BUILD, place, known, inputs) == "data/town/image.tif is other"
    known.unlike.append("town/image.tif")
    assert loss_in_the_end(BUILD, place, known, inputs) == ".tmp-data was left"


def test_tallies_count() -> None:
    outcome = Outcome(command="map", fault=Fault.KILL, seed=1, replacing=False, struck=True, code=-9)
    lost = outcome.model_copy(update={"lost": "all", "struck": False})
    (row,) = tally([outcome, lost])
    assert (row.rounds, row.struck, row.survived, row.lost) == (2, 1, 1, 1)


def test_a_command_that_said_nothing_yet_has_said_nothing(tmp_path: Path) -> None:
    child = Child(tmp_path / "round", ["inspect"])
    assert isinstance(child.said, str)
    child.signal(signal.SIGKILL)
    child.end()
