"""OpenStreetMap extracts: ways and multipolygons that carry a tag of a legend."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas
import pandas as pd
import shapely

from swath.errors import InputError, MissingExtraError
from swath.grid import Bounds
from swath.legend import Legend

OSM_SUFFIXES = (".osm.pbf", ".osm", ".osm.gz", ".osm.bz2")


def read_osm(path: Path, legend: Legend, box: Bounds) -> geopandas.GeoDataFrame:
    """Read what may belong to a legend from an OpenStreetMap extract.

    Args:
        path: `.osm.pbf`, `.osm`, `.osm.gz` or `.osm.bz2`.
        legend: Features that carry none of its keys are left out.
        box: (west, south, east, north) in degrees; features away from it are left out.

    Returns:
        In degrees: the legend's keys as columns (text or None), and `geometry`: every way as a
        line, and, where the legend has areas, every closed way and multipolygon as an area too.

    Raises:
        InputError: The file cannot be read.
        MissingExtraError: The package osmium is not installed.
    """
    try:
        import osmium
    except ImportError:
        raise MissingExtraError(f"reading {path.name}", "osmium", "osm") from None
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        try:
            return _collect(path, legend, box, osmium)
        except RuntimeError as error:
            if "out of order" not in str(error):
                raise
            # Editors save objects in any order, areas need them sorted.
            with _sorted_copy(path, osmium) as copy:
                return _collect(copy, legend, box, osmium)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as an OpenStreetMap extract ({reason})") from None


def _collect(path: Path, legend: Legend, box: Bounds, osmium: Any) -> geopandas.GeoDataFrame:
    keys = osmium.filter.KeyFilter(*{key for c in legend.foreground for key in c.tags})
    source = osmium.FileProcessor(path)
    if any(c.geometry == "area" for c in legend.foreground):
        source = source.with_areas(keys)
    else:
        source = source.with_locations()
    factory = osmium.geom.WKBFactory()
    near = shapely.box(*box)
    rows: list[dict[str, str | None]] = []
    shapes: list[Any] = []
    for item in source.with_filter(keys):
        geometry = _geometry(item, factory, osmium)
        if geometry is not None and near.intersects(shapely.envelope(geometry)):
            rows.append({key: item.tags.get(key) for key in legend.keys})
            shapes.append(geometry)
    table = pd.DataFrame(rows, columns=list(legend.keys), dtype=object)
    return geopandas.GeoDataFrame(table, geometry=shapes, crs="EPSG:4326")


def _geometry(item: Any, factory: Any, osmium: Any) -> Any:
    """The line of a way, the polygons of an area; None for nodes, relations and broken ones."""
    try:
        if item.is_way():
            return shapely.from_wkb(factory.create_linestring(item))
        if item.is_area():
            return shapely.from_wkb(factory.create_multipolygon(item))
    except (osmium.InvalidLocationError, RuntimeError):
        # Extracts cut ways at their border: a node is missing, or only one is left.
        return None
    return None


@contextmanager
def _sorted_copy(path: Path, osmium: Any) -> Iterator[Path]:
    """A temporary copy of an extract with its objects sorted by type and number."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "sorted.osm.pbf"
        reader = osmium.MergeInputReader()
        reader.add_file(str(path))
        writer = osmium.SimpleWriter(str(copy))
        reader.apply(writer)
        writer.close()
        yield copy
