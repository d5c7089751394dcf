"""Where the corpus is tried: commands on copies of a world, and the promise that bad input keeps."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

from conftest import PROJECT
from corpus import world
from corpus.warm import LIMIT_S
from corpus.world import make_world, remove

MOST_MB = 700
"""That a command which refuses its input may take, beyond what its process had."""

NOTES = ("no RUN given: ", "WARNING: ")
"""How lines begin that are no errors."""


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


@contextmanager
def open_kitchen(folder: Path) -> Iterator[Kitchen]:
    """A world in an empty folder, a process that runs commands, and a server that nobody may ask."""
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


def keep_promise(kitchen: Kitchen, name: str, case: world.Case) -> None:
    """Exit code 2, one line, nothing left or asked, bounded in time and memory."""
    answer, place = kitchen.run(name, case)
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
