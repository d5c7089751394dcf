"""Running a comparison: what is done stays done, the rest goes to the workers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from swath.extras import need_extras
from swath.lab.comparison.board import Board
from swath.lab.comparison.board_write import write_board
from swath.lab.comparison.cell import CellFolders, finished, run_cell
from swath.lab.comparison.cells import Cell, Comparison
from swath.lab.comparison.cost import ComparisonCost, estimate
from swath.lab.comparison.result import RECORD, read_result
from swath.lab.comparison.stagestore import StageStore
from swath.lab.comparison.tally import make_board
from swath.progress import console
from swath.training.compute import HERE, Compute
from swath.workers import ALONE, Crew

Job = tuple[Cell, ...]


def plan_cost(
    comparison: Comparison, out: Path, compute: Compute = HERE, crew: Crew = ALONE
) -> ComparisonCost:
    """Which cells are still to do, and how long they will take.

    Args:
        comparison: What is asked for.
        out: Where finished cells are looked for.
        compute: Where the networks are trained.
        crew: Who will run the cells; if not this process, each has one thread, and so has this
            measurement, on this machine.

    Raises:
        SettingsError: A finished cell was made with other settings or data.
    """
    done = {c.name for c in comparison.cells() if finished(_folder(out, c), c)}
    if len(done) == len(comparison.cells()):
        return ComparisonCost({}, {}, len(done))
    with _threads(None if crew.alone else 1):
        return estimate(
            comparison, done, lambda cell: _store(out, cell).holds_any(), _pretrained(out), compute
        )


def run_comparison(
    comparison: Comparison,
    out: Path,
    cost: ComparisonCost,
    *,
    compute: Compute = HERE,
    crew: Crew = ALONE,
) -> Board:
    """Run what is not done yet, and write the leaderboard.

    It is written after every job too, from the folds and seeds that all models have finished.

    Args:
        comparison: What is asked for.
        out: Gets `cells`, `leaderboard.json`, `leaderboard.md` and `leaderboard.png`.
        cost: Of `plan_cost`; says what is left.
        compute: Where the networks are trained.
        crew: Who runs the cells: this process with all of its threads, or others with one each.

    Raises:
        MissingExtraError: matplotlib is not installed.
        WorkerError: Workers die again and again.
    """
    need_extras("swath lab compare", "report")
    jobs = [job for job in comparison.jobs() if any(c.name in cost.seconds for c in job)]
    began, spent, total = time.perf_counter(), 0.0, cost.total_s
    todo = [_Work(job, out, compute, one_thread=not crew.alone) for job in jobs]
    for number, (work, _) in enumerate(crew.run(_run_job, todo), start=1):
        spent += sum(cost.seconds.get(cell.name, 0.0) for cell in work.job)
        took = time.perf_counter() - began
        left = took * (max(total - spent, 0.0)) / spent if spent else 0.0
        names = ", ".join(cell.name for cell in work.job)
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
        if all((_folder(out, cell) / RECORD).is_file() for cell in cells)
        for cell in cells
    ]
    if not ready:
        return None
    results = {cell.name: read_result(_folder(out, cell)) for cell in ready}
    board = make_board(comparison, ready, results)
    write_board(board, out)
    return board


@dataclass(frozen=True, slots=True)
class _Work:
    """What a worker needs to run one job."""

    job: Job
    out: Path
    compute: Compute
    one_thread: bool


def _run_job(work: _Work) -> None:
    with _threads(1 if work.one_thread else None):
        for cell in work.job:
            folder = _folder(work.out, cell)
            if not finished(folder, cell):
                folders = CellFolders(folder, _store(work.out, cell), _pretrained(work.out))
                run_cell(cell, folders, work.compute)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
