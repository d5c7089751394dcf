"""New and vanished roads between two groups of dates, as lines with dates."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from scipy import ndimage

from swath.grid import Grid
from swath.groundsize import metres_per_unit, pixel_m
from swath.maps.lines import class_odds_score
from swath.maps.sitemaps import SiteMaps, read_pmap
from swath.metrics.linematch import Lines, sample_lines
from swath.metrics.linepieces import split_by_nearness

CHANGE_M = 100.0
"""A change of a road is at least so long."""

SHIFT_M = 20.0
"""Images and maps lie up to so far apart: a date sees a road where it has one so near."""

CONTRAST = 0.35
"""By how much the score along a road must have changed."""

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

    A road is new where the maps before have no line within 20 m; where, of the dates after, `min_dates`
    see it (all, if there are fewer), and as many of those before see nothing within `SHIFT_M` of it; and
    where the mean score along it rose by `CONTRAST`. Vanished is the same, the other way round. So one
    hazy or badly registered day changes nothing.

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
    roads = [_lines(side.maps, grid) for side in (before, after)]
    frames = []
    for change, ours, theirs in (("vanished", 0, 1), ("new", 1, 0)):
        (lines, classes), (others, _) = roads[ours], roads[theirs]
        pieces, owner, near = split_by_nearness(lines, others)
        alone = ~near & (shapely.length(pieces) >= CHANGE_M)
        frames.append(_dated(change, pieces[alone], classes[owner[alone]], before, after, grid, min_dates))
    rows = [row for frame in frames for row in frame]
    table = {name: [row[at] for row in rows] for at, name in enumerate(COLUMNS)}
    scale = metres_per_unit(grid)
    geometry = [shapely.transform(row[-1], lambda xy: xy / scale) for row in rows]
    return gpd.GeoDataFrame(table, geometry=geometry, crs=grid.crs)


def _dated(
    change: str,
    lines: Lines,
    classes: NDArray[np.object_],
    before: Side,
    after: Side,
    grid: Grid,
    min_dates: int,
) -> list[tuple[object, ...]]:
    """The rows of the lines whose dates agree."""
    scores = [
        {date: _score_along(side, date, lines, classes, grid) for date in side.dates}
        for side in (before, after)
    ]
    rows: list[tuple[object, ...]] = []
    for at, line in enumerate(lines):
        early, late = ({date: values[at] for date, values in side.items()} for side in scores)
        seen = [(date, early[date] > before.threshold) for date in early if np.isfinite(early[date])]
        seen += [(date, late[date] > after.threshold) for date in late if np.isfinite(late[date])]
        known = [[value for value in side.values() if np.isfinite(value)] for side in (early, late)]
        if not known[0] or not known[1]:
            continue
        is_new = change == "new"
        says = {
            "before": [d for d, s in seen if d in early and s != is_new],
            "after": [d for d, s in seen if d in late and s == is_new],
        }
        wanted = [min(min_dates, len(values)) for values in known]
        p_before, p_after = (float(np.mean(values)) for values in known)
        rise = p_after - p_before if is_new else p_before - p_after
        if len(says["before"]) < wanted[0] or len(says["after"]) < wanted[1] or rise < CONTRAST:
            continue
        sightings = sorted(says["after" if is_new else "before"])
        dates = ",".join(str(date) for date in sorted({*says["before"], *says["after"]}))
        first, last = str(sightings[0]), str(sightings[-1])
        rows.append(
            (
                change,
                classes[at],
                first,
                last,
                p_before,
                p_after,
                p_after - p_before,
                dates,
                line.length,
                line,
            )
        )
    return rows


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
    """(n,) the mean along each line of the best score within `SHIFT_M` on a date; NaN where it has no data.

    The lines are in metres of `grid`; the map of the date may have another one.
    """
    result = np.full(len(lines), np.nan)
    if not len(lines):
        return result
    maps, own = side.maps, side.maps.grid
    points, weight, owner = sample_lines(lines, step_m=min(pixel_m(own)))
    x, y = (points / metres_per_unit(grid)).T
    if own.crs != grid.crs:
        x, y = Transformer.from_crs(grid.crs, own.crs, always_xy=True).transform(x, y)
    left, _, _, top = own.bounds
    cols = np.floor((x - left) / own.resolution[0]).astype(np.int64)
    rows = np.floor((top - y) / own.resolution[1]).astype(np.int64)
    within = (cols >= 0) & (cols < own.width)
    total, known = np.zeros(len(lines)), np.zeros(len(lines))
    reach = [max(1, round(SHIFT_M / size)) for size in pixel_m(own)]
    for strip in own.window.strips(STRIP_PX):
        here = np.flatnonzero(within & (rows >= strip.row) & (rows < strip.row_end))
        if not len(here):
            continue
        part = strip.grow(reach[0]).intersect(own.window)
        pmap, valid = read_pmap(maps.pmap_path(date), part)
        for c in maps.legend.lines:
            mine = here[classes[owner[here]] == c.name]
            if not len(mine):
                continue
            near = ndimage.maximum_filter(class_odds_score(pmap, c.id), [2 * r + 1 for r in reach])
            at = rows[mine] - part.row, cols[mine]
            sure = valid[at]
            total += np.bincount(owner[mine][sure], (near[at] * weight[mine])[sure], len(lines))
            known += np.bincount(owner[mine][sure], weight[mine][sure], len(lines))
    enough = known > 0.5 * shapely.length(lines)
    result[enough] = total[enough] / known[enough]
    return result


def changed_km(changes: gpd.GeoDataFrame) -> dict[str, float]:
    """Kind of change -> km."""
    kinds: Sequence[str] = ("new", "vanished")
    return {kind: float(changes["length_m"][changes["change"] == kind].sum()) / 1e3 for kind in kinds}
