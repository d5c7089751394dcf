"""New and vanished roads between two groups of dates, as lines with dates."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from swath.grid import Grid
from swath.groundsize import metres_per_unit, pixel_m
from swath.maps.graph import components
from swath.maps.lines import class_odds_score
from swath.maps.sitemaps import SiteMaps, read_pmap
from swath.metrics.linematch import STEP_M, Lines, Points, sample_lines
from swath.metrics.linepieces import split_where

CHANGE_M, GAP_M, PIECE_M = 200.0, 40.0, 30.0
"""A change is so long, together with others of its kind no farther away than the second number; a piece of
it as the third. Lines end at every junction, so that in a town no piece is long."""

SHIFT_M, ALONG_M = 10.0, 100.0
"""Images lie up to so far apart: a date's scores are read where, of all places within `SHIFT_M`, those of
all lines together are highest. Along a line its score is the mean of `ALONG_M`: a street across it is not
the road."""

UPPER, FLOOR = 0.75, 0.03
"""Where a road was not yet, this quantile of the dates counts, not their median: clouds and haze that
nothing masks take scores away, and hardly add any. `FLOOR` is added to a score, and to what it lacks to 1."""

LEAST, SWINGS, MOST = 1.6, 6.0, 3.0
"""By how much the log-odds along a road must have risen: by so many times what they swing on the roads of
both maps, most of which stayed (from the median of the rises to their upper quartile), beyond the median;
but by `LEAST` (from 0.02 to 0.18, from 0.5 to 0.85), and by no more than `MOST`, so that new quarters do not
hide themselves. Chosen where hardly a real road changed, and on simulated ground."""

STRIP_PX = 1024

COLUMNS = (
    "change",
    "class",
    "first_seen",
    "last_seen",
    "p_before",
    "p_after",
    "p_change",
    "dates",
    "length_m",
)

Row = tuple[Any, ...]
"""Of `COLUMNS`, and the line."""


def road_changes(before: SiteMaps, after: SiteMaps, *, min_dates: int = 2) -> gpd.GeoDataFrame:
    """The roads of one map that the other does not have, where their dates agree on it.

    A road is new where the log-odds of the score rose by `least_rise` along it. Along each piece
    `min_dates` of the dates after (all, if there are fewer) lie above, and as many of those before below,
    what is halfway between their medians; with others of its kind near it, it is `CHANGE_M` long. Vanished
    is the same, the other way round.

    Args:
        before: The older maps; their lines may be faint ones, what changed decides.
        after: The newer maps, in the same CRS.
        min_dates: How many dates must say so on either side, where there are as many.

    Returns:
        In the CRS of the newer maps: `change` (`new`, `vanished`), `class`, `first_seen` and `last_seen`
        (days that see the road: of those after where it is new, else of those before), `p_before` and
        `p_after`, `p_change`, `dates` (which say so, with commas between), `length_m`, `geometry`.

    Raises:
        InputError: A map cannot be read.
    """
    grid = after.grid
    sides = before, after
    rows: list[Row] = []
    drawn = [_lines(maps, grid) for maps in sides]
    along = [[_scores_along(maps, *lines, grid) for maps in sides] for lines in drawn]
    for change, has in (("vanished", 0), ("new", 1)):
        (lines, classes), scores = drawn[has], along[has]
        if not len(lines):
            continue
        rises = [odds_rise(there[has], there[1 - has]) for there in along]
        pieces, whose, changed = split_where(lines, rises[has] >= least_rise(np.concatenate(rises)))
        means = [_piece_means(side, lines, pieces) for side in scores]
        found: list[Row] = []
        for at in np.flatnonzero(changed & (shapely.length(pieces) >= PIECE_M)):
            known = [
                {date: float(mean[at]) for date, mean in zip(maps.dates, side, strict=True)}
                for maps, side in zip(sides, means, strict=True)
            ]
            row = _dated(has, known, min_dates)
            if row:
                found.append((change, classes[whose[at]], *row, pieces[at].length, pieces[at]))
        rows += _together(found)
    table = {name: [row[at] for row in rows] for at, name in enumerate(COLUMNS)}
    scale = metres_per_unit(grid)
    geometry = [shapely.transform(row[-1], lambda xy: xy / scale) for row in rows]
    return gpd.GeoDataFrame(table, geometry=geometry, crs=grid.crs)


def odds_rise(has: NDArray[np.float32], lacks: NDArray[np.float32]) -> NDArray[np.float32]:
    """(p,) by how much the log-odds of a road rose; NaN where a side has no data.

    From what nearly all dates stay below where it is not, to the median of those where it is.

    Args:
        has: (d, p) scores of the dates at points of the lines of the side that has them, NaN without data.
        lacks: (e, p) those of the other side.
    """
    now, then = (
        np.log((p + FLOOR) / (1 + FLOOR - p)) for p in (_quantile(has, 0.5), _quantile(lacks, UPPER))
    )
    rise: NDArray[np.float32] = now - then
    return rise


def least_rise(rise: NDArray[np.float32]) -> float:
    """By how much the log-odds along a road must have risen; see `LEAST`.

    Args:
        rise: At points along all roads of both maps; NaN where not known.
    """
    known = rise[np.isfinite(rise)]
    if not len(known):
        return MOST
    middle, upper = np.quantile(known, [0.5, 0.75])
    return float(np.clip(middle + SWINGS * (upper - middle), LEAST, MOST))


def _quantile(scores: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """(p,) a quantile of (d, p) scores over those dates that have data."""
    ordered = np.sort(scores, axis=0)
    place = np.float32(share) * np.maximum(np.isfinite(scores).sum(axis=0, dtype=np.float32) - 1, 0)
    low, high = (
        np.take_along_axis(ordered, end(place)[None].astype(np.int64), 0)[0] for end in (np.floor, np.ceil)
    )
    found: NDArray[np.float32] = low + place % 1 * (high - low)
    return found


def _dated(has: int, scores: list[dict[dt.date, float]], min_dates: int) -> tuple[Any, ...] | None:
    """`COLUMNS` from `first_seen` to `dates` of a piece, if its dates agree; `has`: the side that has it."""
    known = [{date: score for date, score in side.items() if np.isfinite(score)} for side in scores]
    if not all(known):
        return None
    usual = [float(np.median(list(side.values()))) for side in known]
    level = sum(usual) / 2
    says = [[d for d, s in known[k].items() if (s > level) == (k == has)] for k in (0, 1)]
    if any(len(says[k]) < min(min_dates, len(known[k])) for k in (0, 1)):
        return None
    dates = ",".join(str(date) for date in sorted({*says[0], *says[1]}))
    return str(min(says[has])), str(max(says[has])), *usual, usual[1] - usual[0], dates


def _together(rows: list[Row]) -> list[Row]:
    """Those that are long enough with what lies near them."""
    lines: Lines = np.array([row[-1] for row in rows], object)
    pairs = shapely.STRtree(lines).query(lines, predicate="dwithin", distance=GAP_M).T
    part = components(len(lines), pairs)
    length = np.bincount(part, shapely.length(lines), len(lines)) if len(lines) else part
    return [row for row, group in zip(rows, part, strict=True) if length[group] >= CHANGE_M]


def _lines(maps: SiteMaps, grid: Grid) -> tuple[Lines, NDArray[np.object_]]:
    """The lines of a map in metres of a grid, and the class of each."""
    if not maps.legend.lines:
        return np.zeros(0, object), np.zeros(0, object)
    roads = maps.roads().to_crs(grid.crs)
    scale = metres_per_unit(grid)
    lines: Lines = shapely.transform(roads.geometry.to_numpy(), lambda xy: xy * scale)
    return lines, roads["class"].to_numpy(object)


def _piece_means(scores: NDArray[np.float32], lines: Lines, pieces: Lines) -> NDArray[np.float64]:
    """(d, n) the mean of each date's scores along pieces of lines; NaN without data along most of one."""
    _, weight, _ = sample_lines(lines)
    length = shapely.length(pieces)
    # The pieces follow each other as the points do.
    piece = np.searchsorted(np.cumsum(length), np.cumsum(weight) - weight / 2)
    piece = np.minimum(piece, len(pieces) - 1)
    result = np.full((len(scores), len(pieces)), np.nan)
    for mean, score in zip(result, scores, strict=True):
        sure = np.isfinite(score)
        known = np.bincount(piece[sure], weight[sure], len(pieces))
        total = np.bincount(piece[sure], (score * weight)[sure], len(pieces))
        enough = known > 0.5 * length
        mean[enough] = total[enough] / known[enough]
    return result


def _scores_along(
    maps: SiteMaps, lines: Lines, classes: NDArray[np.object_], grid: Grid
) -> NDArray[np.float32]:
    """(d, p) the dates' scores at each point of `sample_lines`, see `SHIFT_M`; NaN where one has no data."""
    points, _, owner = sample_lines(lines)
    here, half = np.arange(len(owner)), round(ALONG_M / STEP_M / 2)
    first = np.maximum(np.searchsorted(owner, owner), here - half)
    last = np.minimum(np.searchsorted(owner, owner, side="right"), here + half + 1)
    result: NDArray[np.float32] = np.full((len(maps.dates), len(owner)), np.nan, np.float32)
    for mean, date in zip(result, maps.dates, strict=True):
        moved = _score_at(maps, date, points, classes[owner], grid)
        score = moved[np.nansum(moved, axis=1).argmax()]
        known = np.isfinite(score)
        total, count = (np.append(0, np.cumsum(x, dtype=float)) for x in (np.where(known, score, 0), known))
        total, count = total[last] - total[first], count[last] - count[first]
        seen = (count > 0) & np.isfinite(moved[0])
        mean[seen] = total[seen] / count[seen]
    return result


def _score_at(
    maps: SiteMaps, date: dt.date, points: Points, classes: NDArray[np.object_], grid: Grid
) -> NDArray[np.float32]:
    """(s, p) a date's scores at points, then beside them, up to `SHIFT_M` away; NaN where it has no data.

    The points are in metres of `grid`, each with its class; the map of the date may have another grid.
    """
    own = maps.grid
    x, y = (points / metres_per_unit(grid)).T
    if own.crs != grid.crs:
        x, y = Transformer.from_crs(grid.crs, own.crs, always_xy=True).transform(x, y)
    left, _, _, top = own.bounds
    cols = np.floor((x - left) / own.resolution[0]).astype(np.int64)
    rows = np.floor((top - y) / own.resolution[1]).astype(np.int64)
    within = (cols >= 0) & (cols < own.width)
    steps = _steps(pixel_m(own))
    down, right = np.abs(steps).max(axis=0)
    result = np.full((len(steps), len(points)), np.nan, np.float32)
    for strip in own.window.strips(STRIP_PX):
        here = np.flatnonzero(within & (rows >= strip.row) & (rows < strip.row_end))
        if not len(here):
            continue
        part = strip.grow(int(down)).intersect(own.window)
        pmap, valid = read_pmap(maps.pmap_path(date), part)
        for c in maps.legend.lines:
            mine = here[classes[here] == c.name]
            score = np.where(valid, class_odds_score(pmap, c.id), np.nan)
            score = np.pad(score, ((down, down), (right, right)), constant_values=np.nan)
            row, col = rows[mine] - part.row + down, cols[mine] + right
            for at, (south, east) in enumerate(steps):
                result[at, mine] = score[row + south, col + east]
    return result


def _steps(pixel: tuple[float, float]) -> NDArray[np.int64]:
    """(s, 2) rows and columns to all pixels within `SHIFT_M`, itself first; at least to its neighbours."""
    reach = [max(SHIFT_M, size) for size in pixel]
    sides = [np.arange(-int(far / size), int(far / size) + 1) for far, size in zip(reach, pixel, strict=True)]
    steps = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
    far = np.hypot(*(steps * pixel / reach).T)
    nearest = np.argsort(far, kind="stable")
    found: NDArray[np.int64] = steps[nearest[far[nearest] <= 1.01]]
    return found


def changed_km(changes: gpd.GeoDataFrame) -> dict[str, float]:
    """Kind of change -> km."""
    kinds: Sequence[str] = ("new", "vanished")
    return {kind: float(changes["length_m"][changes["change"] == kind].sum()) / 1e3 for kind in kinds}
