"""Checking the labels of a dataset against its images: what `swath labels check` computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from swath.audit.quality import (
    Completeness,
    LineGround,
    SiteQuality,
    block_counts,
    completeness,
    covered,
    empty_share,
    searchable,
    warnings_for,
)
from swath.audit.response import MARGIN_PX, Moments, Score, Stretch, responses, usable
from swath.audit.shift import (
    SEARCH_PX,
    LagSums,
    Shift,
    best_lag,
    find_shift,
    template,
    window_moments,
    window_sums,
)
from swath.dataset.site import Acquisition, Dataset, Site, read_image, read_labels
from swath.errors import InputError
from swath.grid import Window
from swath.legend import IGNORE, Legend
from swath.progress import track
from swath.sentinel2 import valid_mask

WINDOW_PX = 256
"""Side of the windows that are looked at."""

MOST_WINDOWS = 48
"""Of a large site, so many windows are looked at: 3.1 million pixels."""

VIEW_PX = 112
"""Side of the part of a site that its picture shows."""

_STRIP_PX = 1024
"""Rows of labels counted at once; a multiple of `WINDOW_PX` and of the blocks."""


@dataclass(frozen=True, slots=True)
class SiteCheck:
    """A site, what was found there, and what is to be said of it.

    Attributes:
        site: The site.
        quality: What was measured.
        warnings: A line each; none where the site looks well.
        correlation: (LAGS, LAGS) correlation of labels and image over lags, the mean of the dates;
            None where nothing could be compared.
    """

    site: Site
    quality: SiteQuality
    warnings: tuple[str, ...]
    correlation: NDArray[np.float64] | None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; no NaN."""
        found, whole = self.quality, self.quality.completeness
        return {
            "name": found.site,
            "splits": list(self.site.splits),
            "dates": [str(date) for date in found.dates],
            "labels_date": None if found.labels_date is None else str(found.labels_date),
            "years_apart": found.years_apart,
            "shift_px": _shift_json(found.shift),
            "shift_px_by_date": {
                str(date): _shift_json(shift)
                for date, shift in zip(found.dates, found.by_date, strict=True)
            },
            "applied_shift_m": list(found.applied_m),
            "shift_m": None if found.correction_m is None else list(found.correction_m),
            "scene_shift_m": {
                str(date): list(moved) for date, moved in found.image_corrections_m.items()
            },
            "completeness_at_least": None if whole is None else whole.least,
            "completeness_interval": None if whole is None else [whole.low, whole.high],
            "class_share": found.class_share,
            "foreground_share": found.foreground_share,
            "ignore_share": found.ignore_share,
            "empty_blocks": found.empty_blocks,
            "warnings": list(self.warnings),
        }


def _shift_json(shift: Shift | None) -> dict[str, Any] | None:
    if shift is None:
        return None
    return {
        "east": shift.east,
        "south": shift.south,
        "east_error": shift.east_error,
        "south_error": shift.south_error,
        "significant": shift.significant,
    }


def check_labels(dataset: Dataset, seed: int = 0) -> tuple[SiteCheck, ...]:
    """Check the labels of every site.

    Args:
        dataset: Made by `swath build`.
        seed: Same seed, same errors and intervals.

    Raises:
        InputError: A file of the dataset cannot be read.
    """
    sites = track(dataset.sites, "checking labels", total=len(dataset.sites))
    return tuple(check_site(site, dataset.legend, seed) for site in sites)


def check_site(site: Site, legend: Legend, seed: int = 0) -> SiteCheck:
    """Check one site; see `check_labels`."""
    classes, blocks, foreground = count_labels(site)
    windows = plan_windows(foreground, site.grid.window)
    lines = read_outlines(site, legend)
    views = [_view(site, lines, window) for window in windows]
    compared = [_compare(acquisition, views) for acquisition in site.acquisitions]
    by_date = tuple(None if one is None else find_shift([one.sums], seed) for one in compared)
    shown = [one for one, shift in zip(compared, by_date, strict=True) if one and shift is not None]
    shift = find_shift([one.sums for one in shown], seed) if shown else None
    labelled = int(classes[:IGNORE].sum())
    quality = SiteQuality(
        site=site.name,
        dates=site.dates,
        labels_date=site.labels_date,
        by_date=by_date,
        shift=shift,
        applied_m=site.shift_m,
        images_applied_m=tuple(acquisition.shift_m for acquisition in site.acquisitions),
        resolution_m=site.grid.resolution,
        completeness=_completeness(shown, views, shift, legend, seed),
        class_share={c.name: float(classes[c.id] / max(1, labelled)) for c in legend.classes},
        foreground_share=float(classes[1:IGNORE].sum() / max(1, labelled)),
        ignore_share=float(classes[IGNORE] / classes.sum()),
        empty_blocks=empty_share(blocks),
    )
    tried = [one.sums.correlation() for one in (shown or compared) if one is not None]
    surface = np.mean(tried, axis=0) if tried else None
    return SiteCheck(site, quality, tuple(warnings_for(quality)), surface)


def count_labels(
    site: Site,
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[tuple[int, int], int]]:
    """Count the labels of a site, strip by strip.

    Returns:
        (256,) pixels of each value; (blocks, 2) labelled and foreground pixels of each block of
        64 px; foreground pixels of each window of 256 px, by its row and column of windows.
    """
    classes = np.zeros(IGNORE + 1, np.int64)
    blocks, foreground = [], {}
    for strip in site.grid.window.strips(_STRIP_PX):
        labels = read_labels(site, strip)
        classes += np.bincount(labels.ravel(), minlength=IGNORE + 1)
        blocks.append(block_counts(labels))
        shown = (labels > 0) & (labels != IGNORE)
        for row in range(0, strip.height, WINDOW_PX):
            for col in range(0, strip.width, WINDOW_PX):
                number = int(shown[row : row + WINDOW_PX, col : col + WINDOW_PX].sum())
                foreground[(strip.row + row) // WINDOW_PX, col // WINDOW_PX] = number
    return classes, np.concatenate(blocks), foreground


def plan_windows(foreground: dict[tuple[int, int], int], whole: Window) -> tuple[Window, ...]:
    """The windows that are looked at: those with foreground, at most 48, evenly over the site.

    Args:
        foreground: Foreground pixels by row and column of windows of 256 px.
        whole: The site's grid.
    """
    rich = [at for at, number in foreground.items() if number >= 0.01 * WINDOW_PX**2]
    chosen = rich or [at for at, number in foreground.items() if number]
    if len(chosen) > MOST_WINDOWS:
        steps = np.linspace(0, len(chosen) - 1, MOST_WINDOWS).round().astype(int)
        chosen = [chosen[step] for step in steps]
    return tuple(
        Window(row * WINDOW_PX, col * WINDOW_PX, WINDOW_PX, WINDOW_PX).intersect(whole)
        for row, col in chosen
    )


def plan_view(site: Site) -> Window:
    """What a picture shows: 112 x 112 px in the middle of the window richest in foreground."""
    _, _, foreground = count_labels(site)
    row, col = max(foreground, key=lambda at: (foreground[at], -at[0], -at[1]))
    rich = Window(row * WINDOW_PX, col * WINDOW_PX, WINDOW_PX, WINDOW_PX)
    rich = rich.intersect(site.grid.window)
    height, width = min(VIEW_PX, rich.height), min(VIEW_PX, rich.width)
    return Window(
        rich.row + (rich.height - height) // 2,
        rich.col + (rich.width - width) // 2,
        height,
        width,
    )


def read_outlines(site: Site, legend: Legend) -> geopandas.GeoSeries | None:
    """What a shift shows on: the lines of the legend, or, where it has none, outlines of areas.

    Returns:
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
class _View:
    """A window as its labels have it.

    Attributes:
        window: In the site's grid.
        drawn: (h + 2 SEARCH_PX, w + 2 SEARCH_PX) template of the lines in and around it.
        mask: (h, w) bool: labelled as far around as a shift is looked for.
        ground: (h, w) bool: labelled.
    """

    window: Window
    drawn: NDArray[np.float32]
    mask: NDArray[np.bool_]
    ground: NDArray[np.bool_]

    def moved(self, shift: Shift) -> NDArray[np.float32]:
        """(h, w) template moved to where the image shows the lines, to the nearest pixel."""
        row, col = SEARCH_PX - round(shift.south), SEARCH_PX - round(shift.east)
        return self.drawn[row : row + self.window.height, col : col + self.window.width]


def _view(site: Site, lines: geopandas.GeoSeries | None, window: Window) -> _View:
    around = window.grow(SEARCH_PX)
    labels = read_labels(site, around)
    # Outside the site nothing is labelled, and lines end there.
    ground = covered(labels) & _inside(site, around)
    inner = (slice(SEARCH_PX, -SEARCH_PX),) * 2
    if lines is None:
        drawn = ((labels > 0) & (labels != IGNORE)).astype(np.float32)
    else:
        grid = site.grid.crop(around)
        near = lines.iloc[lines.sindex.query(shapely.box(*grid.bounds))]
        drawn = template(near, grid)
    return _View(window, drawn, searchable(ground)[inner], ground[inner])


def _inside(site: Site, around: Window) -> NDArray[np.bool_]:
    inside = np.zeros((around.height, around.width), bool)
    inside[around.intersect(site.grid.window).relative_to(around).slices] = True
    return inside


@dataclass(frozen=True, slots=True)
class _Compared:
    """One image against the labels: the score of every window, and its sums over lags."""

    scores: tuple[NDArray[np.float32], ...]
    valid: tuple[NDArray[np.bool_], ...]
    sums: LagSums


def _compare(acquisition: Acquisition, views: Sequence[_View]) -> _Compared | None:
    """Learn what the labels look like in an image, wherever they fit best, and correlate.

    Returns:
        None where no labelled pixel has data.
    """
    images = [read_image(acquisition, view.window.grow(MARGIN_PX)) for view in views]
    data = [valid_mask(image) for image in images]
    inner = (slice(MARGIN_PX, -MARGIN_PX),) * 2
    valid = [usable(one)[inner] for one in data]
    if not any((one & view.mask).any() for one, view in zip(valid, views, strict=True)):
        return None
    stretch = Stretch.of(
        np.concatenate([image[:, one] for image, one in zip(images, data, strict=True)], axis=1)
    )
    shown = [
        responses(image, one, stretch)[:, *inner] for image, one in zip(images, data, strict=True)
    ]
    moments = Moments.total(
        [
            window_moments(response, view.drawn, view.mask & one)
            for response, view, one in zip(shown, views, valid, strict=True)
        ]
    )
    score: Score = moments.score(*best_lag(moments))
    scores = [score(response) for response in shown]
    parts = [
        window_sums(one, view.drawn, view.mask & seen)
        for one, view, seen in zip(scores, views, valid, strict=True)
    ]
    sums = LagSums(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.template for part in parts]),
    )
    return _Compared(tuple(scores), tuple(valid), sums)


def _completeness(
    shown: Sequence[_Compared],
    views: Sequence[_View],
    shift: Shift | None,
    legend: Legend,
    seed: int,
) -> Completeness | None:
    """Completeness of the lines, on the mean score of the dates; None where there are no lines."""
    if shift is None or not any(c.geometry == "line" for c in legend.classes):
        return None
    windows = []
    for at, view in enumerate(views):
        score = np.mean([one.scores[at] for one in shown], axis=0)
        seen = np.all([one.valid[at] for one in shown], axis=0)
        windows.append(LineGround.of(score, view.moved(shift), view.mask & seen))
    return completeness(windows, seed)
