"""The foreground of a map as vectors: middle lines of roads, outlines of areas."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
from swath.products.lines import trace_lines

SIMPLIFY_PX = 1.0
"""Lines stay this close to the middle of the pixels that they were traced from."""

STRIP_PX = 512
"""Rows of the fused PMap that are in memory at a time."""


def write_vectors(maps: SiteMaps) -> int:
    """Write the foreground of a site's map as roads.gpkg and roads.parquet, in the map's CRS.

    The GeoPackage has a layer a class, named after it; the GeoParquet file has all in one table.
    Line classes become the simplified middle lines of their pixels, area classes their exact
    outlines. Columns: `class`; `probability`, the mean of the fused PMap along the line or over the
    area, 0..1; `length_m` of lines and `area_m2` of areas, in the plane of the CRS. Both files
    keep the attribution.

    Of the scene, only the class map (a byte a pixel) and its skeleton are in memory as a whole.

    Args:
        maps: The site; its classes.tif and pmap.tif are in place.

    Returns:
        Number of features.

    Raises:
        InputError: A map cannot be read.
    """
    grid = read_grid(maps.classes_path)
    ids = read_bytes(maps.classes_path)[0]
    tables: dict[str, gpd.GeoDataFrame] = {}
    for c in maps.legend.foreground:
        make = _lines if c.geometry == "line" else _areas
        tables[c.name] = make(ids == c.id, grid, maps.fused_path, c)
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


def _lines(mask: NDArray[np.bool_], grid: Grid, fused: Path, c: LegendClass) -> gpd.GeoDataFrame:
    """The middle lines of a mask (H, W) and the mean PMap of its class along them."""
    traced = trace_lines(mask)
    pixels, owner = shapely.get_coordinates(traced, return_index=True)
    cols, rows = pixels.astype(np.int64).T
    mean = _Mean(len(traced))
    for strip in _strips(grid):
        here = (rows >= strip.row) & (rows < strip.row_end)
        band = read_bytes(fused, strip)[c.id]
        mean.add(owner[here], band[rows[here] - strip.row, cols[here]])
    simple = shapely.simplify(traced, SIMPLIFY_PX)
    placed = shapely.transform(simple, lambda xy: _pixel_centres(xy, grid))
    return _table(c, mean, "length_m", shapely.length(placed), placed, grid)


def _areas(mask: NDArray[np.bool_], grid: Grid, fused: Path, c: LegendClass) -> gpd.GeoDataFrame:
    """The outlines of a mask (H, W) and the mean PMap of its class over them."""
    found = features.shapes(mask.astype(np.uint8), mask=mask, transform=grid.transform)
    outlines = np.array([shape(outline) for outline, _ in found], dtype=object)
    mean = _Mean(len(outlines))
    tree = shapely.STRtree(outlines)
    for strip in _strips(grid):
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


def _strips(grid: Grid) -> Iterator[Window]:
    """The grid from top to bottom."""
    for row in range(0, grid.height, STRIP_PX):
        yield Window(row, 0, min(STRIP_PX, grid.height - row), grid.width)


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
