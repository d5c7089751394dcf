"""The parts of a site that are looked at, and what its labels show there."""

from dataclasses import dataclass

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from swath.audit.quality import block_counts, covered
from swath.audit.response import far_inside
from swath.audit.shift import SEARCH_PX, Shift, template
from swath.dataset.site import Site, read_coarse_labels
from swath.errors import InputError
from swath.grid import Window
from swath.legend import IGNORE, Legend
from swath.metrics.histogram import block_sums

WINDOW_PX = 256
"""Side of the windows that are looked at."""

MOST_WINDOWS = 48
"""Of a large site, so many windows are looked at: 3.1 million pixels."""

VIEW_PX = 112
"""Side of the part of a site that its picture shows."""

_STRIP_PX = 1024
"""Rows of labels counted at once; a multiple of `WINDOW_PX` and of the blocks."""


def count_labels(site: Site) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count the labels of a site, strip by strip.

    Returns:
        (256,) pixels of each value; (blocks, 2) labelled and foreground pixels of each block of
        64 px; (rows, cols) foreground pixels of each window of 256 px.
    """
    classes = np.zeros(IGNORE + 1, np.int64)
    blocks, foreground = [], []
    for strip in site.grid.window.strips(_STRIP_PX):
        labels = read_coarse_labels(site, strip)
        classes += np.bincount(labels.ravel(), minlength=IGNORE + 1)
        blocks.append(block_counts(labels))
        foreground.append(block_sums((labels > 0) & (labels != IGNORE), WINDOW_PX))
    return classes, np.concatenate(blocks), np.concatenate(foreground)


def plan_windows(foreground: NDArray[np.int64], whole: Window) -> tuple[Window, ...]:
    """The windows that are looked at: those with foreground, at most 48, evenly over the site.

    Args:
        foreground: Of `count_labels`.
        whole: The site's grid.
    """
    chosen = np.argwhere(foreground >= 0.01 * WINDOW_PX**2)
    if not len(chosen):
        chosen = np.argwhere(foreground)
    if len(chosen) > MOST_WINDOWS:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST_WINDOWS).round().astype(int)]
    return tuple(_window(row, col, whole) for row, col in chosen.tolist())


def _window(row: int, col: int, whole: Window) -> Window:
    return Window(row * WINDOW_PX, col * WINDOW_PX, WINDOW_PX, WINDOW_PX).intersect(whole)


def plan_view(site: Site) -> Window:
    """What a picture shows: 112 x 112 px in the middle of the window richest in foreground."""
    _, _, foreground = count_labels(site)
    row, col = divmod(int(foreground.argmax()), foreground.shape[1])
    rich = _window(row, col, site.grid.window)
    height, width = min(VIEW_PX, rich.height), min(VIEW_PX, rich.width)
    return Window(rich.row + (rich.height - height) // 2, rich.col + (rich.width - width) // 2, height, width)


def read_outlines(site: Site, legend: Legend) -> geopandas.GeoSeries | None:
    """What a shift shows on: the lines of the legend, or, where it has none, outlines of areas.

    In the site's CRS; None where the dataset does not keep the vectors or has none of them.

    Raises:
        InputError: The vectors cannot be read.
    """
    if site.roads is None:
        return None
    line_ids = [c.id for c in legend.classes if c.geometry == "line"]
    try:
        features = geopandas.read_parquet(site.roads)
        is_line = features["class_id"].isin(line_ids)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{site.roads}: not readable as features of swath ({reason})") from None
    lines = features.geometry[is_line] if is_line.any() else features.geometry.boundary
    return lines if len(lines) else None


@dataclass(frozen=True, slots=True)
class View:
    """A window as its labels have it.

    Attributes:
        window: In the site's grid.
        drawn: (h + 2 SEARCH_PX, w + 2 SEARCH_PX) template of the lines in and around it.
        mask: (h, w) bool: labelled as far around as a shift is looked for.
    """

    window: Window
    drawn: NDArray[np.float32]
    mask: NDArray[np.bool_]

    def moved(self, shift: Shift) -> NDArray[np.float32]:
        """(h, w) template moved to where the image shows the lines, to the nearest pixel."""
        row, col = SEARCH_PX - round(shift.south), SEARCH_PX - round(shift.east)
        return self.drawn[row : row + self.window.height, col : col + self.window.width]


def read_view(site: Site, lines: geopandas.GeoSeries | None, window: Window) -> View:
    """A window of a site, with the lines of `read_outlines`.

    Raises:
        InputError: The labels cannot be read.
    """
    around = window.grow(SEARCH_PX)
    labels = read_coarse_labels(site, around)
    # Outside the site nothing is labelled, and lines end there.
    inside = np.zeros(labels.shape, bool)
    inside[around.intersect(site.grid.window).relative_to(around).slices] = True
    ground = covered(labels) & inside
    inner = (slice(SEARCH_PX, -SEARCH_PX),) * 2
    if lines is None:
        drawn = ((labels > 0) & (labels != IGNORE)).astype(np.float32)
    else:
        grid = site.grid.crop(around)
        near = lines.iloc[lines.sindex.query(shapely.box(*grid.bounds))]
        drawn = template(near, grid)
    return View(window, drawn, far_inside(ground, SEARCH_PX + 1)[inner])
