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
from swath.grid import (
    LONLAT,
    Bounds,
    Grid,
    has_true_metres,
    is_metric,
    normalise_crs,
    transform_bounds,
    true_metres,
    turned,
    utm_crs,
)
from swath.groundsize import pixel_m
from swath.progress import tell
from swath.scenes.bandfiles import join_bands
from swath.scenes.clouds import CLOUD_MODEL, choose_cloud_model
from swath.scenes.mask import find_mask
from swath.scenes.scene import Scene, SceneSettings, read_scene
from swath.scenes.warp import check_meets, read_on_grid
from swath.sentinel2 import QUANTIFICATION, ImageSettings, valid_mask
from swath.sites.schema import SitesFile

LEAST_SHARED = 0.8
"""Where the dates of a site share less of the box around them, or one has less of it, that is said."""

_EDGE_M = 10.0
"""How far a scene of another system may lie outside of the others and add nothing to their box."""

MOST_OBLONG = 1.25
"""Ratio of a pixel's sides above which an image is not what it seems, and that is said."""

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
    if site.bounds is None:
        _tell_lost(name, scenes, grid)
    for scene in scenes:
        check_meets(scene, grid)
    return SceneSeries(name, scenes, grid)


def plan_loose_series(
    name: str, entries: Sequence[SceneSettings], bands: tuple[str, ...], grid: Grid | None = None
) -> SceneSeries:
    """Plan the series of scenes that stand in no sites file; paths start at the working directory.

    It is brought onto `grid`, or onto the one around all scenes.

    Raises:
        InputError: A scene lacks a band or does not meet the grid; otherwise as `find_scenes` and
            `plan_whole_grid`.
    """
    scenes = find_scenes(entries, Path())
    for scene in scenes:
        scene.band_indexes(bands)
    if grid is None:
        grid = plan_whole_grid(scenes)
        _tell_partial(name, scenes, grid)
        return SceneSeries(name, scenes, grid)
    for scene in scenes:
        check_meets(scene, grid)
    return SceneSeries(name, scenes, grid)


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
    known: list[tuple[SceneSettings, Scene]] = []
    for entry in entries:
        known += [(entry.model_copy(update={"path": ""}), scene) for scene in _read_entry(entry, folder)]
    scenes = [_masked(scene, entry, folder).moved(entry.shift_m) for entry, scene in join_bands(known)]
    if not scenes:
        raise SettingsError(f"every date of {entries[0].path!r} is excluded; keep at least one")
    scenes.sort(key=lambda scene: scene.date)
    for scene in scenes:
        _tell_oblong(scene)
    for scene, other in pairwise(scenes):
        if scene.date == other.date:
            raise InputError(f"two files of {scene.date}: {scene.path} and {other.path}; keep one of them")
    return tuple(scenes)


def _tell_oblong(scene: Scene) -> None:
    """Say where an image's pixels are not square, in its own units and on the ground.

    Square degrees are oblong on the ground, and those of a plate carrée of true metres in degrees.
    """
    width, height = scene.grid.resolution
    height_m, width_m = pixel_m(scene.grid)
    ratios = [max(sides) / max(min(sides), 1e-9) for sides in ((width, height), (width_m, height_m))]
    if min(ratios) > MOST_OBLONG:
        tell(
            f"{scene.path}: its pixels are not square, {width_m:.4g} m wide and {height_m:.4g} m high; "
            "they are resampled to square ones, which show nothing finer than the longer side"
        )


def _read_entry(entry: SceneSettings, folder: Path) -> list[Scene]:
    """The files that an entry stands for and does not exclude, known from their headers."""
    paths = _match(entry.path, folder)
    scenes = [read_scene(path, entry.date, entry.bands, entry.scl_invalid) for path in paths]
    if entry.date is not None and len(join_bands([(entry, scene) for scene in scenes])) > 1:
        raise SettingsError(
            f"date {entry.date} is given for {entry.path!r}, which matches {len(paths)} files"
        )
    if unknown := sorted(set(entry.exclude) - {scene.date for scene in scenes}):
        raise SettingsError(f"{entry.path!r} has no file of the excluded date {unknown[0]}")
    return [scene for scene in scenes if scene.date not in entry.exclude]


def _match(pattern: str, folder: Path) -> list[Path]:
    """The files that a pattern stands for; as far as it is there it is itself, `data [2024]` too."""
    there, parts = folder, [*Path(pattern).parts]
    while parts and (there / parts[0]).exists():
        there /= parts.pop(0)
    rest = str(Path(*parts)) if parts else ""
    if not glob.has_magic(rest):
        return [there / rest]
    paths = [there / match for match in sorted(glob.glob(rest, root_dir=there))]  # noqa: PTH207
    if not paths:
        raise InputError(f"{folder / pattern}: no file matches")
    return paths


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
        SettingsError: `crs` is not projected, in metres that are metres on the ground there.
        GridError: No UTM zone, or bounds that make no box.
    """
    place = bounds
    if place is None:
        place = _shared(scenes, _boxes(scenes, LONLAT))
    if crs is not None:
        _check_metres(crs, *_centre(place))
    if bounds is not None:
        return _bounded(Grid.from_lonlat(bounds, crs, resolution_m))
    crs = crs or utm_crs(*_centre(place))
    return _bounded(Grid.from_bounds(_shared(scenes, _boxes(scenes, crs)), crs, resolution_m))


def _bounded(grid: Grid) -> Grid:
    """A grid that images are brought onto, which take memory; `GridError` if it is too large."""
    if grid.window.size > MOST_SERIES_PX:
        raise GridError(
            f"a grid of {grid.size_text}; expected at most {MOST_SERIES_PX} px for a site "
            "(four whole scenes): give smaller bounds or larger pixels"
        )
    return grid


def _tell_lost(name: str, scenes: Sequence[Scene], grid: Grid) -> None:
    """Say where much of an image lies outside the place that all dates share."""
    around = plan_whole_grid(scenes)
    left, bottom, right, top = transform_bounds(around.bounds, around.crs, grid.crs)
    (x_size, y_size), (height, width) = grid.resolution, grid.shape
    share = height * width * x_size * y_size / ((right - left) * (top - bottom))
    if share < LEAST_SHARED:
        tell(
            f"site {name!r}: its images overlap in part, and it is where all of them do: {share:.0%} of what "
            "they cover; give `bounds:` for more"
        )


def _tell_partial(name: str, scenes: Sequence[Scene], grid: Grid) -> None:
    """Say where a map holds much that some of its dates do not cover."""
    left, bottom, right, top = grid.bounds
    shares = []
    for scene, (west, south, east, north) in zip(scenes, _boxes(scenes, grid.crs), strict=True):
        width, height = min(east, right) - max(west, left), min(north, top) - max(south, bottom)
        shares.append((width * height / ((right - left) * (top - bottom)), scene.date))
    few = [share for share in shares if share[0] < LEAST_SHARED]
    if few and len(scenes) > 1:
        share, date = min(few)
        tell(
            f"{name}: its dates overlap in part; the map covers what any of them does, {len(few)} of "
            f"{len(scenes)} less than {LEAST_SHARED:.0%} of it ({date} {share:.0%})"
        )


def plan_whole_grid(scenes: Sequence[Scene]) -> Grid:
    """The grid around all scenes, in pixels of 10 m: what one of them does not cover it lacks.

    Where all scenes are in one system in true metres they stay in it, and need no warping; else it
    is the UTM zone of the place that they share. A scene in another system that is covered but for
    its corners, which are turned there and often empty, adds nothing.

    Raises:
        InputError: The scenes have no place in common.
        GridError: No UTM zone.
    """
    centre = _centre(_shared(scenes, _boxes(scenes, LONLAT)))
    crs, *others = {scene.grid.crs for scene in scenes}
    if others or not has_true_metres(crs, *centre):
        try:
            crs = utm_crs(*centre)
        except GridError as error:
            raise GridError(f"{scenes[0].path}: {error}") from None
    boxes = _boxes(scenes, crs)
    if own := [box for scene, box in zip(scenes, boxes, strict=True) if scene.grid.crs == crs]:
        left, bottom, right, top = _around(own)
        near = (left - _EDGE_M, bottom - _EDGE_M, right + _EDGE_M, top + _EDGE_M)
        boxes = [
            box
            for scene, box in zip(scenes, boxes, strict=True)
            if scene.grid.crs == crs or _around([near, _inside(scene, crs)]) != near
        ]
    return _bounded(Grid.from_bounds(_around(boxes), crs))


def _around(boxes: Sequence[Bounds]) -> Bounds:
    """The box around boxes."""
    left, bottom = (min(box[side] for box in boxes) for side in (0, 1))
    right, top = (max(box[side] for box in boxes) for side in (2, 3))
    return left, bottom, right, top


def _inside(scene: Scene, crs: str) -> Bounds:
    """The box in `crs` that lies inside a scene, whose own is turned there."""
    left, bottom, right, top = scene.grid.bounds
    sides = (
        (left, bottom, left, top),
        (left, bottom, right, bottom),
        (right, bottom, right, top),
        (left, top, right, top),
    )
    west, south, east, north = (transform_bounds(side, scene.grid.crs, crs) for side in sides)
    return west[2], south[3], east[0], north[1]


def _check_metres(crs: str, lon: float, lat: float) -> None:
    """Raise `SettingsError` unless a system has true metres at a place."""
    name, advice = (
        CRS.from_user_input(normalise_crs(crs)).name,
        "such as EPSG:32630, or none for the UTM zone",
    )
    if not is_metric(crs):
        raise SettingsError(f"crs {crs!r} is {name}; expected a projected system in metres, {advice}")
    if not has_true_metres(crs, lon, lat):
        raise SettingsError(
            f"crs {crs!r} is {name}, whose metre is {true_metres(crs, lon, lat):.2f} m on the ground there; "
            f"expected a system with true metres, {advice}"
        )


def _boxes(scenes: Sequence[Scene], crs: str) -> list[Bounds]:
    """The boxes of scenes in `crs`; in degrees, all on the same side of the 180th meridian."""
    boxes = [transform_bounds(scene.grid.bounds, scene.grid.crs, crs) for scene in scenes]
    return [turned(box, boxes[0][0]) for box in boxes] if crs == LONLAT else boxes


def _shared(scenes: Sequence[Scene], boxes: Sequence[Bounds]) -> Bounds:
    """The box that all boxes of scenes share."""
    left, bottom = (max(box[side] for box in boxes) for side in (0, 1))
    right, top = (min(box[side] for box in boxes) for side in (2, 3))
    if left >= right or bottom >= top:
        spans = "; ".join(f"{scene.path.name} {scene.grid.lonlat_text}" for scene in scenes)
        raise InputError(f"the images of the series have no place in common: {spans}")
    return left, bottom, right, top


def _centre(bounds: Bounds) -> tuple[float, float]:
    """Longitude and latitude of the middle of a box in degrees."""
    west, south, east, north = bounds
    return ((west + east + (360 if east < west else 0)) / 2, (south + north) / 2)
