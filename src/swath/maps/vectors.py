"""A map as vectors: a network of lines for roads; `landcover` writes the areas."""

import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely

from swath.files import replacing
from swath.grid import Grid
from swath.maps.geopackage import check_whole, dated
from swath.maps.landcover import write_landcover
from swath.maps.linetable import Columns, Joined, Seams, trace_class
from swath.maps.manifest import UNIT_HA
from swath.maps.sitemaps import SiteMaps, read_grid
from swath.maps.styles import write_layer_styles

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


def write_vectors(maps: SiteMaps, threshold: float | None = None, unit_ha: float = UNIT_HA) -> None:
    """Write a site's map as vectors, in the map's CRS; each file where the legend has its kind of class.

    Lines: roads.gpkg has a layer `roads` with the lines of all line classes and `nodes` with the places
    where they begin and end; roads.parquet has all lines in one table. Areas: landcover.gpkg, see
    `write_landcover`. All keep the attribution.

    Lines follow the ridges of the fused PMap. Columns: `class`; `p_mean` and `p_min`, the mean and the
    least of the class's PMap along the line, 0..1; `length_m` and `width_m` (of the band that is mapped,
    as wide as the lines that the network learnt from), in metres; `dates_seen` of the `dates_known`
    dates that have data there see the line, above the threshold on average; `component`, which part of
    the network it is in; `from_node` and `to_node`, the `node` of the other layer, which has `degree`
    (how many lines end there) and `component` too.

    Lines end where sheets of `SHEET_PX` meet, and go on from the same node in the next. So no more than a
    few sheets, and the numbers of ends and parts, are in memory.

    Args:
        maps: classes.tif, pmap.tif and those of the dates are in place.
        threshold: Of the class map, with two classes; None: the likeliest class wins.
        unit_ha: The minimum mapping unit of areas.

    Raises:
        InputError: A raster cannot be read.
    """
    if maps.legend.lines:
        _write_roads(maps, threshold or 0.5)
    if maps.legend.areas:
        write_landcover(maps, unit_ha)


def _write_roads(maps: SiteMaps, threshold: float) -> None:
    grid = read_grid(maps.classes_path)
    with (
        replacing(maps.parquet_path) as table,
        replacing(maps.gpkg_path) as package,
        tempfile.TemporaryFile(dir=maps.folder) as staged,
    ):
        schema, _ = _schema(maps, grid)
        joined = _stage(staged, maps, grid, schema, threshold)
        groups = _write_parquet(table, maps, grid, staged, joined)
        with pq.ParquetFile(table) as source, dated(maps.dates[-1]):
            _write_layer(package, maps, grid, source, groups)
            _write_nodes(package, maps, grid, joined)
            write_layer_styles(package, [ROADS], maps.legend, maps.dates[-1])
            counts = {ROADS: int(joined.kept.sum()), NODES: len(joined.nodes)}
        check_whole(package, counts, maps.gpkg_path)


def line_km(maps: SiteMaps) -> dict[str, float]:
    """Line class -> km of its lines in roads.parquet."""
    km = {c.name: 0.0 for c in maps.legend.lines}
    if km:
        table = pq.read_table(maps.parquet_path, columns=["class", "length_m"])
        sums = table.group_by("class").aggregate([("length_m", "sum")]).to_pydict()
        km |= {name: metres / 1e3 for name, metres in zip(sums["class"], sums["length_m_sum"], strict=True)}
    return km


def _stage(target: IO[bytes], maps: SiteMaps, grid: Grid, schema: pa.Schema, threshold: float) -> Joined:
    """Trace all lines into a table for the while; what is one over the seams."""
    seams = Seams()
    with pq.ParquetWriter(target, schema) as writer:
        for c in maps.legend.lines:
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


def _write_parquet(path: Path, maps: SiteMaps, grid: Grid, staged: IO[bytes], joined: Joined) -> list[int]:
    """Write all lines as GeoParquet: its row groups."""
    schema, geo = _schema(maps, grid)
    groups = 0
    with pq.ParquetWriter(path, schema) as writer:
        for table in _kept_lines(staged, joined, schema):
            if table.num_rows:
                writer.write_table(table)
                groups += 1
        if groups:
            least, greatest = joined.boxes[:, :2].min(axis=0), joined.boxes[:, 2:].max(axis=0)
            geo["columns"]["geometry"]["bbox"] = [*least.tolist(), *greatest.tolist()]
        writer.add_key_value_metadata({"geo": json.dumps(geo)})
    return list(range(groups))


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


def _write_layer(path: Path, maps: SiteMaps, grid: Grid, source: pq.ParquetFile, groups: list[int]) -> None:
    """Copy row groups of the GeoParquet file into the layer of lines."""
    columns = [*TYPES, "geometry"]
    schema = pa.schema([source.schema_arrow.field(column) for column in columns])
    batches = (
        batch
        for group in groups
        for batch in source.read_row_group(group, columns=columns).select(columns).to_batches()
    )
    _write_arrow(pa.RecordBatchReader.from_batches(schema, batches), path, ROADS, "LineString", maps, grid)


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
    sample = gpd.GeoDataFrame(
        {
            name: np.array(["road"]).astype(kind) if name == "class" else np.ones(1, kind)
            for name, kind in TYPES.items()
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
    geo["columns"]["geometry"]["geometry_types"] = ["LineString"]
    del geo["columns"]["geometry"]["bbox"]
    return sampled.with_metadata(described), geo
