"""The lines of a MAPS folder, read back: others may have written the file since."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from pandas.api.types import is_numeric_dtype

from swath.errors import DatasetError, reason_of
from swath.files import check_file
from swath.grid import Grid

NUMBERS = ("p_mean", "length_m")
"""Columns that, where they are there, hold numbers."""

_LINES = {shapely.GeometryType.LINESTRING, shapely.GeometryType.MULTILINESTRING}


def read_lines(path: Path, grid: Grid) -> gpd.GeoDataFrame:
    """The lines of `roads.parquet` in the CRS of the map's grid, one a row, with their `class`.

    Raises:
        InputError: There is no such file, or it may not be read.
        DatasetError: Somebody else wrote the file: it cannot be read, or holds something else.
    """
    check_file(path)
    try:
        lines = gpd.read_parquet(path)
        if problem := _problem(lines):
            raise ValueError(f"expected {problem}")
        lines = lines if lines.crs == grid.crs else lines.to_crs(grid.crs)
        west, south, east, north = grid.bounds
        if (np.abs(lines.total_bounds - grid.bounds) > east - west + north - south).any():
            raise ValueError("expected lines on the map")
    except (OSError, ValueError, TypeError, KeyError, shapely.GEOSException) as error:
        raise DatasetError(
            f"{path}: not the lines of a map ({reason_of(error)}); map the site again"
        ) from None
    return lines if set(lines.geom_type) <= {"LineString"} else lines.explode(ignore_index=True)


def _problem(lines: gpd.GeoDataFrame) -> str:
    """What is missing; empty if nothing."""
    places = lines.geometry.to_numpy()
    if set(shapely.get_type_id(places).tolist()) - _LINES:
        return "a line in every row"
    if lines.crs is None:
        return "a coordinate system"
    if "class" not in lines:
        return "a column class"
    if not np.isfinite(shapely.get_coordinates(places)).all():
        return "finite coordinates"
    if not (shapely.length(places) > 0).all():
        return "lines with a length"
    wrong = [name for name in NUMBERS if name in lines and not is_numeric_dtype(lines[name])]
    return f"numbers in {wrong[0]}" if wrong else ""
