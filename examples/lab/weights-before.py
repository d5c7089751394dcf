"""Two versions of the starter weights on one scale: PR-AUC on pixels of 10 m, F1 of the lines of each.

    python examples/lab/weights-before.py SITES OLD NEW

SITES: examples/lab/starter/places.yaml; counted are its labelled places that no training saw. OLD, NEW:
folders with a folder of MAPS a place, `NAME`, that `swath map IMAGES --name NAME --out OLD/NAME` of each
version made of the images as they come.

A place whose scenes have a `shift_m` gets a second row: labels moved the other way, by its mean.

PR-AUC: of the fused map against lines burnt as `swath build` does, a chain of pixels of 10 m and one
dilation by 3 x 3, so 30 m wide; a map of 5 m is averaged over 2 x 2 pixels first. F1 within 5, 10 and 20 m:
of `roads.gpkg`, as it is. `mean`: of the places as they come; `pooled`: of all their pixels and metres.
"""

import argparse
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
import shapely.affinity
from numpy.typing import NDArray
from rasterio.features import geometry_mask

from swath.grid import Grid
from swath.labels.burn import Widening, burn
from swath.legend import read_legend
from swath.metrics.histogram import BINS, score_bins
from swath.metrics.linematch import TOLERANCES_M, distances_m, line_scores, sample_lines
from swath.metrics.scores import average_precision
from swath.sites.schema import SiteSettings, read_sites_file

LEGEND = read_legend("roads")
ROADS = frozenset(LEGEND.classes[1].tags["highway"])
UNSURE_M, PIXEL_M = 35.0, 10.0


def truth(site: SiteSettings, folder: Path, crs: str) -> tuple[gpd.GeoDataFrame, shapely.Geometry]:
    """Sure lines, tracks too where they were drawn by eye; the area in which they count."""
    table = gpd.read_file(folder / str(site.labels.path)).to_crs(crs)
    kinds = table["highway"].fillna("road").astype(str)
    by_eye = site.split == "test"
    unsure = kinds.eq("road") & by_eye
    area = shapely.union_all(gpd.read_file(folder / str(site.coverage)).to_crs(crs).geometry)
    area = shapely.difference(area, shapely.union_all(table.geometry[unsure].buffer(UNSURE_M)))
    sure = kinds.isin(ROADS | {"track"} if by_eye else ROADS) & ~unsure
    lines = table.loc[sure, ["geometry"]].assign(class_id=1)
    east, north = np.mean([scene.shift_m for scene in site.scenes], axis=0)
    lines.geometry = lines.geometry.translate(-east, -north)
    return lines, shapely.affinity.translate(area, -east, -north)


def coarse(path: Path) -> tuple[NDArray[np.float32], Grid]:
    """(H, W) scores 0..1 on pixels of 10 m, NaN = no data, and their grid."""
    with rasterio.open(path) as source:
        codes, transform, crs = source.read(1), source.transform, source.crs
    scores = np.where(codes == 255, np.nan, codes / 254).astype(np.float32)
    times = round(PIXEL_M / transform.a)
    height, width = (side // times for side in scores.shape)
    blocks = scores[: height * times, : width * times].reshape(height, times, width, times)
    grid = Grid(crs, transform @ transform.scale(times), (height, width))
    return blocks.mean(axis=(1, 3)), grid


def pixel_counts(path: Path, site: SiteSettings, folder: Path) -> NDArray[np.int64]:
    """(2, bins) of pixels that are no road, and road."""
    scores, grid = coarse(path)
    lines, area = truth(site, folder, grid.crs)
    use = ~geometry_mask([area], grid.shape, grid.transform) & ~np.isnan(scores)
    road = burn(lines, LEGEND, grid, Widening())[use] == 1
    bins = score_bins(scores[use])
    return np.stack([np.bincount(bins[road == one], minlength=BINS) for one in (False, True)])


def line_counts(path: Path, site: SiteSettings, folder: Path) -> NDArray[np.float64]:
    """(3, 4) metres mapped, right, true, found at each tolerance."""
    mapped = gpd.read_file(path, layer="roads")
    table, area = truth(site, folder, mapped.crs)
    sides = [shapely.get_parts(shapely.force_2d(one.geometry.to_numpy())) for one in (mapped, table)]
    counts = np.zeros((len(TOLERANCES_M), 4))
    for side, (lines, others) in enumerate((sides, sides[::-1])):
        points, weight, _ = sample_lines(lines)
        inside = shapely.intersects_xy(area, *points.T)
        far, weight = distances_m(points[inside], others), weight[inside]
        counts[:, 2 * side] = weight.sum()
        counts[:, 2 * side + 1] = [weight[far <= tolerance].sum() for tolerance in TOLERANCES_M]
    return counts


def main() -> None:
    """A row a place: old and new."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sites", type=Path)
    parser.add_argument("versions", type=Path, nargs=2)
    options = parser.parse_args()
    settings, folder = read_sites_file(options.sites), options.sites.parent
    places = {}
    for name, site in settings.sites.items():
        if site.labels is not None and site.split != "train":
            unmoved = tuple(scene.model_copy(update={"shift_m": (0.0, 0.0)}) for scene in site.scenes)
            places[name] = site.model_copy(update={"scenes": unmoved})
            if unmoved != site.scenes:
                places[f"{name}, registered"] = site
    pixels, metres = [], []
    for name, site in places.items():
        folder_name = name.split(",")[0]
        paths = [version / folder_name / folder_name for version in options.versions]
        pixels.append([pixel_counts(path / "pmap.tif", site, folder) for path in paths])
        metres.append([line_counts(path / "roads.gpkg", site, folder) for path in paths])
    area = np.array([[average_precision(one) for one in row] for row in pixels])[..., None]
    each = np.concatenate([area, line_scores(np.array(metres))["f1"]], axis=2)
    come = [at for at, name in enumerate(places) if "," not in name]
    pooled_area = [[average_precision(one)] for one in np.array(pixels)[come].sum(0)]
    pooled = np.concatenate([pooled_area, line_scores(np.array(metres)[come].sum(0))["f1"]], axis=1)
    rows = [*zip(places, each, strict=True), ("**mean**", each[come].mean(0)), ("**pooled**", pooled)]
    for name, (old, new) in rows:
        cells = " | ".join(f"{a:.3f}, {b:.3f}" for a, b in zip(old, new, strict=True))
        print(f"| {name} | {cells} |")  # noqa: T201


if __name__ == "__main__":
    main()
