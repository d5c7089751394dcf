"""Sentinel-2 products as ESA ships them: L1C and L2A, as a .SAFE folder or inside its zip.

What decides a pixel comes from the product itself: the grid and the date from the granule's
metadata, offsets and quantification from the product's, never from a name or a date.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from swath.errors import InputError
from swath.grid import Grid, Window
from swath.progress import track
from swath.scenes.checked import writing_checked
from swath.scenes.jp2 import Pixels, decode
from swath.scenes.raster import plan_source_window, tiff_profile, warp_band
from swath.scenes.safe_files import ProductFiles, find_files
from swath.scenes.safe_xml import ProductMetadata, TileMetadata, parse_product, parse_tile
from swath.sentinel2 import (
    BANDS,
    NODATA,
    QUANTIFICATION,
    SATURATED,
    SCL_CLASSES,
    TCI_BANDS,
    ImageSettings,
)

MAX_XML = 64 * 2**20
MAX_JP2 = 512 * 2**20
"""Sizes in bytes; the raw pixels of the largest image, the TCI, are 362 MB."""

STRIP_PX = 1024
"""Rows that are resampled at a time."""

_GRANULE = re.compile(
    r"GRANULE/([^/]+)/(?:MTD_TL|S2[A-Z]_(?:OPER|USER)_MTD_L(?:1C|2A)_T[^/]*)\.xml", re.ASCII
)
_IMAGE = re.compile(
    rf"IMG_DATA/(?:R(10|20|60)m/)?[^/]*_(TCI|SCL|{'|'.join(BANDS)})(?:_(10|20|60)m)?\.jp2", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Product:
    """One tile of a Sentinel-2 product, known from its metadata.

    Attributes:
        granule: Name of the tile's folder under `GRANULE`.
        images: Image files by band (also `TCI`, `SCL`), then by pixel size in metres, finest first.
    """

    files: ProductFiles
    granule: str
    metadata: ProductMetadata
    tile: TileMetadata
    images: Mapping[str, Mapping[int, str]]

    @property
    def date(self) -> dt.date:
        """Day of acquisition, UTC."""
        return self.tile.sensing_time.date()

    @property
    def grid(self) -> Grid:
        """Where its 10 m pixels lie: all bands are brought there."""
        return self.tile.grids[10]

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands that it can give, in the order of wavelengths."""
        shown = set(TCI_BANDS) if "TCI" in self.images else set()
        return tuple(band for band in BANDS if band in self.images or band in shown)

    @property
    def cloud_cover(self) -> float | None:
        """Percent 0..100 of the tile, else of the product; None where it is not told."""
        known = self.tile.cloud_cover
        return self.metadata.cloud_cover if known is None else known


def read_product(path: Path) -> Product:
    """Read the metadata of a product.

    `path` is a `.SAFE` folder, its zip, its metadata file, or one granule of a product that holds
    several: the granule's folder, or `PRODUCT.zip/GRANULE/NAME`.

    Raises:
        InputError: No product, several tiles and none chosen, or metadata that is missing, damaged
            or impossible.
    """
    files = find_files(path)
    granule, name = _granule(files)
    metadata = parse_product(files.read(files.metadata, MAX_XML), f"{path}: {files.metadata}")
    tile = parse_tile(files.read(name, MAX_XML), f"{path}: {name}")
    images = _images(files, granule)
    if not set(images) - {"SCL"}:
        raise InputError(f"{path}: no image (.jp2) of tile {tile.mgrs_tile}; get the product again")
    return Product(files, granule, metadata, tile, images)


def read_reflectance(product: Product, band: str, window: Window | None = None) -> NDArray[np.uint16]:
    """Decode one band: (h, w) uint16 reflectance x 10000, 1..65535, 0 = no data, on the 10 m grid.

    (number + offset) / quantification x 10000, rounded and clipped. A number of 0 is no data; 65535
    (saturated) stays 65535. Bands of 20 and 60 m are resampled by cubic convolution.

    Raises:
        InputError: The band is missing, or its image is damaged or not as the metadata say.

    Source: ESA, Sentinel-2 Products Specification Document, from baseline 04.00 on; before it the
    offset is 0. Differs: reflectances below 0.0001 become 0.0001, so that 0 stays "no data".
    """
    window = window or product.grid.window
    resolution, numbers = _decode(product, band, 1)
    table = _reflectance_table(product.metadata, band)
    if resolution == 10:
        rows, cols = window.slices
        return np.asarray(table[numbers[rows, cols]])
    return _resampled(table, numbers, product.tile.grids[resolution], product.grid.crop(window))


def read_tci(product: Product, window: Window | None = None) -> NDArray[np.uint8]:
    """Decode the True Colour Image: (3, h, w) uint8 red, green, blue; 0 in all three = no data.

    Raises:
        InputError: The product has none of 10 m, or it is damaged.
    """
    rows, cols = (window or product.grid.window).slices
    resolution, image = _decode(product, "TCI", 3)
    if resolution != 10 or image.dtype != np.uint8:
        raise InputError(
            f"{product.files.path}: its TCI has {resolution} m and is {image.dtype}; expected an "
            "8-bit image of 10 m"
        )
    return np.moveaxis(image[rows, cols].astype(np.uint8, copy=False), -1, 0)


def read_scl_valid(
    product: Product, invalid: tuple[int, ...], window: Window | None = None
) -> NDArray[np.bool_]:
    """Where the scene classification of an L2A product lets 10 m pixels be used: (h, w) bool.

    What is of an `invalid` class, or of none, is not.

    Raises:
        InputError: The product has no scene classification, or it is damaged.
    """
    window = window or product.grid.window
    resolution, classes = _decode(product, "SCL", 1)
    usable = np.isin(np.arange(256), sorted(set(SCL_CLASSES) - set(invalid)))
    factor = resolution // 10
    rows = np.arange(window.row, window.row_end) // factor
    cols = np.arange(window.col, window.col_end) // factor
    valid: NDArray[np.bool_] = usable[np.minimum(classes, 255)][np.ix_(rows, cols)]
    return valid


def write_plain(
    product: Product, out: Path, image: ImageSettings, window: Window, invalid: tuple[int, ...]
) -> tuple[tuple[str, ...], str]:
    """Decode every wanted image of a product once, into a GeoTIFF that windows are read from.

    A pixel is valid (in the file's mask) where all wanted bands, or the TCI, have it and it is of
    no `invalid` class of an L2A product's scene classification. `tci` is taken from the product's
    True Colour Image where it has the wanted bands, else from reflectance. The file holds `window`,
    pixels of `product.grid`.

    Returns:
        Names of the bands in the file; its type, `uint8` (True Colour Image) or `uint16`
        (reflectance x 10000).

    Raises:
        InputError: An image is missing, damaged, or not as the metadata say.
    """
    shown = image.encoding == "tci" and set(image.bands) <= set(TCI_BANDS)
    as_tci = shown and 10 in product.images.get("TCI", {})
    bands = TCI_BANDS if as_tci else image.bands
    grid = product.grid.crop(window)
    dtype = "uint8" if as_tci else "uint16"
    planes: Iterable[Pixels] = (
        read_tci(product, window) if as_tci else (read_reflectance(product, band, window) for band in bands)
    )
    valid = np.full(grid.shape, not as_tci)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        writing_checked(out, tiff_profile(grid, len(bands), dtype)) as target,
    ):
        for index, plane in enumerate(track(planes, f"decoding {product.date}", total=len(bands))):
            seen = plane != NODATA
            valid = valid | seen if as_tci else valid & seen
            target.write(plane, band=index + 1)
        if product.metadata.level == "L2A" and invalid:
            valid &= read_scl_valid(product, invalid, window)
        target.write_mask(valid)
    return bands, dtype


def _granule(files: ProductFiles) -> tuple[str, str]:
    """Name of the granule to read, and of its metadata file."""
    names = {match[1]: name for name in sorted(files.sizes) if (match := _GRANULE.fullmatch(name))}
    if not names:
        raise InputError(f"{files.path}: no granule (GRANULE/*/MTD_TL.xml); the product is incomplete")
    chosen = next(iter(names)) if files.granule is None else files.granule
    few = ", ".join([*list(names)[:20], *(["..."] if len(names) > 20 else [])])
    if chosen not in names:
        raise InputError(f"{files.path}: the product has no such granule; it has {few}")
    if files.granule is None and len(names) > 1:
        raise InputError(
            f"{files.path}: the product has {len(names)} tiles; name one: "
            f"{files.root}/GRANULE/NAME with NAME one of {few}"
        )
    return chosen, names[chosen]


def _images(files: ProductFiles, granule: str) -> dict[str, dict[int, str]]:
    """Image files of a granule, by band, then by pixel size, finest first."""
    images: dict[str, dict[int, str]] = {}
    head = f"GRANULE/{granule}/"
    for name in sorted(files.sizes):
        if name.startswith(head) and (match := _IMAGE.fullmatch(name.removeprefix(head))):
            native = BANDS[match[2]].resolution_m if match[2] in BANDS else 10
            images.setdefault(match[2], {})[int(match[3] or match[1] or native)] = name
    return {band: dict(sorted(by_size.items())) for band, by_size in images.items()}


def _decode(product: Product, image: str, components: int) -> tuple[int, Pixels]:
    """The finest image of a band, with its pixel size in metres."""
    path = product.files.path
    if image not in product.images:
        have = ", ".join(product.images)
        why = "; set `scl_invalid: []` to do without" if image == "SCL" else ""
        raise InputError(f"{path}: the product has no image {image}, only {have}{why}")
    resolution, name = next(iter(product.images[image].items()))
    if resolution not in product.tile.grids:
        raise InputError(f"{path}: the metadata have no grid of {resolution} m for {name}")
    data = product.files.read(name, MAX_JP2)
    return resolution, decode(data, product.tile.grids[resolution], components, f"{path}: {name}")


def _reflectance_table(metadata: ProductMetadata, band: str) -> NDArray[np.uint16]:
    """(65536,) uint16: reflectance x 10000 by digital number; 0 = no data."""
    numbers = np.arange(65536, dtype=np.float64)
    scaled = (numbers + metadata.offsets[band]) * (QUANTIFICATION / metadata.quantification)
    table = np.clip(np.rint(scaled), 1, 65535).astype(np.uint16)
    table[NODATA], table[SATURATED] = 0, 65535
    return table


def _resampled(table: NDArray[np.uint16], numbers: Pixels, source: Grid, target: Grid) -> NDArray[np.uint16]:
    """Reflectance x 10000 of a coarser image on a grid of 10 m, in strips to spare memory."""
    out = np.zeros(target.shape, np.uint16)
    for rows_of in target.window.strips(STRIP_PX):
        strip = target.crop(rows_of)
        window = plan_source_window(source, strip)
        rows, cols = window.slices
        values = table[numbers[rows, cols]].astype(np.float32)
        values[values == NODATA] = np.nan
        warped = warp_band(values, source.crop(window), strip)
        known = ~np.isnan(warped)
        part = out[rows_of.slices]
        part[known] = np.clip(np.rint(warped[known]), 1, 65535).astype(np.uint16)
    return out
