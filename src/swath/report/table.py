"""The paper's table for the terminal."""

from rich.markup import escape
from rich.table import Table

from swath.evaluation.report import Report
from swath.report.page import SPLIT_TITLES
from swath.report.text import number, percent, plain


def paper_table(report: Report, class_name: str | None = None) -> Table:
    """The paper's table of a class, `Report.table`, for the terminal."""
    table = Table(
        title=escape(f"Accuracy (%) and IoU of {class_name or report.classes[0]}"),
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
        table.add_row(escape(row.name), *cells)
    return table


def table_text(report: Report, class_name: str | None = None) -> str:
    """`paper_table` as plain text, wide enough that no cell is cut."""
    return plain(paper_table(report, class_name), 120)
