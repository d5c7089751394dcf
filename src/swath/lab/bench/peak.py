"""Peak memory and time of mapping scenes from files to files, each in a process of its own.

`python -m swath.lab.bench.peak SIDE_PX DATES FOLDER` is such a process; it prints one JSON object.
"""

import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from swath.grid import Grid, Window
from swath.lab.bench.clock import Report, number
from swath.lab.bench.model import drawn_model
from swath.mapping.predict import Predictor
from swath.mapping.sources import scene_series
from swath.mapping.stages import map_site
from swath.memory import peak_bytes
from swath.models.trained import load_model, save_model
from swath.progress import track
from swath.scenes.raster import BLOCK_PX, rasterio_window, tiff_profile
from swath.sentinel2 import TCI_BANDS

FIRST = dt.date(2019, 3, 11)
NARROW = "narrow"


def bench_memory(sides_px: tuple[int, ...], dates: int, *, narrow: bool = False) -> Report:
    """Map scenes of each size in a child process.

    Args:
        sides_px: Sides of the scenes.
        dates: T.
        narrow: Whether to take networks of a few filters, to try the measurement itself.

    Returns:
        By side: peak of the resident memory, time on the wall, Mpx/s of the map.
    """
    report: Report = {}
    for side in track(sides_px, "mapping in child processes"):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", __name__, str(side), str(dates), folder]
            done = subprocess.run(
                [*command, NARROW] if narrow else command, stdout=subprocess.PIPE, check=True
            )
        child = json.loads(done.stdout)
        report[str(side)] = {
            "peak": number(child["peak_bytes"] / 1e9, "GB", 3),
            "time": number(child["seconds"], "s"),
            "rate": number(side**2 / 1e6 / child["seconds"], "Mpx/s"),
        }
    return report


def _map(side: int, dates: int, folder: Path, *, narrow: bool) -> dict[str, float | None]:
    """Write a scene of noise, map it, and say what that took."""
    grid = Grid("EPSG:32631", Affine(10, 0, 300_000, 0, -10, 5_000_000), (side, side))
    days = tuple(FIRST + dt.timedelta(days=30 * n) for n in range(dates))
    paths = [_write(folder / f"{day}.tif", day, grid) for day in days]
    model = drawn_model(4, 4)[0] if narrow else drawn_model(32, 32)[0]
    run = folder / "run"
    run.mkdir()
    save_model(run, model)
    began = time.perf_counter()
    predictor = Predictor(load_model(run), "cpu", "auto")
    series = scene_series("noise", paths, TCI_BANDS, model.spec.image)
    map_site(predictor, run, series, folder / "maps")
    return {"seconds": time.perf_counter() - began, "peak_bytes": peak_bytes()}


def _write(path: Path, day: dt.date, grid: Grid) -> Path:
    rng = np.random.default_rng(day.toordinal())
    block = rng.integers(1, 255, (3, BLOCK_PX, grid.width), np.uint8)
    with rasterio.open(path, "w", **tiff_profile(grid, 3, "uint8", 0)) as target:
        for row in range(0, grid.height, BLOCK_PX):
            part = Window(row, 0, BLOCK_PX, grid.width).intersect(grid.window)
            target.write(block[:, : part.height], window=rasterio_window(part))
    return path


if __name__ == "__main__":
    side, dates, folder, *rest = sys.argv[1:]
    result = _map(int(side), int(dates), Path(folder), narrow=rest == [NARROW])
    sys.stdout.write(json.dumps(result))
