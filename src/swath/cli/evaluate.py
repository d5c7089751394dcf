"""`swath evaluate`: maps against labels, beside the controls."""

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.options import JsonOption, OutOption, OverwriteOption, SeedOption
from swath.cli.output import emit


def command(
    maps: Annotated[Path, typer.Argument(help="Folder made by `swath map`.")],
    out: OutOption,
    dataset: Annotated[
        Path | None, typer.Option(help="Folder made by `swath build`, the one that was mapped.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Instead: a GeoTIFF of class ids on the map's grid, 255 = ignore."),
    ] = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score maps against labels: report.json, report.html and the figures."""
    from swath.dataset.catalog import read_dataset
    from swath.errors import SettingsError
    from swath.evaluation.evaluate import evaluate, evaluate_labels
    from swath.report.folder import check_report, write_report
    from swath.report.table import table_text

    if (dataset is None) == (labels is None):
        raise SettingsError("give what to score against: either --dataset or --labels")
    check_report(out, [maps, *(path for path in (dataset, labels) if path)], overwrite=overwrite)
    if dataset is not None:
        evaluation = evaluate(maps, read_dataset(dataset), seed=seed)
    elif labels is not None:
        evaluation = evaluate_labels(maps, labels, seed=seed)
    report = evaluation.report
    page = write_report(evaluation, out, overwrite=overwrite)
    emit(
        {
            "report": str(out),
            "rows": len(report.rows),
            "summary": [row.as_json() for name in report.classes for row in report.table(name)],
        },
        as_json,
        [
            *(table_text(report, name) for name in report.classes),
            *report.notes,
            f"report: {page}",
        ],
    )
