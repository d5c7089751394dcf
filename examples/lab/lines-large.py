"""What tracing the lines of a large map takes: maps of towns side by side, as large as a scene.

    python examples/lab/lines-large.py WORK MAPS... [--side 10980]

MAPS: folders of `swath map`, each of one site with two dates or more, on pixels of one size. Their PMaps
are laid side by side, mirrored, until WORK/large is filled; then its lines are traced and written as `swath
map` does. Said are processor seconds of the tracing alone, peak memory of the process, and the number of
lines.
"""

import argparse
import datetime as dt
import resource
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

import swath
from swath.grid import Grid
from swath.maps.rasters import classify, mean_code, scene_edge
from swath.maps.sitemaps import SiteMaps
from swath.maps.vectors import write_vectors
from swath.metrics.histogram import threshold
from swath.scenes.raster import write_raster

DAYS = (dt.date(2019, 6, 1), dt.date(2020, 6, 1))


def laid_out(towns: list[NDArray[np.uint8]], side: int) -> NDArray[np.uint8]:
    """(side, side): towns in rows, each mirrored to the shape of the largest, turn by turn."""
    height, width = (max(town.shape[at] for town in towns) for at in (0, 1))
    tiles = [
        np.pad(town, [(0, height - town.shape[0]), (0, width - town.shape[1])], "symmetric") for town in towns
    ]
    whole = np.empty((side, side), np.uint8)
    for number, row in enumerate(range(0, side, height)):
        for at, column in enumerate(range(0, side, width)):
            part = whole[row : row + height, column : column + width]
            part[:] = tiles[(number + at) % len(tiles)][: part.shape[0], : part.shape[1]]
    return whole


def main() -> None:
    """Lay out, trace, and say it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("maps", type=Path, nargs="+")
    parser.add_argument("--side", type=int, default=10980)
    options = parser.parse_args()
    towns = [swath.open_maps(folder).only for folder in options.maps]
    step = abs(towns[0].grid.resolution[0])
    side = options.side
    grid = Grid("EPSG:32632", Affine(step, 0, 400_000, 0, -step, 5_000_000), (side, side))
    large = towns[0].model_copy(
        update={
            "folder": options.work / "large",
            "site": "large",
            "dates": DAYS,
            "earlier": (),
            "fusion": "mean",
        }
    )
    assert isinstance(large, SiteMaps)
    shutil.rmtree(large.folder, ignore_errors=True)
    codes = []
    for at, date in enumerate(DAYS):
        parts = []
        for town in towns:
            with rasterio.open(town.pmap_path(town.all_dates[at])) as source:
                parts.append(source.read(1))
        codes.append(laid_out(parts, side)[None])
        write_raster(large.pmap_path(date), codes[-1], grid, nodata=255, names=["road"])
    mean = mean_code(np.stack(codes))
    edge = scene_edge([mean])
    write_raster(large.fused_path, mean, grid, nodata=255, names=["road"])
    write_raster(large.classes_path, classify(mean, edge)[None], grid, nodata=255, names=["class"])
    del codes, mean
    before = time.process_time()
    write_vectors(large, threshold(edge))
    seconds = time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # The rasters were made in memory; tracing alone takes less.
    sys.stdout.write(
        f"{side} x {side} px of {step:g} m: {len(large.roads())} lines, {seconds:.0f} processor seconds, "
        f"peak {peak:.0f} MB with the making of the rasters\n"
    )


if __name__ == "__main__":
    main()
