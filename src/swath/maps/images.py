"""The pictures of the images that lie beside maps."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from swath.maps.sitemaps import SiteMaps
from swath.scenes.raster import open_raster


def image_paths(maps: SiteMaps, source: Mapping[dt.date, str] | None = None) -> dict[dt.date, Path]:
    """The pictures of the images that lie beside the maps, by date.

    Args:
        maps: The maps.
        source: Hashes of the images; only pictures of these are given. None: all.

    Raises:
        InputError: One is unreadable.
    """
    paths = {date: maps.folder / f"image_{date}.tif" for date in maps.all_dates}
    paths = {date: path for date, path in paths.items() if path.is_file()}
    if source is None:
        return paths
    return {date: path for date, path in paths.items() if _source(path) == source.get(date)}


def _source(path: Path) -> str | None:
    with open_raster(path) as picture:
        tag: str | None = picture.tags().get("SOURCE")
    return tag
