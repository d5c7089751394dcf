"""Class rasters of others, in any system, brought to a grid: WorldCover, CORINE, one's own."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import reproject

from swath.errors import InputError
from swath.grid import Grid
from swath.scenes.raster import grid_of, open_raster, plan_source_window, rasterio_window

RASTER_SUFFIXES = (".tif", ".tiff")

NO_CODE = -(2**31)
"""What a pixel without a code has."""


def read_codes(path: Path, grid: Grid) -> NDArray[np.int32]:
    """Read the codes of a class raster onto a grid: every pixel takes what lies under its centre.

    Args:
        path: One band of whole numbers in any coordinate system; only the part under the grid is read.
        grid: Where they are wanted.

    Returns:
        (H, W) int32; `NO_CODE` where the file ends or has no data.

    Raises:
        InputError: Not such a file, or it lies beside the grid.
    """
    with open_raster(path) as source:
        if source.count != 1 or np.dtype(source.dtypes[0]).kind not in "iu":
            raise InputError(
                f"{path}: expected one band of whole numbers, got {source.count} of {source.dtypes[0]}"
            )
        there = grid_of(source, path, "class raster")
        window = plan_source_window(there, grid)
        if not window.size:
            raise InputError(f"{path}: the class raster does not overlap the image ({grid.lonlat_text})")
        where = rasterio_window(window)
        codes, known = source.read(1, window=where), source.read_masks(1, window=where) > 0
    out = np.full(grid.shape, NO_CODE, np.int32)
    part = there.crop(window)
    reproject(
        np.where(known, codes.astype(np.int32), np.int32(NO_CODE)),
        out,
        src_transform=part.transform,
        src_crs=part.crs,
        src_nodata=NO_CODE,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        dst_nodata=NO_CODE,
        resampling=Resampling.nearest,
        # Left alone, GDAL places pixels to an eighth of one.
        tolerance=0,
    )
    return out
