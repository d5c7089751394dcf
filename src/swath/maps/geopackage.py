"""GeoPackages that are the same bytes for the same maps, and whole."""

import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from swath.files import unwritten


@contextmanager
def dated(day: dt.date) -> Iterator[None]:
    """Let GeoPackages say that they were last changed on `day`, not now."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{day}T00:00:00.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def check_whole(package: Path, counts: Mapping[str, int], final: Path) -> None:
    """Check that a GeoPackage is sound on the disk, and has so many features in each layer.

    Args:
        package: As it was written.
        counts: Layer -> features.
        final: Where it belongs, for the error of `swath.files.unwritten`.
    """
    try:
        with closing(sqlite3.connect(package.absolute().as_uri() + "?mode=ro", uri=True)) as tables:
            sound = tables.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        whole = sound and all(
            pyogrio.read_info(package, layer=name, force_feature_count=True)["features"] == count
            for name, count in counts.items()
        )
    except (sqlite3.Error, DataSourceError, DataLayerError):
        whole = False
    if not whole:
        raise unwritten(final)
