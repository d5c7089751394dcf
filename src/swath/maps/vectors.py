"""The foreground of a map as vectors: a network of lines for roads, outlines for areas."""

import datetime as dt
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from numpy.typing import NDArray
from rasterio import features
from shapely.geometry import shape

from swath.files import replacing
from swath.grid import Grid
from swath.legend import LegendClass
from swath.maps.linetable import Columns, Joined, Seams, trace_class
from swath.maps.sitemaps import PMAP_SCALE, SiteMaps, class_codes, read_bytes, read_grid

GEOMETRIES: dict[str | None, str] = {"line": "LineString", "area": "Polygon"}

ROADS, NODES = "roads", "nodes"
"""The layers of the GeoPackage that make the network of all line classes."""

TYPES: dict[str, np.dtype[Any]] = {
    "class": np.dtype(object),
    "p_mean": np.dtype(np.float32),
    "p_min": np.dtype(np.float32),
    "length_m": np.dtype(np.float64),
    "width_m": np.dtype(np.float32),
    "dates_seen": np.dtype(np.int32),
    "dates_known": np.dtype(np.int32),
    "component": np.dtype(np.int64),
    "from_node": np.dtype(np.int64),
    "to_node": np.dtype(np.int64),
}
"""Columns of lines."""

AREA_TYPES = {"class": TYPES["class"], "p_mean": TYPES["p_mean"], "area_m2": np.dtype(np.float64)}
"""Columns of areas."""

STRIP_PX = 512
"""Rows of the fused PMap that are in memory at a time."""


def write_vectors(maps: SiteMaps, threshold: float | None = None) -> None:
    """Write the foreground of a site's map as roads.gpkg and roads.parquet, in the map's CRS.

    The GeoPackage has a layer `roads` with the lines of all line classes, `nodes` with the places where
    they begin and end, and a layer an area class, named after it; the GeoParquet file has all lines and
    areas in one table. Both keep the attribution.

    Lines follow the ridges of the fused PMap. Columns: `class`; `p_mean` and `p_min`, the mean and the
    least of the class's PMap along the line, 0..1; `length_m` and `width_m` (of the band that is mapped,
    as wide as the lines that the network learnt from), in metres; `dates_seen` of the `dates_known`
    dates that have data there see the line, above the threshold on average; `component`, which part of
    the network it is in; `from_node` and `to_node`, the `node` of the other layer, which has `degree`
    (how many lines end there) and `component` too. Area classes are their exact outlines, with
    `p_mean` and `area_m2`, in the plane of the CRS.

    Lines end where sheets of `SHEET_PX` meet, and go on from the same node in the next. So no more than a
    few sheets, and the numbers of ends and parts, are in memory; where the legend has area classes, the
    class map is, and their outlines.

    Args:
        maps: classes.tif, pmap.tif and those of the dates are in place.
        threshold: Of the class map, with two classes; None: the likeliest class wins.

    Raises:
        InputError: A raster cannot be read.
    """
    grid = read_grid(maps.classes_path)
    with (
        replacing(maps.parquet_path) as table,
        replacing(maps.gpkg_path) as package,
        tempfile.TemporaryFile(dir=maps.folder) as staged,
    ):
        schema, _ = _schema(maps, grid)
        joined = _stage(staged, maps, grid, schema, threshold or 0.5)
        groups = _write_parquet(table, maps, grid, staged, joined)
        with pq.ParquetFile(table) as source, dated(maps.dates[-1]):
            if joined is not None:
                _write_layer(package, maps, grid, (ROADS, "LineString", list(TYPES)), source, groups[ROADS])
                _write_nodes(package, maps, grid, joined)
            for c in maps.legend.foreground:
                if c.geometry != "line":
                    layer = (c.name, GEOMETRIES[c.geometry], list(AREA_TYPES))
                    _write_layer(package, maps, grid, layer, source, groups[c.name])


def line_km(maps: SiteMaps) -> dict[str, float]:
    """Line class -> km of its lines in roads.parquet."""
    table = pq.read_table(maps.parquet_path, columns=["class", "length_m"]) if _has_lines(maps) else None
    km = {c.name: 0.0 for c in maps.legend.foreground if c.geometry == "line"}
    if table is not None:
        sums = table.group_by("class").aggregate([("length_m", "sum")]).to_pydict()
        for name, metres in zip(sums["class"], sums["length_m_sum"], strict=True):
            if name in km:
                km[name] = (metres or 0.0) / 1e3
    return km


def _has_lines(maps: SiteMaps) -> bool:
    return any(c.geometry == "line" for c in maps.legend.foreground)


def _stage(
    target: IO[bytes], maps: SiteMaps, grid: Grid, schema: pa.Schema, threshold: float
) -> Joined | None:
    """Trace all lines into a table for the while; what is one over the seams, if there are line classes."""
    classes = [c for c in maps.legend.foreground if c.geometry == "line"]
    if not classes:
        return None
    seams = Seams()
    with pq.ParquetWriter(target, schema) as writer:
        for c in classes:
            for sheet in trace_class(maps, grid, c, threshold):
                writer.write_table(_table(seams.add(sheet), schema))
    return seams.join(threshold)


def _table(columns: Columns, schema: pa.Schema) -> pa.Table:
    count = len(columns["class"])
    geometry = shapely.to_wkb(columns["geometry"])
    arrays = [
        pa.array(geometry if f.name == "geometry" else columns.get(f.name, [None] * count), f.type)
        for f in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _write_parquet(
    path: Path, maps: SiteMaps, grid: Grid, staged: IO[bytes], joined: Joined | None
) -> dict[str, list[int]]:
    """Write all features as GeoParquet: layer -> its row groups."""
    schema, geo = _schema(maps, grid)
    groups: dict[str, list[int]] = {}
    boxes: list[NDArray[np.float64]] = []
    number = 0

    def write(layer: str, table: pa.Table) -> None:
        nonlocal number
        if table.num_rows:
            boxes.append(shapely.total_bounds(shapely.from_wkb(table["geometry"].to_numpy())))
            writer.write_table(table)
            groups[layer].append(number)
            number += 1

    with pq.ParquetWriter(path, schema) as writer:
        if joined is not None:
            groups[ROADS] = []
            for table in _kept_lines(staged, joined, schema):
                write(ROADS, table)
        for c in maps.legend.foreground:
            if c.geometry != "line":
                groups[c.name] = []
                write(c.name, _table(_areas(maps, grid, c), schema))
        if boxes:
            corners = np.stack(boxes)
            box = [*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist()]
            geo["columns"]["geometry"]["bbox"] = box
        writer.add_key_value_metadata({"geo": json.dumps(geo)})
    return groups


def _kept_lines(staged: IO[bytes], joined: Joined, schema: pa.Schema) -> Iterator[pa.Table]:
    """The lines that are kept, with their numbers in the whole network; a table a sheet."""
    first = written = 0
    with pq.ParquetFile(staged) as source:
        for group in range(source.num_row_groups):
            table = source.read_row_group(group)
            kept = joined.kept[first : first + table.num_rows]
            first += table.num_rows
            table = table.filter(pa.array(kept))
            part = slice(written, written + table.num_rows)
            written += table.num_rows
            for name in ("from_node", "to_node", "component"):
                at = table.schema.get_field_index(name)
                table = table.set_column(at, schema.field(name), pa.array(getattr(joined, name)[part]))
            yield table.cast(schema)


def _write_layer(
    path: Path,
    maps: SiteMaps,
    grid: Grid,
    layer: tuple[str, str, list[str]],
    source: pq.ParquetFile,
    groups: list[int],
) -> None:
    """Copy row groups of the GeoParquet file into a layer: its name, geometry and columns."""
    name, geometry, columns = layer
    columns = [*columns, "geometry"]
    schema = pa.schema([source.schema_arrow.field(column) for column in columns])
    batches = (
        batch
        for group in groups
        for batch in source.read_row_group(group, columns=columns).select(columns).to_batches()
    )
    _write_arrow(pa.RecordBatchReader.from_batches(schema, batches), path, name, geometry, maps, grid)


def _write_nodes(path: Path, maps: SiteMaps, grid: Grid, joined: Joined) -> None:
    count = len(joined.nodes)
    table = pa.table(
        {
            "node": pa.array(np.arange(count)),
            "degree": pa.array(joined.degree),
            "component": pa.array(joined.of_node),
            "geometry": pa.array(shapely.to_wkb(shapely.points(joined.nodes)), pa.binary()),
        }
    )
    _write_arrow(table, path, NODES, "Point", maps, grid)


def _write_arrow(
    table: pa.Table | pa.RecordBatchReader, path: Path, layer: str, geometry: str, maps: SiteMaps, grid: Grid
) -> None:
    pyogrio.write_arrow(
        table,
        path,
        layer=layer,
        driver="GPKG",
        append=path.exists(),
        geometry_name="geometry",
        geometry_type=geometry,
        crs=grid.crs,
        layer_metadata={"attribution": maps.attribution},
    )


def _schema(maps: SiteMaps, grid: Grid) -> tuple[pa.Schema, dict[str, Any]]:
    """The columns of the table of all features, and what GeoParquet says of its geometry."""
    kinds = list(dict.fromkeys(c.geometry for c in maps.legend.foreground))
    types = (TYPES if "line" in kinds else {}) | (AREA_TYPES if "area" in kinds else {})
    sample = gpd.GeoDataFrame(
        {
            name: np.array(["road"]).astype(kind) if name == "class" else np.ones(1, kind)
            for name, kind in types.items()
        },
        geometry=[shapely.Point(0, 0)],
        crs=grid.crs,
    )
    sample.attrs["attribution"] = maps.attribution
    # geopandas describes the columns, the system and the attribution as it wants to read them.
    stream = io.BytesIO()
    sample.to_parquet(stream, index=False)
    sampled = pq.read_schema(stream)
    described = dict(sampled.metadata)
    geo: dict[str, Any] = json.loads(described.pop(b"geo"))
    geo["columns"]["geometry"]["geometry_types"] = [GEOMETRIES[kind] for kind in kinds]
    del geo["columns"]["geometry"]["bbox"]
    return sampled.with_metadata(described), geo


@contextmanager
def dated(day: dt.date) -> Iterator[None]:
    """Let GeoPackages say that they were last changed on `day`, not now: same maps, same bytes."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{day}T00:00:00.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _areas(maps: SiteMaps, grid: Grid, c: LegendClass) -> Columns:
    """The outlines of a class and its mean PMap over them."""
    mask = read_bytes(maps.classes_path)[0] == c.id
    fused = maps.fused_path
    traced = features.shapes(mask.astype(np.uint8), mask=mask, transform=grid.transform)
    outlines = np.array([shape(outline) for outline, _ in traced], dtype=object)
    mean = _Mean(len(outlines))
    tree = shapely.STRtree(outlines)
    for strip in grid.window.strips(STRIP_PX):
        part = grid.crop(strip)
        crossing = tree.query(shapely.box(*part.bounds))
        if not len(crossing):
            continue
        # Burning an outline by pixel centres gives back the very pixels it was made from.
        owner = features.rasterize(
            zip(outlines[crossing], crossing, strict=True),
            out_shape=part.shape,
            transform=part.transform,
            fill=-1,
            dtype="int32",
        )
        inside = owner >= 0
        mean.add(owner[inside], class_codes(read_bytes(fused, strip), c.id)[inside])
    return {
        "class": np.full(len(outlines), c.name, dtype=object),
        "p_mean": mean.value.astype(np.float32),
        "area_m2": shapely.area(outlines),
        "geometry": outlines,
    }


class _Mean:
    """The mean PMap of each of `count` features, gathered strip by strip."""

    def __init__(self, count: int) -> None:
        self._total = np.zeros(count)
        self._pixels = np.zeros(count)

    def add(self, owner: NDArray[np.integer], codes: NDArray[np.uint8]) -> None:
        """Count pixels: the feature they belong to and their byte in the PMap, both (n,)."""
        size = len(self._total)
        self._total += np.bincount(owner, weights=codes, minlength=size)
        self._pixels += np.bincount(owner, minlength=size)

    @property
    def value(self) -> NDArray[np.float64]:
        """(count,) probabilities 0..1."""
        return self._total / self._pixels / PMAP_SCALE
