"""Building a dataset: scenes and vectors become aligned series and labels."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.dataset.catalog import read_dataset, write_catalog
from swath.dataset.site import Dataset, Site
from swath.dataset.sitebuild import SiteJob, build_site, plan_build
from swath.files import check_free, replacing_folder
from swath.labels.burn import check_widening
from swath.legend import IGNORE, Legend, read_legend
from swath.progress import track
from swath.sentinel2 import Encoding, ImageSettings, check_bands
from swath.sites.schema import SitesFile, read_sites_file
from swath.workers import HERE, Crew, Workers, open_crew


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
    settings, base = _read_settings(sites_file, bands, encoding), sites_file.parent
    check_free(out, overwrite=overwrite)
    legend = read_legend(settings.legend, base)
    check_widening(legend, settings.widening)
    plans = [plan_build(name, settings, base) for name in settings.sites]
    with replacing_folder(out, overwrite=overwrite) as folder:
        jobs = [SiteJob(plan, settings, legend, base, folder) for plan in plans]
        with open_crew(workers, folder, [sites_file]) as crew:
            built = dict(track(_in_turn(crew, jobs), "building sites", total=len(jobs)))
        for left in folder.rglob(".tmp-*"):  # of a worker that was lost
            left.unlink()
        sites = tuple(built[name][0] for name in settings.sites)
        write_catalog(Dataset(folder, legend, settings.image, sites, _credits(settings, built)))
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


def _in_turn(crew: Crew, jobs: Sequence[SiteJob]) -> Iterator[tuple[str, tuple[Site, str]]]:
    """Name of a site -> the site and who made its labels, as they come."""
    for job, built in crew.run(build_site, jobs):
        yield job.plan.series.name, built


def _credits(settings: SitesFile, built: Mapping[str, tuple[Site, str]]) -> str:
    """Who made the data: OpenStreetMap too, where the sites file's author forgot it."""
    attribution = settings.attribution
    for name in settings.sites:
        makers = built[name][1]
        if "openstreetmap" in makers.lower() and "openstreetmap" not in attribution.lower():
            attribution = f"{attribution}; {makers}"
    return attribution


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
