"""`swath lab compare`: a matrix of models, held-out sites and seeds, and its leaderboard."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.options import (
    DeviceOption,
    JobWorkersOption,
    JsonOption,
    OutOption,
    SchedulerOption,
)
from swath.cli.output import emit

if TYPE_CHECKING:
    from swath.lab.comparison.board import Board
    from swath.lab.comparison.cost import ComparisonCost


def command(
    file: Annotated[Path, typer.Argument(metavar="COMPARISON.yaml", help="Models, folds and seeds.")],
    out: OutOption,
    workers: JobWorkersOption = None,
    scheduler: SchedulerOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and how long it takes.")
    ] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train, map and score every model on every fold with every seed; write the leaderboard.

    What is finished in --out is kept: run the same command again to go on.
    """
    from swath.extras import need_extras

    need_extras("swath lab compare", "train")
    from swath.lab.comparison.comparisonfile import read_comparison
    from swath.lab.comparison.run import plan_cost, run_comparison
    from swath.progress import console
    from swath.training.compute import Compute
    from swath.workers import Workers, open_crew

    chosen = Workers.choose(workers, scheduler)
    comparison = read_comparison(chosen.locate(file))
    home = chosen.locate(out)
    compute = Compute(device)
    roots = {root for model in comparison.models for root in model.roots}
    with open_crew(chosen, home, roots) as crew:
        cost = plan_cost(comparison, home, compute, crew)
        wall_s = cost.wall_s(list(comparison.jobs()), crew.size)
        plan = {
            "out": str(out),
            "workers": crew.size,
            "estimate": cost.as_json() | {"wall_minutes": round(wall_s / 60, 4)},
        }
        if dry_run:
            emit(plan, as_json, _plan_lines(cost, wall_s, crew.size))
            return
        for line in _plan_lines(cost, wall_s, crew.size):
            console.print(line, highlight=False, soft_wrap=True)
        board = run_comparison(comparison, home, cost, compute=compute, crew=crew)
    emit(
        {**plan, "leaderboard": str(out / "leaderboard.json"), **board.as_json()},
        as_json,
        [*_board_lines(board), f"leaderboard: {out / 'leaderboard.md'}"],
    )


def _plan_lines(cost: "ComparisonCost", wall_s: float, workers: int) -> list[str]:
    by_model: dict[str, list[float]] = {}
    for name, seconds in cost.seconds.items():
        by_model.setdefault(name.partition("/")[0], []).append(seconds)
    lines = [
        f"{model}: {len(times)} cells, {_duration(sum(times))}; {cost.parameters[model]:,} weights"
        for model, times in by_model.items()
    ]
    total = len(cost.seconds) + cost.done
    return [
        *lines,
        f"{total} cells, {cost.done} done; about {_duration(cost.total_s)} of training and mapping "
        f"left, {_duration(wall_s)} with {workers} at once; scoring comes on top",
    ]


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _board_lines(board: "Board") -> list[str]:
    """The head of the leaderboard as plain text."""
    columns = {name: column.heading for name, column in board.scores.items() if column.plotted}
    width = max(len(row.name) for row in board.rows)
    lines = [f"{'':{width}}  " + "  ".join(columns.values())]
    for row in board.rows:
        means = {name: row.scores[name].mean for name in columns}
        shown = ("-" if mean is None else f"{mean:.3f}" for mean in means.values())
        cells = (f"{cell:<{len(heading)}}" for cell, heading in zip(shown, columns.values(), strict=True))
        lines.append(f"{row.name:{width}}  {'  '.join(cells)}".rstrip())
    return lines
