"""The maps of some of a site's dates as maps of their own: what was there in a season, or a year."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swath.errors import DatasetError
from swath.grid import Grid
from swath.maps.rasters import classify, fused_rasters, mean_code, writing_rasters
from swath.maps.sitemaps import SiteMaps, read_codes
from swath.maps.vectors import write_vectors
from swath.metrics.histogram import STEPS

STRIP_PX = 512
"""Rows of the PMaps that are in memory at a time."""

FAINT = 4.0
"""Lines of a group are traced where the odds of the score are so many times lower than for a map: a road
that one date of three does not see, and that stands alone, would have none."""


def dates_between(maps: SiteMaps, first: dt.date, last: dt.date) -> tuple[dt.date, ...]:
    """The dates of a site's PMaps from `first` to `last`, both included.

    Raises:
        DatasetError: There is none.
    """
    found = tuple(date for date in maps.all_dates if first <= date <= last)
    if not found:
        known = ", ".join(map(str, maps.all_dates))
        raise DatasetError(f"{maps.folder} has no map from {first} to {last}; its dates are {known}")
    return found


def group_maps(maps: SiteMaps, dates: Sequence[dt.date], folder: Path, threshold: float) -> SiteMaps:
    """Write the mean of the PMaps of some dates, its classes and its faint lines into a new folder.

    Args:
        maps: The site's maps; all their PMaps stay where they are, and are linked to. So are the fused one
            and its classes, if it is of these dates.
        dates: Which, oldest first.
        folder: Does not exist.
        threshold: Of the class map, with two classes; of the lines: see `FAINT`.
    """
    folder.mkdir(parents=True)
    group = maps.model_copy(update={"folder": folder, "dates": tuple(dates), "earlier": (), "changes": ()})
    links = [(group.pmap_path(date), maps.pmap_path(date)) for date in dates]
    whole = group.dates == maps.dates
    if whole:
        links += [(group.fused_path, maps.fused_path), (group.classes_path, maps.classes_path)]
    else:
        group = group.model_copy(update={"fusion": "mean"})
    for link, path in links:
        link.symlink_to(path.absolute())
    if not whole:
        _fuse(group, maps.grid, threshold)
    write_vectors(group, threshold / (threshold + FAINT * (1 - threshold)))
    return group


def _fuse(group: SiteMaps, grid: Grid, threshold: float) -> None:
    """Write the mean of a group's PMaps and its classes."""
    rasters = fused_rasters(group.dates, group.legend, group.attribution)[:2]
    with writing_rasters(group.folder, grid, rasters) as write:
        for strip in grid.window.strips(STRIP_PX):
            mean = mean_code(np.stack([read_codes(group.pmap_path(date), strip) for date in group.dates]))
            write(strip, [mean, classify(mean, round(threshold * STEPS))[None]])
