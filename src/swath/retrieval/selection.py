"""Which dates to take: a plan that says why, made from values alone.

First every item gets its chance (`sift`): those of one flight are joined, and one flight a day stays
that covers the site and is not hopeless.
Then, once the clouds over the site itself are known, the dates are chosen (`choose`): as far apart
in the year as can be, and among equals the clearest.
"""

import datetime as dt
import itertools
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from swath.retrieval.offset import parse_baseline
from swath.retrieval.overflight import Overflight, Rank, find_overflights
from swath.retrieval.stacitem import StacItem
from swath.sites.schema import FetchSettings

YEAR_DAYS = 365
"""Days of the circle on which seasons lie."""

STEP_DAYS = 10
"""Gaps between dates count in steps of this, so that no day more is bought with a cloud."""

_Chosen = tuple[float, tuple[int, ...]]
"""The weight of a set of points, and their indexes."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A date that is taken; `clear`: share 0..1 of the site that is clear; `why` in words."""

    overflight: Overflight
    clear: float
    why: str

    @property
    def date(self) -> dt.date:
        """Its day (UTC)."""
        return self.overflight.date


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item, or several of one flight (`a + b`), not taken, and why, in words."""

    id: str
    date: dt.date
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The plan of one site.

    Attributes:
        picks: Oldest first.
        rejections: By date, then by name.
        missing: What could not be had, in words; empty when all is well.
    """

    picks: tuple[Pick, ...]
    rejections: tuple[Rejection, ...]
    missing: tuple[str, ...] = ()


def sift(
    items: Sequence[StacItem], wanted: FetchSettings, bands: tuple[str, ...]
) -> tuple[tuple[Overflight, ...], tuple[Rejection, ...]]:
    """Keep the flights worth a closer look, at most one a day, oldest first; the others with why.

    Of several on one day, or items of one flight, the one that covers more of the site, then the one
    whose tile is met most often (a series should stay in one tile), then the newest baseline, then
    the last by name (the latest reprocessing).
    """
    usable: list[StacItem] = []
    out: list[Rejection] = []
    for item in items:
        if reason := _refusal(item, wanted, bands):
            out.append(Rejection(item.id, item.date, reason))
        else:
            usable.append(item)
    tiles = Counter(item.mgrs_tile for item in usable)

    def rank(item: StacItem) -> Rank:
        newest = parse_baseline(item.baseline) or (0, 0)
        return tiles[item.mgrs_tile], item.mgrs_tile or "", newest, item.id

    kept: list[Overflight] = []
    for overflight in find_overflights(usable, rank):
        if reason := _flight_refusal(overflight, wanted):
            out.append(Rejection(overflight.id, overflight.date, reason))
        else:
            kept.append(overflight)

    def order(overflight: Overflight) -> tuple[float, Rank]:
        return round(overflight.cover, 3), rank(overflight.items[0])

    best: list[Overflight] = []
    kept.sort(key=lambda overflight: (overflight.date, overflight.id))
    for _, group in itertools.groupby(kept, key=lambda overflight: overflight.date):
        best.append(max(group, key=order))
    told = {name for rejection in out for name in rejection.id.split(" + ")}
    taken = {flight.date: flight.id for flight in best}
    told |= {item.id for flight in best for item in flight.items}
    for item in usable:
        if item.id not in told:
            rival = taken.get(item.date)
            why = f"{rival} of the same day is taken" if rival else "it adds nothing to others of its flight"
            out.append(Rejection(item.id, item.date, why))
    return tuple(best), by_date(out)


def choose(items: Sequence[Overflight], clear: Mapping[str, float], wanted: FetchSettings) -> Choice:
    """Choose the dates; fewer than `wanted` where there are not enough that are clear.

    Of `items` there is at most one a day; `clear` is a share 0..1 of the site, by their `id`.
    """
    enough = [item for item in items if _is_clear(clear[item.id], wanted)]
    chosen = _granted(enough, clear, wanted) if wanted.wishes else _spread(enough, clear, wanted)
    picks = [Pick(item, clear[item.id], f"{clear[item.id]:.1%} clear{why}") for item, why in chosen]
    picks.sort(key=lambda pick: pick.date)
    taken = {pick.overflight.id for pick in picks}
    rejections = [
        Rejection(item.id, item.date, _refused(clear[item.id], wanted))
        for item in items
        if item.id not in taken
    ]
    return Choice(tuple(picks), by_date(rejections), _missing(picks, wanted))


def days_apart(first: dt.date, second: dt.date) -> int:
    """Days between two dates within the year, whatever their years: 0..182."""
    apart = abs(_day(first) - _day(second))
    return min(apart, YEAR_DAYS - apart)


def farthest(days: Sequence[int], weights: Sequence[float], count: int) -> tuple[int, tuple[int, ...]]:
    """Points on the circle of the year, as far apart as can be; among equals the heaviest.

    Exact: for every gap from the widest down, the heaviest set that keeps it, by dynamic
    programming from each possible first point.

    Args:
        days: Day 0..364 of each point.
        weights: The weight of each.
        count: How many to take, 1 to all.

    Returns:
        The gap kept, in days (a multiple of `STEP_DAYS`), and the indexes, ascending.
    """
    points = sorted(zip(days, range(len(days)), weights, strict=True))
    widest = YEAR_DAYS // count // STEP_DAYS * STEP_DAYS if count > 1 else 0
    for gap in range(widest, -1, -STEP_DAYS):
        starts = range(len(points))
        sets = [chosen for start in starts for chosen in _sets(points[start:], count, gap)]
        if sets:
            return gap, tuple(sorted(reduce(_heavier, sets)[1]))
    raise ValueError(f"{count} of {len(days)} points cannot be taken")


def _sets(points: Sequence[tuple[int, int, float]], count: int, gap: int) -> Iterable[_Chosen]:
    """For each last point, the heaviest set from the first on whose gaps are at least `gap`."""
    first_day, first, weight = points[0]
    row: dict[int, _Chosen] = {0: (weight, (first,))}
    for _ in range(count - 1):
        following: dict[int, _Chosen] = {}
        # Both run forward once: the best so far that ends early enough for this point.
        ends, best = deque(row.items()), None
        for place, (day, index, weight) in enumerate(points):
            while ends and ends[0][0] < place and day - points[ends[0][0]][0] >= gap:
                chosen = ends.popleft()[1]
                best = chosen if best is None else _heavier(best, chosen)
            if best is not None and day <= first_day + YEAR_DAYS - gap:
                following[place] = best[0] + weight, (*best[1], index)
        row = following
    return row.values()


def _heavier(first: _Chosen, second: _Chosen) -> _Chosen:
    """The heavier of two sets; of two equal ones the earlier in the list, always the same."""
    if abs(first[0] - second[0]) > 1e-9:
        return max(first, second)
    return min(first, second, key=lambda chosen: sorted(chosen[1]))


def _spread(
    items: Sequence[Overflight], clear: Mapping[str, float], wanted: FetchSettings
) -> list[tuple[Overflight, str]]:
    """Items far apart in the year, each with how far."""
    count = min(wanted.dates, len(items))
    if not count:
        return []
    days = [_day(item.date) for item in items]
    gap, indexes = farthest(days, [clear[item.id] for item in items], count)
    chosen = [items[index] for index in indexes]
    reasons = []
    for item in chosen:
        apart = [days_apart(item.date, other.date) for other in chosen if other is not item]
        widest = f"(no choice keeps {gap + STEP_DAYS})"
        why = f", {min(apart)} days of the year from the next {widest}" if apart else ""
        reasons.append((item, why))
    return reasons


def _granted(
    items: Sequence[Overflight], clear: Mapping[str, float], wanted: FetchSettings
) -> list[tuple[Overflight, str]]:
    """The nearest clear date of each wish; the pair that is nearest is served first."""
    pairs = sorted(
        (abs((item.date - wish).days), -clear[item.id], item.date, wish, index)
        for index, item in enumerate(items)
        for wish in _wishes_near(item, wanted)
    )
    served: dict[dt.date, int] = {}
    for _, _, _, wish, index in pairs:
        if wish not in served and index not in served.values():
            served[wish] = index
    reasons = []
    for wish, index in served.items():
        late = (items[index].date - wish).days
        when = f"{late:+d} days from the wish {wish}" if late else "as wished"
        reasons.append((items[index], f", {when}"))
    return reasons


def _wishes_near(item: StacItem | Overflight, wanted: FetchSettings) -> list[dt.date]:
    """The wishes that an item could serve."""
    return [w for w in wanted.wishes if abs((item.date - w).days) <= wanted.within_days]


def _is_clear(share: float, wanted: FetchSettings) -> bool:
    return 1 - share <= wanted.max_cloud / 100 + 1e-9


def _refusal(item: StacItem, wanted: FetchSettings, bands: tuple[str, ...]) -> str | None:
    """What speaks against an item before its clouds over the site are known."""
    tile = wanted.mgrs_tile.lstrip("0") if wanted.mgrs_tile else None
    if tile is not None and item.mgrs_tile != tile:
        return f"tile {item.mgrs_tile or 'unknown'}, wanted is {tile}"
    if wanted.wishes and not _wishes_near(item, wanted):
        return f"no wish lies within {wanted.within_days} days"
    if item.cloud is None and (wanted.clear_by == "tile" or "SCL" not in item.assets):
        return "it says nothing about clouds: no scene classification, no eo:cloud_cover"
    if wanted.source == "visual":
        return None if "visual" in item.assets else "it has no true-colour image (`source: bands`?)"
    if missing := [band for band in bands if band not in item.assets]:
        return f"it has no band {', '.join(missing)} that can be read over http"
    if wanted.offset_dn is None and (offset := item.offset(bands)).dn is None:
        return f"{offset.why}; give `offset_dn` to use it all the same"
    return None


def _flight_refusal(flight: Overflight, wanted: FetchSettings) -> str | None:
    """What speaks against all items of a flight together."""
    several = len(flight.items) > 1
    if flight.cover * 100 < wanted.min_cover - 1e-6:
        cover = "they cover" if several else "it covers"
        return f"{cover} {flight.cover:.1%} of the site, wanted are {wanted.min_cover:g} %"
    if flight.cloud is not None and flight.cloud > wanted.max_tile_cloud:
        tile = "their tiles" if several else "the tile"
        return f"{flight.cloud:.0f} % of {tile} is cloud (max_tile_cloud {wanted.max_tile_cloud:g})"
    return None


def _refused(share: float, wanted: FetchSettings) -> str:
    """What speaks against an item whose clouds over the site are known."""
    if not _is_clear(share, wanted):
        return f"{1 - share:.1%} of the site is not clear (max_cloud {wanted.max_cloud:g} %)"
    if wanted.wishes:
        return f"{share:.1%} clear, but another date serves the wish"
    return f"{share:.1%} clear, but others lie farther apart in the year or are clearer"


def _missing(picks: Sequence[Pick], wanted: FetchSettings) -> tuple[str, ...]:
    """What could not be had, in words."""
    count = len(wanted.wishes) or wanted.dates
    if len(picks) >= count:
        return ()
    if not wanted.wishes:
        return (f"{len(picks)} of {count} dates can be had",)
    near = {wish for pick in picks for wish in _wishes_near(pick.overflight, wanted)}
    days = ", ".join(str(wish) for wish in wanted.wishes if wish not in near)
    return (f"{len(picks)} of {count} wishes can be met (not: {days or 'shared'})",)


def _day(date: dt.date) -> int:
    """Day of the year from 0; the 366th counts as the 365th."""
    return min(date.timetuple().tm_yday, YEAR_DAYS) - 1


def by_date(rejections: Iterable[Rejection]) -> tuple[Rejection, ...]:
    """In the order in which they are told."""
    return tuple(sorted(rejections, key=lambda rejection: (rejection.date, rejection.id)))
