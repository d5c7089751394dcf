"""landcover.gpkg: the class map as polygons of every class, and the area of each."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray
from rasterio import features
from scipy import ndimage

from swath.files import replacing
from swath.grid import Grid, Window
from swath.maps.coverage import PASSES, Coverage, cover, merge_once, merge_reach_px
from swath.maps.geopackage import check_whole, dated
from swath.maps.manifest import UNIT_HA
from swath.maps.sitemaps import PMAP_NODATA, SiteMaps, read_bytes, read_grid, read_pmap
from swath.maps.styles import write_layer_styles

SHEET_PX = 2048
"""Areas are outlined in sheets of at most this side, and end at their edges, which fit together."""

STRIP_PIXELS = 1 << 22
"""Small areas are merged in strips of the whole width of about so many pixels."""


def area_table(maps: SiteMaps) -> pd.DataFrame:
    """How much of a site each class has, from all pixels of the class map.

    Columns: `class`, `class_id`, `pixels`, `area_ha` in the plane of the CRS, `share` 0..1 of the
    pixels with data.
    """
    grid, legend = read_grid(maps.classes_path), maps.legend
    counts = np.zeros(PMAP_NODATA + 1, np.int64)
    for strip in grid.window.strips(SHEET_PX):
        counts += np.bincount(read_bytes(maps.classes_path, strip).ravel(), minlength=len(counts))
    pixels = counts[: len(legend.classes)]
    return pd.DataFrame(
        {
            "class": legend.names,
            "class_id": np.arange(len(pixels), dtype=np.int32),
            "pixels": pixels,
            "area_ha": pixels * pixel_ha(grid),
            "share": pixels / max(1, pixels.sum()),
        }
    )


def pixel_ha(grid: Grid) -> float:
    """Area of a pixel."""
    width, height = grid.resolution
    return width * height / 1e4


def write_landcover(maps: SiteMaps, unit_ha: float = UNIT_HA) -> None:
    """Write landcover.gpkg of a site's map, in its CRS.

    Layer `landcover`: polygons that cover the map without gaps or overlaps, holes kept, their shared
    borders simplified. Columns `class`, `class_id`, `p_mean` (the mean of the class's fused PMap
    over the polygon, 0..1), `area_ha`. Layer `areas`: see `area_table`; counted before small areas
    are merged. QGIS finds the legend's colours in it. However large the map is, a sheet and a strip of
    it are in memory.

    Args:
        maps: The site's maps.
        unit_ha: The minimum mapping unit: smaller areas go to what most of their border touches. At
            the edges of sheets of `SHEET_PX`, beside no data, and by their simplified borders polygons
            may be somewhat smaller.

    Raises:
        InputError: classes.tif or pmap.tif cannot be read.
    """
    grid = read_grid(maps.classes_path)
    about = {"layer_metadata": {"attribution": maps.attribution}, "driver": "GPKG"}
    count = 0
    with (
        replacing(maps.landcover_path) as package,
        tempfile.TemporaryFile(dir=package.parent) as file,
        dated(maps.dates[-1]),
    ):
        classes = _Rows(file, grid.shape)
        for strip in grid.window.strips(SHEET_PX):
            classes.write(strip.row, read_bytes(maps.classes_path, strip)[0])
        _merge(classes, round(unit_ha / pixel_ha(grid)))
        for frame in _sheets(maps, classes, grid):
            append, count = package.exists(), count + len(frame)
            pyogrio.write_dataframe(
                frame, package, layer="landcover", append=append, geometry_type="Polygon", **about
            )
        pyogrio.write_dataframe(area_table(maps), package, layer="areas", append=package.exists(), **about)
        write_layer_styles(package, ["landcover"], maps.legend, maps.dates[-1])
        check_whole(package, {"landcover": count}, maps.landcover_path)


@dataclass(frozen=True, slots=True)
class _Rows:
    """A class map (H, W) uint8 in a plain file, of which some rows at a time are in memory."""

    file: IO[bytes]
    shape: tuple[int, int]

    def read(self, start: int, end: int) -> NDArray[np.uint8]:
        """Rows `start` up to `end`; fewer where the map ends."""
        width = self.shape[1]
        self.file.seek(start * width)
        return np.frombuffer(self.file.read((end - start) * width), np.uint8).reshape(-1, width)

    def write(self, start: int, rows: NDArray[np.uint8]) -> None:
        """Put rows in their place."""
        self.file.seek(start * self.shape[1])
        self.file.write(rows.tobytes())


def _merge(classes: _Rows, least_px: int) -> None:
    """Merge small areas in place, strip by strip: pixel by pixel what `merge_small` makes of the whole.

    A strip is merged with as much around it as one pass can reach, as it was before the pass: what
    is below has not been merged yet, what is above is remembered.
    """
    if least_px <= 1:
        return
    (height, width), reach = classes.shape, merge_reach_px(least_px)
    rows = max(reach, STRIP_PIXELS // width)
    starts = range(0, height, rows)
    changed = np.ones(len(starts), bool)
    for _ in range(PASSES):
        # Nothing new comes of a strip around which the last pass changed nothing.
        worth, changed = ndimage.maximum_filter(changed, 3), np.zeros_like(changed)
        if not worth.any():
            break
        above = np.empty((0, width), np.uint8)
        for at, start in enumerate(starts):
            before = np.concatenate([above, classes.read(start, start + rows + reach)])
            core = slice(len(above), len(above) + min(rows, height - start))
            if worth[at]:
                merged = merge_once(before, least_px)[core]
                changed[at] = (merged != before[core]).any()
                if changed[at]:
                    classes.write(start, merged)
            above = before[: core.stop][-reach:].copy()


def _sheets(maps: SiteMaps, classes: _Rows, grid: Grid) -> Iterator[gpd.GeoDataFrame]:
    shown = [c.id for c in maps.legend.tagged]  # no polygons of a mere background
    for row in range(0, grid.height, SHEET_PX):
        rows = classes.read(row, row + SHEET_PX)
        for col in range(0, grid.width, SHEET_PX):
            sheet = Window(row, col, SHEET_PX, SHEET_PX).intersect(grid.window)
            part, here = rows[:, col : col + SHEET_PX].copy(), grid.crop(sheet)
            coverage = cover(part, here)
            sure = _mean_probability(coverage, read_pmap(maps.fused_path, sheet)[0], here)
            keep = np.isin(coverage.ids, shown)
            yield gpd.GeoDataFrame(
                {
                    "class": np.array(maps.legend.names, object)[coverage.ids[keep]],
                    "class_id": coverage.ids[keep].astype(np.int32),
                    "p_mean": sure[keep].astype(np.float32),
                    "area_ha": shapely.area(coverage.polygons[keep]) / 1e4,
                },
                geometry=coverage.polygons[keep],
                crs=grid.crs,
            )


def _mean_probability(coverage: Coverage, pmap: NDArray[np.float32], grid: Grid) -> NDArray[np.float64]:
    """(n,) the mean of each polygon's class in a PMap (lc, h, w); NaN: too small to hold a pixel."""
    count = len(coverage.polygons)
    if not count:
        return np.zeros(0)
    owner = features.rasterize(
        zip(coverage.polygons, range(count), strict=True),
        out_shape=grid.shape,
        transform=grid.transform,
        fill=-1,
        dtype="int32",
    )
    inside = owner >= 0
    whose = owner[inside]
    values = np.take_along_axis(pmap[:, inside], coverage.ids[whose][None], axis=0)[0]
    pixels = np.bincount(whose, minlength=count)
    total = np.bincount(whose, weights=values, minlength=count)
    return np.where(pixels > 0, total / np.maximum(pixels, 1), np.nan)
