"""The paper's table for the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swath.evaluation.report import Report
from swath.report.page import SPLIT_TITLES
from swath.report.text import number, percent


def paper_table(report: Report, class_name: str | None = None) -> Table:
    """Accuracy and IoU by split at s > 0.5, a row a model: one date, fused, controls.

    Args:
        report: Of `swath.evaluation.evaluate.evaluate`.
        class_name: Which class; None for the first of the legend.
    """
    table = Table(
        title=f"Accuracy (%) and IoU of {class_name or report.classes[0]}",
        caption=escape(report.stands_on),
    )
    table.add_column("model")
    for split in report.splits:
        table.add_column(f"{SPLIT_TITLES[split]}\naccuracy", justify="right")
        table.add_column("\nIoU", justify="right")
    for row in report.table(class_name):
        cells = []
        for split in report.splits:
            scores = row.scores[split]
            cells += [percent(scores.accuracy), number(scores.iou)] if scores else ["–", "–"]
        table.add_row(row.name, *cells)
    return table


def table_text(report: Report, class_name: str | None = None) -> str:
    """`paper_table` as plain text, wide enough that no cell is cut."""
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(paper_table(report, class_name))
    return captured.get().rstrip("\n")
