"""Full-history OpenStreetMap files: the state of one day, the geometry of its nodes included."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from swath.errors import InputError
from swath.legend import Legend

T = TypeVar("T")

_AREA_TYPES = ("multipolygon", "boundary")


def write_state(path: Path, target: Path, legend: Legend, as_of: dt.date, osmium: Any) -> None:
    """Write what a history file says of one day, as far as a legend needs it, as an extract.

    Of every object the version counts that was the newest at 0:00 UTC of the day; one that is
    deleted then does not exist. A way has the nodes of its version, each where it lay that day:
    nodes are moved without a new version of the way. Relations, ways and nodes are read in three
    passes, each telling the next what it needs, so that memory holds only what is wanted.

    Args:
        path: Full history, sorted by type, number and version, as all published files are.
        target: The `.osm.pbf` to write.
        legend: Ways and multipolygons that carry none of its keys that day are left out.
        as_of: The day.
        osmium: The package.

    Raises:
        InputError: The file is not sorted, or its objects have no dates.
        RuntimeError: The file cannot be read (by osmium).
    """
    moment = dt.datetime.combine(as_of, dt.time(), dt.UTC)
    keys = set(legend.wanted)
    kinds, mutable = osmium.osm, osmium.osm.mutable
    relations = []
    if any(c.geometry == "area" for c in legend.tagged):
        for number, (tags, members) in _states(
            path, kinds.RELATION, moment, osmium, lambda r: (dict(r.tags), _members(r))
        ):
            if tags.get("type") in _AREA_TYPES and not keys.isdisjoint(tags):
                relations.append(mutable.Relation(id=number, version=1, tags=tags, members=members))
    wanted = {ref for relation in relations for kind, ref, _ in relation.members if kind == "w"}
    ways = []
    nodes: set[int] = set()
    for number, (tags, refs) in _states(
        path, kinds.WAY, moment, osmium, lambda w: (dict(w.tags), [node.ref for node in w.nodes])
    ):
        if number in wanted or not keys.isdisjoint(tags):
            ways.append(mutable.Way(id=number, version=1, tags=tags, nodes=refs))
            nodes.update(refs)
    with osmium.SimpleWriter(str(target)) as writer:
        only = osmium.filter.IdFilter(nodes)
        for number, location in _states(path, kinds.NODE, moment, osmium, _location, only):
            writer.add_node(mutable.Node(id=number, version=1, location=location))
        for way in ways:
            writer.add_way(way)
        for relation in relations:
            writer.add_relation(relation)


def _members(relation: Any) -> list[tuple[str, int, str]]:
    return [(member.type, member.ref, member.role) for member in relation.members]


def _location(node: Any) -> tuple[float, float] | None:
    return (node.location.lon, node.location.lat) if node.location.valid() else None


def _states(
    path: Path,
    kind: Any,
    moment: dt.datetime,
    osmium: Any,
    take: Callable[[Any], T | None],
    only: Any = None,
) -> Iterator[tuple[int, T]]:
    """Number and content of every object of a kind that exists at a moment, by number."""
    source = osmium.FileProcessor(path, kind)
    if only is not None:
        source = source.with_filter(only)
    number: int | None = None
    newest = 0
    state: T | None = None
    for item in source:
        if item.timestamp.year < 2000:  # the zero of the clock: long before OpenStreetMap
            raise InputError(f"{path}: its objects have no dates, so no day's state can be told")
        if item.id != number:
            if number is not None and abs(item.id) < abs(number):
                raise InputError(f"{path}: a history file must be sorted; run: osmium sort")
            if number is not None and state is not None:
                yield number, state
            number, newest, state = item.id, 0, None
        if item.timestamp <= moment and item.version >= newest:
            newest, state = item.version, take(item) if item.visible else None
    if number is not None and state is not None:
        yield number, state
