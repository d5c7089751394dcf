"""`swath simulate`: Sentinel-2-like images over a real OpenStreetMap layout."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from swath.cli.options import JsonOption, OutOption, OverwriteOption, SeedOption, split_names
from swath.cli.output import emit

if TYPE_CHECKING:
    from swath.grid import Bounds
    from swath.sites.schema import SplitName


def command(
    out: OutOption,
    osm_file: Annotated[
        Path | None,
        typer.Argument(
            help="OpenStreetMap extract, GeoParquet, GeoPackage or GeoJSON; without: landscapes alone."
        ),
    ] = None,
    dates: Annotated[int, typer.Option("--dates", min=1, max=100, help="How many images.")] = 3,
    bounds: Annotated[
        str | None,
        typer.Option(
            "--bounds",
            help="WEST,SOUTH,EAST,NORTH in degrees; without: 10 km where roads are densest.",
        ),
    ] = None,
    bands: Annotated[
        str, typer.Option("--bands", help="Bands of 10 and 20 m, with commas between.")
    ] = "B02,B03,B04,B08",
    cloud: Annotated[
        float,
        typer.Option("--cloud", min=0, max=0.9, help="Share of the last image under thick cloud."),
    ] = 0.0,
    split: Annotated[
        str | None,
        typer.Option("--split", help="train, validation or test; without: the site is cut into all three."),
    ] = None,
    landscape: Annotated[
        str | None,
        typer.Option(
            "--landscape",
            help="What looks like roads and is none, with commas between: tidal, braided, harbour, ...",
        ),
    ] = None,
    change: Annotated[
        bool, typer.Option("--change", help="Roads and quarters appear and vanish between the dates.")
    ] = False,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a series of images of a real layout, with its labels, for `swath build`."""
    from swath.simulate.place import PlaceSettings, simulate_place

    settings = PlaceSettings(
        bounds=None if bounds is None else _bounds(bounds),
        dates=dates,
        bands=split_names(bands) or (),
        cloud=cloud,
        split=None if split is None else _split(split),
        seed=seed,
        landscapes=split_names(landscape) or (),
        change=change,
    )
    place = simulate_place(osm_file, out, settings, overwrite=overwrite)
    grid = place.grid
    days = [str(day.date) for day in place.days]
    result = {
        "site": place.name,
        "out": str(out),
        "sites_file": str(place.sites_file),
        "shape": list(grid.shape),
        "crs": grid.crs,
        "bounds": [round(value, 6) for value in grid.lonlat_bounds],
        "dates": days,
        "seed": seed,
        "attribution": "simulated imagery over real roads, (c) OpenStreetMap contributors"
        if osm_file is not None
        else "simulated imagery, no real place",
    }
    emit(
        result,
        as_json,
        [
            f"{place.name}: {grid.size_text} in {grid.crs}; dates " + ", ".join(days),
            f"sites file: {place.sites_file}",
            f"next: swath build {place.sites_file} --out DATASET",
        ],
    )


def _bounds(text: str) -> "Bounds":
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--bounds is WEST,SOUTH,EAST,NORTH in degrees, got {text!r}.") from None
    return west, south, east, north


def _split(text: str) -> "SplitName":
    from swath.sites.schema import SplitName

    if text not in get_args(SplitName):
        raise typer.BadParameter(f"--split is train, validation or test, got {text!r}.")
    return cast("SplitName", text)
