"""Parcels: the ground cut into plots, with another direction and size in every quarter."""

from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from swath.grid import Window
from swath.simulate.parameters import CELL_M
from swath.simulate.pattern import chance

T = TypeVar("T", bound=np.generic)

_QUARTER = 300
"""Distance of the quarters' middles in cells."""

_COARSE = 4
"""Borders of quarters are found in steps of this many cells."""


@dataclass(frozen=True, slots=True, eq=False)
class Parcels:
    """Plots on a window of cells.

    Attributes:
        strip: (h, w) int32, number of a plot's strip in its quarter.
        plot: (h, w) int32, its number in the strip.
        quarter: (h, w) int32.
        border_m: (h, w) float32 distance from its border.
        along_m: (h, w) float32 position along the strips.
        across_m: (h, w) float32 position across the strips.
    """

    strip: NDArray[np.int32]
    plot: NDArray[np.int32]
    quarter: NDArray[np.int32]
    border_m: NDArray[np.float32]
    along_m: NDArray[np.float32]
    across_m: NDArray[np.float32]

    def chance(self, salt: int) -> NDArray[np.float32]:
        """A random number in [0, 1) for every plot: (h, w) float32."""
        return chance(self.strip, self.plot, self.quarter.astype(np.int64) + salt)


def cut_parcels(cells: Window, seed: int) -> Parcels:
    """Cut cells into plots of 40-130 m by 80-380 m; a cell is in the same plot in every window."""
    first = (cells.row // _COARSE, cells.col // _COARSE)
    last = (-(-cells.row_end // _COARSE), -(-cells.col_end // _COARSE))
    y = (np.arange(first[0], last[0], dtype=np.float32)[:, None] + 0.5) * _COARSE
    x = (np.arange(first[1], last[1], dtype=np.float32)[None, :] + 0.5) * _COARSE
    quarter = _nearest(y, x, seed)
    draws = [chance(quarter, quarter, seed + 40 + k) for k in range(3)]
    angle = np.float32(np.pi) * draws[0]
    width, length = 40 + 90 * draws[1] ** 2, 80 + 300 * draws[2]
    part = cells.shift(-first[0] * _COARSE, -first[1] * _COARSE).slices

    def fine(values: NDArray[T]) -> NDArray[T]:
        return values.repeat(_COARSE, axis=0).repeat(_COARSE, axis=1)[part]

    rows = (np.arange(cells.row, cells.row_end, dtype=np.float32)[:, None] + 0.5) * CELL_M
    cols = (np.arange(cells.col, cells.col_end, dtype=np.float32)[None, :] + 0.5) * CELL_M
    cos, sin = fine(np.cos(angle)), fine(np.sin(angle))
    along, across = cols * cos + rows * sin, rows * cos - cols * sin
    wide, long, number = fine(width), fine(length), fine(quarter)
    v = across / wide
    strip = np.floor(v).astype(np.int32)
    u = along / long + chance(strip, number, seed + 50)
    plot = np.floor(u).astype(np.int32)
    v, u = v - np.floor(v), u - np.floor(u)
    border = np.minimum(np.minimum(v, 1 - v) * wide, np.minimum(u, 1 - u) * long)
    metres = (values.astype(np.float32) for values in (border, along, across))
    return Parcels(strip, plot, number.astype(np.int32), *metres)


def _nearest(y: NDArray[np.float32], x: NDArray[np.float32], seed: int) -> NDArray[np.int32]:
    """The quarter whose middle is nearest: the middles are the knots of a shaken lattice."""
    home_y, home_x = np.floor(y / _QUARTER), np.floor(x / _QUARTER)
    shape = (y.shape[0], x.shape[1])
    best = np.full(shape, np.inf, np.float32)
    nearest = np.zeros(shape, np.int32)
    for down, right in product((-1, 0, 1), repeat=2):
        knot_y, knot_x = (home_y + down).astype(np.int32), (home_x + right).astype(np.int32)
        away_y = (knot_y + chance(knot_y, knot_x, seed + 60)) * _QUARTER - y
        away_x = (knot_x + chance(knot_y, knot_x, seed + 61)) * _QUARTER - x
        distance = away_y**2 + away_x**2
        number = (knot_y & 0x7FFF) * 32768 + (knot_x & 0x7FFF)
        nearest = np.where(distance < best, number, nearest)
        best = np.minimum(distance, best)
    return nearest.astype(np.int32)
