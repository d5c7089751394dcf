"""The map that people have drawn of a place: not quite what is on the ground."""

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from swath.grid import Window
from swath.simulate.layout import Layout
from swath.simulate.parameters import Mapper
from swath.simulate.pattern import chance, hills

TAGS: dict[str, tuple[str, str]] = {
    "residential": ("landuse", "residential"),
    "works": ("landuse", "industrial"),
    "farmland": ("landuse", "farmland"),
    "meadow": ("landuse", "meadow"),
    "orchard": ("landuse", "orchard"),
    "scrub": ("natural", "scrub"),
    "forest": ("landuse", "forest"),
    "bare": ("natural", "bare_rock"),
    "square": ("amenity", "parking"),
    "park": ("leisure", "park"),
    "water": ("natural", "water"),
    "building": ("building", "yes"),
    "waterway": ("waterway", "stream"),
    "railway": ("railway", "rail"),
}
"""Kind of ground -> the OSM tag that legends look at; roads keep their own `highway`."""

KEYS = ("highway", "width", *dict.fromkeys(key for key, _ in TAGS.values()))


def draw_truth(layout: Layout) -> geopandas.GeoDataFrame:
    """Everything of a layout as OSM would have it, exact and complete.

    Returns:
        Columns `KEYS` (text or None) and `geometry`, in the grid's CRS.
    """
    table = pd.concat([layout.areas, layout.lines], ignore_index=True)
    columns: dict[str, list[str | None]] = {key: [None] * len(table) for key in KEYS}
    for at, kind in enumerate(table["kind"]):
        if kind in TAGS:
            key, value = TAGS[kind]
            columns[key][at] = value
    if "highway" in table:
        columns["highway"] = [v if isinstance(v, str) else None for v in table["highway"]]
        columns["width"] = [
            f"{width:g}" if isinstance(highway, str) else None
            for width, highway in zip(table["width_m"], table["highway"], strict=True)
        ]
    return geopandas.GeoDataFrame(columns, geometry=table.geometry.values, crs=layout.grid.crs)


def draw_map(
    truth: geopandas.GeoDataFrame, layout: Layout, mapper: Mapper
) -> geopandas.GeoDataFrame:
    """What mappers made of it: roads are missing, and all lies a little off.

    Args:
        truth: From `draw_truth`.
        layout: Gives the grid and the seed.
        mapper: How careful they were.

    Returns:
        As `truth`, with fewer rows.
    """
    rng = np.random.default_rng((layout.seed, 404))
    usual = dict(mapper.missing)
    missing = truth["highway"].map(
        lambda value: (
            usual.get(value, usual.get("residential", 0) / 2) if isinstance(value, str) else 0.0
        )
    )
    drawn = truth[rng.random(len(truth)) >= missing.to_numpy(np.float64)].copy()
    transform = ~layout.grid.transform
    pad = 40
    window = layout.grid.window.grow(pad)
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
        shifts = np.stack(
            [map_coordinates(field, where, order=1, mode="nearest") for field in off], axis=1
        )
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
