"""The foreground of a map as vectors: middle lines of roads, outlines of areas."""

import datetime as dt
import io
import json
import sqlite3
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from numpy.typing import NDArray
from rasterio import features
from shapely.geometry import shape

from swath.files import replacing, unwritten
from swath.grid import Grid, Window
from swath.legend import LegendClass
from swath.maps.lines import trace_lines
from swath.maps.sitemaps import PMAP_SCALE, SiteMaps, class_codes, read_bytes, read_grid
from swath.maps.styles import write_layer_styles
from swath.tiles import Tile, plan_tiles

SIMPLIFY_PX = 1.0
"""Lines stay this close to the middle of the pixels that they were traced from."""

SHEET_PX = 2048
"""Lines are traced in sheets of at most this side, and end at their edges: a scene of dense towns
has millions of vertices, and joining them takes 40 bytes for every pixel of a sheet."""

TRACERS = 2
"""Sheets that are traced at a time; more would take more memory than the networks do."""

SHEET_MARGIN_PX = 64
"""What is seen around a sheet: the skeleton of anything narrower does not know of the sheets."""

MEASURES: dict[str | None, str] = {"line": "length_m", "area": "area_m2"}
GEOMETRIES: dict[str | None, str] = {"line": "LineString", "area": "Polygon"}


Columns = dict[str, NDArray[Any]]
"""Features: a value each, by column."""

STRIP_PX = 512
"""Rows of the fused PMap that are in memory at a time."""


def write_vectors(maps: SiteMaps) -> None:
    """Write the foreground of a site's map as roads.gpkg and roads.parquet, in the map's CRS.

    The GeoPackage has a layer a class, named after it; the GeoParquet file has all in one table.
    Line classes become the simplified middle lines of their pixels, area classes their exact
    outlines. Columns: `class`; `probability`, the mean of the fused PMap along the line or over the
    area, 0..1; `length_m` of lines and `area_m2` of areas, in the plane of the CRS. Both files
    keep the attribution.

    Lines end where sheets of `SHEET_PX` meet, and go on in the next. A sheet's lines are written
    when they are traced, so no more than a few sheets are in memory; where the legend has area
    classes, the class map is, and their outlines.

    Raises:
        InputError: classes.tif or pmap.tif cannot be read.
    """
    grid = read_grid(maps.classes_path)
    with replacing(maps.parquet_path) as table, replacing(maps.gpkg_path) as package:
        groups = _write_parquet(table, maps, grid)
        with pq.ParquetFile(table) as source, _dated(maps.dates[-1]):
            for c in maps.legend.foreground:
                _write_layer(package, maps, grid, c, source, groups[c.name])
            write_layer_styles(package, [c.name for c in maps.legend.foreground], maps.legend, maps.dates[-1])
            counts = {
                c.name: sum(source.metadata.row_group(group).num_rows for group in groups[c.name])
                for c in maps.legend.foreground
            }
        if not _is_whole(package, counts):
            raise unwritten(maps.gpkg_path)


def _is_whole(package: Path, counts: Mapping[str, int]) -> bool:
    """Whether a GeoPackage is sound on the disk, and has as many features in each layer as it should."""
    try:
        with closing(sqlite3.connect(package.absolute().as_uri() + "?mode=ro", uri=True)) as tables:
            sound = tables.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return sound and all(
            pyogrio.read_info(package, layer=name, force_feature_count=True)["features"] == count
            for name, count in counts.items()
        )
    except (sqlite3.Error, pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError):
        return False


def _write_parquet(path: Path, maps: SiteMaps, grid: Grid) -> dict[str, list[int]]:
    """Write all features as GeoParquet, sheet by sheet: class -> its row groups."""
    schema, geo = _schema(maps, grid)
    groups: dict[str, list[int]] = {}
    boxes: list[NDArray[np.float64]] = []
    number = 0
    with pq.ParquetWriter(path, schema) as writer:
        for c in maps.legend.foreground:
            groups[c.name] = []
            for columns in _features(maps, grid, c):
                geometry = columns["geometry"]
                if not len(geometry):
                    continue
                boxes.append(shapely.total_bounds(geometry))
                columns["geometry"] = shapely.to_wkb(geometry)
                none = [None] * len(geometry)
                arrays = [pa.array(columns.get(f.name, none), f.type) for f in schema]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                groups[c.name].append(number)
                number += 1
        if boxes:
            corners = np.stack(boxes)
            box = [*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist()]
            geo["columns"]["geometry"]["bbox"] = box
        writer.add_key_value_metadata({"geo": json.dumps(geo)})
    return groups


def _write_layer(
    path: Path,
    maps: SiteMaps,
    grid: Grid,
    c: LegendClass,
    source: pq.ParquetFile,
    groups: list[int],
) -> None:
    """Copy a class from the GeoParquet file into a layer of the GeoPackage."""
    columns = ["class", "probability", MEASURES[c.geometry], "geometry"]
    schema = pa.schema([source.schema_arrow.field(name) for name in columns])
    batches = (
        batch
        for group in groups
        for batch in source.read_row_group(group, columns=columns).select(columns).to_batches()
    )
    pyogrio.write_arrow(
        pa.RecordBatchReader.from_batches(schema, batches),
        path,
        layer=c.name,
        driver="GPKG",
        append=path.exists(),
        geometry_name="geometry",
        geometry_type=GEOMETRIES[c.geometry],
        crs=grid.crs,
        layer_metadata={"attribution": maps.attribution},
    )


def _schema(maps: SiteMaps, grid: Grid) -> tuple[pa.Schema, dict[str, Any]]:
    """The columns of the table of all features, and what GeoParquet says of its geometry."""
    kinds = list(dict.fromkeys(c.geometry for c in maps.legend.foreground))
    sample = gpd.GeoDataFrame(
        {"class": ["road"], "probability": np.ones(1, np.float32)}
        | {MEASURES[kind]: [1.0] for kind in kinds},
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
def _dated(day: dt.date) -> Iterator[None]:
    """Let GeoPackages say that they were last changed on `day`, not now: same maps, same bytes."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{day}T00:00:00.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _features(maps: SiteMaps, grid: Grid, c: LegendClass) -> Iterator[Columns]:
    """The features of a class: lines sheet by sheet, areas all at once."""
    if c.geometry != "line":
        yield _areas(maps, grid, c)
        return
    sheets = plan_tiles(grid.shape, SHEET_PX, SHEET_MARGIN_PX, 1)
    # GEOS lets other threads run. No more sheets are begun than can be taken.
    with ThreadPoolExecutor(TRACERS) as pool:
        coming: deque[Future[Columns]] = deque()
        for sheet in sheets:
            coming.append(pool.submit(_sheet_lines, maps, grid, sheet, c))
            if len(coming) >= TRACERS:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _sheet_lines(maps: SiteMaps, grid: Grid, sheet: Tile, c: LegendClass) -> Columns:
    mask = read_bytes(maps.classes_path, sheet.read)[0] == c.id
    traced = trace_lines(mask, sheet.kept)
    pixels, owner = shapely.get_coordinates(traced, return_index=True)
    cols, rows = pixels.astype(np.int64).T
    mean = _Mean(len(traced))
    # Lines reach a pixel into the next sheet.
    seen = Window(0, 0, sheet.core.height + 1, sheet.core.width + 1)
    whole = seen.shift(sheet.core.row, sheet.core.col).intersect(grid.window)
    for strip in whole.strips(STRIP_PX):
        here = (rows >= strip.row - whole.row) & (rows < strip.row_end - whole.row)
        band = class_codes(read_bytes(maps.fused_path, strip), c.id)
        mean.add(owner[here], band[rows[here] + whole.row - strip.row, cols[here]])
    simple = shapely.simplify(traced, SIMPLIFY_PX)
    placed = shapely.transform(simple, lambda xy: _pixel_centres(xy, grid.crop(whole)))
    return _columns(c, mean, shapely.length(placed), placed)


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
    return _columns(c, mean, shapely.area(outlines), outlines)


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


def _pixel_centres(pixels: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """(n, 2) columns and rows -> (n, 2) x and y of the pixels' centres."""
    left, _, _, top = grid.bounds
    x_size, y_size = grid.resolution
    places: NDArray[np.float64] = (pixels + 0.5) * [x_size, -y_size] + [left, top]
    return places


def _columns(
    c: LegendClass, mean: _Mean, measured: NDArray[np.float64], geometry: NDArray[np.object_]
) -> Columns:
    return {
        "class": np.full(len(geometry), c.name, dtype=object),
        "probability": mean.value.astype(np.float32),
        MEASURES[c.geometry]: measured,
        "geometry": geometry,
    }
