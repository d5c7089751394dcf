"""Vector features: read from any usual format, chosen by a legend, brought to a grid."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from swath.errors import InputError
from swath.grid import Bounds, Grid, transform_bounds
from swath.labels.osm import OSM_SUFFIXES, read_osm
from swath.legend import Legend, LegendClass

LONLAT = "EPSG:4326"
OGR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb")
PARQUET_SUFFIXES = (".parquet", ".geoparquet")

_DIMENSION = {"line": 1, "area": 2}
"""Topological dimension of the geometries that make a class."""


def read_features(
    path: Path, legend: Legend, grid: Grid, margin_px: int = 0
) -> geopandas.GeoDataFrame:
    """Read the features that the legend names, in the grid's CRS, cut to its bounds.

    Args:
        path: GeoParquet, GeoPackage, GeoJSON, shapefile, FlatGeobuf, or an OpenStreetMap extract
            (`.osm.pbf`, `.osm`, `.osm.gz`, `.osm.bz2`; these need the extra `osm`).
        legend: Which features, by their tags (columns). A feature goes to the last class whose
            tags and geometry (line or area) it has.
        grid: Where the features are wanted.
        margin_px: How far outside the grid a feature still counts: the reach of the widening.

    Returns:
        Columns `class_id` (int), the legend's keys (text or None) and `geometry`; lines and areas,
        valid, in `grid.crs`, cut to the grid's bounds and the margin.

    Raises:
        InputError: The file cannot be read, has no coordinate system or none of the legend's
            columns, does not overlap the grid, or has no feature of the legend there.
        MissingExtraError: An OpenStreetMap extract without the package osmium.
    """
    x_size, y_size = grid.resolution
    left, bottom, right, top = grid.bounds
    x, y = margin_px * x_size, margin_px * y_size
    box = (left - x, bottom - y, right + x, top + y)
    frame = _read_near(path, legend, transform_bounds(box, grid.crs, LONLAT))
    if frame.empty:
        west, south, east, north = grid.lonlat_bounds
        raise InputError(
            f"{path}: the labels do not overlap the image, which spans "
            f"{west:.4f}..{east:.4f} E, {south:.4f}..{north:.4f} N"
        )
    chosen = _choose(frame, legend)
    if chosen.empty:
        raise InputError(
            f"{path}: none of the {len(frame)} features in the image is in the legend "
            f"{legend.name!r} ({_seen(frame, legend)}); check the tags of the legend"
        )
    cut = _cut(chosen.to_crs(grid.crs), box)
    if cut.empty:
        raise InputError(f"{path}: the features of the legend all end outside the image")
    return cut


def read_polygons(path: Path, grid: Grid) -> geopandas.GeoSeries:
    """Read the polygons of a file (coverage, places to ignore), in the grid's CRS.

    Args:
        path: Any format of `read_features` but OpenStreetMap extracts.
        grid: Its bounds choose the polygons.

    Returns:
        Valid polygons that touch the grid; perhaps none.

    Raises:
        InputError: The file cannot be read, has no coordinate system, or holds no polygons.
    """
    frame = _read_table(path, grid.lonlat_bounds)
    geometries = geopandas.GeoSeries(shapely.make_valid(frame.geometry.values), crs=frame.crs)
    polygons = geometries[shapely.get_dimensions(geometries.values) == _DIMENSION["area"]]
    if len(geometries) and polygons.empty:
        raise InputError(f"{path}: expected polygons, got {geometries.geom_type.iloc[0]}")
    return polygons.to_crs(grid.crs)


def _read_near(path: Path, legend: Legend, box: Bounds) -> geopandas.GeoDataFrame:
    """Features that touch a box given in degrees, with the legend's columns."""
    if path.name.lower().endswith(OSM_SUFFIXES):
        return read_osm(path, legend, box)
    frame = _read_table(path, box)
    present = [key for key in legend.keys if key in frame.columns]
    if not any(key in present for c in legend.foreground for key in c.tags):
        columns = ", ".join(str(column) for column in frame.columns if column != "geometry")
        raise InputError(
            f"{path}: the legend {legend.name!r} looks at the columns {', '.join(legend.keys)}; "
            f"the file has {columns or 'none'}"
        )
    for key in legend.keys:
        frame[key] = [_tag(v) for v in frame[key]] if key in present else None
    return frame[[*legend.keys, "geometry"]]


def _read_table(path: Path, box: Bounds) -> geopandas.GeoDataFrame:
    """All features of a vector file that touch a box given in degrees, as 2D geometry."""
    if not path.exists():
        raise InputError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix not in (*OGR_SUFFIXES, *PARQUET_SUFFIXES):
        known = ", ".join((*PARQUET_SUFFIXES, *OGR_SUFFIXES, *OSM_SUFFIXES))
        raise InputError(f"{path}: unknown kind of vector file; known are {known}")
    try:
        if suffix in PARQUET_SUFFIXES:
            frame = geopandas.read_parquet(path)
        else:
            frame = _read_layers(path, box)
    except (DataSourceError, DataLayerError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as vector features ({reason})") from None
    if frame.crs is None:
        raise InputError(f"{path}: the features have no coordinate system; assign one first")
    frame = frame.rename_geometry("geometry") if frame.geometry.name != "geometry" else frame
    shapes = frame.geometry.values
    frame = frame[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
    near = shapely.box(*transform_bounds(box, LONLAT, frame.crs.to_wkt()))
    frame = frame[shapely.intersects(shapely.envelope(frame.geometry.values), near)].copy()
    frame["geometry"] = shapely.force_2d(frame.geometry.values)
    return frame


def _read_layers(path: Path, box: Bounds) -> geopandas.GeoDataFrame:
    """All layers with geometry of a file, in the CRS of the first, near a box in degrees."""
    layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
    if not layers:
        raise ValueError("no layer with geometry")
    frames = []
    for layer in layers:
        crs = pyogrio.read_info(path, layer=layer)["crs"]
        near = transform_bounds(box, LONLAT, crs) if crs else None
        frames.append(pyogrio.read_dataframe(path, layer=layer, bbox=near))
    if len(frames) == 1:
        return frames[0]
    crs = frames[0].crs
    frames = [frame.to_crs(crs) for frame in frames if not frame.empty] or frames[:1]
    return geopandas.GeoDataFrame(pd.concat(frames, ignore_index=True), crs=crs)


def _tag(value: Any) -> str | None:
    """A column's value as OSM would write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    return str(value) if pd.api.types.is_scalar(value) and not pd.isna(value) else None


def _choose(frame: geopandas.GeoDataFrame, legend: Legend) -> geopandas.GeoDataFrame:
    """The features that have a class, with `class_id`."""
    columns = [frame[key] for key in legend.keys]
    dimensions = shapely.get_dimensions(frame.geometry.values)
    known: dict[tuple[Any, ...], int] = {}
    ids = np.zeros(len(frame), np.int64)
    for at, (dimension, *tags) in enumerate(zip(dimensions, *columns, strict=True)):
        key = (int(dimension), *tags)
        if key not in known:
            named = dict(zip(legend.keys, tags, strict=True))
            known[key] = _class_id(legend.foreground, named, int(dimension))
        ids[at] = known[key]
    chosen = frame[ids > 0].copy()
    chosen.insert(0, "class_id", ids[ids > 0])
    return chosen


def _class_id(classes: Iterable[LegendClass], tags: dict[str, Any], dimension: int) -> int:
    """The last class that matches by tags and by geometry; 0 if none does."""
    found = 0
    for c in classes:
        if c.geometry is not None and _DIMENSION[c.geometry] == dimension and c.matches(tags):
            found = c.id
    return found


def _cut(frame: geopandas.GeoDataFrame, box: Bounds) -> geopandas.GeoDataFrame:
    """The parts inside a box, each of the dimension it had; what only touches it is dropped."""
    whole: NDArray[Any] = shapely.make_valid(frame.geometry.values)
    dimensions = shapely.get_dimensions(frame.geometry.values)
    parts = shapely.intersection(whole, shapely.box(*box))
    cut = frame.set_geometry(geopandas.GeoSeries(parts, index=frame.index, crs=frame.crs))
    cut["_dimension"] = dimensions
    # An intersection may mix: a polygon that also touches the box with a point.
    cut = cut.explode(ignore_index=True)
    same = shapely.get_dimensions(cut.geometry.values) == cut["_dimension"].to_numpy()
    kept = cut[same & ~cut.geometry.is_empty.to_numpy()].drop(columns="_dimension")
    return kept.reset_index(drop=True)


def _seen(frame: geopandas.GeoDataFrame, legend: Legend) -> str:
    """A few of the tags that the features do have, for an error message."""
    pairs = [
        f"{key}={value}"
        for key in legend.keys
        for value in frame[key].dropna().value_counts().index[:4]
    ]
    return "got " + ", ".join(pairs[:8]) if pairs else "they have no tags"
