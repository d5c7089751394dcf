"""What goes wrong, and a command in a process of its own to which it happens."""

import multiprocessing
import os
import random
import resource
import runpy
import signal
import sys
from contextlib import suppress
from enum import StrEnum
from multiprocessing.process import BaseProcess
from pathlib import Path

LONGEST_S = 600.0
"""A command that takes longer hangs."""

_PRELOADED = (
    "swath.cli",
    "swath.dataset.build",
    "swath.mapping.update",
    "swath.training.train",
    "swath.retrieval.fetchfolder",
)


class Fault(StrEnum):
    """What happens to a command."""

    KILL = "kill -9"
    TERM = "SIGTERM"
    FULL = "disk full"
    LIMIT = "file size limit"
    MEMORY = "memory limit"
    WORKER = "worker lost"
    SERVER = "server gone"


class Child:
    """A command that runs in a folder; what it prints goes to a file beside that.

    Processes are forked from one that has imported all that is slow: so a fault strikes the work,
    not the start.

    Args:
        folder: Where it runs.
        arguments: What stands after `swath`.
        file_bytes: Most bytes of a file that it may write.
        memory_mb: Address space that it may take beyond what it has at its start.
    """

    def __init__(
        self,
        folder: Path,
        arguments: list[str],
        file_bytes: int | None = None,
        memory_mb: int | None = None,
    ) -> None:
        self._said = folder.with_name(f"{folder.name}.said")
        self._said.write_bytes(b"")  # it may be killed before it says anything
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*_PRELOADED])
        given = (folder, self._said, arguments, file_bytes, memory_mb)
        self._process: BaseProcess = context.Process(target=_go, args=given)
        self._process.start()

    def wait(self, most_s: float = LONGEST_S) -> int | None:
        """The exit code, the negative number of a signal, or None: it still runs."""
        self._process.join(most_s)
        return self._process.exitcode

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self._process.pid is not None and self._process.exitcode is None:
            os.kill(self._process.pid, number)

    def end(self) -> int | None:
        """The exit code; None: it hung, and was killed."""
        code = self.wait()
        if code is None:
            self.signal(signal.SIGKILL)
            self._process.join()
        return code

    def kill_worker(self, draw: random.Random) -> bool:
        """Kill one of its processes, waiting until there is one; whether there ever was."""
        while self.wait(0.02) is None:
            workers = _workers(self._process.pid or 0)
            if workers:
                with suppress(ProcessLookupError):
                    os.kill(draw.choice(workers), signal.SIGKILL)
                    return True
        return False

    @property
    def said(self) -> str:
        """What it has printed to stderr."""
        return self._said.read_text("utf-8", "replace")


def _workers(pid: int) -> list[int]:
    """The children of a process, but those that only keep Python's books."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def _go(
    folder: Path,
    said: Path,
    arguments: list[str],
    file_bytes: int | None,
    memory_mb: int | None,
) -> None:
    sys.stdout.flush()
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.chdir(folder)
    multiprocessing.set_start_method(None, force=True)  # as in a process that was not forked so
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    if memory_mb is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + (memory_mb << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    sys.argv[1:] = arguments
    runpy.run_module("swath", run_name="__main__", alter_sys=True)
