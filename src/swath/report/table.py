"""The paper's table for the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from swath.report.page import SPLIT_TITLES, number, percent
from swath.report.report import Report


def paper_table(report: Report, class_name: str | None = None) -> Table:
    """Accuracy and IoU by split at s > 0.5, a row a model: U-Net, ConvLSTM, controls.

    Args:
        report: Of `evaluate`.
        class_name: Which class; None for the first of the legend.
    """
    rows = report.table(class_name)
    name = class_name or report.content["classes"][0]
    table = Table(
        title=f"Accuracy (%) and IoU of {name}", caption=escape(report.content["stands_on"])
    )
    table.add_column("model")
    for split in report.splits:
        table.add_column(f"{SPLIT_TITLES[split]}\naccuracy", justify="right")
        table.add_column("\nIoU", justify="right")
    for row in rows:
        cells = []
        for split in report.splits:
            scores = row[split] or {"accuracy": None, "iou": None}
            cells += [percent(scores["accuracy"]), number(scores["iou"])]
        table.add_row(row["model"], *cells)
    return table


def table_text(report: Report, class_name: str | None = None) -> str:
    """`paper_table` as plain text, wide enough that no cell is cut."""
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(paper_table(report, class_name))
    return captured.get().rstrip("\n")
