"""What the metadata of a Sentinel-2 product says: radiometry of the product, geometry of a tile.

They come from outside: no document type, no entities, and every number is checked. Namespaces
differ from baseline to baseline, so elements are found by their local names.
"""

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from affine import Affine
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from swath.errors import InputError, reason_of
from swath.grid import Grid
from swath.sentinel2 import BANDS, NODATA, Level

TILE_M = 109_800
"""Side of a Sentinel-2 tile: 10980 px of 10 m, 5490 px of 20 m, 1830 px of 60 m."""

RESOLUTIONS_M = (10, 20, 60)

OFFSETS_SINCE = "04.00"
"""From this processing baseline on, every product declares radiometric offsets."""

_LEVELS: dict[str, Level] = {"Level-1C_User_Product": "L1C", "Level-2A_User_Product": "L2A"}
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
    """What a product's metadata file says: level, baseline (`05.09`), spacecraft (`Sentinel-2A`).

    Attributes:
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
    """What a granule's metadata file says of a tile such as `34UCF`; None where it does not.

    Attributes:
        sensing_time: UTC.
        grids: Where the pixels lie, by pixel size in metres; 10 is always there.
        cloud_cover: Percent 0..100 of the tile.
        sun_zenith_deg: Mean over the tile, as is the azimuth, clockwise from north.
    """

    mgrs_tile: str
    sensing_time: dt.datetime
    grids: Mapping[int, Grid]
    cloud_cover: float | None
    sun_zenith_deg: float | None
    sun_azimuth_deg: float | None


def parse_product(data: bytes, source: str) -> ProductMetadata:
    """Read a product's metadata file: `MTD_MSIL1C.xml`, `MTD_MSIL2A.xml`, or one of the old names.

    Raises:
        InputError: No XML, entities, another product, or a value that is missing or impossible.
    """
    file = _File(data, source)
    kind = file.root.tag.rpartition("}")[2]
    level = _LEVELS.get(kind)
    if level is None:
        raise file.wrong(f"the metadata is of {kind[:60]!r}; expected a Level-1C or Level-2A product")
    baseline = file.text("PROCESSING_BASELINE")
    if not re.fullmatch(r"\d\d\.\d\d", baseline, re.ASCII):
        raise file.wrong(f"PROCESSING_BASELINE is {baseline[:20]!r}; expected 05.09 or so")
    _check_nodata(file)
    offsets = _offsets(file, _OFFSET[level])
    if not offsets and baseline >= OFFSETS_SINCE:
        raise file.wrong(
            f"baseline {baseline} declares no {_OFFSET[level]}, so reflectance is unknown; get the "
            "product again"
        )
    names = _QUANTIFICATION[level]
    name = next((name for name in names if every(file.root, name)), names[0])
    quantification = file.number(name)
    if not 1 <= quantification <= 1e6:
        raise file.wrong(f"{name} is {quantification:g}; expected 1000 or 10000")
    return ProductMetadata(
        level=level,
        baseline=baseline,
        spacecraft=file.text("SPACECRAFT_NAME"),
        quantification=quantification,
        offsets=offsets or dict.fromkeys(BANDS, 0.0),
        cloud_cover=within(text_of(file.root, "Cloud_Coverage_Assessment"), 0, 100),
    )


def parse_tile(data: bytes, source: str) -> TileMetadata:
    """Read a granule's metadata file: `MTD_TL.xml`, or one of the old names.

    Raises:
        InputError: No XML, entities, or a value that is missing or impossible.
    """
    file = _File(data, source)
    tile = _TILE.search(file.text("TILE_ID" if every(file.root, "TILE_ID") else "TILE_ID_2A"))
    if tile is None:
        raise file.wrong("TILE_ID names no MGRS tile such as T34UCF")
    return TileMetadata(
        mgrs_tile=tile[1],
        sensing_time=_sensing_time(file),
        grids=_grids(file),
        cloud_cover=within(text_of(file.root, "CLOUDY_PIXEL_PERCENTAGE"), 0, 100),
        sun_zenith_deg=within(text_of(file.root, "Mean_Sun_Angle/{*}ZENITH_ANGLE"), 0, 180),
        sun_azimuth_deg=within(text_of(file.root, "Mean_Sun_Angle/{*}AZIMUTH_ANGLE"), 0, 360),
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
        raise InputError(f"{source}: not readable as XML ({reason_of(error)})") from None
    return root


def every(root: Element, name: str) -> list[Element]:
    """All elements below of that local name, whatever their namespace, in the file's order."""
    return root.findall(f".//{{*}}{name}")


def text_of(root: Element, name: str) -> str:
    """The text of the first such element; empty where there is none."""
    return root.findtext(f".//{{*}}{name}", "").strip()


def within(text: str, low: float, top: float) -> float | None:
    """A number that informs and decides nothing: None where it is missing or impossible."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if low <= number <= top else None


class _File:
    """A metadata file, whose values are checked when they are taken."""

    def __init__(self, data: bytes, source: str) -> None:
        self.root, self.source = parse_xml(data, source), source

    def wrong(self, what: str) -> InputError:
        return InputError(f"{self.source}: {what}")

    def text(self, name: str, root: Element | None = None) -> str:
        """The text of the first element of that name, which must be there."""
        text = text_of(self.root if root is None else root, name)
        if not text:
            raise self.wrong(f"no {name}; the file is incomplete")
        return text

    def number(self, name: str, root: Element | None = None) -> float:
        """The same as a number."""
        return self.as_number(self.text(name, root), name)

    def as_number(self, text: str | None, name: str) -> float:
        try:
            number = float(text or "")
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.wrong(f"{name} is {(text or '')[:20]!r}; expected a number")
        return number

    def as_integer(self, text: str | None, name: str) -> int:
        number = self.as_number(text, name)
        if number != int(number):
            raise self.wrong(f"{name} is {number:g}; expected a whole number")
        return int(number)


def _check_nodata(file: _File) -> None:
    """Raise `InputError` where the number that means "no data" is not 0.

    SATURATED is not read: L2A products of baselines 02.05 to 02.08 declare 6 there, which is a dark
    pixel; in all others it is 65535.
    """
    for special in every(file.root, "Special_Values"):
        if file.text("SPECIAL_VALUE_TEXT", special) == "NODATA":
            value = file.as_number(file.text("SPECIAL_VALUE_INDEX", special), "NODATA")
            if value != NODATA:
                raise file.wrong(f"NODATA is {value:g}; expected 0")


def _offsets(file: _File, name: str) -> dict[str, float]:
    """Offset of every band; empty where the product declares none."""
    given = {
        file.as_integer(element.get("band_id"), f"band_id of {name}"): file.as_number(element.text, name)
        for element in every(file.root, name)
    }
    if not given:
        return {}
    if wrong := [value for value in given.values() if abs(value) > 65535]:
        raise file.wrong(f"{name} is {wrong[0]:g}; expected -1000 or so")
    bands = _band_ids(file)
    if missing := [band for index, band in bands.items() if index not in given]:
        raise file.wrong(f"no {name} for {', '.join(missing)}")
    return {band: given[index] for index, band in bands.items()}


def _band_ids(file: _File) -> dict[int, str]:
    """Band name by `band_id`: as the file has it, else as all products have it."""
    bands: dict[int, str] = {}
    for element in every(file.root, "Spectral_Information"):
        text = element.get("physicalBand") or ""
        band = f"B{int(text[1:]):02d}" if re.fullmatch(r"B\d{1,2}", text, re.ASCII) else text
        if band not in BANDS or band in bands.values():
            raise file.wrong(f"physicalBand {text[:20]!r} is unknown or named twice")
        bands[file.as_integer(element.get("bandId"), "bandId")] = band
    return bands or dict(enumerate(BANDS))


def _sensing_time(file: _File) -> dt.datetime:
    text = file.text("SENSING_TIME")
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        time = dt.datetime.min
    if not 2015 <= time.year <= 2100:
        raise file.wrong(f"SENSING_TIME is {text[:40]!r}; expected a time since 2015")
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)


def _grids(file: _File) -> dict[int, Grid]:
    """The grids of a tile, all over the same ground."""
    crs = file.text("HORIZONTAL_CS_CODE")
    if not _UTM.fullmatch(crs):
        raise file.wrong(f"HORIZONTAL_CS_CODE is {crs[:40]!r}; expected EPSG:326nn/327nn")
    grids = {}
    for resolution in RESOLUTIONS_M:
        size, place = (
            file.root.find(f".//{{*}}{name}[@resolution='{resolution}']") for name in ("Size", "Geoposition")
        )
        if size is not None and place is not None:
            grids[resolution] = _grid(file, size, place, resolution, crs)
    if 10 not in grids:
        raise file.wrong("no Size and Geoposition of 10 m; the file is incomplete")
    for resolution, grid in grids.items():
        if grid.bounds != grids[10].bounds:
            raise file.wrong(
                f"the {resolution} m images span {grid.bounds}, those of 10 m {grids[10].bounds}; "
                "expected the same"
            )
    return grids


def _grid(file: _File, size: Element, place: Element, resolution: int, crs: str) -> Grid:
    rows, cols = (file.as_integer(file.text(name, size), name) for name in ("NROWS", "NCOLS"))
    most = TILE_M // resolution
    if not (1 <= rows <= most and 1 <= cols <= most):
        raise file.wrong(
            f"an image of {cols} x {rows} px of {resolution} m is declared; a tile has at most "
            f"{most} x {most}"
        )
    left, top, x_size, y_size = (file.number(name, place) for name in ("ULX", "ULY", "XDIM", "YDIM"))
    if (x_size, y_size) != (resolution, -resolution):
        raise file.wrong(f"pixels of {x_size:g} x {y_size:g} m are declared as {resolution} m")
    if not (0 <= left <= 1e6 and 0 <= top <= 1e7):
        raise file.wrong(f"the tile's corner is at ({left:g}, {top:g}), outside UTM")
    return Grid(crs, Affine(resolution, 0.0, left, 0.0, -resolution, top), (rows, cols))
