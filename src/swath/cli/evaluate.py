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
        typer.Option(help="Instead: a class raster, or vectors with tags or class codes."),
    ] = None,
    crosswalk: Annotated[
        str | None,
        typer.Option(help="What the codes of --labels are: worldcover, corine or a YAML file."),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column of --labels that holds the class or its code.")
    ] = None,
    point_m: Annotated[
        float, typer.Option(min=0, max=1000, help="Points of --labels stand for so many metres around.")
    ] = 0.0,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score maps against labels: report.json and, with the extra `report`, report.html and figures."""
    from swath.dataset.catalog import read_dataset
    from swath.errors import SettingsError
    from swath.evaluation.evaluate import evaluate, evaluate_labels
    from swath.labels.source import LabelSettings
    from swath.report.folder import check_report, pictures_lack, write_report
    from swath.report.table import report_text

    if (dataset is None) == (labels is None):
        raise SettingsError("give what to score against: either --dataset or --labels")
    if labels is None and (crosswalk or column or point_m):
        raise SettingsError("--crosswalk, --column and --point-m belong to --labels")
    check_report(out, [maps, *(path for path in (dataset, labels) if path)], overwrite=overwrite)
    if dataset is not None:
        evaluation = evaluate(maps, read_dataset(dataset), seed=seed)
    elif labels is not None:
        given = LabelSettings(path=str(labels), crosswalk=crosswalk, column=column, point_m=point_m)
        evaluation = evaluate_labels(maps, given, seed=seed)
    report = evaluation.report
    page = write_report(evaluation, out, overwrite=overwrite)
    emit(
        {
            "report": str(out),
            "rows": len(report.rows) + len(report.class_maps),
            "lines": [row.as_json() for row in report.pooled_lines()],
            "summary": report.summary(),
        },
        as_json,
        [
            *report_text(report),
            *report.notes,
            *([f"note: {lack}"] if (lack := pictures_lack()) else []),
            f"report: {page}",
        ],
    )
