"""`swath demo`: a real town with the weights that come with swath, then the whole way on invented ones."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from swath.cli.options import DeviceOption, JsonOption, OverwriteOption, SeedOption
from swath.cli.output import emit

WHAT_IT_MEANS = """\
U-NET looks at one image; the line below it is the network that joins all images of a town; mean to max join
them by a simple rule; the last lines are what guessing gives. The towns are invented and the training takes
minutes only: this says that the program works, and nothing about real places."""

NEXT_STEPS = """\
Your own place: Sentinel-2 images of two or more days (the date in their names), then
  {activate}swath map IMAGES/*.tif --out MAPS
Your own training, from images and OpenStreetMap lines, described in a file like {sites_file}:
  swath build SITES.yaml --out DATASET
  swath train DATASET --out RUN"""


def command(
    out: Annotated[Path, typer.Option("--out", help="Where everything goes.")] = Path("demo"),
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Map a real town; then simulate a small world, train on it and map it: offline, in minutes."""
    from swath.demo import run_demo, town_lines
    from swath.report.table import table_text

    result = run_demo(out, seed=seed, device=device, overwrite=overwrite)
    town = result.town
    emit(
        {
            "town": {
                "name": town.town.name,
                "page": str(town.page),
                "maps": str(town.maps),
                "candidates": str(town.candidates),
                "km": {
                    "map": round(town.roads_km, 3),
                    "both": round(town.both_km, 3),
                    "osm_only": round(town.osm_only_km, 3),
                    "map_only": round(town.map_only_km, 3),
                },
                "attribution": town.town.attribution,
                "seconds": round(town.seconds, 1),
            },
            "table": [row.as_json() for row in result.report.table()],
            "stands_on": result.report.stands_on,
            "sites_file": str(result.sites_file),
            "dataset": str(result.dataset),
            "run": str(result.run),
            "maps": str(result.maps),
            "report": str(result.page),
            "seed": seed,
            "seconds": round(result.seconds, 1),
        },
        as_json,
        [
            table_text(result.report),
            "",
            WHAT_IT_MEANS,
            f"report: {result.page}",
            f"maps: {result.maps}",
            f"took {result.seconds:.0f} s",
            "",
            NEXT_STEPS.format(sites_file=result.sites_file, activate=_activate()),
            "",
            *town_lines(town),
        ],
    )


def _activate() -> str:
    """A line that puts swath on the PATH, where it is not: `make demo` runs it from outside."""
    script = Path(sys.prefix) / "bin" / "activate"
    return "" if shutil.which("swath") or not script.is_file() else f". {os.path.relpath(script)}\n  "
