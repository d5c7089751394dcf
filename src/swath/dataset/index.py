"""The patch index: which windows a network trains on, as a plain value.

Pure: planning draws patches from summaries of the labels; `patches` reads the pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.dataset.augment import SYMMETRIES
from swath.errors import DatasetError
from swath.grid import Window
from swath.legend import IGNORE

CELL_PX = 16
"""Side of the cells in which labels are counted for the sampling."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Where one region of a site has labels; all that planning needs to know.

    Attributes:
        region: The rectangle that patches may see.
        dates: Number of acquisitions of the site.
        labelled: (n, 2) centres of the cells with labels: row and column in image pixels.
        foreground: The same for the cells that hold a class, an array (m, 2) each for the classes that
            the legend maps and the region has.
        pixels: Number of labelled pixels.
    """

    site: str
    region: Window
    dates: int
    labelled: NDArray[np.int64]
    foreground: tuple[NDArray[np.int64], ...]
    pixels: int


@dataclass(frozen=True, slots=True)
class Patch:
    """One training sample: a window of a series, turned.

    Attributes:
        window: Image pixels of the site; what lies outside `region` is no data and *ignore*.
        region: The rectangle of the split: no pixel outside it is ever seen.
        dates: Indices of the acquisitions, ascending, so oldest first.
        symmetry: Element of D4 for the images and the label alike.
    """

    site: str
    window: Window
    region: Window
    dates: tuple[int, ...]
    symmetry: int


def survey_labels(
    site: str, region: Window, dates: int, labels: NDArray[np.uint8], classes: Sequence[int] = (1,)
) -> Survey:
    """Count the labels of a region, (H, W) uint8 in image pixels, 255 = ignore, by cells of `CELL_PX`.

    Patches are laid around `classes`, the ids of those that the legend maps.
    """
    height, width = labels.shape
    sides = ((0, -height % CELL_PX), (0, -width % CELL_PX))
    padded = np.pad(labels, sides, constant_values=IGNORE)
    cells = padded.reshape(padded.shape[0] // CELL_PX, CELL_PX, -1, CELL_PX)
    known = cells != IGNORE
    middle = np.array([region.row, region.col]) + CELL_PX // 2
    labelled, *mapped = (
        np.argwhere(marked.any(axis=(1, 3))) * CELL_PX + middle
        for marked in (known, *(cells == number for number in classes))
    )
    foreground = tuple(cells_of for cells_of in mapped if len(cells_of))
    return Survey(site, region, dates, labelled, foreground, int(known.sum()))


def plan_patches(
    surveys: Sequence[Survey],
    count: int,
    patch_px: int,
    dates: int,
    foreground_share: float,
    rng: np.random.Generator,
) -> tuple[Patch, ...]:
    """Draw `count` random patches of `patch_px` that show T = `dates` acquisitions each.

    A region is drawn in proportion to its labelled pixels. With probability `foreground_share` the
    patch is laid around a cell with a class that the legend maps, every class of the region as often
    as the others, else around any labelled cell; then it is shifted by up to half its side and moved
    inside the region as far as it fits.

    Raises:
        DatasetError: No labelled pixel, or a site with fewer than `dates` acquisitions.
    """
    pixels = np.array([survey.pixels for survey in surveys], np.float64)
    if pixels.sum() == 0:
        raise DatasetError("no labelled pixel to train on: every label is ignore (255)")
    for survey in surveys:
        if survey.dates < dates:
            raise DatasetError(
                f"site {survey.site!r} has {survey.dates} acquisition(s), a series of {dates} was "
                "asked for; add scenes or ask for fewer dates"
            )
    chosen = rng.choice(len(surveys), size=count, p=pixels / pixels.sum())
    return tuple(_draw_patch(surveys[index], patch_px, dates, foreground_share, rng) for index in chosen)


def _draw_patch(
    survey: Survey, patch_px: int, dates: int, foreground_share: float, rng: np.random.Generator
) -> Patch:
    cells, kinds = survey.labelled, len(survey.foreground)
    if rng.random() < foreground_share and kinds:
        cells = survey.foreground[rng.integers(kinds) if kinds > 1 else 0]
    centre = cells[rng.integers(len(cells))]
    origin = centre - patch_px // 2 + rng.integers(-(patch_px // 2), patch_px // 2 + 1, size=2)
    region = survey.region
    row = _move_inside(int(origin[0]), patch_px, region.row, region.row_end)
    col = _move_inside(int(origin[1]), patch_px, region.col, region.col_end)
    picked = np.sort(rng.choice(survey.dates, size=dates, replace=False))
    window = Window(row, col, patch_px, patch_px)
    return Patch(survey.site, window, region, tuple(picked.tolist()), int(rng.integers(SYMMETRIES)))


def _move_inside(start: int, length: int, low: int, high: int) -> int:
    """Shift `start .. start + length` into `low .. high`; a too short range stays inside it."""
    if length >= high - low:
        return min(max(start, high - length), low)
    return min(max(start, low), high - length)


def plan_cover(surveys: Sequence[Survey], patch_px: int, dates: int) -> tuple[Patch, ...]:
    """Patches that cover the regions once, without overlap: for validation.

    With fewer `dates` than a site has, every patch is repeated for as many disjoint runs of dates
    as there are; the newest dates come first, and what is left over is dropped.
    """
    patches = []
    for survey in surveys:
        region = survey.region
        runs = [tuple(range(end - dates, end)) for end in range(survey.dates, dates - 1, -dates)]
        for row in range(region.row, region.row_end, patch_px):
            for col in range(region.col, region.col_end, patch_px):
                window = Window(row, col, patch_px, patch_px)
                patches += [Patch(survey.site, window, region, run, 0) for run in runs]
    return tuple(patches)
