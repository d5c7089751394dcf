"""Labels: features burnt onto a grid, lines widened, pixels to be ignored marked."""

import math
from typing import Literal

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field
from rasterio.features import rasterize
from scipy import ndimage

from swath.errors import SettingsError
from swath.grid import Grid
from swath.labels.strokes import draw_chains, draw_strokes
from swath.labels.width import line_widths_m
from swath.legend import IGNORE, Legend, LegendClass, LineWidth
from swath.validation import Frozen


class Widening(Frozen):
    """How burnt lines are widened.

    Attributes:
        method: `dilate` (the paper's choice), `gaussian` (its alternative: a blur, cut at half of
            the value that a straight line one pixel wide keeps at `sigma_px`), or `width`: every
            line gets the width in metres that the legend gives it, and at least one pixel.
        width_m: With `width`, of the lines of classes that the legend gives none.
        shape: Structuring element of one dilation: 3 x 3 `cross` or `square`, or a `disk` of
            radius `times` px applied once.
        times: How often (or the disk's radius).
        sigma_px: Standard deviation of the Gaussian.
        ring_px: How many pixels around the widened lines are ignored, since a road's edge lies
            anywhere in them; None: 1 with `width`, else 0.
    """

    method: Literal["dilate", "gaussian", "width"] = "dilate"
    shape: Literal["cross", "square", "disk"] = "square"
    times: int = Field(default=1, ge=0, le=20)
    width_m: float | None = Field(default=None, gt=0, le=500)
    sigma_px: float = Field(default=1.0, gt=0, le=20)
    ring_px: int | None = Field(default=None, ge=0, le=20)

    def width_of(self, c: LegendClass) -> LineWidth | None:
        """How wide the lines of a class are with the method `width`; None: nobody says it."""
        if c.width is not None or self.width_m is None:
            return c.width
        return LineWidth(tags=(), default_m=self.width_m, range_m=(self.width_m / 2, self.width_m))

    @property
    def ring(self) -> int:
        """Pixels to ignore around lines, the default worked out."""
        if self.ring_px is None:
            return 1 if self.method == "width" else 0
        return self.ring_px


_BLOCK_ROWS = 1024
"""Rows that are widened at a time, so that memory does not grow with the copies that it takes."""

_TRUNCATE = 4.0
"""Where the Gaussian is cut off, in standard deviations."""


def burn(
    features: geopandas.GeoDataFrame, legend: Legend, grid: Grid, widening: Widening
) -> NDArray[np.uint8]:
    """Burn features onto a grid and widen the lines.

    A line is burnt as the chain of pixels that GDAL's line drawing (Bresenham) makes of it: one
    pixel wide in every direction, so that one dilation by 3 x 3 gives a road of 30 m; all pixels
    that it touches would make oblique roads up to 1.4 times as wide. With the method `width` it
    takes the pixels whose centre is within half its width in metres, and is at least one pixel
    wide. An area takes the pixels whose centre is inside it, and is not widened. The pixels around
    a line that are to be ignored are so in the classes before it, and never in its own.

    Args:
        features: `class_id`, `geometry` in the grid's CRS, and for the method `width` the legend's
            keys; may reach outside the grid.
        legend: Where classes overlap, the one that stands later wins.
        grid: Where to burn.
        widening: How lines are widened.

    Returns:
        (H, W) uint8 class ids; where nothing is mapped 0, or 255 if the legend says so.

    Raises:
        SettingsError: The method `width` with a legend that gives a class of lines no width.

    Source: the paper's section on data ("the road lines rasterised on the image grid, then widened
    by morphological dilation"); how lines become pixels, widths and the ring are not in it.
    """
    check_widening(legend, widening)
    # What lies just outside the grid reaches into it when widened.
    margin = margin_px(legend, grid, widening)
    wide = grid.crop(grid.window.grow(margin))
    unmapped = IGNORE if legend.unmapped == "ignore" else 0
    labels = np.full(grid.shape, unmapped, np.uint8)
    for c in legend.tagged:
        chosen = features[features["class_id"] == c.id]
        if chosen.empty:
            continue
        is_line = shapely.get_dimensions(chosen.geometry.values) == 1
        if is_line.any():
            _paint_lines(labels, chosen[is_line], c, wide, margin, widening)
        if not is_line.all():
            labels[burn_mask(chosen.geometry[~is_line], grid)] = c.id
    return labels


def check_widening(legend: Legend, widening: Widening) -> None:
    """Raise `SettingsError` if lines are to have a width that the legend does not give."""
    if widening.method != "width":
        return
    for c in legend.tagged:
        if c.geometry == "line" and widening.width_of(c) is None:
            raise SettingsError(
                f"widening by width needs a width for every class of lines, and the legend "
                f"{legend.name!r} gives {c.name!r} none; give width_m, take roads-by-class, or the "
                "method dilate"
            )


def _paint_lines(
    labels: NDArray[np.uint8],
    features: geopandas.GeoDataFrame,
    c: LegendClass,
    wide: Grid,
    margin: int,
    widening: Widening,
) -> None:
    """Burn and widen the lines of one class into `labels`, a block of rows at a time."""
    lines = features.geometry.values
    mask = np.zeros(wide.shape, bool)
    width = widening.width_of(c) if widening.method == "width" else None
    if width is not None:
        parts, owner = shapely.get_parts(lines, return_index=True)
        draw_strokes(mask, parts, line_widths_m(features, width)[owner], wide)
    else:
        draw_chains(mask, shapely.get_parts(lines), wide)
    inner = slice(margin, mask.shape[1] - margin)
    for row in range(0, len(labels), _BLOCK_ROWS):
        block = labels[row : row + _BLOCK_ROWS]
        # With the margin around it a block comes out as in the whole.
        part = mask[row : row + len(block) + 2 * margin]
        if not part.any():
            continue
        wider = part if widening.method == "width" else widen(part, widening)
        rows = slice(margin, margin + len(block))
        if widening.ring:
            block[_dilate(wider, "square", widening.ring)[rows, inner]] = IGNORE
        block[wider[rows, inner]] = c.id


def burn_mask(shapes: geopandas.GeoSeries, grid: Grid) -> NDArray[np.bool_]:
    """The pixels of lines (one pixel wide) and polygons (pixel centre inside): (H, W) bool."""
    mask = np.zeros(grid.shape, bool)
    parts = shapely.get_parts(np.asarray(shapes.values, object))
    dimensions = shapely.get_dimensions(parts)
    draw_chains(mask, parts[dimensions == 1], grid)
    areas = parts[dimensions == 2]
    if len(areas):
        mask |= rasterize(areas, grid.shape, transform=grid.transform, dtype=np.uint8) == 1
    return mask


def widen(mask: NDArray[np.bool_], widening: Widening) -> NDArray[np.bool_]:
    """Widen a mask of lines (H, W), whose own pixels always stay; not for the method `width`.

    Source: follows the paper, which chose dilation and found a Gaussian filter worse.
    """
    if not mask.any():
        return mask
    if widening.method == "gaussian":
        # The middle of a blurred line has the weight of the kernel's middle.
        impulse = np.zeros(2 * reach_px(widening) + 1)
        impulse[reach_px(widening)] = 1.0
        kept, blurred = (
            ndimage.gaussian_filter(values, widening.sigma_px, mode="constant", truncate=_TRUNCATE)
            for values in (impulse, mask.astype(np.float64))
        )
        return np.asarray(mask | (blurred >= kept.max() / 2))
    if widening.times == 0:
        return mask
    if widening.shape == "disk":
        near: NDArray[np.bool_] = ndimage.distance_transform_edt(~mask) <= widening.times
        return near
    return _dilate(mask, widening.shape, widening.times)


def _dilate(mask: NDArray[np.bool_], shape: str, times: int) -> NDArray[np.bool_]:
    """Dilate by a 3 x 3 square or cross: shifted copies, ten times as fast as scipy's."""
    for _ in range(times):
        wide = mask.copy()
        wide[:, 1:] |= mask[:, :-1]
        wide[:, :-1] |= mask[:, 1:]
        # A square is a row of three, three rows high; a cross is high in its middle only.
        tall = wide.copy() if shape == "square" else mask
        wide[1:] |= tall[:-1]
        wide[:-1] |= tall[1:]
        mask = wide
    return mask


def reach_px(widening: Widening) -> int:
    """How many pixels from its chain a line is still widened; not for the method `width`."""
    if widening.method == "gaussian":
        return math.ceil(_TRUNCATE * widening.sigma_px)
    return widening.times


def margin_px(legend: Legend, grid: Grid, widening: Widening) -> int:
    """How many pixels away a line can still change a pixel, the ring of ignored ones included."""
    if widening.method != "width":
        return reach_px(widening) + widening.ring
    widths = [width.greatest_m for c in legend.tagged if (width := widening.width_of(c))]
    return math.ceil(max(widths, default=0) / 2 / min(grid.resolution)) + 1 + widening.ring
