"""The sub-pixel shift between labels and image: correlation over lags, its peak, its error."""

from dataclasses import dataclass

import geopandas
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import correlate
from scipy.stats import f as f_distribution

from swath.audit.response import Moments
from swath.grid import Grid
from swath.labels.burn import burn_mask
from swath.metrics.bootstrap import block_weights, resample

SEARCH_PX = 8
"""Shifts up to this are looked for, in each direction."""

LAGS = 2 * SEARCH_PX + 1
BLOCK_PX = 64
"""Side of the blocks that are drawn anew for the error: roads are alike within one."""

RESAMPLES = 200
LEAST_BLOCKS = 8
"""On fewer blocks no error can be told, and no shift is claimed."""

LOOSE_PX = 0.5
"""Where resamples scatter more than this, the peak is no peak. (Eight real cities: 0.03 to 0.1; the
same with their lines mirrored: 0.7 and more.)"""

_OVERSAMPLING = 4
_BLUR_PX = 0.7
"""Blur of the template: about what a pixel sees of a thin line."""

_LEVEL = 0.95

# Least squares of a quadratic surface on the 3 x 3 lags around a peak: (6, 9).
_DY, _DX = (axis.ravel().astype(float) for axis in np.mgrid[-1:2, -1:2])
_QUADRATIC = np.linalg.pinv(np.stack([np.ones(9), _DX, _DY, _DX**2, _DX * _DY, _DY**2], axis=1))


@dataclass(frozen=True, slots=True)
class Shift:
    """How far labels must be moved to lie on what the image shows.

    Attributes:
        east: Pixels to the east (negative: west).
        south: Pixels to the south (negative: north).
        east_error: Standard error of `east`, in pixels, from redrawn blocks.
        south_error: Standard error of `south`.
        significant: Whether no shift at all lies outside the 95 % confidence ellipse.
        ellipse: (2, 64) outline of that ellipse: east, south.
    """

    east: float
    south: float
    east_error: float
    south_error: float
    significant: bool
    ellipse: NDArray[np.float64]

    @property
    def length(self) -> float:
        """Pixels, whatever the direction."""
        return float(np.hypot(self.east, self.south))


@dataclass(frozen=True, slots=True)
class LagSums:
    """Sums over the pixels of blocks that give the correlation at every lag.

    Attributes:
        score: (blocks, 3) number of pixels, sum of the score, sum of its square.
        template: (blocks, 3, LAGS, LAGS) sums of the moved template, of its square, and of score
            times template; lag [i, j] is the template moved i - SEARCH_PX rows south and
            j - SEARCH_PX columns east.
    """

    score: NDArray[np.float64]
    template: NDArray[np.float64]

    def correlation(self, weights: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Pearson's correlation at every lag, (LAGS, LAGS); 0 where nothing varies.

        With weights (resamples, blocks), how often each block counts: (resamples, LAGS, LAGS).
        """
        counts = np.ones((1, len(self.score)), np.int64) if weights is None else weights
        number, total, square = np.moveaxis(resample(counts, self.score), 1, 0)[..., None, None]
        moved, moved_square, product = np.moveaxis(resample(counts, self.template), 1, 0)
        number = np.maximum(number, 1)
        covariance = product / number - total / number * (moved / number)
        spread = (square / number - (total / number) ** 2) * (moved_square / number - (moved / number) ** 2)
        pearson = np.where(spread > 1e-18, covariance / np.sqrt(np.maximum(spread, 1e-18)), 0.0)
        return np.asarray(pearson[0] if weights is None else pearson)


def template(shapes: geopandas.GeoSeries, grid: Grid) -> NDArray[np.float32]:
    """Lines as an image would show them if they were all it showed: thin and blurred.

    Args:
        shapes: Lines, or outlines of areas, in the grid's CRS.
        grid: Where.

    Returns:
        (H, W) float32: the share of a pixel's 4 x 4 parts that lines cross, blurred; about 0.13 on
        a straight line.
    """
    t = grid.transform
    parts = Affine(t.a / _OVERSAMPLING, 0.0, t.c, 0.0, t.e / _OVERSAMPLING, t.f)
    height, width = grid.shape
    fine = Grid(grid.crs, parts, (height * _OVERSAMPLING, width * _OVERSAMPLING))
    crossed = burn_mask(shapes, fine).reshape(height, _OVERSAMPLING, width, _OVERSAMPLING)
    share = crossed.mean(axis=(1, 3), dtype=np.float32)
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(share, _BLUR_PX, mode="constant")
    return blurred


def window_moments(
    response: NDArray[np.float32], drawn: NDArray[np.float32], mask: NDArray[np.bool_]
) -> Moments:
    """The moments of one window's response (F, h, w) with the template at every lag.

    `drawn` is the template of the window and `SEARCH_PX` around it; `mask` (h, w) says which
    pixels count.
    """
    chosen = response[:, mask].astype(np.float64)
    return Moments(
        int(mask.sum()),
        chosen.sum(axis=1),
        chosen @ chosen.T,
        _lagged(drawn, mask),
        _lagged(drawn**2, mask),
        np.stack([_lagged(drawn, np.where(mask, feature, 0)) for feature in response]),
    )


def window_sums(score: NDArray[np.float32], drawn: NDArray[np.float32], mask: NDArray[np.bool_]) -> LagSums:
    """The sums of one window's score (h, w), block by block; see `window_moments`."""
    sums, lagged = [], []
    for row in range(0, mask.shape[0], BLOCK_PX):
        for col in range(0, mask.shape[1], BLOCK_PX):
            inside = mask[row : row + BLOCK_PX, col : col + BLOCK_PX]
            values = np.where(inside, score[row : row + BLOCK_PX, col : col + BLOCK_PX], 0)
            height, width = inside.shape
            around = drawn[row : row + height + LAGS - 1, col : col + width + LAGS - 1]
            sums.append([inside.sum(), values.sum(), (values.astype(np.float64) ** 2).sum()])
            lagged.append([_lagged(around, inside), _lagged(around**2, inside)])
            lagged[-1].append(_lagged(around, values))
    return LagSums(np.array(sums, np.float64), np.array(lagged))


def _lagged(drawn: NDArray[np.float32], values: NDArray[np.generic]) -> NDArray[np.float64]:
    """(LAGS, LAGS) sums of `values` times the template moved by every lag."""
    moved = correlate(drawn.astype(np.float64), values.astype(np.float64), mode="valid", method="fft")
    # Looking at the template i rows further south is moving it i rows north.
    return np.asarray(moved[::-1, ::-1])


def best_lag(moments: Moments) -> tuple[int, int]:
    """The lag [i, j], not at the border, at which the responses explain most of the template."""
    inner = moments.explained()[1:-1, 1:-1]
    row, col = np.unravel_index(np.argmax(inner), inner.shape)
    return int(row) + 1, int(col) + 1


def peaks(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2) where n surfaces (LAGS, LAGS) of correlation are highest: pixels east and south.

    It is the top of the quadratic surface that fits the 3 x 3 lags around the highest one (not at
    the border).
    """
    tops = []
    for surface in correlation:
        row, col = np.unravel_index(np.argmax(surface[1:-1, 1:-1]), (LAGS - 2, LAGS - 2))
        values = surface[row : row + 3, col : col + 3].ravel()
        _, x, y, xx, xy, yy = _QUADRATIC @ values
        determinant = 4 * xx * yy - xy**2
        east = south = 0.0
        if determinant > 0 and xx < 0:
            east = (xy * y - 2 * yy * x) / determinant
            south = (xy * x - 2 * xx * y) / determinant
        tops.append((col + 1 - SEARCH_PX + np.clip(east, -1, 1), row + 1 - SEARCH_PX + np.clip(south, -1, 1)))
    return np.array(tops)


def find_shift(dates: list[LagSums], seed: int = 0) -> Shift | None:
    """The shift that labels need, with its error.

    Args:
        dates: Sums of one or more images of the same blocks. With several, the shift is the mean
            of theirs.
        seed: Same seed, same error.

    Returns:
        None where there are fewer than 8 blocks, or where redrawn blocks scatter by more than
        half a pixel: the image does not show the labels, or they are off by more than the search.
    """
    used = np.any([sums.score[:, 0] > 0 for sums in dates], axis=0)
    blocks = int(used.sum())
    if blocks < LEAST_BLOCKS:
        return None
    kept = [LagSums(sums.score[used], sums.template[used]) for sums in dates]
    weights = block_weights(blocks, RESAMPLES, seed)
    middle = np.mean([peaks(sums.correlation()[None])[0] for sums in kept], axis=0)
    drawn = np.mean([peaks(sums.correlation(weights)) for sums in kept], axis=0)
    covariance = np.cov(drawn.T) + 1e-6 * np.eye(2)
    if np.sqrt(np.diag(covariance)).max() > LOOSE_PX:
        return None
    # Hotelling: the covariance itself is known from so many blocks only.
    reach = 2 * (blocks - 1) / (blocks - 2) * f_distribution.ppf(_LEVEL, 2, blocks - 2)
    angle = np.linspace(0, 2 * np.pi, 64)
    circle = np.sqrt(reach) * np.stack([np.cos(angle), np.sin(angle)])
    first_error, second_error = np.sqrt(np.diag(covariance))
    return Shift(
        float(middle[0]),
        float(middle[1]),
        float(first_error),
        float(second_error),
        bool(middle @ np.linalg.solve(covariance, middle) > reach),
        middle[:, None] + np.linalg.cholesky(covariance) @ circle,
    )
