"""A process that is killed at each step of replacing a folder, and what the next one finds and leaves.

Python's own events (audit hooks) tell of each step before it is done. A process without threads
forks one for each step, which ends there as by `kill -9`: no block is left in order.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from swath.errors import OutputExistsError
from swath.outfolder import MARK, Kind, replacing_folder

STEPS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "open"}


def make(out: Path, text: str) -> None:
    with replacing_folder(out, Kind.REPORT, overwrite=True) as folder:
        (folder / "a").mkdir()
        for name in ("a/1", "2"):
            (folder / name).write_text(text)


def fail(out: Path, text: str) -> None:
    """As where a block is interrupted."""
    with replacing_folder(out, Kind.REPORT, overwrite=True) as folder:
        (folder / "2").write_text(text)
        raise OutputExistsError(out)


def killed(out: Path, action: str, step: int) -> bool:
    """Do something in a process that is killed at a step; whether there was such a step."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    seen = 0

    def strike(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in STEPS and str(out.parent) in str(arguments[0]):
            seen += 1
            if seen > step:
                os._exit(9)

    sys.addaudithook(strike)
    with suppress(OutputExistsError):
        {"make": make, "fail": fail}[action](out, "new")
    os._exit(0)


def whole(out: Path) -> str:
    """What all files of a folder say."""
    assert sorted(path.name for path in out.iterdir()) == [MARK, "2", "a"]
    (text,) = {(out / name).read_text() for name in ("a/1", "2")}
    return text


def kill_at_each_step(root: Path, action: str, *, there: bool) -> int:
    step, going = 0, True
    while going:
        out = root / f"{step}" / "out"
        out.parent.mkdir()
        if there:
            make(out, "old")
        going = killed(out, action, step)
        aside = out.parent / ".old-out"
        if out.exists():
            assert whole(out) in ({"old", "new"} if there else {"new"})
        elif there:
            assert whole(aside) == "old"
        make(out, "next")
        assert whole(out) == "next"
        assert [path.name for path in out.parent.iterdir()] == ["out"], step
        step += 1
    return step


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes can be forked here")
@pytest.mark.parametrize("action", ["make", "fail"])
@pytest.mark.parametrize("there", [True, False])
def test_a_kill_at_any_step_loses_and_leaves_nothing(action: str, there: bool, tmp_path: Path) -> None:
    """Old or new is there, whole; and the next one leaves nothing but its own."""
    given = [sys.executable, __file__, str(tmp_path), action, *(["there"] if there else [])]
    done = subprocess.run(given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


if __name__ == "__main__":
    steps = kill_at_each_step(Path(sys.argv[1]), sys.argv[2], there="there" in sys.argv)
    sys.stdout.write(str(steps))
