"""The map that people have drawn of a place: not quite what is on the ground."""

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from swath.grid import Window
from swath.legend import LegendClass
from swath.simulate.layout import GROUND, Layout
from swath.simulate.parameters import Mapper
from swath.simulate.pattern import chance, hills


def _first_tag(kind: LegendClass) -> tuple[str, str]:
    key, (value, *_) = next(iter(kind.tags.items()))
    return key, "yes" if value == "*" else value


TAGS = {c.name: _first_tag(c) for c in GROUND.tagged if _first_tag(c)[0] != "highway"}
"""Kind of ground -> the OSM tag that legends look at; roads keep their own `highway`."""

KEYS = ("highway", "width", *dict.fromkeys(key for key, _ in TAGS.values()))


def draw_truth(layout: Layout) -> geopandas.GeoDataFrame:
    """Everything of a layout as OSM would have it: `KEYS` (text or None) and `geometry`."""
    table = pd.concat([layout.areas, layout.lines], ignore_index=True)
    columns: dict[str, list[str | None]] = {key: [None] * len(table) for key in KEYS}
    for at, kind in enumerate(table["kind"]):
        if kind in TAGS:
            key, value = TAGS[kind]
            columns[key][at] = value
    columns["highway"] = [v if isinstance(v, str) else None for v in table["highway"]]
    columns["width"] = [
        f"{width:g}" if highway else None
        for width, highway in zip(table["width_m"], columns["highway"], strict=True)
    ]
    return geopandas.GeoDataFrame(columns, geometry=table.geometry.values, crs=layout.grid.crs)


def draw_map(truth: geopandas.GeoDataFrame, layout: Layout, mapper: Mapper) -> geopandas.GeoDataFrame:
    """What mappers made of the truth (`draw_truth`): roads are missing, all lies a little off."""
    rng = np.random.default_rng((layout.seed, 404))
    usual = dict(mapper.missing)
    other = usual.get("residential", 0) / 2
    roads = truth["highway"]
    missing = [usual.get(road, other) if isinstance(road, str) else 0.0 for road in roads]
    drawn = truth[rng.random(len(truth)) >= np.array(missing, np.float64)].copy()
    transform = ~layout.grid.transform
    window = layout.grid.window.grow(40)
    step = 8
    coarse = Window(
        window.row // step, window.col // step, window.height // step + 2, window.width // step + 2
    )
    off = [
        mapper.shift_m * hills(coarse, mapper.shift_px / step, layout.seed * 1000 + 500 + axis)
        for axis in (0, 1)
    ]

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        cols, rows = transform @ (points[:, 0], points[:, 1])
        where = np.stack([rows / step - coarse.row - 0.5, cols / step - coarse.col - 0.5])
        shifts = np.stack([map_coordinates(field, where, order=1, mode="nearest") for field in off], axis=1)
        # A vertex that lines share must move with all of them: the jitter hangs on its place.
        keys = np.rint(points * 10).astype(np.int64)
        jitter = _jitter(keys, layout.seed)
        moved: NDArray[np.float64] = points + shifts + mapper.jitter_m * jitter
        return moved

    shapes = shapely.transform(drawn.geometry.values, move)
    drawn["geometry"] = shapely.make_valid(shapes)
    return drawn.reset_index(drop=True)


def _jitter(keys: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """(n, 2) numbers of mean 0 and deviation 1 that hang on (n, 2) whole numbers."""
    draws = [
        sum(chance(keys[:, 0], keys[:, 1], seed * 1000 + 600 + 3 * axis + k) for k in range(3))
        for axis in (0, 1)
    ]
    return (np.stack([np.asarray(draw, np.float64) for draw in draws], axis=1) - 1.5) * 2
