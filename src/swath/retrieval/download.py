"""The site's part of one item, read from a server: in windows, or cut from whole files."""

import hashlib
import math
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from swath.errors import GridError, RemoteError, reason_of
from swath.grid import Bounds, Grid
from swath.retrieval.offset import Offset, apply_offset, check_offset
from swath.retrieval.remote import RemoteFile, Server, shown
from swath.retrieval.stacitem import StacAsset, StacItem
from swath.retrieval.wholefile import download
from swath.scenes.raster import driver_of, plan_source_window, rasterio_window
from swath.sentinel2 import BANDS, NODATA, SCL_INVALID, TCI_BANDS, valid_mask
from swath.sites.schema import FetchSettings

FINEST_M = 10.0
"""Pixel size of the finest bands."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made of an item.

    Attributes:
        item: The item.
        wanted: Which of its files are read and how; `source` is `visual` or `bands`.
        bands: Names of the bands of the result.
        grid: The site's grid; the result covers it on the item's own pixels.
    """

    item: StacItem
    wanted: FetchSettings
    bands: tuple[str, ...]
    grid: Grid

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the files that are read, the finest first: its pixels are the result's."""
        bands = sorted(self.bands, key=lambda band: BANDS[band].resolution_m)
        masked = self.wanted.mask == "scl" and "SCL" in self.item.assets
        image = ["visual"] if self.wanted.source == "visual" else bands
        return (*image, *(["SCL"] if masked else []))


@dataclass(frozen=True, slots=True)
class ItemImage:
    """The site's part of an item, on the item's own pixels.

    Attributes:
        image: (C, h, w) uint8 (`visual`) or uint16 reflectance x 10000; 0 = no data, or masked.
        seen: (h, w) bool, True where the item has data, masked or not.
        grid: Where the pixels lie.
        offset: How stored numbers became reflectance; for `visual` 0.
    """

    image: NDArray[np.generic]
    seen: NDArray[np.bool_]
    grid: Grid
    offset: Offset


def read_classes(
    server: Server, order: Order, place: Grid, cache: Path
) -> tuple[NDArray[np.generic], Grid] | None:
    """The scene classification of an item (h, w) around a place, in pixels about as large as the place's.

    None where the item does not meet the place. A file that has to be downloaded whole goes to the
    folder `cache`.

    Raises:
        RemoteError: The file cannot be had, or is not what it should be.
    """
    with _open(server, order, "SCL", cache) as source:
        grid = _grid(source, order.item)
        window = plan_source_window(grid, place)
        if not window.size:
            return None
        coarser = max(1, math.floor(place.resolution[0] / grid.resolution[0]))
        shape = (math.ceil(window.height / coarser), math.ceil(window.width / coarser))
        classes: NDArray[np.generic] = source.read(
            1, window=rasterio_window(window), out_shape=shape, resampling=Resampling.nearest
        )
        part = grid.crop(window)
        scale = Affine.scale(window.width / shape[1], window.height / shape[0])
    return classes, Grid(part.crs, part.transform @ scale, shape)


def read_item(server: Server, order: Order, cache: Path) -> ItemImage | None:
    """The site's part of an item; None where its image does not meet the site, though its footprint does.

    The pixels stay where the item has them (its UTM zone, 10 m). Coarser bands are brought to the
    finest by cubic convolution. Files that are downloaded whole go to the folder `cache`.

    Raises:
        RemoteError: A file cannot be had, or is not what it should be.
    """
    read = _read(server, order, cache)
    if read is None:
        return None
    layers, grid = read
    image = np.stack([layers[band] for band in order.bands])
    if order.wanted.source == "visual":
        offset = Offset(0, "the True Colour Image needs none")
    else:
        offset = _offset(order, image)
        if offset.dn is None:
            raise RemoteError(f"{order.item.id}: {offset.why}; give `offset_dn`")
        scales = [order.item.assets[band].scale for band in order.bands]
        stored = zip(image, scales, strict=True)
        image = np.stack([apply_offset(layer, scale, offset.dn) for layer, scale in stored])
    seen = valid_mask(image)
    if "SCL" in layers:
        image[:, np.isin(layers["SCL"], SCL_INVALID)] = NODATA
    return ItemImage(image, seen, grid, offset)


def drop_files(order: Order, cache: Path) -> None:
    """Remove an item's files that were downloaded whole and are used up."""
    for name in order.assets:
        _cached(order.item.assets[name], cache).unlink(missing_ok=True)


def _offset(order: Order, stored: NDArray[np.generic]) -> Offset:
    if order.wanted.offset_dn is not None:
        return Offset(order.wanted.offset_dn, "given in the sites file")
    return check_offset(order.item.offset(order.bands), stored)


def _read(server: Server, order: Order, cache: Path) -> tuple[dict[str, NDArray[np.generic]], Grid] | None:
    """(h, w) as stored, by band and `SCL`, and where these pixels lie; None where they miss the site."""
    layers: dict[str, NDArray[np.generic]] = {}
    where: Grid | None = None
    for name in order.assets:
        asset = order.item.assets[name]
        with _open(server, order, name, cache) as source:
            grid = _grid(source, order.item)
            if where is None:
                window = plan_source_window(grid, order.grid)
                if not window.size:
                    return None
                where = grid.crop(window)
            if grid.crs != where.crs:
                raise RemoteError(f"{shown(asset.href)}: in {grid.crs}, other bands in {where.crs}")
            _check_kind(source, name, asset)
            resampling = Resampling.nearest if name == "SCL" else Resampling.cubic
            for number, band in enumerate(TCI_BANDS if name == "visual" else (name,), start=1):
                layers[band] = _read_as(source, grid, where, number, resampling)
    assert where is not None, "an order has files"
    return layers, where


def _read_as(
    source: DatasetReader, grid: Grid, where: Grid, number: int, resampling: Resampling
) -> NDArray[np.generic]:
    """Band `number` on the pixels of `where`, whose CRS is the file's."""
    row, col, end_row, end_col = _place(grid, where.bounds)
    window = RasterioWindow(col, row, end_col - col, end_row - row)
    # A band of the same pixels is copied, not resampled.
    how = Resampling.nearest if grid.resolution == where.resolution else resampling
    values: NDArray[np.generic] = source.read(number, window=window, out_shape=where.shape, resampling=how)
    return values


def _open(server: Server, order: Order, name: str, cache: Path) -> AbstractContextManager[DatasetReader]:
    """A file of an item, opened where it is or after a download."""
    asset, access = order.item.assets[name], order.wanted.access
    if access == "download" or (access == "auto" and not asset.is_tiff):
        return _open_whole(server, asset, cache)
    if not asset.is_tiff:
        raise RemoteError(
            f"{shown(asset.href)}: only GeoTIFFs can be read in windows; use `access: download`"
        )
    return _open_windows(server, asset)


@contextmanager
def _open_whole(server: Server, asset: StacAsset, cache: Path) -> Iterator[DatasetReader]:
    path = _cached(asset, cache)
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        download(server, asset.href, path, asset.size, asset.checksum)
    try:
        with rasterio.Env(), rasterio.open(path.absolute(), driver=driver_of(path)) as source:
            yield source
    except RasterioError as error:
        path.unlink(missing_ok=True)
        raise RemoteError(f"{shown(asset.href)}: no image ({reason_of(error)[:200]})") from None


@contextmanager
def _open_windows(server: Server, asset: StacAsset) -> Iterator[DatasetReader]:
    remote = RemoteFile(server, asset.href)
    # GDAL looks for files of its own beside the image, and keeps what it has read by name.
    name = f"{uuid.uuid4().hex}.tif"

    def opener(path: str, mode: str = "rb") -> RemoteFile:
        if path != name:
            raise FileNotFoundError(path)
        remote.seek(0)
        return remote

    try:
        with (
            rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"),
            rasterio.open(name, driver="GTiff", opener=opener) as source,
        ):
            yield source
            if remote.error is not None:
                raise remote.error
    except (RasterioError, OSError) as error:
        # What went wrong on the way says more than what GDAL made of it.
        if remote.error is not None:
            raise remote.error from None
        size = ""
        if asset.size is not None and asset.size != remote.size:
            size = f"; it has {remote.size} bytes, the catalogue says {asset.size}"
        raise RemoteError(
            f"{shown(asset.href)}: not readable as a GeoTIFF ({reason_of(error)}{size})"
        ) from None


def _cached(asset: StacAsset, cache: Path) -> Path:
    """Where a file is kept while it is needed; storage tokens in addresses make no difference."""
    address = shown(asset.href)
    suffix = PurePosixPath(urlsplit(address).path).suffix or ".jp2"
    known = f"{address} {asset.size} {asset.checksum}"
    return cache / f"{hashlib.sha256(known.encode()).hexdigest()[:24]}{suffix[:5]}"


def _grid(source: DatasetReader, item: StacItem) -> Grid:
    if source.crs is None:
        raise RemoteError(f"{item.id}: a file has no coordinate system")
    try:
        grid = Grid(source.crs.to_wkt(), source.transform, source.shape)
    except GridError as error:
        raise RemoteError(f"{item.id}: {error}") from None
    # Finer ones than Sentinel-2 has would ask for any amount of memory.
    if min(grid.resolution) < FINEST_M:
        raise RemoteError(f"{item.id}: its pixels are {min(grid.resolution):g} wide; expected 10 m or more")
    return grid


def _place(grid: Grid, bounds: Bounds) -> tuple[float, float, float, float]:
    """First row and column, last row and column of a box in the grid's CRS, in pixels."""
    left, bottom, right, top = bounds
    x_size, y_size = grid.resolution
    grid_left, _, _, grid_top = grid.bounds
    return (
        (grid_top - top) / y_size,
        (left - grid_left) / x_size,
        (grid_top - bottom) / y_size,
        (right - grid_left) / x_size,
    )


def _check_kind(source: DatasetReader, name: str, asset: StacAsset) -> None:
    bands = len(TCI_BANDS) if name == "visual" else 1
    dtype = "uint8" if name in ("visual", "SCL") else "uint16"
    if source.dtypes[0] != dtype or source.count < bands:
        raise RemoteError(
            f"{shown(asset.href)}: {source.count} bands of {source.dtypes[0]}; expected {bands} of "
            f"{dtype} as {name}"
        )
