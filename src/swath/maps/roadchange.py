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
from scipy import ndimage

from swath.grid import Grid
from swath.groundsize import metres_per_unit, pixel_m
from swath.maps.graph import components
from swath.maps.lines import class_odds_score
from swath.maps.sitemaps import SiteMaps, read_pmap
from swath.metrics.linematch import Lines, Points, distances_m, sample_lines
from swath.metrics.linepieces import REACH_M, split_where

CHANGE_M, GAP_M, PIECE_M = 200.0, 40.0, 30.0
"""A change is so long, together with others of its kind no farther away than the second number; a piece of
it as the third. Lines end at every junction, so that in a town no piece is long."""

SHIFT_M = 10.0
"""Images and maps lie up to so far apart: a date sees a road where it has one so near. With 20 m
the streets beside and across hid more: of the wide roads that changed 0.38 were found, not 0.49."""

CONTRAST = 0.5
"""By how much the score along a road must have changed. On real country where hardly a road changed,
0.4 reported 2.2 and 2.4 % of the length, 0.5 nothing and 1.5 %."""

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

    A road is new where the maps before have no line within 20 m, or where the score rose by `CONTRAST`: a
    wide road leaves a trace when it goes. Along each piece the median score of the dates rose by as much, and
    `min_dates` of the dates after (all, if there are fewer) lie above, and as many of those before below,
    what is halfway between the two sides, or the threshold where that is higher; with others of its kind
    near it, it is `CHANGE_M` long. A date's score is its best within `SHIFT_M`. Vanished is the same, the
    other way round. So one hazy or badly registered day changes nothing.

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
    roads = [_lines(side.maps, grid) for side in sides]
    rows: list[Row] = []
    for change, ours, theirs in (("vanished", 0, 1), ("new", 1, 0)):
        (lines, classes), (others, _) = roads[ours], roads[theirs]
        if not len(lines):
            continue
        points, _, owner = sample_lines(lines)
        usual = [_median_at(side, points, classes[owner], grid) for side in sides]
        alone = (usual[ours] - usual[theirs] >= CONTRAST) | (distances_m(points, others, REACH_M) > REACH_M)
        pieces, whose, changed = split_where(lines, alone)
        kept = changed & (shapely.length(pieces) >= PIECE_M)
        rows += _together(_dated(change, pieces[kept], classes[whose[kept]], sides, grid, min_dates))
    table = {name: [row[at] for row in rows] for at, name in enumerate(COLUMNS)}
    scale = metres_per_unit(grid)
    geometry = [shapely.transform(row[-1], lambda xy: xy / scale) for row in rows]
    return gpd.GeoDataFrame(table, geometry=geometry, crs=grid.crs)


def _dated(
    change: str,
    lines: Lines,
    classes: NDArray[np.object_],
    sides: tuple[Side, Side],
    grid: Grid,
    min_dates: int,
) -> list[Row]:
    """The rows of the lines whose dates agree."""
    scores = [{date: _score_along(side, date, lines, classes, grid) for date in side.dates} for side in sides]
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
        if not enough or usual[has] - usual[1 - has] < CONTRAST:
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


def _score_along(
    side: Side, date: dt.date, lines: Lines, classes: NDArray[np.object_], grid: Grid
) -> NDArray[np.float64]:
    """(n,) the mean along each line of a date's scores; NaN where it has no data along most of it."""
    result = np.full(len(lines), np.nan)
    if not len(lines):
        return result
    points, weight, owner = sample_lines(lines)
    score = _score_at(side, date, points, classes[owner], grid)
    sure = np.isfinite(score)
    total = np.bincount(owner[sure], (score * weight)[sure], len(lines))
    known = np.bincount(owner[sure], weight[sure], len(lines))
    enough = known > 0.5 * shapely.length(lines)
    result[enough] = total[enough] / known[enough]
    return result


def _median_at(side: Side, points: Points, classes: NDArray[np.object_], grid: Grid) -> NDArray[np.float32]:
    """(p,) the median of the scores of a side's dates at points; NaN where none has data."""
    scores = np.stack([_score_at(side, date, points, classes, grid) for date in side.dates])
    usual: NDArray[np.float32] = np.full(len(points), np.nan, np.float32)
    seen = np.isfinite(scores).any(axis=0)
    usual[seen] = np.nanmedian(scores[:, seen], axis=0)
    return usual


def _score_at(
    side: Side, date: dt.date, points: Points, classes: NDArray[np.object_], grid: Grid
) -> NDArray[np.float32]:
    """(p,) the best score within `SHIFT_M` of points on a date; NaN where it has no data.

    The points are in metres of `grid`, each with its class; the map of the date may have another grid.
    """
    result = np.full(len(points), np.nan, np.float32)
    maps, own = side.maps, side.maps.grid
    x, y = (points / metres_per_unit(grid)).T
    if own.crs != grid.crs:
        x, y = Transformer.from_crs(grid.crs, own.crs, always_xy=True).transform(x, y)
    left, _, _, top = own.bounds
    cols = np.floor((x - left) / own.resolution[0]).astype(np.int64)
    rows = np.floor((top - y) / own.resolution[1]).astype(np.int64)
    within = (cols >= 0) & (cols < own.width)
    reach = [max(1, round(SHIFT_M / size)) for size in pixel_m(own)]
    for strip in own.window.strips(STRIP_PX):
        here = np.flatnonzero(within & (rows >= strip.row) & (rows < strip.row_end))
        if not len(here):
            continue
        part = strip.grow(reach[0]).intersect(own.window)
        pmap, valid = read_pmap(maps.pmap_path(date), part)
        for c in maps.legend.lines:
            mine = here[classes[here] == c.name]
            if not len(mine):
                continue
            near = ndimage.maximum_filter(class_odds_score(pmap, c.id), [2 * r + 1 for r in reach])
            at = rows[mine] - part.row, cols[mine]
            result[mine] = np.where(valid[at], near[at], np.nan)
    return result


def changed_km(changes: gpd.GeoDataFrame) -> dict[str, float]:
    """Kind of change -> km."""
    kinds: Sequence[str] = ("new", "vanished")
    return {kind: float(changes["length_m"][changes["change"] == kind].sum()) / 1e3 for kind in kinds}
