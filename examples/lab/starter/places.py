"""Places as the recipe keeps them, one `NAME.npz` each: real ones of a sites file, or simulated ones.

python places.py real SITES.yaml OUT
python places.py simulated CORPUS OUT        CORPUS: made by examples/lab/simulated-corpus.py

images     (T, H, W, 4) uint8, B04 B03 B02 B08: 1..255 = -5..15 spreads (`recipe.SPREADS`); 0 = no data
xy, offsets    lines: column, row in image pixels from the upper left corner; line i has
               xy[offsets[i] : offsets[i + 1]]. None of the four of lines in a place without labels
half_m     (lines,) half of a line's width in metres, by its class or as simulated
since, until   (lines,) the first date that shows it; the one after the last
unsure_xy, unsure_offsets    lines near which nothing counts
cover      (H, W) bool, where the lines are complete
split, attribution      what the place may be used for; who made it
"""

import argparse
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from recipe import SPREADS, simulated_split

from swath.grid import Grid
from swath.labels.burn import burn_mask
from swath.labels.features import read_polygons
from swath.legend import read_legend
from swath.scenes.levels import fit_cells
from swath.scenes.warp import read_on_grid
from swath.sentinel2 import STANDARD_MEDIAN, STANDARD_SPREAD, ImageSettings
from swath.sites.schema import SitesFile, read_sites_file
from swath.sites.series import plan_series

Arrays = dict[str, NDArray]

ROADS = frozenset(read_legend("roads").classes[1].tags["highway"])
UNSURE = frozenset(("track", "service"))
"""Classes of simulated lines that are neither road nor ground."""

HALF_WIDTH_M = {"motorway": 11.0, "trunk": 9.0, "primary": 7.5, "secondary": 6.5, "tertiary": 5.5}
OTHER_HALF_WIDTH_M = 5.0

CLEAREST = 3
"""So many dates of a simulated place are kept where no road changes."""


def main(argv: list[str] | None = None) -> None:
    """Write what is not there yet."""
    parser = argparse.ArgumentParser(description="Places for the recipe; see the head of this file.")
    parser.add_argument("kind", choices=("real", "simulated"))
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    a = parser.parse_args(argv)
    a.out.mkdir(parents=True, exist_ok=True)
    if a.kind == "real":
        settings = read_sites_file(a.source)
        plans = {name: (real_place, (name, settings, a.source.parent)) for name in settings.sites}
    else:
        plans = {path.stem: (simulated_place, (path,)) for path in sorted(a.source.glob("*.npz"))}
    for name, (make, given) in plans.items():
        path = a.out / f"{name}.npz"
        if not path.exists():
            partial = path.with_suffix(".part")
            with partial.open("wb") as file:
                np.savez_compressed(file, **make(*given))
            partial.replace(path)


def quantised(numbers: NDArray[np.uint16], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Standardised numbers (T, 4, H, W) in 8 bits, channels last; 0 where not known (T, H, W).

    A band that an image lacks is at its median there: what the network sees of it is nearly 0.
    """
    low, high = SPREADS
    spreads = (np.where(numbers > 0, numbers, STANDARD_MEDIAN) - float(STANDARD_MEDIAN)) / STANDARD_SPREAD
    bits = np.clip(np.rint((spreads - low) / (high - low) * 254) + 1, 1, 255).astype(np.uint8)
    return np.where(known[:, None], bits, 0).transpose(0, 2, 3, 1)


def real_place(name: str, settings: SitesFile, folder: Path) -> Arrays:
    """A site of a sites file: its images registered and standardised, its lines in pixels."""
    site, image = settings.sites[name], settings.image
    series = plan_series(name, settings, folder, image.required)
    numbers = np.stack([read_on_grid(scene, series.grid, image) for scene in series.scenes])
    arrays = {
        "images": quantised(numbers, (numbers != 0).any(axis=1)),
        "split": np.array(site.split),
        "attribution": np.array(settings.attribution),
    }
    if site.labels is None:
        return arrays
    cover = np.ones(series.grid.shape, bool)
    if site.coverage is not None:
        cover = burn_mask(read_polygons(folder / site.coverage, series.grid), series.grid)
    by_eye = site.split == "test"
    arrays |= real_lines(folder / str(site.labels.path), series.grid, by_eye)
    lines = len(arrays["half_m"])
    return arrays | {
        "cover": cover,
        "since": np.zeros(lines, np.int16),
        "until": np.full(lines, len(numbers), np.int16),
    }


def real_lines(path: Path, grid: Grid, by_eye: bool) -> Arrays:
    """Roads that no tunnel hides. Of lines drawn by eye tracks are roads, and `road` is unsure."""
    table = gpd.read_file(path).to_crs(grid.crs)
    kinds = table["highway"].fillna("road").astype(str)
    open_air = ~table["tunnel"].isin(["yes", "building_passage"]) if "tunnel" in table else kinds.notna()
    unsure = kinds.eq("road") & by_eye
    wanted = kinds.isin(ROADS | {"track"} if by_eye else ROADS) & open_air & ~unsure
    xy, offsets, owner = in_pixels(table.geometry[wanted], grid)
    unsure_xy, unsure_offsets, _ = in_pixels(table.geometry[unsure], grid)
    halves = kinds[wanted].map(HALF_WIDTH_M).fillna(OTHER_HALF_WIDTH_M).to_numpy()
    return {
        "xy": xy,
        "offsets": offsets,
        "half_m": halves[owner].astype(np.float32),
        "unsure_xy": unsure_xy,
        "unsure_offsets": unsure_offsets,
    }


def in_pixels(lines: gpd.GeoSeries, grid: Grid) -> tuple[NDArray, NDArray, NDArray]:
    """Points of all parts as (column, row), where each part begins, and the line that it is of."""
    parts, owner = shapely.get_parts(lines.values, return_index=True)
    xy, part = shapely.get_coordinates(parts, return_index=True)
    columns, rows = ~grid.transform @ (xy[:, 0], xy[:, 1])
    counts = np.bincount(part, minlength=len(parts)).astype(np.int64)
    points = np.stack([columns, rows], axis=1).astype(np.float32).reshape(-1, 2)
    return points, np.concatenate([[0], np.cumsum(counts)]), owner


def simulated_place(path: Path) -> Arrays:
    """A place of the corpus, standardised; all dates where a road changes, else the clearest."""
    with np.load(path) as file:
        z = {name: file[name] for name in file.files}
    dates = len(z["images"])
    roads, unsure = (np.isin(z["class"], sorted(names)) for names in (ROADS, UNSURE))
    since, until = z["since"][roads], z["until"][roads]
    changes = bool(((since > 0) | (until < dates)).any())
    clearest = np.argsort(-z["known"].mean(axis=(1, 2)), kind="stable")[:CLEAREST]
    kept = list(range(dates)) if changes else sorted(clearest.tolist())
    grid = Grid(str(z["crs"]), Affine(*z["transform"]), z["known"].shape[1:])
    bands = ImageSettings(bands=("B04", "B03", "B02", "B08"), encoding="standardised")
    images = []
    for date in kept:
        # The corpus has B02 B03 B04 B08, and clouds that its masks know of are no data.
        seen = z["images"][date][[2, 1, 0, 3]] * z["known"][date]
        levels = fit_cells(grid, bands, lambda w, seen=seen: seen[(slice(None), *w.slices)])
        numbers = np.stack([levels.apply(b.astype(np.float32), at, grid) for at, b in enumerate(seen)])
        images.append(np.where(seen.any(axis=0), np.clip(np.rint(numbers), 1, 65535), 0).astype(np.uint16))
    stacked = np.stack(images)
    xy, offsets = chosen(z, roads)
    unsure_xy, unsure_offsets = chosen(z, unsure)
    return {
        "images": quantised(stacked, stacked.any(axis=1)),
        "xy": xy,
        "offsets": offsets,
        "half_m": z["width_m"][roads] / 2,
        "since": since if changes else np.zeros(len(since), np.int16),
        "until": until if changes else np.full(len(since), len(kept), np.int16),
        "unsure_xy": unsure_xy,
        "unsure_offsets": unsure_offsets,
        "cover": np.ones(grid.shape, bool),
        "split": np.array(f"simulated {simulated_split(int(path.stem[:3]))}"),
        "attribution": z["attribution"],
    }


def chosen(z: Arrays, which: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
    """The points and offsets of some lines of the corpus."""
    counts = np.diff(z["offsets"])
    return z["lines_xy"][np.repeat(which, counts)], np.concatenate([[0], np.cumsum(counts[which])])


if __name__ == "__main__":
    main()
