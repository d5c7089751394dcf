"""What a map says along lines and beside them: its fused PMap, and how many of its dates see a road there."""

import datetime as dt

import numpy as np
from numpy.typing import NDArray

from swath.grid import Grid
from swath.groundsize import metres_per_unit, pixel_m
from swath.maps.sitemaps import SiteMaps, read_pmap
from swath.metrics.linematch import Lines, sample_lines

SIDE_M = 30.0
"""How far to each side of a line it is asked what else there looks like a road."""


def measure_lines(maps: SiteMaps, lines: Lines, grid: Grid) -> dict[str, NDArray[np.float64]]:
    """What a map's roads say of how sure it is, along pieces of them.

    Args:
        maps: The maps of a site.
        lines: (n,) LineStrings in metres east and north.
        grid: Of the maps.

    Returns:
        (n,) each. `p_mean`, `p_min`: of the fused PMap, 0..1, NaN where unknown; `p_beside`: its mean
        `SIDE_M` to both sides, 0 where unknown; `dates_known`: the dates with data along most of a line;
        `dates_seen`: those of them whose mean score is above the threshold.
    """
    points, weight, owner = sample_lines(lines, min(pixel_m(grid)))
    across = SIDE_M * _across(points, owner)
    asked = np.concatenate([points, points + across, points - across])
    fused, *sides = scores_at(maps, asked, grid).reshape(3, -1)
    least = np.full(len(lines), np.nan)
    np.fmin.at(least, owner, fused)
    beside = mean_along(np.nan_to_num(sides).mean(axis=0), weight, owner, len(lines))
    seen, known = np.zeros((2, len(lines)))
    threshold = 0.5 if maps.threshold is None else maps.threshold
    for date in maps.dates:
        scores = scores_at(maps, points, grid, date)
        has = mean_along(np.isfinite(scores).astype(np.float64), weight, owner, len(lines)) > 0.5
        known += has
        seen += has & (mean_along(scores, weight, owner, len(lines)) > threshold)
    mean = mean_along(fused, weight, owner, len(lines))
    return {"p_mean": mean, "p_min": least, "p_beside": beside, "dates_seen": seen, "dates_known": known}


def probability_along(maps: SiteMaps, lines: Lines, grid: Grid) -> NDArray[np.float64]:
    """(n,) the mean of the fused PMap of all line classes along lines in metres; NaN where unknown."""
    points, weight, owner = sample_lines(lines, min(pixel_m(grid)))
    return mean_along(scores_at(maps, points, grid), weight, owner, len(lines))


def scores_at(
    maps: SiteMaps, points: NDArray[np.float64], grid: Grid, date: dt.date | None = None
) -> NDArray[np.float64]:
    """(p,) what a PMap says of all line classes at points (p, 2) in metres; NaN where unknown.

    Of the fused PMap the probability; of a date's the score against the likeliest other class, by which
    a line is seen.
    """
    ids = [c.id for c in maps.legend.lines]
    path = maps.fused_path if date is None else maps.pmap_path(date)
    left, _, _, top = grid.bounds
    x, y = (points / metres_per_unit(grid)).T
    cols = np.floor((x - left) / grid.resolution[0]).astype(np.int64)
    rows = np.floor((top - y) / grid.resolution[1]).astype(np.int64)
    scores = np.full(len(points), np.nan)
    within = (cols >= 0) & (cols < grid.width)
    for strip in grid.window.strips(1024):
        here = within & (rows >= strip.row) & (rows < strip.row_end)
        if here.any():
            pmap, valid = read_pmap(path, strip)
            at = rows[here] - strip.row, cols[here]
            classes = pmap[:, at[0], at[1]]
            score = classes[ids].max(axis=0)
            if date is not None:
                score /= np.maximum(score + np.delete(classes, ids, axis=0).max(axis=0, initial=0), 1e-9)
            scores[here] = np.where(valid[at], score, np.nan)
    return scores


def _across(points: NDArray[np.float64], owner: NDArray[np.int64]) -> NDArray[np.float64]:
    """(p, 2) unit vectors square to lines at their samples; 0 where a line has one sample."""
    step = np.where((np.diff(owner) == 0)[:, None], np.diff(points, axis=0), 0)
    along = np.zeros_like(points)
    along[:-1] += step
    along[1:] += step
    across: NDArray[np.float64] = along[:, ::-1] * [-1, 1] / np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    return across


def mean_along(
    scores: NDArray[np.float64], weight: NDArray[np.float64], owner: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """(count,) the mean of what is known along every line, NaN where nothing is."""
    sure = np.isfinite(scores)
    known = np.bincount(owner[sure], weight[sure], count)
    total = np.bincount(owner[sure], (scores * weight)[sure], count)
    mean: NDArray[np.float64] = np.divide(total, known, out=np.full(count, np.nan), where=known > 0)
    return mean
