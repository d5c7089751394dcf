"""What changed between two maps of a place, or between two groups of the dates of one."""

import datetime as dt
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import pyogrio

from swath.errors import DatasetError, InputError, SettingsError
from swath.files import replacing
from swath.maps.daygroup import dates_between, group_maps
from swath.maps.geopackage import dated
from swath.maps.landchange import check_comparable, write_class_changes
from swath.maps.manifest import read_manifest
from swath.maps.roadchange import road_changes
from swath.maps.sitemaps import SiteMaps

ROADS = "roads"
"""The layer of new and vanished roads."""


@contextmanager
def choose_sides(
    old: SiteMaps, new: SiteMaps | None, before: str | None, after: str | None
) -> Iterator[tuple[SiteMaps, SiteMaps]]:
    """Two maps, or two groups of the dates of one, as the sides of a comparison.

    Args:
        old: The older maps.
        new: The newer maps, or None.
        before: Without newer maps, the older dates: `YYYY-MM-DD`, or two of them with `..` between.
        after: The newer dates.

    Raises:
        SettingsError: Neither newer maps nor both groups of dates, or both; or no dates.
        DatasetError: There is no map of these dates.
    """
    if new is not None and (before or after):
        raise SettingsError("dates before and after choose from one map; two maps are compared as they are")
    if new is not None:
        with sides_of(old, new) as sides:
            yield sides
        return
    if before is None or after is None:
        raise SettingsError("give a newer map, or dates before and after to compare within the one")
    early, late = (dates_between(old, *_days(text)) for text in (before, after))
    if early[-1] >= late[0]:
        raise SettingsError(f"the dates before must end ahead of those after, got {before} and {after}")
    with groups_of(old, early) as older, groups_of(old, late) as newer:
        yield older, newer


def _days(text: str) -> tuple[dt.date, dt.date]:
    first, _, last = text.partition("..")
    try:
        return dt.date.fromisoformat(first), dt.date.fromisoformat(last or first)
    except ValueError:
        raise SettingsError(f"expected YYYY-MM-DD, or two of them with .. between, got {text!r}") from None


@contextmanager
def sides_of(old: SiteMaps, new: SiteMaps) -> Iterator[tuple[SiteMaps, SiteMaps]]:
    """Two maps as the sides of a comparison; dates that both have count as older.

    Raises:
        DatasetError: The newer maps have no date of their own.
        InputError: The classes differ.
        GridError: With areas: the maps are not on one grid.
    """
    check_comparable(old, new)
    own = [date for date in new.dates if date not in old.dates]
    if not own:
        raise DatasetError(f"{new.folder} has no date that {old.folder} lacks; nothing can have changed")
    with groups_of(old, old.dates) as before, groups_of(new, own) as after:
        yield before, after


@contextmanager
def groups_of(maps: SiteMaps, dates: Sequence[dt.date]) -> Iterator[SiteMaps]:
    """Some dates of a site as a side of a comparison, in a folder for the while."""
    threshold = read_manifest(maps.folder).threshold
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        yield group_maps(maps, dates, Path(folder) / maps.site, 0.5 if threshold is None else threshold)


def write_changes_of(old: SiteMaps, new: SiteMaps, path: Path, *, min_dates: int = 2) -> gpd.GeoDataFrame:
    """Write what changed as a GeoPackage, whole or not at all; the layer `roads` is given back.

    Layer `roads`: see `swath.maps.roadchange.road_changes`; where the legend has areas, layers `changes`
    and `matrix`, too: see `swath.maps.landchange.write_class_changes`.

    Raises:
        InputError: The file is no GeoPackage, or a map cannot be read.
    """
    if path.suffix.lower() != ".gpkg":
        raise InputError(f"{path}: changes are written as a GeoPackage; give a path that ends in .gpkg")
    changes = road_changes(old, new, min_dates=min_dates)
    with replacing(path) as package:
        if new.legend.areas:
            write_class_changes(old, new, package)
        with dated(new.dates[-1]):
            pyogrio.write_dataframe(
                changes,
                package,
                layer=ROADS,
                driver="GPKG",
                append=package.exists(),
                geometry_type="LineString",
                layer_metadata={"attribution": new.attribution, "software": "swath"},
            )
    return changes
