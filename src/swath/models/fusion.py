"""Controls for the fused PMap that need no training: mean, median, vote, max. NumPy only."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Fusion = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.float32]]
"""(T, lc, H, W) PMaps in 0..1 and (T, H, W) valid -> (lc, H, W); NaN where no date is valid."""


def mean(pmaps: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean of the PMaps over the dates that saw the pixel. Shapes: see `Fusion`."""
    total = np.where(valid[:, None], pmaps, np.float32(0)).sum(axis=0)
    count = valid.sum(axis=0).astype(np.float32)
    return _divide(total, count)


def median(pmaps: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Median of the PMaps over the dates that saw the pixel. Shapes: see `Fusion`."""
    # Sorting puts the invalid dates (NaN) last; the middle one or two of the valid ones follow
    # from their number, which spares the warnings of an all-NaN median.
    ordered = np.sort(np.where(valid[:, None], pmaps, np.float32(np.nan)), axis=0)
    count = valid.sum(axis=0)
    middle = np.maximum(count - 1, 0) // 2, count // 2
    low, high = (np.take_along_axis(ordered, index[None, None], axis=0)[0] for index in middle)
    result: NDArray[np.float32] = (low + high) / np.float32(2)
    return result


def vote(pmaps: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Share of the dates on which the class has the highest PMap. Shapes: see `Fusion`."""
    winner = pmaps.argmax(axis=1)
    classes = np.arange(pmaps.shape[1]).reshape(1, -1, 1, 1)
    ballots = (winner[:, None] == classes) & valid[:, None]
    count = valid.sum(axis=0).astype(np.float32)
    return _divide(ballots.sum(axis=0).astype(np.float32), count)


def maximum(pmaps: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The foreground's highest value on any date; the background keeps what that leaves of 1.

    "A road seen once is a road": foreground classes take their maximum over the dates, the
    background takes its minimum, so that the comparison of the two stays that of the one date that
    speaks most for the foreground. Shapes: see `Fusion`.
    """
    result: NDArray[np.float32] = np.where(valid[:, None], pmaps, np.float32(-1)).max(axis=0)
    result[0] = np.where(valid, pmaps[:, 0], np.float32(2)).min(axis=0)
    result[:, ~valid.any(axis=0)] = np.nan
    return result


def _divide(total: NDArray[np.float32], count: NDArray[np.float32]) -> NDArray[np.float32]:
    nowhere = np.full_like(total, np.nan)
    return np.divide(total, count[None], out=nowhere, where=count[None] > 0)


FUSIONS: dict[str, Fusion] = {"mean": mean, "median": median, "vote": vote, "max": maximum}
"""Every control by its name in reports."""
