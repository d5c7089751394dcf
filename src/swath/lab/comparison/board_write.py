"""The leaderboard as files: JSON for programs, Markdown and a plot for people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swath.evaluation.candidate import Candidate
from swath.files import replacing, write_json, write_text
from swath.lab.comparison.board import Board, BoardRow, Gain, Spread
from swath.lab.comparison.tally import label_of
from swath.report.text import interval, markdown, number, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OVER_DATES = ("mean_iou", "pr_auc", "iou", "accuracy")
"""Scores that are drawn against the number of dates, where a board has them."""

_INCHES = 4.2
_DPI = 130
_COLORS = {"model": "#0072B2", "control": "#D55E00", "date": "#E69F00", "trivial": "#888888"}


def write_board(board: Board, out: Path) -> None:
    """Write leaderboard.json, leaderboard.md and leaderboard.png, each whole or not at all.

    Where the models differ in T, `dates.png` shows scores against it.

    Args:
        board: What to write.
        out: The folder.
    """
    write_json(out / "leaderboard.json", board.as_json())
    write_text(out / "leaderboard.md", board_text(board))
    with replacing(out / "leaderboard.png") as temporary:
        _draw(board, temporary)
    if _several_lengths(board):
        with replacing(out / "dates.png") as temporary:
            _draw_lengths(board, temporary)


def board_text(board: Board) -> str:
    """The leaderboard as Markdown."""
    cells = board.cells
    lines = [
        "# Leaderboard",
        "",
        f"{f'Class: {board.class_name}' if board.class_name else 'Maps of all classes'}. "
        f"Stands on: {board.stands_on}.",
        "",
    ]
    if cells.finished < cells.planned:
        lines += [f"**Unfinished**: {cells.finished} of {cells.planned} cells.", ""]
    lines += [
        "Mean over test sites and seeds ± standard deviation over seeds [95 % interval over blocks "
        "of the test sites' pixels].",
        "",
        *_leaders_table(board),
        "",
        "## Differences",
        "",
        "Mean over test sites and seeds [95 % interval of a bootstrap over sites and, in them, "
        "seeds]; in how many sites it is above 0. A site that has no label of a class does not count for it.",
        "",
        *_paired_table(board),
        "",
        "## Test site by test site",
        "",
        *_sites_tables(board),
        "",
    ]
    if board.class_name and not board.thresholds_from_validation:
        lines += ["No validation sites: line F1 and IoU are at 0.5.", ""]
    return "\n".join(lines)


def _leaders_table(board: Board) -> list[str]:
    table = [["", *(column.heading for column in board.scores.values()), "minutes", "weights"]]
    for row in board.rows:
        name = f"**{row.name}**" if row.kind == "model" else row.name
        if row.diverged:
            name += f" ({row.diverged} diverged)"
        minutes = "" if row.minutes is None else f"{row.minutes:.1f}"
        weights = "" if row.parameters is None else f"{row.parameters:,}"
        table.append([name, *(_spread(row.scores[score]) for score in board.scores), minutes, weights])
    return markdown(table)


def _spread(spread: Spread) -> str:
    over_seeds = "" if spread.sd is None else f" ± {spread.sd:.3f}"
    return f"{number(spread.mean)}{over_seeds} {interval(spread.ci)}".strip()


def _paired_table(board: Board) -> list[str]:
    columns = {name: column.heading for name, column in board.scores.items() if column.paired}
    table = [["model", "minus", "", *columns.values()]]
    for pair in board.paired:
        role = f"{pair.role} (chosen on {pair.chosen_on})" if pair.chosen_on else pair.role
        cells = (_gain(pair.scores[score]) for score in columns)
        table.append([f"**{pair.model}**", pair.minus, role, *cells])
    return markdown(table)


def _gain(gain: Gain) -> str:
    known = [value for value in gain.sites.values() if value is not None]
    won = f"{sum(value > 0 for value in known)}/{len(known)}"
    return f"{signed(gain.difference)} {interval(gain.ci, signed=True)} {won}".replace("  ", " ")


def _sites_tables(board: Board) -> list[str]:
    lines = []
    for score, heading in _plotted(board).items():
        table = [[heading, *board.sites]]
        table += [
            [row.name, *(number(row.sites.get(site, {}).get(score)) for site in board.sites)]
            for row in board.rows
        ]
        lines += [*markdown(table), ""]
    return lines[:-1]


def _plotted(board: Board) -> dict[str, str]:
    """Score -> heading of what has a panel."""
    return {name: column.heading for name, column in board.scores.items() if column.plotted}


def _draw(board: Board, path: Path) -> None:
    """A panel a score: the mean of every row, its interval over blocks, its test sites as dots."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    rows = [row for row in board.rows if row.kind != "trivial"]
    plotted = _plotted(board)
    figure = Figure(figsize=(_INCHES * len(plotted), 1.4 + 0.32 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(plotted), sharey=True, squeeze=False)[0]
    for axes, (score, heading) in zip(panels, plotted.items(), strict=True):
        for at, row in enumerate(rows):
            _draw_row(axes, at, row, score)
        axes.set_title(heading, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(axis="x", color="#eeeeee")
    panels[0].set_yticks(range(len(rows)), [row.name for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    kinds = {"model": "model", "control": "fused without training", "date": "one date"}
    handles = [
        *(Line2D([], [], marker="o", ls="-", color=_COLORS[k], label=v) for k, v in kinds.items()),
        Line2D([], [], marker=".", ls="", color="#bbbbbb", label="test site"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    # Without the program's name and address in the file, equal figures are equal files.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def _draw_row(axes: "Axes", at: int, row: BoardRow, score: str) -> None:
    color, spread = _COLORS[row.kind], row.scores[score]
    values = (scores[score] for scores in row.sites.values())
    dots = [value for value in values if value is not None]
    axes.plot(dots, [at] * len(dots), ".", color="#bbbbbb", markersize=5, zorder=1)
    if spread.ci is not None:
        axes.plot(spread.ci, [at, at], "-", color=color, linewidth=1.5, zorder=2)
    if spread.mean is not None:
        axes.plot(spread.mean, at, "o", color=color, markersize=5, zorder=3)


def _several_lengths(board: Board) -> bool:
    """Whether each model has a T of its own, so that scores can stand over T."""
    lengths = [row.dates for row in board.rows if row.kind == "model"]
    return len(lengths) > 2 and len(set(lengths)) == len(lengths)


def _draw_lengths(board: Board, path: Path) -> None:
    """A panel a score: the mean over seeds against T, with its spread over seeds."""
    from matplotlib.figure import Figure

    rows = [row for row in board.rows if row.kind != "trivial"]
    labels = {row.candidate: label_of(row.candidate) for row in rows}
    candidates = sorted(labels, key=lambda shown: (shown != Candidate.FUSED, labels[shown]))
    scores = [score for score in OVER_DATES if score in board.scores]
    figure = Figure(figsize=(_INCHES * len(scores), 3.4), layout="constrained")
    panels = figure.subplots(1, len(scores), squeeze=False)[0]
    for axes, score in zip(panels, scores, strict=True):
        for at, candidate in enumerate(candidates):
            members = [row for row in rows if row.candidate == candidate]
            _draw_line(axes, members, score, 0.04 * (at - len(candidates) / 2))
        heading = board.scores[score].heading
        if not board.thresholds_from_validation:
            heading = heading.replace("validation threshold", "0.5")
        axes.set_title(heading, fontsize=9)
        axes.set_xlabel("T, dates", fontsize=8)
        axes.set_xticks(sorted({row.dates for row in rows}))
        axes.tick_params(labelsize=8)
        axes.grid(color="#eeeeee")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def _draw_line(axes: "Axes", rows: Sequence[BoardRow], score: str, aside: float) -> None:
    """One candidate over T, drawn a little aside so that lines do not hide each other."""
    points = sorted(
        (row.dates, spread.mean, spread.sd or 0.0)
        for row in rows
        if (spread := row.scores[score]).mean is not None
    )
    if not points:
        return
    dates, means, deviations = zip(*points, strict=True)
    candidate = rows[0].candidate
    axes.errorbar(
        [date + aside for date in dates],
        means,
        deviations,
        marker="o",
        markersize=4,
        capsize=2,
        linewidth=2 if candidate == Candidate.FUSED else 1,
        label=label_of(candidate),
    )
