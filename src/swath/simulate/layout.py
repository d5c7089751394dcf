"""A layout: what lies where, as vectors on a grid. The one value that is rendered.

A town laid out by a generator and a real place from OpenStreetMap both become a layout; all that
follows (ground, light, sensor) sees nothing else.
"""

from dataclasses import dataclass
from importlib.resources import files

import geopandas
import numpy as np
from numpy.typing import NDArray

from swath.grid import Grid
from swath.legend import Legend
from swath.validation import parse_yaml

GROUND = parse_yaml((files("swath.simulate") / "ground.yaml").read_text("utf-8"), Legend, "ground.yaml")
"""Which OSM tags make which kind of ground."""

AREAS = tuple(c.name for c in GROUND.tagged if c.geometry == "area")
"""Kinds of areas, in the order in which they are painted: later ones cover earlier ones."""

LINES = tuple(c.name for c in GROUND.tagged if c.geometry == "line")
"""Kinds of lines, painted over all areas, in this order."""

PIXEL_M = 10.0
"""Pixel size of every layout's grid."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A place as vectors.

    Attributes:
        grid: The pixels of 10 m that images of it have.
        areas: `kind` (one of `AREAS`), `height_m` (float, of buildings; 0 elsewhere) and `geometry`
            (polygons in the grid's CRS).
        lines: `kind` (one of `LINES`), `width_m` (float), `paved` (bool), `highway` (text or None)
            and `geometry` (lines in the grid's CRS). With `since` and `until` (int) a line is there
            from the one date's index on and before the other's.
        seed: Of all that the layout does not say: crops, trees, houses nobody has drawn.
        scenery: What lies over the areas and under houses' and roads' lines (`scenery.py`), in the
            order of painting, or None: `material`, `mixed` (another material), `share` of it,
            `patch_m`, `height_m`, `since`, `until` and `geometry` (polygons in the grid's CRS).
            No house stands on it.
    """

    grid: Grid
    areas: geopandas.GeoDataFrame
    lines: geopandas.GeoDataFrame
    seed: int
    scenery: geopandas.GeoDataFrame | None = None


def exists(table: geopandas.GeoDataFrame, date: int) -> NDArray[np.bool_]:
    """(rows,) bool: what of lines or scenery is there at the date of an index."""
    if "since" not in table:
        return np.ones(len(table), np.bool_)
    return np.asarray((table["since"] <= date) & (date < table["until"]), np.bool_)


def area_table(
    kinds: list[str], shapes: NDArray[np.object_], heights_m: NDArray[np.float64], crs: str
) -> geopandas.GeoDataFrame:
    """Areas as `Layout` has them; one row a shape."""
    return geopandas.GeoDataFrame({"kind": kinds, "height_m": heights_m}, geometry=shapes, crs=crs)
