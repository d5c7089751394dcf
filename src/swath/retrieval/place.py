"""A place on the map, asked for without a sites file: which box, which days, and that as settings."""

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from swath.errors import InputError, SettingsError
from swath.grid import LONLAT, Bounds, Grid, geojson_bbox
from swath.labels.features import read_table
from swath.labels.source import LabelSettings
from swath.names import SITE_NAME
from swath.retrieval.stacapi import find_api
from swath.sentinel2 import ImageSettings
from swath.sites.schema import FetchSettings, SiteSettings, SitesFile
from swath.validation import first_problem


@dataclass(frozen=True, slots=True)
class Place:
    """A box in degrees, (west, south, east, north), and a name that can be a folder's.

    Where it crosses the 180th meridian, east is below west (RFC 7946) or above 180.

    Raises:
        GridError: The box is no box on the Earth, or too large for one site.
        SettingsError: The name cannot be a folder's.
    """

    name: str
    bounds: Bounds

    def __post_init__(self) -> None:
        if not SITE_NAME.fullmatch(self.name):
            raise SettingsError(
                f"a place's name becomes a folder: letters, digits, _ and -; got {self.name!r}"
            )
        Grid.from_lonlat(self.bounds)

    @classmethod
    def of_box(cls, bounds: Bounds, name: str | None = None) -> "Place":
        """The place of a box; without a name it is called after its centre, `N48_110-W1_680`."""
        west, south, east, north = bounds
        lon = (west + (east + 360 if east < west else east)) / 2
        return cls(name or _called(lon - 360 if lon > 180 else lon, (south + north) / 2), bounds)

    @classmethod
    def around_features(cls, path: Path, name: str | None = None) -> "Place":
        """The place around all features of a vector file; without a name it is called after the file.

        Raises:
            InputError: The file cannot be read, or its features span no area.
        """
        table = read_table(path, None).to_crs(LONLAT)
        boxes = np.array(table.geometry.bounds)
        if not len(boxes) or not np.isfinite(boxes).all():
            raise InputError(f"{path}: no feature lies on the Earth; expected what shows where to map")
        if np.ptp(boxes[:, [0, 2]]) > 180:
            # On both sides of the 180th meridian.
            boxes[:, [0, 2]] += np.where(boxes[:, [0, 2]] < 0, 360, 0)
        west, south = boxes[:, :2].min(axis=0).tolist()
        east, north = boxes[:, 2:].max(axis=0).tolist()
        if not (west < east and south < north):
            raise InputError(f"{path}: its features span no area; expected polygons, or what lies apart")
        named = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem).strip("_-")[:100]
        return cls.of_box(geojson_bbox((west, south, east, north)), name or named or None)

    def as_sites(
        self, wanted: FetchSettings, image: ImageSettings, labels: LabelSettings | None = None
    ) -> SitesFile:
        """The sites file that would ask for the same: this place alone, as a test site."""
        fields = {} if labels is None else {"labels": labels}
        site = SiteSettings(bounds=self.bounds, split="test", **fields)
        return SitesFile(image=image, fetch=wanted, sites={self.name: site})


def parse_box(text: str) -> Bounds:
    """The numbers of `W,S,E,N`.

    Raises:
        SettingsError: It is something else.
    """
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(
            "expected a box as west,south,east,north in degrees, such as -1.70,48.05,-1.60,48.15; "
            f"got {text!r}"
        ) from None
    return west, south, east, north


def parse_days(first: str, last: str) -> tuple[dt.date, dt.date]:
    """The first and the last day of a span that is written as years, months or days.

    Raises:
        SettingsError: One of them is none of these, or the last comes first.
    """
    start, end = _parse_day(first, end=False), _parse_day(last, end=True)
    if start > end:
        raise SettingsError(f"expected the first day and then the last; got {first} and {last}")
    return start, end


def _parse_day(text: str, *, end: bool) -> dt.date:
    match = re.fullmatch(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", text.strip())
    try:
        if match is None:
            raise ValueError
        year = int(match[1])
        month = int(match[2] or (12 if end else 1))
        last = calendar.monthrange(year, month)[1]
        return dt.date(year, month, int(match[3] or (last if end else 1)))
    except (ValueError, calendar.IllegalMonthError):
        raise SettingsError(f"expected a day as 2024, 2024-03 or 2024-03-15; got {text!r}") from None


def check_wanted(**fields: object) -> FetchSettings:
    """What is looked for, from single settings; those that are None stay as by default.

    Raises:
        SettingsError: They do not go together, or an API is unknown.
    """
    try:
        wanted = FetchSettings.model_validate({k: v for k, v in fields.items() if v is not None})
    except ValidationError as error:
        raise SettingsError(first_problem(error, FetchSettings)) from None
    for api in wanted.api:
        find_api(api)
    return wanted


def _called(lon: float, lat: float) -> str:
    text = f"{'S' if lat < 0 else 'N'}{abs(lat):.3f}-{'W' if lon < 0 else 'E'}{abs(lon):.3f}"
    return text.replace(".", "_")
