"""The foreground of a map as vectors: middle lines of roads, outlines of areas."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray
from rasterio import features
from shapely.geometry import shape

from swath.files import replacing
from swath.grid import Grid, Window
from swath.legend import LegendClass
from swath.mapping.maps import PMAP_SCALE, SiteMaps, read_bytes, read_grid
from swath.mapping.tiles import Tile, plan_tiles
from swath.products.lines import trace_lines

SIMPLIFY_PX = 1.0
"""Lines stay this close to the middle of the pixels that they were traced from."""

SHEET_PX = 2048
"""Lines are traced in sheets of at most this side, and end at their edges: a scene of dense towns
has millions of vertices, and joining them takes 40 bytes for every pixel of the scene."""

SHEET_MARGIN_PX = 64
"""What is seen around a sheet: the skeleton of anything narrower does not know of the sheets."""

STRIP_PX = 512
"""Rows of the fused PMap that are in memory at a time."""


def write_vectors(maps: SiteMaps) -> int:
    """Write the foreground of a site's map as roads.gpkg and roads.parquet, in the map's CRS.

    The GeoPackage has a layer a class, named after it; the GeoParquet file has all in one table.
    Line classes become the simplified middle lines of their pixels, area classes their exact
    outlines. Columns: `class`; `probability`, the mean of the fused PMap along the line or over the
    area, 0..1; `length_m` of lines and `area_m2` of areas, in the plane of the CRS. Both files
    keep the attribution.

    Lines end where sheets of `SHEET_PX` meet, and go on in the next. Of the scene, the finished
    features are in memory as a whole, and where the legend has area classes the class map.

    Args:
        maps: The site; its classes.tif and pmap.tif are in place.

    Returns:
        Number of features.

    Raises:
        InputError: A map cannot be read.
    """
    grid = read_grid(maps.classes_path)
    tables: dict[str, gpd.GeoDataFrame] = {}
    for c in maps.legend.foreground:
        make = _lines if c.geometry == "line" else _areas
        tables[c.name] = make(maps, grid, c)
    with replacing(maps.gpkg_path) as temporary, _dated(maps.dates[-1]):
        for c in maps.legend.foreground:
            pyogrio.write_dataframe(
                tables[c.name],
                temporary,
                layer=c.name,
                driver="GPKG",
                append=temporary.exists(),
                geometry_type="LineString" if c.geometry == "line" else "Polygon",
                layer_metadata={"attribution": maps.attribution},
            )
    together = gpd.GeoDataFrame(pd.concat(tables.values(), ignore_index=True))
    together.attrs["attribution"] = maps.attribution
    with replacing(maps.parquet_path) as temporary:
        together.to_parquet(temporary)
    return len(together)


@contextmanager
def _dated(day: dt.date) -> Iterator[None]:
    """Let GeoPackages say that they were last changed on `day`, not now: same maps, same bytes."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{day}T00:00:00.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _lines(maps: SiteMaps, grid: Grid, c: LegendClass) -> gpd.GeoDataFrame:
    """The middle lines of a class and its mean PMap along them."""
    sheets = plan_tiles(grid.shape, SHEET_PX, SHEET_MARGIN_PX, 1)
    tables = [_sheet_lines(maps, grid, sheet, c) for sheet in sheets]
    some = [table for table in tables if len(table)] or tables[:1]
    return gpd.GeoDataFrame(pd.concat(some, ignore_index=True))


def _sheet_lines(maps: SiteMaps, grid: Grid, sheet: Tile, c: LegendClass) -> gpd.GeoDataFrame:
    mask = read_bytes(maps.classes_path, sheet.read)[0] == c.id
    traced = trace_lines(mask, sheet.kept)
    pixels, owner = shapely.get_coordinates(traced, return_index=True)
    cols, rows = pixels.astype(np.int64).T
    mean = _Mean(len(traced))
    # Lines reach a pixel into the next sheet.
    seen = Window(0, 0, sheet.core.height + 1, sheet.core.width + 1)
    whole = seen.shift(sheet.core.row, sheet.core.col).intersect(grid.window)
    for strip in _strips(whole):
        here = (rows >= strip.row - whole.row) & (rows < strip.row_end - whole.row)
        band = read_bytes(maps.fused_path, strip)[c.id]
        mean.add(owner[here], band[rows[here] + whole.row - strip.row, cols[here]])
    simple = shapely.simplify(traced, SIMPLIFY_PX)
    placed = shapely.transform(simple, lambda xy: _pixel_centres(xy, grid.crop(whole)))
    return _table(c, mean, "length_m", shapely.length(placed), placed, grid)


def _areas(maps: SiteMaps, grid: Grid, c: LegendClass) -> gpd.GeoDataFrame:
    """The outlines of a class and its mean PMap over them."""
    mask = read_bytes(maps.classes_path)[0] == c.id
    fused = maps.fused_path
    found = features.shapes(mask.astype(np.uint8), mask=mask, transform=grid.transform)
    outlines = np.array([shape(outline) for outline, _ in found], dtype=object)
    mean = _Mean(len(outlines))
    tree = shapely.STRtree(outlines)
    for strip in _strips(grid.window):
        part = grid.crop(strip)
        crossing = tree.query(shapely.box(*part.bounds))
        if not len(crossing):
            continue
        # Burning an outline by pixel centres gives back the very pixels it was made from.
        owner = features.rasterize(
            zip(outlines[crossing], crossing, strict=True),
            out_shape=part.shape,
            transform=part.transform,
            fill=-1,
            dtype="int32",
        )
        inside = owner >= 0
        mean.add(owner[inside], read_bytes(fused, strip)[c.id][inside])
    return _table(c, mean, "area_m2", shapely.area(outlines), outlines, grid)


class _Mean:
    """The mean PMap of each of `count` features, gathered strip by strip."""

    def __init__(self, count: int) -> None:
        self._total = np.zeros(count)
        self._pixels = np.zeros(count)

    def add(self, owner: NDArray[np.integer], codes: NDArray[np.uint8]) -> None:
        """Count pixels: the feature they belong to and their byte in the PMap, both (n,)."""
        size = len(self._total)
        self._total += np.bincount(owner, weights=codes, minlength=size)
        self._pixels += np.bincount(owner, minlength=size)

    @property
    def value(self) -> NDArray[np.float64]:
        """(count,) probabilities 0..1."""
        return self._total / self._pixels / PMAP_SCALE


def _strips(area: Window) -> Iterator[Window]:
    """A part of the scene from top to bottom."""
    for row in range(area.row, area.row_end, STRIP_PX):
        yield Window(row, area.col, min(STRIP_PX, area.row_end - row), area.width)


def _pixel_centres(pixels: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """(n, 2) columns and rows -> (n, 2) x and y of the pixels' centres."""
    left, _, _, top = grid.bounds
    x_size, y_size = grid.resolution
    x = left + (pixels[:, 0] + 0.5) * x_size
    y = top - (pixels[:, 1] + 0.5) * y_size
    return np.stack([x, y], axis=1)


def _table(
    c: LegendClass,
    mean: _Mean,
    measure: str,
    measured: NDArray[np.float64],
    geometry: NDArray[np.object_],
    grid: Grid,
) -> gpd.GeoDataFrame:
    columns = {
        "class": np.full(len(geometry), c.name, dtype=object),
        "probability": mean.value.astype(np.float32),
        measure: measured,
    }
    return gpd.GeoDataFrame(columns, geometry=geometry, crs=grid.crs)
