"""Further days of the sites of a sites file: reading their images, writing what is made."""

import datetime as dt
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from swath.errors import InputError, SettingsError
from swath.files import read_json, replacing_folder, write_json
from swath.grid import Grid
from swath.lab.days.days import Fit, fit_days, make_days
from swath.lab.realism.realism import BANDS
from swath.progress import track
from swath.scenes.raster import write_raster
from swath.scenes.scene import SceneSettings
from swath.scenes.warp import find_scenes, plan_grid, read_on_grid
from swath.schema import first_problem
from swath.sentinel2 import QUANTIFICATION, ImageSettings, valid_mask
from swath.sites.schema import SiteSettings, SitesFile, read_sites_file


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    """The images of a site: (T, 4, H, W) reflectance, (T, H, W) where it is known."""

    grid: Grid
    dates: tuple[dt.date, ...]
    images: NDArray[np.float32]
    valid: NDArray[np.bool_]


def _read(site: SiteSettings, folder: Path, most: int | None = None) -> _Series:
    scenes = find_scenes(site.scenes, folder)[:most]
    grid = plan_grid(scenes, bounds=site.bounds, crs=site.crs)
    settings = ImageSettings(bands=BANDS, encoding="reflectance")
    stored = np.stack([read_on_grid(scene, grid, settings) for scene in scenes])
    images = stored.astype(np.float32) / np.float32(QUANTIFICATION)
    return _Series(grid, tuple(scene.date for scene in scenes), images, valid_mask(stored))


def fit_sites(sites_file: Path, leave_out: Collection[str], out: Path) -> Fit:
    """Fit the changes from day to day on the sites of a file, and write them as JSON.

    Args:
        sites_file: As `swath build` takes it; sites need no labels.
        leave_out: Sites that are not looked at.
        out: The file to write.

    Raises:
        SettingsError: The file breaks the format, or has no such site.
        InputError: An image cannot be read; no site has two.
    """
    sites = _chosen(read_sites_file(sites_file), leave_out, sites_file)
    series = (
        (name, found.images, found.valid)
        for name, site in track(sites.items(), "reading pairs of days", len(sites))
        if name not in leave_out
        for found in [_read(site, sites_file.parent)]
    )
    fit = fit_days(list(series))
    write_json(out, fit.model_dump(mode="json"))
    return fit


def read_fit(path: Path) -> Fit:
    """Read what `fit_sites` wrote.

    Raises:
        InputError: No such file, or another one.
    """
    try:
        return Fit.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}; make it by `swath days fit`") from None


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
        Site -> the dates of the made days.

    Raises:
        SettingsError: The file breaks the format, or has no such site.
        InputError: An image cannot be read; a site has one only, or two days apart too little.
        OutputExistsError: `out` is there and may not be replaced.
    """
    whole = read_sites_file(sites_file)
    sites = _chosen(whole, names, sites_file)
    chosen = {name: site for name, site in sites.items() if not names or name in names}
    made: dict[str, list[dt.date]] = {}
    with replacing_folder(out, overwrite=overwrite) as folder:
        for number, (name, site) in enumerate(track(chosen.items(), "making days", len(chosen))):
            found = _read(site, sites_file.parent, most=2)
            dates = _dates_between(name, found.dates, count)
            images, known = make_days(found.images, found.valid, fit, count, seed * 1000 + number)
            for date, image in zip(dates, images, strict=True):
                stored = np.where(known, np.clip(np.rint(image * QUANTIFICATION), 1, 30_000), 0)
                write_raster(
                    folder / name / f"{date}.tif",
                    stored.astype(np.uint16),
                    found.grid,
                    nodata=0,
                    names=BANDS,
                    tags={"TIFFTAG_IMAGEDESCRIPTION": _said(found.dates, whole.attribution)},
                )
            made[name] = dates
        text = yaml.safe_dump(
            _sites_with(whole, made, sites_file.parent, out), sort_keys=False, allow_unicode=True
        )
        head = "# Made by swath days: the real images and, beside them, days that never were.\n"
        (folder / "sites.yaml").write_text(head + text, "utf-8")
    return made


def _said(dates: tuple[dt.date, ...], attribution: str) -> str:
    return f"Made by swath from the images of {dates[0]} and {dates[1]}, no real day: {attribution}"


def _chosen(
    content: SitesFile, names: Collection[str], sites_file: Path
) -> dict[str, SiteSettings]:
    """All sites, after a look whether those that are named are among them."""
    if unknown := sorted(set(names) - set(content.sites)):
        raise SettingsError(
            f"{sites_file} has no site {unknown[0]!r}; its sites are {', '.join(content.sites)}"
        )
    return dict(content.sites)


def _dates_between(name: str, dates: tuple[dt.date, ...], count: int) -> list[dt.date]:
    if len(dates) < 2:
        raise InputError(f"site {name!r} has one image; days are made from two")
    apart = (dates[1] - dates[0]).days
    if apart <= count:
        raise InputError(
            f"site {name!r}: its images are {apart} days apart, no room for {count} dates between"
        )
    return [dates[0] + dt.timedelta(days=apart * (n + 1) // (count + 1)) for n in range(count)]


def _sites_with(
    whole: SitesFile, made: dict[str, list[dt.date]], folder: Path, out: Path
) -> dict[str, Any]:
    """The content of the new sites file: paths led from `out`, made days added."""

    def led(path: str | None) -> str | None:
        return None if path is None else os.path.relpath(folder / path, out)

    sites = {}
    for name in made:
        site = whole.sites[name]
        scenes = tuple(
            scene.model_copy(
                update={
                    "path": led(scene.path),
                    "mask": scene.mask if scene.mask == "ukis-csmask" else led(scene.mask),
                }
            )
            for scene in site.scenes
        )
        labels = site.labels
        if labels is not None:
            labels = labels.model_copy(update={"path": led(labels.path)})
        sites[name] = site.model_copy(
            update={
                "scenes": (*scenes, SceneSettings(path=f"{name}/*.tif")),
                "labels": labels,
                "coverage": led(site.coverage),
                "ignore": led(site.ignore),
            }
        )
    legend = led(whole.legend) if whole.legend.endswith((".yaml", ".yml")) else whole.legend
    content = whole.model_copy(update={"sites": sites, "legend": legend})
    values: dict[str, Any] = content.model_dump(mode="json", exclude_defaults=True)
    return values
