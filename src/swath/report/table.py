"""The tables for the terminal: the paper's of two classes, and the one of many."""

from textwrap import fill

from rich.markup import escape
from rich.table import Table

from swath.evaluation.agreement import ClassMap
from swath.evaluation.candidate import Candidate
from swath.evaluation.report import Report
from swath.report.text import SPLIT_TITLES, number, percent, plain


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


def class_headline(report: Report) -> str:
    """A line on the model's map of many classes: overall accuracy, mean IoU, and the mean's beside them."""
    split = report.headline_split
    rows = {row.model: row for row in report.class_columns(split)}
    best, mean = rows[report.headline_model], rows[Candidate.MEAN]

    def told(row: ClassMap) -> str:
        return (
            f"{report.name(row.model)}: overall accuracy {percent(row.accuracy)} %, "
            f"mean IoU {number(row.mean_iou)}"
        )

    against = f"; {told(mean)}" if best is not mean else ""
    return f"{SPLIT_TITLES[split]}: {told(best)}{against}"


def class_table(report: Report) -> Table:
    """Classes as rows, models and controls as columns: IoU, then the scores of whole maps."""
    columns = report.class_columns(report.headline_split)
    table = Table(title=f"{class_headline(report)}\nIoU of every class", caption=escape(report.stands_on))
    table.add_column("class", no_wrap=True)
    table.add_column("labels %", justify="right")
    for row in columns:
        table.add_column(fill(report.name(row.model), 12), justify="right")
    labelled = {name: columns[0].classes[name].labelled for name in report.classes}
    for name in report.classes:
        share = percent(labelled[name] / max(1, columns[0].pixels))
        table.add_row(name, share, *(number(row.classes[name].iou) for row in columns))
    table.add_section()
    table.add_row("mean IoU", "", *(number(row.mean_iou) for row in columns))
    table.add_row("mean F1", "", *(number(row.mean_f1) for row in columns))
    table.add_row("kappa", "", *(number(row.kappa) for row in columns))
    table.add_row("overall accuracy %", "", *(percent(row.accuracy) for row in columns))
    return table


def line_table(report: Report) -> Table:
    """The scores of the map's vectors, beside those of the same lines moved."""
    table = Table(title="Lines against lines, in metres along them", caption=escape(report.stands_on))
    table.add_column("lines", no_wrap=True)
    for name in ("F1 5 m", "10 m", "20 m", "complete 10 m", "correct 10 m", "APLS", "km", "true km"):
        table.add_column(fill(name, 8), justify="right")
    for name in ("loops", "dangles", "small faces"):
        table.add_column(fill(name, 8), justify="right")
    for row in report.pooled_lines():
        scores = [*row.f1.values(), row.completeness[10], row.correctness[10], row.apls]
        table.add_row(
            f"{row.class_name}, {SPLIT_TITLES[row.split]}{', by chance' if row.model == 'chance' else ''}",
            *map(number, scores),
            number(row.mapped_km, 1),
            number(row.true_km, 1),
            *map(str, (row.loops, row.dangles, row.faces)),
        )
    return table


def report_text(report: Report) -> list[str]:
    """The tables of a report as plain text: one of many classes; of two, lines first, then the paper's."""
    if report.class_maps:
        return [plain(class_table(report), 120)]
    lines = [plain(line_table(report), 130)] if report.lines else []
    return lines + [table_text(report, name) for name in report.classes]
