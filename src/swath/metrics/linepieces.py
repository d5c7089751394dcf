"""Lines cut where they leave other lines, or where something else about them changes."""

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.ops import substring

from swath.metrics.linematch import Lines, distances_m, sample_lines

REACH_M = 20.0
"""Lines so near to each other are the same road."""

LEAST_M = 50.0
"""Shorter pieces go with what the line is on before and after them."""


def split_by_nearness(lines: Lines, others: Lines) -> tuple[Lines, NDArray[np.int64], NDArray[np.bool_]]:
    """Cut lines where they leave `others`, or come to them.

    Args:
        lines: (n,) LineStrings, in metres.
        others: (m,) LineStrings.

    Returns:
        (p,) pieces; (p,) the line that each is of; (p,) whether it lies by one of the others.
    """
    if not len(lines):
        return lines, np.zeros(0, np.int64), np.zeros(0, bool)
    points, _, _ = sample_lines(lines)
    return split_where(lines, distances_m(points, others, REACH_M) <= REACH_M)


def split_where(
    lines: Lines, marked: NDArray[np.bool_]
) -> tuple[Lines, NDArray[np.int64], NDArray[np.bool_]]:
    """Cut lines where what is said of their points changes; no piece but a whole line is under `LEAST_M`.

    Args:
        lines: (n,) LineStrings, in metres; at least one.
        marked: Of each point of `sample_lines`.

    Returns:
        (p,) pieces; (p,) the line that each is of; (p,) whether it is marked.
    """
    _, weight, owner = sample_lines(lines)
    starts = np.flatnonzero((np.diff(owner, prepend=-1) > 0) | (np.diff(marked, prepend=~marked[0]) != 0))
    run_m = np.add.reduceat(weight, starts)
    run_owner, run_marked = owner[starts], marked[starts]
    pieces: list[shapely.LineString] = []
    whose: list[int] = []
    by: list[bool] = []
    first = np.flatnonzero(np.diff(run_owner, prepend=-1))
    for begin, end in zip(first, np.append(first[1:], len(run_owner)), strict=True):
        line = lines[run_owner[begin]]
        at = 0.0
        for length, is_marked in _merged(run_m[begin:end], run_marked[begin:end]):
            piece = line if end - begin == 1 else substring(line, at, at + length)
            at += length
            if piece.length > 0:
                pieces.append(piece)
                whose.append(int(run_owner[begin]))
                by.append(is_marked)
    return np.array(pieces, object), np.array(whose, np.int64), np.array(by, bool)


def _merged(run_m: NDArray[np.float64], near: NDArray[np.bool_]) -> list[tuple[float, bool]]:
    """The runs of one line as (metres, near), none but a lone one shorter than `LEAST_M`."""
    runs = [(float(length), bool(beside)) for length, beside in zip(run_m, near, strict=True)]
    while len(runs) > 1:
        shortest = min(range(len(runs)), key=lambda k: runs[k][0])
        if runs[shortest][0] >= LEAST_M:
            break
        low, high = max(0, shortest - 1), min(len(runs), shortest + 2)
        beside = not runs[shortest][1]
        runs[low:high] = [(sum(length for length, _ in runs[low:high]), beside)]
    return runs
