"""Folders that swath writes: what may be replaced, and what is never lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from swath.errors import BusyError, OutputError, OutputExistsError, Remedy
from swath.locks import locked
from swath.outfolder import (
    MARK,
    SIGNS,
    Kind,
    check_out,
    exchange,
    making_file,
    mark,
    recover,
    replacing_folder,
    within,
)


def make(path: Path, text: str = "old", kind: Kind = Kind.REPORT, *, overwrite: bool = False) -> Path:
    with replacing_folder(path, kind, overwrite=overwrite) as folder:
        (folder / "figures").mkdir()
        (folder / "report.json").write_text(text)
        (folder / "figures" / "a.png").write_text(text)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(path: Path, *reads: Path, kind: Kind = Kind.REPORT) -> str:
    """Why a folder is not replaced, though overwriting was asked for; nothing was changed."""
    before = sorted(path.rglob("*"))
    with pytest.raises(OutputExistsError) as caught, replacing_folder(path, kind, reads, overwrite=True):
        pytest.fail("was begun")
    assert sorted(path.rglob("*")) == before
    assert caught.value.remedy == Remedy.ELSEWHERE
    return str(caught.value)


def test_what_swath_made_is_replaced_if_asked_for(tmp_path: Path) -> None:
    out = make(tmp_path / "deep" / "out")
    with pytest.raises(OutputExistsError) as caught:
        make(out, "new")
    assert caught.value.remedy == Remedy.OVERWRITE
    make(out, "new", overwrite=True)
    assert (out / "report.json").read_text() == "new"
    assert names(out.parent) == ["out"]


def test_an_empty_folder_is_filled_and_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    make(tmp_path / "link")
    make(tmp_path / "link", "new", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "report.json").read_text() == "new"


def test_what_others_made_is_never_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    assert "was not made by swath" in refusal(home)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(OutputExistsError, match="no folder"):
        check_out(file, Kind.REPORT, overwrite=True)
    with pytest.raises(OutputExistsError, match="no folder"):
        check_out(Path("/dev/full"), Kind.REPORT, overwrite=True)


def test_a_place_that_cannot_be_exchanged_is_told_before_the_work() -> None:
    with pytest.raises(OutputExistsError, match="a disk is mounted"):
        check_out(Path("/proc"), Kind.REPORT, overwrite=True)


def test_the_current_folder_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputExistsError, match="and is or holds the current folder"):
        check_out(Path(), Kind.REPORT, overwrite=False)


def test_a_damaged_mark_is_called_so(tmp_path: Path) -> None:
    (make(tmp_path / "out") / MARK).write_text("{")
    assert f"its {MARK}, which says what swath wrote, is damaged" in refusal(tmp_path / "out")


def test_another_kind_is_not_replaced(tmp_path: Path) -> None:
    assert "holds a report, not a dataset" in refusal(make(tmp_path / "out"), kind=Kind.DATASET)


@pytest.mark.parametrize("name", ["notes.txt", "figures/mine.png", "new/deep.txt", "link"])
def test_what_a_user_added_is_not_lost(name: str, tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    (out / name).parent.mkdir(exist_ok=True)
    if name == "link":
        (out / name).symlink_to(tmp_path)
    else:
        (out / name).write_text("mine")
    assert f"holds {name}, which swath did not write" in refusal(out)


def test_what_programs_leave_beside_files_is_no_hindrance(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    for name in ("report.json.aux.xml", "figures/a.png-wal", ".DS_Store", ".tmp-1234-report.json"):
        (out / name).write_text("x")
    make(out, "new", overwrite=True)
    assert not (out / ".DS_Store").exists()


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda out: out, "is "),
        (lambda out: out / "report.json", "holds "),
        (lambda out: out.parent, "lies in "),
        (lambda out: out / ".." / "out" / "figures" / "*.png", "holds "),
        (lambda out: out.parent / "link" / "figures" / "a.png", "holds "),
        (lambda out: out / "away", "holds "),
    ],
)
def test_an_input_is_never_replaced(read: Callable[[Path], Path], words: str, tmp_path: Path) -> None:
    """Whatever it is called, also through links into the folder and out of it."""
    out = make(tmp_path / "out")
    (tmp_path / "link").symlink_to("out")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (out / "away").symlink_to(elsewhere)
    why = refusal(out, read(out))
    assert f"and {words}" in why
    assert why.endswith("which is read")


def test_the_current_folder_is_not_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = make(tmp_path / "out")
    monkeypatch.chdir(out / "figures")
    assert "the current folder" in refusal(Path("..").absolute())


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    with pytest.raises(IsADirectoryError), replacing_folder(out, Kind.REPORT, overwrite=True) as folder:
        (folder / ".").write_text("x")
    assert (out / "report.json").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_two_at_once_do_not_lose_a_result(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with replacing_folder(out, Kind.REPORT, overwrite=False) as folder:
        (folder / "report.json").write_text("first")
        with pytest.raises(BusyError, match="out"):
            make(out)
    assert (out / "report.json").read_text() == "first"


def test_a_lock_on_what_was_moved_meanwhile_is_none(tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.mkdir()
    with locked(place):
        with pytest.raises(BusyError), locked(place):
            pytest.fail("held twice")
        place.rename(tmp_path / "b")
    with pytest.raises(BusyError), locked(place):
        pytest.fail("gone")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes can be forked here")
def test_what_a_dead_process_held_is_free_though_its_child_lives(tmp_path: Path) -> None:
    """As one that reads patches does for some seconds."""
    script = """
import os, sys, time
from pathlib import Path
from swath.locks import locked
with locked(Path(sys.argv[1])):
    if child := os.fork():
        Path(sys.argv[2]).write_text(str(child))
        os._exit(9)
    time.sleep(600)
"""
    place, child = tmp_path / "place", tmp_path / "child"
    place.mkdir()
    subprocess.run([sys.executable, "-c", script, str(place), str(child)])
    try:
        for _ in range(500):  # until the child has begun
            with suppress(BusyError), locked(place):
                return
            time.sleep(0.01)
        pytest.fail("still held")
    finally:
        os.kill(int(child.read_text()), signal.SIGKILL)


def test_folders_of_dead_makers_are_swept_and_no_others(tmp_path: Path) -> None:
    dead, theirs, alive = (tmp_path / f".tmp-{name}" for name in ("out", "theirs", "alive"))
    for folder in (dead, alive):
        folder.mkdir()
        mark(folder, Kind.REPORT, ())
        (folder / "half").write_text("x")
    theirs.mkdir()
    (theirs / "work").write_text("x")
    with locked(alive):
        make(tmp_path / "out")
    assert names(tmp_path) == [".tmp-alive", ".tmp-theirs", "out"]
    assert (alive / "half").is_file()


def test_an_exchange_that_was_killed_is_undone_or_finished(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    out.rename(tmp_path / ".old-out")
    recover(out)
    assert (out / "report.json").read_text() == "old"
    new = make(tmp_path / "new", "new")
    out.rename(tmp_path / ".old-out")
    new.rename(out)
    recover(out)
    assert (out / "report.json").read_text() == "new"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("name", ["out", "out/figures"])
def test_a_folder_that_may_not_change_stays_as_it_was(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may change it all the same: so who is asked is told what others are."""
    out = make(tmp_path / "out")
    monkeypatch.setattr(os, "access", lambda path, _: bool(Path(path).stat().st_mode & 0o200))
    (tmp_path / name).chmod(0o555)
    with pytest.raises(OutputError, match=f"out: cannot be written .*from {tmp_path / name}, "):
        make(out, "new", overwrite=True)
    (tmp_path / name).chmod(0o755)
    assert names(tmp_path) == ["out"]
    assert (out / "report.json").read_text() == "old"


def test_an_exchange_that_fails_puts_the_old_folder_back(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    with pytest.raises(OutputError, match="out"):
        exchange(tmp_path / "nowhere", out)
    assert (out / "report.json").read_text() == "old"


def check(path: Path, reads: Iterable[Path] = (), *, overwrite: bool) -> None:
    with making_file(path, reads, overwrite=overwrite):
        pass


def test_of_two_that_make_one_file_the_second_ends_at_once(tmp_path: Path) -> None:
    out = tmp_path / "changes.gpkg"
    with making_file(out, overwrite=False):
        with pytest.raises(BusyError, match=r"at work in .*changes\.gpkg"):
            check(out, overwrite=False)
        out.write_bytes(SIGNS[".gpkg"])
    assert [path.name for path in tmp_path.iterdir()] == ["changes.gpkg"]
    (tmp_path / ".lock-changes.gpkg").touch()  # of one that was killed
    check(out, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["changes.gpkg"]


def test_a_file_that_is_read_is_not_written(tmp_path: Path) -> None:
    file, link, hard = (tmp_path / name for name in ("roads.gpkg", "link.gpkg", "hard.gpkg"))
    file.write_text("roads")
    link.symlink_to(file)
    hard.hardlink_to(file)
    for out in (file, link, hard):
        with pytest.raises(OutputExistsError, match="which is read"):
            check(out, [file], overwrite=True)
    with pytest.raises(OutputExistsError, match="lies in"):
        check(file, [tmp_path], overwrite=True)
    check(tmp_path / "new.gpkg", [file], overwrite=False)
    for place in (tmp_path, Path("/dev/full")):
        with pytest.raises(OutputError, match="no file"):
            check(place, overwrite=True)


@pytest.mark.parametrize("suffix", sorted(SIGNS))
def test_only_a_file_that_bears_the_sign_of_swath_is_replaced(tmp_path: Path, suffix: str) -> None:
    ours, foreign, empty = (tmp_path / f"{name}{suffix}" for name in ("ours", "foreign", "empty"))
    ours.write_bytes(b"\0" * 5000 + SIGNS[suffix])
    foreign.write_bytes(b"by somebody")
    empty.touch()
    with pytest.raises(OutputExistsError) as caught:
        check(ours, overwrite=False)
    assert caught.value.remedy == Remedy.OVERWRITE
    check(ours, overwrite=True)
    for file in (foreign, empty):
        with pytest.raises(OutputExistsError, match="not made by swath") as caught:
            check(file, overwrite=True)
        assert caught.value.remedy == Remedy.ELSEWHERE


def test_within_knows_places_not_names(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert within(tmp_path / "a" / "b" / ".." / "x" / "*.tif", tmp_path / "a")
    assert not within(tmp_path / "ab", tmp_path / "a")
    assert not within(tmp_path / "a" / "b" / ".." / ".." / "c", tmp_path / "a")
    assert not within(tmp_path, tmp_path / "nowhere")


def test_a_mark_lists_what_is_there(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    assert '"figures/a.png"' in (out / MARK).read_text()
