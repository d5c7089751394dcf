"""Labels: features burnt onto a grid, lines widened, pixels to be ignored marked."""

import math

import geopandas
import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage

from swath.grid import Grid
from swath.legend import Legend
from swath.settings import Widening

_STRUCTURES = {
    "cross": ndimage.generate_binary_structure(2, 1),
    "square": ndimage.generate_binary_structure(2, 2),
}
_TRUNCATE = 4.0
"""Where the Gaussian is cut off, in standard deviations."""


def burn(
    features: geopandas.GeoDataFrame, legend: Legend, grid: Grid, widening: Widening
) -> NDArray[np.uint8]:
    """Burn features onto a grid and widen the lines.

    A line is burnt as the chain of pixels that GDAL's line drawing (Bresenham) makes of it: one
    pixel wide in every direction, so that one dilation by 3 x 3 gives a road of 30 m. Burning all
    pixels that a line touches would make oblique roads up to 1.4 times as wide as straight ones. An
    area takes the pixels whose centre is inside it, and is not widened.

    Args:
        features: `class_id` and `geometry` in the grid's CRS; may reach outside the grid.
        legend: Where classes overlap, the one that stands later wins.
        grid: Where to burn.
        widening: How lines are widened.

    Returns:
        (H, W) uint8 class ids, 0 = background.

    Source: section on data of the paper ("the road lines rasterised on the image grid, then
    widened by morphological dilation"); how lines become pixels is not said there.
    """
    # What lies just outside the grid reaches into it when widened.
    margin = reach_px(widening)
    wide = grid.crop(grid.window.grow(margin))
    inner = grid.window.relative_to(grid.window.grow(margin)).slices
    labels = np.zeros(grid.shape, np.uint8)
    for c in legend.foreground:
        shapes = features.geometry[features["class_id"] == c.id]
        mask = burn_mask(shapes, wide)
        if c.geometry == "line":
            mask = widen(mask, widening)
        labels[mask[inner]] = c.id
    return labels


def burn_mask(shapes: geopandas.GeoSeries, grid: Grid) -> NDArray[np.bool_]:
    """The pixels of lines (one pixel wide) and of polygons (pixel centre inside).

    Args:
        shapes: Lines or polygons in the grid's CRS.
        grid: Where to burn.

    Returns:
        (H, W) bool.
    """
    if shapes.empty:
        return np.zeros(grid.shape, bool)
    burnt = rasterize(
        shapes,
        out_shape=grid.shape,
        transform=grid.transform,
        fill=0,
        default_value=1,
        dtype=np.uint8,
    )
    return np.asarray(burnt == 1)


def widen(mask: NDArray[np.bool_], widening: Widening) -> NDArray[np.bool_]:
    """Widen a mask of lines.

    Args:
        mask: (H, W) bool.
        widening: How: n dilations by a 3 x 3 cross or square, one by a disk (pixels whose centres
            are within `times` px), or a Gaussian blur, cut at half of the value that a straight
            line one pixel wide keeps in its middle. The pixels of the line always stay.

    Returns:
        (H, W) bool.

    Source: follows the paper, which chose dilation and found a Gaussian filter worse.
    """
    if not mask.any():
        return mask
    if widening.method == "gaussian":
        # The middle of a blurred line has the weight of the kernel's middle.
        impulse = np.zeros(2 * reach_px(widening) + 1)
        impulse[reach_px(widening)] = 1.0
        sigma = widening.sigma_px
        kept = ndimage.gaussian_filter1d(impulse, sigma, mode="constant", truncate=_TRUNCATE).max()
        blurred = ndimage.gaussian_filter(
            mask.astype(np.float64), sigma, mode="constant", truncate=_TRUNCATE
        )
        return np.asarray(mask | (blurred >= kept / 2))
    if widening.times == 0:
        return mask
    if widening.shape == "disk":
        near: NDArray[np.bool_] = ndimage.distance_transform_edt(~mask) <= widening.times
        return near
    dilated: NDArray[np.bool_] = ndimage.binary_dilation(
        mask, _STRUCTURES[widening.shape], iterations=widening.times
    )
    return dilated


def reach_px(widening: Widening) -> int:
    """How many pixels away a line can still change a pixel."""
    if widening.method == "gaussian":
        return math.ceil(_TRUNCATE * widening.sigma_px)
    return widening.times
