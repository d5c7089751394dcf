"""What STAC items of swath say of a grid, a legend, bands and files, for whoever writes one."""

import datetime as dt
import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from pyproj import Transformer
from shapely import Polygon, box, intersection, segmentize

from swath.grid import Grid
from swath.legend import Legend
from swath.sentinel2 import BANDS

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
EO = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
VIEW = "https://stac-extensions.github.io/view/v1.0.0/schema.json"
MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"

PARQUET = "application/vnd.apache.parquet"

PIECE_PX = 512
"""Length of the pieces that the sides of a footprint are cut into. So long a straight line in a UTM
zone, at 10 m a pixel, bends in degrees by half a metre at 47 degrees north, and by two at 77."""

_SHA256 = "1220"
"""The file extension stores multihashes: 0x12 = SHA-256, 0x20 = its 32 bytes."""


def projection(grid: Grid) -> dict[str, JsonValue]:
    """The fields `proj:*` of a grid."""
    coded = "[" not in grid.crs
    return {
        "proj:code": grid.crs if coded else None,
        **({} if coded else {"proj:wkt2": grid.crs}),
        "proj:shape": list(grid.shape),
        "proj:transform": list(grid.transform)[:6],
    }


def footprint(grid: Grid) -> dict[str, JsonValue]:
    """The grid's outline in degrees, as GeoJSON: its sides are curves there.

    Across the 180th meridian it is two polygons, as RFC 7946 asks; round a pole all that is as far north,
    or south.
    """
    outline = segmentize(box(*grid.bounds), max(grid.resolution) * PIECE_PX)
    transformer = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    lons, lats = transformer.transform(*outline.exterior.xy)
    whole = np.unwrap(lons, period=360)
    if abs(whole[-1] - whole[0]) > 180:
        lowest, highest = sorted((min(lats, key=abs), math.copysign(90.0, lats[0])))
        lons, lats = box(-180, lowest, 180, highest).exterior.xy
        return {"type": "Polygon", "coordinates": [_ring(np.asarray(lons), lats)]}
    whole -= 360 * np.floor((whole.min() + 180) / 360)
    if whole.max() <= 180:
        return {"type": "Polygon", "coordinates": [_ring(whole, lats)]}
    around = Polygon(zip(whole, lats, strict=True))
    parts: list[JsonValue] = []
    for west, turn in ((-180, 0), (180, 360)):
        part = intersection(around, box(west, -90, west + 360, 90))
        if part.area:
            lons, lats = (part if isinstance(part, Polygon) else part.convex_hull).exterior.xy
            parts.append([_ring(np.asarray(lons) - turn, lats)])
    return {"type": "MultiPolygon", "coordinates": parts}


def _ring(lons: NDArray[np.float64], lats: Iterable[float]) -> list[JsonValue]:
    return [[lon, lat] for lon, lat in zip(lons.tolist(), lats, strict=True)]


def band_fields(name: str) -> dict[str, JsonValue]:
    """A band of Sentinel-2, by its name."""
    band = BANDS[name]
    common: dict[str, JsonValue] = {"eo:common_name": band.common_name} if band.common_name else {}
    return {"name": name, **common, "eo:center_wavelength": band.wavelength_um}


def class_fields(legend: Legend) -> list[JsonValue]:
    """`classification:classes` of a legend."""
    return [{"value": c.id, "name": c.name, "color_hint": c.color[1:].upper()} for c in legend.classes]


def pmap_output(legend: Legend) -> dict[str, JsonValue]:
    """A PMap as an entry of `mlm:output`; -1 stands for any size."""
    return {
        "name": "pmap",
        "description": "Probability of each class",
        "tasks": ["semantic-segmentation"],
        "result": {
            "shape": [-1, len(legend.classes), -1, -1],
            "dim_order": ["batch", "class", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": class_fields(legend),
        "post_processing_function": None,
    }


def checksum_fields(sha256: str) -> dict[str, JsonValue]:
    """The checksum of a file, from its SHA-256 in hexadecimal digits."""
    return {"file:checksum": _SHA256 + sha256}


def read_checksum(fields: Mapping[str, object]) -> str:
    """The SHA-256 in hexadecimal digits that `checksum_fields` wrote; KeyError if none is there."""
    return str(fields["file:checksum"]).removeprefix(_SHA256)


def first_second(date: dt.date) -> dt.datetime:
    """When a day begins, UTC."""
    return dt.datetime.combine(date, dt.time(), dt.UTC)


def last_second(date: dt.date) -> dt.datetime:
    """When a day ends, UTC."""
    return dt.datetime.combine(date, dt.time(23, 59, 59), dt.UTC)
