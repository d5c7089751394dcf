"""What the metadata of a Sentinel-2 product says: radiometry of the product, geometry of a tile.

The files come from outside: no document type, no entities, and every number is checked before it
is used. Namespaces differ from baseline to baseline, so elements are found by their local names.
"""

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from affine import Affine
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from swath.errors import InputError
from swath.grid import Grid
from swath.sentinel2 import BANDS, NODATA, Level

TILE_M = 109_800
"""Side of a Sentinel-2 tile: 10980 px of 10 m, 5490 px of 20 m, 1830 px of 60 m."""

RESOLUTIONS_M = (10, 20, 60)

OFFSETS_SINCE = (4, 0)
"""From this processing baseline on, every product declares radiometric offsets."""

# Names of one thing: in products of today, then in L2A products before baseline 02.08.
_QUANTIFICATION = {
    "L1C": ("QUANTIFICATION_VALUE",),
    "L2A": ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE"),
}
_OFFSET = {"L1C": "RADIO_ADD_OFFSET", "L2A": "BOA_ADD_OFFSET"}
_TILE = re.compile(r"_T(\d{2}[C-HJ-NP-X][A-HJ-NP-Z]{2})(?:_|$)", re.ASCII)
_UTM = re.compile(r"EPSG:32[67](0[1-9]|[1-5]\d|60)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ProductMetadata:
    """What a product's metadata file says.

    Attributes:
        level: `L1C` (top of atmosphere) or `L2A` (surface).
        baseline: Processing baseline, `05.09`.
        spacecraft: `Sentinel-2A`.
        quantification: Digital numbers per reflectance 1.
        offsets: By band: what is added to a digital number before it is divided.
        cloud_cover: Percent 0..100 of the product; None where it is not told.
    """

    level: Level
    baseline: str
    spacecraft: str
    quantification: float
    offsets: Mapping[str, float]
    cloud_cover: float | None


@dataclass(frozen=True, slots=True)
class TileMetadata:
    """What a granule's metadata file says.

    Attributes:
        mgrs_tile: `34UCF`.
        sensing_time: UTC.
        grids: Where the pixels lie, by pixel size in metres; 10 is always there.
        cloud_cover: Percent 0..100 of the tile; None where it is not told.
        sun_zenith_deg: Mean over the tile; None where it is not told.
        sun_azimuth_deg: Mean over the tile, clockwise from north; None where it is not told.
    """

    mgrs_tile: str
    sensing_time: dt.datetime
    grids: Mapping[int, Grid]
    cloud_cover: float | None
    sun_zenith_deg: float | None
    sun_azimuth_deg: float | None


def parse_product(data: bytes, source: str) -> ProductMetadata:
    """Read a product's metadata file.

    Args:
        data: `MTD_MSIL1C.xml`, `MTD_MSIL2A.xml`, or a file of the old names.
        source: What to call it in an error.

    Raises:
        InputError: No XML, entities, another product, or a value that is missing or impossible.
    """
    root = parse_xml(data, source)
    level = _level(root, source)
    baseline = _text(root, "PROCESSING_BASELINE", source)
    version = re.fullmatch(r"(\d\d)\.(\d\d)", baseline)
    if version is None:
        raise InputError(
            f"{source}: PROCESSING_BASELINE is {baseline[:20]!r}; expected 05.09 or so"
        )
    _check_nodata(root, source)
    offsets = _offsets(root, level, source)
    if not offsets and (int(version[1]), int(version[2])) >= OFFSETS_SINCE:
        raise InputError(
            f"{source}: baseline {baseline} declares no {_OFFSET[level]}, so reflectance is "
            "unknown; get the product again"
        )
    names = _QUANTIFICATION[level]
    name = next((name for name in names if _first(root, name) is not None), names[0])
    quantification = _number(_text(root, name, source), name, source)
    if not 1 <= quantification <= 1e6:
        raise InputError(f"{source}: {name} is {quantification:g}; expected 1000 or 10000")
    return ProductMetadata(
        level=level,
        baseline=baseline,
        spacecraft=_text(root, "SPACECRAFT_NAME", source),
        quantification=quantification,
        offsets=offsets or dict.fromkeys(BANDS, 0.0),
        cloud_cover=_within(_first(root, "Cloud_Coverage_Assessment"), 100),
    )


def parse_tile(data: bytes, source: str) -> TileMetadata:
    """Read a granule's metadata file.

    Args:
        data: `MTD_TL.xml`, or a file of the old names.
        source: What to call it in an error.

    Raises:
        InputError: No XML, entities, or a value that is missing or impossible.
    """
    root = parse_xml(data, source)
    name = "TILE_ID" if _first(root, "TILE_ID") is not None else "TILE_ID_2A"
    tile = _TILE.search(_text(root, name, source))
    if tile is None:
        raise InputError(f"{source}: TILE_ID names no MGRS tile such as T34UCF")
    sun = _first(root, "Mean_Sun_Angle")
    return TileMetadata(
        mgrs_tile=tile[1],
        sensing_time=_sensing_time(root, source),
        grids=_grids(root, source),
        cloud_cover=_within(_first(root, "CLOUDY_PIXEL_PERCENTAGE"), 100),
        sun_zenith_deg=None if sun is None else _within(_first(sun, "ZENITH_ANGLE"), 180),
        sun_azimuth_deg=None if sun is None else _within(_first(sun, "AZIMUTH_ANGLE"), 360),
    )


def parse_xml(data: bytes, source: str) -> Element:
    """Parse XML that comes from outside: no document type, no entities.

    Raises:
        InputError: It has them, or is no XML.
    """
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise InputError(
            f"{source}: has a document type or entities, which no product has; do not use this file"
        ) from None
    except (ParseError, LookupError, ValueError) as error:
        raise InputError(
            f"{source}: not readable as XML ({' '.join(str(error).split())})"
        ) from None
    return root


def find_all(root: Element, name: str) -> Iterator[Element]:
    """All elements of that local name, whatever their namespace, in the file's order."""
    return (element for element in root.iter() if _local(element) == name)


def iter_text(root: Element, name: str) -> Iterator[str]:
    """The texts of these elements."""
    return ((element.text or "").strip() for element in find_all(root, name))


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _first(root: Element, name: str) -> Element | None:
    return next(find_all(root, name), None)


def _text(root: Element, name: str, source: str) -> str:
    element = _first(root, name)
    text = "" if element is None else (element.text or "").strip()
    if not text:
        raise InputError(f"{source}: no {name}; the file is incomplete")
    return text


def _number(text: str | None, name: str, source: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{source}: {name} is {(text or '')[:20]!r}; expected a number")
    return number


def _integer(text: str | None, name: str, source: str) -> int:
    number = _number(text, name, source)
    if number != int(number):
        raise InputError(f"{source}: {name} is {number:g}; expected a whole number")
    return int(number)


def _within(element: Element | None, top: float) -> float | None:
    """A number 0..top that informs and decides nothing: None where it is missing or impossible."""
    try:
        number = math.nan if element is None else float(element.text or "")
    except ValueError:
        return None
    return number if 0 <= number <= top else None


def _level(root: Element, source: str) -> Level:
    name = _local(root)
    if name == "Level-1C_User_Product":
        return "L1C"
    if name == "Level-2A_User_Product":
        return "L2A"
    raise InputError(
        f"{source}: the metadata is of {name[:60]!r}; expected a Level-1C or Level-2A product"
    )


def _check_nodata(root: Element, source: str) -> None:
    """Raise `InputError` where the number that means "no data" is not 0.

    SATURATED is not read: L2A products of baselines 02.05 to 02.08 declare 6 there, which is a dark
    pixel; in all others it is 65535.
    """
    for special in find_all(root, "Special_Values"):
        if (_text(special, "SPECIAL_VALUE_TEXT", source)) == "NODATA":
            value = _number(_text(special, "SPECIAL_VALUE_INDEX", source), "NODATA", source)
            if value != NODATA:
                raise InputError(f"{source}: NODATA is {value:g}; expected 0")


def _offsets(root: Element, level: Level, source: str) -> dict[str, float]:
    """Offset of every band; empty where the product declares none."""
    name = _OFFSET[level]
    given = {
        _integer(element.get("band_id"), f"band_id of {name}", source): _number(
            element.text, name, source
        )
        for element in find_all(root, name)
    }
    if not given:
        return {}
    if wrong := [value for value in given.values() if abs(value) > 65535]:
        raise InputError(f"{source}: {name} is {wrong[0]:g}; expected -1000 or so")
    bands = _band_ids(root, source)
    if missing := [band for index, band in bands.items() if index not in given]:
        raise InputError(f"{source}: no {name} for {', '.join(missing)}")
    return {band: given[index] for index, band in bands.items()}


def _band_ids(root: Element, source: str) -> dict[int, str]:
    """Band name by `band_id`: as the file has it, else as all products have it."""
    bands: dict[int, str] = {}
    for element in find_all(root, "Spectral_Information"):
        text = element.get("physicalBand") or ""
        band = f"B{int(text[1:]):02d}" if re.fullmatch(r"B\d{1,2}", text, re.ASCII) else text
        if band not in BANDS or band in bands.values():
            raise InputError(f"{source}: physicalBand {text[:20]!r} is unknown or named twice")
        bands[_integer(element.get("bandId"), "bandId", source)] = band
    return bands or dict(enumerate(BANDS))


def _sensing_time(root: Element, source: str) -> dt.datetime:
    text = _text(root, "SENSING_TIME", source)
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{source}: SENSING_TIME is {text[:40]!r}; expected a time") from None
    if not 2015 <= time.year <= 2100:
        raise InputError(f"{source}: SENSING_TIME is {text[:40]!r}; Sentinel-2 flies since 2015")
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)


def _grids(root: Element, source: str) -> dict[int, Grid]:
    """The grids of a tile, all over the same ground."""
    crs = _text(root, "HORIZONTAL_CS_CODE", source)
    if not _UTM.fullmatch(crs):
        raise InputError(f"{source}: HORIZONTAL_CS_CODE is {crs[:40]!r}; expected EPSG:326nn/327nn")
    sizes = {_integer(e.get("resolution"), "resolution", source): e for e in find_all(root, "Size")}
    places = {
        _integer(e.get("resolution"), "resolution", source): e
        for e in find_all(root, "Geoposition")
    }
    grids = {
        resolution: _grid(sizes[resolution], places[resolution], resolution, crs, source)
        for resolution in RESOLUTIONS_M
        if resolution in sizes and resolution in places
    }
    if 10 not in grids:
        raise InputError(f"{source}: no Size and Geoposition of 10 m; the file is incomplete")
    for resolution, grid in grids.items():
        if grid.bounds != grids[10].bounds:
            raise InputError(
                f"{source}: the {resolution} m images span {grid.bounds}, those of 10 m "
                f"{grids[10].bounds}; expected the same"
            )
    return grids


def _grid(size: Element, place: Element, resolution: int, crs: str, source: str) -> Grid:
    rows, cols = (_integer(_text(size, name, source), name, source) for name in ("NROWS", "NCOLS"))
    most = TILE_M // resolution
    if not (1 <= rows <= most and 1 <= cols <= most):
        raise InputError(
            f"{source}: an image of {rows} x {cols} px of {resolution} m is declared; a tile has "
            f"at most {most} x {most}"
        )
    left, top, x_size, y_size = (
        _number(_text(place, name, source), name, source) for name in ("ULX", "ULY", "XDIM", "YDIM")
    )
    if (x_size, y_size) != (resolution, -resolution):
        raise InputError(
            f"{source}: pixels of {x_size:g} x {y_size:g} m are declared as {resolution} m"
        )
    if not (0 <= left <= 1e6 and 0 <= top <= 1e7):
        raise InputError(f"{source}: the tile's corner is at ({left:g}, {top:g}), outside UTM")
    return Grid(crs, Affine(resolution, 0.0, left, 0.0, -resolution, top), (rows, cols))
