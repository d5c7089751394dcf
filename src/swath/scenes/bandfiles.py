"""Acquisitions that lie in one file a band: told by their names, joined to one image."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from swath.errors import InputError
from swath.grid import Grid, Window
from swath.progress import track
from swath.scenes.checked import writing_checked
from swath.scenes.numbers import check_unit, read_valid, reflectance
from swath.scenes.raster import (
    open_raster,
    plan_source_window,
    rasterio_window,
    same_pixels,
    tiff_profile,
    warp_band,
)
from swath.scenes.scene import BAND_IN_NAME, Scene
from swath.sentinel2 import BANDS

STRIP_PX = 1024
"""Rows that are joined at a time."""

_SIZE = re.compile(r"_(10|20|60)m(?![A-Za-z0-9])", re.IGNORECASE)


Key = TypeVar("Key", bound=Hashable)


def join_bands(scenes: Sequence[tuple[Key, Scene]]) -> list[tuple[Key, Scene]]:
    """Make one scene of files that hold a band each, and leave all others as they are.

    Files belong together that are of one day, are called the same but for their band (and its pixel
    size), and come with equal keys. The scene lies on the finest grid of them.

    Raises:
        InputError: Files of one scene that hold the same band, or numbers of other types.
    """
    groups: dict[tuple[Hashable, ...], list[tuple[Key, Scene]]] = {}
    for at, (key, scene) in enumerate(scenes):
        alone = scene.product is not None or len(scene.bands) != 1 or scene.bands[0] not in BANDS
        name = _SIZE.sub("", BAND_IN_NAME.sub("", scene.path.stem))
        groups.setdefault((at,) if alone else (key, scene.date, name), []).append((key, scene))
    return [(group[0][0], _join([scene for _, scene in group])) for group in groups.values()]


def _join(parts: list[Scene]) -> Scene:
    if len(parts) == 1:
        return parts[0]
    parts.sort(key=lambda part: list(BANDS).index(part.bands[0]))
    for part, other in pairwise(parts):
        if part.bands == other.bands:
            raise InputError(f"{part.path} and {other.path} hold the same band; keep one of them")
    if len({part.dtype == "uint8" for part in parts}) > 1:
        kinds = "; ".join(f"{part.path.name} {part.dtype}" for part in parts)
        raise InputError(f"{parts[0].path.parent}: bands of one image as bytes and as more: {kinds}")
    finest = min(parts, key=lambda part: part.grid.resolution)
    dtype = "uint8" if finest.dtype == "uint8" else "float32"
    bands = tuple(part.bands[0] for part in parts)
    return replace(finest, bands=bands, dtype=dtype, parts=tuple(parts))


def write_joined(scene: Scene, bands: Sequence[str], window: Window, out: Path) -> None:
    """Write some bands of a joined scene as one GeoTIFF of `window`, pixels of its grid.

    uint8 stays so, 0 = no data; else float32 reflectance x 10000, NaN = no data. Coarser bands are
    resampled by cubic convolution.

    Raises:
        InputError: A file is damaged, or holds no reflectance.
    """
    grid = scene.grid.crop(window)
    nodata = 0 if scene.dtype == "uint8" else np.nan
    profile = tiff_profile(grid, len(bands), scene.dtype) | {"nodata": nodata}
    with writing_checked(out, profile) as target:
        for number, band in enumerate(bands, 1):
            (part,) = (part for part in scene.parts if part.bands == (band,))
            for strip in track([*grid.window.strips(STRIP_PX)], f"joining {band} of {scene.date}"):
                values = _read(part, grid.crop(strip))
                kept = np.nan_to_num(np.clip(np.rint(values), 1, 255)) if scene.dtype == "uint8" else values
                target.write(kept.astype(scene.dtype), rasterio_window(strip), number)
        target.file.descriptions = tuple(bands)
    if scene.dtype != "uint8" and not any(part.unit_known for part in scene.parts):
        check_unit(out, range(1, len(bands) + 1), scene.path)


def _read(part: Scene, grid: Grid) -> NDArray[np.float32]:
    """(H, W) float32 reflectance x 10000 (bytes as they are) of a file's only band; NaN = no data."""
    same = same_pixels(part.grid, grid)
    window = same or plan_source_window(part.grid, grid)
    if not window.size:
        return np.full(grid.shape, np.nan, np.float32)
    with open_raster(part.path) as source:
        where = rasterio_window(window)
        valid = read_valid(source, (1,), where)
        values = source.read(1, window=where).astype(np.float32)
        if part.dtype != "uint8":
            values = reflectance(values, source, 1)
    values[~valid] = np.nan
    return values if same is not None else warp_band(values, part.grid.crop(window), grid)
