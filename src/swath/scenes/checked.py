"""GeoTIFFs that are read back once they are written: GDAL keeps quiet when it cannot close a file."""

import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from swath.files import sync, unwritten

STRIP_PX = 512
"""Rows that are compared at a time."""


class CheckedRaster:
    """A GeoTIFF that is being written, and the sums of what was written.

    Attributes:
        file: For descriptions, tags and colours.
    """

    def __init__(self, file: DatasetWriter, name: Path) -> None:
        self.file = file
        self._name = name
        self._sums: list[tuple[int | None, Window | None, int]] = []
        self._mask: int | None = None

    def write(
        self, pixels: NDArray[np.generic], window: Window | None = None, band: int | None = None
    ) -> None:
        """Write (C, h, w), or (h, w) of a `band` (from 1), once in each place.

        Raises:
            OutputError: It cannot be written.
        """
        with blaming(self._name):
            self.file.write(pixels, band, window=window)
        self._sums.append((band, window, _sum(pixels)))

    def write_mask(self, valid: NDArray[np.bool_]) -> None:
        """Write where there is data, (H, W), as the mask of all bands; raises as `write` does."""
        with blaming(self._name):
            self.file.write_mask(valid)
        self._mask = _sum(valid)

    def is_in(self, path: Path) -> bool:
        """Whether a file holds what was written."""
        with rasterio.open(path, driver="GTiff") as source:
            if self._mask is not None and _sum(source.read_masks(1) > 0) != self._mask:
                return False
            return all(_sum(source.read(band, window=box)) == kept for band, box, kept in self._sums)


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Errors of GDAL in the block say that the output `path` cannot be written, and nothing else does."""
    try:
        with _quiet():
            yield
    except (RasterioError, CPLE_BaseError, OSError):
        raise unwritten(path) from None


def _sum(pixels: NDArray[np.generic]) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels).data)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps from stderr what libtiff prints there by itself when it cannot write."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


@contextmanager
def writing_checked(
    path: Path, profile: Mapping[str, object], name: Path | None = None
) -> Iterator[CheckedRaster]:
    """Write a GeoTIFF in the block; afterwards it is on the disk, and holds what was written.

    Args:
        path: The file.
        profile: What rasterio is to make.
        name: How errors call it; None: as it is called.

    Raises:
        OutputError: It cannot be written.
    """
    name = name or path
    with blaming(name):
        file = rasterio.open(path, "w", **profile)
    raster, opened = CheckedRaster(file, name), ExitStack()
    opened.enter_context(file)  # keeps GDAL from printing, too
    try:
        yield raster
    finally:
        with _quiet(), suppress(RasterioError, CPLE_BaseError, OSError):  # what is lost is missed below
            opened.close()
    with blaming(name):
        sync(path)
        if not raster.is_in(path):
            raise unwritten(name)


def copy_checked(original: Path, copy: Path, **options: object) -> None:
    """Copy a raster into another format, overviews and all, and compare.

    Raises:
        OutputError: It cannot be written.
    """
    with blaming(copy):
        rasterio.shutil.copy(original, copy, **options)
        sync(copy)
        if not _is_copy(original, copy):
            raise unwritten(copy)


def _is_copy(original: Path, copy: Path) -> bool:
    with rasterio.open(original) as first, rasterio.open(copy) as second:
        levels = range(len(second.overviews(1)))
        if not all(np.array_equal(first.read(window=box), second.read(window=box)) for box in _strips(first)):
            return False
    for level in levels:
        with rasterio.open(copy, overview_level=level) as smaller:
            for box in _strips(smaller):
                smaller.read(window=box)  # raises where blocks are missing
    return True


def _strips(file: rasterio.DatasetReader) -> Iterator[Window]:
    for row in range(0, file.height, STRIP_PX):
        yield Window(0, row, file.width, min(STRIP_PX, file.height - row))
