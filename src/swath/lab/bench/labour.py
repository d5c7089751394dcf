"""What is done beside the networks: burning labels, decoding JPEG 2000, sampling patches."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from scipy.ndimage import gaussian_filter

from swath.dataset.build import build_dataset
from swath.dataset.catalog import read_dataset
from swath.dataset.index import plan_patches
from swath.dataset.patches import PatchDataset, measure_scaling, survey_split
from swath.extras import is_installed
from swath.grid import Grid
from swath.lab.bench.clock import Report, Work, measure, usable_processors
from swath.labels.burn import Widening, burn
from swath.legend import read_legend
from swath.simulate.world import write_world

CRS = "EPSG:32631"


def bench_burning(lines: int, side_px: int, repetitions: int) -> Report:
    """Burn drawn road lines onto a scene's grid and dilate them once, as the paper does."""
    grid = Grid(CRS, Affine(10, 0, 300_000, 0, -10, 5_000_000), (side_px, side_px))
    roads = draw_roads(lines, grid)
    legend = read_legend("roads")
    roads["class_id"] = legend.tagged[0].id
    timings = measure({"burn": lambda: burn(roads, legend, grid, Widening())}, repetitions)
    return {
        "lines": lines,
        "points": int(shapely.get_num_points(roads.geometry.values).sum()),
        "scene_px": side_px,
        "time": timings["burn"].report(),
    }


def draw_roads(count: int, grid: Grid) -> geopandas.GeoDataFrame:
    """`count` winding lines of 5 points 40 m apart, all over the grid."""
    rng = np.random.default_rng(0)
    left, bottom, right, top = grid.bounds
    start = rng.uniform((left, bottom), (right, top), (count, 2))
    heading = rng.uniform(0, 2 * np.pi, (count, 1)) + rng.normal(0, 0.4, (count, 4)).cumsum(1)
    steps = 40 * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    points = np.concatenate([start[:, None], start[:, None] + steps.cumsum(axis=1)], axis=1)
    return geopandas.GeoDataFrame(geometry=shapely.linestrings(points), crs=grid.crs)


def bench_decoding(side_px: int, repetitions: int) -> Report:
    """Decode a three-band 8-bit JPEG 2000, lossless as ESA's, of blurred noise."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.jp2"
        _write_jp2(path, side_px)
        data = path.read_bytes()
        cases: dict[str, Work] = {"gdal": _gdal(path)}
        if is_installed("imagecodecs"):
            cases["imagecodecs"] = _imagecodecs(data)
        timings = measure(cases, repetitions)
    report: Report = {
        "image": [3, side_px, side_px],
        "mbyte": round(len(data) / 1e6, 2),
        "threads": usable_processors(),
        "cases": {name: t.rate(side_px**2 / 1e6, "Mpx/s") for name, t in timings.items()},
    }
    if "imagecodecs" in timings:
        report["imagecodecs_faster_than_gdal"] = timings["imagecodecs"].times_faster_than(timings["gdal"])
    return report


def _write_jp2(path: Path, side_px: int) -> None:
    rng = np.random.default_rng(0)
    texture = gaussian_filter(rng.normal(120, 90, (3, side_px, side_px)), (0, 1.5, 1.5))
    profile = {
        "driver": "JP2OpenJPEG",
        "dtype": "uint8",
        "count": 3,
        "width": side_px,
        "height": side_px,
        "QUALITY": "100",
        "REVERSIBLE": "YES",
        "BLOCKXSIZE": min(1024, side_px),
        "BLOCKYSIZE": min(1024, side_px),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile) as target:
            target.write(texture.clip(1, 255).astype(np.uint8))


def _gdal(path: Path) -> Callable[[], NDArray[np.uint8]]:
    def run() -> NDArray[np.uint8]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.Env(GDAL_NUM_THREADS="1"), rasterio.open(path) as image:
                pixels: NDArray[np.uint8] = image.read()
        return pixels

    return run


def _imagecodecs(data: bytes) -> Work:
    import imagecodecs

    return lambda: imagecodecs.jpeg2k_decode(data, numthreads=usable_processors())


def bench_sampling(side_px: int, batch: int, patch_px: int, dates: int, repetitions: int) -> Report:
    """Read a batch of training patches from the files of a simulated site, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        sites = write_world(Path(folder) / "world", {"sim": "train"}, seed=0, size_px=side_px)
        build_dataset(sites, Path(folder) / "dataset")
        dataset = read_dataset(Path(folder) / "dataset")
        surveys = survey_split(dataset, "train")
        scaling = measure_scaling(dataset)
        rng = np.random.default_rng(0)

        def read(length: int) -> Work:
            patches = plan_patches(surveys, batch, patch_px, length, 0.5, rng)
            samples = PatchDataset(dataset, patches, scaling, 0.1)
            return lambda: [samples[index] for index in range(len(samples))]

        timings = measure({"one date": read(1), "series": read(dates)}, repetitions)
    pixels = batch * patch_px**2 / 1e6
    return {
        "batch": [batch, patch_px, patch_px],
        "dates": dates,
        "one date": timings["one date"].rate(pixels, "Mpx/s"),
        "series": timings["series"].rate(pixels, "Mpx/s"),
    }
