"""Splits inside a site: rectangles in pixels, with a guard strip between different splits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from swath.dataset.site import Region
from swath.errors import SettingsError
from swath.grid import Window
from swath.sites.schema import RegionSettings


@dataclass(slots=True)
class _Trim:
    """Pixels to take off each side of a rectangle."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


def plan_regions(
    settings: Sequence[RegionSettings], shape: tuple[int, int], guard_px: int, site: str
) -> tuple[Region, ...]:
    """Turn boxes in fractions into pixel windows, and cut the guard strip between splits.

    A network sees about 100 px around a pixel, so neighbours of different splits share what they
    see. The rule: where two boxes of *different* splits are nearer than `guard_px` (counting the
    rows or the columns between them, whichever are more), both lose the same number of pixels on
    the sides that face each other, so that `guard_px` lie between them. So boxes may be given edge
    to edge. What a side loses is counted from the boxes as given, whatever their order.

    Args:
        settings: The boxes and their splits.
        shape: (H, W) of the site's grid.
        guard_px: Rows or columns that belong to no split, between different splits.
        site: Name of the site, for errors.

    Returns:
        One region a box, in the same order.

    Raises:
        SettingsError: Boxes that overlap, or a region that the strip leaves nothing of.
    """
    windows = [_window(region.box, shape) for region in settings]
    trims = [_Trim() for _ in windows]
    for first, second in combinations(range(len(windows)), 2):
        rows, cols = _gaps(windows[first], windows[second])
        gap = max(rows, cols)
        if gap < 0:
            raise SettingsError(
                f"site {site!r}: the regions {_name(settings, first)} and "
                f"{_name(settings, second)} overlap by {-gap} px; their boxes must be apart"
            )
        if settings[first].split != settings[second].split and gap < guard_px:
            _trim_pair(windows, trims, first, second, guard_px - gap)
    regions = []
    for index, (region, window, trim) in enumerate(zip(settings, windows, trims, strict=True)):
        height = window.height - trim.top - trim.bottom
        width = window.width - trim.left - trim.right
        if height <= 0 or width <= 0:
            raise SettingsError(
                f"site {site!r}: nothing is left of region {_name(settings, index)} "
                f"({window.height} x {window.width} px) beside a guard strip of {guard_px} px; "
                "make it larger or guard_px smaller"
            )
        left = Window(window.row + trim.top, window.col + trim.left, height, width)
        regions.append(Region(region.split, left))
    return tuple(regions)


def _window(box: tuple[float, float, float, float], shape: tuple[int, int]) -> Window:
    height, width = shape
    left, right = (math.floor(box[side] * width + 0.5) for side in (0, 2))
    top, bottom = (math.floor(box[side] * height + 0.5) for side in (1, 3))
    return Window(top, left, bottom - top, right - left)


def _gaps(a: Window, b: Window) -> tuple[int, int]:
    """Rows and columns between two windows; negative: how many they share."""
    rows = max(a.row, b.row) - min(a.row_end, b.row_end)
    cols = max(a.col, b.col) - min(a.col_end, b.col_end)
    return rows, cols


def _trim_pair(
    windows: Sequence[Window], trims: Sequence[_Trim], first: int, second: int, missing: int
) -> None:
    """Take `missing` pixels off the facing sides of two windows, half each."""
    rows, cols = _gaps(windows[first], windows[second])
    near, far = missing // 2, missing - missing // 2
    if rows > cols:
        upper, lower = sorted((first, second), key=lambda at: windows[at].row)
        trims[upper].bottom = max(trims[upper].bottom, near)
        trims[lower].top = max(trims[lower].top, far)
    else:
        west, east = sorted((first, second), key=lambda at: windows[at].col)
        trims[west].right = max(trims[west].right, near)
        trims[east].left = max(trims[east].left, far)


def _name(settings: Sequence[RegionSettings], index: int) -> str:
    return f"{index + 1} ({settings[index].split})"
