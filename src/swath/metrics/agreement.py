"""Maps of many classes against labels: one confusion matrix, and every score from it.

A matrix is (..., n, n) pixels: a row a class of the labels, a column a class of the map. Any number
of leading axes: one call scores a map, or all resamples of its blocks. NaN where a score is not
defined.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.metrics.histogram import Blocks
from swath.metrics.scores import ratio

Z95 = 1.959964
"""Standard errors on either side that hold 95 % of a normal distribution."""


def block_matrices(
    labels: NDArray[np.uint8],
    mapped: NDArray[np.uint8],
    scored: NDArray[np.bool_],
    blocks: Blocks,
    classes: int,
) -> NDArray[np.int64]:
    """The confusion matrix of each block of an image.

    Args:
        labels: (H, W) class ids 0..`classes` - 1 where `scored`.
        mapped: (H, W) class ids of the map, likewise.
        scored: (H, W), True = count this pixel.
        blocks: Of these pixels.
        classes: n.

    Returns:
        (blocks, n, n) int64.
    """
    rows, cols = np.nonzero(scored)
    number = (np.cumsum(blocks.used.ravel()) - 1).reshape(blocks.used.shape)
    block = number[rows // blocks.px, cols // blocks.px]
    key = (block * classes + labels[rows, cols]) * classes + mapped[rows, cols]
    counts = np.bincount(key, minlength=blocks.number * classes**2)
    return counts.reshape(blocks.number, classes, classes)


def class_scores(matrix: NDArray[np.generic]) -> dict[str, NDArray[np.float64]]:
    """Scores of every class, (..., n) float64 each.

    Returns:
        users_accuracy: Share of the pixels mapped as the class that are it (precision).
        producers_accuracy: Share of the pixels labelled as the class that are mapped so (recall).
        iou: Intersection over union of map and label.
        f1: Harmonic mean of the two accuracies.
    """
    counts = np.asarray(matrix, np.float64)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    mapped, labelled = counts.sum(axis=-2), counts.sum(axis=-1)
    return {
        "users_accuracy": ratio(right, mapped),
        "producers_accuracy": ratio(right, labelled),
        "iou": ratio(right, mapped + labelled - right),
        "f1": ratio(2 * right, mapped + labelled),
    }


def map_scores(matrix: NDArray[np.generic]) -> dict[str, NDArray[np.float64]]:
    """Scores of the whole map, (...) float64 each.

    Returns:
        accuracy: Overall accuracy: share of the pixels that are right, over all classes.
        mean_iou: Mean IoU of the classes that the labels hold: so all maps of one place are
            averaged over the same ones.
        mean_f1: Their mean F1.
        kappa: Cohen's: how far the accuracy is above that of the same map laid at random, 0..1
            (below 0: worse); 0 where map and labels are all one class.

    Source: overall accuracy is the paper's only score; kappa: J. Cohen, Educational and
    Psychological Measurement 20, 1960.
    """
    counts = np.asarray(matrix, np.float64)
    pixels = counts.sum(axis=(-2, -1))
    mapped, labelled = counts.sum(axis=-2), counts.sum(axis=-1)
    accuracy = ratio(np.trace(counts, axis1=-2, axis2=-1), pixels)
    chance = ratio((mapped * labelled).sum(axis=-1), pixels**2)
    present, scores = labelled > 0, class_scores(counts)
    kappa = np.nan_to_num(ratio(accuracy - chance, 1 - chance))
    return {
        "accuracy": accuracy,
        "mean_iou": _mean_over(scores["iou"], present),
        "mean_f1": _mean_over(scores["f1"], present),
        "kappa": np.where(pixels > 0, kappa, np.nan),
    }


def _mean_over(values: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    return ratio(np.where(counted, values, 0).sum(axis=-1), counted.sum(axis=-1).astype(np.float64))


@dataclass(frozen=True, slots=True)
class Areas:
    """Areas of classes as pixels (of the whole map), estimated from a map and its errors.

    Attributes:
        pixels: (..., n).
        error: (..., n) standard errors, as if the labelled pixels had been drawn one by one.
    """

    pixels: NDArray[np.float64]
    error: NDArray[np.float64]

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(..., n) lower and upper end of the interval that holds 95 %; no area is below 0."""
        half = Z95 * self.error
        return np.maximum(self.pixels - half, 0), self.pixels + half


def stratified_areas(matrix: NDArray[np.generic], mapped: NDArray[np.generic]) -> Areas:
    """The areas of the classes, corrected by the errors of the map.

    A map that takes one class for another counts its area wrongly. The labelled pixels under each
    mapped class tell how much of it is really what; its mapped area then weighs that share.

    Args:
        matrix: (..., n, n) labelled pixels by label and map.
        mapped: (n,) pixels of the whole map by class, labelled or not.

    Returns:
        NaN where a class is mapped under which no pixel is labelled; the error is NaN as well
        where only one is.

    Source: P. Olofsson et al., Good practices for estimating area and assessing accuracy of land
    change, Remote Sensing of Environment 148, 2014, equations 9 to 11.
    """
    counts, weight = np.asarray(matrix, np.float64), np.asarray(mapped, np.float64)
    stratum = counts.sum(axis=-2)[..., None, :]
    # What is not mapped weighs nothing, and needs no labels.
    there = weight > 0
    share = np.where(there, ratio(counts, np.broadcast_to(stratum, counts.shape)), 0)
    spread = np.where(there, ratio(share * (1 - share), np.broadcast_to(stratum - 1, counts.shape)), 0)
    return Areas((share * weight).sum(axis=-1), np.sqrt((spread * weight**2).sum(axis=-1)))
