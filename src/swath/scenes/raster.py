"""GeoTIFFs: reading windows, warping to a grid without letting no-data bleed, writing."""

import math
import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.warp import reproject
from rasterio.windows import Window as RasterioWindow

from swath.errors import GridError, InputError, reason_of
from swath.files import check_file, replacing
from swath.grid import LONLAT, Grid, Window, transform_bounds, turned
from swath.scenes.checked import writing_checked
from swath.sentinel2 import TCI_BANDS

BLOCK_PX = 256
"""Side of the blocks that rasters are stored in: a patch touches few of them."""

MOST_OPEN = 128
"""Files that `OpenRasters` keeps open: far below what a process may."""

FINEST_M = 0.01
"""No image has smaller pixels; a number of degrees that is taken for metres is smaller."""

LEAST_PIXEL, MOST_PIXEL = 1e-7, 10_000.0
"""Sizes of a scene's pixels, in units of its CRS: a centimetre in degrees, ten kilometres in metres."""

SAME_PX = 1e-6
"""Grids that lie so near to each other are the same."""

Pixels = NDArray[Any]
"""Numbers in a file's own type."""

JP2_STARTS = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
"""How a JPEG 2000 file begins: with its box, or without."""

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@contextmanager
def open_raster(path: Path) -> Iterator[DatasetReader]:
    """Open a raster file for reading.

    Raises:
        InputError: The file is missing, is no raster, or breaks off while it is read.
    """
    with _as_input_error(path), _open(path) as source:
        yield source


def grid_of(source: DatasetReader, path: Path, what: str) -> Grid:
    """Where the pixels of an open file lie; `path` and `what` it is are for errors.

    Longitudes of 0..360 become those of -180..180.

    Raises:
        InputError: It has no coordinate system or none on the Earth, is not north-up, or its numbers
            cannot be of that system.
    """
    if source.crs is None:
        raise InputError(f"{path}: the {what} has no coordinate system; georeference it first")
    try:
        grid = Grid(source.crs.to_wkt(), source.transform, source.shape)
        west, south, east, north = transform_bounds(grid.bounds, grid.crs, LONLAT)
    except GridError as error:
        raise InputError(f"{path}: {error}") from None
    system = CRS.from_user_input(grid.crs)
    if not (system.is_geographic or system.is_projected):
        raise InputError(
            f"{path}: the coordinate system of the {what}, {system.name}, is none of maps; expected "
            "degrees or a projection; georeference it anew"
        )
    slack = grid.resolution[1]
    if system.is_geographic and not (south >= -90 - slack and north <= 90 + slack and east - west <= 361):
        raise InputError(
            f"{path}: the {what} spans {west:g}..{east:g} E, {south:g}..{north:g} N; these are no degrees, "
            "which its coordinate system has; georeference it anew"
        )
    if system.is_projected and min(grid.resolution) * system.axis_info[0].unit_conversion_factor < FINEST_M:
        raise InputError(
            f"{path}: the pixels of the {what} are {min(grid.resolution):g} {system.axis_info[0].unit_name} "
            f"wide in {system.name}; these are degrees, it seems; georeference it anew"
        )
    if not (min(grid.resolution) >= LEAST_PIXEL and max(grid.resolution) <= MOST_PIXEL):
        x_size, y_size = grid.resolution
        raise InputError(
            f"{path}: the {what}'s pixels are {x_size:g} x {y_size:g} in the units of its coordinate system; "
            f"expected {LEAST_PIXEL:g} to {MOST_PIXEL:g}"
        )
    t = grid.transform
    turn = 360 if system.is_geographic and grid.bounds[0] >= 180 else 0
    return Grid(grid.crs, Affine(t.a, 0.0, t.c - turn, 0.0, t.e, t.f), grid.shape)


def read_raster(path: Path, window: Window | None = None, *, fill: int = 0) -> Pixels:
    """Read all bands (C, h, w) of a raster, or of a window: `fill` where that reaches outside.

    Raises:
        InputError: The file cannot be read.
    """
    with open_raster(path) as source:
        return _read(source, window, fill)


class OpenRasters:
    """Rasters that stay open from one read to the next, for readers of many small windows.

    GDAL keeps what it has decoded (5 % of the memory), so a window costs a copy. Every process
    opens its own: an open file must not be shared over a fork.
    """

    def __init__(self) -> None:
        self._sources: OrderedDict[Path, DatasetReader] = OrderedDict()
        self._process = os.getpid()

    def __reduce__(self) -> tuple[type["OpenRasters"], tuple[()]]:
        return (OpenRasters, ())

    def read(self, path: Path, window: Window, *, fill: int = 0) -> Pixels:
        """The same as `read_raster`."""
        if self._process != os.getpid():
            self._sources, self._process = OrderedDict(), os.getpid()
        with _as_input_error(path):
            source = self._sources.pop(path, None) or _open(path)
            self._sources[path] = source
            if len(self._sources) > MOST_OPEN:
                self._sources.popitem(last=False)[1].close()
            return _read(source, window, fill)


def _open(path: Path) -> DatasetReader:
    with warnings.catch_warnings():
        # Whoever needs a georeference says more than rasterio's warning; see `grid_of`.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        # Absolute: what GDAL takes for the name of something else, `WMS:...` say, is a file all the same.
        source = rasterio.open(path.absolute(), driver=driver_of(path))
    for domain in ("OVERVIEWS", "ProxyOverviewRequest"):
        if source.tags(ns=domain):
            source.close()
            raise InputError(f"{path}: its metadata name another file for its pixels; make it one file")
    return source


def driver_of(path: Path) -> str:
    """GDAL's driver for a file: of the other formats some name further files, or servers, as a VRT does."""
    try:
        with path.open("rb") as stream:
            return "JP2OpenJPEG" if stream.read(8).startswith(JP2_STARTS) else "GTiff"
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def _check_beside(path: Path) -> None:
    """Check what GDAL reads beside an image by itself: overviews and masks are images as well.

    Raises:
        InputError: One is of another format, which may name further files.
    """
    for suffix in (".ovr", ".msk", ".ovr.msk", ".msk.ovr", ".aux.xml"):
        beside = path.with_name(path.name + suffix)
        if os.access(beside, os.F_OK):  # not of a name that is too long
            check_file(beside)
            with beside.open("rb") as stream:
                start = stream.read(4)
            if not suffix.endswith(".xml") and start not in _TIFF_STARTS:
                raise InputError(f"{beside}: GDAL takes it for a part of {path.name}, but it is no TIFF")


def _read(source: DatasetReader, window: Window | None, fill: int) -> Pixels:
    if window is None:
        whole: Pixels = source.read()
        return whole
    inside = window.intersect(Window(0, 0, source.height, source.width))
    out = np.full((source.count, window.height, window.width), fill, source.dtypes[0])
    if inside.size:
        rows, cols = inside.relative_to(window).slices
        out[:, rows, cols] = source.read(window=rasterio_window(inside))
    return out


@contextmanager
def _as_input_error(path: Path) -> Iterator[None]:
    """Has an error of reading say which file it was."""
    check_file(path)
    _check_beside(path)
    try:
        # Env: what GDAL wants to say about a file goes to Python's log, not to stderr.
        with rasterio.Env():
            yield
    except RasterioError as error:
        # Where rasterio only says that GDAL said something, that is the cause.
        why = reason_of(error.__cause__ or error)
        raise InputError(f"{path}: not readable as a raster ({why}); get or write it anew") from None


def rasterio_window(window: Window) -> RasterioWindow:
    """The same window as rasterio names it."""
    return RasterioWindow(window.col, window.row, window.width, window.height)


def plan_source_window(source: Grid, target: Grid) -> Window:
    """The pixels of `source` that `target` can be computed from; size 0 if they are apart."""
    box = transform_bounds(target.bounds, target.crs, source.crs)
    if CRS.from_user_input(source.crs).is_geographic:
        box = turned(box, source.bounds[0])
    left, bottom, right, top = box
    x_size, y_size = source.resolution
    source_left, _, _, source_top = source.bounds
    row, col = math.floor((source_top - top) / y_size), math.floor((left - source_left) / x_size)
    height = math.ceil((source_top - bottom) / y_size) - row
    width = math.ceil((right - source_left) / x_size) - col
    touched = Window(row, col, height, width)
    if not touched.intersect(source.window).size:
        return Window(0, 0, 0, 0)
    # The kernel reaches two pixels of the coarser of the two grids.
    coarser = max(1.0, height / target.height, width / target.width)
    return touched.grow(math.ceil(3 * coarser) + 1).intersect(source.window)


def same_pixels(source: Grid, target: Grid) -> Window | None:
    """The pixels of `source` that are just those of `target`; None if it has other pixels.

    Warping would only copy them: at a pixel's own centre the kernel's weight for all others is 0.
    """
    if source.crs != target.crs or source.resolution != target.resolution:
        return None
    (left, _, _, top), (source_left, _, _, source_top) = target.bounds, source.bounds
    x_size, y_size = source.resolution
    row, col = (source_top - top) / y_size, (left - source_left) / x_size
    window = Window(round(row), round(col), *target.shape)
    apart = max(abs(row - window.row), abs(col - window.col))
    return window if apart < SAME_PX and source.window.contains(window) else None


def warp_band(values: NDArray[np.float32], source: Grid, target: Grid) -> NDArray[np.float32]:
    """Warp one band (h, w) onto another grid by cubic convolution; NaN = no data, also outside.

    Cubic, not bilinear: a road is a line about one pixel wide, and bilinear weights flatten it.
    Warping the 2017 image of Rennes from its degrees to UTM and back, the red band comes back with
    an error (RMS) of 26 % of its fine detail by cubic convolution and of 41 % by bilinear.

    A no-data pixel has no weight: near one, the weights of the valid neighbours are normalised, so
    that no value is darkened; a target pixel whose nearest source pixel is no data is no data.
    """
    out = np.full(target.shape, np.nan, np.float32)
    x_scale, y_scale = _scales(source, target)
    reproject(
        values,
        out,
        src_transform=source.transform,
        src_crs=source.crs,
        src_nodata=np.nan,
        dst_transform=target.transform,
        dst_crs=target.crs,
        dst_nodata=np.nan,
        resampling=Resampling.cubic,
        # Left alone, GDAL guesses these from the outline of every piece that it works on, and a
        # crop differs from the whole.
        XSCALE=x_scale,
        YSCALE=y_scale,
    )
    return out


def _scales(source: Grid, target: Grid) -> tuple[float, float]:
    """How many pixels of `target` a pixel of `source` is wide and high, in the target's middle."""
    left, bottom, right, top = target.bounds
    there = Transformer.from_crs(target.crs, source.crs, always_xy=True)
    back = Transformer.from_crs(source.crs, target.crs, always_xy=True)
    x, y = there.transform((left + right) / 2, (bottom + top) / 2)
    x_size, y_size = source.resolution
    xs, ys = back.transform([x, x + x_size, x], [y, y, y + y_size])
    target_x, target_y = target.resolution
    width = math.hypot(xs[1] - xs[0], ys[1] - ys[0])
    height = math.hypot(xs[2] - xs[0], ys[2] - ys[0])
    return width / target_x, height / target_y


def tiff_profile(
    grid: Grid, bands: int, dtype: str, nodata: int | None = None, *, sparse: bool = False
) -> dict[str, object]:
    """How swath writes GeoTIFFs, as rasterio keywords: in blocks, larger than 4 GB if need be.

    Uncompressed, for files that are written in pieces and soon read again. Without `nodata` the
    file's mask says where there is data. In a `sparse` file a block that is never written takes no
    room, and reads as no data.
    """
    return {
        **grid.profile(),
        "driver": "GTiff",
        "count": bands,
        "dtype": dtype,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": BLOCK_PX,
        "blockysize": BLOCK_PX,
        "sparse_ok": sparse,
        "bigtiff": "if_safer",
    }


def write_raster(
    path: Path,
    image: NDArray[np.generic],
    grid: Grid,
    *,
    nodata: int,
    names: Sequence[str],
    colors: Mapping[int, tuple[int, int, int]] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write (C, H, W) on `grid` as a tiled, compressed GeoTIFF, whole or not at all.

    An 8-bit True Colour Image is marked as red, green and blue. `names` describe the bands, `tags`
    the file; `colors` (value -> red, green, blue 0..255) are for one band of uint8.
    """
    count, height, width = image.shape
    if (height, width) != grid.shape or count != len(names):
        raise ValueError(f"{image.shape} does not fit {grid.shape} with bands {names}")
    rgb = image.dtype == np.uint8 and tuple(names) == TCI_BANDS
    profile = tiff_profile(grid, count, image.dtype.name, nodata) | {
        "compress": "deflate",
        # Neighbours differ little in images; in class maps they are mostly the same.
        "predictor": 1 if colors else 2,
        "interleave": "pixel",
        **({"photometric": "RGB"} if rgb else {}),
    }
    with replacing(path) as temporary, writing_checked(temporary, profile, path) as target:
        target.write(image)
        target.file.descriptions = tuple(names)
        target.file.update_tags(**(tags or {}))
        if colors:
            target.file.write_colormap(1, {value: (*color, 255) for value, color in colors.items()})
