"""What maps of 5 m cost beside maps of 10 m: `swath map`, from files to files, by turns.

    OMP_NUM_THREADS=2 python examples/lab/map-cost.py CITIES WORK [--side 1024] [--rounds 5] [--dates 1]

CITIES holds a folder of GeoTIFFs a city, B02 B03 B04 B08; or is one such image, of the country. The scene is
four cities side by side, mirrored to `--side` px, so there are streets everywhere; or that image. 5 m: the
starter weights. 10 m: the same U-Net with a head of one 1 x 1 convolution, fitted to the mean of the
starter's logits in each pixel. A process each; time without the start of the program, on the clock and of
the processors (for a machine that does other things, too), and what of it the lines took; memory is the
peak of the process. A whole scene: by the number of pixels.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine

import swath
from swath.grid import Grid
from swath.models.starter import STARTER
from swath.models.trained import TrainedModel, build_fcn, save_model
from swath.scenes.raster import write_raster

TOWNS = ("milano", "valencia", "brasilia", "dubai")
BANDS = ("B02", "B03", "B04", "B08")
WHOLE_PX = 10980
FIGURES = ("seconds", "processor_s", "lines_s", "peak_mb")


def mosaic(cities: Path, side: int) -> np.ndarray:
    """(4, side, side) uint16: four cities in a square, or one image, mirrored again and again."""
    if cities.is_file():
        with rasterio.open(cities) as source:
            square = source.read()
    else:
        quarters = []
        for town in TOWNS:
            with rasterio.open(sorted((cities / town).glob("*.tif"))[0]) as source:
                quarters.append(source.read()[:, 20:340, 20:340])
        square = np.concatenate([np.concatenate(quarters[at : at + 2], 2) for at in (0, 2)], 1)
    short = [(0, max(side - length, 0)) for length in square.shape[1:]]
    return np.pad(square, ((0, 0), *short), "symmetric")[:, :side, :side]


@torch.inference_mode()
def coarse_model(fine: TrainedModel, image: np.ndarray) -> TrainedModel:
    """The starter's U-Net with a head of 10 m, fitted by least squares to what its own head says."""
    spec = fine.spec.model_copy(update={"finer": 1})
    network = build_fcn(spec).eval()
    weights = {k: v for k, v in fine.fcn.state_dict().items() if not k.startswith("head.")}
    network.load_state_dict(weights | {f"head.{k}": v for k, v in network.head.state_dict().items()})
    level = image.astype(np.float32)[[2, 1, 0, 3], :512, :512]
    middle = np.median(level, (1, 2), keepdims=True)
    spread = np.median(np.abs(level - middle), (1, 2), keepdims=True) * 1.4826
    x = torch.from_numpy((level - middle) / spread / 1.5)[None]
    known = torch.ones(1, *x.shape[2:], dtype=torch.bool)
    features: list[torch.Tensor] = []
    hook = fine.fcn.head.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    wanted = torch.nn.functional.avg_pool2d(fine.fcn(x, known), fine.spec.finer)
    hook.remove()
    rows = features[0][0].flatten(1).T.double()
    rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], 1)
    truth = wanted[0].flatten(1).T.double()
    solution = torch.linalg.solve(rows.T @ rows + 1e-3 * torch.eye(rows.shape[1]).double(), rows.T @ truth)
    network.head.weight.copy_(solution[:-1].T[..., None, None].float())
    network.head.bias.copy_(solution[-1].float())
    return replace(fine, spec=spec, fcn=network, folder=None)


CHILD = """
import resource, sys, time
import swath
from swath.mapping import stages
run, out, *scenes = sys.argv[1:]
lines, write = [], stages.write_vectors
def timed_write(*given):
    used = time.process_time()
    write(*given)
    lines.append(time.process_time() - used)
stages.write_vectors = timed_write
model = swath.load_model(run)
options = swath.MapOptions(overwrite=True)
begin, used = time.perf_counter(), time.process_time()
swath.map_scenes(scenes, model, out=out, name="scene", options=options)
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(time.perf_counter() - begin, time.process_time() - used, sum(lines), peak_mb)
"""


def timed(run: Path, scenes: list[Path], out: Path) -> dict[str, float]:
    """What one map takes, without the start of the program."""
    command = [sys.executable, "-c", CHILD, str(run), str(out), *map(str, scenes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    numbers = map(float, done.stdout.split()[-4:])
    return dict(zip(FIGURES, numbers, strict=True))


def main() -> None:
    """Make the scene and the model of 10 m, map by turns, say it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cities", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dates", type=int, default=1, help="so many, all with the same image")
    a = parser.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    grid = Grid("EPSG:32632", Affine(10, 0, 500_000, 0, -10, 5_000_000), (a.side, a.side))
    scenes = [a.work / f"{a.side}" / f"{2019 + year}-06-01.tif" for year in range(a.dates)]
    scenes[0].parent.mkdir(exist_ok=True)
    for scene in scenes:
        write_raster(scene, mosaic(a.cities, a.side), grid, nodata=0, names=BANDS)
    coarse = coarse_model(swath.load_model(STARTER), mosaic(a.cities, 640))
    save_model(a.work / "coarse", coarse, half=True)
    runs = {"5 m": STARTER, "10 m": a.work / "coarse"}
    told: dict[str, list[dict]] = {name: [] for name in runs}
    for _ in range(a.rounds):
        for name, run in runs.items():
            told[name].append(timed(run, scenes, a.work / "maps" / name.replace(" ", "")))
            print(name, told[name][-1], "load", os.getloadavg()[0], flush=True)  # noqa: T201
    for key in FIGURES:
        middle = {name: float(np.median([row[key] for row in rows])) for name, rows in told.items()}
        whole = {name: value * (WHOLE_PX / a.side) ** 2 for name, value in middle.items()}
        print(key, middle, "" if key == "peak_mb" else f"whole scene: {whole}")  # noqa: T201
        if len(middle) == 2:
            each = [fine[key] / coarse[key] for fine, coarse in zip(*told.values(), strict=True)]
            print(f"  5 m / 10 m: {np.median(each):.2f} ({min(each):.2f} - {max(each):.2f})")  # noqa: T201


if __name__ == "__main__":
    main()
