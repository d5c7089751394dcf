"""Searching a STAC API: items as values, whatever shape their catalogue gives them.

`parse_item` is pure; only `search` talks to a server.
"""

import datetime as dt
import math
import re
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict
from shapely.errors import ShapelyError
from shapely.geometry import box, shape

from swath.errors import MissingExtraError, RemoteError, SettingsError
from swath.fetch.offset import Offset, decide_offset
from swath.grid import Bounds
from swath.scenes.scene import band_name
from swath.sentinel2 import BANDS, QUANTIFICATION

MAX_ITEMS = 2000
"""More items than this for one site: the dates span too much, or the server repeats itself."""

MAX_SEARCH_S = 600.0
"""A search that takes longer is given up."""

SEARCH_TRIES = 5
"""How often a request of a search that fails is repeated."""

SEARCH_BACKOFF_S = 0.5
"""Wait before a search is repeated; doubled each time."""

PAGE_ITEMS = 100
"""Items a page; all three presets allow it."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A STAC API that swath knows.

    Attributes:
        url: Its root.
        collection: Sentinel-2 Level-2A there.
        hosts: Hosts that may see the user's token.
        token_url: Where a user name and a password become a token (OpenID Connect).
        client_id: Of the public client there.
        sas_url: Where an anonymous token for a collection's files is given (`{collection}`).
        sas_hosts: Endings of the hosts whose addresses need that token.
    """

    url: str
    collection: str = "sentinel-2-l2a"
    hosts: tuple[str, ...] = ()
    token_url: str | None = None
    client_id: str = "cdse-public"
    sas_url: str | None = None
    sas_hosts: tuple[str, ...] = ()


PRESETS: dict[str, Preset] = {
    # Free cloud-optimised GeoTIFFs on AWS. c1: Collection 1, reprocessed with one baseline.
    "earth-search": Preset("https://earth-search.aws.element84.com/v1", "sentinel-2-c1-l2a"),
    "planetary-computer": Preset(
        "https://planetarycomputer.microsoft.com/api/stac/v1",
        sas_url="https://planetarycomputer.microsoft.com/api/sas/v1/token/{collection}",
        sas_hosts=(".blob.core.windows.net",),
    ),
    # ESA's own JP2 files; downloads need an account.
    "copernicus": Preset(
        "https://stac.dataspace.copernicus.eu/v1",
        hosts=("download.dataspace.copernicus.eu", "zipper.dataspace.copernicus.eu"),
        token_url="https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/"
        "openid-connect/token",
    ),
}


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StacAsset(_Value):
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


class StacItem(_Value):
    """One acquisition of one tile, as its catalogue describes it.

    Attributes:
        id: The catalogue's name of it.
        collection: Its collection.
        time: When it was taken (UTC).
        mgrs_tile: Such as `31UDQ`; None where the item does not say.
        cloud: Cloud of the whole item in percent; None where it does not say.
        sun_azimuth_deg: Clockwise from north; None where it does not say.
        sun_elevation_deg: Above the horizon; None where it does not say.
        cover: Share 0..1 of the searched box inside the item's footprint.
        baseline: Processing baseline, such as `05.09`.
        applied: Flag that the radiometric offset is in the numbers already.
        assets: By band (`B04`), and `visual`, `SCL`.
    """

    id: str
    collection: str
    time: dt.datetime
    mgrs_tile: str | None = None
    cloud: float | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    cover: float = 1.0
    baseline: str | None = None
    applied: bool | None = None
    assets: dict[str, StacAsset]

    @property
    def date(self) -> dt.date:
        """Day of acquisition (UTC)."""
        return self.time.date()

    def offset(self, bands: tuple[str, ...]) -> Offset:
        """What to add to the stored numbers of `bands`, which the item has.

        Source: the metadata are weighed by `decide_offset`.
        """
        declared = {self.assets[band].offset_dn for band in bands}
        if len(declared) > 1:
            return Offset(
                None, f"the item declares different offsets: {sorted(map(str, declared))}"
            )
        return decide_offset(self.baseline, declared.pop(), self.applied)


def parse_item(raw: Mapping[str, Any], bounds: Bounds) -> StacItem:
    """Read one item of a STAC API.

    Args:
        raw: The item as JSON gives it.
        bounds: (west, south, east, north) of the site in degrees.

    Raises:
        RemoteError: It lacks what every item has, or holds nonsense.
    """
    name = str(raw.get("id", "(no id)"))
    try:
        properties = raw["properties"]
        assets = _assets(raw["assets"])
        return StacItem(
            id=name,
            collection=str(raw.get("collection") or ""),
            time=_utc(properties.get("datetime") or properties["start_datetime"]),
            mgrs_tile=_mgrs_tile(name, properties),
            cloud=_number(properties.get("eo:cloud_cover")),
            cover=_cover(raw.get("geometry"), bounds),
            baseline=_baseline(name, properties),
            applied=_flag(properties),
            assets=assets,
            sun_azimuth_deg=_first(
                properties.get("view:sun_azimuth"), properties.get("s2:mean_solar_azimuth")
            ),
            sun_elevation_deg=_sun_elevation(properties),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ShapelyError) as error:
        what = " ".join(str(error).split())[:120]
        raise RemoteError(f"item {name[:100]!r} is no Sentinel-2 item: {what}") from None


def search(
    preset: Preset,
    collection: str,
    bounds: Bounds,
    start: dt.date,
    end: dt.date,
    *,
    headers: Mapping[str, str] | None = None,
) -> tuple[tuple[StacItem, ...], tuple[str, ...]]:
    """All items of a collection that touch a box between two days.

    Clouds and tiles are not searched for but looked at afterwards: so that the plan can say why a
    date was left out, and since not every server can filter.

    Args:
        preset: The API.
        collection: Which collection.
        bounds: (west, south, east, north) in degrees.
        start: First day.
        end: Last day.
        headers: What the server is shown, where it wants to see something.

    Returns:
        The items by time, then by name (one that the server gives twice is there once), and what
        is wrong with the items that cannot be used.

    Raises:
        RemoteError: The server cannot be reached, refuses, or answers nonsense.
        SettingsError: The server has no such collection.
        MissingExtraError: pystac-client is not installed.
    """
    try:
        import requests
        from pystac import STACError, STACTypeError
        from pystac_client import Client
        from pystac_client.errors import ClientTypeError
        from pystac_client.exceptions import APIError
        from pystac_client.stac_api_io import StacApiIO
        from urllib3 import Retry
    except ImportError as error:
        raise MissingExtraError("swath fetch", error.name or "pystac-client", "fetch") from None
    retry = Retry(
        SEARCH_TRIES,
        backoff_factor=SEARCH_BACKOFF_S,
        backoff_max=30,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
        # Else the server alone would say how long we wait.
        respect_retry_after_header=False,
    )
    try:
        # What pystac-client warns of, a link that is missing say, is for those who run a server.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stac_io = StacApiIO(dict(headers or {}), timeout=(10, 60), max_retries=retry)
            pages = (
                Client.open(preset.url, stac_io=stac_io)
                .search(
                    collections=[collection],
                    bbox=list(bounds),
                    datetime=f"{start}T00:00:00Z/{end}T23:59:59Z",
                    limit=PAGE_ITEMS,
                )
                .pages_as_dicts()
            )
            return _collect(pages, preset.url, bounds)
    except APIError as error:
        if getattr(error, "status_code", None) in (400, 404):
            raise SettingsError(
                f"{preset.url}: the search is refused ({_brief(error)}); check `api:` and "
                f"`collection: {collection}`"
            ) from None
        raise RemoteError(f"{preset.url}: {_brief(error)}") from None
    except (STACError, STACTypeError, ClientTypeError, requests.RequestException) as error:
        raise RemoteError(f"{preset.url}: no STAC API answers there ({_brief(error)})") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RemoteError(f"{preset.url}: not the answer of a STAC API ({_brief(error)})") from None


def _collect(
    pages: Iterable[Mapping[str, Any]], url: str, bounds: Bounds
) -> tuple[tuple[StacItem, ...], tuple[str, ...]]:
    """The items of all pages, and what is wrong with others; bounded in count and time."""
    found: dict[str, StacItem] = {}
    broken: list[str] = []
    began, seen = time.monotonic(), 0
    for page in pages:
        for raw in page["features"]:
            try:
                item = parse_item(raw, bounds)
                found[item.id] = item
            except RemoteError as error:
                broken.append(str(error))
        seen += len(page["features"])
        if seen > MAX_ITEMS or time.monotonic() - began > MAX_SEARCH_S:
            raise RemoteError(f"{url}: {seen} items came and more would; shorten start..end")
    items = tuple(sorted(found.values(), key=lambda item: (item.time, item.id)))
    return items, tuple(broken)


def find_preset(api: str) -> Preset:
    """The API of a name or a URL.

    Raises:
        SettingsError: Neither.
    """
    if api in PRESETS:
        return PRESETS[api]
    parts = urlsplit(api)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"api {api!r} is neither a URL nor one of {', '.join(PRESETS)}")
    return Preset(api.rstrip("/"))


def _assets(raw: Mapping[str, Any]) -> dict[str, StacAsset]:
    """The files that matter, by band name; of several sizes of a band the finest."""
    found: dict[str, tuple[float, StacAsset]] = {}
    for key, value in raw.items():
        # `B04_10m` in the Copernicus Data Space, `red` in Earth Search, `B04` elsewhere.
        stem, _, size = key.partition("_")
        name = {"visual": "visual", "tci": "visual", "scl": "SCL"}.get(stem.lower())
        name = name or _band(stem, value)
        href = _http_href(value)
        if name is None or href is None or key.endswith(("-jp2", "_jp2")):
            continue
        gsd = _number(size.removesuffix("m")) or 0.0
        if name not in found or gsd < found[name][0]:
            found[name] = gsd, _asset(value, href)
    return {name: asset for name, (_, asset) in sorted(found.items())}


def _band(stem: str, value: Mapping[str, Any]) -> str | None:
    name = band_name(stem)
    if name not in BANDS:
        # Red edge bands have no common name that tells them apart: Earth Search counts them.
        name = {"rededge1": "B05", "rededge2": "B06", "rededge3": "B07"}.get(stem, name)
    bands = value.get("eo:bands") or value.get("bands") or []
    return name if name in BANDS and len(bands) <= 1 else None


def _http_href(value: Mapping[str, Any]) -> str | None:
    """The address of a file, or its alternative, that needs no storage client."""
    others = value.get("alternate") or {}
    for href in (value["href"], *(other.get("href") for other in others.values())):
        if isinstance(href, str) and urlsplit(href).scheme in ("http", "https"):
            return href
    return None


def _asset(value: Mapping[str, Any], href: str) -> StacAsset:
    bands = value.get("raster:bands") or value.get("bands") or [{}]
    scale = _first(bands[0].get("scale"), bands[0].get("raster:scale"), value.get("raster:scale"))
    offset = _first(
        bands[0].get("offset"), bands[0].get("raster:offset"), value.get("raster:offset")
    )
    checksum = value.get("file:checksum")
    return StacAsset(
        href=href,
        media_type=value.get("type") or "",
        size=value.get("file:size"),
        checksum=checksum.lower() if isinstance(checksum, str) else None,
        scale=scale or 1e-4,
        offset_dn=None if offset is None else round(offset * QUANTIFICATION),
    )


def _first(*values: Any) -> float | None:
    return next((number for value in values if (number := _number(value)) is not None), None)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _sun_elevation(properties: Mapping[str, Any]) -> float | None:
    zenith = _number(properties.get("s2:mean_solar_zenith"))
    said = _number(properties.get("view:sun_elevation"))
    return 90 - zenith if said is None and zenith is not None else said


def _utc(text: str) -> dt.datetime:
    time_ = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return time_.replace(tzinfo=dt.UTC) if time_.tzinfo is None else time_.astimezone(dt.UTC)


def _mgrs_tile(name: str, properties: Mapping[str, Any]) -> str | None:
    text = properties.get("grid:code") or properties.get("s2:mgrs_tile") or ""
    match = re.search(r"(?:MGRS-|^)(\d{1,2}[C-X][A-Z]{2})$", str(text))
    match = match or re.search(r"_T?(\d{1,2}[C-X][A-Z]{2})_", name)
    return match[1].lstrip("0") if match else None


def _baseline(name: str, properties: Mapping[str, Any]) -> str | None:
    for key in ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline"):
        if value := properties.get(key):
            return str(value)
    uri = str(properties.get("s2:product_uri") or name)
    match = re.search(r"_N(\d{2})(\d{2})_", uri)
    return f"{match[1]}.{match[2]}" if match else None


def _flag(properties: Mapping[str, Any]) -> bool | None:
    for key in ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"):
        if isinstance(value := properties.get(key), bool):
            return value
    return None


def _cover(geometry: Mapping[str, Any] | None, bounds: Bounds) -> float:
    if not geometry:
        return 1.0
    wanted = box(*bounds)
    footprint = shape(geometry)
    if not footprint.is_valid:
        footprint = footprint.buffer(0)
    return float(footprint.intersection(wanted).area / wanted.area)


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
