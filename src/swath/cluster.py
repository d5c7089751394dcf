"""The workers of a Dask cluster that runs already."""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from pathlib import Path
from typing import TypeVar

from swath.errors import Remedy, WorkerError, optional_import, reason_of
from swath.progress import console
from swath.version import __version__

A = TypeVar("A")
R = TypeVar("R")

ANSWER_S = 5.0
"""How long a scheduler may take to answer, and its first worker to be there."""

GONE_S = 60.0
"""How long a cluster may be without any worker before the work is given up."""

POLL_S = 5.0
"""How often it is asked whether there is one."""

_one_at_a_time = threading.Lock()
"""Of a worker process: a job uses seeds and settings that belong to the whole process."""


class Cluster:
    """A pool of `swath.workers`: one job at a time in every worker process of the cluster.

    A job whose worker is lost goes to another one by itself.

    Args:
        address: Of the scheduler, such as `tcp://10.0.0.1:8786`.
        out: Folder in which jobs will write.
        reads: Files and folders that jobs read.

    Raises:
        WorkerError: No scheduler answers, it has no workers, or these cannot do the jobs.
        MissingExtraError: Dask is not installed.
    """

    def __init__(self, address: str, out: Path, reads: Iterable[Path]) -> None:
        with optional_import("work on a cluster", "cluster"):
            from distributed import Client
        # It tells every lost connection to the log; what matters of it is said here.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        for name in ("client", "core", "comm"):
            logging.getLogger(f"distributed.{name}").setLevel(logging.CRITICAL)
        self._address = address
        self._ask(address)
        self._client = Client(address, timeout=ANSWER_S, set_as_default=False)
        self._executor = self._client.get_executor(pure=False)
        self._workers: set[str] = set()
        try:
            self._check(out, reads)
        except BaseException:
            self.close()
            raise

    def _ask(self, address: str) -> None:
        """Whether a scheduler is there; a client that finds none would hang for a while."""
        try:
            asyncio.run(_identify(address))
        except Exception as error:  # of many kinds: what answers may be anything
            raise WorkerError(
                f"no Dask scheduler answers at {address} ({reason_of(error)}); start one with "
                "`dask scheduler`, or take processes of this machine",
                Remedy.WORKERS,
            ) from None

    def _check(self, out: Path, reads: Iterable[Path]) -> None:
        """Whether all workers have this swath and see these files."""
        try:
            self._client.wait_for_workers(1, timeout=ANSWER_S)
        except TimeoutError:
            raise WorkerError(
                f"the Dask scheduler at {self._address} has no workers; start some with `dask "
                f"worker {self._address}`, of one thread each"
            ) from None
        new = not out.exists()
        out.mkdir(parents=True, exist_ok=True)
        marker = out / f".swath-{uuid.uuid4().hex}"
        marker.touch()
        try:
            problems: dict[str, str | Exception] = self._client.run(
                probe, str(marker), list(map(str, reads)), __version__, on_error="return"
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
        self._workers = set(problems)

    def size(self) -> int:
        """How many worker processes there are now; 1 or more."""
        now = self._present()
        gone = self._workers - now
        if gone:
            news = f"{len(gone)} of the cluster's workers went away; their jobs are done again"
            console.print(news, style="yellow", highlight=False)
        self._workers = now
        return max(1, len(now))

    def _present(self) -> set[str]:
        try:
            return set(self._client.nthreads())
        except Exception:  # of many kinds
            raise self._scheduler_lost() from None

    def _scheduler_lost(self) -> WorkerError:
        return WorkerError(
            f"the Dask scheduler at {self._address} went away; run the same command again when it "
            "is back, what is finished is kept"
        )

    def submit(self, function: Callable[[A], R], item: A) -> Future[R]:
        """Start a job."""
        future: Future[R] = self._executor.submit(do_alone, function, item)
        return future

    def wait(self, futures: Collection[Future[R]]) -> Collection[Future[R]]:
        """Wait until one or more are done, and give these.

        Raises:
            WorkerError: The cluster has had no workers for a while, or its scheduler went away.
        """
        lonely_since: float | None = None
        while not (done := wait(futures, POLL_S, FIRST_COMPLETED).done):
            if self._present():
                lonely_since = None
                continue
            lonely_since = lonely_since or time.monotonic()
            if time.monotonic() - lonely_since > GONE_S:
                raise WorkerError(
                    f"the Dask scheduler at {self._address} has had no workers for "
                    f"{GONE_S:.0f} s; run the same command again when it has, what is finished "
                    "is kept"
                )
        return done

    def result(self, future: Future[R]) -> R:
        """What a job that is done has given.

        Raises:
            WorkerError: Its workers died again and again, or the scheduler went away.
            Exception: What the job raised.
        """
        from distributed import KilledWorker

        try:
            return future.result()
        except CancelledError:
            raise self._scheduler_lost() from None
        except KilledWorker as error:
            raise WorkerError(
                f"workers of the cluster died again and again at the same job ({error.last_worker}"
                " was the last), perhaps for lack of memory; the same command goes on where this "
                "one stopped"
            ) from None

    def renew(self) -> None:
        """Nothing: a cluster replaces its workers itself."""

    def drop(self, futures: Collection[Future[R]], *, settle: bool) -> None:
        """Drop jobs; with `settle`, return when none of them is running any more."""
        if settle and self._client.status == "running":
            wait(futures)
        for future in futures:
            future.cancel()

    def close(self) -> None:
        """Leave the cluster; its workers go on."""
        self._client.close(timeout=ANSWER_S)


async def _identify(address: str) -> None:
    from distributed import Security, rpc

    secrets = Security().get_connection_args("client")
    async with rpc(address, timeout=ANSWER_S, connection_args=secrets) as scheduler:
        await asyncio.wait_for(scheduler.identity(), ANSWER_S)


def probe(marker: str, reads: list[str], version: str) -> str:
    """On a worker: what keeps it from doing jobs; empty if nothing does.

    Args:
        marker: A file that was just made in the folder where jobs write.
        reads: Files and folders that jobs read.
        version: Of the swath that hands out the jobs.
    """
    out = Path(marker).parent
    if version != __version__:
        return f"has swath {__version__}, this is {version}; install the same there"
    if not Path(marker).is_file():
        return f"does not see {out}: workers and this machine must share its file system"
    hidden = [path for path in reads if not Path(path).exists()]
    if hidden:
        return f"does not see {hidden[0]}: workers and this machine must share its file system"
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
