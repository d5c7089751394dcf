"""A Scene: one acquisition as a GeoTIFF or a Sentinel-2 product, known from its header."""

import datetime as dt
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, JsonValue
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from swath.errors import InputError, Remedy, listed
from swath.grid import Grid
from swath.scenes.clouds import CLOUD_MODEL, CloudModel
from swath.scenes.raster import grid_of, open_raster
from swath.scenes.safe import Product, read_product
from swath.scenes.safe_files import is_product
from swath.scenes.safe_xml import within
from swath.sentinel2 import BANDS, SCL_INVALID, TCI_BANDS, Level
from swath.validation import Frozen

ShiftMetres = Annotated[float, Field(ge=-500, le=500)]


class SceneSettings(Frozen):
    """One acquisition of a site.

    Attributes:
        path: GeoTIFF or Sentinel-2 product (`.SAFE` folder or its zip), relative to the sites file.
            A glob such as `rennes/*.tif` stands for one acquisition a file; files that are called
            the same but for a band (`..._B02_10m.tif`) are one.
        date: Day of acquisition; None if the file's name holds it as YYYY-MM-DD or YYYYMMDD.
        bands: Band names in the file's order; None if its band descriptions say so.
        exclude: Dates to leave out where `path` is a glob (clouded ones, say).
        mask: GeoTIFF, relative to the sites file, whose pixels other than 0 are not to be used
            (clouds, say); `{date}` in it stands for the acquisition's YYYY-MM-DD. Or `ukis-csmask`:
            the clouds and shadows that this model finds.
        level: Processing level of an image file, for the cloud model; a product says its own.
        scl_invalid: Classes of an L2A product's scene classification (SCL, 0..11) whose pixels are
            no data; None: 0, 1, 3, 8, 9, 10; an empty list: use all pixels.
        shift_m: (east, north) by which the image is moved, so that the dates of a site lie on one
            another: early Sentinel-2 images may be 10 m off. A `mask` stays where it is.
    """

    path: str
    date: dt.date | None = None
    bands: tuple[str, ...] | None = None
    exclude: tuple[dt.date, ...] = ()
    mask: str | None = None
    level: Level | None = None
    scl_invalid: tuple[Annotated[int, Field(ge=0, le=11)], ...] | None = None
    shift_m: tuple[ShiftMetres, ShiftMetres] = (0.0, 0.0)


DTYPES = ("uint8", "uint16", "int16", "float32")
"""uint8 is a True Colour Image; the others are reflectance x 10000."""

_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)(-?)(\d{2})\2(\d{2})(?!\d)")
_OLD_PRODUCT = re.compile(r"S2[A-Z]_(?:OPER|USER)_", re.IGNORECASE)
_SENSED = re.compile(r"(?<![A-Za-z0-9])V(?=20\d{6})")
_ACQUIRED_FIRST = re.compile(r"(?<!\d)\d{8}T\d{6}(?!\d)")
"""Names of products, of Earth Engine's exports of them and of their kin have times."""

FIRST_DAY = dt.date(2015, 6, 23)
"""On this day the first Sentinel-2 was launched."""

_COLORS = {ColorInterp.red: "B04", ColorInterp.green: "B03", ColorInterp.blue: "B02"}
_COMMON = {band.common_name: band.name for band in BANDS.values() if band.common_name}


BAND_IN_NAME = re.compile(
    rf"(?<![A-Za-z0-9])(B(?:0?[1-9]|1[0-2]|0?8A)|{'|'.join(_COMMON)})(?![A-Za-z0-9])", re.IGNORECASE
)
"""The band in the name of a file that holds just one: `T30UWU_20150821T105621_B02_10m.tif`."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the sky was over the whole image or tile; None where its source does not say.

    Clouds in percent 0..100; the sun's azimuth 0..360, clockwise from north, and its elevation
    above the horizon, -90..90.
    """

    cloud_cover: float | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None


UNKNOWN = Conditions()


@dataclass(frozen=True, slots=True)
class Scene:
    """One acquisition in a file of its own: a GeoTIFF or a product, in any CRS and pixel size.

    Attributes:
        bands: Names by band of the file: `B04`, ...; what has no known name keeps its description.
        dtype: One of `DTYPES`.
        grid: Where its pixels lie, moved by `shift_m` (east, north) from what the file says.
        product: What its metadata say, if it is a Sentinel-2 product.
        scl_invalid: Classes of the scene classification whose pixels are not used.
        mask: Raster whose pixels other than 0 are not used.
        clouds: The model whose clouds and shadows are not used.
        unit_known: Whether it is known that its numbers are reflectance x 10000.
        parts: The files, by band, of an acquisition that lies in one file a band; `path` is one of
            them.
    """

    path: Path
    date: dt.date
    bands: tuple[str, ...]
    dtype: str
    grid: Grid
    product: Product | None = None
    scl_invalid: tuple[int, ...] = ()
    mask: Path | None = None
    shift_m: tuple[float, float] = (0.0, 0.0)
    clouds: CloudModel | None = None
    conditions: Conditions = UNKNOWN
    unit_known: bool = False
    parts: tuple["Scene", ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that hold its pixels."""
        return tuple(part.path for part in self.parts) or (self.path,)

    @property
    def masks(self) -> dict[str, JsonValue]:
        """What leaves pixels of the image out, as plain JSON values; empty if nothing does."""
        masks: dict[str, JsonValue] = {}
        if self.scl_invalid:
            masks["scl"] = list(self.scl_invalid)
        if self.mask is not None:
            masks["file"] = self.mask.name
        if self.clouds is not None:
            bands: list[JsonValue] = [*self.clouds.bands]
            masks["model"] = {"name": CLOUD_MODEL, **asdict(self.clouds), "bands": bands}
        return masks

    def moved(self, shift_m: tuple[float, float]) -> "Scene":
        """The scene with its image moved (east, north) by `shift_m`; its mask stays."""
        east, north = self.shift_m[0] + shift_m[0], self.shift_m[1] + shift_m[1]
        parts = tuple(part.moved(shift_m) for part in self.parts)
        return replace(self, grid=self.grid.moved(*shift_m), shift_m=(east, north), parts=parts)

    def band_indexes(self, wanted: tuple[str, ...], optional: tuple[str, ...] = ()) -> tuple[int, ...]:
        """Numbers, from 1, of the wanted bands in the file; 0 for an optional one that it lacks.

        Raises:
            InputError: A wanted band is not in the file, and not optional.
        """
        if missing := [band for band in wanted if band not in (*self.bands, *optional)]:
            what, advice = "file" if self.product is None else "product", ""
            remedy = Remedy.BANDS if self.product is None else None
            if self.dtype == "uint8" and not set(missing) <= set(_COLORS.values()):
                advice = "; an 8-bit True Colour Image is not enough here: give reflectance x 10000"
                remedy = None
            raise InputError(
                f"{self.path}: no band {', '.join(missing)}; the {what} has "
                f"{listed(band or '(no name)' for band in self.bands)}, wanted are "
                f"{', '.join(wanted)}{advice}",
                remedy,
            )
        return tuple(self.bands.index(band) + 1 if band in self.bands else 0 for band in wanted)


def read_scene(
    path: Path,
    date: dt.date | None = None,
    bands: tuple[str, ...] | None = None,
    scl_invalid: tuple[int, ...] | None = None,
) -> Scene:
    """Read the header of a GeoTIFF, or the metadata of a Sentinel-2 product (folder or zip).

    What is None is taken from it: the date from its name or the product, the names of the file's
    bands from descriptions or colours; and `SCL_INVALID` are the classes of a product's scene
    classification that are not used.

    Raises:
        InputError: The file is damaged, has no date, no georeference, a type that is no image, or
            not as many bands as were named.
    """
    if is_product(path):
        return _read_product(path, date, bands, scl_invalid)
    if scl_invalid is not None:
        raise InputError(f"{path}: `scl_invalid:` is for Level-2A products; this is an image file")
    with open_raster(path) as source:
        grid = grid_of(source, path, "image")
        if source.dtypes[0] not in DTYPES:
            raise InputError(
                f"{path}: the image is {source.dtypes[0]}; expected a uint8 True Colour Image, or "
                "reflectance x 10000 as uint16, int16 or float32"
            )
        tags = source.tags()
        return Scene(
            path,
            date or date_in_name(path),
            _band_names(source, path, bands),
            source.dtypes[0],
            grid,
            scl_invalid=_classes(tags.get("SCL_INVALID", "")),
            conditions=Conditions(
                within(tags.get("CLOUD_COVER", ""), 0, 100),
                within(tags.get("SUN_AZIMUTH_DEG", ""), 0, 360),
                within(tags.get("SUN_ELEVATION_DEG", ""), -90, 90),
            ),
            unit_known="STAC_ITEM" in tags,  # `swath fetch` wrote it
        )


def _read_product(
    path: Path,
    date: dt.date | None,
    bands: tuple[str, ...] | None,
    scl_invalid: tuple[int, ...] | None,
) -> Scene:
    product = read_product(path)
    level = product.metadata.level
    if bands is not None:
        raise InputError(f"{path}: `bands:` is for image files; a product names its own bands")
    if scl_invalid is None:
        scl_invalid = SCL_INVALID if level == "L2A" else ()
    elif level != "L2A":
        raise InputError(f"{path}: `scl_invalid:` is for Level-2A products; this one is {level}")
    zenith = product.tile.sun_zenith_deg
    elevation = None if zenith is None else 90 - zenith
    return Scene(
        path,
        date or product.date,
        product.bands,
        "uint16",
        product.grid,
        product,
        scl_invalid,
        conditions=Conditions(product.cloud_cover, product.tile.sun_azimuth_deg, elevation),
    )


def _classes(text: str) -> tuple[int, ...]:
    """The classes that a file's tag names; none where it is not such a tag."""
    words = text.split()
    return tuple(map(int, words)) if all(re.fullmatch("1?[0-9]", word) for word in words) else ()


def date_in_name(path: Path) -> dt.date:
    """The day of acquisition in a file's name, YYYY-MM-DD or YYYYMMDD.

    It is no earlier than Sentinel-2. Names of Sentinel-2 products put the acquisition before the
    processing, but those before December 2016 the processing first and the acquisition after a `V`;
    granules of that time say the processing only. Of other names that hold two days none is guessed.

    Raises:
        InputError: There is none, or two that may be it.
    """
    text = path.name
    if _OLD_PRODUCT.match(text):
        text = "".join(_SENSED.split(text)[1:2])
    days = [day for match in _DATE.findall(text) if (day := _as_day(*match)) and day >= FIRST_DAY]
    if not days:
        raise InputError(
            f"{path}: no date of acquisition (YYYY-MM-DD or YYYYMMDD, from {FIRST_DAY} on) in the file's "
            "name; rename it, or give `date:` in a sites file"
        )
    if len(set(days)) > 1 and not _ACQUIRED_FIRST.search(text):
        raise InputError(
            f"{path}: the file's name holds {days[0]} and {next(d for d in days if d != days[0])}; rename it "
            "to hold the day of acquisition only, or give `date:` in a sites file"
        )
    return days[0]


def _as_day(year: str, _: str, month: str, day: str) -> dt.date | None:
    try:
        return dt.date(int(year), int(month), int(day))
    except ValueError:
        return None


def band_name(text: str) -> str:
    """The Sentinel-2 name of a band given as `B4`, `b04`, `B04`, `red`; else the text itself."""
    tidy = text.strip()
    if match := re.fullmatch(r"B0?(\d{1,2})(A?)", tidy.upper()):
        name = f"B{match[1]}{match[2]}" if match[2] else f"B{int(match[1]):02d}"
        return name if name in BANDS else tidy
    return _COMMON.get(tidy.lower(), tidy)


def _band_names(source: DatasetReader, path: Path, bands: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names from the setting, else the descriptions, else the colours; of one band, the file's name.

    Three 8-bit bands of which nothing is said are those of a True Colour Image.
    """
    if bands is not None and len(bands) != source.count:
        raise InputError(f"{path}: `bands:` names {len(bands)} bands, but the file has {source.count}")
    names = tuple(
        band_name(text) if text else _COLORS.get(color, "")
        for text, color in zip(bands or source.descriptions, source.colorinterp, strict=True)
    )
    if source.count == len(TCI_BANDS) and source.dtypes[0] == "uint8" and not any(names):
        names = TCI_BANDS
    if len(names) == 1 and names[0] not in BANDS:
        found = {band_name(text) for text in BAND_IN_NAME.findall(path.stem)}
        names = tuple(found) if len(found) == 1 else names
    known = [name for name in names if name in BANDS]
    if len(set(known)) != len(known):
        raise InputError(f"{path}: a band is named twice: {listed(names)}")
    return names
