"""Scores from counts, in float64. NaN where a score is not defined.

Each function takes any number of leading axes, so that one call scores a map or all resamples of
its blocks. A confusion matrix is (..., 4): true negatives, false positives, false negatives, true
positives, as `histogram.confusion` gives it.
"""

import numpy as np
from numpy.typing import NDArray

from swath.metrics.histogram import HALF, STEPS, bin_values, confusion

CALIBRATION_BINS = 10
"""Equal intervals of the score over which calibration is judged."""


def ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """`part / whole`, NaN where `whole` is 0; any shape."""
    nowhere = np.full(np.broadcast(part, whole).shape, np.nan)
    result: NDArray[np.float64] = np.divide(part, whole, out=nowhere, where=whole != 0)
    return result


def accuracy(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of pixels that are right: (TP + TN) / all. (..., 4) -> (...).

    Source: the paper's only score. Where 5-10 % of the pixels are road, a map without any road has
    an accuracy of 0.90-0.95; the other scores below do not fall for that.
    """
    tn, _, _, tp = _parts(matrix)
    return ratio(tn + tp, matrix.sum(axis=-1))


def iou(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of map and label: TP / (TP + FP + FN). (..., 4) -> (...)."""
    _, fp, fn, tp = _parts(matrix)
    return ratio(tp, tp + fp + fn)


def f1(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN). (..., 4) -> (...)."""
    _, fp, fn, tp = _parts(matrix)
    return ratio(2 * tp, 2 * tp + fp + fn)


def precision(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the predicted pixels that are right; NaN if there are none. (..., 4) -> (...)."""
    _, fp, _, tp = _parts(matrix)
    return ratio(tp, tp + fp)


def recall(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the labelled pixels that are found; NaN if there are none. (..., 4) -> (...)."""
    _, _, fn, tp = _parts(matrix)
    return ratio(tp, tp + fn)


def mcc(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matthews correlation coefficient, -1..1; 0 is chance. (..., 4) -> (...).

    A map that is all one class, and a label that is all one class, score 0 (the usual convention:
    such a map tells nothing).
    """
    tn, fp, fn, tp = _parts(matrix)
    # Roots first: the product of four counts of a whole scene would lose digits.
    scale = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    value = np.nan_to_num(ratio(tp * tn - fp * fn, scale))
    return np.where(matrix.sum(axis=-1) > 0, value, np.nan)


def _parts(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    return matrix[..., 0], matrix[..., 1], matrix[..., 2], matrix[..., 3]


def precision_recall_curve(
    counts: NDArray[np.generic],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall at every threshold, from the strictest to the loosest.

    Args:
        counts: (..., `BINS`, 2) pixels by bin and truth.

    Returns:
        Precision and recall, both (..., `BINS`). Precision is 1 while nothing is predicted; recall
        is NaN where no pixel has the label.
    """
    falling = np.cumsum(np.asarray(counts, np.float64)[..., ::-1, :], axis=-2)
    tp, predicted = falling[..., 1], falling.sum(axis=-1)
    precise = np.divide(tp, predicted, out=np.ones_like(tp), where=predicted > 0)
    return precise, ratio(tp, tp[..., -1:])


def average_precision(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Area under the precision-recall curve, as the mean precision over the steps of recall.

    The share of positives is what a map of one score everywhere gets. It needs no threshold, so a
    mere change of calibration cannot change it.

    Args:
        counts: (..., `BINS`, 2) pixels by bin and truth.

    Returns:
        (...) float64; NaN where no pixel has the label.
    """
    precise, recalled = precision_recall_curve(counts)
    area = (precise[..., 1:] * np.diff(recalled, axis=-1)).sum(axis=-1)
    result: NDArray[np.float64] = area + precise[..., 0] * recalled[..., 0]
    return result


def calibration_curve(
    counts: NDArray[np.generic],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What the score says and what is true, in ten equal intervals of the score.

    Args:
        counts: (..., `BINS`, 2) pixels by bin and truth.

    Returns:
        (..., 10) mean score, (..., 10) share of pixels with the label, (..., 10) number of pixels.
        NaN where an interval is empty. A bin's score is its middle: right to 0.0005.
    """
    counts = np.asarray(counts, np.float64)
    # Bins 0..100 are scores 0..0.1, bins 101..200 are above 0.1 up to 0.2, and so on.
    width = STEPS // CALIBRATION_BINS
    starts = np.concatenate([[0], np.arange(1, CALIBRATION_BINS) * width + 1])
    both = counts.sum(axis=-1)
    number = np.add.reduceat(both, starts, axis=-1)
    said = np.add.reduceat(both * bin_values(), starts, axis=-1)
    true = np.add.reduceat(counts[..., 1], starts, axis=-1)
    return ratio(said, number), ratio(true, number), number


def calibration_error(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Expected calibration error (ECE): mean |score - share of positives| over ten intervals.

    Args:
        counts: (..., `BINS`, 2) pixels by bin and truth.

    Returns:
        (...) float64, 0..1; 0 is calibrated. NaN where there is no pixel.
    """
    said, true, number = calibration_curve(counts)
    gap = np.nan_to_num(np.abs(said - true)) * number
    return ratio(gap.sum(axis=-1), number.sum(axis=-1))


def best_edge(counts: NDArray[np.generic]) -> int:
    """The edge with the highest IoU; among equals the one nearest to a threshold of 0.5.

    Args:
        counts: (`BINS`, 2) pixels by bin and truth; those of the validation split.

    Returns:
        0..999; the threshold is a thousandth of it. 500 where no pixel has the label.
    """
    edges = np.arange(STEPS)
    rising = np.cumsum(np.asarray(counts, np.float64), axis=0)
    below = rising[:STEPS]
    tp, fp = rising[-1, 1] - below[:, 1], rising[-1, 0] - below[:, 0]
    value = np.nan_to_num(ratio(tp, rising[-1, 1] + fp))
    best = edges[value == value.max()]
    return int(best[np.abs(best - HALF).argmin()])


def pixel_scores(counts: NDArray[np.generic], edge: int) -> dict[str, NDArray[np.float64]]:
    """All scores that need no neighbourhood.

    Args:
        counts: (..., `BINS`, 2) pixels by bin and truth.
        edge: Predicted is where the bin is above it.

    Returns:
        accuracy, iou, f1, precision, recall, mcc, pr_auc, ece: each (...) float64.
    """
    matrix = confusion(counts, edge)
    return {
        "accuracy": accuracy(matrix),
        "iou": iou(matrix),
        "f1": f1(matrix),
        "precision": precision(matrix),
        "recall": recall(matrix),
        "mcc": mcc(matrix),
        "pr_auc": average_precision(counts),
        "ece": calibration_error(counts),
    }
