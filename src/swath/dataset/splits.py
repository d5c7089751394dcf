"""Splits inside a site: rectangles in pixels, with a guard strip between different splits."""

import math
from collections.abc import Sequence
from functools import reduce
from itertools import combinations

from swath.dataset.site import Region
from swath.errors import SettingsError
from swath.grid import Window
from swath.sites.schema import RegionSettings


def plan_regions(
    settings: Sequence[RegionSettings], shape: tuple[int, int], guard_px: int, site: str
) -> tuple[Region, ...]:
    """Turn boxes in fractions of a grid into pixel windows, and cut the strip between splits.

    A network sees about 100 px around a pixel, so neighbours of different splits share what they
    see. Where two boxes of different splits are nearer than `guard_px` (counting the rows or the
    columns between them, whichever are more), both lose the same number of pixels on the sides that
    face each other. So boxes may be given edge to edge. What a side loses is counted from the boxes
    as given, whatever their order, in which regions are returned.

    Raises:
        SettingsError: Boxes that overlap, or a region that the strip leaves nothing of.
    """
    names = [f"{number} ({region.split})" for number, region in enumerate(settings, start=1)]
    windows = [_window(region.box, shape) for region in settings]
    for first, second in combinations(range(len(windows)), 2):
        if (gap := max(_gaps(windows[first], windows[second]))) < 0:
            raise SettingsError(
                f"site {site!r}: the regions {names[first]} and {names[second]} overlap by {-gap} "
                "px; their boxes must be apart"
            )
    regions = []
    for region, window, name in zip(settings, windows, names, strict=True):
        beside = [
            _guarded(window, other, guard_px)
            for other, there in zip(windows, settings, strict=True)
            if there.split != region.split
        ]
        left = reduce(Window.intersect, beside, window)
        if not left.size:
            raise SettingsError(
                f"site {site!r}: nothing is left of region {name} ({window.width} x "
                f"{window.height} px) beside a guard strip of {guard_px} px; make it larger or "
                "guard_px smaller"
            )
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


def _guarded(window: Window, other: Window, guard_px: int) -> Window:
    """A window without its half of the strip beside another, which loses the other half."""
    rows, cols = _gaps(window, other)
    missing = max(0, guard_px - max(rows, cols))
    first = window.row < other.row if rows > cols else window.col < other.col
    half = missing // 2 if first else missing - missing // 2
    moved = -half if first else half
    return window.intersect(window.shift(moved, 0) if rows > cols else window.shift(0, moved))
