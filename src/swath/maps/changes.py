"""The change layer: where the class map changed when a date was added."""

import datetime as dt
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from swath.grid import Grid, Window
from swath.maps.change import Change
from swath.maps.rasters import CHANGES_NODATA, changes_raster, writing_rasters
from swath.maps.sitemaps import PMAP_NODATA, SiteMaps, read_bytes
from swath.maps.styles import EPOCH
from swath.scenes.raster import read_raster

STRIP_PX = 512
"""Rows of the class maps that are in memory at a time."""

Classes = NDArray[np.uint8]


def write_changes(old: SiteMaps, new: SiteMaps, date: dt.date, grid: Grid) -> None:
    """Write changes.tif: per pixel, the last addition that changed its class.

    A change is one of the *map*: the pixel had a class before and has another after `date` was
    added. It may come from the ground, or from what the new image shows of the same ground. A pixel
    that had no data before, or has none after, has not changed.

    Args:
        old: The maps before, with their change layer if they have one.
        new: The maps after; its classes.tif is in place.
        date: The added date.
        grid: Of both.
    """
    stamp = (date - EPOCH).days
    with writing_rasters(new.folder, grid, [changes_raster(new.legend, new.attribution)]) as write:
        for strip, before, after in _pairs(old, new, grid):
            shape = (2, strip.height, strip.width)
            layer = np.full(shape, CHANGES_NODATA, np.uint16)
            if old.changes:
                layer = read_raster(old.changes_path, strip)
            changed = (before != after) & (before != PMAP_NODATA) & (after != PMAP_NODATA)
            layer[0][changed] = stamp
            layer[1][changed] = before[changed]
            write(strip, [layer])


def count_changes(old: SiteMaps, new: SiteMaps, date: dt.date, grid: Grid) -> Change:
    """Count the pixels whose class an added date changed; arguments as of `write_changes`."""
    size = len(new.legend.classes)
    moves = np.zeros((size, size), np.int64)
    for _, before, after in _pairs(old, new, grid):
        both = (before != PMAP_NODATA) & (after != PMAP_NODATA)
        codes = before[both].astype(np.int64) * size + after[both]
        moves += np.bincount(codes, minlength=size * size).reshape(size, size)
    changed = moves - np.diag(np.diag(moves))
    names = new.legend.names
    return Change(
        date=date,
        compared_px=int(moves.sum()),
        changed_px=int(changed.sum()),
        gained_px=dict(zip(names, changed.sum(axis=0).tolist(), strict=True)),
        lost_px=dict(zip(names, changed.sum(axis=1).tolist(), strict=True)),
    )


def _pairs(old: SiteMaps, new: SiteMaps, grid: Grid) -> Iterator[tuple[Window, Classes, Classes]]:
    """Strip by strip, (h, w) class ids before and after."""
    for strip in grid.window.strips(STRIP_PX):
        before = read_bytes(old.classes_path, strip)[0]
        yield strip, before, read_bytes(new.classes_path, strip)[0]
