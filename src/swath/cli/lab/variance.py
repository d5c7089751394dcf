"""`swath variance`: how much maps differ from day to day; no labels needed."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli import map as map_
from swath.cli.options import DeviceOption, JsonOption
from swath.cli.output import emit

if TYPE_CHECKING:
    from swath.lab.stability.variance import Differences, MapKind, VarianceTable


def command(
    sites: Annotated[
        Path,
        typer.Argument(metavar="SITES.yaml", help="As `swath build` takes it; needs no labels."),
    ],
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="Folder made by `swath train`; else the starter weights."),
    ] = None,
    dates: Annotated[
        int | None, typer.Option("--dates", min=1, help="T of the fused maps; else the run's.")
    ] = None,
    device: DeviceOption = "auto",
    precision: map_.PrecisionOption = "auto",
    orientations: map_.OrientationsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how many pixels change their class from day to day: one date's maps, and fused ones."""
    from swath.lab.stability.variance import measure_variance
    from swath.mapping.predict import Predictor

    folder, model = map_.load_run(run)
    predictor = Predictor(model, device, precision, map_.read_orientations(orientations))
    variance = measure_variance(sites, predictor, dates or model.spec.dates)
    emit(
        {"run": str(folder), "model": model.spec.name, **variance.as_json()},
        as_json,
        _lines(variance),
    )


def _lines(variance: "VarianceTable") -> list[str]:
    """A Markdown table: a row a site."""
    from swath.lab.stability.variance import MapKind
    from swath.report.text import markdown, percent

    length, outputs = variance.dates, (MapKind.ONE_DATE, MapKind.FUSED, MapKind.MEAN)
    heads = [
        *("days: one date", f"days: {length} fused", f"days: mean of {length}"),
        *("next: one date", "next: fused", "next: mean", "order: fused"),
    ]
    table = [["site", "in the run", "dates", "class, %", *heads]]
    for site in variance.sites:
        cells = [
            *(_cell(site.days, output) for output in outputs),
            *(_cell(site.next, output) for output in outputs),
            _cell(site.order, MapKind.FUSED),
        ]
        splits = ", ".join(site.split_of_run) or "–"
        share = percent(site.class_share)
        table.append([site.site, splits, str(len(site.dates)), share, *cells])
    return [
        "Share of the pixels whose class differs, in per cent. days: maps of other dates; next: "
        f"the next date replaces one, or comes into the last {length}; order: the same dates in "
        "reverse.",
        "",
        *markdown(table),
    ]


def _cell(outputs: "Mapping[MapKind, Differences | None]", output: "MapKind") -> str:
    from swath.report.text import percent

    differences = outputs.get(output)
    return percent(None if differences is None else differences.differ, 2)
