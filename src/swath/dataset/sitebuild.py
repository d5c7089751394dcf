"""One site of a dataset: planned from headers, then its images, labels and vectors are written."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.dataset.site import Acquisition, Region, Site
from swath.dataset.splits import plan_regions
from swath.errors import InputError, SettingsError
from swath.files import sha256
from swath.grid import Grid, refine
from swath.labels.burn import burn_mask
from swath.labels.crosswalk import read_crosswalk
from swath.labels.features import read_polygons
from swath.labels.source import LabelSettings
from swath.labels.table import write_features
from swath.legend import IGNORE, Legend
from swath.progress import tell
from swath.scenes.raster import write_raster
from swath.scenes.scene import Scene
from swath.scenes.warp import read_on_grid
from swath.sentinel2 import ImageSettings, valid_mask
from swath.sites.labels import SiteLabels, read_labels
from swath.sites.schema import SiteSettings, SitesFile
from swath.sites.series import SceneSeries, plan_series


@dataclass(frozen=True, slots=True)
class SiteJob:
    """What is to be made for one site, known from headers only, by the sites file in folder `base`.

    Attributes:
        series: Its name, which is also that of its folder; its images, and where all will lie.
        regions: What belongs to which split.
        labels: Where the features of its labels come from.
    """

    series: SceneSeries
    regions: tuple[Region, ...]
    labels: LabelSettings
    settings: SitesFile
    legend: Legend
    base: Path

    @property
    def map_grid(self) -> Grid:
        """Of the labels."""
        return self.series.grid.finer(self.settings.finer)

    @property
    def site(self) -> SiteSettings:
        """What the sites file says of it; all files that its labels need are there."""
        return self.settings.sites[self.series.name]

    @property
    def reads(self) -> tuple[Path, ...]:
        """The files and folders that it is made from."""
        named = (self.settings.legend, self.labels.path, self.site.coverage, self.site.ignore)
        masks = (scene.mask for scene in self.series.scenes if scene.mask is not None)
        paths = (self.base / name for name in named if name is not None)
        return (*(scene.path for scene in self.series.scenes), *masks, *paths)


def plan_site(name: str, settings: SitesFile, legend: Legend, base: Path) -> SiteJob:
    """Plan one site: find its files, read their headers, lay its grid and its regions.

    Raises:
        SettingsError: A setting does not fit the files, or the site names no scenes or no labels.
        InputError: A file is missing, or an image is not what it should be.
        GridError: The grid cannot be made.
    """
    site = settings.sites[name]
    series = plan_series(name, settings, base, settings.image.required)
    if site.split is not None:
        regions: tuple[Region, ...] = (Region(site.split, series.grid.window),)
    else:
        regions = plan_regions(site.regions, series.grid.shape, site.guard_px, name)
    if site.labels is None:
        raise SettingsError(f"site {name!r} names no labels; give `labels:` in the sites file")
    for path in (site.labels.path, site.coverage, site.ignore):
        if path is not None and not (base / path).exists():
            raise InputError(f"{base / path}: no such file (site {name!r})")
    if site.labels.crosswalk is not None:
        read_crosswalk(site.labels.crosswalk, base).codes(legend)
    return SiteJob(series, regions, site.labels, settings, legend, base)


def build_site(job: SiteJob, root: Path) -> tuple[Site, str]:
    """Write one site's images, labels and vectors into the folder `root` of a dataset.

    Returns:
        The site, and who made its labels.

    Raises:
        InputError: A file is damaged or does not fit, or no pixel has both an image and a label.
        RemoteError: An Overpass server refuses, or does not recover.
        MissingExtraError: Labels from OpenStreetMap data without the extra `osm`.
    """
    series = job.series
    folder = root / series.name
    folder.mkdir(exist_ok=True)  # a worker that was lost may have begun
    source = _read_labels(job)
    acquisitions = []
    seen = np.zeros(series.grid.shape, bool)
    for scene in series.scenes:
        acquisition, valid = _build_image(scene, series.grid, job.settings.image, folder)
        acquisitions.append(acquisition)
        seen |= valid
    labels_path, roads_path = folder / "labels.tif", folder / "roads.parquet"
    _write_labels(labels_path, _usable_labels(job, source.classes, seen), job, source)
    if source.features is not None:
        write_features(roads_path, source.features)
        if source.features.empty:
            tell(f"site {series.name!r}: its labels have nothing of the legend there")
    date = source.origin.get("date")
    site = Site(
        name=series.name,
        grid=series.grid,
        acquisitions=tuple(acquisitions),
        labels=labels_path,
        labels_sha256=sha256(labels_path),
        roads=None if source.features is None else roads_path,
        regions=job.regions,
        labels_date=job.site.labels_date if date is None else dt.date.fromisoformat(date),
        shift_m=job.site.shift_m,
        finer=job.settings.finer,
    )
    return site, source.origin.get("attribution", "")


def _read_labels(job: SiteJob) -> SiteLabels:
    """The labels, moved."""
    return read_labels(
        job.labels,
        job.legend,
        job.map_grid,
        job.settings.lines,
        job.base,
        job.site.shift_m,
        complete=job.site.coverage is not None,
    )


def _build_image(
    scene: Scene, grid: Grid, image: ImageSettings, folder: Path
) -> tuple[Acquisition, NDArray[np.bool_]]:
    """Write one acquisition; also return where it has data, (H, W) bool."""
    pixels = read_on_grid(scene, grid, image)
    valid = valid_mask(pixels)
    if not valid.any():
        raise InputError(f"{scene.path}: the image has no data inside the site's grid")
    path = folder / f"{scene.date}.tif"
    tags = {"ACQUISITION_DATE": str(scene.date)}
    write_raster(path, pixels, grid, nodata=0, names=image.bands, tags=tags)
    kept = Acquisition(scene.date, path, sha256(path), scene.shift_m, scene.conditions, scene.masks)
    return kept, valid


def _usable_labels(job: SiteJob, labels: NDArray[np.uint8], seen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The labels (nH, nW); 255 where no date has data, or they are not covered, or to be ignored.

    `seen` is (H, W), in image pixels.
    """
    grid = job.map_grid
    usable = refine(seen, job.settings.finer).copy()
    if job.site.coverage is not None:
        path = job.base / job.site.coverage
        covered = burn_mask(read_polygons(path, grid), grid)
        if not covered.any():
            raise InputError(f"{path}: the coverage does not overlap the image")
        usable &= covered
    if job.site.ignore is not None:
        usable &= ~burn_mask(read_polygons(job.base / job.site.ignore, grid), grid)
    labels = np.where(usable, labels, np.uint8(IGNORE))
    if (labels == IGNORE).all():
        raise InputError(
            f"site {job.series.name!r}: no pixel is left that has both an image and a label; "
            "check the coverage, the ignore polygons and the no-data of the images"
        )
    return labels


def _write_labels(path: Path, labels: NDArray[np.uint8], job: SiteJob, source: SiteLabels) -> None:
    """Write a label raster that says in its tags where it comes from."""
    origin = {f"LABELS_{key.upper()}": value for key, value in source.origin.items()}
    maker = origin.pop("LABELS_ATTRIBUTION", job.settings.attribution)
    write_raster(
        path,
        labels[None],
        job.map_grid,
        nodata=IGNORE,
        names=["class"],
        colors={c.id: c.rgb for c in job.legend.classes},
        tags={"TIFFTAG_COPYRIGHT": maker, **origin},
    )
