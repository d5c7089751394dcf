"""Building a dataset: scenes and vectors become aligned series and labels."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from shapely import box

from swath.dataset.catalog import read_dataset
from swath.dataset.catalogfile import write_catalog
from swath.dataset.site import Dataset, Site
from swath.dataset.sitebuild import build_site, plan_site
from swath.grid import Finer
from swath.labels.burn import check_widening
from swath.legend import IGNORE, Legend, read_legend
from swath.outfolder import Kind, check_out, replacing_folder
from swath.progress import tell, track
from swath.sentinel2 import Encoding, ImageSettings, check_bands
from swath.sites.schema import read_sites_file
from swath.workers import HERE, Workers, open_crew


def build_dataset(
    sites_file: Path,
    out: Path,
    *,
    bands: tuple[str, ...] | None = None,
    encoding: Encoding | None = None,
    finer: Finer | None = None,
    overwrite: bool = False,
    workers: Workers = HERE,
) -> Dataset:
    """Build a dataset from a sites file, whose relative paths start at its folder.

    Everything is planned first, from headers, so that what is wrong shows at once. The folder
    appears under its name when it is complete. Bands, encoding and fineness of the labels may
    replace the sites file's.

    Raises:
        SettingsError: The sites file is wrong.
        InputError: `bands` are not distinct names; otherwise as `plan_site` and `build_site`.
        OutputExistsError: `out` exists and `overwrite` is False.
        WorkerError: Workers die again and again, or cannot do the work.
    """
    sites_file, out = workers.locate(sites_file), workers.locate(out)
    settings, base = read_sites_file(sites_file), sites_file.parent
    if bands is not None:
        check_bands(bands)
    shown = bands or settings.image.bands
    image = ImageSettings(
        bands=shown,
        encoding=encoding or settings.image.encoding,
        optional=tuple(band for band in settings.image.optional if band in shown),
        least_spread=settings.image.least_spread,
    )
    settings = settings.model_copy(update={"image": image, "finer": finer or settings.finer})
    check_out(out, Kind.DATASET, [sites_file], overwrite=overwrite)
    legend = read_legend(settings.legend, base)
    check_widening(legend, settings.lines)
    jobs = [plan_site(name, settings, legend, base) for name in settings.sites]
    reads = [sites_file, *(path for job in jobs for path in job.reads)]
    with replacing_folder(out, Kind.DATASET, reads, overwrite=overwrite) as folder:
        with open_crew(workers, folder, [sites_file]) as crew:
            results = crew.run(partial(build_site, root=folder), jobs)
            built = {
                job.series.name: result for job, result in track(results, "building sites", total=len(jobs))
            }
        for left in folder.rglob(".tmp-*"):  # of a worker that was lost
            left.unlink()
        sites, makers = zip(*(built[name] for name in settings.sites), strict=True)
        attribution = _credits(settings.attribution, makers)
        write_catalog(Dataset(folder, legend, image, sites, attribution))
        # The catalog is a contract: what cannot be read back must not get its final name.
        read_dataset(folder)
    if told := told_overlaps(sites):
        tell(f"warning: {told}")
    return read_dataset(out)


def told_overlaps(sites: Sequence[Site]) -> str:
    """Which regions of different splits lie on the same ground, as a sentence; empty where none do.

    Those of different CRS are not compared.
    """
    areas = [
        (
            f"{site.name} ({region.split})",
            region.split,
            site.grid.crs,
            box(*site.grid.crop(region.window).bounds),
        )
        for site in sites
        for region in site.regions
    ]
    pairs = [
        f"{ours[0]} and {theirs[0]}"
        for ours, theirs in combinations(areas, 2)
        if ours[1] != theirs[1] and ours[2] == theirs[2] and ours[3].intersection(theirs[3]).area > 0
    ]
    if not pairs:
        return ""
    more = f", and {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
    return f"{pairs[0]} overlap on the ground{more}: scores there flatter what has learnt from it"


def _credits(attribution: str, makers: Iterable[str]) -> str:
    """Who made the data: the labels' makers too, where the sites file's author forgot them."""
    for maker in makers:
        osm = "openstreetmap" in maker.lower() and "openstreetmap" in attribution.lower()
        if maker and maker not in attribution and not osm:
            attribution = f"{attribution}; {maker}"
    return attribution


def class_shares(labels: NDArray[np.uint8], legend: Legend) -> tuple[dict[str, float], float]:
    """How much of a label raster (H, W), 255 = ignore, each class has, and how much is ignored.

    Shares 0..1: of the labelled pixels by name of the class, and of all pixels.
    """
    counts = np.bincount(labels.ravel(), minlength=IGNORE + 1)
    labelled = labels.size - int(counts[IGNORE])
    shares = {c.name: float(counts[c.id] / max(1, labelled)) for c in legend.classes}
    return shares, float(counts[IGNORE] / labels.size)
