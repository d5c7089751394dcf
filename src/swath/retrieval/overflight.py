"""What one flight of a satellite over a site shows: its items, in the order in which they count.

A site may lie across tiles, zones or the 180th meridian, and a tile may come in two pieces. What a
satellite took within minutes belongs together and is joined to one image.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import shapely

from swath.retrieval.stacitem import StacItem

Rank = tuple[int, str, tuple[int, int], str]
"""What says which of two items is to be preferred: the greater."""

FLIGHT_S = 300
"""Items that follow each other within so long are of one flight; the next is 100 minutes later."""

LEAST_GAIN = 1e-4
"""Share of the site that an item must add to those that count before it, to be used."""

LEAST_GAIN_TILE = 0.01
"""The same where its tile is there already: two versions of a product differ in their outlines."""

WHOLE = 1 - 1e-6
"""An item that covers so much of a site covers it."""


@dataclass(frozen=True, slots=True)
class Overflight:
    """Items of one satellite, minutes apart, that cover a site together.

    Attributes:
        items: Where several have a pixel, the first counts.
        cover: Share 0..1 of the site that they cover together.
    """

    items: tuple[StacItem, ...]
    cover: float

    @property
    def id(self) -> str:
        """The names of its items."""
        return " + ".join(item.id for item in self.items)

    @property
    def date(self) -> dt.date:
        """The day (UTC) of its first item in time."""
        return min(item.date for item in self.items)

    @property
    def cloud(self) -> float | None:
        """Cloud of its items in percent, each as far as it covers the site; None if one does not say."""
        clouds = [item.cloud for item in self.items]
        if len(clouds) == 1 or None in clouds:
            return clouds[0] if len(clouds) == 1 else None
        shares = [item.cover for item in self.items]
        weighted = [share * cloud for share, cloud in zip(shares, clouds, strict=True) if cloud is not None]
        return sum(weighted) / sum(shares)


def find_overflights(items: Sequence[StacItem], rank: Callable[[StacItem], Rank]) -> list[Overflight]:
    """Sort items into flights; items that add nothing to better ones of their flight are left out.

    Args:
        items: Of one site.
        rank: Says which of two items counts before the other where they cover as much: the greater.
    """
    return [_join(flight, rank) for flight in _flights(items)]


def _flights(items: Sequence[StacItem]) -> Iterator[list[StacItem]]:
    """Items of one satellite that follow each other closely."""
    flight: list[StacItem] = []
    for item in sorted(items, key=lambda item: (item.platform or "", item.time, item.id)):
        same = flight and flight[-1].platform == item.platform
        if same and (item.time - flight[-1].time).total_seconds() <= FLIGHT_S:
            flight.append(item)
        else:
            if flight:
                yield flight
            flight = [item]
    if flight:
        yield flight


def _join(flight: Sequence[StacItem], rank: Callable[[StacItem], Rank]) -> Overflight:
    """The items of a flight that are needed to cover what can be covered, the largest part first."""
    lead = max(flight, key=lambda item: (round(item.cover, 3), rank(item)))
    chosen, covered = [lead], lead.part
    rest = [item for item in flight if item is not lead]
    while covered is not None and covered.area < WHOLE and rest:
        gains = [(_gain(item, covered), rank(item), item) for item in rest]
        tiles = {item.mgrs_tile for item in chosen}
        gains = [gain for gain in gains if gain[0] >= _least(gain[2], tiles)]
        if not gains:
            break
        _, _, best = max(gains, key=lambda gain: (round(gain[0], 3), gain[1]))
        chosen.append(best)
        covered = shapely.union(covered, best.part)
        rest.remove(best)
    return Overflight(tuple(chosen), 1.0 if covered is None else float(covered.area))


def _gain(item: StacItem, covered: shapely.Geometry) -> float:
    """Share of the site that an item adds."""
    return float(shapely.difference(item.part, covered).area)


def _least(item: StacItem, tiles: set[str | None]) -> float:
    return LEAST_GAIN_TILE if item.mgrs_tile in tiles and item.mgrs_tile is not None else LEAST_GAIN
