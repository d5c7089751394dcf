"""From which class to which: the changes between two land cover maps of one place."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray

from swath.errors import GridError, InputError
from swath.files import replacing
from swath.maps.coverage import cover, merge_small, three_wide
from swath.maps.geopackage import dated
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
    if read_grid(old.classes_path) != grid:
        raise GridError(f"{old.folder} and {new.folder} are not on one grid; map both on the same")
    if old.legend.names != names:
        raise InputError(
            f"{old.folder} maps {', '.join(old.legend.names)}, {new.folder} {', '.join(names)}; "
            "changes need the same classes"
        )
    before, after = (read_bytes(maps.classes_path)[0] for maps in (old, new))
    counts = change_matrix(before, after, len(names))
    matrix = pd.DataFrame(
        {
            "from": np.repeat(np.array(names, object), len(names)),
            "to": np.tile(np.array(names, object), len(names)),
            "pixels": counts.ravel(),
            "area_ha": counts.ravel() * pixel_ha(grid),
        }
    )
    changed = _changed(before, after, len(names), round(unit_ha / pixel_ha(grid)))
    coverage = cover(changed, grid, nodata=_SAME)
    start, end = np.divmod(coverage.ids, len(names))
    frame = gpd.GeoDataFrame(
        {
            "from": np.array(names, object)[start],
            "to": np.array(names, object)[end],
            "first": str(old.dates[-1]),
            "last": str(new.dates[-1]),
            "area_ha": shapely.area(coverage.polygons) / 1e4,
        },
        geometry=coverage.polygons,
        crs=grid.crs,
    )
    about = {"layer_metadata": {"attribution": new.attribution}, "driver": "GPKG"}
    with replacing(Path(path)) as package, dated(new.dates[-1]):
        pyogrio.write_dataframe(frame, package, layer="changes", geometry_type="Polygon", **about)
        pyogrio.write_dataframe(matrix, package, layer="matrix", append=True, **about)
    return matrix


def _changed(
    before: NDArray[np.uint8], after: NDArray[np.uint8], classes: int, least_px: int
) -> NDArray[np.uint16]:
    """(H, W) uint16 class before times `classes` plus class after; 65535 where nothing changed."""
    moved = (before != after) & (before != PMAP_NODATA) & (after != PMAP_NODATA)
    codes = np.where(moved, before.astype(np.uint16) * np.uint16(classes) + after, np.uint16(_SAME))
    codes[~three_wide(codes)] = _SAME
    # Nothing is no data here: what is small goes to what did not change.
    return merge_small(codes, least_px, nodata=-1)
