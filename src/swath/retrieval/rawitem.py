"""Items as catalogues write them, each in its own words, read into the one value `StacItem`."""

import datetime as dt
import math
import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError
from shapely.errors import ShapelyError
from shapely.geometry import box, shape

from swath.errors import RemoteError, reason_of
from swath.grid import Bounds
from swath.retrieval.stacitem import StacAsset, StacItem
from swath.scenes.scene import band_name
from swath.schema import first_problem
from swath.sentinel2 import BANDS, QUANTIFICATION

_IMAGES = {"visual": "visual", "tci": "visual", "scl": "SCL"}
"""First part of an asset's key, in small letters, to its name here."""

_RED_EDGE = {"rededge1": "B05", "rededge2": "B06", "rededge3": "B07"}
"""Red edge bands have no common name that tells them apart: Earth Search counts them."""


def _number(value: object) -> float | None:
    """What can be read as a finite number; None for all else."""
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str | None:
    """A text or a number as text; None for all else, and where there is nothing in it."""
    return str(value) if isinstance(value, str | int | float) and value else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


Number = Annotated[float | None, BeforeValidator(_number)]
Text = Annotated[str | None, BeforeValidator(_text)]
Flag = Annotated[bool | None, BeforeValidator(_flag)]


class _Raw(BaseModel):
    """What is read of a catalogue's JSON; the rest of it is passed over."""

    model_config = ConfigDict(frozen=True)


class _Band(_Raw):
    scale: Number = None
    offset: Number = None
    raster_scale: Number = Field(None, alias="raster:scale")
    raster_offset: Number = Field(None, alias="raster:offset")


class _Alternate(_Raw):
    href: Text = None


class _Asset(_Raw):
    href: Text
    media_type: Text = Field(None, alias="type")
    size: int | None = Field(None, alias="file:size")
    checksum: Text = Field(None, alias="file:checksum")
    alternate: dict[str, _Alternate] | None = None
    bands: tuple[_Band, ...] | None = None
    eo_bands: tuple[_Band, ...] | None = Field(None, alias="eo:bands")
    raster_bands: tuple[_Band, ...] | None = Field(None, alias="raster:bands")
    raster_scale: Number = Field(None, alias="raster:scale")
    raster_offset: Number = Field(None, alias="raster:offset")

    @property
    def address(self) -> str | None:
        """The address of the file, or its alternative, that needs no storage client."""
        others = [other.href for other in (self.alternate or {}).values()]
        web = (href for href in (self.href, *others) if href)
        return next((href for href in web if urlsplit(href).scheme in ("http", "https")), None)

    def read(self, href: str) -> StacAsset:
        """The file, at one of its addresses."""
        band = next(iter(self.raster_bands or self.bands or ()), _Band())
        scale = _first(band.scale, band.raster_scale, self.raster_scale)
        offset = _first(band.offset, band.raster_offset, self.raster_offset)
        return StacAsset(
            href=href,
            media_type=self.media_type or "",
            size=self.size,
            checksum=self.checksum.lower() if self.checksum else None,
            scale=scale or 1e-4,
            offset_dn=None if offset is None else round(offset * QUANTIFICATION),
        )


class _Properties(_Raw):
    time: Text = Field(None, alias="datetime")
    start_time: Text = Field(None, alias="start_datetime")
    cloud: Number = Field(None, alias="eo:cloud_cover")
    grid_code: Text = Field(None, alias="grid:code")
    mgrs_tile: Text = Field(None, alias="s2:mgrs_tile")
    sun_azimuth_deg: Number = Field(None, alias="view:sun_azimuth")
    mean_azimuth_deg: Number = Field(None, alias="s2:mean_solar_azimuth")
    sun_elevation_deg: Number = Field(None, alias="view:sun_elevation")
    mean_zenith_deg: Number = Field(None, alias="s2:mean_solar_zenith")
    baseline: Text = Field(None, alias="s2:processing_baseline")
    version: Text = Field(None, alias="processing:version")
    old_baseline: Text = Field(None, alias="sentinel:processing_baseline")
    product_uri: Text = Field(None, alias="s2:product_uri")
    applied: Flag = Field(None, alias="earthsearch:boa_offset_applied")
    old_applied: Flag = Field(None, alias="sentinel:boa_offset_applied")

    @property
    def when(self) -> dt.datetime:
        """When it was taken, in UTC; raises `ValueError` where that is not properties."""
        text = self.time or self.start_time
        if text is None:
            raise ValueError("no datetime")
        time = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)

    @property
    def sun_height_deg(self) -> float | None:
        """Of the sun above the horizon."""
        zenith = self.mean_zenith_deg
        return _first(self.sun_elevation_deg, None if zenith is None else 90 - zenith)


class _Item(_Raw):
    collection: Text = None
    geometry: dict[str, JsonValue] | None = None
    properties: _Properties
    assets: dict[str, JsonValue]


def parse_item(raw: Mapping[str, object], bounds: Bounds) -> StacItem:
    """Read one item of a STAC API.

    Args:
        raw: The item as JSON gives it.
        bounds: (west, south, east, north) of the site in degrees.

    Raises:
        RemoteError: It lacks what every item has, or holds nonsense.
    """
    name = str(raw.get("id", "(no id)"))
    try:
        item = _Item.model_validate(raw)
        properties = item.properties
        return StacItem(
            id=name,
            collection=item.collection or "",
            time=properties.when,
            mgrs_tile=_mgrs_tile(name, properties),
            cloud=properties.cloud,
            cover=_cover(item.geometry, bounds),
            baseline=_baseline(name, properties),
            applied=properties.old_applied if properties.applied is None else properties.applied,
            assets=_assets(item.assets),
            sun_azimuth_deg=_first(properties.sun_azimuth_deg, properties.mean_azimuth_deg),
            sun_elevation_deg=properties.sun_height_deg,
        )
    except ValidationError as error:
        problem = first_problem(error)
    except (KeyError, TypeError, ValueError, AttributeError, ShapelyError) as error:
        problem = reason_of(error)
    raise RemoteError(f"item {name[:100]!r} is no Sentinel-2 item: {problem[:120]}")


def _assets(raw: Mapping[str, JsonValue]) -> dict[str, StacAsset]:
    """The files that matter, by band name; of several sizes of a band the finest."""
    finest: dict[str, tuple[float, StacAsset]] = {}
    for key, value in raw.items():
        # `B04_10m` in the Copernicus Data Space, `red` in Earth Search, `B04` elsewhere.
        stem, _, size = key.partition("_")
        name = _IMAGES.get(stem.lower()) or _band(stem)
        if name is None or key.endswith(("-jp2", "_jp2")):
            continue
        asset = _Asset.model_validate(value)
        several = len(asset.eo_bands or asset.bands or ()) > 1
        if asset.address is None or (several and name in BANDS):
            continue
        gsd = _number(size.removesuffix("m")) or 0.0
        if name not in finest or gsd < finest[name][0]:
            finest[name] = gsd, asset.read(asset.address)
    return {name: asset for name, (_, asset) in sorted(finest.items())}


def _band(stem: str) -> str | None:
    name = band_name(stem)
    return name if name in BANDS else _RED_EDGE.get(stem)


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _mgrs_tile(name: str, properties: _Properties) -> str | None:
    text = properties.grid_code or properties.mgrs_tile or ""
    match = re.search(r"(?:MGRS-|^)(\d{1,2}[C-X][A-Z]{2})$", text)
    match = match or re.search(r"_T?(\d{1,2}[C-X][A-Z]{2})_", name)
    return match[1].lstrip("0") if match else None


def _baseline(name: str, properties: _Properties) -> str | None:
    named = properties.baseline or properties.version or properties.old_baseline
    match = re.search(r"_N(\d{2})(\d{2})_", properties.product_uri or name)
    return named or (f"{match[1]}.{match[2]}" if match else None)


def _cover(geometry: Mapping[str, JsonValue] | None, bounds: Bounds) -> float:
    if not geometry:
        return 1.0
    wanted = box(*bounds)
    footprint = shape(geometry)
    if not footprint.is_valid:
        footprint = footprint.buffer(0)
    return float(footprint.intersection(wanted).area / wanted.area)
