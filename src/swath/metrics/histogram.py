"""Pixels counted by score and truth, block by block: what every pixel score is computed from.

A score s in 0..1 falls into one of `BINS` bins: bin 0 holds s = 0, bin k = 1..1000 holds
(k - 1)/1000 < s <= k/1000, and s = 1 has the last bin, 1001, to itself. A pixel is predicted at a
threshold t = edge/1000, edge = 0..999, where s > t: where its bin is above `edge`. So the rule
"s > 0.5" (for two classes: the class is the likelier one, ties go to the background) is exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = 1000
"""Thresholds are multiples of 1/STEPS."""

BINS = STEPS + 2
"""Bins of a score: 0, STEPS intervals closed on the right, and 1."""

HALF = STEPS // 2
"""The edge of the rule s > 0.5."""


def class_score(pmap: NDArray[np.floating], class_id: int) -> NDArray[np.float64]:
    """The score of one class: its share of the sum over the classes.

    For two classes, s > 0.5 exactly where the class has the larger probability.

    Args:
        pmap: (lc, H, W) probabilities 0..1; they need not sum to 1. NaN where unknown.
        class_id: Which class.

    Returns:
        (H, W) float64, 0..1; 0 where all classes are 0 or unknown.
    """
    pmap = np.asarray(pmap, np.float64)
    total = pmap.sum(axis=0)
    score = np.zeros(total.shape)
    # NaN > 0 is False: unknown pixels stay 0 and nothing is divided by 0.
    np.divide(pmap[class_id], total, out=score, where=total > 0)
    return score


def score_bins(score: NDArray[np.floating]) -> NDArray[np.uint16]:
    """The bin 0..`BINS` - 1 of each score 0..1; any shape."""
    score = np.asarray(score, np.float64)
    bins: NDArray[np.uint16] = np.ceil(score * STEPS).astype(np.uint16)
    bins[score >= 1] = BINS - 1
    return bins


def bin_values() -> NDArray[np.float64]:
    """(`BINS`,) the score that stands for each bin: its middle, and exactly 0 and 1 at the ends."""
    middles = (np.arange(1, STEPS + 1) - 0.5) / STEPS
    return np.concatenate([[0.0], middles, [1.0]])


def threshold(edge: int) -> float:
    """The threshold t of an edge: predicted is where s > t."""
    return edge / STEPS


def selected(bins: NDArray[np.uint16], edge: int) -> NDArray[np.bool_]:
    """Where the class is predicted: s > `threshold(edge)`. Same shape as `bins`."""
    result: NDArray[np.bool_] = bins > edge
    return result


@dataclass(frozen=True, slots=True)
class Blocks:
    """Square blocks of an image; those without a pixel to score are left out.

    Attributes:
        px: Side of a block; those at the lower and right edge may be smaller.
        used: (rows, cols) bool, the blocks that count, numbered row by row.
    """

    px: int
    used: NDArray[np.bool_]

    @property
    def number(self) -> int:
        """How many blocks count."""
        return int(self.used.sum())

    def count(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(`number`,) True pixels of a mask (H, W) in each block."""
        return block_sums(mask, self.px)[self.used]


def plan_blocks(scored: NDArray[np.bool_], px: int) -> Blocks:
    """The blocks of `px` x `px` pixels in which a pixel of (H, W) `scored` is True."""
    return Blocks(px, block_sums(scored, px) > 0)


def block_sums(mask: NDArray[np.bool_], px: int) -> NDArray[np.int64]:
    """(rows, cols) True pixels in each block of `px` x `px` pixels of a mask (H, W)."""
    height, width = mask.shape
    rows = np.add.reduceat(mask, np.arange(0, height, px), axis=0, dtype=np.int64)
    sums: NDArray[np.int64] = np.add.reduceat(rows, np.arange(0, width, px), axis=1)
    return sums


def block_histogram(
    bins: NDArray[np.uint16], positive: NDArray[np.bool_], scored: NDArray[np.bool_], blocks: Blocks
) -> NDArray[np.uint32]:
    """Count the scored pixels of each block by bin and truth.

    Args:
        bins: (H, W), from `score_bins`.
        positive: (H, W), True where the label is the class.
        scored: (H, W), True = count this pixel.
        blocks: The blocks of this image.

    Returns:
        (blocks, 2, `BINS`) uint32: pixels whose label is not the class, and is the class.
    """
    width = bins.shape[1]
    column_block = np.arange(width, dtype=np.int64) // blocks.px * (2 * BINS)
    result = np.zeros((blocks.number, 2, BINS), np.uint32)
    first = 0
    # One row of blocks at a time keeps the 64-bit keys of a whole scene out of memory.
    for row, used in enumerate(blocks.used):
        part = slice(row * blocks.px, (row + 1) * blocks.px)
        here = scored[part]
        keys = column_block + positive[part] * np.int64(BINS) + bins[part]
        counts = np.bincount(keys[here], minlength=len(used) * 2 * BINS)
        last = first + int(used.sum())
        result[first:last] = counts.reshape(len(used), 2, BINS)[used]
        first = last
    return result


def confusion(counts: NDArray[np.generic], edge: int) -> NDArray[np.float64]:
    """The confusion matrix at a threshold.

    Args:
        counts: (..., 2, `BINS`) pixels by truth and bin.
        edge: Predicted is where the bin is above it.

    Returns:
        (..., 4) float64: true negatives, false positives, false negatives, true positives.
    """
    counts = np.asarray(counts)
    below = counts[..., : edge + 1].sum(axis=-1, dtype=np.float64)
    above = counts[..., edge + 1 :].sum(axis=-1, dtype=np.float64)
    parts = (below[..., 0], above[..., 0], below[..., 1], above[..., 1])
    return np.stack(parts, axis=-1)
