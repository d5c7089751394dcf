"""Further days of the sites of a sites file: reading their images, writing what is made."""

import datetime as dt
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import yaml

from swath.errors import InputError, SettingsError
from swath.files import write_json, write_text
from swath.lab.days.dayfit import Fit, fit_days
from swath.lab.days.makedays import make_days
from swath.lab.realism.siteimages import BANDS
from swath.outfolder import Kind, making_file, replacing_folder
from swath.progress import track
from swath.scenes.raster import write_raster
from swath.scenes.scene import SceneSettings
from swath.sentinel2 import QUANTIFICATION
from swath.sites.moved import move_sites
from swath.sites.schema import SitesFile, read_sites_file
from swath.sites.series import SceneSeries, plan_series, read_series
from swath.validation import read_model

_BRIGHTEST = 30_000
"""Reflectance x 10000: the largest number that is written."""


def fit_sites(sites_file: Path, leave_out: Collection[str], out: Path, *, overwrite: bool = False) -> Fit:
    """Fit the changes from day to day on the sites of a file, and write them as JSON.

    Args:
        sites_file: As `swath build` takes it; sites need no labels.
        leave_out: Sites that are not looked at.
        out: The file to write.
        overwrite: Whether it may be replaced.

    Raises:
        SettingsError: The file breaks the format, or has no such site.
        InputError: An image cannot be read; no site has two.
        OutputExistsError: `out` is there and may not be replaced.
    """
    settings = _read(sites_file, leave_out)
    planned = [
        plan_series(name, settings, sites_file.parent, BANDS)
        for name in settings.sites
        if name not in leave_out
    ]
    with making_file(out, [sites_file, *_images(planned)], overwrite=overwrite):
        fit = fit_days(
            [(series.name, *read_series(series, BANDS)) for series in track(planned, "reading pairs of days")]
        )
        write_json(out, fit.model_dump(mode="json"))
    return fit


def read_fit(path: Path) -> Fit:
    """Read what `fit_sites` wrote.

    Raises:
        InputError: No such file, or another one.
    """
    try:
        return read_model(path, Fit)
    except InputError as error:
        raise InputError(f"{error}; make it by `swath lab days fit`") from None


def make_sites(
    sites_file: Path,
    fit: Fit,
    out: Path,
    *,
    count: int,
    names: Sequence[str] = (),
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, list[dt.date]]:
    """Make further days of sites, from the first two images of each.

    The folder gets `<site>/<date>.tif` and `sites.yaml`, which is the given file with these days
    beside the real ones. Dates are invented: evenly spread between the two real ones.

    Args:
        sites_file: As `swath build` takes it.
        fit: How days differ.
        out: The folder to make.
        count: Days a site.
        names: Which sites; none: all.
        seed: The same seed gives the same files.
        overwrite: Whether `out` may be replaced.

    Returns:
        Site -> the dates of its further days.

    Raises:
        SettingsError: The file breaks the format, or has no such site.
        InputError: An image cannot be read; a site has one only, or two days apart too little.
        OutputExistsError: `out` is there and may not be replaced.
    """
    settings = _read(sites_file, names)
    planned = [
        plan_series(name, settings, sites_file.parent, BANDS).first(2)
        for name in settings.sites
        if not names or name in names
    ]
    dates = {series.name: _dates_between(series, count) for series in planned}
    reads = [sites_file, *_images(planned)]
    with replacing_folder(out, Kind.WORLD, reads, overwrite=overwrite) as folder:
        for number, series in enumerate(track(planned, "making days")):
            _make_site(series, fit, dates[series.name], seed * 1000 + number, folder, settings)
        _write_sites(move_sites(settings, sites_file.parent, out), dates, folder)
    return dates


def _read(sites_file: Path, names: Collection[str]) -> SitesFile:
    """A sites file, after a look whether the sites that are named are among its own."""
    settings = read_sites_file(sites_file)
    if unknown := sorted(set(names) - set(settings.sites)):
        raise SettingsError(
            f"{sites_file} has no site {unknown[0]!r}; its sites are {', '.join(settings.sites)}"
        )
    return settings


def _images(planned: Sequence[SceneSeries]) -> list[Path]:
    return [scene.path for series in planned for scene in series.scenes]


def _dates_between(series: SceneSeries, count: int) -> list[dt.date]:
    if len(series.dates) < 2:
        raise InputError(f"site {series.name!r} has one image; days are made from two")
    first, second = series.dates
    apart = (second - first).days
    if apart <= count:
        raise InputError(
            f"site {series.name!r}: its images are {apart} days apart, no room for {count} dates between"
        )
    return [first + dt.timedelta(days=apart * (n + 1) // (count + 1)) for n in range(count)]


def _make_site(
    series: SceneSeries,
    fit: Fit,
    dates: Sequence[dt.date],
    seed: int,
    folder: Path,
    settings: SitesFile,
) -> None:
    """Write the further days of a site into `folder`."""
    images, known = make_days(*read_series(series, BANDS), fit, len(dates), seed)
    first, second = series.dates
    tags = {
        "TIFFTAG_IMAGEDESCRIPTION": f"Made by swath from the images of {first} and {second}, no "
        f"real day: {settings.attribution}"
    }
    for date, image in zip(dates, images, strict=True):
        stored = np.where(known, np.clip(np.rint(image * QUANTIFICATION), 1, _BRIGHTEST), 0)
        path = folder / series.name / f"{date}.tif"
        write_raster(path, stored.astype(np.uint16), series.grid, nodata=0, names=BANDS, tags=tags)


def _write_sites(moved: SitesFile, names: Collection[str], folder: Path) -> None:
    """Write the sites file of the folder: the sites of these names, with their further days."""
    sites = {
        name: moved.sites[name].model_copy(
            update={"scenes": (*moved.sites[name].scenes, SceneSettings(path=f"{name}/*.tif"))}
        )
        for name in names
    }
    values = moved.model_copy(update={"sites": sites}).model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    head = "# Made by swath lab days: the real images and, beside them, days that never were.\n"
    write_text(folder / "sites.yaml", head + text)
