"""How good a map of roads is: PR-AUC of its pixels, F1 of its middle lines."""

import numpy as np
from numpy.typing import NDArray
from recipe import PIXEL_M
from samples import Place, points_along
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize

from swath.grid import refine
from swath.metrics.histogram import BINS, score_bins
from swath.metrics.scores import average_precision

ROAD_M = 15.0
"""What PR-AUC takes for a road: all within so many metres, half to each side of a line."""

TOLERANCES_M = (5, 10, 20)
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def score(road: NDArray[np.float32], place: Place, known: NDArray[np.bool_], date: int = -1) -> list[float]:
    """PR-AUC; line F1 at 5, 10 and 20 m; the threshold where that at 10 m is highest.

    Args:
        road: (nH, nW) 0..1, how likely each map pixel is road.
        place: One with labels.
        known: (H, W) where there is data to judge by.
        date: Whose roads are the truth.
    """
    finer = len(road) // len(known)
    use = place.cover & refine(known, finer)
    line_m = place.line_m[date if len(place.line_m) > 1 else 0].astype(np.float32)
    truth = line_m <= ROAD_M / 2
    bins = score_bins(road[use])
    counts = np.stack([np.bincount(bins[truth[use] == is_road], minlength=BINS) for is_road in (False, True)])
    return [float(average_precision(counts)), *line_scores(road, line_m, use, place)]


def line_scores(
    road: NDArray[np.float32], line_m: NDArray[np.float32], use: NDArray[np.bool_], place: Place
) -> list[float]:
    """F1 of the middle lines of what lies above a threshold, and that threshold.

    Precision: the share of their pixels that lie near a line; recall: of points every 25 cm of the lines
    that lie near them.
    """
    finer = len(road) / place.images.shape[1]
    points = points_along(place.xy, place.offsets, np.ones(len(place.offsets) - 1, bool), 0.25)
    columns, rows = np.floor(points.T * finer).astype(int)
    there = (rows >= 0) & (columns >= 0) & (rows < len(road)) & (columns < road.shape[1])
    rows, columns = rows[there], columns[there]
    covered = use[rows, columns]
    rows, columns = rows[covered], columns[covered]
    best = [0.0, 0.0, 0.0, 0.0]
    for threshold in THRESHOLDS:
        middle = skeletonize(road > threshold)
        drawn = middle & use
        if not drawn.any() or not len(rows):
            continue
        far_m = distance_transform_edt(~middle) * (PIXEL_M / finer)
        f1 = []
        for tolerance in TOLERANCES_M:
            precision = float((line_m[drawn] <= tolerance).mean())
            recall = float((far_m[rows, columns] <= tolerance).mean())
            f1.append(2 * precision * recall / max(precision + recall, 1e-9))
        if f1[1] > best[1]:
            best = [*f1, threshold]
    return best
