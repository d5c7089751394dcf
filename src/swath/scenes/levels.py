"""What a scene's own numbers say of its day, so that an encoding can take it away."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from swath.grid import Grid, Window
from swath.sentinel2 import (
    DARK_LEVEL,
    STANDARD_MEDIAN,
    STANDARD_SPREAD,
    Encoding,
    ImageSettings,
    valid_mask,
)

FROM_SCENE: tuple[Encoding, ...] = ("dos", "standardised")
"""The encodings that depend on the whole scene."""

DARK_PERCENT = 1
"""So many per cent of a scene's pixels are at its dark level or below."""

IQR_OF_NORMAL = 1.349
"""Between the quartiles of a normal distribution lie so many of its standard deviations."""

SAMPLES = 256
SAMPLE_PX = 32
"""Where a scene is large, its levels are those of so many windows of this side."""

CELL_PX = 600
"""A large scene is standardised by its surroundings, in cells of about this side (6 km at 10 m):
about as large as the towns that one learns from. By the whole scene, a town in a plain and the same
town in a forest would look unlike."""

STRIP_EVERY = 4
"""One in so many rows of windows is looked at for the levels of cells, and every other column."""

LEAST_PIXELS = 2000
"""A cell of which fewer were seen has the levels of the nearest cell that has more."""

CLOUD_BLUE = 3000.0
"""Reflectance x 10000 in blue that hardly anything on the ground reaches but snow: of 18 real
towns 0.4 % of the pixels in the mean and 2.1 % at most (white roofs). A thick cloud has twice
it."""

LEAST_CLEAR = 0.1
"""Where less of a scene is darker, the brightness is taken for the ground's: snow, salt."""

Reflectance = NDArray[np.uint16] | NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """How a scene is stored: gain x (reflectance x 10000) + offset, a band and a cell of its grid.

    Gains (above 0) and offsets are (C, rows, columns) float64. From the centre of a cell to that of
    the next they change linearly; one cell is the same level everywhere.
    """

    grid: Grid
    gains: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def apply(self, values: NDArray[np.float32], band: int, part: Grid) -> NDArray[np.float32]:
        """Reflectance x 10000 of one band, NaN = no data, as it is to be stored, not yet rounded.

        `values` (H, W) lie on `part`, a part of the grid.
        """
        to_whole = ~self.grid.transform @ part.transform
        first_row, first_col = round(to_whole.f), round(to_whole.c)
        _, down, across = self.gains.shape
        cols = _cells(first_col + np.arange(part.width), self.grid.width, across)
        numbers = np.empty_like(values)
        for top in range(0, part.height, SAMPLE_PX):  # the fields of all rows would be large
            some = slice(top, min(top + SAMPLE_PX, part.height))
            lines = first_row + np.arange(some.start, some.stop)
            rows = _cells(lines, self.grid.height, down)
            gain, offset = (
                _between(field[band], rows, cols).astype(np.float32) for field in (self.gains, self.offsets)
            )
            numbers[some] = values[some] * gain + offset
        return numbers


def overlook_clouds(values: Reflectance, bands: Sequence[str]) -> Reflectance:
    """Leave out what is as bright as a cloud, and what lies in the shadow of one.

    A shadow is as large as its cloud and falls as often on ground as on other clouds: so of what is
    no cloud goes the same share as of all, the darkest. Without clouds, white roofs and some dark
    pixels go, which moves quartiles by some hundredths of a spread.

    Args:
        values: (C, N) reflectance x 10000, all with data.
        bands: Their C names; without blue (B02) nothing is taken for a cloud.

    Returns:
        (C, n), in another order; n = 0 where hardly any are left (`LEAST_CLEAR`).

    Source: not in the paper; the brightness tests of cloud masks since Fmask (Zhu & Woodcock 2012).
    A guard, no cloud mask: thin clouds stay.
    """
    if "B02" not in bands:
        return values
    bright = values[list(bands).index("B02")] > CLOUD_BLUE
    clouds = int(bright.sum())
    if not clouds:
        return values
    rest = values[:, ~bright]
    if rest.shape[1] < LEAST_CLEAR * values.shape[1]:
        return rest[:, :0]
    shadows = clouds * rest.shape[1] // values.shape[1]
    order = np.argpartition(rest.sum(axis=0, dtype=np.float32), shadows)
    return rest[:, order[shadows:]]


def fit_levels(values: Reflectance, image: ImageSettings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The level of each band of (C, N) reflectance x 10000 of sampled pixels, all with data.

    `dos` moves each band so that its first percentile lies at `DARK_LEVEL`: even haze goes away.
    `standardised` moves and stretches it so that its median lies at `STANDARD_MEDIAN` and its
    spread, the quartiles' distance over that of a normal distribution of deviation 1 and at least
    `image.least_spread`, is `STANDARD_SPREAD`: whatever changes a band by a factor and an offset
    goes away, be it the sun, even haze, the product's level or the sensor's calibration. Quartiles,
    since a lake over less than a quarter of the scene moves them little; clouds are overlooked,
    unless there is hardly anything else.

    Returns:
        (C,) gains and (C,) offsets; without pixels they change nothing.

    Source: not in the paper, which shows its networks fixed 8-bit views. Dark object subtraction:
    Chavez 1988, with a percentile instead of a histogram's foot.
    """
    ones = np.ones(len(values))
    if not values.size:
        return ones, 0 * ones
    if image.encoding == "dos":
        dark = np.percentile(values, DARK_PERCENT, axis=1).astype(np.float64)
        return ones, DARK_LEVEL - dark
    clear = overlook_clouds(values, image.bands)
    values = clear if clear.size else values
    low, middle, high = np.percentile(values, (25, 50, 75), axis=1).astype(np.float64)
    gains = STANDARD_SPREAD / np.maximum((high - low) / IQR_OF_NORMAL, image.least_spread)
    return gains, STANDARD_MEDIAN - middle * gains


def plan_cells(shape: tuple[int, int], encoding: Encoding) -> tuple[int, int]:
    """Rows and columns of cells for a grid of `shape`; (1, 1) where the whole has one level."""
    if encoding == "dos":
        return 1, 1
    return max(1, round(shape[0] / CELL_PX)), max(1, round(shape[1] / CELL_PX))


def surroundings(cell: int, cells: int, length: int) -> slice:
    """The pixels along an axis that decide a cell's levels: half a cell more on each side."""
    side = length / cells
    return slice(max(0, math.floor((cell - 0.5) * side)), min(length, math.ceil((cell + 1.5) * side)))


def plan_samples(whole: Window) -> tuple[Window, ...]:
    """Up to `SAMPLES` windows of `SAMPLE_PX`, evenly spread; the whole where it is small."""
    side = math.isqrt(SAMPLES)
    if max(whole.height, whole.width) <= side * SAMPLE_PX:
        return (whole,)

    def starts(first: int, length: int) -> list[int]:
        last = max(0, length - SAMPLE_PX)
        return sorted({first + round(step * last / (side - 1)) for step in range(side)})

    return tuple(
        Window(row, col, SAMPLE_PX, SAMPLE_PX).intersect(whole)
        for row in starts(whole.row, whole.height)
        for col in starts(whole.col, whole.width)
    )


def plan_strips(shape: tuple[int, int]) -> tuple[Window, ...]:
    """Strips as wide as the grid and `SAMPLE_PX` high, one in `STRIP_EVERY`, from the first row."""
    return tuple(
        Window(row, 0, min(SAMPLE_PX, shape[0] - row), shape[1])
        for row in range(0, shape[0], SAMPLE_PX * STRIP_EVERY)
    )


def fit_cells(grid: Grid, image: ImageSettings, read: Callable[[Window], NDArray[np.uint16]]) -> Levels:
    """The levels of a grid, from samples of it, so that time and memory are bounded.

    A grid of one cell is sampled evenly (`plan_samples`), one of several in strips (`plan_strips`).
    A cell without data, or under cloud, has the levels of the nearest cell that has clear ground;
    where none has (snow), every cell has those of what is seen there. Where all cells together have
    hardly any data (the corner of a swath), they are one cell.

    Args:
        grid: The scene's.
        image: The bands, and an encoding of `FROM_SCENE`.
        read: Window of the grid -> (C, h, w) reflectance x 10000; 0 in all bands = no data. Each
            window is asked for once; strips that one row of cells needs are in memory together.
    """
    rows, cols = plan_cells(grid.shape, image.encoding)
    if rows == cols == 1:
        return _one_cell(grid, image, list(_sampled(grid, read)))
    bands = len(image.bands)
    gains, offsets = np.ones((bands, rows, cols)), np.zeros((bands, rows, cols))
    seen, clear = np.zeros((2, rows, cols), bool)
    strips = plan_strips(grid.shape)
    kept: dict[int, NDArray[np.uint16]] = {}  # by first row, every other column
    few = []  # what cells saw that had not enough of it
    for row in range(rows):
        near = surroundings(row, rows, grid.height)
        wanted = [s for s in strips if s.row < near.stop and s.row_end > near.start]
        kept = {s.row: kept[s.row] if s.row in kept else read(s)[..., ::2] for s in wanted}
        for col in range(cols):
            side = surroundings(col, cols, grid.width)
            half = slice(side.start // 2, -(-side.stop // 2))
            pixels = np.concatenate([strip[..., half] for strip in kept.values()], axis=1)
            values = _with_data(pixels)
            seen[row, col] = values.shape[1] >= LEAST_PIXELS
            if not seen[row, col]:
                few.append(values)
                continue
            ground = overlook_clouds(values, image.bands)
            clear[row, col] = ground.shape[1] >= LEAST_PIXELS
            gains[:, row, col], offsets[:, row, col] = fit_levels(
                ground if clear[row, col] else values, image
            )
    if not seen.any():
        return _one_cell(grid, image, few)
    known = clear if clear.any() else seen
    if not known.all():
        near_cells = distance_transform_edt(~known, return_distances=False, return_indices=True)
        gains, offsets = (field[:, near_cells[0], near_cells[1]] for field in (gains, offsets))
    return Levels(grid, gains, offsets)


def _sampled(grid: Grid, read: Callable[[Window], NDArray[np.uint16]]) -> Iterator[NDArray[np.uint16]]:
    """(C, n) of every sample. Those of the same rows are read at once: to warp costs less than to begin."""
    for row, samples in groupby(plan_samples(grid.window), key=attrgetter("row")):
        side_by_side = tuple(samples)
        strip = read(Window(row, 0, side_by_side[0].height, grid.width))
        yield from (_with_data(strip[..., sample.col : sample.col_end]) for sample in side_by_side)


def _with_data(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """(C, H, W) -> (C, n): those that hold a measurement."""
    return pixels[:, valid_mask(pixels)]


def _one_cell(grid: Grid, image: ImageSettings, values: list[NDArray[np.uint16]]) -> Levels:
    gains, offsets = fit_levels(np.concatenate(values, axis=1), image)
    return Levels(grid, gains[:, None, None], offsets[:, None, None])


def _cells(pixels: NDArray[np.int_], length: int, cells: int) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Pixels along an axis -> the cell whose centre lies before each, and how far beyond, 0..1."""
    at = np.clip((pixels + 0.5) / length * cells - 0.5, 0, cells - 1)
    first = np.minimum(at.astype(int), max(0, cells - 2))
    return first, at - first


def _between(
    field: NDArray[np.float64],
    rows: tuple[NDArray[np.int_], NDArray[np.float64]],
    cols: tuple[NDArray[np.int_], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """(rows, columns) at the cells' centres -> (H, W): linear between them, level beyond."""
    (row, down), (col, right) = rows, cols
    below, beside = np.minimum(row + 1, len(field) - 1), np.minimum(col + 1, field.shape[1] - 1)
    lines = field[row] * (1 - down)[:, None] + field[below] * down[:, None]
    return lines[:, col] * (1 - right) + lines[:, beside] * right
