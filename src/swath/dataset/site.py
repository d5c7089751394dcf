"""A dataset as values: sites, their acquisitions, their splits; and reading their pixels."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from swath.errors import DatasetError
from swath.files import content_hash
from swath.grid import Finer, Grid, Window
from swath.legend import IGNORE, Legend
from swath.picture import card, thumbnail
from swath.scenes.raster import read_raster
from swath.scenes.scene import UNKNOWN, Conditions
from swath.sentinel2 import NODATA, ImageSettings
from swath.sites.schema import SplitName

CATALOG = "catalog.json"
"""The file by which a dataset's folder is known."""

FORMAT = 1
"""Raised when a dataset of before can no longer be read."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a site that belongs to one split; a whole-site split is one such region."""

    split: SplitName
    window: Window


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One date of a site: a GeoTIFF on its grid.

    Attributes:
        shift_m: (east, north) by which the build moved the image.
        masks: What left pixels of it out; see `swath.scenes.scene.Scene`.
    """

    date: dt.date
    path: Path
    sha256: str
    shift_m: tuple[float, float] = (0.0, 0.0)
    conditions: Conditions = UNKNOWN
    masks: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """One place: a grid, its images on it, its labels, and the splits it belongs to.

    Attributes:
        name: Also of its folder.
        grid: Of the images.
        acquisitions: Its images, oldest first; at least one.
        labels: uint8 GeoTIFF of class ids on `map_grid`, 255 = ignore.
        roads: The vector features that made the labels (GeoParquet), where kept.
        labels_date: The day whose state the labels show, where known.
        shift_m: (east, north) by which the build moved the features of the labels.
        finer: Label pixels to the side of an image pixel.
    """

    name: str
    grid: Grid
    acquisitions: tuple[Acquisition, ...]
    labels: Path
    labels_sha256: str
    roads: Path | None
    regions: tuple[Region, ...]
    labels_date: dt.date | None = None
    shift_m: tuple[float, float] = (0.0, 0.0)
    finer: Finer = 1

    def __repr__(self) -> str:
        """One line: where, how large, when, for what."""
        first, count = self.dates[0], len(self.dates)
        days = f"{count} dates {first}..{self.dates[-1]}" if count > 1 else str(first)
        return f"Site({self.name}: {self.grid.size_text}, {days}, {'+'.join(self.splits)})"

    def _repr_html_(self) -> str:
        """The same with its newest image, for notebooks."""
        grid = self.grid
        facts = {
            "grid": f"{grid.size_text} of {grid.crs.split('[')[0]}",
            "dates": ", ".join(map(str, self.dates)),
            "split": ", ".join(self.splits),
        }
        return card(f"Site {self.name}", facts, thumbnail(self.acquisitions[-1].path))

    @property
    def map_grid(self) -> Grid:
        """Of the labels, and of maps that are as fine."""
        return self.grid.finer(self.finer)

    @property
    def dates(self) -> tuple[dt.date, ...]:
        """Days of acquisition, oldest first."""
        return tuple(acquisition.date for acquisition in self.acquisitions)

    @property
    def splits(self) -> tuple[SplitName, ...]:
        """The splits that have a region here, each once, in the order of the regions."""
        return tuple(dict.fromkeys(region.split for region in self.regions))

    def windows(self, split: SplitName) -> tuple[Window, ...]:
        """The rectangles of a split, in image pixels; empty if it has none here."""
        return tuple(region.window for region in self.regions if region.split == split)

    def acquisition(self, date: dt.date) -> Acquisition:
        """The acquisition of a day.

        Raises:
            DatasetError: There is none.
        """
        if date not in self.dates:
            known = ", ".join(map(str, self.dates))
            raise DatasetError(f"site {self.name!r} has no acquisition of {date}; it has {known}")
        return self.acquisitions[self.dates.index(date)]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything `swath build` made: sites with images and labels, and what they mean.

    Example:
        >>> import swath
        >>> dataset = swath.open_dataset("dataset")
        >>> [(site.name, site.grid.shape, site.splits) for site in dataset.in_split("test")]
        [('sim_test', (96, 96), ('test',))]

    Attributes:
        root: The folder that holds `catalog.json`.
        image: Bands and encoding of every image.
        sites: In the order of the sites file.
        attribution: Who made the data.
    """

    root: Path
    legend: Legend
    image: ImageSettings
    sites: tuple[Site, ...]
    attribution: str

    def __repr__(self) -> str:
        """One line: where, what, which sites."""
        names = ", ".join(site.name for site in self.sites)
        return f"Dataset({self.root}: {names}; {', '.join(self.legend.names)})"

    def _repr_html_(self) -> str:
        """The same, and the image of its first site, for notebooks."""
        facts = {
            "sites": ", ".join(f"{site.name} ({'+'.join(site.splits)})" for site in self.sites),
            "bands": f"{', '.join(self.image.bands)} as {self.image.encoding}",
            "classes": ", ".join(self.legend.names),
            "data": self.attribution,
        }
        return card(f"Dataset in {self.root}", facts, thumbnail(self.sites[0].acquisitions[-1].path))

    def site(self, name: str) -> Site:
        """The site of that name.

        Raises:
            DatasetError: There is none.
        """
        names = [site.name for site in self.sites]
        if name not in names:
            raise DatasetError(f"{self.root} has no site {name!r}; its sites are {', '.join(names)}")
        return self.sites[names.index(name)]

    @property
    def finer(self) -> Finer:
        """Label pixels to the side of an image pixel, the same for all sites."""
        return self.sites[0].finer

    @property
    def splits(self) -> dict[str, list[str]]:
        """Split -> names of its sites; a site that is parted stands in several."""
        names = get_args(SplitName)
        return {split: [site.name for site in self.in_split(split)] for split in names}

    @property
    def hashes(self) -> dict[str, str]:
        """`<site>/labels` and `<site>/<date>` -> SHA-256 of that file."""
        labels = {f"{site.name}/labels": site.labels_sha256 for site in self.sites}
        images = {
            f"{site.name}/{image.date}": image.sha256 for site in self.sites for image in site.acquisitions
        }
        return labels | images

    def check_bytes(self, names: Collection[str] | None = None) -> None:
        """Check that images and labels are as `swath build` wrote them; it reads all of them.

        Args:
            names: Only of these sites.

        Raises:
            DatasetError: A file is missing, or has other bytes.
        """
        for site in self.sites:
            if names is not None and site.name not in names:
                continue
            files = [(site.labels, site.labels_sha256), *((a.path, a.sha256) for a in site.acquisitions)]
            for path, kept in files:
                if content_hash(path) != kept:
                    raise DatasetError(
                        f"{path} was changed since the dataset was built (its SHA-256 is not that of the "
                        "catalogue); build the dataset again"
                    )

    def in_split(self, split: SplitName) -> tuple[Site, ...]:
        """The sites that have at least one region of the split."""
        return tuple(site for site in self.sites if site.windows(split))

    def resplit(self, validation: Sequence[str], test: Sequence[str]) -> "Dataset":
        """The same sites, split anew by whole sites: all that are not named train.

        Raises:
            DatasetError: An unknown site, or one that is named twice.
        """
        named = [*validation, *test]
        for name in named:
            self.site(name)
        if len(set(named)) != len(named):
            raise DatasetError(
                f"a site can be in one split only; got validation {', '.join(validation)} "
                f"and test {', '.join(test)}"
            )

        split: dict[str, SplitName] = {
            **dict.fromkeys(validation, "validation"),
            **dict.fromkeys(test, "test"),
        }
        sites = (
            replace(site, regions=(Region(split.get(site.name, "train"), site.grid.window),))
            for site in self.sites
        )
        return replace(self, sites=tuple(sites))


def read_image(
    acquisition: Acquisition, window: Window | None = None
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Read an image (C, h, w), or a window of it that may reach outside the grid.

    uint8 (TCI, 1..255) or uint16 (reflectance x 10000, 1..65535); 0 = no data, also outside.

    Raises:
        InputError: The file cannot be read.
    """
    return read_raster(acquisition.path, window, fill=NODATA)


def read_labels(site: Site, window: Window | None = None) -> NDArray[np.uint8]:
    """Read the labels of a site, or a window in pixels of the labels that may reach outside.

    (h, w) uint8 class ids; 255 = ignore, also outside.

    Raises:
        InputError: The file cannot be read.
    """
    labels: NDArray[np.uint8] = read_raster(site.labels, window, fill=IGNORE)[0]
    return labels


def read_coarse_labels(site: Site, window: Window) -> NDArray[np.uint8]:
    """Read the labels of a site in image pixels; the window may reach outside the grid.

    (h, w) uint8 class ids: of an image pixel that holds several labels the largest, so that what is
    ignored in one of them is ignored (255), and a thin line is not lost.

    Raises:
        InputError: The file cannot be read.
    """
    n = site.finer
    labels = read_labels(site, window.finer(n))
    coarse: NDArray[np.uint8] = labels.reshape(window.height, n, window.width, n).max(axis=(1, 3))
    return coarse
