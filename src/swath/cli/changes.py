"""`swath changes`: what changed between two maps, or between two groups of dates of one."""

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.options import JsonOption, OverwriteOption
from swath.cli.output import counted, emit

DAYS = "DATE|FIRST..LAST"


def command(
    old: Annotated[Path, typer.Argument(help="Folder made by `swath map`: the older map.")],
    new: Annotated[
        Path | None,
        typer.Argument(help="The newer map; without one, --before and --after choose dates of OLD."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="A GeoPackage (.gpkg).")],
    before: Annotated[str | None, typer.Option(metavar=DAYS, help="The older dates of OLD.")] = None,
    after: Annotated[str | None, typer.Option(metavar=DAYS, help="The newer dates of OLD.")] = None,
    site: Annotated[str | None, typer.Option(help="Which site of the maps, if they have several.")] = None,
    min_dates: Annotated[
        int,
        typer.Option(min=1, help="How many dates must say so before and after, where there are as many."),
    ] = 2,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """New and vanished roads as lines with dates; land cover classes as polygons, from and to."""
    from swath.library import changes
    from swath.maps.roadchange import changed_km

    found = changes(
        old, new, out, before=before, after=after, site=site, min_dates=min_dates, overwrite=overwrite
    )
    km = {kind: round(value, 3) for kind, value in changed_km(found).items()}
    lines = found["change"].value_counts().to_dict()
    emit(
        {"out": str(out), "km": km, "lines": {kind: int(lines.get(kind, 0)) for kind in km}},
        as_json,
        [
            *(
                f"{kind} roads: {value:.1f} km in {counted(lines.get(kind, 0), 'line')}"
                for kind, value in km.items()
            ),
            f"changes: {out}",
        ],
    )
