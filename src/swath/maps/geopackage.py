"""GeoPackages that are the same bytes for the same maps."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import pyogrio


@contextmanager
def dated(day: dt.date) -> Iterator[None]:
    """Let GeoPackages say that they were last changed on `day`, not now."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{day}T00:00:00.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
