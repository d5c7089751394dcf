"""A series: several dates of one place, brought onto one grid."""

import datetime as dt
import glob
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import ColorInterp, MaskFlags

from swath.errors import InputError, SettingsError
from swath.grid import Bounds, Grid, Window, normalise_crs, transform_bounds, utm_crs
from swath.scenes.clouds import CLOUD_MODEL, RESOLUTION_M, choose_cloud_model, find_clouds
from swath.scenes.levels import FROM_SCENE, Levels, fit_cells, fit_levels, plan_cells, plan_samples
from swath.scenes.mask import find_mask, read_mask
from swath.scenes.raster import (
    open_raster,
    plan_source_window,
    rasterio_window,
    same_pixels,
    warp_band,
    write_raster,
)
from swath.scenes.safe import write_plain
from swath.scenes.scene import Scene, SceneSettings, read_scene
from swath.sentinel2 import (
    NODATA,
    QUANTIFICATION,
    ImageSettings,
    tci_from_reflectance,
    valid_mask,
)

BRIGHTEST = 3.0
"""No reflectance is higher, as a share of 1; of reflectance x 10000 the brightest band of the
darkest water is."""

CONTEXT_PX = 256
"""Pixels around a place that its cloud model looks at, too."""


def find_scenes(settings: Sequence[SceneSettings], folder: Path) -> tuple[Scene, ...]:
    """Read the headers of all acquisitions of a site.

    Args:
        settings: Which files or Sentinel-2 products; a path may be a glob.
        folder: Where relative paths start.

    Returns:
        The scenes, oldest first.

    Raises:
        InputError: A file that is missing or unusable, a glob that matches nothing, two files of
            one day.
        SettingsError: A date that is given for several files, or excluded but not there.
    """
    scenes: list[Scene] = []
    for entry in settings:
        paths = _expand(entry, folder)
        if entry.date is not None and len(paths) > 1:
            raise SettingsError(
                f"date {entry.date} is given for {entry.path!r}, which matches {len(paths)} files"
            )
        found = [read_scene(path, entry.date, entry.bands, entry.scl_invalid) for path in paths]
        found = [_masked(scene, entry, folder).moved(entry.shift_m) for scene in found]
        if unknown := sorted(set(entry.exclude) - {scene.date for scene in found}):
            raise SettingsError(f"{entry.path!r} has no file of the excluded date {unknown[0]}")
        scenes += [scene for scene in found if scene.date not in entry.exclude]
    if not scenes:
        raise SettingsError(f"every date of {settings[0].path!r} is excluded; keep at least one")
    by_date: dict[dt.date, Scene] = {}
    for scene in scenes:
        if (other := by_date.setdefault(scene.date, scene)) is not scene:
            raise InputError(
                f"two files of {scene.date}: {other.path} and {scene.path}; keep one of them"
            )
    return tuple(by_date[date] for date in sorted(by_date))


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
    """The grid that a series is brought onto.

    Args:
        scenes: The series.
        bounds: (west, south, east, north) in degrees; None: the box where all scenes overlap.
        crs: A projected system in metres; None: the UTM zone of the box's centre.
        resolution_m: Pixel size.

    Raises:
        InputError: The scenes have no place in common.
        SettingsError: `crs` is not projected, in metres.
        GridError: No UTM zone, or bounds that make no box.
    """
    if crs is not None:
        _check_metric(crs)
    if bounds is not None:
        return Grid.from_lonlat(bounds, crs, resolution_m)
    if crs is None:
        west, south, east, north = _overlap(scenes, "EPSG:4326")
        crs = utm_crs((west + east) / 2, (south + north) / 2)
    return Grid.from_bounds(_overlap(scenes, crs), crs, resolution_m)


def scene_levels(scene: Scene, grid: Grid, image: ImageSettings) -> Levels | None:
    """The levels of a scene that its encoding takes away; see `fit_levels`.

    They come from samples spread evenly over the grid: all of it where it is small, else `SAMPLES`
    windows, so that time and memory stay the same for any scene; and of a grid of several cells
    from strips, a quarter of it.

    Args:
        scene: What to look at.
        grid: Where it will be mapped; another grid has other levels.
        image: Which bands, in which encoding.

    Returns:
        None for an encoding that does not depend on the scene.

    Raises:
        InputError: As `read_on_grid`.
    """
    if image.encoding not in FROM_SCENE:
        return None
    plain = image.model_copy(update={"encoding": "reflectance"})
    bands = len(image.bands)
    # Open once: a block of the file holds several samples.
    with reading(scene, grid, plain) as read:

        def look(window: Window) -> NDArray[np.uint16]:
            part = grid.crop(window)
            if not plan_source_window(scene.grid, part).size:
                return np.zeros((bands, *part.shape), np.uint16)
            return read(part, None).astype(np.uint16)

        if plan_cells(grid.shape, image.encoding) != (1, 1):
            return fit_cells(grid, image, look)
        found = [look(window) for window in plan_samples(grid.window)]
    values = np.concatenate([pixels[:, valid_mask(pixels)] for pixels in found], axis=1)
    gains, offsets = fit_levels(values, image)
    return Levels(grid, gains[:, None, None], offsets[:, None, None])


def read_on_grid(
    scene: Scene,
    grid: Grid,
    image: ImageSettings,
    levels: Levels | None = None,
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Read a scene's wanted bands, warped onto a grid.

    Without data is a pixel that is 0 in all bands of the file, that the file's mask or alpha band
    or the user's mask leaves out, that the scene's cloud model finds clouded, or that is the file's
    no-data value or NaN in a wanted band. All other pixels are measurements: what is 0 or below
    there (dark water after atmospheric correction) becomes 1.

    Args:
        scene: What to read.
        grid: Where to bring it.
        image: Which bands, in which encoding. Reflectance becomes the 8-bit view *after* warping;
            an 8-bit True Colour Image stays as it is.
        levels: The `scene_levels` of the whole grid of which `grid` is a part; None: those of
            `grid`.

    Returns:
        (C, H, W) uint8 1..255 (`tci`) or uint16 1..65535 (`reflectance`, x 10000; `dos` and
        `standardised`, see `fit_levels`); 0 = no data.

    Raises:
        InputError: A band is missing, the scene does not meet the grid, its type cannot give the
            encoding, or the file breaks off.
    """
    check_meets(scene, grid)
    with reading(scene, grid, image) as read:
        return read(grid, levels)


Read = Callable[[Grid, Levels | None], NDArray[np.uint8] | NDArray[np.uint16]]
"""(grid, levels): as of `read_on_grid`."""


@contextmanager
def reading(scene: Scene, grid: Grid, image: ImageSettings) -> Iterator[Read]:
    """Open a scene to read several parts of a grid from it.

    Args:
        scene: What to read; a product is decoded once, for all of the grid.
        grid: All that will be read lies on it.
        image: Which bands, in which encoding.

    Yields:
        What `read_on_grid` does, for parts of the grid.

    Raises:
        InputError: As `read_on_grid`; the function that is given raises it as well.
    """
    with plain_scene(scene, grid, image) as plain:
        plain.band_indexes(image.bands)
        if plain.dtype == "uint8" and image.encoding != "tci":
            raise InputError(
                f"{plain.path}: an 8-bit image cannot give reflectance; "
                "use `encoding: tci` or give reflectance x 10000"
            )
        with open_raster(plain.path) as source:
            yield partial(_read_part, source, plain, image)


def _read_part(
    source: Any, scene: Scene, image: ImageSettings, grid: Grid, levels: Levels | None
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    indexes = scene.band_indexes(image.bands)
    window = check_meets(scene, grid)
    if (same := same_pixels(scene.grid, grid)) is not None:
        window = same
    part = scene.grid.crop(window)
    if levels is None:
        levels = scene_levels(scene, grid, image)
    out = np.zeros((len(indexes), *grid.shape), np.uint8 if image.encoding == "tci" else np.uint16)
    where = rasterio_window(window)
    valid = _read_valid(source, indexes, where)
    if scene.mask is not None:
        # Before warping, so that the kernel takes nothing from a cloud.
        valid &= read_mask(scene.mask, part)
    # Of all bands: water may be dark in some, and below 0 in all after an atmospheric correction.
    top = -np.inf
    for band, index in enumerate(indexes):
        values = source.read(index, window=where).astype(np.float32)
        if scene.dtype != "uint8":
            values = _reflectance(values, source, index)
        if scene.dtype == "float32":
            top = max(top, float(values[valid].max(initial=-np.inf)))
        values[~valid] = np.nan
        warped = values if same is not None else warp_band(values, part, grid)
        if levels is not None:
            warped = levels.apply(warped, band, grid)
        out[band] = _encode(warped, scene, image)
    if 0 < top < BRIGHTEST:
        raise InputError(
            f"{scene.path}: the largest value is {top:.3g}; expected reflectance x 10000; "
            "multiply it, or declare the file's scale and offset (GDAL's, rasterio's)"
        )
    return out


@contextmanager
def plain_scene(
    scene: Scene, grid: Grid, image: ImageSettings, folder: Path | None = None
) -> Iterator[Scene]:
    """A scene that windows can be read from fast: a product is decoded once, into a GeoTIFF.

    What its cloud model finds becomes a mask, once for the whole grid.

    Args:
        scene: What to read; an image file without a cloud model is given back as it is.
        grid: What will be read from it lies on this grid.
        image: What will be read from it.
        folder: Where the GeoTIFF may lie until the context ends; None: the system's folder for
            temporary files. It takes 2 bytes a pixel and band, 1 for a True Colour Image.

    Yields:
        The scene to read.

    Raises:
        InputError: A band is missing or damaged, or the scene does not meet the grid.
    """
    if scene.product is None and scene.clouds is None:
        yield scene
        return
    scene.band_indexes(image.bands)
    # Somewhat more: the pieces of a grid may reach further than the whole by a pixel.
    window = check_meets(scene, grid).grow(8).intersect(scene.grid.window)
    with tempfile.TemporaryDirectory(prefix="swath-", dir=folder) as temporary:
        plain = replace(scene, clouds=None)
        if scene.product is not None:
            path = Path(temporary) / f"{scene.date}.tif"
            bands, dtype = write_plain(scene.product, path, image, window, scene.scl_invalid)
            plain = Scene(path, scene.date, bands, dtype, scene.grid.crop(window), mask=scene.mask)
        if scene.clouds is not None:
            clouds = Path(temporary) / "clouds.tif"
            _write_clouds(scene, window, clouds)
            plain = replace(plain, mask=clouds)
        yield plain


def _write_clouds(scene: Scene, window: Window, path: Path) -> None:
    """Write what the scene's cloud model finds around a window of it, as a mask."""
    if scene.clouds is None:
        raise ValueError("a scene without a cloud model")
    around = scene.grid.crop(window.grow(CONTEXT_PX).intersect(scene.grid.window))
    crs = around.crs
    if not _is_metric(crs):
        west, south, east, north = around.lonlat_bounds
        crs = utm_crs((west + east) / 2, (south + north) / 2)
    grid = Grid.from_bounds(transform_bounds(around.bounds, around.crs, crs), crs, RESOLUTION_M)
    bare = replace(scene, clouds=None, scl_invalid=())
    seen = ImageSettings(bands=scene.clouds.bands, encoding="reflectance")
    image = read_on_grid(bare, grid, seen).astype(np.uint16)
    found = find_clouds(scene.clouds, image)
    write_raster(path, found.astype(np.uint8)[None], grid, nodata=255, names=["cloud or shadow"])


def check_meets(scene: Scene, grid: Grid) -> Window:
    """The pixels of a scene that a grid can be computed from.

    Raises:
        InputError: There are none.
    """
    window = plan_source_window(scene.grid, grid)
    if not window.size:
        raise InputError(
            f"{scene.path}: the image does not meet the site's grid; it spans "
            f"{_degrees(scene.grid)}, the grid {_degrees(grid)}"
        )
    return window


def _expand(entry: SceneSettings, folder: Path) -> list[Path]:
    """The files of an entry, sorted."""
    path = folder / entry.path
    if not glob.has_magic(entry.path):
        return [path]
    # Path.glob takes no absolute pattern.
    paths = sorted(Path(found) for found in glob.glob(str(path)))  # noqa: PTH207
    if not paths:
        raise InputError(f"{path}: no file matches")
    return paths


def _check_metric(crs: str) -> None:
    if not _is_metric(normalise_crs(crs)):
        raise SettingsError(
            f"crs {crs!r} is {CRS.from_user_input(crs).name}; expected a projected system in "
            "metres, such as EPSG:32630, or none for the UTM zone"
        )


def _is_metric(crs: str) -> bool:
    system = CRS.from_user_input(crs)
    return bool(system.is_projected and system.axis_info[0].unit_name == "metre")


def _overlap(scenes: Sequence[Scene], crs: str) -> Bounds:
    """The box that all scenes share, in `crs`."""
    boxes = [transform_bounds(scene.grid.bounds, scene.grid.crs, crs) for scene in scenes]
    left, bottom = (max(box[side] for box in boxes) for side in (0, 1))
    right, top = (min(box[side] for box in boxes) for side in (2, 3))
    if left >= right or bottom >= top:
        spans = "; ".join(f"{scene.path.name} {_degrees(scene.grid)}" for scene in scenes)
        raise InputError(f"the images of the series have no place in common: {spans}")
    return left, bottom, right, top


def _degrees(grid: Grid) -> str:
    west, south, east, north = grid.lonlat_bounds
    return f"{west:.4f}..{east:.4f} E, {south:.4f}..{north:.4f} N"


def _read_valid(source: Any, indexes: Sequence[int], where: Any) -> NDArray[np.bool_]:
    """(h, w) bool: the pixels of the window that hold a measurement."""
    seen = np.zeros((int(where.height), int(where.width)), bool)
    valid = np.ones_like(seen)
    for index, color in enumerate(source.colorinterp, start=1):
        if color == ColorInterp.alpha:
            continue
        values = source.read(index, window=where)
        seen |= (values != NODATA) & ~np.isnan(values)
        if index in indexes:
            valid &= ~np.isnan(values)
            if source.nodata is not None and source.nodata != NODATA:
                valid &= values != source.nodata
    if MaskFlags.per_dataset in source.mask_flag_enums[0]:
        valid &= source.dataset_mask(window=where) != 0
    return valid & seen


def _reflectance(values: NDArray[np.float32], source: Any, index: int) -> NDArray[np.float32]:
    """Reflectance x 10000 of stored numbers, with the scale and offset that the file declares."""
    scale, offset = source.scales[index - 1], source.offsets[index - 1]
    if (scale, offset) == (1.0, 0.0):
        return values
    return (values * np.float32(scale) + np.float32(offset)) * np.float32(QUANTIFICATION)


def _encode(
    values: NDArray[np.float32], scene: Scene, image: ImageSettings
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """One warped band (H, W), NaN = no data, in the encoding of the dataset, 0 = no data."""
    top = 255 if scene.dtype == "uint8" else 65535
    numbers = np.clip(np.rint(np.nan_to_num(values, nan=NODATA)), 1, top)
    numbers = np.where(np.isnan(values), NODATA, numbers).astype(np.uint16)
    if scene.dtype == "uint8":
        return numbers.astype(np.uint8)
    return tci_from_reflectance(numbers) if image.encoding == "tci" else numbers
