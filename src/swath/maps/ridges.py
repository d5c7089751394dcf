"""The ridges of a probability map: where roads run, before they are lines."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

FINE_M, COARSE_M = 9.0, 20.0
"""Scales (standard deviations of a Gaussian) at which ridges are seen: of streets, and of wide roads."""

RIDGE = 0.03
"""Curvature across a ridge, at least: in probability per scale squared."""

VALLEY = 0.06
"""Curvature across a valley between two roads, from which on they are two."""

LIGHT_PX = 0.6
"""Scale of the smoothing under which the score itself is looked at."""

STRIP_PX = 64
"""Rows whose curvatures are computed at a time: they stay in the processor's cache."""

Scores = NDArray[np.float32]
"""(H, W) 0..1."""

PixelSize = tuple[float, float]
"""Height and width of a pixel in metres."""


def smooth_scores(score: Scores, known: NDArray[np.bool_], scale_px: tuple[float, float]) -> Scores:
    """A score smoothed by a Gaussian; pixels that are not known have no weight.

    Args:
        score: (H, W) 0..1.
        known: (H, W), True = there is data.
        scale_px: Standard deviation along rows and along columns.
    """
    if known.all():
        whole: Scores = ndimage.gaussian_filter(score, scale_px, mode="nearest", truncate=3)
        return whole
    total = ndimage.gaussian_filter(np.where(known, score, 0), scale_px, mode="nearest", truncate=3)
    weight = ndimage.gaussian_filter(known.astype(np.float32), scale_px, mode="nearest", truncate=3)
    result: Scores = np.where(known, total / np.maximum(weight, 1e-3), np.float32(0))
    return result


def curvatures(padded: Scores, scale_px: tuple[float, float]) -> tuple[Scores, Scores]:
    """Of a smoothed surface (h + 2, w + 2) the mean curvature and half the spread, (h, w), per scale squared.

    Their difference is the least curvature, their sum the greatest.
    """
    middle = padded[1:-1, 1:-1]
    rows, cols = scale_px
    down = (padded[2:, 1:-1] + padded[:-2, 1:-1] - 2 * middle) * np.float32(rows * rows)
    across = (padded[1:-1, 2:] + padded[1:-1, :-2] - 2 * middle) * np.float32(cols * cols)
    twist = padded[2:, 2:] + padded[:-2, :-2] - padded[2:, :-2] - padded[:-2, 2:]
    twist *= np.float32(rows * cols / 4)
    mean: Scores = np.divide(down + across, 2)
    spread: Scores = np.hypot((down - across) / 2, twist)
    return mean, spread


def ridge_lines(
    score: Scores, known: NDArray[np.bool_], allowed: NDArray[np.bool_], pixel_m: PixelSize
) -> NDArray[np.bool_]:
    """The middle lines of the ridges of a score map, one pixel wide.

    A ridge is bent downwards across itself, at the scale of a street or of a wide road; a valley
    between two roads parts them even where both score high, and a plateau is one road. What is found
    depends on the pixels within a few scales alone, so parts of a map give the lines of the whole.

    Args:
        score: (H, W) of the class, 0..1.
        known: (H, W), True = there is data.
        allowed: (H, W), True = lines may lie here.
        pixel_m: Of a pixel.

    Returns:
        (H, W) bool.

    Source: ridges by the eigenvalues of the Hessian, as Steger 1998; their middle by Zhang and Suen.
    """
    fine = FINE_M / pixel_m[0], FINE_M / pixel_m[1]
    coarse = COARSE_M / pixel_m[0], COARSE_M / pixel_m[1]
    surfaces = [(np.pad(smooth_scores(score, known, s), 1, mode="edge"), s) for s in (fine, coarse)]
    ridge = np.empty(score.shape, bool)
    for top in range(0, len(score), STRIP_PX):
        (mean, spread), wide = (curvatures(surface[top : top + STRIP_PX + 2], s) for surface, s in surfaces)
        strip = (mean - spread < -RIDGE) | (np.subtract(*wide) < -RIDGE)
        ridge[top : top + STRIP_PX] = strip & (mean + spread < VALLEY)
    ridge &= allowed
    lines: NDArray[np.bool_] = skeletonize(ridge)  # type: ignore[no-untyped-call]
    return lines
