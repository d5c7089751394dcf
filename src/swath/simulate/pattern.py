"""Patterns that depend on a place and a seed alone, so that blocks drawn apart fit together."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from swath.grid import Window

_KNOTS = 4
"""Knots of a cubic B-spline that reach a point."""


def chance(
    a: NDArray[np.integer], b: NDArray[np.integer], salt: int | NDArray[np.integer]
) -> NDArray[np.float32]:
    """A fixed random number in [0, 1) for every pair of whole numbers (arrays that broadcast)."""
    with np.errstate(over="ignore"):
        bits = a.astype(np.uint32) * np.uint32(0x9E3779B1)
        bits = bits ^ (b.astype(np.uint32) * np.uint32(0x85EBCA77))
        bits = bits ^ (np.asarray(salt).astype(np.uint32) * np.uint32(0xC2B2AE3D))
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            bits ^= bits >> np.uint32(shift)
            bits *= np.uint32(factor)
        bits ^= bits >> np.uint32(16)
    # 24 bits fit a float32 exactly, so that 1 is never reached.
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def grain(window: Window, salt: int) -> NDArray[np.float32]:
    """White noise, one value in [0, 1) a cell: (h, w) float32."""
    rows = np.arange(window.row, window.row_end)[:, None]
    cols = np.arange(window.col, window.col_end)[None, :]
    return chance(rows, cols, salt)


def hills(window: Window, scale: float, salt: int, octaves: int = 1) -> NDArray[np.float32]:
    """Smooth random hills of mean 0 and standard deviation 1, about normally distributed.

    Args:
        window: Which cells; the same cell has the same height in every window.
        scale: Distance of the knots in cells: hills are about twice as wide.
        salt: Another number gives other hills.
        octaves: How many sizes of hills; each is half as wide and half as high as the one before.
    """
    total = np.zeros((window.height, window.width), np.float32)
    for octave in range(octaves):
        step = scale / 2**octave
        rows, first_row = _spline(window.row, window.height, step)
        cols, first_col = _spline(window.col, window.width, step)
        knots_y = first_row + np.arange(rows.shape[1])[:, None]
        knots_x = first_col + np.arange(cols.shape[1])[None, :]
        # The sum of three uniform numbers is close enough to a normal one.
        draws = [chance(knots_y, knots_x, 7919 * salt + 31 * octave + k) for k in range(3)]
        heights = (draws[0] + draws[1] + draws[2] - np.float32(1.5)) * 2
        total += (rows @ (cols @ heights.T).T) / 2**octave
    return total / np.float32(np.sqrt(sum(0.25**octave for octave in range(octaves))))


def _spline(first: int, count: int, step: float) -> tuple[sparse.csr_array, int]:
    """Cubic B-spline weights of `count` cells over knots `step` apart, of unit variance."""
    at = (first + 0.5 + np.arange(count)) / step
    knot = np.floor(at).astype(np.int64)
    t = at - knot
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    origin = int(knot[0]) - 1
    columns = (knot - 1 - origin)[:, None] + np.arange(_KNOTS)
    rows = np.arange(count + 1) * _KNOTS
    entries = (weights.astype(np.float32).ravel(), columns.ravel(), rows)
    return sparse.csr_array(entries, shape=(count, int(knot[-1]) - origin + 3)), origin
