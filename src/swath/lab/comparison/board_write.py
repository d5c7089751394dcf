"""The leaderboard as files: JSON for programs, Markdown and a plot for people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swath.files import replacing, write_json
from swath.lab.comparison.board import Board
from swath.report.page import interval, markdown, number

HEADINGS = {
    "pr_auc": "PR-AUC",
    "line_f1_2": "line F1, 2 px",
    "iou": "IoU, validation threshold",
    "iou_scene": "IoU, the scene's own threshold",
    "iou_half": "IoU, 0.5",
    "ece": "ECE",
    "accuracy": "accuracy, 0.5",
}
PLOTTED = ("pr_auc", "line_f1_2", "iou")
OVER_DATES = ("pr_auc", "iou", "accuracy")
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
    write_json(out / "leaderboard.json", board.content)
    with replacing(out / "leaderboard.md") as temporary:
        temporary.write_text(board_text(board), encoding="utf-8")
    with replacing(out / "leaderboard.png") as temporary:
        _draw(board, temporary)
    if _several_lengths(board):
        with replacing(out / "dates.png") as temporary:
            _draw_lengths(board, temporary)


def board_text(board: Board) -> str:
    """The leaderboard as Markdown."""
    content = board.content
    cells = content["cells"]
    lines = [
        "# Leaderboard",
        "",
        f"Class: {content['class']}. Stands on: {content['stands_on']}.",
        "",
    ]
    if cells["finished"] < cells["planned"]:
        lines += [f"**Unfinished**: {cells['finished']} of {cells['planned']} cells.", ""]
    lines += [
        "Mean over test sites and seeds ± standard deviation over seeds [95 % interval over blocks "
        "of the test sites' pixels].",
        "",
        *_leaders_table(board.rows),
        "",
        "## Differences",
        "",
        "Mean over test sites and seeds [95 % interval of a bootstrap over sites and, in them, "
        "seeds]; in how many sites it is above 0.",
        "",
        *_paired_table(board.paired),
        "",
        "## Test site by test site",
        "",
        *_sites_tables(board.rows, content["sites"]),
        "",
    ]
    if not content["thresholds_from_validation"]:
        lines += ["No validation sites: line F1 and IoU are at 0.5.", ""]
    return "\n".join(lines)


def _leaders_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    table = [["", *HEADINGS.values(), "minutes", "weights"]]
    for row in rows:
        name = f"**{row['name']}**" if row["kind"] == "model" else row["name"]
        if row["diverged"]:
            name += f" ({row['diverged']} diverged)"
        minutes = "" if row["minutes"] is None else f"{row['minutes']:.1f}"
        weights = "" if row["parameters"] is None else f"{row['parameters']:,}"
        table.append([name, *(_score(row[score]) for score in HEADINGS), minutes, weights])
    return markdown(table)


def _score(found: Mapping[str, Any]) -> str:
    spread = "" if found["sd"] is None else f" ± {found['sd']:.3f}"
    return f"{number(found['mean'])}{spread} {interval(found['ci'])}".strip()


def _paired_table(paired: Sequence[Mapping[str, Any]]) -> list[str]:
    scores = list(HEADINGS)[:4]
    table = [["model", "minus", "", *(HEADINGS[score] for score in scores)]]
    for row in paired:
        role = row["role"]
        if row["chosen_on"]:
            role += f" (chosen on {row['chosen_on']})"
        cells = []
        for score in scores:
            found = row[score]
            known = [value for value in found["sites"].values() if value is not None]
            won = f"{sum(value > 0 for value in known)}/{len(known)}"
            gain = "–" if found["difference"] is None else f"{found['difference']:+.3f}"
            cells.append(f"{gain} {interval(found['ci'], signed=True)} {won}".replace("  ", " "))
        table.append([f"**{row['model']}**", row["minus"], role, *cells])
    return markdown(table)


def _sites_tables(rows: Sequence[Mapping[str, Any]], sites: Sequence[str]) -> list[str]:
    lines = []
    for score in PLOTTED:
        table = [[HEADINGS[score], *sites]]
        table += [
            [row["name"], *(number(row["sites"].get(site, {}).get(score)) for site in sites)]
            for row in rows
        ]
        lines += [*markdown(table), ""]
    return lines[:-1]


def _draw(board: Board, path: Path) -> None:
    """A panel a score: the mean of every row, its interval over blocks, its test sites as dots."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    rows = [row for row in board.rows if row["kind"] != "trivial"]
    figure = Figure(figsize=(_INCHES * len(PLOTTED), 1.4 + 0.32 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(PLOTTED), sharey=True, squeeze=False)[0]
    for axes, score in zip(panels, PLOTTED, strict=True):
        for at, row in enumerate(rows):
            color, found = _COLORS[row["kind"]], row[score]
            dots = [s[score] for s in row["sites"].values() if s[score] is not None]
            axes.plot(dots, [at] * len(dots), ".", color="#bbbbbb", markersize=5, zorder=1)
            if found["ci"] is not None:
                axes.plot(found["ci"], [at, at], "-", color=color, linewidth=1.5, zorder=2)
            if found["mean"] is not None:
                axes.plot(found["mean"], at, "o", color=color, markersize=5, zorder=3)
        axes.set_title(HEADINGS[score], fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(axis="x", color="#eeeeee")
    panels[0].set_yticks(range(len(rows)), [row["name"] for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    kinds = {"model": "model", "control": "fused without training", "date": "one date"}
    handles = [
        *(Line2D([], [], marker="o", ls="-", color=_COLORS[k], label=v) for k, v in kinds.items()),
        Line2D([], [], marker=".", ls="", color="#bbbbbb", label="test site"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    # Without the program's name and address in the file, equal figures are equal files.
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def _several_lengths(board: Board) -> bool:
    """Whether each model has a T of its own, so that scores can stand over T."""
    lengths = [row["dates"] for row in board.rows if row["kind"] == "model"]
    return len(lengths) > 2 and len(set(lengths)) == len(lengths)


def _draw_lengths(board: Board, path: Path) -> None:
    """A panel a score: the mean over seeds against T, with its spread over seeds."""
    from matplotlib.figure import Figure

    rows = [row for row in board.rows if row["kind"] != "trivial"]
    candidates = sorted(
        {row["candidate"] for row in rows}, key=lambda name: (name != "fused", name)
    )
    figure = Figure(figsize=(_INCHES * len(OVER_DATES), 3.4), layout="constrained")
    panels = figure.subplots(1, len(OVER_DATES), squeeze=False)[0]
    for axes, score in zip(panels, OVER_DATES, strict=True):
        for at, candidate in enumerate(candidates):
            line = sorted(
                (row["dates"], row[score]["mean"], row[score]["sd"] or 0.0)
                for row in rows
                if row["candidate"] == candidate and row[score]["mean"] is not None
            )
            if line:
                dates, mean, spread = zip(*line, strict=True)
                axes.errorbar(
                    [date + 0.04 * (at - len(candidates) / 2) for date in dates],
                    mean,
                    spread,
                    marker="o",
                    markersize=4,
                    capsize=2,
                    linewidth=2 if candidate == "fused" else 1,
                    label=candidate,
                )
        heading = HEADINGS[score]
        if not board.content["thresholds_from_validation"]:
            heading = heading.replace("validation threshold", "0.5")
        axes.set_title(heading, fontsize=9)
        axes.set_xlabel("T, dates", fontsize=8)
        axes.set_xticks(sorted({row["dates"] for row in rows}))
        axes.tick_params(labelsize=8)
        axes.grid(color="#eeeeee")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
