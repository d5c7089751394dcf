"""Running a comparison: what is done stays done, the rest goes to the workers."""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing.connection import wait
from pathlib import Path

import torch

from swath.comparison.board import Board, make_board
from swath.comparison.board_write import write_board
from swath.comparison.cell import finished, read_result, run_cell
from swath.comparison.cost import Estimate, estimate
from swath.comparison.plan import Cell, Comparison
from swath.errors import MissingExtraError, SettingsError
from swath.progress import console
from swath.training.store import StageStore

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Job = tuple[Cell, ...]


def plan_cost(comparison: Comparison, out: Path, device: str, workers: int) -> Estimate:
    """Which cells are still to do, and how long they will take.

    Args:
        comparison: What is asked for.
        out: Where finished cells are looked for.
        device: `auto`, `cpu` or `cuda`.
        workers: How many cells will run at once; with several, each has one thread, and so has
            this measurement.

    Raises:
        SettingsError: A finished cell was made with other settings or data.
    """
    done = {c.name for c in comparison.cells() if finished(_folder(out, c), c)}
    if len(done) == len(comparison.cells()):
        return Estimate({}, {}, len(done))
    with _threads(1 if workers > 1 else None):
        return estimate(
            comparison, done, lambda cell: _store(out, cell).holds_any(), _pretrained(out), device
        )


def run_comparison(
    comparison: Comparison, out: Path, cost: Estimate, *, workers: int = 1, device: str = "auto"
) -> Board:
    """Run what is not done yet, and write the leaderboard.

    It is written after every job too, from the folds and seeds that all models have finished.

    Args:
        comparison: What is asked for.
        out: Gets `cells`, `leaderboard.json`, `leaderboard.md` and `leaderboard.png`.
        cost: Of `plan_cost`; says what is left.
        workers: Cells at once. With several, each runs in a process of its own with one thread.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("swath compare", "matplotlib", "report")
    jobs = [job for job in comparison.jobs() if any(c.name in cost.seconds for c in job)]
    began, spent, total = time.perf_counter(), 0.0, cost.total_s
    for number, job in enumerate(_run(jobs, out, device, workers), start=1):
        spent += sum(cost.seconds.get(cell.name, 0.0) for cell in job)
        took = time.perf_counter() - began
        left = took * (max(total - spent, 0.0)) / spent if spent else 0.0
        names = ", ".join(cell.name for cell in job)
        console.print(
            f"{number}/{len(jobs)} done: {names}  {took:.0f} s, about {left:.0f} s left",
            highlight=False,
            soft_wrap=True,
        )
        if number < len(jobs):
            _board(comparison, out)
    board = _board(comparison, out)
    assert board is not None  # all cells are finished
    return board


def _folder(out: Path, cell: Cell) -> Path:
    return out / "cells" / cell.name


def _store(out: Path, cell: Cell) -> StageStore:
    """The first stages of a job; kept, so that a model that is added later can use them."""
    return StageStore(out / "stages" / cell.fold / f"seed-{cell.seed}" / cell.model.group)


def _pretrained(out: Path) -> Path:
    """What models are trained on before their fold; kept, as the first stages are."""
    return out / "stages" / "pretrained"


def _board(comparison: Comparison, out: Path) -> Board | None:
    """Write the leaderboard of the folds and seeds that all models have finished, if any."""
    units: dict[tuple[str, int], list[Cell]] = {}
    for cell in comparison.cells():
        units.setdefault((cell.fold, cell.seed), []).append(cell)
    ready = [
        cell
        for cells in units.values()
        if all((_folder(out, cell) / "cell.json").is_file() for cell in cells)
        for cell in cells
    ]
    if not ready:
        return None
    results = {cell.name: read_result(_folder(out, cell)) for cell in ready}
    board = make_board(comparison, ready, results)
    write_board(board, out)
    return board


def _run(jobs: Sequence[Job], out: Path, device: str, workers: int) -> Iterator[Job]:
    """Run all jobs; yield each when it is done."""
    if workers == 1:
        for job in jobs:
            _run_job(job, out, device)
            yield job
        return
    # Fresh processes: a fork of one that has used torch's threads may hang.
    fresh = multiprocessing.get_context("spawn")
    number = min(workers, max(1, len(jobs)))
    with _single_threads(), ProcessPoolExecutor(number, fresh, _start_worker) as pool:
        futures = {pool.submit(_run_job, job, out, device): job for job in jobs}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BrokenProcessPool:
            raise SettingsError(
                "a worker was ended from outside, perhaps for want of memory; run the same command "
                "again with fewer --workers, what is finished is kept"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _single_threads() -> Iterator[None]:
    """What libraries of linear algebra read when a worker loads them."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _run_job(job: Job, out: Path, device: str) -> None:
    for cell in job:
        folder = _folder(out, cell)
        if not finished(folder, cell):
            run_cell(cell, folder, _store(out, cell), _pretrained(out), device)


def _start_worker() -> None:
    """One thread each; and none outlives the process that started it."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
