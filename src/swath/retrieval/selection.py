"""Which dates to take: a plan that says why, made from values alone.

First every item gets its chance (`sift`): one item a day, that covers the site and is not hopeless.
Then, once the clouds over the site itself are known, the dates are chosen (`choose`): as far apart
in the year as can be, and among equals the clearest.
"""

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swath.retrieval.offset import parse_baseline
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
    """A date that is taken.

    Attributes:
        item: Its item.
        clear: Share 0..1 of the site that is clear.
        why: In words.
    """

    item: StacItem
    clear: float
    why: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item that is not taken.

    Attributes:
        id: Its name.
        date: Its day.
        why: In words.
    """

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


def wanted_assets(item: StacItem, wanted: FetchSettings, bands: tuple[str, ...]) -> str | None:
    """Why an item lacks what is to be fetched, in words; None if it has everything.

    Args:
        item: The item.
        wanted: What is looked for; `source` is `visual` or `bands`.
        bands: The bands of the images.
    """
    if wanted.source == "visual":
        return None if "visual" in item.assets else "it has no true-colour image (`source: bands`?)"
    if missing := [band for band in bands if band not in item.assets]:
        return f"it has no band {', '.join(missing)} that can be read over http"
    if wanted.offset_dn is None and (offset := item.offset(bands)).dn is None:
        return f"{offset.why}; give `offset_dn` to use it all the same"
    return None


def sift(
    items: Sequence[StacItem], wanted: FetchSettings, bands: tuple[str, ...]
) -> tuple[tuple[StacItem, ...], tuple[Rejection, ...]]:
    """Keep the items worth a closer look, at most one a day.

    Of several on one day, the one whose tile is met most often (a series should stay in one tile),
    then the newest baseline, then the last by name (the latest reprocessing).

    Args:
        items: What the search gave.
        wanted: What is looked for.
        bands: The bands of the images.

    Returns:
        The items kept, oldest first; the others with the reason.
    """
    kept: list[StacItem] = []
    out: list[Rejection] = []
    for item in items:
        reason = _refusal(item, wanted) or wanted_assets(item, wanted, bands)
        if reason:
            out.append(Rejection(item.id, item.date, reason))
        else:
            kept.append(item)
    tiles = Counter(item.mgrs_tile for item in kept)

    def rank(item: StacItem) -> tuple[int, str, tuple[int, int], str]:
        newest = parse_baseline(item.baseline) or (0, 0)
        return tiles[item.mgrs_tile], item.mgrs_tile or "", newest, item.id

    best: list[StacItem] = []
    kept.sort(key=lambda item: (item.date, item.id))
    for _, group in itertools.groupby(kept, key=lambda item: item.date):
        *others, first = sorted(group, key=rank)
        best.append(first)
        out += [Rejection(o.id, o.date, f"{first.id} of the same day is taken") for o in others]
    return tuple(best), _by_date(out)


def choose(items: Sequence[StacItem], clear: Mapping[str, float], wanted: FetchSettings) -> Choice:
    """Choose the dates.

    Args:
        items: At most one a day.
        clear: Share 0..1 of the site that is clear, by item name.
        wanted: How many dates, or which.

    Returns:
        The plan; short of dates where there are not enough that are clear.
    """
    enough = [item for item in items if 1 - clear[item.id] <= wanted.max_cloud / 100 + 1e-9]
    chosen = _granted(enough, clear, wanted) if wanted.wishes else _spread(enough, clear, wanted)
    picks = tuple(Pick(item, clear[item.id], why) for item, why in chosen)
    taken = {pick.item.id for pick in picks}
    rejections = [
        Rejection(item.id, item.date, _refused(item, clear, wanted))
        for item in items
        if item.id not in taken
    ]
    return Choice(picks, _by_date(rejections), _missing(picks, wanted))


def days_apart(first: dt.date, second: dt.date) -> int:
    """Days between two dates within the year, whatever their years: 0..182."""
    apart = abs(_day(first) - _day(second))
    return min(apart, YEAR_DAYS - apart)


def farthest(
    days: Sequence[int], weights: Sequence[float], count: int
) -> tuple[int, tuple[int, ...]]:
    """Points on the circle of the year, as far apart as can be; among equals the heaviest.

    Exact: for every gap from the widest down, the heaviest set that keeps it, by dynamic
    programming from each possible first point.

    Args:
        days: Day 0..364 of each point.
        weights: The weight of each.
        count: How many to take; no more than there are.

    Returns:
        The gap kept, in days (a multiple of `STEP_DAYS`), and the indexes, ascending.

    Raises:
        ValueError: More are to be taken than there are.
    """
    order = sorted(range(len(days)), key=lambda index: (days[index], index))
    widest = YEAR_DAYS // count // STEP_DAYS * STEP_DAYS if count > 1 else 0
    for gap in range(widest, -1, -STEP_DAYS):
        best: _Chosen | None = None
        for start in range(len(order)):
            if chosen := _heaviest(order, days, weights, count, gap, start):
                best = _heavier(best, chosen)
        if best is not None:
            return gap, tuple(sorted(best[1]))
    raise ValueError(f"{count} of {len(days)} points cannot be taken")


def _heaviest(
    order: Sequence[int],
    days: Sequence[int],
    weights: Sequence[float],
    count: int,
    gap: int,
    start: int,
) -> _Chosen | None:
    """The heaviest set with `order[start]` first in the year and all gaps at least `gap`."""
    first = order[start]
    last_day = days[first] + YEAR_DAYS - gap
    places = [p for p in range(start + 1, len(order)) if days[order[p]] <= last_day]
    row: dict[int, _Chosen] = {start: (weights[first], (first,))}
    for _ in range(count - 1):
        following: dict[int, _Chosen] = {}
        # Both run forward once: the best so far that ends early enough for this point.
        ends, best = iter(sorted(row)), None
        end = next(ends, None)
        for place in places:
            index = order[place]
            while end is not None and end < place and days[index] - days[order[end]] >= gap:
                best = _heavier(best, row[end])
                end = next(ends, None)
            if best is not None:
                following[place] = (best[0] + weights[index], (*best[1], index))
        row = following
    heaviest: _Chosen | None = None
    for chosen in row.values():
        heaviest = _heavier(heaviest, chosen)
    return heaviest


def _heavier(first: _Chosen | None, second: _Chosen) -> _Chosen:
    """The heavier of two sets; of two equal ones the earlier in the list, always the same."""
    if first is None:
        return second
    if abs(first[0] - second[0]) > 1e-9:
        return first if first[0] > second[0] else second
    return min(first, second, key=lambda chosen: sorted(chosen[1]))


def _spread(
    items: Sequence[StacItem], clear: Mapping[str, float], wanted: FetchSettings
) -> list[tuple[StacItem, str]]:
    count = min(wanted.dates, len(items))
    if not count:
        return []
    days = [_day(item.date) for item in items]
    gap, indexes = farthest(days, [clear[item.id] for item in items], count)
    chosen = [items[index] for index in indexes]
    reasons: list[tuple[StacItem, str]] = []
    for item in chosen:
        others = [days_apart(item.date, other.date) for other in chosen if other is not item]
        gap_now = min(others, default=0)
        apart = f", {gap_now} days of the year from the next (no choice keeps {gap + STEP_DAYS})"
        reasons.append((item, f"{clear[item.id]:.1%} clear{apart if others else ''}"))
    return sorted(reasons, key=lambda pair: pair[0].date)


def _granted(
    items: Sequence[StacItem], clear: Mapping[str, float], wanted: FetchSettings
) -> list[tuple[StacItem, str]]:
    """The nearest clear date of each wish; the pair that is nearest is served first."""
    pairs = sorted(
        (abs((item.date - wish).days), -clear[item.id], item.date, wish, index)
        for index, item in enumerate(items)
        for wish in wanted.wishes
        if abs((item.date - wish).days) <= wanted.within_days
    )
    served: dict[dt.date, int] = {}
    for _, _, _, wish, index in pairs:
        if wish not in served and index not in served.values():
            served[wish] = index
    reasons = []
    for wish, index in served.items():
        item = items[index]
        late = (item.date - wish).days
        when = f"{late:+d} days from the wish {wish}" if late else "as wished"
        reasons.append((item, f"{clear[item.id]:.1%} clear, {when}"))
    return sorted(reasons, key=lambda pair: pair[0].date)


def _refusal(item: StacItem, wanted: FetchSettings) -> str | None:
    """What speaks against an item before its clouds over the site are known."""
    tile = wanted.mgrs_tile.lstrip("0") if wanted.mgrs_tile else None
    if tile is not None and item.mgrs_tile != tile:
        return f"tile {item.mgrs_tile or 'unknown'}, wanted is {tile}"
    if item.cover * 100 < wanted.min_cover - 1e-6:
        return f"it covers {item.cover:.1%} of the site, wanted are {wanted.min_cover:g} %"
    if wanted.wishes and not any(
        abs((item.date - wish).days) <= wanted.within_days for wish in wanted.wishes
    ):
        return f"no wish lies within {wanted.within_days} days"
    if item.cloud is not None and item.cloud > wanted.max_tile_cloud:
        return f"{item.cloud:.0f} % of the tile is cloud (max_tile_cloud {wanted.max_tile_cloud:g})"
    if item.cloud is None and (wanted.clear_by == "tile" or "SCL" not in item.assets):
        return "it says nothing about clouds: no scene classification, no eo:cloud_cover"
    return None


def _refused(item: StacItem, clear: Mapping[str, float], wanted: FetchSettings) -> str:
    share = clear[item.id]
    if 1 - share > wanted.max_cloud / 100 + 1e-9:
        return f"{1 - share:.1%} of the site is not clear (max_cloud {wanted.max_cloud:g} %)"
    if wanted.wishes:
        return f"{share:.1%} clear, but another date serves the wish"
    return f"{share:.1%} clear, but others lie farther apart in the year or are clearer"


def _missing(picks: Sequence[Pick], wanted: FetchSettings) -> tuple[str, ...]:
    if wanted.wishes:
        served = len(picks)
        if served == len(wanted.wishes):
            return ()
        days = ", ".join(
            str(wish)
            for wish in wanted.wishes
            if not any(abs((p.item.date - wish).days) <= wanted.within_days for p in picks)
        )
        return (f"{served} of {len(wanted.wishes)} wishes can be met (not: {days or 'shared'})",)
    if len(picks) < wanted.dates:
        return (f"{len(picks)} of {wanted.dates} dates can be had",)
    return ()


def _day(date: dt.date) -> int:
    """Day of the year from 0; the 366th counts as the 365th."""
    return min(date.timetuple().tm_yday, YEAR_DAYS) - 1


def _by_date(rejections: Sequence[Rejection]) -> tuple[Rejection, ...]:
    return tuple(sorted(rejections, key=lambda rejection: (rejection.date, rejection.id)))
