"""Workers: independent jobs in this process, on several of this machine, or on a Dask cluster.

A job is a function of a module and one argument, both picklable. It may be done twice, when a
worker is lost in the middle of it: so it must leave whole files only, the same each time.
"""

import multiprocessing
import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Self, TypeVar

from swath.cluster import ANSWER_S, check_workers, connect, do_alone
from swath.errors import Remedy, SettingsError, WorkerError
from swath.progress import console

A = TypeVar("A")
R = TypeVar("R")

TRIES = 3
"""How often worker processes may die before the work is given up."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What libraries of linear algebra read when a worker loads them."""

GONE_S = 60.0
"""How long a cluster may be without any worker before the work is given up."""

POLL_S = 5.0
"""How often it is asked whether there is one."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who does the jobs of a command.

    Example:
        >>> import swath
        >>> two = swath.MapOptions(workers=swath.Workers(2))
        >>> len(swath.map_scenes("town/*.tif", "run", options=two).dates)
        3

    Attributes:
        processes: Processes of this machine; 1: this process itself.
        scheduler: Address of a Dask scheduler whose workers do them instead.
    """

    processes: int = 1
    scheduler: str | None = None

    @classmethod
    def choose(cls, processes: int | None, scheduler: str | None) -> Self:
        """From what a user gave, of which one must be None.

        Raises:
            SettingsError: Both were given.
        """
        if processes is not None and scheduler is not None:
            raise SettingsError(
                "processes of this machine and the workers of a scheduler exclude each other; "
                "give one of the two"
            )
        return cls(processes or 1, scheduler)

    @property
    def alone(self) -> bool:
        """Whether this process does everything itself."""
        return self.processes == 1 and self.scheduler is None

    def locate(self, path: Path) -> Path:
        """A path as the workers must be told it: those of a cluster stand in other folders."""
        return path if self.scheduler is None else path.absolute()


HERE = Workers()
"""This process."""


class Crew:
    """Does jobs, itself; `open_crew` makes those that have them done elsewhere."""

    alone = True
    """Whether it is this process."""

    @property
    def size(self) -> int:
        """How many jobs it does at once, now; 1 or more."""
        return 1

    def run(self, function: Callable[[A], R], items: Iterable[A]) -> Iterator[tuple[A, R]]:
        """Do a job for every item.

        No more jobs are handed out than can be done at once: so few are lost with a worker, and a
        scheduler holds few, however many there are.

        Args:
            function: Of a module, so that workers can import it.
            items: What it is called with, one at a time.

        Yields:
            Item and result, as they get done.

        Raises:
            WorkerError: Workers die again and again, or are all gone.
            Exception: What a job raises; jobs that were going on have ended then.
        """
        for item in items:
            yield item, function(item)

    def close(self) -> None:
        """Let the workers go."""


ALONE = Crew()
"""This process."""


class _Team(Crew, ABC):
    """Has jobs done by others, through futures."""

    alone = False

    def run(self, function: Callable[[A], R], items: Iterable[A]) -> Iterator[tuple[A, R]]:
        todo, deaths = deque(items), 0
        going: dict[Future[R], A] = {}
        settle = False
        try:
            while todo or going:
                for _ in range(min(self.size - len(going), len(todo))):
                    item = todo.popleft()
                    going[self._submit(function, item)] = item
                lost: list[A] = []
                for future in self._wait(going):
                    item = going.pop(future)
                    try:
                        result = self._result(future)
                    except BrokenProcessPool:
                        lost.append(item)
                    except Exception:
                        settle = True
                        raise
                    else:
                        yield item, result
                if lost:
                    todo.extendleft([*lost, *going.values()])
                    going.clear()
                    self.close()
                    deaths += 1
                    _complain_of(deaths)
        finally:
            self._drop(going, settle=settle)

    @abstractmethod
    def _submit(self, function: Callable[[A], R], item: A) -> Future[R]:
        """Start a job."""

    def _wait(self, going: Collection[Future[R]]) -> Collection[Future[R]]:
        """Wait until one or more are done, and give these."""
        return wait(going, return_when=FIRST_COMPLETED).done

    def _result(self, future: Future[R]) -> R:
        """What a job that is done has given, or raised."""
        return future.result()

    def _drop(self, going: Collection[Future[R]], *, settle: bool) -> None:
        """Drop jobs; with `settle`, return when none of them is running any more."""
        if settle:
            wait(going)
        for future in going:
            future.cancel()


def _complain_of(deaths: int) -> None:
    if deaths == TRIES:
        raise WorkerError(
            f"worker processes died {TRIES} times, perhaps for lack of memory; the same work goes "
            "on where this stopped, with fewer of them, or to map with smaller tiles",
            Remedy.LESS_MEMORY,
        )
    console.print("a worker process died; its jobs are done again", style="yellow")


@contextmanager
def open_crew(workers: Workers, out: Path, reads: Iterable[Path] = (), *, threads: int = 1) -> Iterator[Crew]:
    """Get workers ready.

    Processes of this machine start with the first job. A cluster is asked at once whether its
    workers have the same swath and see the same files.

    Args:
        workers: Who.
        out: Folder in which jobs will write.
        reads: Files and folders that jobs read.
        threads: Of each process of this machine.

    Raises:
        WorkerError: No scheduler answers, it has no workers, or these cannot do the jobs.
        MissingExtraError: A scheduler without the extra `cluster`.
    """
    crew = ALONE
    if workers.scheduler is not None:
        crew = _Cluster(workers.scheduler, out, reads)
    elif not workers.alone:
        crew = _Processes(workers.processes, threads)
    try:
        yield crew
    finally:
        crew.close()


class _Processes(_Team):
    """Processes of this machine; lost ones are replaced with the next job."""

    def __init__(self, size: int, threads: int) -> None:
        self._size, self._threads = size, threads
        self._pool: ProcessPoolExecutor | None = None

    @property
    def size(self) -> int:
        return self._size

    def _submit(self, function: Callable[[A], R], item: A) -> Future[R]:
        if self._pool is None:
            # Forking a process with threads, as torch's, can hang it.
            fresh = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self._size, fresh, initializer=_start_process, initargs=(self._threads,)
            )
        try:
            return self._pool.submit(function, item)
        except (BrokenProcessPool, OSError) as error:  # since the last job
            if not self._pool._broken:
                raise
            failed: Future[R] = Future()
            failed.set_exception(BrokenProcessPool(str(error)))
            return failed

    def _wait(self, going: Collection[Future[R]]) -> Collection[Future[R]]:
        """Also end where a worker is lost and Python leaves a job: one handed in at just that moment."""
        while not (done := wait(going, POLL_S, FIRST_COMPLETED).done):
            if self._is_broken():
                return list(going)
        return done

    def _result(self, future: Future[R]) -> R:
        if not future.done():
            raise BrokenProcessPool
        return future.result()

    def _is_broken(self) -> bool:
        pool = self._pool
        return pool is not None and bool(
            pool._broken or any(one.exitcode is not None for one in [*pool._processes.values()])
        )

    def close(self) -> None:
        if self._pool is not None:
            if self._is_broken():
                # Python would wait for one that it was starting when it found another one dead.
                for process in [*self._pool._processes.values()]:
                    process.kill()
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _start_process(threads: int) -> None:
    """Set the number of threads before anything is loaded; and do not outlive the parent."""
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


class _Cluster(_Team):
    """One job at a time in every worker process of a Dask cluster that runs already.

    A job whose worker is lost goes to another one by itself.
    """

    def __init__(self, address: str, out: Path, reads: Iterable[Path]) -> None:
        self._address = address
        self._client = connect(address)
        self._executor = self._client.get_executor(pure=False)
        try:
            self._workers = check_workers(self._client, address, out, reads)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        now = self._present()
        if gone := self._workers - now:
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

    def _submit(self, function: Callable[[A], R], item: A) -> Future[R]:
        future: Future[R] = self._executor.submit(do_alone, function, item)
        return future

    def _wait(self, going: Collection[Future[R]]) -> Collection[Future[R]]:
        seen = time.monotonic()
        while not (done := wait(going, POLL_S, FIRST_COMPLETED).done):
            if self._present():
                seen = time.monotonic()
            elif time.monotonic() - seen > GONE_S:
                raise WorkerError(
                    f"the Dask scheduler at {self._address} has had no workers for "
                    f"{GONE_S:.0f} s; run the same command again when it has, what is finished "
                    "is kept"
                )
        return done

    def _result(self, future: Future[R]) -> R:
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

    def _drop(self, going: Collection[Future[R]], *, settle: bool) -> None:
        super()._drop(going, settle=settle and self._client.status == "running")

    def close(self) -> None:
        self._client.close(timeout=ANSWER_S)
