"""OpenStreetMap extracts: ways and multipolygons that carry a tag of a legend."""

import datetime as dt
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely

from swath.errors import InputError, MissingExtraError
from swath.grid import Bounds
from swath.labels.history import write_state
from swath.legend import Legend

OSM_SUFFIXES = (".osm.pbf", ".osm", ".osm.gz", ".osm.bz2")
HISTORY_SUFFIXES = (".osh.pbf", ".osh", ".osh.gz", ".osh.bz2")
ATTRIBUTION = "(c) OpenStreetMap contributors, ODbL 1.0"

_BATCH = 50_000
"""Features that are kept before those away from the box are thrown out."""


@dataclass(frozen=True, slots=True)
class Extract:
    """What an extract holds near a box.

    Attributes:
        features: In degrees: the legend's keys as columns (text or None), and `geometry`.
        extent: (west, south, east, north) in degrees, outside which the extract is not complete;
            None if it does not say.
        date: The day whose state of OpenStreetMap it shows; None if it does not say.
        cut: How many lines lack a node or more, as at the edge of an extract; what is left of them
            is kept.
    """

    features: geopandas.GeoDataFrame
    extent: Bounds | None
    date: dt.date | None
    cut: int


def read_extract(path: Path, legend: Legend, box: Bounds, as_of: dt.date | None = None) -> Extract:
    """Read what may belong to a legend from an OpenStreetMap extract.

    Every way comes as a line, and, where the legend has areas, every closed way and multipolygon as
    an area too: which of them counts is the legend's business.

    Args:
        path: `.osm.pbf`, `.osm`, `.osm.gz`, `.osm.bz2`, or the same with full history (`.osh.pbf`
            and so on).
        legend: Features that carry none of its keys are left out.
        box: (west, south, east, north) in degrees; features away from it are left out.
        as_of: The day (0:00 UTC) whose state is wanted; for full-history files, and only for them.

    Raises:
        InputError: The file cannot be read; or it has a history and no day was given, or the other
            way round.
        MissingExtraError: The package osmium is not installed.
    """
    try:
        import osmium
    except ImportError:
        raise MissingExtraError(f"reading {path.name}", "osmium", "osm") from None
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        extent, date, history = _header(path, osmium)
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
            return replace(_read(path, legend, box, osmium), extent=extent, date=date)
        if date is not None and as_of > date:
            raise InputError(f"{path}: the history ends {date}, before the {as_of} asked for")
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state.osm.pbf"
            write_state(path, state, legend, as_of, osmium)
            return replace(_read(state, legend, box, osmium), extent=extent, date=as_of)
    except reading_errors(osmium) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as an OpenStreetMap extract ({reason})") from None


def reading_errors(osmium: Any) -> tuple[type[Exception], ...]:
    """What osmium raises over a file that is damaged, or no OpenStreetMap data."""
    return (RuntimeError, ValueError, osmium.InvalidLocationError)


def _header(path: Path, osmium: Any) -> tuple[Bounds | None, dt.date | None, bool]:
    """The extent, the day, and whether the file has a history."""
    with osmium.io.Reader(str(path), osmium.osm.NOTHING) as reader:
        header = reader.header()
        box = header.box()
        extent = None
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


def _read(path: Path, legend: Legend, box: Bounds, osmium: Any) -> Extract:
    try:
        return _collect(path, legend, box, osmium)
    except RuntimeError as error:
        if "out of order" not in str(error):
            raise
        # Editors save objects in any order, areas need them sorted.
        with _sorted_copy(path, osmium) as copy:
            return _collect(copy, legend, box, osmium)


def _collect(path: Path, legend: Legend, box: Bounds, osmium: Any) -> Extract:
    keys = osmium.filter.KeyFilter(*legend.wanted)
    source = osmium.FileProcessor(path)
    if any(c.geometry == "area" for c in legend.tagged):
        source = source.with_areas(keys)
    else:
        source = source.with_locations()
    kinds = osmium.filter.EntityFilter(osmium.osm.WAY | osmium.osm.AREA)
    factory = osmium.geom.WKBFactory()
    found = _Near(legend, box)
    cut = 0
    for item in source.with_filter(kinds).with_filter(keys):
        try:
            if item.is_way():
                pieces, whole = _lines(item, factory, osmium)
                cut += not whole
            else:
                pieces = [factory.create_multipolygon(item)]
        except (osmium.InvalidLocationError, RuntimeError):
            continue  # one node only, or an area that does not close
        for piece in pieces:
            found.add(item.tags, piece)
    return Extract(found.frame(), None, None, cut)


def _lines(way: Any, factory: Any, osmium: Any) -> tuple[list[Any], bool]:
    """A way as WKB, and whether all its nodes are known.

    Extracts cut ways at their edge; then the runs of known nodes are left, each two or more.
    """
    # osmium passes over unknown nodes at the start without a word.
    if len(way.nodes) == 0 or way.nodes[0].location.valid():
        with suppress(osmium.InvalidLocationError):
            return [factory.create_linestring(way)], True
    runs: list[list[tuple[float, float]]] = [[]]
    for node in way.nodes:
        if node.location.valid():
            runs[-1].append((node.lon, node.lat))
        elif runs[-1]:
            runs.append([])
    return [shapely.to_wkb(shapely.LineString(run)) for run in runs if len(set(run)) > 1], False


class _Near:
    """Features near a box, sifted a batch at a time: an extract may be a whole country."""

    def __init__(self, legend: Legend, box: Bounds) -> None:
        self._keys = legend.keys
        self._box = shapely.box(*box)
        self._kept: list[tuple[list[dict[str, str | None]], Any]] = []
        self._rows: list[dict[str, str | None]] = []
        self._shapes: list[Any] = []

    def add(self, tags: Any, wkb: Any) -> None:
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
        return geopandas.GeoDataFrame(table, geometry=shapes, crs="EPSG:4326")


@contextmanager
def _sorted_copy(path: Path, osmium: Any) -> Iterator[Path]:
    """A temporary copy of an extract with its objects sorted by type and number."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "sorted.osm.pbf"
        merge_extracts([path], copy, osmium)
        yield copy


def merge_extracts(paths: list[Path], target: Path, osmium: Any, header: Any = None) -> None:
    """Write the objects of several extracts sorted, each once, to a new extract."""
    reader = osmium.MergeInputReader()
    for path in paths:
        reader.add_file(str(path))
    with osmium.SimpleWriter(str(target), header=header or osmium.io.Header()) as writer:
        reader.apply(writer)
