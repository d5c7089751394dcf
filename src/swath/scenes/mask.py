"""A user's mask: a raster beside a scene that says which of its pixels are not to be used."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import reproject

from swath.errors import InputError
from swath.grid import Grid
from swath.scenes.raster import grid_of, open_raster, plan_source_window, rasterio_window
from swath.scenes.scene import Scene


def find_mask(pattern: str, scene: Scene, folder: Path) -> Path:
    """The mask of a scene, its header checked.

    `pattern` is a path, relative to `folder`; `{date}` in it stands for the scene's YYYY-MM-DD.

    Raises:
        InputError: The file is missing, is no georeferenced raster, or lies elsewhere.
    """
    path = folder / pattern.replace("{date}", str(scene.date))
    with open_raster(path) as source:
        grid = grid_of(source, path, "mask")
    if not plan_source_window(grid, scene.grid).size:
        raise InputError(f"{path}: the mask does not overlap its image {scene.path}")
    return path


def read_mask(path: Path, grid: Grid) -> NDArray[np.bool_]:
    """Where a mask lets a grid be used: (H, W) bool, True = use.

    What is not 0 in its first band is not to be used. It may have any CRS and pixel size: a pixel
    that a masked one reaches into is masked; outside the mask nothing is.

    Raises:
        InputError: The file cannot be read, or has no georeference.
    """
    with open_raster(path) as source:
        source_grid = grid_of(source, path, "mask")
        window = plan_source_window(source_grid, grid)
        if not window.size:
            return np.ones(grid.shape, bool)
        masked = (source.read(1, window=rasterio_window(window)) != 0).astype(np.uint8)
    part = source_grid.crop(window)
    out = np.zeros(grid.shape, np.uint8)
    reproject(
        masked,
        out,
        src_transform=part.transform,
        src_crs=part.crs,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        resampling=Resampling.max,
    )
    return np.asarray(out == 0)
