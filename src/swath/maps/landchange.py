"""From which class to which: the changes between two land cover maps of one place."""

from itertools import product
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray

from swath.errors import GridError, InputError
from swath.files import replacing
from swath.grid import Grid
from swath.maps.coverage import cover, merge_small, three_wide
from swath.maps.geopackage import check_whole, dated
from swath.maps.landcover import pixel_ha
from swath.maps.manifest import UNIT_HA
from swath.maps.sitemaps import PMAP_NODATA, SiteMaps, read_bytes, read_grid

_SAME = np.iinfo(np.uint16).max
"""Stands for no change among the codes of changes."""


def change_matrix(old: NDArray[np.uint8], new: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """(n, n) pixels by class before (rows) and after, of two class maps (H, W), 255 = no data."""
    both = (old != PMAP_NODATA) & (new != PMAP_NODATA)
    codes = old[both].astype(np.int64) * classes + new[both]
    return np.bincount(codes, minlength=classes**2).reshape(classes, classes)


def check_comparable(old: SiteMaps, new: SiteMaps) -> None:
    """Refuse maps of different classes, and of areas on different grids.

    Raises:
        GridError: With areas: the maps are not on one grid.
        InputError: The classes differ, or a map cannot be read.
    """
    if old.legend.names != new.legend.names:
        raise InputError(
            f"{old.folder} maps {', '.join(old.legend.names)}, {new.folder} {', '.join(new.legend.names)}; "
            "changes need the same classes"
        )
    if new.legend.areas and old.grid != new.grid:
        raise GridError(f"{old.folder} and {new.folder} are not on one grid; map both on the same")


def write_class_changes(
    old: SiteMaps, new: SiteMaps, path: Path | str, *, unit_ha: float = UNIT_HA
) -> pd.DataFrame:
    """Write what changed between two maps of a site as a GeoPackage.

    Layer `changes`: polygons with `from`, `to`, `first` and `last` (the newest date of either map) and
    `area_ha`; only areas of at least `unit_ha` that are three pixels wide: two maps lie up
    to a pixel apart, so narrower strips along borders are none. Layer `matrix`: all pixels with data in
    both maps, a row a pair of classes, those that stayed too.

    Args:
        old: The map before.
        new: The map after, on the same grid and with the same classes.
        path: The GeoPackage; one that is there is replaced.
        unit_ha: The minimum mapping unit.

    Returns:
        The matrix: `from`, `to`, `pixels`, `area_ha`.

    Raises:
        GridError: The maps are not on one grid.
        InputError: The classes differ, or a map cannot be read.
    """
    grid, names = read_grid(new.classes_path), new.legend.names
    check_comparable(old, new)
    before, after = (read_bytes(maps.classes_path)[0] for maps in (old, new))
    matrix = _matrix_table(before, after, names, grid)
    frame = _polygons(_changed(before, after, len(names), round(unit_ha / pixel_ha(grid))), names, grid)
    frame["first"], frame["last"] = str(old.dates[-1]), str(new.dates[-1])
    about = {"layer_metadata": {"attribution": new.attribution, "software": "swath"}, "driver": "GPKG"}
    with replacing(Path(path)) as package, dated(new.dates[-1]):
        pyogrio.write_dataframe(frame, package, layer="changes", geometry_type="Polygon", **about)
        pyogrio.write_dataframe(matrix, package, layer="matrix", append=True, **about)
        check_whole(package, {"changes": len(frame)}, Path(path))
    return matrix


def _matrix_table(
    before: NDArray[np.uint8], after: NDArray[np.uint8], names: tuple[str, ...], grid: Grid
) -> pd.DataFrame:
    pixels = change_matrix(before, after, len(names)).ravel()
    pairs = product(names, names)
    table = pd.DataFrame(pairs, columns=["from", "to"])
    return table.assign(pixels=pixels, area_ha=pixels * pixel_ha(grid))


def _polygons(codes: NDArray[np.uint16], names: tuple[str, ...], grid: Grid) -> gpd.GeoDataFrame:
    coverage = cover(codes, grid, nodata=_SAME)
    start, end = np.divmod(coverage.ids, len(names))
    named = np.array(names, object)
    area_ha = shapely.area(coverage.polygons) / 1e4
    columns = {"from": named[start], "to": named[end], "area_ha": area_ha}
    return gpd.GeoDataFrame(columns, geometry=coverage.polygons, crs=grid.crs)


def _changed(
    before: NDArray[np.uint8], after: NDArray[np.uint8], classes: int, least_px: int
) -> NDArray[np.uint16]:
    """(H, W) uint16 class before times `classes` plus class after; 65535 where nothing changed."""
    moved = (before != after) & (before != PMAP_NODATA) & (after != PMAP_NODATA)
    codes = np.where(moved, before.astype(np.uint16) * np.uint16(classes) + after, np.uint16(_SAME))
    codes[~three_wide(codes)] = _SAME
    # Nothing is no data here: what is small goes to what did not change.
    return merge_small(codes, least_px, nodata=-1)
