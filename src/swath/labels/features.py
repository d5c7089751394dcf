"""Vector features: read from any usual format, chosen by a legend, brought to a grid."""

import datetime as dt
from functools import cache
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray

from swath.errors import InputError
from swath.grid import LONLAT, Bounds, Grid, lonlat_parts, transform_bounds
from swath.labels.coast import find_sea
from swath.labels.geofabrik import ZIP_SUFFIX, read_geofabrik
from swath.labels.osm import (
    ATTRIBUTION,
    HISTORY_SUFFIXES,
    OSM_SUFFIXES,
    FeatureSource,
    read_extract,
)
from swath.labels.tags import tag_columns
from swath.labels.vectorfile import placed, reading_vectors
from swath.legend import COAST, Geometry, Legend

WORLD: Bounds = (-180.0, -90.0, 180.0, 90.0)
OGR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb")
PARQUET_SUFFIXES = (".parquet", ".geoparquet")

_GEOMETRIES: dict[int, Geometry] = {1: "line", 2: "area"}
"""By topological dimension."""

_TRULY_NONE = "if there are none on the ground either, give the site a `coverage:`"


def read_features(path: Path, legend: Legend, grid: Grid, margin_px: int = 0) -> geopandas.GeoDataFrame:
    """Read the features that the legend names, in the grid's CRS, cut to its bounds.

    Args:
        path: GeoParquet, GeoPackage, GeoJSON, shapefile, FlatGeobuf, a shapefile zip of Geofabrik,
            or an OpenStreetMap extract (`.osm.pbf`, `.osm`, `.osm.gz`, `.osm.bz2`; these need the
            extra `osm`).
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
    source = read_near(path, legend, lonlat_box(grid, margin_px))
    return choose_features(source, legend, grid, margin_px)


def lonlat_box(grid: Grid, margin_px: int) -> Bounds:
    """(west, south, east, north) in degrees of a grid and a margin around it."""
    return grid.crop(grid.window.grow(margin_px)).lonlat_bounds


def choose_features(
    source: FeatureSource, legend: Legend, grid: Grid, margin_px: int = 0, *, complete: bool = False
) -> geopandas.GeoDataFrame:
    """Those features of a source that the legend names, as `read_features` gives them.

    There may be none where the source knows the place, or is said to be `complete` there.

    Raises:
        InputError: The source does not overlap the grid, or has no feature of the legend there.
    """
    frame = source.features
    complete = complete or source.knows_place
    if frame.empty and not complete:
        day = f" as of {source.date}" if source.date else ""
        raise InputError(
            f"{source.origin}: the labels{day} do not overlap the image, which spans {grid.lonlat_text}; "
            f"{_TRULY_NONE}"
        )
    box = grid.crop(grid.window.grow(margin_px)).bounds
    chosen = _with_sea(_choose(frame, legend), frame, legend, grid.crs, box)
    if chosen.empty and not complete:
        raise InputError(
            f"{source.origin}: none of the {len(frame)} features in the image is in the legend "
            f"{legend.name!r} ({_seen(frame, legend)}); check the tags of the legend; {_TRULY_NONE}"
        )
    cut = cut_features(chosen, box)
    if cut.empty and not complete:
        raise InputError(
            f"{source.origin}: the features of the legend all end outside the image; {_TRULY_NONE}"
        )
    return cut


def read_polygons(path: Path, grid: Grid) -> geopandas.GeoSeries:
    """Read the polygons (coverage, places to ignore) that touch a grid, valid, in its CRS.

    The file has a format of `read_features`, but is no OpenStreetMap extract.

    Raises:
        InputError: The file cannot be read, has no coordinate system, or holds no polygons.
    """
    frame = read_table(path, grid.lonlat_bounds)
    geometries = geopandas.GeoSeries(shapely.make_valid(frame.geometry.values), crs=frame.crs)
    polygons = geometries[shapely.get_dimensions(geometries.values) == 2]
    if len(geometries) and polygons.empty:
        raise InputError(f"{path}: expected polygons, got {geometries.geom_type.iloc[0]}")
    return polygons.to_crs(grid.crs)


def read_near(path: Path, legend: Legend, box: Bounds | None, as_of: dt.date | None = None) -> FeatureSource:
    """Read the features of a file, as `read_features` takes them, that touch a box.

    Args:
        path: The file.
        legend: Gives the columns.
        box: (west, south, east, north) in degrees; None: all features.
        as_of: The day whose state of a full-history OpenStreetMap file is wanted.

    Raises:
        InputError: The file cannot be read, lacks what is needed, or has no history.
        MissingExtraError: An OpenStreetMap extract without the package osmium.
    """
    name, origin = path.name.lower(), str(path)
    if name.endswith((*OSM_SUFFIXES, *HISTORY_SUFFIXES)):
        return read_extract(path, legend, box or WORLD, as_of)
    if as_of is not None:
        raise InputError(f"{path}: as_of needs a full-history OpenStreetMap file (.osh.pbf)")
    if name.endswith(ZIP_SUFFIX):
        with reading_vectors(path):
            features = read_geofabrik(path, legend, box or WORLD)
        return FeatureSource(features, origin, attribution=ATTRIBUTION)
    frame = read_table(path, box)
    columns = tag_columns(frame, legend)
    if len(frame) and not any(key in columns for c in legend.tagged for key in c.tags):
        names = ", ".join(str(column) for column in frame.columns if column != "geometry")
        raise InputError(
            f"{path}: the legend {legend.name!r} looks at the columns {', '.join(legend.keys)}; "
            f"the file has {names or 'none'}"
        )
    table = pd.DataFrame({key: columns.get(key) for key in legend.keys}, dtype=object, index=frame.index)
    features = geopandas.GeoDataFrame(table, geometry=frame.geometry.values, crs=frame.crs)
    return FeatureSource(features, origin, knows_place=frame.empty and read_table(path, None).empty)


def read_table(path: Path, box: Bounds | None) -> geopandas.GeoDataFrame:
    """All features of a vector file, or those that touch a box in degrees, as 2D geometry."""
    suffix = path.suffix.lower()
    with reading_vectors(path):
        if suffix not in (*OGR_SUFFIXES, *PARQUET_SUFFIXES):
            known = (*PARQUET_SUFFIXES, *OGR_SUFFIXES, ZIP_SUFFIX, *OSM_SUFFIXES, *HISTORY_SUFFIXES)
            raise InputError(f"{path}: unknown kind of vector file; known are {', '.join(known)}")
        frame = geopandas.read_parquet(path) if suffix in PARQUET_SUFFIXES else _read_layers(path, box)
        if frame.crs is None:
            raise InputError(f"{path}: the features have no coordinate system; assign one first")
        if frame.crs.is_geocentric:
            raise InputError(f"{path}: in {frame.crs.name}; expected degrees, or a projection")
        frame = frame.rename_geometry("geometry") if frame.geometry.name != "geometry" else frame
        count, frame = len(frame), frame[placed(frame.geometry.values)].copy()
        if count and frame.empty:
            raise InputError(f"{path}: none of its {count} features has a usable geometry")
        if box is not None:
            boxes = [transform_bounds(part, LONLAT, frame.crs.to_wkt()) for part in lonlat_parts(box)]
            near = shapely.union_all([shapely.box(*part) for part in boxes])
            frame = frame[shapely.intersects(shapely.envelope(frame.geometry.values), near)].copy()
        frame["geometry"] = shapely.force_2d(frame.geometry.values)
    return frame


def _read_layers(path: Path, box: Bounds | None) -> geopandas.GeoDataFrame:
    """All layers with geometry of a file, in the CRS of the first, near a box in degrees."""
    path = path.absolute()  # what GDAL takes for the name of something else is a file all the same
    layers = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
    if not layers:
        raise ValueError("no layer with geometry")
    frames = []
    for layer in layers:
        info = pyogrio.read_info(path, layer=layer)
        near: list[Bounds | None] = [None]
        if info["crs"] and box:
            near = [transform_bounds(part, LONLAT, info["crs"]) for part in lonlat_parts(box)]
        read = [pyogrio.read_dataframe(path, layer=layer, bbox=part, fid_as_index=True) for part in near]
        frame = read[0] if len(read) == 1 else pd.concat(read)
        frame = frame[~frame.index.duplicated()].reset_index(drop=True)
        if frame.empty and path.suffix.lower() == ".fgb":
            # GDAL takes an index that breaks off for one without an entry.
            whole = len(pyogrio.read_dataframe(path, layer=layer, columns=[]))
            if whole < info["features"]:
                raise ValueError(f"{whole} of its {info['features']} features are there")
        frames.append(frame)
    if len(frames) == 1:
        return frames[0]
    crs = frames[0].crs
    frames = [frame.to_crs(crs) for frame in frames if not frame.empty] or frames[:1]
    both = geopandas.GeoDataFrame(pd.concat(frames, ignore_index=True), crs=crs)
    return both[~_repeated(both)]


def _repeated(frame: geopandas.GeoDataFrame) -> NDArray[np.bool_]:
    """(n,) whether a feature is in another layer, too: so it is where somebody copied one."""
    places = pd.Series(shapely.to_wkb(frame.geometry.to_numpy()), frame.index)
    again: NDArray[np.bool_] = places.duplicated(keep=False).to_numpy(copy=True)
    rows = frame[again].drop(columns="geometry").astype(str).assign(place=places[again])
    again[again] = rows.duplicated().to_numpy()
    return again


def _choose(frame: geopandas.GeoDataFrame, legend: Legend) -> geopandas.GeoDataFrame:
    """The features that have a class, with `class_id`."""
    columns = [frame[key] for key in legend.keys]
    dimensions = shapely.get_dimensions(frame.geometry.values)

    @cache  # few tags in many features
    def class_id(dimension: int, *tags: object) -> int:
        if dimension not in _GEOMETRIES:
            return -1
        named = dict(zip(legend.keys, tags, strict=True))
        number = legend.classify(named, _GEOMETRIES[dimension])
        return -1 if number is None else number

    rows = zip(dimensions.tolist(), *columns, strict=True)
    ids = np.fromiter((class_id(*row) for row in rows), np.int64, len(frame))
    chosen = frame[ids >= 0].copy()
    chosen.insert(0, "class_id", ids[ids >= 0])
    return chosen


def _with_sea(
    chosen: geopandas.GeoDataFrame,
    frame: geopandas.GeoDataFrame,
    legend: Legend,
    crs: str,
    box: Bounds,
) -> geopandas.GeoDataFrame:
    """The chosen features in `crs`, and the sea as areas of its class where the legend has one.

    The sea gets the first tag of its class, so that who reads the features again finds it.
    """
    chosen = chosen.to_crs(crs)
    if legend.sea is None:
        return chosen
    key, value = COAST
    coast = frame[(frame[key] == value).to_numpy()]
    areas = find_sea(coast.geometry.to_crs(crs).to_numpy(), box)
    if not len(areas):
        return chosen
    (tag, (first, *_)), *_ = legend.sea.tags.items()
    row = {"class_id": legend.sea.id, **dict.fromkeys(legend.keys), tag: first}
    sea = geopandas.GeoDataFrame([row] * len(areas), geometry=areas, crs=crs)
    if chosen.empty:
        return sea
    both = pd.concat([chosen.astype(object), sea.astype(object)], ignore_index=True)
    both["class_id"] = both["class_id"].astype(chosen["class_id"].dtype)
    return geopandas.GeoDataFrame(both, geometry="geometry", crs=crs)


def cut_features(frame: geopandas.GeoDataFrame, box: Bounds) -> geopandas.GeoDataFrame:
    """The parts inside a box, each of the dimension it had; what only touches it is dropped."""
    with np.errstate(all="ignore"):  # coordinates that lie nowhere
        parts = shapely.intersection(shapely.make_valid(frame.geometry.values), shapely.box(*box))
    cut = frame.set_geometry(geopandas.GeoSeries(parts, index=frame.index, crs=frame.crs))
    cut["_dimension"] = shapely.get_dimensions(frame.geometry.values)
    # An intersection may mix: a polygon that also touches the box with a point.
    cut = cut.explode(ignore_index=True)
    same = shapely.get_dimensions(cut.geometry.values) == cut["_dimension"].to_numpy()
    kept = cut[same & ~cut.geometry.is_empty.to_numpy()].drop(columns="_dimension")
    return kept.reset_index(drop=True)


def _seen(frame: geopandas.GeoDataFrame, legend: Legend) -> str:
    """A few of the tags that the features do have, for an error message."""
    pairs = [
        f"{key}={value}" for key in legend.keys for value in frame[key].dropna().value_counts().index[:4]
    ]
    return "got " + ", ".join(pairs[:8]) if pairs else "they have no tags"
