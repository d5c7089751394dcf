"""The stretch from a sites file to images: scenes are found, checked, and given one grid."""

import datetime as dt
import glob
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from swath.errors import GridError, InputError, SettingsError
from swath.grid import Bounds, Grid, is_metric, normalise_crs, transform_bounds, utm_crs
from swath.scenes.clouds import CLOUD_MODEL, choose_cloud_model
from swath.scenes.mask import find_mask
from swath.scenes.scene import Scene, SceneSettings, read_scene
from swath.scenes.warp import check_meets, read_on_grid
from swath.sentinel2 import QUANTIFICATION, ImageSettings, valid_mask
from swath.sites.schema import SitesFile

MOST_SERIES_PX = 500_000_000
"""Pixels of the grid of a series."""


@dataclass(frozen=True, slots=True)
class SceneSeries:
    """The scenes of one place and the grid that they are brought onto, known from headers only.

    The scenes, oldest first, have the bands that were asked for and meet the grid.
    """

    name: str
    scenes: tuple[Scene, ...]
    grid: Grid

    @property
    def dates(self) -> tuple[dt.date, ...]:
        """Days of acquisition, oldest first."""
        return tuple(scene.date for scene in self.scenes)

    def first(self, count: int) -> "SceneSeries":
        """The series up to its date number `count`, on the same grid."""
        return replace(self, scenes=self.scenes[:count])


def plan_series(name: str, settings: SitesFile, folder: Path, bands: tuple[str, ...]) -> SceneSeries:
    """Plan the series of a site: find its files, read their headers, lay its grid.

    Relative paths start at `folder`; `bands` are what will be read.

    Raises:
        SettingsError: The site names no scenes, or a setting does not fit its files.
        InputError: A scene lacks a band or does not meet the grid; otherwise as `find_scenes`.
        GridError: The grid cannot be made.
    """
    site = settings.sites[name]
    if not site.scenes:
        raise SettingsError(f"site {name!r} names no scenes; give `scenes:`, or let `swath fetch` find them")
    scenes = find_scenes(site.scenes, folder)
    for scene in scenes:
        scene.band_indexes(bands)
    grid = plan_grid(scenes, bounds=site.bounds, crs=site.crs, resolution_m=settings.resolution_m)
    for scene in scenes:
        check_meets(scene, grid)
    return SceneSeries(name, scenes, grid)


def plan_loose_series(name: str, entries: Sequence[SceneSettings], bands: tuple[str, ...]) -> SceneSeries:
    """Plan the series of scenes that stand in no sites file; paths start at the working directory.

    Where all of them are in one system in metres they stay in it, and need no warping.

    Raises:
        InputError: A scene lacks a band; otherwise as `find_scenes` and `plan_grid`.
    """
    scenes = find_scenes(entries, Path())
    for scene in scenes:
        scene.band_indexes(bands)
    systems = {scene.grid.crs for scene in scenes}
    shared = scenes[0].grid.crs if len(systems) == 1 and is_metric(*systems) else None
    return SceneSeries(name, scenes, plan_grid(scenes, crs=shared))


def read_series(series: SceneSeries, bands: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read some bands of all images of a series onto its grid.

    Returns:
        (T, C, H, W) float32 reflectance, 1 = all light, 0 where there is no data; and (T, H, W)
        bool, True where there is.

    Raises:
        InputError: A file is damaged, or holds no reflectance.
    """
    image = ImageSettings(bands=bands, encoding="reflectance")
    stored = np.stack([read_on_grid(scene, series.grid, image) for scene in series.scenes])
    return stored.astype(np.float32) / np.float32(QUANTIFICATION), valid_mask(stored)


def find_scenes(entries: Sequence[SceneSettings], folder: Path) -> tuple[Scene, ...]:
    """Read the headers of all acquisitions of a site, oldest first.

    Entries name files or Sentinel-2 products, also by globs; relative paths start at `folder`.

    Raises:
        InputError: A file that is missing or unusable, a glob that matches nothing, two files of
            one day.
        SettingsError: A date that is given for several files, or excluded but not there.
    """
    scenes: list[Scene] = []
    for entry in entries:
        matched = _read_entry(entry, folder)
        if unknown := sorted(set(entry.exclude) - {scene.date for scene in matched}):
            raise SettingsError(f"{entry.path!r} has no file of the excluded date {unknown[0]}")
        scenes += [scene for scene in matched if scene.date not in entry.exclude]
    if not scenes:
        raise SettingsError(f"every date of {entries[0].path!r} is excluded; keep at least one")
    scenes.sort(key=lambda scene: scene.date)
    for scene, other in pairwise(scenes):
        if scene.date == other.date:
            raise InputError(f"two files of {scene.date}: {scene.path} and {other.path}; keep one of them")
    return tuple(scenes)


def _read_entry(entry: SceneSettings, folder: Path) -> list[Scene]:
    """The scenes of all files that an entry stands for, with its mask and its shift."""
    paths = [folder / entry.path]
    if glob.has_magic(entry.path):
        # Path.glob takes no absolute pattern.
        paths = sorted(map(Path, glob.glob(str(paths[0]))))  # noqa: PTH207
        if not paths:
            raise InputError(f"{folder / entry.path}: no file matches")
    if entry.date is not None and len(paths) > 1:
        raise SettingsError(
            f"date {entry.date} is given for {entry.path!r}, which matches {len(paths)} files"
        )
    scenes = [read_scene(path, entry.date, entry.bands, entry.scl_invalid) for path in paths]
    return [_masked(scene, entry, folder).moved(entry.shift_m) for scene in scenes]


def _masked(scene: Scene, entry: SceneSettings, folder: Path) -> Scene:
    """A scene with the mask that its entry names."""
    if entry.level is not None and scene.product is not None:
        raise InputError(f"{scene.path}: `level:` is for image files; a product says its own")
    if entry.mask is None:
        return scene
    if entry.mask == CLOUD_MODEL:
        level = entry.level if scene.product is None else scene.product.metadata.level
        return replace(scene, clouds=choose_cloud_model(scene.path, scene.bands, level))
    return replace(scene, mask=find_mask(entry.mask, scene, folder))


def plan_grid(
    scenes: Sequence[Scene],
    *,
    bounds: Bounds | None = None,
    crs: str | None = None,
    resolution_m: float = 10.0,
) -> Grid:
    """The grid that a series is brought onto, in pixels of `resolution_m`.

    It covers `bounds` (west, south, east, north) in degrees, else the box where all scenes overlap;
    in `crs`, a projected system in metres, else the UTM zone of the box's centre.

    Raises:
        InputError: The scenes have no place in common.
        SettingsError: `crs` is not projected, in metres.
        GridError: No UTM zone, or bounds that make no box.
    """
    if crs is not None and not is_metric(normalise_crs(crs)):
        raise SettingsError(
            f"crs {crs!r} is {CRS.from_user_input(crs).name}; expected a projected system in "
            "metres, such as EPSG:32630, or none for the UTM zone"
        )
    if bounds is not None:
        return _bounded(Grid.from_lonlat(bounds, crs, resolution_m))
    if crs is None:
        west, south, east, north = _overlap(scenes, "EPSG:4326")
        crs = utm_crs((west + east) / 2, (south + north) / 2)
    return _bounded(Grid.from_bounds(_overlap(scenes, crs), crs, resolution_m))


def _bounded(grid: Grid) -> Grid:
    """A grid that images are brought onto, which take memory; `GridError` if it is too large."""
    if grid.window.size > MOST_SERIES_PX:
        raise GridError(
            f"a grid of {grid.height} x {grid.width} pixels; expected at most {MOST_SERIES_PX} for a site "
            "(four whole scenes): give smaller bounds or larger pixels"
        )
    return grid


def _overlap(scenes: Sequence[Scene], crs: str) -> Bounds:
    """The box that all scenes share, in `crs`."""
    boxes = [transform_bounds(scene.grid.bounds, scene.grid.crs, crs) for scene in scenes]
    left, bottom = (max(box[side] for box in boxes) for side in (0, 1))
    right, top = (min(box[side] for box in boxes) for side in (2, 3))
    if left >= right or bottom >= top:
        spans = "; ".join(f"{scene.path.name} {scene.grid.lonlat_text}" for scene in scenes)
        raise InputError(f"the images of the series have no place in common: {spans}")
    return left, bottom, right, top
