"""Lines against lines, in metres along them: how much of each lies near the other.

Both are sampled every `STEP_M`; a sample stands for the length around it. No raster takes part, so the
size of a map's pixels does not matter.

Source: Heipke, Mayer, Wiedemann and Jamet 1997 (completeness, correctness, quality).
"""

from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.metrics.scores import ratio
from swath.metrics.tolerance import tolerant_f1

TOLERANCES_M = (5.0, 10.0, 20.0)
"""How far apart two lines may be and still be the same road."""

STEP_M = 2.5
"""Distance of the samples along a line, at most."""

CHANCE_SHIFT_M = (230.0, 170.0)
"""How far east and north lines are moved to see what their density alone would score."""

Lines = NDArray[np.object_]
"""(n,) shapely LineStrings, in a plane in metres."""

Points = NDArray[np.float64]
"""(n, 2) x and y."""

Counted = Callable[[Points], NDArray[np.bool_]]
"""Whether points are scored: (n, 2) -> (n,) bool."""


def sample_lines(
    lines: Lines, step_m: float = STEP_M
) -> tuple[Points, NDArray[np.float64], NDArray[np.int64]]:
    """Points along lines, each in the middle of an equal piece of its line.

    Returns:
        (p, 2) points; (p,) metres that each stands for, at most `step_m`; (p,) the line of each.
    """
    length = shapely.length(lines)
    pieces = np.maximum(1, np.ceil(length / step_m)).astype(np.int64)
    owner = np.repeat(np.arange(len(lines)), pieces)
    first = np.cumsum(pieces) - pieces
    share = (np.arange(len(owner)) - first[owner] + 0.5) / pieces[owner]
    points = shapely.line_interpolate_point(lines[owner], share, normalized=True)
    return shapely.get_coordinates(points), (length / pieces)[owner], owner


def distances_m(points: Points, lines: Lines, most_m: float = TOLERANCES_M[-1]) -> NDArray[np.float64]:
    """(n,) metres from each point to the nearest line; infinite beyond `most_m`."""
    result = np.full(len(points), np.inf)
    if not len(points) or not len(lines):
        return result
    tree = shapely.STRtree(segments(lines))
    (near, _), found = tree.query_nearest(
        shapely.points(points), max_distance=most_m, return_distance=True, all_matches=False
    )
    result[near] = found
    return result


def segments(lines: Lines) -> Lines:
    """The straight pieces of lines, one by one: long lines make a search tree slow."""
    places, owner = shapely.get_coordinates(lines, return_index=True)
    inner = owner[:-1] == owner[1:]
    pieces: Lines = shapely.linestrings(np.stack([places[:-1][inner], places[1:][inner]], axis=1))
    return pieces


def line_counts(mapped: Lines, true: Lines, counted: Counted | None = None) -> NDArray[np.float64]:
    """Metres on either side, and those of them that are near the other side.

    Only what lies where `counted` says is measured; but it may match what lies beyond, so that a road
    that leaves the scored area still counts.

    Returns:
        (3, 4) float64: for each of `TOLERANCES_M` the metres mapped, mapped and near the truth, true, true
        and near what is mapped.
    """
    counts = np.zeros((len(TOLERANCES_M), 4))
    for side, (lines, others) in enumerate(((mapped, true), (true, mapped))):
        if not len(lines):
            continue
        points, weight, _ = sample_lines(lines)
        if counted is not None:
            inside = counted(points)
            points, weight = points[inside], weight[inside]
        far = distances_m(points, others)
        counts[:, 2 * side] = weight.sum()
        counts[:, 2 * side + 1] = [weight[far <= tolerance].sum() for tolerance in TOLERANCES_M]
    return counts


def line_scores(counts: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The scores of counts (..., 4) of `line_counts`, each (...), 0..1; NaN where not defined.

    Returns:
        completeness: Share of the true length that is mapped.
        correctness: Share of the mapped length that is true.
        f1: Their harmonic mean.
        quality: What both agree on, of all that either has.
    """
    mapped, mapped_near, true, true_near = np.moveaxis(counts, -1, 0)
    missed = true - true_near
    return {
        "completeness": ratio(true_near, true),
        "correctness": ratio(mapped_near, mapped),
        "f1": tolerant_f1(counts),
        "quality": ratio(mapped_near, mapped + missed),
    }


def cut_lines(lines: Lines, counted: Counted, step_m: float = 2 * STEP_M) -> Lines:
    """Those parts of lines that are scored, cut to `step_m` precisely and joined again."""
    if not len(lines):
        return lines
    pieces = segments(shapely.segmentize(lines, step_m))
    middle = shapely.get_coordinates(shapely.line_interpolate_point(pieces, 0.5, normalized=True))
    kept: Lines = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(pieces[counted(middle)])))
    some: Lines = kept[~shapely.is_empty(kept)]
    return some


def moved(lines: Lines, shift_m: tuple[float, float] = CHANCE_SHIFT_M) -> Lines:
    """The lines moved east and north: what is scored to learn the level of chance."""
    result: Lines = shapely.transform(lines, lambda places: places + np.asarray(shift_m))
    return result
