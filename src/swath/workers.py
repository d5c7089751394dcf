"""Workers: independent jobs in this process, on several of this machine, or on a Dask cluster.

A job is a function of a module and one argument, both picklable. It may be done twice, when a
worker is lost in the middle of it: so it must leave whole files only, the same each time.
"""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Protocol, Self, TypeVar

from swath.errors import Remedy, SettingsError, WorkerError
from swath.progress import console

A = TypeVar("A")
R = TypeVar("R")

TRIES = 3
"""How often worker processes may die before the work is given up."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What libraries of linear algebra read when a worker loads them."""


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
        """From what a user gave.

        Args:
            processes: Of this machine; None: not given.
            scheduler: Address of a Dask scheduler; None: not given.

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


class LostJobError(Exception):
    """The worker of a job died in the middle of it; the job can be done again."""


class Pool(Protocol):
    """Where jobs are done."""

    def size(self) -> int:
        """How many jobs it does at once, now; 1 or more."""

    def submit(self, function: Callable[[A], R], item: A) -> Future[R]:
        """Start a job."""

    def wait(self, futures: Collection[Future[R]]) -> Collection[Future[R]]:
        """Wait until one or more are done, and give these.

        Raises:
            WorkerError: There is nobody left who could do them.
        """

    def result(self, future: Future[R]) -> R:
        """What a job that is done has given.

        Raises:
            LostJobError: It must be done again.
            WorkerError: It has been done again too often.
            Exception: What the job raised.
        """

    def renew(self) -> None:
        """Replace the workers that were lost, and drop all jobs."""

    def drop(self, futures: Collection[Future[R]], *, settle: bool) -> None:
        """Drop jobs; with `settle`, return when none of them is running any more."""

    def close(self) -> None:
        """Let the workers go."""


class Crew:
    """Does jobs; made by `open_crew`."""

    def __init__(self, pool: Pool | None) -> None:
        self._pool = pool

    @property
    def alone(self) -> bool:
        """Whether it is this process."""
        return self._pool is None

    @property
    def size(self) -> int:
        """How many jobs it does at once, now."""
        return 1 if self._pool is None else self._pool.size()

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
        pool = self._pool
        if pool is None:
            for item in items:
                yield item, function(item)
            return
        todo, deaths = deque(items), 0
        going: dict[Future[R], A] = {}
        settle = False
        try:
            while todo or going:
                for _ in range(min(pool.size() - len(going), len(todo))):
                    item = todo.popleft()
                    going[pool.submit(function, item)] = item
                lost: list[A] = []
                for future in pool.wait(going):
                    item = going.pop(future)
                    try:
                        result = pool.result(future)
                    except LostJobError:
                        lost.append(item)
                    except Exception:
                        settle = True
                        raise
                    else:
                        yield item, result
                if lost:
                    todo.extendleft([*lost, *going.values()])
                    going.clear()
                    pool.renew()
                    deaths += 1
                    _complain_of(deaths)
        finally:
            pool.drop(going, settle=settle)


ALONE = Crew(None)
"""This process."""


def _complain_of(deaths: int) -> None:
    if deaths == TRIES:
        raise WorkerError(
            f"worker processes died {TRIES} times, perhaps for lack of memory; the same work goes "
            "on where this stopped, with fewer of them, or to map with smaller tiles",
            Remedy.LESS_MEMORY,
        )
    console.print("a worker process died; its jobs are done again", style="yellow")


@contextmanager
def open_crew(
    workers: Workers, out: Path, reads: Iterable[Path] = (), *, threads: int = 1
) -> Iterator[Crew]:
    """Get workers ready.

    Processes of this machine start with the first job. A cluster is asked at once whether its
    workers have the same swath and see the same files.

    Args:
        workers: Who.
        out: Folder in which jobs will write.
        reads: Files and folders that jobs read.
        threads: Of each process of this machine.

    Yields:
        The crew.

    Raises:
        WorkerError: No scheduler answers, it has no workers, or these cannot do the jobs.
        MissingExtraError: A scheduler without the extra `cluster`.
    """
    if workers.alone:
        yield ALONE
        return
    pool: Pool
    if workers.scheduler is None:
        pool = _Processes(workers.processes, threads)
    else:
        from swath.cluster import Cluster

        pool = Cluster(workers.scheduler, out, reads)
    try:
        yield Crew(pool)
    finally:
        pool.close()


class _Processes:
    """Processes of this machine."""

    def __init__(self, size: int, threads: int) -> None:
        self._size = size
        self._threads = threads
        self._pool: ProcessPoolExecutor | None = None

    def size(self) -> int:
        return self._size

    def submit(self, function: Callable[[A], R], item: A) -> Future[R]:
        if self._pool is None:
            # Forking a process with threads, as torch's, can hang it.
            fresh = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self._size, fresh, initializer=_start_process, initargs=(self._threads,)
            )
        try:
            return self._pool.submit(function, item)
        except BrokenProcessPool as error:  # since the last job
            failed: Future[R] = Future()
            failed.set_exception(error)
            return failed

    def wait(self, futures: Collection[Future[R]]) -> Collection[Future[R]]:
        return wait(futures, return_when=FIRST_COMPLETED).done

    def result(self, future: Future[R]) -> R:
        try:
            return future.result()
        except BrokenProcessPool:
            raise LostJobError from None

    def renew(self) -> None:
        self.close()

    def drop(self, futures: Collection[Future[R]], *, settle: bool) -> None:
        for future in futures:
            future.cancel()
        if settle:
            wait(futures)

    def close(self) -> None:
        if self._pool is not None:
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
