"""`swath variance`: how much maps differ from day to day; no labels needed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from swath.cli import map as map_
from swath.cli.options import DeviceOption, JsonOption
from swath.cli.output import emit


def command(
    sites: Annotated[
        Path,
        typer.Argument(metavar="SITES.yaml", help="As `swath build` takes it; needs no labels."),
    ],
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]", help="Folder made by `swath train`; else the starter weights."
        ),
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
    found = measure_variance(sites, predictor, dates or model.spec.dates)
    emit({"run": str(folder), "model": model.spec.name, **found}, as_json, _lines(found))


def _lines(found: dict[str, Any]) -> list[str]:
    """A Markdown table: a row a site."""
    from swath.report.page import markdown

    length = found["dates"]
    columns = [
        ("days", "one date", "days: one date"),
        ("days", "fused", f"days: {length} fused"),
        ("days", "mean", f"days: mean of {length}"),
        ("next", "one date", "next: one date"),
        ("next", "fused", "next: fused"),
        ("next", "mean", "next: mean"),
        ("order", "fused", "order: fused"),
    ]
    table = [["site", "in the run", "dates", "class, %", *(head for _, _, head in columns)]]
    for site in found["sites"]:
        seen = ", ".join(site["split_of_run"]) or "–"
        share = f"{100 * site['class_share']:.1f}"
        cells = [_cell(site[part].get(output)) for part, output, _ in columns]
        table.append([site["site"], seen, str(len(site["dates"])), share, *cells])
    return [
        "Share of the pixels whose class differs, in per cent. days: maps of other dates; next: "
        f"the next date replaces one, or comes into the last {length}; order: the same dates in "
        "reverse.",
        "",
        *markdown(table),
    ]


def _cell(found: dict[str, Any] | None) -> str:
    return "–" if found is None else f"{100 * found['differ']:.2f}"
