"""A process that has imported all that is slow, and forks itself for each command that it is told.

Reads lines of JSON, `{"arguments": [...], "folder": "..."}`, and answers each with
`{"code": 2, "out": "...", "error": "...", "seconds": 0.1, "grown_mb": 3}`; code None: it did not end.
"""

import contextlib
import gc
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

LIMIT_S = 20


def main() -> None:
    """Answer until there is nothing more to read."""
    import swath.audit.check
    import swath.demo
    import swath.evaluation.evaluate
    import swath.lab.comparison.run
    import swath.mapping.update
    import swath.report.folder
    import swath.report.labelcheck
    import swath.report.table
    import swath.simulate.place
    import swath.training.train  # noqa: F401

    gc.collect()
    gc.freeze()  # what is not looked at is not copied in forks
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(answer(asked["arguments"], Path(asked["folder"]))), flush=True)  # noqa: T201


def answer(arguments: list[str], folder: Path) -> dict[str, object]:
    """Run one command in a fork, in a folder; what it printed lies beside that folder."""
    out, error = (folder.with_name(name) for name in ("stdout", "stderr"))
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = os.fork()
    if child == 0:
        os._exit(_run(arguments, folder, out, error))
    code: int | None = None
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            break
        if time.monotonic() - began > LIMIT_S:
            os.kill(child, signal.SIGKILL)
            _, _, usage = os.wait4(child, 0)
            break
        time.sleep(0.005)
    return {
        "code": code,
        "out": out.read_text("utf-8", "backslashreplace"),
        "error": error.read_text("utf-8", "backslashreplace"),
        "seconds": round(time.monotonic() - began, 2),
        "grown_mb": max(0, usage.ru_maxrss - before) // 1024,
    }


def _run(arguments: list[str], folder: Path, out: Path, error: Path) -> int:
    for number, path in ((1, out), (2, error)):
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, number)
    sys.stdin.close()
    os.chdir(folder)
    sys.addaudithook(_refuse_connections)
    code = 1
    with contextlib.suppress(BaseException):
        try:
            from swath.cli import run

            code = run(arguments)
        except BaseException:
            traceback.print_exc()
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def _refuse_connections(event: str, given: tuple[object, ...]) -> None:
    """No command of the corpus may talk to a server."""
    if event == "socket.connect" and isinstance(given[1], tuple):
        raise AssertionError(f"it talks to {given[1]}")


if __name__ == "__main__":
    main()
