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
    from swath.errors import SettingsError
    from swath.report.report import evaluate, evaluate_labels
    from swath.report.table import table_text

    if dataset is not None and labels is None:
        from swath.dataset.catalog import read_dataset

        report = evaluate(maps, read_dataset(dataset), out, overwrite=overwrite, seed=seed)
    elif labels is not None and dataset is None:
        report = evaluate_labels(maps, labels, out, overwrite=overwrite, seed=seed)
    else:
        raise SettingsError("give what to score against: either --dataset or --labels")
    classes = report.content["classes"]
    emit(
        {
            "report": str(out),
            "rows": len(report.rows),
            "summary": [row for name in classes for row in report.table(name)],
        },
        as_json,
        [
            *(table_text(report, name) for name in classes),
            *report.content["notes"],
            f"report: {out / 'report.html'}",
        ],
    )
