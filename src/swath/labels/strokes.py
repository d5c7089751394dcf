"""Drawing many lines at once: chains of pixels, and strokes of a width in metres.

GDAL takes one geometry after the other through Python, 0.1 ms each on a good day. Here the segments
of all lines are one array, worked on in pieces that fit a processor's cache; memory does not grow
with the number of lines.
"""

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.grid import Grid

_PIECE = 1 << 16
"""Pixels (or rows of strokes) that are worked out at a time: a dozen arrays of them fit a cache."""

_BATCH = 1 << 14
"""Lines whose segments are laid out at a time."""

_TIE_PX = 1e-9
"""Rounding: a pixel whose centre is exactly at half the width counts."""


def draw_chains(mask: NDArray[np.bool_], lines: NDArray[np.object_], grid: Grid) -> None:
    """Set the pixels of lines, one pixel wide: the chains that GDAL's line drawing makes.

    A segment runs by Bresenham's algorithm from the pixel that its start lies in to that of its
    end. Only where a point lies on the border of two pixels may rounding set GDAL apart. Lines are
    in the grid's CRS; what is outside the grid is left out.
    """
    for at in range(0, len(lines), _BATCH):
        _draw_chains(mask, _segments(lines[at : at + _BATCH], grid)[0], grid)


def _draw_chains(mask: NDArray[np.bool_], ends: NDArray[np.float64], grid: Grid) -> None:
    # A pixel of 1e9 is as far outside as any, and the integers below do not overflow.
    pixels = np.floor(np.clip(ends, -1e9, 1e9)).astype(np.int64)
    start, delta = pixels[:, 0], pixels[:, 1] - pixels[:, 0]
    step, length = np.where(delta < 0, -1, 1), np.abs(delta)
    # The major axis (0 = column, 1 = row) is the one with more steps.
    major = (length[:, 1] > length[:, 0]).astype(np.int64)
    rows = np.arange(len(major))
    origin, sign, steps = (values[rows, major] for values in (start, step, length))
    size = np.array([grid.width, grid.height])[major]
    # Only the steps inside the grid, as seen along the major axis.
    first = np.maximum(0, np.where(sign > 0, -origin, origin - size + 1))
    last = np.minimum(steps, np.where(sign > 0, size - 1 - origin, origin))
    minor_origin, minor_sign = start[rows, 1 - major], step[rows, 1 - major]
    rise, run = 2 * length[rows, 1 - major], 2 * np.maximum(steps, 1)
    flat = mask.reshape(-1)
    for which, k in _expanded(first, last):
        # What Bresenham's error term has added up to after k steps; halves count as GDAL does.
        aside = (rise[which] * k + (run[which] >> 1)) // run[which]
        along = origin[which] + sign[which] * k
        across = minor_origin[which] + minor_sign[which] * aside
        steep = major[which] == 1
        row, col = np.where(steep, along, across), np.where(steep, across, along)
        inside = (row >= 0) & (row < grid.height) & (col >= 0) & (col < grid.width)
        flat[(row * grid.width + col)[inside]] = True


def draw_strokes(
    mask: NDArray[np.bool_],
    lines: NDArray[np.object_],
    widths_m: NDArray[np.float64],
    grid: Grid,
) -> None:
    """Set the pixels whose centre is within half its width of a line, round at the ends.

    A stroke is at least one pixel wide (the larger side of a pixel), and so has no gap. Its area is
    its length times its width, on average over where pixels fall, in every direction; which is not
    so for chains of pixels. The unit of the grid's CRS, which is that of the lines, is the metre.
    """
    size = np.array(grid.resolution)
    radii = np.maximum(widths_m, size.max()) / 2 + _TIE_PX * size.max()
    for at in range(0, len(lines), _BATCH):
        ends, owner = _segments(lines[at : at + _BATCH], grid)
        # Metres right of and below the grid's corner.
        _draw_strokes(mask, ends * size, radii[at : at + _BATCH][owner], grid)


def _draw_strokes(
    mask: NDArray[np.bool_], ends: NDArray[np.float64], radius: NDArray[np.float64], grid: Grid
) -> None:
    size = np.array(grid.resolution)
    (x_size, y_size), (height, width) = size, grid.shape
    top = np.ceil((ends[:, :, 1].min(axis=1) - radius) / y_size - 0.5)
    bottom = np.floor((ends[:, :, 1].max(axis=1) + radius) / y_size - 0.5)
    first = np.clip(top, 0, height).astype(np.int64)
    last = np.clip(bottom, -1, height - 1).astype(np.int64)
    flat = mask.reshape(-1)
    for which, row in _expanded(first, last):
        left, right = _crossing(ends[which], radius[which], (row + 0.5) * y_size)
        col = np.clip(np.ceil(left / x_size - 0.5), 0, width).astype(np.int64)
        col_end = np.clip(np.floor(right / x_size - 0.5), -1, width - 1).astype(np.int64)
        for run, at in _expanded(col, col_end):
            flat[row[run] * width + at] = True


def _segments(lines: NDArray[np.object_], grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Segments as (N, 2 ends, 2: column and row) in pixels, and the line that each belongs to."""
    points, line = shapely.get_coordinates(lines, return_index=True)
    pixels = (points - (grid.transform.c, grid.transform.f)) / (grid.transform.a, grid.transform.e)
    joined = line[1:] == line[:-1]
    return np.stack([pixels[:-1][joined], pixels[1:][joined]], axis=1), line[1:][joined]


def _expanded(
    first: NDArray[np.int64], last: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """All numbers `first..last` of every range, in pieces: (index of the range, number)."""
    counts = np.maximum(last - first + 1, 0)
    ends = np.cumsum(counts)
    at = 0
    while at < len(counts):
        done = ends[at - 1] if at else 0
        # At least one range a piece; a range is no longer than a side of the grid.
        stop = max(at + 1, int(np.searchsorted(ends, done + _PIECE, side="right")))
        part = counts[at:stop]
        which = np.repeat(np.arange(at, stop), part)
        within = np.arange(len(which)) - np.repeat(ends[at:stop] - part - done, part)
        yield which, first[which] + within
        at = stop


def _crossing(
    ends: NDArray[np.float64], radius: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where horizontal lines enter and leave strokes: left and right x; left > right if nowhere.

    A stroke is convex: two discs and the rectangle between them, so that what it cuts from a line
    is one piece, from the leftmost to the rightmost of the three.
    """
    (x0, y0), (x1, y1) = ends[:, 0].T, ends[:, 1].T
    left, right = np.full(len(y), np.inf), np.full(len(y), -np.inf)
    for x_end, y_end in ((x0, y0), (x1, y1)):
        square = radius**2 - (y - y_end) ** 2
        half = np.where(square >= 0, np.sqrt(np.maximum(square, 0)), -np.inf)
        left, right = np.minimum(left, x_end - half), np.maximum(right, x_end + half)
    length = np.hypot(x1 - x0, y1 - y0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        # Where the four sides' lines are met. A division by zero gives infinities, which are right,
        # but for 0/0: there the line runs along a side, and the discs reach as far.
        side, opposite = ((y - y0) * ux - radius) / uy, ((y - y0) * ux + radius) / uy
        near, far = -(y - y0) * uy / ux, (length - (y - y0) * uy) / ux
        inner_left = np.maximum(np.minimum(side, opposite), np.minimum(near, far))
        inner_right = np.minimum(np.maximum(side, opposite), np.maximum(near, far))
    crossed = inner_left <= inner_right  # False with NaN
    left = np.where(crossed, np.minimum(left, x0 + inner_left), left)
    right = np.where(crossed, np.maximum(right, x0 + inner_right), right)
    return left, right
