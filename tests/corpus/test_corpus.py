"""Every bad input of the corpus: exit code 2, one line, nothing left or asked, bounded in time and memory."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import pytest

from conftest import PROJECT
from corpus import world
from corpus.cases import cases
from corpus.warm import LIMIT_S
from corpus.world import make_world, remove

MOST_MB = 700
"""That a command which refuses its input may take, beyond what its process had."""

NOTES = ("no RUN given: using", "WARNING: ")
"""How lines begin that are no errors."""

ALL = cases()


class _Nobody(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_error(404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Kitchen:
    """Runs cases on copies of a world."""

    folder: Path
    process: "subprocess.Popen[str]"
    server: ThreadingHTTPServer

    def run(self, name: str, case: world.Case) -> tuple[dict[str, object], Path]:
        """What a command said, and the folder that it ran in, beside a folder that is precious."""
        place = self.folder / name
        copy = place / "here"
        shutil.copytree(self.folder / "world", copy, copy_function=os.link)
        (place / "precious").mkdir()
        (place / "precious" / "file").write_text("kept")
        case.spoil(copy, f"http://127.0.0.1:{self.server.server_port}")
        before = listing(place)
        asked = {"arguments": case.arguments, "folder": str(copy)}
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        print(json.dumps(asked), file=stdin, flush=True)
        answer: dict[str, object] = json.loads(stdout.readline())
        answer["left"] = sorted(set(listing(place).items()) ^ set(before.items()))
        return answer, place


def listing(folder: Path) -> dict[str, int]:
    """Names of all files and folders, and the sizes of files."""
    return {
        str(path.relative_to(folder)): 0 if path.is_symlink() or path.is_dir() else path.stat().st_size
        for path in folder.rglob("*")
        if path.name not in ("stdout", "stderr")
    }


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kitchen]:
    folder = tmp_path_factory.mktemp("corpus")
    here = Path.cwd()
    (folder / "world").mkdir()
    try:
        make_world(folder / "world")
    finally:
        os.chdir(here)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Nobody)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    places = os.pathsep.join([str(PROJECT / "src"), str(PROJECT / "tests")])
    process = subprocess.Popen(
        [sys.executable, "-m", "corpus.warm"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
    )
    with process:
        yield Kitchen(folder, process, server)
        _close(process.stdin)
    server.shutdown()
    server.server_close()


def _close(stream: IO[str] | None) -> None:
    if stream is not None:
        stream.close()


COMMANDS = {name: value for name, value in vars(world).items() if name.isupper() and isinstance(value, list)}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_not_spoilt_works(name: str, kitchen: Kitchen) -> None:
    if name in ("TRAIN", "FETCH", "COMPARE"):
        pytest.skip("takes long, or asks a server; its own tests show that it works")
    answer, place = kitchen.run(f"good-{name}", world.Case(name, COMMANDS[name]))
    assert answer["code"] == 0, answer["error"]
    remove(place)


@pytest.mark.parametrize("name", ALL)
def test_bad_input_is_one_line_and_leaves_nothing(name: str, kitchen: Kitchen) -> None:
    answer, place = kitchen.run(name, ALL[name])
    said = str(answer["error"])
    lines = [line for line in said.splitlines() if not line.startswith(NOTES)]
    assert answer["code"] is not None, f"did not end in {LIMIT_S} s"
    assert "Traceback" not in said, said[-2000:]
    assert (answer["code"], len(lines)) == (2, 1), (answer["out"], said)
    assert lines[0].startswith("error: ")
    assert lines[0].isprintable()
    assert len(lines[0]) < 4000
    assert not answer["out"]
    assert not answer["left"]
    assert not kitchen.server.asked  # type: ignore[attr-defined]
    assert int(str(answer["grown_mb"])) < MOST_MB
    remove(place)
