"""Confidence intervals by resampling blocks.

Neighbouring pixels are alike, so pixels drawn one by one would give intervals that are far too
narrow. Whole blocks are drawn instead, with replacement. Two maps scored on the same draws can be
compared pair by pair. The interval speaks of the ground that was scored, not of other cities.
"""

import numpy as np
from numpy.typing import NDArray


def block_weights(blocks: int, resamples: int, seed: int | tuple[int, ...]) -> NDArray[np.int64]:
    """How often each block is drawn in each resample.

    Args:
        blocks: Number of blocks, 1 or more.
        resamples: Number of resamples.
        seed: Same seed, same draws.

    Returns:
        (resamples, blocks) int64; every row sums to `blocks`.
    """
    shares = np.full(blocks, 1.0 / blocks)
    return np.random.default_rng(seed).multinomial(blocks, shares, size=resamples)


def resample(weights: NDArray[np.int64], counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sum the blocks' counts (blocks, ...) in each resample.

    Args:
        weights: (resamples, blocks), from `block_weights`.
        counts: (blocks, ...) counts of each block.

    Returns:
        (resamples, ...) float64, exact (the sums stay far below 2^53).
    """
    flat = np.asarray(counts).reshape(len(counts), -1)
    total = np.zeros((len(weights), flat.shape[1]))
    # In pieces: a whole scene's histograms in float64 would be large.
    for start in range(0, len(flat), 1024):
        piece = slice(start, start + 1024)
        total += weights[:, piece].astype(np.float64) @ flat[piece].astype(np.float64)
    return total.reshape(len(weights), *np.shape(counts)[1:])


def interval(samples: NDArray[np.float64]) -> tuple[float, float] | None:
    """The percentile interval (low, high) that holds 95 % of the resampled scores.

    Args:
        samples: (resamples,) scores; NaN where a resample has none.

    Returns:
        None where fewer than half of the resamples have a score.
    """
    known = samples[np.isfinite(samples)]
    if 2 * len(known) < len(samples) or not len(known):
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
