"""Houses that nobody has drawn: rows along the streets of a built-up place."""

from dataclasses import replace

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from swath.grid import Grid
from swath.simulate.layout import PIXEL_M, Layout, area_table
from swath.simulate.parameters import Fill

_STEP_PX = 4
"""Side of the cells of the density, in pixels."""

_MARGIN = 10
"""Cells of the density around the grid."""

_STREETS = frozenset(
    ("primary", "secondary", "tertiary", "unclassified", "residential", "living_street", "road")
)


class Density:
    """Kilometres of road per square kilometre, blurred over 200 m; and where houses are mapped."""

    def __init__(self, layout: Layout) -> None:
        """Measure a layout: its roads, but no paths and tracks."""
        grid = layout.grid
        wide = grid.crop(grid.window.grow(_MARGIN * _STEP_PX))
        side = _STEP_PX * PIXEL_M
        shape = (-(-wide.height // _STEP_PX), -(-wide.width // _STEP_PX))
        self._grid = Grid(grid.crs, wide.transform @ wide.transform.scale(_STEP_PX, _STEP_PX), shape)
        roads = layout.lines.geometry[layout.lines["kind"] == "road"].values
        metres = self._count(shapely.get_coordinates(shapely.segmentize(roads, PIXEL_M)))
        # A line cut into pieces of at most 10 m has about one vertex for each 7.5 m.
        length = shapely.length(roads).sum()
        metres *= length / max(metres.sum(), 1)
        self.km_per_km2 = gaussian_filter(metres / side**2 * 1000, 200 / side, mode="constant")
        drawn = layout.areas.geometry[layout.areas["kind"] == "building"].values
        centres = shapely.get_coordinates(shapely.centroid(drawn))
        self.mapped = gaussian_filter(self._count(centres), 120 / side, mode="constant") > 0.01

    def _count(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        cols, rows = (~self._grid.transform) @ (points[:, 0], points[:, 1])
        edges = [np.arange(n + 1) for n in self._grid.shape]
        return np.asarray(np.histogram2d(np.floor(rows), np.floor(cols), edges)[0])

    def at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
        """The density in km/km2 at places (x, y) in the grid's CRS; three arrays of one shape."""
        cols, rows = (~self._grid.transform) @ (x, y)
        field = self.km_per_km2.astype(np.float32)
        where = np.stack([rows - 0.5, cols - 0.5])
        return np.asarray(map_coordinates(field, where, order=1, mode="nearest"))

    def has_houses(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether houses are mapped near places (x, y) in the grid's CRS; arrays of one shape."""
        cols, rows = (~self._grid.transform) @ (x, y)
        last = np.array(self.mapped.shape)[:, None] - 1
        row, col = np.clip([rows, cols], 0, last).astype(np.int64)
        return np.asarray(self.mapped[row, col])


def add_houses(layout: Layout, density: Density, fill: Fill) -> Layout:
    """Line the streets with houses where the place is built-up and no house is mapped nearby."""
    rng = np.random.default_rng((layout.seed, 11))
    streets = layout.lines[layout.lines["highway"].isin(_STREETS)]
    middle, along, setback, km = _plots(streets, density, fill, rng)
    if len(middle) == 0:
        return layout
    spacing = _between(km, fill.house_spacing_m)
    depth = _between(km, fill.house_depth_m) * rng.uniform(0.8, 1.25, len(km))
    front = spacing * np.clip(rng.uniform(0.5, 0.85, len(km)) + 0.02 * (km - 8), 0.4, 1.0)
    height = _between(km, fill.house_height_m) * np.exp(rng.normal(0, 0.25, len(km)))
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    side = rng.choice([-1.0, 1.0], len(km))[:, None]
    centre = middle + side * across * (setback + depth / 2)[:, None]
    a, b = along * front[:, None] / 2, across * depth[:, None] / 2
    rings = np.stack([centre - a - b, centre + a - b, centre + a + b, centre - a + b], axis=1)
    houses = shapely.polygons(rings)
    table = area_table(["building"] * len(houses), houses, height, layout.grid.crs)
    areas = pd.concat([layout.areas, table], ignore_index=True)
    return replace(layout, areas=geopandas.GeoDataFrame(areas, crs=layout.grid.crs))


def _plots(
    streets: geopandas.GeoDataFrame, density: Density, fill: Fill, rng: np.random.Generator
) -> tuple[NDArray[np.float64], ...]:
    """Points on streets before houses: (n, 2) place, (n, 2) direction, (n,) setback, density."""
    lines, street = shapely.get_parts(streets.geometry.values, return_index=True)
    width = streets["width_m"].to_numpy()[street]
    length = shapely.length(lines)
    # Points at the closest spacing on either side; where houses stand wider apart, fewer are kept.
    closest = min(fill.house_spacing_m)
    count = (2 * length / closest).astype(np.int64)
    owner = np.repeat(np.arange(len(lines)), count)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    position = (number // 2 + 0.5) * closest
    keep = position < length[owner] - 4
    owner, position = owner[keep], position[keep]
    here = shapely.get_coordinates(shapely.line_interpolate_point(lines[owner], position))
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(lines[owner], position + 1))
    along = ahead - here
    size = np.hypot(along[:, 0], along[:, 1])
    km = density.at(here[:, 0], here[:, 1])
    share = np.interp(km, fill.road_density, fill.built) * fill.house_share
    share *= closest / _between(km, fill.house_spacing_m)
    keep = (rng.random(len(km)) < share) & (size > 0.1) & ~density.has_houses(*here.T)
    here, along, km, owner = here[keep], along[keep] / size[keep, None], km[keep], owner[keep]
    setback = width[owner] / 2 + np.interp(km, (5, 16), (6.0, 2.5)) * rng.uniform(0.6, 1.5, len(km))
    return here, along, setback, km.astype(np.float64)


def _between(km: NDArray[np.floating], ends: tuple[float, float]) -> NDArray[np.float64]:
    """A value given at 6 and at 16 km of road per square kilometre."""
    return np.asarray(np.interp(km, (6.0, 16.0), ends))
