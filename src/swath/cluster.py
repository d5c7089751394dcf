"""The way to the workers of a Dask cluster that runs already, and what runs on them."""

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from swath.errors import Remedy, WorkerError, reason_of
from swath.extras import optional_import
from swath.version import __version__

if TYPE_CHECKING:  # an extra
    from distributed import Client

A = TypeVar("A")
R = TypeVar("R")

ANSWER_S = 5.0
"""How long a scheduler may take to answer, and its first worker to be there."""

_one_at_a_time = threading.Lock()
"""Of a worker process: a job uses seeds and settings that belong to the whole process."""


def connect(address: str) -> "Client":
    """A client of the scheduler at an address such as `tcp://10.0.0.1:8786`.

    Raises:
        WorkerError: No scheduler answers.
        MissingExtraError: Dask is not installed.
    """
    with optional_import("work on a cluster", "cluster"):
        from distributed import Client
    # It tells every lost connection to the log; what matters of it is said here.
    for name in ("", ".client", ".core", ".comm"):
        logging.getLogger(f"distributed{name}").setLevel(logging.CRITICAL)
    try:  # a client that finds no scheduler would hang for a while
        asyncio.run(_identify(address))
    except Exception as error:  # of many kinds: what answers may be anything
        raise WorkerError(
            f"no Dask scheduler answers at {address} ({reason_of(error)}); start one with "
            "`dask scheduler`, or take processes of this machine",
            Remedy.WORKERS,
        ) from None
    return Client(address, timeout=ANSWER_S, set_as_default=False)


async def _identify(address: str) -> None:
    from distributed import Security, rpc

    secrets = Security().get_connection_args("client")
    async with rpc(address, timeout=ANSWER_S, connection_args=secrets) as scheduler:
        await asyncio.wait_for(scheduler.identity(), ANSWER_S)


def check_workers(client: "Client", address: str, out: Path, reads: Iterable[Path]) -> set[str]:
    """The workers, all of which have this swath, may write in `out` and see `reads`.

    Raises:
        WorkerError: There are none, or they cannot do the jobs.
    """
    try:
        client.wait_for_workers(1, timeout=ANSWER_S)
    except TimeoutError:
        raise WorkerError(
            f"the Dask scheduler at {address} has no workers; start some with `dask "
            f"worker {address}`, of one thread each"
        ) from None
    new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    marker = out / f".swath-{uuid.uuid4().hex}"
    marker.touch()
    try:
        problems: dict[str, str | Exception] = client.run(
            _probe, str(marker), list(map(str, reads)), __version__, on_error="return"
        )
    finally:
        marker.unlink()
        if new:
            out.rmdir()
    for worker, problem in sorted(problems.items()):
        if isinstance(problem, Exception):
            problem = f"cannot load swath ({problem}); install swath {__version__} there"
        if problem:
            raise WorkerError(f"worker {worker} {' '.join(problem.split())}")
    return set(problems)


def _probe(marker: str, reads: list[str], version: str) -> str:
    """On a worker: what keeps it from reading `reads` and writing where the marker is, or ""."""
    out = Path(marker).parent
    if version != __version__:
        return f"has swath {__version__}, this is {version}; install the same there"
    hidden = [path for path in (marker, *reads) if not Path(path).exists()]
    if hidden:
        what = out if hidden[0] == marker else hidden[0]
        return f"does not see {what}: workers and this machine must share its file system"
    trial = Path(f"{marker}-{uuid.uuid4().hex}")
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        return f"cannot write to {out} ({error.strerror})"
    return ""


def do_alone(function: Callable[[A], R], item: A) -> R:
    """On a worker: do a job, and no other in this process."""
    with _one_at_a_time:
        return function(item)
