"""Scores from counts, in float64. NaN where a score is not defined.

Any number of leading axes: one call scores a map, or all resamples of its blocks. Counts (..., 2,
`BINS`) are pixels by truth and bin; a confusion matrix is what `histogram.confusion` gives.
"""

import numpy as np
from numpy.typing import NDArray

from swath.metrics.histogram import BINS, HALF, STEPS, bin_values

CALIBRATION_BINS = 10
"""Equal intervals of the score over which calibration is judged."""


def ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """`part / whole`, NaN where `whole` is 0; any shape."""
    nowhere = np.full(np.broadcast(part, whole).shape, np.nan)
    result: NDArray[np.float64] = np.divide(part, whole, out=nowhere, where=whole != 0)
    return result


def matrix_scores(matrix: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """All scores of a confusion matrix (..., 4), each (...) float64.

    Returns:
        accuracy: Share of pixels that are right. The paper's only score: where 5-10 % of the pixels
            are road, a map without any has 0.90-0.95; the others do not fall for that.
        iou: Intersection over union of map and label.
        f1: Harmonic mean of precision and recall.
        precision: Share of the predicted pixels that are right; NaN if there are none.
        recall: Share of the labelled pixels that are predicted; NaN if there are none.
        mcc: Matthews correlation coefficient, -1..1; 0 is chance, and so is (the usual convention)
            a map or a label that is all one class.
    """
    tn, fp, fn, tp = np.moveaxis(matrix, -1, 0)
    pixels = matrix.sum(axis=-1)
    # Roots first: the product of four counts of a whole scene would lose digits.
    scale = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
    correlation = np.nan_to_num(ratio(tp * tn - fp * fn, scale))
    return {
        "accuracy": ratio(tn + tp, pixels),
        "iou": ratio(tp, tp + fp + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "mcc": np.where(pixels > 0, correlation, np.nan),
    }


def precision_recall_curve(counts: NDArray[np.generic]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall (..., `BINS`) at every threshold, from the strictest to the loosest.

    Precision is 1 while nothing is predicted; recall is NaN where no pixel has the label.
    """
    tp, predicted = _falling(counts)
    precise = np.divide(tp, predicted, out=np.ones_like(tp), where=predicted > 0)
    return precise, ratio(tp, tp[..., -1:])


def _falling(counts: NDArray[np.generic]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True positives and predicted pixels, (..., `BINS`) each, from the strictest threshold on."""
    falling = np.cumsum(np.asarray(counts)[..., ::-1], axis=-1, dtype=np.float64)
    return falling[..., 1, :], falling[..., 0, :] + falling[..., 1, :]


def average_precision(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Area (...) under the precision-recall curve: the mean precision over the steps of recall.

    The share of positives is what a map of one score everywhere gets. It needs no threshold, so a
    mere change of calibration cannot change it. NaN where no pixel has the label.
    """
    tp, predicted = _falling(counts)
    # A step of recall is the positives of one bin over all. Empty bins add nothing: 0 * 0 / 1.
    steps = np.asarray(counts)[..., 1, ::-1]
    area = (steps * tp / np.maximum(predicted, 1)).sum(axis=-1)
    return ratio(area, tp[..., -1])


def calibration_curve(
    counts: NDArray[np.generic],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What the score says and what is true, in ten equal intervals of the score.

    Returns:
        (..., 10) mean score, (..., 10) share of pixels with the label, (..., 10) number of pixels.
        NaN where an interval is empty. A bin's score is its middle: right to 0.0005.
    """
    pixels = np.asarray(counts, np.float64)
    # Bins 0..100 are scores 0..0.1, bins 101..200 are above 0.1 up to 0.2, and so on.
    bins = np.arange(BINS)
    interval = np.clip(-(-bins * CALIBRATION_BINS // STEPS) - 1, 0, CALIBRATION_BINS - 1)
    member = (interval[:, None] == np.arange(CALIBRATION_BINS)).astype(np.float64)
    both = pixels[..., 0, :] + pixels[..., 1, :]
    number = both @ member
    score = both @ (member * bin_values()[:, None])
    true = pixels[..., 1, :] @ member
    return ratio(score, number), ratio(true, number), number


def calibration_error(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Expected calibration error (ECE): mean |score - share of positives| over ten intervals.

    (...) 0..1; 0 is calibrated, NaN is no pixel.
    """
    score, true, number = calibration_curve(counts)
    gap = np.nan_to_num(np.abs(score - true)) * number
    return ratio(gap.sum(axis=-1), number.sum(axis=-1))


def best_edge(counts: NDArray[np.generic]) -> int:
    """The edge 0..999 with the highest IoU; among equals the one nearest to a threshold of 0.5.

    Args:
        counts: (2, `BINS`); 500 is best where no pixel has the label.
    """
    edges = np.arange(STEPS)
    negative, positive = np.cumsum(np.asarray(counts, np.float64), axis=-1)
    tp, fp = positive[-1] - positive[:STEPS], negative[-1] - negative[:STEPS]
    value = np.nan_to_num(ratio(tp, positive[-1] + fp))
    best = edges[value == value.max()]
    return int(best[np.abs(best - HALF).argmin()])


def expected_edge(pixels: NDArray[np.generic]) -> int:
    """The edge with the highest IoU that the scores themselves lead one to expect.

    A pixel of score s is taken to be of the class with probability s: so no label is needed, and
    where the network is less sure of a place, the threshold falls. It is the best threshold as far
    as the scores are calibrated.

    Args:
        pixels: (`BINS`,) pixels of a scene by bin; 500 is best where all scores are 0.

    Source: not in the paper, which takes 0.5. The plug-in rule for scores that weigh errors by
    their share; for F1 see Z. Lipton et al., Optimal Thresholding of Classifiers to Maximize F1
    Measure, ECML PKDD 2014.
    """
    counts = np.asarray(pixels, np.float64)
    positive = counts * bin_values()
    return best_edge(np.stack([counts - positive, positive]))
