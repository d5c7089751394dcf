"""OpenStreetMap extracts: ways and multipolygons that carry a tag of a legend."""

import datetime as dt
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from swath.errors import InputError, reason_of
from swath.extras import optional_import
from swath.files import check_file
from swath.grid import LONLAT, Bounds, lonlat_parts
from swath.labels.history import write_state
from swath.labels.sortedextract import sorted_extract
from swath.legend import Legend

if TYPE_CHECKING:  # an extra
    from osmium.geom import WKBFactory
    from osmium.osm import Node, TagList, Way

OSM_SUFFIXES = (".osm.pbf", ".osm", ".osm.gz", ".osm.bz2")
HISTORY_SUFFIXES = (".osh.pbf", ".osh", ".osh.gz", ".osh.bz2")
ATTRIBUTION = "(c) OpenStreetMap contributors, ODbL 1.0"

_BATCH = 50_000
"""Features that are kept before those away from the box are thrown out."""

_Wkb = str | bytes
"""Well-known binary, or its hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class FeatureSource:
    """Features near a place as a file or a server has them, before the legend chooses.

    Attributes:
        features: The legend's keys as columns (text or None), and `geometry`, in any CRS.
        origin: What to call the source in an error: its path or its server.
        extent: (west, south, east, north) in degrees, outside which the source is not complete;
            None if it does not say.
        date: The day whose state it shows; None if it does not say.
        attribution: Who made it; empty if it does not say.
        knows_place: Whether what it does not have near the place is not there. A table of features
            of elsewhere does not know the place.
    """

    features: geopandas.GeoDataFrame
    origin: str
    extent: Bounds | None = None
    date: dt.date | None = None
    attribution: str = ""
    knows_place: bool = False


def read_extract(path: Path, legend: Legend, box: Bounds, as_of: dt.date | None = None) -> FeatureSource:
    """Read what may belong to a legend from an OpenStreetMap extract, in degrees.

    Every way comes as a line, and, where the legend has areas, every closed way and multipolygon as
    an area too: which of them counts is the legend's business. Of ways that lack nodes, as at the
    edge of an extract, what is left is kept.

    Args:
        path: A name that ends as one of `OSM_SUFFIXES` or `HISTORY_SUFFIXES`.
        legend: Features that carry none of its keys are left out.
        box: (west, south, east, north) in degrees; features away from it are left out.
        as_of: The day (0:00 UTC) whose state is wanted; for full-history files, and only for them.

    Raises:
        InputError: The file cannot be read; or it has a history and no day was given, or the other
            way round.
        MissingExtraError: The package osmium is not installed.
    """
    check_osmium(f"reading {path.name}")
    check_file(path)
    try:
        extent, date, history = _header(path)
        if history and as_of is None:
            raise InputError(
                f"{path}: a full-history file holds every state of OpenStreetMap; say which day is "
                "wanted: labels: {path: ..., as_of: YYYY-MM-DD}"
            )
        if as_of is not None and not history:
            raise InputError(
                f"{path}: as_of needs a full-history file (.osh.pbf); this one holds one state"
                + (f", of {date}" if date else "")
            )
        if as_of is None:
            features, near = _read(path, legend, box, extent)
            return FeatureSource(features, str(path), extent, date, ATTRIBUTION, near)
        if date is not None and as_of > date:
            raise InputError(f"{path}: the history ends {date}, before the {as_of} asked for")
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state.osm.pbf"
            write_state(path, state, legend, as_of)
            features, near = _read(state, legend, box, extent)
            return FeatureSource(features, str(path), extent, as_of, ATTRIBUTION, near)
    except reading_errors() as error:
        reason = reason_of(error)
        raise InputError(f"{path}: not readable as an OpenStreetMap extract ({reason})") from None


def check_osmium(what: str) -> None:
    """Raise `MissingExtraError` unless osmium is installed, which `what` needs (in words)."""
    with optional_import(what, "osm"):
        import osmium  # noqa: F401


def reading_errors() -> tuple[type[Exception], ...]:
    """What osmium raises over a file that is damaged, or no OpenStreetMap data."""
    import osmium

    return (RuntimeError, ValueError, osmium.InvalidLocationError)


def _header(path: Path) -> tuple[Bounds | None, dt.date | None, bool]:
    """The extent, the day, and whether the file has a history."""
    import osmium

    with osmium.io.Reader(str(path), osmium.osm.NOTHING) as reader:
        header = reader.header()
        box = header.box()
        extent: Bounds | None = None
        if box.valid():
            low, high = box.bottom_left, box.top_right
            extent = (low.lon, low.lat, high.lon, high.lat)
        stamp = header.get("osmosis_replication_timestamp") or header.get("timestamp")
        history = path.name.lower().endswith(HISTORY_SUFFIXES)
        history = history or header.has_multiple_object_versions
    try:
        date = dt.datetime.fromisoformat(stamp).date() if stamp else None
    except ValueError:
        date = None
    return extent, date, history


def _read(
    path: Path, legend: Legend, box: Bounds, extent: Bounds | None
) -> tuple[geopandas.GeoDataFrame, bool]:
    """The features near a box, and whether the extract reaches there."""
    with sorted_extract(path) as ordered:
        features = _collect(ordered, legend, box)
        if len(features):
            return features, True
        around = _node_bounds(ordered) if extent is None else extent
    if around is None:
        return features, False
    return features, any(shapely.box(*around).intersects(shapely.box(*part)) for part in lonlat_parts(box))


def _node_bounds(path: Path) -> Bounds | None:
    """The box around all nodes; None without any."""
    import osmium

    nodes = cast("Iterable[Node]", osmium.FileProcessor(path, osmium.osm.NODE))
    places = np.array([(node.lon, node.lat) for node in nodes if node.location.valid()])
    if not len(places):
        return None
    (west, south), (east, north) = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    return west, south, east, north


def _collect(path: Path, legend: Legend, box: Bounds) -> geopandas.GeoDataFrame:
    import osmium

    keys = osmium.filter.KeyFilter(*legend.wanted)
    source = osmium.FileProcessor(path)
    if any(c.geometry == "area" for c in legend.tagged):
        source = source.with_areas(keys)
    else:
        source = source.with_locations()
    kinds = osmium.filter.EntityFilter(osmium.osm.WAY | osmium.osm.AREA)
    factory = osmium.geom.WKBFactory()
    near = _Near(legend, box)
    for item in source.with_filter(kinds).with_filter(keys):
        pieces: list[_Wkb] = []
        with suppress(osmium.InvalidLocationError, RuntimeError):
            # Not of one node only, nor of an area that does not close.
            if isinstance(item, osmium.osm.Way):
                pieces = _lines(item, factory)
            elif isinstance(item, osmium.osm.Area):
                pieces = [factory.create_multipolygon(item)]
        for piece in pieces:
            near.add(item.tags, piece)
    return near.frame()


def _lines(way: "Way", factory: "WKBFactory") -> list[_Wkb]:
    """A way as WKB, or the runs of two or more known nodes that an extract's edge leaves."""
    import osmium

    # osmium passes over unknown nodes at the start without a word.
    if len(way.nodes) == 0 or way.nodes[0].location.valid():
        with suppress(osmium.InvalidLocationError):
            return [factory.create_linestring(way)]
    runs: list[list[tuple[float, float]]] = [[]]
    for node in way.nodes:
        if node.location.valid():
            runs[-1].append((node.lon, node.lat))
        elif runs[-1]:
            runs.append([])
    return [shapely.to_wkb(shapely.LineString(run)) for run in runs if len(set(run)) > 1]


class _Near:
    """Features near a box, sifted a batch at a time: an extract may be a whole country."""

    def __init__(self, legend: Legend, box: Bounds) -> None:
        self._keys = legend.keys
        self._box = shapely.union_all([shapely.box(*part) for part in lonlat_parts(box)])
        self._kept: list[tuple[list[dict[str, str | None]], NDArray[np.object_]]] = []
        self._rows: list[dict[str, str | None]] = []
        self._shapes: list[_Wkb] = []

    def add(self, tags: "TagList", wkb: _Wkb) -> None:
        self._rows.append({key: tags.get(key) for key in self._keys})
        self._shapes.append(wkb)
        if len(self._rows) >= _BATCH:
            self._sift()

    def _sift(self) -> None:
        shapes = shapely.from_wkb(self._shapes)
        near = np.flatnonzero(shapely.intersects(shapely.envelope(shapes), self._box))
        self._kept.append(([self._rows[at] for at in near], shapes[near]))
        self._rows, self._shapes = [], []

    def frame(self) -> geopandas.GeoDataFrame:
        self._sift()
        rows = [row for part, _ in self._kept for row in part]
        shapes = np.concatenate([shapes for _, shapes in self._kept])
        table = pd.DataFrame(rows, columns=list(self._keys), dtype=object)
        return geopandas.GeoDataFrame(table, geometry=shapes, crs=LONLAT)
