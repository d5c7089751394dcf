"""The maps of some of a site's dates as maps of their own: what was there in a season, or a year."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from swath.errors import DatasetError
from swath.maps.rasters import classify, fused_rasters, mean_code, writing_rasters
from swath.maps.sitemaps import SiteMaps, read_codes
from swath.maps.vectors import write_vectors
from swath.metrics.histogram import STEPS

STRIP_PX = 512
"""Rows of the PMaps that are in memory at a time."""


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


def group_maps(maps: SiteMaps, dates: Sequence[dt.date], folder: Path, threshold: float | None) -> SiteMaps:
    """Write the mean of the PMaps of some dates, its classes and its vectors into a new folder.

    Args:
        maps: The site's maps; all their PMaps stay where they are, and are linked to.
        dates: Which, oldest first.
        folder: Does not exist.
        threshold: Of the class map, with two classes.
    """
    folder.mkdir(parents=True)
    group = maps.model_copy(
        update={"folder": folder, "dates": tuple(dates), "earlier": (), "changes": (), "fusion": "mean"}
    )
    for date in dates:
        group.pmap_path(date).symlink_to(maps.pmap_path(date).absolute())
    grid = maps.grid
    rasters = fused_rasters(group.dates, maps.legend, maps.attribution)[:2]
    edge = round((0.5 if threshold is None else threshold) * STEPS)
    with writing_rasters(folder, grid, rasters) as write:
        for strip in grid.window.strips(STRIP_PX):
            mean = mean_code(np.stack([read_codes(group.pmap_path(date), strip) for date in dates]))
            write(strip, [mean, classify(mean, edge)[None]])
    write_vectors(group, threshold)
    return group
