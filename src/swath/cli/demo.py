"""`swath demo`: the whole way on a small simulated world, offline, in minutes."""

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.options import DeviceOption, JsonOption, OverwriteOption, SeedOption
from swath.cli.output import emit

NEXT_STEPS = """\
For your own images and OpenStreetMap lines, write a SITES.yaml like {sites_file}, then:
  swath build SITES.yaml --out DATASET
  swath train DATASET --out RUN
  swath map RUN --dataset DATASET --split all --out MAPS
  swath evaluate MAPS --dataset DATASET --out REPORT"""


def command(
    out: Annotated[Path, typer.Option("--out", help="Where everything goes.")] = Path("demo"),
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Simulate a small world, train on it, map it and evaluate the maps: offline, in minutes."""
    from swath.demo import run_demo
    from swath.report.table import table_text

    result = run_demo(out, seed=seed, device=device, overwrite=overwrite)
    emit(
        {
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
            f"report: {result.page}",
            f"maps: {result.maps}",
            f"took {result.seconds:.0f} s",
            "",
            NEXT_STEPS.format(sites_file=result.sites_file),
        ],
    )
