"""The series that a map is made from: a site of a dataset, or scenes brought onto one grid."""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import rasterio
from pydantic import JsonValue

from swath.dataset.site import Acquisition, Dataset, Site, read_image
from swath.errors import DatasetError, InputError, ModelError
from swath.files import content_hash, replacing
from swath.grid import Grid, Window
from swath.keys import Decided
from swath.mapping.predict import DatedImage, Image
from swath.maps.rasters import CACHE_BYTES
from swath.models.spec import ModelSpec
from swath.progress import tell, track
from swath.scenes.checked import writing_checked
from swath.scenes.raster import open_raster, plan_source_window, rasterio_window, read_raster, tiff_profile
from swath.scenes.scene import Scene, SceneSettings
from swath.scenes.warp import check_scene, plain_scene, read_on_grid, scene_levels
from swath.sentinel2 import NODATA, ImageSettings, Level
from swath.sites.schema import SplitName
from swath.sites.series import SceneSeries, plan_loose_series
from swath.tiles import plan_tiles

PIECE_PX = 1024
"""Scenes are warped in pieces of this side, whatever the tiles: so no tile changes a pixel."""

COPERNICUS = "Contains modified Copernicus Sentinel data"

_YEARS = re.compile(rf"(?:{COPERNICUS} )(\d{{4}})(?:-(\d{{4}}))?")


@dataclass(frozen=True, slots=True)
class Source:
    """One date of a series, before its image is ready.

    Attributes:
        date: Day of acquisition.
        attribution: Who made the image.
        files: The files and folders that hold it, and its mask.
        identify: Gives the hash of the image file and of how it is read: the same hash, the same
            pixels (on the same grid). It reads the file.
        prepare: Given a folder for temporary files, makes the image ready to be read. What it
            left there before a crash, it takes up.
        crop: The same date on a window of the grid.
    """

    date: dt.date
    attribution: str
    files: tuple[Path, ...]
    identify: Callable[[], str]
    prepare: Callable[[Path], DatedImage]
    crop: Callable[[Window], "Source"]


@dataclass(frozen=True, slots=True)
class Series:
    """What is mapped as one site.

    Attributes:
        site: Its name, and that of its folder in MAPS.
        grid: Where its maps lie.
        sources: Its dates, oldest first.
    """

    site: str
    grid: Grid
    sources: tuple[Source, ...]

    @property
    def dates(self) -> tuple[dt.date, ...]:
        """Its dates, oldest first."""
        return tuple(source.date for source in self.sources)


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
        InputError: An image cannot be read, or does not lie on the site's grid.
    """
    chosen = [site.acquisition(date) for date in sorted(set(wanted))] or site.acquisitions[-dates:]
    for acquisition in chosen:  # all of them before the first is mapped
        _check_image(acquisition.path, site.grid)
    sources = tuple(_site_source(a, dataset.attribution) for a in chosen)
    return Series(site.name, site.grid, sources)


def _check_image(path: Path, grid: Grid) -> None:
    with open_raster(path) as source:
        if source.shape != grid.shape:
            raise InputError(
                f"{path}: {source.width} x {source.height} px; the catalogue says {grid.size_text}; "
                "build the dataset again"
            )


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
        DatasetError: A name that is not in the split, or no site.
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
            raise DatasetError(f"site {name!r} is not in the split {split!r} of this run; in it are {inside}")
    return tuple(site for site in sites if not names or site.name in names)


def check_images(dataset: Dataset, spec: ModelSpec) -> None:
    """Raise `ModelError` if a dataset has other bands, or another encoding, than a model reads."""
    if (dataset.image.bands, dataset.image.encoding) != (spec.image.bands, spec.image.encoding):
        have, reads = (f"{', '.join(i.bands)} as {i.encoding}" for i in (dataset.image, spec.image))
        raise ModelError(
            f"the images of {dataset.root} are {have}, but the model reads {reads}; build the "
            "dataset with the model's image settings"
        )


def scene_series(
    name: str,
    paths: Sequence[Path],
    bands: tuple[str, ...] | None,
    image: ImageSettings,
    mask: str | None = None,
    level: Level | None = None,
    grid: Grid | None = None,
) -> Series:
    """Scenes of one place, to be warped onto one grid.

    Args:
        name: What to call the site.
        paths: GeoTIFFs whose names hold their dates, or Sentinel-2 products.
        bands: Band names in the files' order; None: as the files say.
        image: Which bands the model reads, in which encoding.
        mask: As in a sites file.
        level: As in a sites file.
        grid: Where to; None: around all of them.

    Raises:
        InputError: A file that is missing or unusable, lacks a band, or two files of one day.
        SettingsError: A band name that does not exist.
    """
    entries = [SceneSettings(path=str(path), bands=bands, mask=mask, level=level) for path in paths]
    return warped_series(plan_loose_series(name, entries, image.required, grid), image)


def warped_series(series: SceneSeries, image: ImageSettings) -> Series:
    """Scenes, to be warped onto the grid of their series; `InputError` if one cannot give such images."""
    for scene in series.scenes:  # all of them before the first is mapped
        check_scene(scene, image)
    sources = tuple(scene_source(scene, series.grid, image) for scene in series.scenes)
    return Series(series.name, series.grid, sources)


def scene_source(scene: Scene, grid: Grid, image: ImageSettings) -> Source:
    """A scene that has the bands of `image`, to be warped onto a grid."""
    return Source(
        scene.date,
        f"{COPERNICUS} {scene.date.year}",
        (scene.path, *([] if scene.mask is None else [scene.mask])),
        partial(_identify, scene, image),
        partial(_warp, scene, grid, image),
        lambda window: scene_source(scene, grid.crop(window), image),
    )


def join_attributions(attributions: Sequence[str]) -> str:
    """One line for all images: each attribution once, the years of Copernicus data joined."""
    matches = [_YEARS.fullmatch(text) for text in attributions]
    years = [int(year) for match in matches if match for year in match.groups() if year]
    span = f"{min(years)}-{max(years)}" if len(set(years)) > 1 else "".join(map(str, years[:1]))
    parts = [
        f"{COPERNICUS} {span}" if match else text for match, text in zip(matches, attributions, strict=True)
    ]
    return "; ".join(dict.fromkeys(parts))


def _site_source(acquisition: Acquisition, attribution: str, origin: tuple[int, int] = (0, 0)) -> Source:
    """An acquisition of a dataset, from the pixel `origin` (row, column) of its site on."""
    row, col = origin
    return Source(
        acquisition.date,
        attribution,
        (acquisition.path,),
        lambda: content_hash(acquisition.path),
        lambda _: DatedImage(acquisition.date, partial(_read_site, acquisition, origin)),
        lambda part: _site_source(acquisition, attribution, (row + part.row, col + part.col)),
    )


def _read_site(acquisition: Acquisition, origin: tuple[int, int], window: Window) -> Image:
    return read_image(acquisition, window.shift(*origin))


def _identify(scene: Scene, image: ImageSettings) -> str:
    fields: dict[str, JsonValue] = {
        "image": [content_hash(file) for file in scene.files],
        "mask": None if scene.mask is None else content_hash(scene.mask),
        "bands": list(scene.band_indexes(image.bands, image.optional)),
        "encoding": image.encoding,
        "masks": scene.masks,
        **image.own_stretch,
    }
    return Decided("image", 2, fields).key


def _warp(scene: Scene, grid: Grid, image: ImageSettings, folder: Path) -> DatedImage:
    """Bring a scene onto the grid, piece by piece, as a file in `folder`."""
    path = folder / f"{scene.date}.tif"
    ready = DatedImage(scene.date, partial(read_raster, path, fill=NODATA))
    if path.is_file():
        return ready
    folder.mkdir(parents=True, exist_ok=True)
    dtype = "uint8" if image.encoding == "tci" else "uint16"
    profile = tiff_profile(grid, len(image.bands), dtype, NODATA, sparse=True)
    pieces = plan_tiles(grid.shape, PIECE_PX, 0, 1)
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES),
        plain_scene(scene, grid, image, folder) as plain,
        replacing(path) as temporary,
        writing_checked(temporary, profile, path) as target,
    ):
        levels, seen = scene_levels(plain, grid, image), False
        for piece in track(pieces, f"warping {scene.date}"):
            part = grid.crop(piece.core)
            if plan_source_window(plain.grid, part).size:
                warped = read_on_grid(plain, part, image, levels)
                target.write(warped, rasterio_window(piece.core))
                seen = seen or bool(warped.any())
    if not seen:
        tell(f"{scene.path}: the image has no data inside the map's grid; its own map is empty")
    return ready
