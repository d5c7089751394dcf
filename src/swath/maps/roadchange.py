"""New and vanished roads between two groups of dates, as lines with dates."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
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
"""Images and maps lie up to so far apart. A date's score is the best mean over `ALONG_M` of the line, of all
the places to which `SHIFT_M` can move it: so a street across, or a spot beside, is not taken for the road."""

LEAST, SWINGS, MOST = 0.25, 6.0, 0.6
"""By how much the score along a road must have changed: by so many times what it swings on the roads of
the place, most of which stayed (from the median of the changes to their upper quartile), beyond the median;
but by `LEAST`, and by no more than `MOST`, so that new quarters do not hide themselves. Haze, and days that
differ, ask for more. On real country where hardly a road changed, three and three dates reported 0.7 % with
0.5 for `MOST`, one and one 3 to 11 %; with 0.6 nothing, and 1 to 7 %; with 0.8 at most 1.2 %."""

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

RISE = COLUMNS.index("p_change")

Row = tuple[Any, ...]
"""Of `COLUMNS`, and the line."""


@dataclass(frozen=True, slots=True)
class Side:
    """The maps before, or after: the lines of `maps`, and what each of its dates saw."""

    maps: SiteMaps
    threshold: float

    @property
    def dates(self) -> tuple[dt.date, ...]:
        """Oldest first."""
        return self.maps.dates


def road_changes(before: Side, after: Side, *, min_dates: int = 2) -> gpd.GeoDataFrame:
    """The roads of one side that the other does not have, where their dates agree on it.

    A road is new where the median score of the dates rose along it by `least_change`; a date's score is that
    of 100 m of the line, moved by up to 10 m to where it is best. Along each piece `min_dates` of the dates
    after (all, if there are fewer) lie above, and as many of those before below, what is halfway between the
    two sides, or the threshold where that is higher; with others of its kind near it, it is `CHANGE_M` long.
    Vanished is the same, the other way round. So one hazy or badly registered day changes nothing.

    Args:
        before: The older maps.
        after: The newer maps, in the same CRS.
        min_dates: How many dates must say so on either side, where there are as many.

    Returns:
        In the CRS of the newer maps: `change` (`new`, `vanished`), `class`, `first_seen` and `last_seen`
        (days that see the road: of those after where it is new, else of those before), `p_before` and
        `p_after`, `p_change`, `dates` (which say so, with commas between), `length_m`, `geometry`.

    Raises:
        InputError: A map cannot be read.
    """
    grid = after.maps.grid
    sides = before, after
    rows: list[Row] = []
    for change, ours in (("vanished", 0), ("new", 1)):
        lines, classes = _lines(sides[ours].maps, grid)
        if not len(lines):
            continue
        usual = [_median_along(side, lines, classes, grid) for side in sides]
        rise = usual[ours] - usual[1 - ours]
        least = least_change(rise)
        pieces, whose, changed = split_where(lines, rise >= least)
        kept = changed & (shapely.length(pieces) >= PIECE_M)
        found = _dated(change, pieces[kept], classes[whose[kept]], sides, grid, min_dates)
        rows += _together([row for row in found if (row[RISE] if ours else -row[RISE]) >= least])
    table = {name: [row[at] for row in rows] for at, name in enumerate(COLUMNS)}
    scale = metres_per_unit(grid)
    geometry = [shapely.transform(row[-1], lambda xy: xy / scale) for row in rows]
    return gpd.GeoDataFrame(table, geometry=geometry, crs=grid.crs)


def least_change(rise: NDArray[np.float32]) -> float:
    """By how much the score along a road must have changed; see `LEAST`.

    Args:
        rise: By how much it rose at points along all roads of a place; NaN where not known.
    """
    known = rise[np.isfinite(rise)]
    if not len(known):
        return MOST
    middle, upper = np.quantile(known, [0.5, 0.75])
    return float(np.clip(middle + SWINGS * (upper - middle), LEAST, MOST))


def _dated(
    change: str,
    lines: Lines,
    classes: NDArray[np.object_],
    sides: tuple[Side, Side],
    grid: Grid,
    min_dates: int,
) -> list[Row]:
    """The rows of the lines whose dates agree."""
    scores = [
        {date: _piece_scores(side, date, lines, classes, grid) for date in side.dates} for side in sides
    ]
    has = 1 if change == "new" else 0
    rows: list[Row] = []
    for at, line in enumerate(lines):
        known = [{d: float(v[at]) for d, v in side.items() if np.isfinite(v[at])} for side in scores]
        if not all(known):
            continue
        usual = [float(np.median(list(side.values()))) for side in known]
        level = max(sides[has].threshold, sum(usual) / 2)
        says = [[d for d, s in known[k].items() if (s > level) == (k == has)] for k in (0, 1)]
        enough = all(len(says[k]) >= min(min_dates, len(known[k])) for k in (0, 1))
        if not enough:
            continue
        sightings = sorted(says[has])
        dates = ",".join(str(date) for date in sorted({*says[0], *says[1]}))
        first, last = str(sightings[0]), str(sightings[-1])
        rise = usual[1] - usual[0]
        rows.append((change, classes[at], first, last, *usual, rise, dates, line.length, line))
    return rows


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


def _piece_scores(
    side: Side, date: dt.date, lines: Lines, classes: NDArray[np.object_], grid: Grid
) -> NDArray[np.float64]:
    """(n,) the mean along each line of a date's scores; NaN where it has no data along most of it."""
    result = np.full(len(lines), np.nan)
    if not len(lines):
        return result
    _, weight, owner = sample_lines(lines)
    score = _score_along(side, date, lines, classes, grid)
    sure = np.isfinite(score)
    total = np.bincount(owner[sure], (score * weight)[sure], len(lines))
    known = np.bincount(owner[sure], weight[sure], len(lines))
    enough = known > 0.5 * shapely.length(lines)
    result[enough] = total[enough] / known[enough]
    return result


def _median_along(side: Side, lines: Lines, classes: NDArray[np.object_], grid: Grid) -> NDArray[np.float32]:
    """(p,) the median of the scores of a side's dates along lines; NaN where none has data."""
    scores = np.stack([_score_along(side, date, lines, classes, grid) for date in side.dates])
    usual: NDArray[np.float32] = np.full(scores.shape[1], np.nan, np.float32)
    seen = np.isfinite(scores).any(axis=0)
    usual[seen] = np.nanmedian(scores[:, seen], axis=0)
    return usual


def _score_along(
    side: Side, date: dt.date, lines: Lines, classes: NDArray[np.object_], grid: Grid
) -> NDArray[np.float32]:
    """(p,) a date's score at each point of `sample_lines`, see `SHIFT_M`; NaN where it has no data."""
    points, _, owner = sample_lines(lines)
    here, half = np.arange(len(owner)), round(ALONG_M / STEP_M / 2)
    first = np.maximum(np.searchsorted(owner, owner), here - half)
    last = np.minimum(np.searchsorted(owner, owner, side="right"), here + half + 1)
    best: NDArray[np.float32] = np.full(len(owner), np.nan, np.float32)
    moved = _score_at(side, date, points, classes[owner], grid)
    for score in moved:
        known = np.isfinite(score)
        total, count = (np.append(0, np.cumsum(x, dtype=float)) for x in (np.where(known, score, 0), known))
        total, count = total[last] - total[first], count[last] - count[first]
        best = np.fmax(best, np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32))
    best[~np.isfinite(moved[0])] = np.nan
    return best


def _score_at(
    side: Side, date: dt.date, points: Points, classes: NDArray[np.object_], grid: Grid
) -> NDArray[np.float32]:
    """(s, p) a date's scores at points, then beside them, up to `SHIFT_M` away; NaN where it has no data.

    The points are in metres of `grid`, each with its class; the map of the date may have another grid.
    """
    maps, own = side.maps, side.maps.grid
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
