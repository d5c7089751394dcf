"""How many dates? One place mapped from 1 to all of its dates: by their mean, and by the fusion.

    python examples/lab/dates-peel.py PLACE WORK [--off 2021-04-27] [--subsets 12]

PLACE holds images of several dates, `roads.geojson` and `coverage.geojson`. Tracks are true; of
`highway=road` the drawer was unsure, and nothing counts within 35 m of it. Each date is mapped once, by the
starter weights. Then for T = 1, 2, 3, 4 and all, at most `--subsets` random choices of the dates that lie
right are fused. `3 off`: two of them and the date `--off`, which lies a pixel off. `N cloud`: all, and one
has a cloud, painted over three tenths of its image, that no mask knows.

PR-AUC: of pixels, against labels 15 m wide (pixels of 5 m) or 30 m wide (of 10 m). F1 within 5, 10 and 20
m: of the lines that are traced as `swath map` does, at the threshold that it chooses. 10 m: each date's
PMap averaged over 2 x 2 pixels, then as before. Means over the choices; in brackets 95 % intervals over
blocks of 1 km, of the difference fused - mean, of the same blocks. The last two columns: those of the
mean's PR-AUC and F1 at 10 m.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from scipy.ndimage import gaussian_filter

import swath
from swath.grid import Grid
from swath.lab.stability.inmemory import InMemoryMapper
from swath.mapping.predict import Predictor
from swath.maps.lines import SheetScores, trace_sheet
from swath.maps.rasters import mean_code, scene_edge
from swath.maps.sitemaps import read_codes as read_pmap_codes
from swath.metrics.bootstrap import block_weights, interval, resample
from swath.metrics.histogram import block_histogram, plan_blocks, score_bins, threshold
from swath.metrics.linematch import TOLERANCES_M, distances_m, line_scores, sample_lines
from swath.metrics.scores import average_precision
from swath.models.starter import STARTER
from swath.scenes.paintedclouds import SHADE, cloud_cover, cloud_over
from swath.tiles import Tile

UNSURE_M, BLOCK_M, RESAMPLES = 35.0, 1000.0, 500
LINE_M = {1: 30.0, 2: 15.0}
CLOUD_SHARE, CLOUD_WHITE, DARK_SHARE = 0.3, 6500.0, 0.001

Codes = NDArray[np.uint8]
"""(1, H, W): road x 254, 255 = no data."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The roads on a grid, and where they count."""

    grid: Grid
    lines: NDArray[np.object_]
    area: shapely.Geometry
    width_m: float

    def burnt(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(H, W): road; where pixels count."""
        wide = shapely.union_all(shapely.buffer(self.lines, self.width_m / 2))
        inside = [
            ~geometry_mask([shape], self.grid.shape, self.grid.transform) for shape in (wide, self.area)
        ]
        return inside[0], inside[1]


def read_truth(place: Path, grid: Grid, width_m: float) -> Truth:
    """Sure lines, and the area without what lies near unsure ones."""
    roads = gpd.read_file(place / "roads.geojson").to_crs(grid.crs)
    cover = shapely.union_all(gpd.read_file(place / "coverage.geojson").to_crs(grid.crs).geometry)
    unsure = (roads["highway"] == "road").to_numpy()
    area = shapely.difference(cover, shapely.union_all(roads.geometry[unsure].buffer(UNSURE_M)))
    lines = shapely.get_parts(shapely.force_2d(roads.geometry[~unsure].to_numpy()))
    return Truth(grid, lines, area, width_m)


def traced(codes: Codes, grid: Grid) -> NDArray[np.object_]:
    """The lines of a map as `swath map` traces them, in the grid's CRS."""
    known = codes[0] != 255
    score = np.where(known, codes[0] / 254, 0).astype(np.float32)
    size = tuple(abs(value) for value in grid.resolution[::-1])
    sheet = Tile(grid.window, grid.window)
    scores = SheetScores(score, known, threshold(scene_edge([codes])), size)
    lines = trace_sheet(scores, sheet, grid.window).lines
    left, _, _, top = grid.bounds
    step = np.array([grid.resolution[0], -abs(grid.resolution[1])])
    return shapely.transform(lines, lambda pixels: (pixels + 0.5) * step + (left, top))


def judge(codes: Codes, truth: Truth) -> tuple[NDArray, NDArray]:
    """Counts in blocks: (blocks, 2, bins) of pixels; (all blocks, 3, 4) of metres as `line_counts`."""
    road, use = truth.burnt()
    use &= codes[0] != 255
    px = round(BLOCK_M / truth.grid.resolution[0])
    bins = score_bins(np.where(use, codes[0] / 254, 0))
    pixels = block_histogram(bins, road, use, plan_blocks(use, px))
    left, _, right, top = truth.grid.bounds
    columns = int((right - left) // BLOCK_M) + 1
    rows = int(truth.grid.height * truth.grid.resolution[0] // BLOCK_M) + 1
    metres = np.zeros((rows * columns, len(TOLERANCES_M), 4))
    mapped = traced(codes, truth.grid)
    for side, (lines, others) in enumerate(((mapped, truth.lines), (truth.lines, mapped))):
        if not len(lines):
            continue
        points, weight, _ = sample_lines(lines)
        inside = shapely.intersects_xy(truth.area, *points.T)
        points, weight = points[inside], weight[inside]
        block = ((top - points[:, 1]) // BLOCK_M * columns + (points[:, 0] - left) // BLOCK_M).astype(int)
        far = distances_m(points, others)
        for at, tolerance in enumerate(TOLERANCES_M):
            np.add.at(metres[:, at, 2 * side], block, weight)
            np.add.at(metres[:, at, 2 * side + 1], block, weight * (far <= tolerance))
    return pixels, metres[metres.any(axis=(1, 2))]


def scores(pixels: NDArray, metres: NDArray) -> NDArray[np.float64]:
    """(1 + resamples, 4): PR-AUC and F1 at 5, 10, 20 m; of all blocks, then of draws of them."""
    result = []
    for draws in (len(pixels), len(metres)):
        weights = block_weights(draws, RESAMPLES, 0)
        result.append(np.concatenate([np.ones((1, draws), np.int64), weights]))
    area = average_precision(resample(result[0], pixels))
    f1 = line_scores(resample(result[1], metres))["f1"]
    return np.concatenate([area[:, None], f1], axis=1)


def averaged(codes: Codes) -> Codes:
    """A PMap on pixels of twice the side."""
    height, width = (side // 2 * 2 for side in codes.shape[1:])
    parts = codes[0, :height, :width].reshape(height // 2, 2, width // 2, 2)
    known = (parts != 255).all(axis=(1, 3))
    return np.where(known, np.rint(parts.mean(axis=(1, 3))), 255).astype(np.uint8)[None]


def cloudy(path: Path, out: Path) -> Path:
    """An image with a thick cloud and its shadow."""
    with rasterio.open(path) as source:
        image, profile, names = source.read().astype(np.float32), source.profile, source.descriptions
    hills = gaussian_filter(np.random.default_rng(0).normal(size=image.shape[1:]), 25)
    hills /= hills.std()
    cover = cloud_cover(hills, np.quantile(hills, 1 - CLOUD_SHARE))
    light = 1 - SHADE * np.roll(cover, (-12, 8), (0, 1))
    known = (image != 0).all(0)
    dark = np.quantile(image[:, known], DARK_SHARE, axis=1).astype(np.float32)[:, None, None]
    seen = np.maximum(np.rint(cloud_over(image, cover, light, dark, CLOUD_WHITE)), 1)
    out.mkdir(parents=True, exist_ok=True)
    with rasterio.open(out / path.name, "w", **profile) as target:
        target.write(np.where(known, seen, 0).astype(profile["dtype"]))
        target.descriptions = names
    return out / path.name


def read_codes(folder: Path) -> tuple[dict[str, Codes], Grid]:
    """Each date's PMap of a site, and their grid."""
    maps = swath.open_maps(folder).only
    codes = {}
    for date in maps.all_dates:
        codes[str(date)] = read_pmap_codes(maps.pmap_path(date))
    return codes, maps.grid


def choices(right: Sequence[str], off: str, most: int) -> dict[str, list[tuple[str, ...]]]:
    """Name -> which dates, oldest first; a date with a cloud is named `cloud`."""
    rng = np.random.default_rng(0)

    def some(count: int, besides: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        every = [tuple(sorted((*pick, *besides))) for pick in combinations(right, count)]
        return [every[at] for at in sorted(rng.permutation(len(every))[:most])]

    sets = {str(count): some(count) for count in (1, 2, 3, 4, len(right))}
    sets["3 off"] = some(2, (off,))
    sets[f"{len(right) + 1} off"] = some(len(right), (off,))
    for clouded in (right[len(right) // 2], right[-1]):
        name = f"{len(right)} cloud " + ("in the last" if clouded == right[-1] else "in the middle")
        sets[name] = [tuple(f"{date} cloud" if date == clouded else date for date in right)]
    return sets


def main() -> None:
    """Map each date, fuse the choices, score and say it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("place", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--off", default="2021-04-27")
    parser.add_argument("--subsets", type=int, default=12)
    a = parser.parse_args()
    images = {path.stem: path for path in sorted(a.place.glob("*.tif"))}
    right = [date for date in images if date != a.off]
    if not (a.work / "maps").exists():
        swath.map_scenes(list(images.values()), out=a.work / "maps", name="place")
        clouded = [cloudy(images[date], a.work / "clouds") for date in (right[len(right) // 2], right[-1])]
        swath.map_scenes(clouded, out=a.work / "maps-clouds", name="place")
    fine, grid = read_codes(a.work / "maps")
    clouds, _ = read_codes(a.work / "maps-clouds")
    fine |= {f"{date} cloud": codes for date, codes in clouds.items()}
    predictor = Predictor(swath.load_model(STARTER), "cpu", "fp32")
    for finer in (2, 1):
        codes = fine if finer == 2 else {date: averaged(one) for date, one in fine.items()}
        shape = tuple(side // (3 - finer) for side in grid.shape)
        site_grid = grid if finer == 2 else Grid(grid.crs, grid.transform @ grid.transform.scale(2), shape)
        truth = read_truth(a.place, site_grid, LINE_M[finer])
        fcn = predictor.fcn
        fcn.finer = 1  # PMaps are given: a tile is as large as its map
        mapper = InMemoryMapper(predictor, shape)
        for name, sets in choices(right, a.off, a.subsets).items():
            said: dict[str, list[NDArray]] = {"mean": [], "fused": []}
            for dates in sets:
                pmaps = [codes[date] for date in dates]
                maps = {"mean": mean_code(np.stack(pmaps)), "fused": mapper.fuse(dates, pmaps)}
                for model, one in maps.items():
                    said[model].append(scores(*judge(one, truth)))
            means = {model: np.mean(rows, axis=0) for model, rows in said.items()}
            rises = means["fused"] - means["mean"]
            bounds = [interval(rises[1:, at]) for at in range(4)]
            cells = [
                f"{means['mean'][0, at]:.3f} | {means['fused'][0, at]:.3f} ({low:+.3f} to {high:+.3f})"
                for at, (low, high) in enumerate(bounds)
            ]
            own = [interval(means["mean"][1:, at]) for at in (0, 2)]
            said_of = [f"{low:.3f} to {high:.3f}" for low, high in own]
            row = [f"{10 // finer} m", name, str(len(sets)), *cells, *said_of]
            print("| " + " | ".join(row) + " |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
