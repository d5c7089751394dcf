"""Items of catalogues, each in its own words, read into the one value `StacItem`."""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError
from shapely.affinity import translate
from shapely.errors import ShapelyError
from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from swath.errors import RemoteError, reason_of
from swath.grid import Bounds, turned
from swath.retrieval.offset import Offset, decide_offset
from swath.scenes.scene import band_name
from swath.sentinel2 import BANDS, QUANTIFICATION
from swath.validation import Frozen, first_problem

T = TypeVar("T")

_IMAGES = {"visual": "visual", "tci": "visual", "scl": "SCL"}
"""First part of an asset's key, in small letters, to its name here."""

_RED_EDGE = {"rededge1": "B05", "rededge2": "B06", "rededge3": "B07"}
"""Red edge bands have no common name that tells them apart: Earth Search counts them."""

_NONSENSE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, ShapelyError)
"""What reading an item raises that is none."""


class StacAsset(Frozen):
    """One file of an item.

    Attributes:
        href: Its address, http or https.
        media_type: As the catalogue says; may be empty.
        size: Bytes, where the catalogue says.
        checksum: Multihash in hexadecimal digits, where the catalogue says.
        scale: Reflectance of one stored unit.
        offset_dn: Declared offset in 1/10000 reflectance; None: none declared.
        shortened: Whether `href` has lost what may be secret in it: to be searched for again.
    """

    href: str
    media_type: str = ""
    size: int | None = None
    checksum: str | None = None
    scale: float = 1e-4
    offset_dn: int | None = None
    shortened: bool = False

    @property
    def is_tiff(self) -> bool:
        """Whether windows of the file can be read from afar."""
        path = urlsplit(self.href).path.lower()
        return "tiff" in self.media_type or path.endswith((".tif", ".tiff"))


class StacItem(Frozen):
    """One acquisition of one tile; None where the catalogue does not say.

    Attributes:
        id: The catalogue's name of it.
        collection: Its collection.
        time: When it was taken (UTC).
        platform: The satellite, such as `sentinel-2b`.
        mgrs_tile: Such as `31UDQ`.
        cloud: Cloud of the whole item in percent.
        sun_azimuth_deg: Clockwise from north.
        sun_elevation_deg: Above the horizon.
        part: What of the searched box lies in the item's footprint, the box being the unit square.
        baseline: Processing baseline, such as `05.09`.
        applied: Flag that the radiometric offset is in the numbers already.
        assets: By band (`B04`), and `visual`, `SCL`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    id: str
    collection: str
    time: dt.datetime
    platform: str | None = None
    mgrs_tile: str | None = None
    cloud: float | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    part: BaseGeometry | None = Field(default=None, exclude=True, repr=False)
    baseline: str | None = None
    applied: bool | None = None
    assets: dict[str, StacAsset]

    @property
    def cover(self) -> float:
        """Share 0..1 of the searched box in the item's footprint; all of it where none is given."""
        return 1.0 if self.part is None else float(self.part.area)

    @property
    def date(self) -> dt.date:
        """Day of acquisition (UTC)."""
        return self.time.date()

    def offset(self, bands: tuple[str, ...]) -> Offset:
        """What to add to the stored numbers of `bands`, which the item has."""
        declared = {self.assets[band].offset_dn for band in bands}
        if len(declared) > 1:
            several = sorted(map(str, declared))
            return Offset(None, f"the item declares different offsets: {several}")
        return decide_offset(self.baseline, declared.pop(), self.applied)


def parse_item(raw: Mapping[str, Any], bounds: Bounds) -> StacItem:
    """Read one item of a STAC API that was searched within `bounds`, in degrees.

    Raises:
        RemoteError: It lacks what every item has, or holds nonsense.
    """
    name = str(raw.get("id", "(no id)"))
    try:
        return _item(name, raw, bounds)
    except _NONSENSE as error:
        why = first_problem(error) if isinstance(error, ValidationError) else reason_of(error)
        raise RemoteError(f"item {name[:100]!r} is no Sentinel-2 item: {why[:120]}") from None


def _item(name: str, raw: Mapping[str, Any], bounds: Bounds) -> StacItem:
    get = raw["properties"].get
    zenith = _number(get("s2:mean_solar_zenith"))
    height = None if zenith is None else 90 - zenith
    named = re.search(r"_N(\d{2})(\d{2})_", _text(get("s2:product_uri")) or name)
    return StacItem(
        id=name,
        collection=_text(raw.get("collection")) or "",
        time=_time(_first(_text, get("datetime"), get("start_datetime"))),
        mgrs_tile=_mgrs_tile(name, _first(_text, get("grid:code"), get("s2:mgrs_tile"))),
        cloud=_number(get("eo:cloud_cover")),
        platform=(_text(get("platform")) or "").lower() or None,
        part=_part(raw.get("geometry"), bounds),
        baseline=_first(
            _text,
            get("s2:processing_baseline"),
            get("processing:version"),
            get("sentinel:processing_baseline"),
            f"{named[1]}.{named[2]}" if named else None,
        ),
        applied=_first(_flag, get("earthsearch:boa_offset_applied"), get("sentinel:boa_offset_applied")),
        assets=_assets(raw["assets"]),
        sun_azimuth_deg=_first(_number, get("view:sun_azimuth"), get("s2:mean_solar_azimuth")),
        sun_elevation_deg=_first(_number, get("view:sun_elevation"), height),
    )


def _assets(raw: Mapping[str, Mapping[str, Any]]) -> dict[str, StacAsset]:
    """The files that matter, by band name; of several sizes of a band the finest."""
    finest: dict[str, tuple[float, StacAsset]] = {}
    for key, fields in raw.items():
        # `B04_10m` in the Copernicus Data Space, `red` in Earth Search, `B04` elsewhere.
        stem, _, size = key.partition("_")
        name = _IMAGES.get(stem.lower()) or _RED_EDGE.get(stem) or band_name(stem)
        if name not in (*BANDS, "visual", "SCL") or key.endswith(("-jp2", "_jp2")):
            continue
        asset = _asset(fields)
        several = len(fields.get("eo:bands") or fields.get("bands") or ()) > 1
        if asset is None or (several and name in BANDS):
            continue
        gsd = _number(size.removesuffix("m")) or 0.0
        if name not in finest or gsd < finest[name][0]:
            finest[name] = gsd, asset
    return {name: asset for name, (_, asset) in sorted(finest.items())}


def _asset(fields: Mapping[str, Any]) -> StacAsset | None:
    """A file, at the first of its addresses that needs no storage client; None without one."""
    others = [other.get("href") for other in (fields.get("alternate") or {}).values()]
    hrefs = [href for href in map(_text, (fields["href"], *others)) if href]
    href = next((href for href in hrefs if urlsplit(href).scheme in ("http", "https")), None)
    if href is None:
        return None
    bands = fields.get("raster:bands") or fields.get("bands")
    band = bands[0] if bands else {}
    scale, offset = (
        _first(_number, band.get(key), band.get(f"raster:{key}"), fields.get(f"raster:{key}"))
        for key in ("scale", "offset")
    )
    return StacAsset(
        href=href,
        media_type=_text(fields.get("type")) or "",
        size=fields.get("file:size"),
        checksum=(_text(fields.get("file:checksum")) or "").lower() or None,
        scale=scale or 1e-4,
        offset_dn=None if offset is None else round(offset * QUANTIFICATION),
    )


def _first(read: Callable[[object], T | None], *values: object) -> T | None:
    """The first of some values that can be read."""
    return next((value for value in map(read, values) if value is not None), None)


def _number(value: object) -> float | None:
    """What can be read as a finite number; None for all else."""
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str | None:
    """A text or a number as text; None for all else, and where there is nothing in it."""
    return str(value) if isinstance(value, str | int | float) and value else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _time(text: str | None) -> dt.datetime:
    if text is None:
        raise ValueError("no datetime")
    time = dt.datetime.fromisoformat(text)
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)


def _mgrs_tile(name: str, code: str | None) -> str | None:
    match = re.search(r"(?:MGRS-|^)(\d{1,2}[C-X][A-Z]{2})$", code or "")
    match = match or re.search(r"_T?(\d{1,2}[C-X][A-Z]{2})_", name)
    return match[1].lstrip("0") if match else None


def _part(geometry: Mapping[str, Any] | None, bounds: Bounds) -> BaseGeometry | None:
    """What of a box in degrees lies in a footprint, on the unit square that the box becomes."""
    if not geometry:
        return None
    footprint = shape(geometry)
    left, _, right, _ = footprint.bounds
    if right - left > 180:
        # Across the 180th meridian without being cut there, or cut.
        footprint = shapely.transform(footprint, lambda at: at + np.where(at[:, :1] < 0, (360, 0), (0, 0)))
    if not footprint.is_valid:
        footprint = footprint.buffer(0)
    west, south, east, north = bounds
    west, _, east, _ = turned((west, south, east + 360 if east < west else east, north), 0.0)

    def onto_square(at: NDArray[np.float64]) -> NDArray[np.float64]:
        return (at - (west, south)) / (east - west, north - south)

    turns = [translate(footprint, turn) for turn in (-360, 0, 360)]
    square = shapely.transform(shapely.union_all(turns), onto_square)
    return shapely.intersection(square, box(0, 0, 1, 1))
