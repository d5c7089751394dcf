"""One scene, brought onto a grid: opened, masked, warped, and put into an encoding."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from swath.errors import InputError
from swath.grid import Grid, Window, has_true_metres, transform_bounds, utm_crs
from swath.progress import tell
from swath.scenes.bandfiles import write_joined
from swath.scenes.clouds import RESOLUTION_M, CloudModel, find_clouds
from swath.scenes.levels import FROM_SCENE, Levels, fit_cells
from swath.scenes.mask import read_mask
from swath.scenes.numbers import check_unit, read_valid, reflectance
from swath.scenes.raster import (
    open_raster,
    plan_source_window,
    rasterio_window,
    same_pixels,
    warp_band,
    write_raster,
)
from swath.scenes.safe import write_plain
from swath.scenes.scene import Scene
from swath.sentinel2 import (
    NODATA,
    TCI_BANDS,
    Encoding,
    ImageSettings,
    reflectance_from_tci,
    tci_from_reflectance,
)

Stored = NDArray[np.uint8] | NDArray[np.uint16]
"""Images in an encoding, 0 = no data."""

FROM_TCI: tuple[Encoding, ...] = ("tci", "standardised")
"""The encodings that an 8-bit image can give: its stretch is a fixed line, clipped where it is bright.
The others promise reflectance, which the steps and the clipping are not."""

CONTEXT_PX = 256
"""Pixels around a place that its cloud model looks at, too."""


def scene_levels(scene: Scene, grid: Grid, image: ImageSettings) -> Levels | None:
    """The levels of a scene that its encoding takes away, from samples of all of `grid`.

    None for an encoding that does not depend on the scene; see `fit_cells`. Of an 8-bit image it is
    said on stderr as what its numbers are read.

    Raises:
        InputError: As `read_on_grid`.
    """
    if image.encoding not in FROM_SCENE:
        return None
    check_scene(scene, image)
    if scene.dtype == "uint8":
        tell(f"{scene.path}: an 8-bit image, read as a True Colour Image (1..255 = reflectance 0..0.3558)")
    plain = image.model_copy(update={"encoding": "reflectance"})
    # Open once: a block of the file holds several samples.
    with _reading(scene, grid, plain) as read:

        def look(window: Window) -> NDArray[np.uint16]:
            part = grid.crop(window)
            if not plan_source_window(scene.grid, part).size:
                return np.zeros((len(image.bands), *part.shape), np.uint16)
            return read(part, None).astype(np.uint16)

        return fit_cells(grid, image, look)


def read_on_grid(scene: Scene, grid: Grid, image: ImageSettings, levels: Levels | None = None) -> Stored:
    """Read a scene's wanted bands, warped onto a grid.

    Without data is a pixel that `read_valid` says holds none, or that the user's mask or the scene's
    cloud model leaves out. All other pixels are measurements: what is 0 or below
    there (dark water after atmospheric correction) becomes 1. Reflectance becomes the 8-bit view
    *after* warping; an 8-bit True Colour Image stays as it is, or is `standardised` from the reflectance
    that its stretch stands for.

    Args:
        scene: What to read.
        grid: Where to bring it.
        image: Which bands, in which encoding.
        levels: The `scene_levels` of the whole grid of which `grid` is a part; None: of `grid`.

    Returns:
        (C, H, W) uint8 1..255 (`tci`) or uint16 1..65535 (`reflectance`, x 10000; `dos` and
        `standardised`, see `fit_levels`); 0 = no data, and in an optional band that is missing.

    Raises:
        InputError: A band is missing, the scene does not meet the grid, its type cannot give the
            encoding, or the file breaks off.
    """
    with reading(scene, grid, image) as read:
        return read(grid, levels)


@contextmanager
def reading(
    scene: Scene, grid: Grid, image: ImageSettings
) -> Iterator[Callable[[Grid, Levels | None], Stored]]:
    """Open a scene to read parts of `grid` from it, each as `read_on_grid` does.

    A product is decoded once, for all of the grid.

    Raises:
        InputError: As `read_on_grid`, here and for each part.
    """
    check_scene(scene, image)
    with _reading(scene, grid, image) as read:
        yield read


def check_scene(scene: Scene, image: ImageSettings) -> None:
    """Raise `InputError` where a scene's type, or the unit of its numbers, cannot give an encoding."""
    scene.band_indexes(image.required)
    others = set(scene.bands).intersection(image.bands) - set(TCI_BANDS)
    if scene.dtype == "uint8" and image.encoding != "tci" and (others or image.encoding not in FROM_TCI):
        raise InputError(
            f"{scene.path}: an 8-bit image cannot give reflectance{f' of {min(others)}' if others else ''}; "
            "use `encoding: tci`, or `standardised` with B04, B03 and B02, or give reflectance x 10000"
        )
    if scene.dtype != "uint8" and not (scene.unit_known or scene.product or scene.parts):
        indexes = scene.band_indexes(image.bands, image.optional)
        check_unit(scene.path, [index for index in indexes if index], scene.path)


@contextmanager
def _reading(
    scene: Scene, grid: Grid, image: ImageSettings
) -> Iterator[Callable[[Grid, Levels | None], Stored]]:
    """`reading` once the encoding is known to be one that the scene can give."""
    with plain_scene(scene, grid, image) as plain:
        plain.band_indexes(image.required)
        with open_raster(plain.path) as source:
            yield partial(_read_part, source, plain, image)


def _read_part(
    source: DatasetReader, scene: Scene, image: ImageSettings, grid: Grid, levels: Levels | None
) -> Stored:
    indexes = scene.band_indexes(image.bands, image.optional)
    same = same_pixels(scene.grid, grid)
    window = same or check_meets(scene, grid)
    part = scene.grid.crop(window)
    if levels is None:
        levels = scene_levels(scene, grid, image)
    out = np.zeros((len(indexes), *grid.shape), np.uint8 if image.encoding == "tci" else np.uint16)
    where = rasterio_window(window)
    valid = read_valid(source, indexes, where)
    if scene.mask is not None:
        # Before warping, so that the kernel takes nothing from a cloud.
        valid &= read_mask(scene.mask, part)
    for band, index in enumerate(indexes):
        if not index:
            continue
        values = source.read(index, window=where).astype(np.float32)
        if scene.dtype != "uint8":
            values = reflectance(values, source, index)
        elif image.encoding != "tci":
            values = reflectance_from_tci(values)
        values[~valid] = np.nan
        warped = values if same is not None else warp_band(values, part, grid)
        if levels is not None:
            warped = levels.apply(warped, band, grid)
        out[band] = _encode(warped, scene, image)
    return out


@contextmanager
def plain_scene(
    scene: Scene, grid: Grid, image: ImageSettings, folder: Path | None = None
) -> Iterator[Scene]:
    """A scene that windows of `grid` can be read from fast, until the context ends.

    A product is decoded once, into a GeoTIFF in `folder` (None: that for temporary files) of 2
    bytes a pixel and band, 1 for a True Colour Image; so is what lies in one file a band (4 bytes);
    what a cloud model finds becomes a mask. An image file without a cloud model is given back as it is.

    Raises:
        InputError: A band is missing or damaged, or the scene does not meet the grid.
    """
    if scene.product is None and scene.clouds is None and not scene.parts:
        yield scene
        return
    scene.band_indexes(image.required)
    # Somewhat more: the pieces of a grid may reach further than the whole by a pixel.
    window = check_meets(scene, grid).grow(8).intersect(scene.grid.window)
    with tempfile.TemporaryDirectory(prefix="swath-", dir=folder) as temporary:
        plain = replace(scene, clouds=None)
        if scene.product is not None:
            path = Path(temporary) / f"{scene.date}.tif"
            bands, dtype = write_plain(scene.product, path, image, window, scene.scl_invalid)
            part = scene.grid.crop(window)
            plain = Scene(path, scene.date, bands, dtype, part, mask=scene.mask, unit_known=True)
        if scene.parts:
            path = Path(temporary) / f"{scene.date}.tif"
            bands = tuple(band for band in image.bands if band in scene.bands)
            write_joined(scene, bands, window, path)
            part = scene.grid.crop(window)
            plain = Scene(path, scene.date, bands, scene.dtype, part, mask=scene.mask, unit_known=True)
        if scene.clouds is not None:
            clouds = Path(temporary) / "clouds.tif"
            _write_clouds(scene, scene.clouds, window, clouds)
            plain = replace(plain, mask=clouds)
        yield plain


def _write_clouds(scene: Scene, model: CloudModel, window: Window, path: Path) -> None:
    """Write what a cloud model finds around a window of a scene, as a mask."""
    around = scene.grid.crop(window.grow(CONTEXT_PX).intersect(scene.grid.window))
    crs = around.crs
    west, south, east, north = around.lonlat_bounds
    centre = (west + east) / 2, (south + north) / 2
    if not has_true_metres(crs, *centre):
        crs = utm_crs(*centre)
    grid = Grid.from_bounds(transform_bounds(around.bounds, around.crs, crs), crs, RESOLUTION_M)
    bare = replace(scene, clouds=None, scl_invalid=())
    seen = ImageSettings(bands=model.bands, encoding="reflectance")
    image = read_on_grid(bare, grid, seen).astype(np.uint16)
    clouds = find_clouds(model, image).astype(np.uint8)
    write_raster(path, clouds[None], grid, nodata=255, names=["cloud or shadow"])


def check_meets(scene: Scene, grid: Grid) -> Window:
    """The pixels of a scene that a grid can be computed from.

    Raises:
        InputError: There are none.
    """
    window = plan_source_window(scene.grid, grid)
    if not window.size:
        raise InputError(
            f"{scene.path}: the image does not meet the site's grid; it spans "
            f"{scene.grid.lonlat_text}, the grid {grid.lonlat_text}"
        )
    return window


def _encode(values: NDArray[np.float32], scene: Scene, image: ImageSettings) -> Stored:
    """One warped band (H, W), NaN = no data, in the encoding of the dataset, 0 = no data."""
    as_it_is = scene.dtype == "uint8" and image.encoding == "tci"
    top = 255 if as_it_is else 65535
    numbers = np.clip(np.rint(np.nan_to_num(values, nan=NODATA)), 1, top)
    numbers = np.where(np.isnan(values), NODATA, numbers).astype(np.uint16)
    if as_it_is:
        return numbers.astype(np.uint8)
    return tci_from_reflectance(numbers) if image.encoding == "tci" else numbers
