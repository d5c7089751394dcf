"""What a date more costs: a series mapped and a date added, files to files, a process each.

`python -m swath.lab.bench.addition map FOLDER` is such a process, `update` the other; each prints
one JSON object.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from swath.grid import Grid
from swath.lab.bench.clock import Report, Timing, now, number
from swath.mapping.options import MapOptions
from swath.mapping.predict import Predictor
from swath.mapping.sources import scene_series
from swath.mapping.stages import MappedSite, map_site
from swath.mapping.update import add_scene
from swath.models.starter import STARTER
from swath.models.trained import load_model
from swath.scenes.raster import write_raster
from swath.simulate.world import BANDS, simulate_site

TOWN_PX = 512
"""Side of the simulated town that fills the scene."""

MAPS = "maps"


def bench_addition(side_px: int, dates: int, repetitions: int) -> Report:
    """Map a series, then add a date to its maps.

    The scene is a simulated town beside its mirror images, so that there are roads to trace; the
    networks are the starter weights: the paper's U-Net, and attention over the dates.

    Args:
        side_px: Side of the scene.
        dates: T of the series; one more is added.
        repetitions: Rounds.

    Returns:
        Time of both, their stages, and what share of the first the second takes.
    """
    timings: dict[str, list[float]] = {"map": [], "update": []}
    stages: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_scene(folder, side_px, dates + 1)
        for _ in range(repetitions):
            shutil.rmtree(folder / MAPS, ignore_errors=True)
            for step, seconds in timings.items():
                command = [sys.executable, "-m", __name__, step, str(folder)]
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
                child = json.loads(done.stdout)
                seconds.append(child["seconds"])
                stages[step] = child["stages"]
    steps = {step: Timing(tuple(seconds)) for step, seconds in timings.items()}
    report: Report = {"scene_px": side_px, "dates": dates}
    for step, timing in steps.items():
        report[step] = {
            "time": timing.report(),
            # On the wall, of the last round.
            "stages": {stage: number(s, "s") for stage, s in stages[step].items()},
        }
    return report | {"update_of_map": steps["map"].times_faster_than(steps["update"])}


def _write_scene(folder: Path, side_px: int, dates: int) -> None:
    """An image a date, as GeoTIFFs."""
    town = simulate_site(0, 0, TOWN_PX, dates)
    grid = Grid(town.layout.grid.crs, town.layout.grid.transform, (side_px, side_px))
    more = max(0, side_px - TOWN_PX)
    for day, image in zip(town.days, town.images, strict=True):
        scene = np.pad(image, ((0, 0), (0, more), (0, more)), "symmetric")
        path = folder / f"{day.date}.tif"
        write_raster(path, scene[:, :side_px, :side_px], grid, nodata=0, names=BANDS)


def _map(folder: Path) -> MappedSite:
    model = load_model(STARTER)
    predictor = Predictor(model, "cpu", "auto", orientations=1)
    paths = sorted(folder.glob("*.tif"))[:-1]
    series = scene_series("town", paths, None, model.spec.image)
    return map_site(predictor, STARTER, series, folder / MAPS)


def _update(folder: Path) -> MappedSite:
    newest = sorted(folder.glob("*.tif"))[-1]
    _, done = add_scene(folder / MAPS, newest, options=MapOptions("cpu"))
    return done


if __name__ == "__main__":
    began = now()
    site = {"map": _map, "update": _update}[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(json.dumps({"seconds": now() - began, "stages": site.stages}))
