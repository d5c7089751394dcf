"""Full-history OpenStreetMap files: the state of one day, the geometry of its nodes included."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from swath.errors import InputError
from swath.legend import Legend

if TYPE_CHECKING:  # an extra
    from osmium.filter import IdFilter
    from osmium.osm import Node, Relation, Way, osm_entity_bits

Kind = TypeVar("Kind", "Node", "Way", "Relation")
State = TypeVar("State")

_AREA_TYPES = ("multipolygon", "boundary")


def write_state(path: Path, target: Path, legend: Legend, as_of: dt.date) -> None:
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

    Raises:
        InputError: The file is not sorted, or its objects have no dates.
        RuntimeError: The file cannot be read (by osmium).
    """
    import osmium
    from osmium.osm import NODE, RELATION, WAY, mutable

    moment = dt.datetime.combine(as_of, dt.time(), dt.UTC)
    keys = set(legend.wanted)
    relations = []
    members: set[int] = set()
    if any(c.geometry == "area" for c in legend.tagged):
        for number, relation in _states(path, RELATION, moment, _relation):
            tags = relation[0]
            if tags.get("type") in _AREA_TYPES and not keys.isdisjoint(tags):
                relations.append((number, relation))
                members.update(ref for kind, ref, _ in relation[1] if kind == "w")
    ways = []
    nodes: set[int] = set()
    for number, way in _states(path, WAY, moment, _way):
        if number in members or not keys.isdisjoint(way[0]):
            ways.append((number, way))
            nodes.update(way[1])
    with osmium.SimpleWriter(str(target)) as writer:
        only = osmium.filter.IdFilter(nodes)
        for number, location in _states(path, NODE, moment, _location, only):
            writer.add_node(mutable.Node(id=number, version=1, location=location))
        for number, (tags, refs) in ways:
            writer.add_way(mutable.Way(id=number, version=1, tags=tags, nodes=refs))
        for number, (tags, parts) in relations:
            writer.add_relation(mutable.Relation(id=number, version=1, tags=tags, members=parts))


def _relation(relation: "Relation") -> tuple[dict[str, str], list[tuple[str, int, str]]]:
    members = [(member.type, member.ref, member.role) for member in relation.members]
    return dict(relation.tags), members


def _way(way: "Way") -> tuple[dict[str, str], list[int]]:
    return dict(way.tags), [node.ref for node in way.nodes]


def _location(node: "Node") -> tuple[float, float] | None:
    return (node.location.lon, node.location.lat) if node.location.valid() else None


def _states(
    path: Path,
    kind: "osm_entity_bits",
    moment: dt.datetime,
    take: Callable[[Kind], State | None],
    only: "IdFilter | None" = None,
) -> Iterator[tuple[int, State]]:
    """Number and content of every object of a kind that exists at a moment, by number."""
    import osmium

    source = osmium.FileProcessor(path, kind)
    if only is not None:
        source = source.with_filter(only)
    last = 0
    for number, versions in groupby(cast("Iterable[Kind]", source), lambda item: item.id):
        if abs(number) < abs(last):
            raise InputError(f"{path}: a history file must be sorted; run: osmium sort")
        last, newest = number, 0
        state: State | None = None
        for item in versions:
            if item.timestamp.year < 2000:  # the zero of the clock: long before OpenStreetMap
                raise InputError(f"{path}: its objects have no dates, so no day's state can be told")
            if item.timestamp <= moment and item.version >= newest:
                newest, state = item.version, take(item) if item.visible else None
        if state is not None:
            yield number, state
