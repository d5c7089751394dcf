"""Scores that forgive a small displacement: relaxed F1 of areas, line F1 of centre lines.

OpenStreetMap lines lie up to a pixel or two off the image, so a map may be right where the label
is not. Counts are (..., 4): pixels that could match and did, on either side:
found, found and near the truth, true, true and near what was found.

Pixels that are not scored count nowhere, and what the map shows there cannot change a score.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

from swath.metrics.histogram import Blocks
from swath.metrics.scores import ratio

DISTANCES = (1, 2, 3)
"""Tolerances, in pixels."""


def near(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """Where a pixel of `mask` is at most `distance` pixels away (Euclidean).

    Args:
        mask: (H, W) bool.
        distance: Whole pixels, 1 or more.

    Returns:
        (H, W) bool. Equal to a distance transform that is cut at `distance`, but a dilation by a
        disk needs one byte a pixel instead of sixteen.
    """
    reach = np.arange(-distance, distance + 1)
    disk = np.hypot(*np.meshgrid(reach, reach)) <= distance
    grown: NDArray[np.bool_] = ndimage.binary_dilation(mask, disk)
    return grown


def centre_line(
    predicted: NDArray[np.bool_], scored: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """The skeleton of a map: its roads thinned to one pixel.

    What the map shows on unscored pixels is taken out first. Only gaps of one or two unscored
    pixels between predicted ones are bridged: a label may have a thin ring of *ignore* along its
    roads, and a road wider than that must stay one line.

    Args:
        predicted: (H, W) bool.
        scored: (H, W) bool, True = scored; None for all.

    Returns:
        (H, W) bool; some of it may lie on bridged, unscored pixels.
    """
    if scored is not None:
        predicted = predicted & scored
        bridged = ndimage.binary_closing(predicted, np.ones((3, 3), bool))
        predicted = predicted | (bridged & ~scored)
    skeleton: NDArray[np.bool_] = skeletonize(predicted)  # type: ignore[no-untyped-call]
    return skeleton


def relaxed_counts(
    predicted: NDArray[np.bool_],
    positive: NDArray[np.bool_],
    scored: NDArray[np.bool_],
    blocks: Blocks,
) -> NDArray[np.int64]:
    """Count, for the relaxed F1, predicted and labelled pixels and those near the other.

    Predicted pixels match the label wherever it is known, so a road that leaves the scored area
    still counts; labelled pixels match scored predictions only.

    Args:
        predicted: (H, W) bool, the thresholded map.
        positive: (H, W) bool, True where the label is the class (anywhere in the site).
        scored: (H, W) bool, True = score this pixel.
        blocks: The blocks of this image.

    Returns:
        (blocks, 3, 4) int64: for tolerances of 1, 2, 3 px the four counts.
    """
    return _matches(predicted & scored, positive, scored, blocks)


def line_counts(
    predicted: NDArray[np.bool_],
    lines: NDArray[np.bool_],
    scored: NDArray[np.bool_],
    blocks: Blocks,
) -> NDArray[np.int64]:
    """Count, for the line F1, pixels of the map's skeleton and of the true centre lines.

    Args:
        predicted: (H, W) bool, the thresholded map.
        lines: (H, W) bool, the true centre lines, one pixel wide (anywhere in the site).
        scored: (H, W) bool, True = score this pixel.
        blocks: The blocks of this image.

    Returns:
        (blocks, 3, 4) int64: for tolerances of 1, 2, 3 px the four counts.
    """
    return _matches(centre_line(predicted, scored), lines, scored, blocks)


def _matches(
    found: NDArray[np.bool_],
    true: NDArray[np.bool_],
    scored: NDArray[np.bool_],
    blocks: Blocks,
) -> NDArray[np.int64]:
    counts = np.empty((blocks.number, len(DISTANCES), 4), np.int64)
    found_here, true_here = found & scored, true & scored
    counts[:, :, 0] = blocks.count(found_here)[:, None]
    counts[:, :, 2] = blocks.count(true_here)[:, None]
    for at, distance in enumerate(DISTANCES):
        counts[:, at, 1] = blocks.count(found_here & near(true, distance))
        counts[:, at, 3] = blocks.count(true_here & near(found, distance))
    return counts


def tolerant_f1(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Harmonic mean of precision and recall within a tolerance.

    Args:
        counts: (..., 4): found, found near the truth, true, true near what was found.

    Returns:
        (...) float64, 0..1. 0 where only one side has pixels, NaN where neither has.
    """
    found, found_near, true, true_near = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    precise = np.nan_to_num(ratio(found_near, found))
    recalled = np.nan_to_num(ratio(true_near, true))
    value = np.nan_to_num(ratio(2 * precise * recalled, precise + recalled))
    return np.where(found + true > 0, value, np.nan)
