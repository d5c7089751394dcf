"""One acquisition from a server to a GeoTIFF: the site's window, or cut from whole files."""

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
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from swath.errors import GridError, RemoteError, reason_of
from swath.grid import Bounds, Grid, Window, transform_bounds
from swath.retrieval.offset import Offset, apply_offset, check_offset
from swath.retrieval.remote import RemoteFile, Server, shown
from swath.retrieval.stacitem import StacAsset, StacItem
from swath.retrieval.wholefile import download
from swath.scenes.raster import driver_of, plan_source_window, rasterio_window, write_raster
from swath.sentinel2 import BANDS, NODATA, SCL_INVALID, TCI_BANDS
from swath.sites.schema import FetchSettings

SNOW = 11
"""Snow or ice in the scene classification: valid, but no road is seen under it."""

FINEST_M = 10.0
"""Pixel size of the finest bands."""

OVERVIEW_PX = 512
"""Clouds over a site are counted on at most so many pixels a side."""


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


def measure_clear(server: Server, order: Order, cache: Path) -> float:
    """Share 0..1 of a site that is clear, by an item's scene classification.

    Clear is what is neither cloud, cirrus, shadow, snow, defective nor no data. A file that has to
    be downloaded whole goes to the folder `cache`.

    Raises:
        RemoteError: The file cannot be had, or is not what it should be.
    """
    with _open(server, order, "SCL", cache) as source:
        grid = _grid(source, order.item)
        # The site alone, without the margin that resampling its images needs.
        window = _site_window(grid, order.grid).intersect(_window(grid, order))
        coarser = max(1, math.ceil(max(window.height, window.width) / OVERVIEW_PX))
        shape = (math.ceil(window.height / coarser), math.ceil(window.width / coarser))
        classes = source.read(
            1, window=rasterio_window(window), out_shape=shape, resampling=Resampling.nearest
        )
    return float(1 - np.isin(classes, (*SCL_INVALID, SNOW)).mean())


def fetch_image(server: Server, order: Order, path: Path, cache: Path) -> Offset:
    """Bring the site's part of an item to a GeoTIFF, whole or not at all.

    The pixels stay where the item has them (its UTM zone, 10 m): they are resampled once, when a
    dataset is built. Coarser bands are brought to the finest by cubic convolution.

    Args:
        server: Where requests go through.
        order: What is to be made.
        path: uint8 (`visual`) or uint16 reflectance x 10000 (`bands`), 0 = no data.
        cache: Folder for files that are downloaded whole; what is used up is removed.

    Returns:
        How stored numbers became reflectance; for `visual` an offset of 0.

    Raises:
        RemoteError: A file cannot be had, or is not what it should be.
    """
    layers, grid = _read(server, order, cache)
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
    if "SCL" in layers:
        image[:, np.isin(layers["SCL"], SCL_INVALID)] = NODATA
    if not (image != NODATA).any():
        raise RemoteError(f"{order.item.id}: no clear pixel with data lies inside the site")
    write_raster(path, image, grid, nodata=NODATA, names=order.bands, tags=_tags(order))
    for name in order.assets:
        _cached(order.item.assets[name], cache).unlink(missing_ok=True)
    return offset


def _tags(order: Order) -> dict[str, str]:
    """What the image says of itself; `swath.scenes.scene` reads it back."""
    item = order.item
    known = {
        "CLOUD_COVER": item.cloud,
        "SUN_AZIMUTH_DEG": item.sun_azimuth_deg,
        "SUN_ELEVATION_DEG": item.sun_elevation_deg,
    }
    tags = {key: f"{value:.6g}" for key, value in known.items() if value is not None}
    if "SCL" in order.assets:
        tags["SCL_INVALID"] = " ".join(map(str, SCL_INVALID))
    return tags | {"ACQUISITION_DATE": str(item.date), "STAC_ITEM": item.id}


def _offset(order: Order, stored: NDArray[np.generic]) -> Offset:
    if order.wanted.offset_dn is not None:
        return Offset(order.wanted.offset_dn, "given in the sites file")
    return check_offset(order.item.offset(order.bands), stored)


def _read(server: Server, order: Order, cache: Path) -> tuple[dict[str, NDArray[np.generic]], Grid]:
    """(h, w) as stored, by band and `SCL`, and where these pixels lie."""
    layers: dict[str, NDArray[np.generic]] = {}
    where: Grid | None = None
    for name in order.assets:
        asset = order.item.assets[name]
        with _open(server, order, name, cache) as source:
            grid = _grid(source, order.item)
            if where is None:
                where = grid.crop(_window(grid, order))
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


def _window(grid: Grid, order: Order) -> Window:
    window = plan_source_window(grid, order.grid)
    if not window.size:
        raise RemoteError(f"{order.item.id}: the image does not meet the site, its footprint does")
    return window


def _site_window(grid: Grid, site: Grid) -> Window:
    """The pixels of `grid` whose centres lie in the box around `site`; at least one."""
    place = _place(grid, transform_bounds(site.bounds, site.crs, grid.crs))
    row, col, end_row, end_col = map(round, place)
    return Window(row, col, max(1, end_row - row), max(1, end_col - col))


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
