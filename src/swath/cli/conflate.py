"""`swath conflate`: the roads of a map beside OpenStreetMap's."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.options import JsonOption, OutOption, OverwriteOption
from swath.cli.output import counted, emit

if TYPE_CHECKING:
    from swath.conflation.conflate import Conflation


def command(
    maps: Annotated[Path, typer.Argument(help="Folder made by `swath map`.")],
    osm: Annotated[
        str,
        typer.Argument(
            help="OpenStreetMap there: an extract, GeoPackage, GeoJSON, GeoParquet, ...; or an Overpass "
            "server (its URL or name), with --date."
        ),
    ],
    out: OutOption,
    date: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="The day whose OpenStreetMap Overpass is asked for.",
        ),
    ] = None,
    site: Annotated[str | None, typer.Option(help="Which site of MAPS, if it has several.")] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare roads with OpenStreetMap: both, the map alone (candidates for mappers), OpenStreetMap alone.

    Nothing is sent anywhere: the candidates are files, for people who look at each of them.
    """
    from swath.library import conflate

    found = conflate(
        maps, osm, out, site=site, date=None if date is None else date.date(), overwrite=overwrite
    )
    parts = {"both": found.both, "map_only": found.map_only, "osm_only": found.osm_only}
    km = {name: round(float(frame["length_m"].sum()) / 1e3, 3) for name, frame in parts.items()}
    friends = found.map_only["false_friend"].value_counts().to_dict()
    friends.pop("", None)
    emit(
        {
            "out": str(out),
            "km": km,
            "lines": {name: len(frame) for name, frame in parts.items()},
            "false_friends": {str(name): int(count) for name, count in friends.items()},
            "attribution": found.attribution,
        },
        as_json,
        [
            f"both: {km['both']:.1f} km; OpenStreetMap alone: {km['osm_only']:.1f} km",
            f"the map alone: {km['map_only']:.1f} km in {counted(len(found.map_only), 'candidate')}; "
            f"{_ruled_out(found)}",
            f"for mappers: {out / 'candidates.geojson'}, {out / 'tasks.geojson'}, {out / 'project.json'}",
            f"all: {out / 'conflation.gpkg'}",
        ],
    )


def _ruled_out(found: "Conflation") -> str:
    """What is known of how many candidates are no road."""
    if found.both.empty and found.osm_only.empty:
        return "the file has no road here, by its tags: look at it first"
    if found.only_roads:
        return "the file holds nothing but roads, so no railway, water or field could be ruled out"
    others = int((found.map_only["false_friend"] != "").sum())
    return f"{others} of them on railways, water, car parks or other things that may look like a road"
