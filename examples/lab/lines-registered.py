"""Lines of maps against road lines, as the images come and as if they were registered.

    python examples/lab/lines-registered.py MAPS ROADS [--shift EAST NORTH]

MAPS is the folder of one site; ROADS holds `roads.geojson` and `coverage.geojson`. The shift, in metres,
moves the mapped lines: the mean of a city's `shift_m` in `examples/cities-registered.yaml`. `highway=road`
means that the drawer was unsure: what is within 35 m of such a line is not scored. Tracks are true
where ROADS has any of them.
"""

import argparse
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely

from swath.metrics.linematch import cut_lines, line_counts, line_scores, moved
from swath.metrics.linenetwork import apls, count_faults


def main() -> None:
    """Read both, score them and say it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("maps", type=Path)
    parser.add_argument("roads", type=Path)
    parser.add_argument("--shift", type=float, nargs=2, default=(0.0, 0.0))
    options = parser.parse_args()
    mapped = gpd.read_parquet(options.maps / "roads.parquet")
    with rasterio.open(options.maps / "pmap.tif") as pmap:
        here = shapely.box(*pmap.bounds)
    roads = gpd.read_file(options.roads / "roads.geojson").to_crs(mapped.crs)
    cover = gpd.read_file(options.roads / "coverage.geojson").to_crs(mapped.crs)
    here = shapely.intersection(here, shapely.union_all(cover.geometry))
    unsure = roads["highway"] == "road" if "highway" in roads.columns else np.zeros(len(roads), bool)
    if not unsure.all():  # without classes every line is `highway=road`
        here = shapely.difference(here, shapely.union_all(roads.geometry[unsure].buffer(35)))
        roads = roads[~unsure]
    shapely.prepare(here)
    parts = shapely.get_parts(shapely.force_2d(roads.geometry.to_numpy()))
    true = shapely.get_parts(shapely.line_merge(parts))
    lines = moved(mapped.geometry.to_numpy(), tuple(options.shift))

    def counted(points: np.ndarray) -> np.ndarray:
        return shapely.intersects_xy(here, points[:, 0], points[:, 1])

    f1 = line_scores(line_counts(lines, true, counted))["f1"].round(3).tolist()
    similar = apls(cut_lines(true, counted), cut_lines(lines, counted))
    print(f"F1 at 5, 10, 20 m: {f1}; APLS {similar:.3f}; {count_faults(lines)}")  # noqa: T201


if __name__ == "__main__":
    main()
