"""A series over a layout: images, what hides the ground in them, and which road was there when."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import geopandas
import numpy as np
from numpy.typing import NDArray

from swath.progress import track
from swath.simulate.climate import draw_climate
from swath.simulate.day import Day
from swath.simulate.layout import Layout, exists
from swath.simulate.parameters import Parameters
from swath.simulate.render import Renderer


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedSeries:
    """A place and its pictures.

    Attributes:
        layout: What lies where and when, made-up houses included.
        days: When the pictures were taken, oldest first.
        images: (T, bands, H, W) uint16 reflectance at the top of the atmosphere x 10000, 1 to 30000.
        hidden: (T, H, W) bool: True where thick cloud or its shadow hides the ground.
    """

    layout: Layout
    days: tuple[Day, ...]
    images: NDArray[np.uint16]
    hidden: NDArray[np.bool_]


def at_date(layout: Layout, date: int) -> Layout:
    """A layout with the lines that are there at the date of an index."""
    return replace(layout, lines=layout.lines[exists(layout.lines, date)])


def dated_roads(layout: Layout, days: Sequence[Day]) -> geopandas.GeoDataFrame:
    """All roads, tracks and paths of all dates: `highway`, `width_m`, `from`, `until`, `geometry`.

    `from` is the first date that shows a road that came, `until` the first that lacks one that went
    (text, or missing); lines in the grid's CRS, exact, as wide as they are painted.
    """
    lines = layout.lines
    roads = lines[lines["highway"].notna()]
    first, last = roads.get("since", [0] * len(roads)), roads.get("until", [len(days)] * len(roads))
    dates = {at: str(day.date) for at, day in enumerate(days)}
    columns = {
        "highway": roads["highway"].to_numpy(),
        "width_m": roads["width_m"].to_numpy(float),
        "from": np.array([dates[at] if at > 0 else None for at in first], object),
        "until": np.array([dates.get(at) for at in last], object),
    }
    return geopandas.GeoDataFrame(columns, geometry=roads.geometry.values, crs=lines.crs)


def simulate_series(
    layout: Layout, days: Sequence[Day], bands: Sequence[str], values: Parameters | None = None
) -> SimulatedSeries:
    """Take pictures of a layout.

    Args:
        layout: See `read_layout`, `add_landscapes`, `add_changes`.
        days: See `plan_days`, `plan_series`.
        bands: Of `materials.BANDS`.
        values: How all looks.

    Raises:
        InputError: A band that is not simulated, or one twice.
    """
    values = values or Parameters()
    _, south, _, north = layout.grid.lonlat_bounds
    climate = draw_climate((south + north) / 2, layout.seed)
    renderer = Renderer(layout, climate, days, bands, values)
    for block in track(renderer.blocks, "drawing the ground"):
        renderer.draw(block)
    _, images, hidden = zip(*renderer.pictures(), strict=True)
    return SimulatedSeries(renderer.layout, tuple(days), np.stack(images), np.stack(hidden))
