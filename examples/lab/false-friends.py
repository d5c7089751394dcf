"""False friends: what the starter weights take for roads where there is none.

    python examples/lab/false-friends.py simulated WORK [--seeds 2]
    python examples/lab/false-friends.py real PLACE WORK [--unsure 35]

simulated: each landscape of `swath simulate --landscape` alone, 3.84 km wide, one date; its truth is exact.
A metre of line is false where no road, track or path of that date lies within 20 m.

real: an image with `roads.geojson` and `coverage.geojson`. Counted is what lies within the coverage,
farther than `--unsure` metres from every line that was drawn, sure or not; on water (NDWI above 0) and on
land.

km of false line for 100 km2.
"""

import argparse
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.features import shapes
from scipy.ndimage import binary_opening

import swath
from swath.metrics.linematch import distances_m, sample_lines
from swath.simulate.landscape import LANDSCAPES
from swath.simulate.place import PlaceSettings, simulate_place

REACH_M = 20.0


def false_points(lines: np.ndarray, roads: np.ndarray, reach_m: float) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) points of lines that are far from roads, and the metres that each stands for."""
    if not len(lines):
        return np.zeros((0, 2)), np.zeros(0)
    points, weight, _ = sample_lines(lines)
    far = distances_m(points, roads, reach_m) > reach_m
    return points[far], weight[far]


def simulated(work: Path, seeds: int) -> None:
    """A row for each landscape."""
    for name in LANDSCAPES:
        false = mapped = area = true = 0.0
        for seed in range(seeds):
            folder, out = work / f"{name}-{seed}", work / "maps" / f"{name}-{seed}"
            if not out.exists():
                settings = PlaceSettings(dates=1, seed=900 + seed, landscapes=(name,), split="test")
                simulate_place(None, folder, settings, overwrite=True)
                swath.map_scenes(sorted(folder.glob("*.tif")), out=out, name=name)
            maps = swath.open_maps(out).only
            roads = gpd.read_file(folder / "roads.gpkg", layer="roads").to_crs(maps.grid.crs)
            roads = shapely.get_parts(roads.clip(maps.grid.bounds).geometry.to_numpy())
            lines = maps.roads().to_crs(maps.grid.crs).geometry.to_numpy()
            false += false_points(lines, roads, REACH_M)[1].sum()
            mapped += shapely.length(lines).sum()
            true += shapely.length(roads).sum()
            left, bottom, right, top = maps.grid.bounds
            area += (right - left) * (top - bottom)
        km = f"{true / 1e3:.1f} | {mapped / 1e3:.1f} | {false / area * 1e5:.0f}"
        print(f"| {name} | {area / 1e6:.0f} | {km} |", flush=True)  # noqa: T201


def water_of(image: Path, crs: str) -> shapely.Geometry:
    """Where NDWI is above 0, without specks."""
    with rasterio.open(image) as source:
        names = [str(name) for name in source.descriptions]
        green, near = (source.read(names.index(band) + 1).astype(float) for band in ("B03", "B08"))
        wet = binary_opening((green > near) & (green > 0), np.ones((3, 3)))
        parts = shapes(wet.astype("uint8"), wet, transform=source.transform)
        found = [shapely.geometry.shape(shape) for shape, _ in parts]
        return shapely.union_all(gpd.GeoSeries(found, crs=source.crs).to_crs(crs).to_numpy())


def real(place: Path, work: Path, unsure_m: float) -> None:
    """A row for water and one for land."""
    image = sorted(place.glob("*.tif"))[0]
    out = work / place.name
    if not out.exists():
        swath.map_scenes([image], out=out, name=place.name)
    maps = swath.open_maps(out).only
    crs = maps.grid.crs
    roads = gpd.read_file(place / "roads.geojson").to_crs(crs).geometry.to_numpy()
    cover = shapely.union_all(gpd.read_file(place / "coverage.geojson").to_crs(crs).geometry)
    cover = shapely.difference(cover, shapely.union_all(shapely.buffer(roads, unsure_m)))
    lines = maps.roads().to_crs(crs).geometry.to_numpy()
    points, weight = false_points(lines, roads, unsure_m)
    water = water_of(image, crs)
    for name, area in (
        ("water", shapely.intersection(cover, water)),
        ("land", shapely.difference(cover, water)),
    ):
        inside = shapely.intersects_xy(area, *points.T)
        false = weight[inside].sum()
        said = f"{area.area / 1e6:.1f} | {false / 1e3:.1f} | {false / max(area.area, 1) * 1e5:.0f}"
        print(f"| {place.name}, {name} | {said} |", flush=True)  # noqa: T201


def main() -> None:
    """One of the two."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    made = kinds.add_parser("simulated")
    made.add_argument("work", type=Path)
    made.add_argument("--seeds", type=int, default=2)
    seen = kinds.add_parser("real")
    seen.add_argument("place", type=Path)
    seen.add_argument("work", type=Path)
    seen.add_argument("--unsure", type=float, default=35.0)
    options = parser.parse_args()
    if options.kind == "simulated":
        simulated(options.work, options.seeds)
    else:
        real(options.place, options.work, options.unsure)


if __name__ == "__main__":
    main()
