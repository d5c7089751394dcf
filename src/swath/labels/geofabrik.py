"""Geofabrik's shapefile zips: their layers and feature classes, told as OpenStreetMap tags.

Nothing is unpacked: GDAL reads the layers inside the zip.
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import geopandas
import numpy as np
import pandas as pd
import pyogrio

from swath.errors import InputError
from swath.grid import LONLAT, Bounds, lonlat_parts
from swath.legend import Legend

ZIP_SUFFIX = ".zip"

_LAYER = re.compile(r"gis_osm_(roads|water_a|landuse_a|natural_a|buildings_a)_free_\d+\.shp")
_MOST_BYTES = 64 << 30
"""A zip that claims to hold more is not one of Geofabrik's, whose largest are some gigabytes."""

_FLAGS = {"T": "yes", "F": None}

# Feature class -> tags, where the class is not simply the value of the layer's key.
_ROADS = {"unknown": "road", **{f"track_grade{grade}": "track" for grade in range(1, 6)}}
_WATER = {
    **dict.fromkeys(("reservoir", "river", "riverbank"), ("natural", "water")),
    "dock": ("waterway", "dock"),
}
_LANDUSE = {
    **{name: ("leisure", name) for name in ("park", "nature_reserve")},
    **{name: ("natural", name) for name in ("scrub", "heath")},
    "national_park": ("boundary", "national_park"),
    "farm": ("landuse", "farmland"),
}


def read_geofabrik(path: Path, legend: Legend, box: Bounds) -> geopandas.GeoDataFrame:
    """Read what may belong to a legend from a Geofabrik shapefile zip (`-free.shp.zip`).

    The zip keeps few tags: of a road its class, `tunnel` and `bridge`; of an area its class. What a
    legend asks beyond that (`width`, `lanes`, `area`) is missing.

    Returns:
        In degrees: the legend's keys as columns (text or None) and `geometry`.

    Raises:
        InputError: Not a zip, a damaged or hostile one, or none of Geofabrik's layers in it.
    """
    keys = {key for c in legend.tagged for key in c.tags}
    frames = []
    for member, layer in _layers(path):
        if layer == "roads" and "highway" not in keys:
            continue
        if layer == "buildings_a" and "building" not in keys:
            continue
        # A member that is cut or damaged makes GDAL's errors, which the caller turns into one line.
        name = f"/vsizip/{{{path}}}/{member}"
        near = [pyogrio.read_dataframe(name, bbox=b, encoding="utf-8") for b in lonlat_parts(box)]
        frame = near[0] if len(near) == 1 else pd.concat(near, ignore_index=True)
        if "fclass" not in frame.columns:
            raise InputError(f"{path}: {member} has no column fclass, as Geofabrik's layers have")
        tags = _tags(frame, layer)
        columns = {key: tags.get(key, [None] * len(frame)) for key in legend.keys}
        table = pd.DataFrame(columns, dtype=object, index=frame.index)
        frames.append(geopandas.GeoDataFrame(table, geometry=frame.geometry.values, crs=LONLAT))
    if not frames:
        raise InputError(f"{path}: no layer in it can hold {', '.join(sorted(keys))}")
    # Layers without a feature here would only blur the columns' types.
    frames = [frame for frame in frames if len(frame)] or frames[:1]
    return geopandas.GeoDataFrame(pd.concat(frames, ignore_index=True), crs=LONLAT)


def _layers(path: Path) -> list[tuple[str, str]]:
    """The members of a zip that are layers of Geofabrik's: (name, kind); names are checked."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path}: not a readable zip ({error})") from None
    layers = []
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in member.filename:
            raise InputError(f"{path}: the zip holds a name that leads out of it; not opened")
        if member.flag_bits & 1:
            raise InputError(f"{path}: the zip is encrypted; decrypt it first")
        if match := _LAYER.fullmatch(name.name):
            layers.append((member.filename, match[1]))
    if sum(member.file_size for member in members) > _MOST_BYTES:
        raise InputError(f"{path}: the zip claims to hold more than 64 GiB; not opened")
    if not layers:
        some = ", ".join(sorted(PurePosixPath(m.filename).name for m in members)[:4])
        raise InputError(
            f"{path}: expected a shapefile zip of Geofabrik (gis_osm_roads_free_1.shp and so on), "
            f"it holds {some or 'nothing'}; unpack others and name the file"
        )
    return sorted(layers)


def _tags(frame: pd.DataFrame, layer: str) -> Mapping[str, list[str | None]]:
    """The tags that a layer tells, a list a key, None where missing."""
    classes = [name if isinstance(name, str) else "" for name in frame["fclass"]]
    if layer == "roads":
        flags = {
            key: [_FLAGS.get(value) for value in frame[key]]
            for key in ("tunnel", "bridge")
            if key in frame.columns
        }
        return {"highway": [_ROADS.get(name, name) for name in classes], **flags}
    if layer == "buildings_a":
        kinds = frame["type"] if "type" in frame.columns else np.full(len(frame), None)
        return {"building": [k if isinstance(k, str) and k else "yes" for k in kinds]}
    default, table = {
        "water_a": ("natural", _WATER),
        "landuse_a": ("landuse", _LANDUSE),
        "natural_a": ("natural", {}),
    }[layer]
    pairs = [table.get(name, (default, name)) for name in classes]
    return {
        key: [value if named == key else None for named, value in pairs] for key in {key for key, _ in pairs}
    }
