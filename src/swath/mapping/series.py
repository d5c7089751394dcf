"""The series that a map is made from: a site of a dataset, or scenes brought onto one grid."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import rasterio
from pyproj import CRS

from swath.dataset.site import Dataset, Site, read_image
from swath.errors import DatasetError, ModelError
from swath.grid import Grid
from swath.mapping.predict import DatedImage
from swath.mapping.tiles import plan_tiles
from swath.models.trained import ModelSpec
from swath.progress import track
from swath.scenes.raster import BLOCK_PX, plan_source_window, rasterio_window, read_raster
from swath.scenes.scene import Scene
from swath.scenes.series import find_scenes, plain_scene, plan_grid, read_on_grid
from swath.sentinel2 import NODATA
from swath.settings import ImageSettings, SceneSettings, SplitName

PIECE_PX = 1024
"""Scenes are warped in pieces of this side, whatever the tiles: so no tile changes a pixel."""


@dataclass(frozen=True, slots=True)
class Series:
    """What is mapped as one site.

    Attributes:
        site: Its name, and that of its folder in MAPS.
        grid: Where its maps lie.
        dates: Its dates, oldest first.
        attribution: Who made the images.
        prepare: Given a folder for temporary files, makes the images ready to be read.
    """

    site: str
    grid: Grid
    dates: tuple[dt.date, ...]
    attribution: str
    prepare: Callable[[Path], tuple[DatedImage, ...]]


def site_series(site: Site, dataset: Dataset, dates: int, wanted: Sequence[dt.date]) -> Series:
    """A site of a dataset.

    Args:
        site: Of `dataset`.
        dataset: Gives the attribution.
        dates: How many acquisitions to take where `wanted` is empty: the most recent ones, or all
            if there are fewer.
        wanted: The dates to take, in any order.

    Raises:
        DatasetError: The site has no acquisition of a wanted date.
    """
    chosen = [site.acquisition(date) for date in sorted(set(wanted))] or site.acquisitions[-dates:]
    images = tuple(DatedImage(a.date, partial(read_image, a)) for a in chosen)
    days = tuple(image.date for image in images)
    return Series(site.name, site.grid, days, dataset.attribution, lambda _: images)


def select_sites(
    dataset: Dataset, spec: ModelSpec, split: SplitName | None, names: Sequence[str]
) -> tuple[Site, ...]:
    """The sites of a split as the model's run had it.

    A run may have split the sites anew, so its own record comes first; a site that it does not name
    is in the split that the dataset says.

    Args:
        dataset: Where to look.
        spec: Of the model.
        split: Which; None: all.
        names: Only these sites, where any are given.

    Raises:
        DatasetError: A name that the dataset does not have or that is not in the split, or no site.
    """
    seen = {name for members in spec.splits.values() for name in members}

    def belongs(site: Site) -> bool:
        if split is None:
            return True
        if site.name in seen:
            return site.name in spec.splits.get(split, [])
        return split in site.splits

    sites = tuple(site for site in dataset.sites if belongs(site))
    if not sites:
        raise DatasetError(f"{dataset.root} has no site in the split {split!r} of this run")
    for name in names:
        if dataset.site(name) not in sites:
            inside = ", ".join(site.name for site in sites)
            raise DatasetError(
                f"site {name!r} is not in the split {split!r} of this run; in it are {inside}"
            )
    return tuple(site for site in sites if not names or site.name in names)


def check_images(dataset: Dataset, spec: ModelSpec) -> None:
    """Check that a dataset's images are what the model reads.

    Raises:
        ModelError: Other bands, another order, or another encoding.
    """
    if dataset.image != spec.image:
        raise ModelError(
            f"the images of {dataset.root} are {_describe(dataset.image)}, but the model reads "
            f"{_describe(spec.image)}; build the dataset with the model's image settings"
        )


def scene_series(
    name: str,
    paths: Sequence[Path],
    bands: tuple[str, ...] | None,
    image: ImageSettings,
    mask: str | None = None,
    level: Literal["L1C", "L2A"] | None = None,
) -> Series:
    """Scenes of one place, to be warped onto the grid where all of them overlap.

    Args:
        name: What to call the site.
        paths: GeoTIFFs whose names hold their dates, or Sentinel-2 products.
        bands: Band names in the files' order; None: as the files say.
        image: Which bands the model reads, in which encoding.
        mask: Which pixels are not to be used, as in a sites file: a raster, `{date}` in its path
            standing for the date, or the name of the cloud model.
        level: Processing level of image files, for the cloud model.

    Raises:
        InputError: A file that is missing or unusable, lacks a band, or two files of one day.
        SettingsError: A band name that does not exist.
    """
    settings = [
        SceneSettings(path=str(path), bands=bands, mask=mask, level=level) for path in paths
    ]
    scenes = find_scenes(settings, Path())
    for scene in scenes:
        scene.band_indexes(image.bands)
    grid = plan_grid(scenes, crs=_shared_crs(scenes))
    dates = tuple(scene.date for scene in scenes)
    years = f"{dates[0].year}-{dates[-1].year}" if dates[0].year < dates[-1].year else dates[0].year
    return Series(
        name,
        grid,
        dates,
        f"Contains modified Copernicus Sentinel data {years}",
        lambda folder: tuple(_warp(scene, grid, image, folder) for scene in scenes),
    )


def _describe(image: ImageSettings) -> str:
    return f"{', '.join(image.bands)} as {image.encoding}"


def _shared_crs(scenes: Sequence[Scene]) -> str | None:
    """The system that all scenes are in, if it is one in metres: they then need no warping."""
    first = scenes[0].grid.crs
    system = CRS.from_user_input(first)
    metric = system.is_projected and system.axis_info[0].unit_name == "metre"
    return first if metric and all(scene.grid.crs == first for scene in scenes) else None


def _warp(scene: Scene, grid: Grid, image: ImageSettings, folder: Path) -> DatedImage:
    """Bring a scene onto the grid, piece by piece, as a file in `folder`."""
    path = folder / f"{scene.date}.tif"
    profile = grid.profile() | {
        "driver": "GTiff",
        "count": len(image.bands),
        "dtype": "uint8" if image.encoding == "tci" else "uint16",
        "nodata": NODATA,
        "tiled": True,
        "blockxsize": BLOCK_PX,
        "blockysize": BLOCK_PX,
        "sparse_ok": True,
        "bigtiff": "if_safer",
    }
    pieces = plan_tiles(grid.shape, PIECE_PX, 0, 1)
    with (
        plain_scene(scene, grid, image, folder) as plain,
        rasterio.open(path, "w", **profile) as target,
    ):
        for piece in track(pieces, f"warping {scene.date}"):
            part = grid.crop(piece.core)
            if plan_source_window(plain.grid, part).size:
                warped = read_on_grid(plain, part, image)
                target.write(warped, window=rasterio_window(piece.core))
    return DatedImage(scene.date, lambda window: read_raster(path, window, fill=NODATA))
