"""Class rasters of others, in any system, brought to a grid: WorldCover, CORINE, one's own."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import reproject

from swath.errors import InputError
from swath.grid import Grid
from swath.labels.crosswalk import Codes
from swath.legend import IGNORE
from swath.scenes.raster import grid_of, open_raster, plan_source_window, rasterio_window

RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".img")


def read_class_raster(path: Path, codes: Codes, grid: Grid) -> NDArray[np.uint8]:
    """Read a class raster onto a grid: every pixel takes the class under its centre.

    Args:
        path: One band of whole numbers in any coordinate system; only the part under the grid is read.
        codes: What the numbers mean.
        grid: Where they are wanted.

    Returns:
        (H, W) uint8 class ids; 255 where the file ends, has no data, or its code is ignored.

    Raises:
        InputError: Not such a file, beside the grid, or with a number that `codes` lacks.
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
        values, known = source.read(1, window=where), source.read_masks(1, window=where) > 0
    present = np.unique(values[known])
    table = dict(zip(present.tolist(), codes.of_values(present, path).tolist(), strict=True))
    ids = np.full(values.shape, IGNORE, np.uint8)
    for value, number in table.items():
        ids[known & (values == value)] = number
    out = np.full(grid.shape, IGNORE, np.uint8)
    part = there.crop(window)
    reproject(
        ids,
        out,
        src_transform=part.transform,
        src_crs=part.crs,
        src_nodata=IGNORE,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        dst_nodata=IGNORE,
        resampling=Resampling.nearest,
        # Left alone, GDAL places pixels to an eighth of one.
        tolerance=0,
    )
    return out
