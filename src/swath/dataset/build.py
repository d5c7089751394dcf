"""Building a dataset: scenes and vectors become aligned series and labels."""

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.dataset.catalog import read_dataset, write_catalog
from swath.dataset.site import Acquisition, Dataset, Region, Site
from swath.dataset.splits import plan_regions
from swath.errors import InputError, SettingsError
from swath.files import check_free, replacing, replacing_folder, sha256
from swath.grid import Grid
from swath.labels.burn import burn, burn_mask, check_widening, margin_px
from swath.labels.features import read_polygons
from swath.labels.source import Labelled, LabelSettings, read_labels_source
from swath.legend import IGNORE, Legend, read_legend
from swath.progress import track
from swath.scenes.raster import write_raster
from swath.scenes.scene import Scene
from swath.scenes.warp import check_meets, find_scenes, plan_grid, read_on_grid
from swath.sentinel2 import TCI_BANDS, Encoding, ImageSettings, check_bands, valid_mask
from swath.sites.schema import SiteSettings, SitesFile, read_sites_file
from swath.workers import HERE, Crew, Workers, open_crew


@dataclass(frozen=True, slots=True)
class SitePlan:
    """What is to be made for one site, known from headers only.

    Attributes:
        name: Also the name of its folder.
        scenes: Oldest first.
        grid: Where everything of the site will lie.
        regions: What belongs to which split.
        labels: Where the labelled features come from; its path starts at the sites file.
        coverage: Polygons inside which the labels are complete, where given.
        ignore: Polygons to be ignored, where given.
        shift_m: (east, north) by which the features are moved.
        labels_date: Day whose state the labels show, as the settings have it.
    """

    name: str
    scenes: tuple[Scene, ...]
    grid: Grid
    regions: tuple[Region, ...]
    labels: LabelSettings
    coverage: Path | None
    ignore: Path | None
    shift_m: tuple[float, float] = (0.0, 0.0)
    labels_date: dt.date | None = None


def build_dataset(
    sites_file: Path,
    out: Path,
    *,
    bands: tuple[str, ...] | None = None,
    encoding: Encoding | None = None,
    overwrite: bool = False,
    workers: Workers = HERE,
) -> Dataset:
    """Build a dataset from a sites file.

    Everything is planned first, from headers, so that what is wrong shows at once. The folder
    appears under its name when it is complete.

    Args:
        sites_file: SITES.yaml; paths in it are relative to it.
        out: The dataset's folder.
        bands: Names of the bands, in place of the sites file's.
        encoding: In place of the sites file's.
        overwrite: Whether an existing folder may be replaced.
        workers: Who builds the sites, one at a time each.

    Returns:
        The dataset, as read back from the folder.

    Raises:
        SettingsError: The sites file is wrong.
        InputError: An image or a vector file is missing, unreadable, or does not fit; or `bands`
            are not distinct names.
        GridError: A site's grid cannot be made.
        OutputExistsError: `out` exists and `overwrite` is False.
        RemoteError: An Overpass server refuses, or does not recover.
        MissingExtraError: Labels from OpenStreetMap data without the extra `osm`.
        WorkerError: Workers die again and again, or cannot do the work.
    """
    sites_file, out = workers.locate(sites_file), workers.locate(out)
    settings = _read_settings(sites_file, bands, encoding)
    check_free(out, overwrite=overwrite)
    legend = read_legend(settings.legend, sites_file.parent)
    check_widening(legend, settings.widening)
    plans = [
        plan_site(name, site, settings, sites_file.parent) for name, site in settings.sites.items()
    ]
    with replacing_folder(out, overwrite=overwrite) as folder:
        jobs = [_SiteJob(plan, settings, legend, sites_file.parent, folder) for plan in plans]
        with open_crew(workers, folder, [sites_file]) as crew:
            built = dict(track(_in_turn(crew, jobs), "building sites", total=len(jobs)))
        attribution = settings.attribution
        sites = []
        for plan in plans:
            site, makers = built[plan.name]
            sites.append(site)
            # Whoever wrote the sites file may have forgotten them.
            if "openstreetmap" in makers.lower() and "openstreetmap" not in attribution.lower():
                attribution = f"{attribution}; {makers}"
        for left in folder.rglob(".tmp-*"):  # of a worker that was lost
            left.unlink()
        write_catalog(Dataset(folder, legend, settings.image, tuple(sites), attribution))
        # The catalog is a contract: what cannot be read back must not get its final name.
        read_dataset(folder)
    return read_dataset(out)


def _read_settings(
    sites_file: Path, bands: tuple[str, ...] | None, encoding: Encoding | None
) -> SitesFile:
    """A sites file, with other image settings where they are given."""
    settings = read_sites_file(sites_file)
    if bands is not None:
        check_bands(bands)
    image = ImageSettings(
        bands=bands or settings.image.bands, encoding=encoding or settings.image.encoding
    )
    return settings.model_copy(update={"image": image})


def plan_site(name: str, site: SiteSettings, settings: SitesFile, folder: Path) -> SitePlan:
    """Plan one site: find its files, read their headers, lay its grid and its regions.

    Args:
        name: The site's name.
        site: Its settings.
        settings: The sites file it stands in.
        folder: Where relative paths start.

    Raises:
        SettingsError: A setting does not fit the files.
        InputError: A file is missing, or an image is not what it should be.
        GridError: The grid cannot be made.
    """
    if not site.scenes:
        raise SettingsError(
            f"site {name!r} names no scenes; give `scenes:`, or let `swath fetch` find them"
        )
    if site.labels is None:
        raise SettingsError(f"site {name!r} names no labels; give `labels:` in the sites file")
    scenes = find_scenes(site.scenes, folder)
    for scene in scenes:
        scene.band_indexes(settings.image.bands)
    grid = plan_grid(scenes, bounds=site.bounds, crs=site.crs, resolution_m=settings.resolution_m)
    for scene in scenes:
        check_meets(scene, grid)
    if site.split is not None:
        regions: tuple[Region, ...] = (Region(site.split, grid.window),)
    else:
        regions = plan_regions(site.regions, grid.shape, site.guard_px, name)
    coverage, ignore = (
        None if path is None else folder / path for path in (site.coverage, site.ignore)
    )
    labels = None if site.labels.path is None else folder / site.labels.path
    for path in (labels, coverage, ignore):
        if path is not None and not path.exists():
            raise InputError(f"{path}: no such file (site {name!r})")
    return SitePlan(
        name,
        scenes,
        grid,
        regions,
        site.labels,
        coverage,
        ignore,
        site.shift_m,
        site.labels_date,
    )


@dataclass(frozen=True, slots=True)
class _SiteJob:
    """What a worker needs to build one site under `root`."""

    plan: SitePlan
    settings: SitesFile
    legend: Legend
    base: Path
    root: Path


def _in_turn(crew: Crew, jobs: Sequence[_SiteJob]) -> Iterator[tuple[str, tuple[Site, str]]]:
    for job, made in crew.run(_build_site, jobs):
        yield job.plan.name, made


def _build_site(job: _SiteJob) -> tuple[Site, str]:
    """Write one site's images, labels and vectors; also who made its labels."""
    plan, settings, legend, base = job.plan, job.settings, job.legend, job.base
    folder = job.root / plan.name
    folder.mkdir(exist_ok=True)  # a worker that was lost may have begun
    grid = plan.grid
    # What will be moved into the grid lies outside it now.
    moved_px = math.ceil(max(map(abs, plan.shift_m)) / min(grid.resolution))
    margin = margin_px(legend, grid, settings.widening) + moved_px
    source = move_labels(read_labels_source(plan.labels, legend, grid, base, margin), plan.shift_m)
    acquisitions = []
    seen = np.zeros(grid.shape, bool)
    for scene in plan.scenes:
        acquisition, valid = _build_image(scene, grid, settings.image, folder)
        acquisitions.append(acquisition)
        seen |= valid
    labels = burn(source.features, legend, grid, settings.widening)
    labels[~(seen & _labelled(plan))] = IGNORE
    if source.complete is not None:
        labels[~source.complete] = IGNORE
    if (labels == IGNORE).all():
        raise InputError(
            f"site {plan.name!r}: no pixel is left that has both an image and a label; check the "
            "coverage, the ignore polygons and the no-data of the images"
        )
    labels_path, roads_path = folder / "labels.tif", folder / "roads.parquet"
    colors = {c.id: c.rgb for c in legend.classes}
    said = source.features.attrs
    tags = {f"LABELS_{key.upper()}": value for key, value in said.items() if key != "attribution"}
    write_raster(
        labels_path,
        labels[None],
        grid,
        nodata=IGNORE,
        names=["class"],
        colors=colors,
        tags={"TIFFTAG_COPYRIGHT": source.attribution or settings.attribution, **tags},
    )
    with replacing(roads_path) as temporary:
        source.features.to_parquet(temporary)
    site = Site(
        name=plan.name,
        grid=grid,
        acquisitions=tuple(acquisitions),
        labels=labels_path,
        labels_sha256=sha256(labels_path),
        roads=roads_path,
        regions=plan.regions,
        labels_date=dt.date.fromisoformat(said["date"]) if "date" in said else plan.labels_date,
        shift_m=plan.shift_m,
    )
    return site, source.attribution


def move_labels(source: Labelled, shift_m: tuple[float, float]) -> Labelled:
    """Labels with their features moved (east, north) by `shift_m`; nothing else is."""
    if shift_m == (0.0, 0.0):
        return source
    features = source.features
    moved = features.set_geometry(features.geometry.translate(*shift_m))
    moved.attrs = features.attrs
    return replace(source, features=moved)


def _build_image(
    scene: Scene, grid: Grid, image: ImageSettings, folder: Path
) -> tuple[Acquisition, NDArray[np.bool_]]:
    """Write one acquisition; also return where it has data, (H, W) bool."""
    pixels = read_on_grid(scene, grid, image)
    valid = valid_mask(pixels)
    if not valid.any():
        raise InputError(f"{scene.path}: the image has no data inside the site's grid")
    path = folder / f"{scene.date}.tif"
    write_raster(
        path,
        pixels,
        grid,
        nodata=0,
        names=image.bands,
        rgb=image.encoding == "tci" and image.bands == TCI_BANDS,
        tags={"ACQUISITION_DATE": str(scene.date)},
    )
    kept = Acquisition(scene.date, path, sha256(path), scene.shift_m, scene.conditions, scene.masks)
    return kept, valid


def _labelled(plan: SitePlan) -> NDArray[np.bool_]:
    """(H, W) bool: inside the coverage, and in no polygon to be ignored."""
    mask = np.ones(plan.grid.shape, bool)
    if plan.coverage is not None:
        mask = burn_mask(read_polygons(plan.coverage, plan.grid), plan.grid)
        if not mask.any():
            raise InputError(f"{plan.coverage}: the coverage does not overlap the image")
    if plan.ignore is not None:
        mask &= ~burn_mask(read_polygons(plan.ignore, plan.grid), plan.grid)
    return mask


def class_shares(labels: NDArray[np.uint8], legend: Legend) -> tuple[dict[str, float], float]:
    """How much of a label raster each class has, and how much is ignored.

    Args:
        labels: (H, W) uint8 class ids, 255 = ignore.
        legend: Names of the classes.

    Returns:
        Class name -> share 0..1 of the labelled pixels; share 0..1 of all pixels that is ignored.
    """
    counts = np.bincount(labels.ravel(), minlength=IGNORE + 1)
    labelled = labels.size - int(counts[IGNORE])
    shares = {c.name: float(counts[c.id] / max(1, labelled)) for c in legend.classes}
    return shares, float(counts[IGNORE] / labels.size)
