"""Checking the labels of a dataset against its images: what `swath labels check` computes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from swath.audit.quality import Completeness, LineGround, SiteCheck, completeness, empty_share
from swath.audit.response import EDGE_PX, MARGIN_PX, Moments, far_inside, responses, stretched
from swath.audit.shift import LagSums, Shift, best_lag, find_shift, window_moments, window_sums
from swath.audit.view import View, count_labels, plan_windows, read_outlines, read_view
from swath.dataset.site import Acquisition, Dataset, Site, read_image
from swath.legend import IGNORE, Legend
from swath.progress import track
from swath.sentinel2 import valid_mask


def check_labels(dataset: Dataset, seed: int = 0) -> tuple[SiteCheck, ...]:
    """Check the labels of every site; the same seed gives the same errors and intervals.

    Raises:
        InputError: A file of the dataset cannot be read.
    """
    sites = track(dataset.sites, "checking labels", total=len(dataset.sites))
    return tuple(check_site(site, dataset.legend, seed) for site in sites)


def check_site(site: Site, legend: Legend, seed: int = 0) -> SiteCheck:
    """Check the labels of a site of a dataset that has this legend; see `check_labels`.

    Raises:
        InputError: A file of the dataset cannot be read.
    """
    classes, blocks, foreground = count_labels(site)
    windows = plan_windows(foreground, site.grid.window)
    lines = read_outlines(site, legend)
    views = [read_view(site, lines, window) for window in windows]
    compared = [_compare(acquisition, views) for acquisition in site.acquisitions]
    by_date = tuple(None if date is None else find_shift([date.sums], seed) for date in compared)
    shown = [date for date, shift in zip(compared, by_date, strict=True) if date and shift]
    shift = find_shift([date.sums for date in shown], seed) if shown else None
    labelled = int(classes[:IGNORE].sum())
    surfaces = [date.sums.correlation() for date in (shown or compared) if date is not None]
    return SiteCheck(
        site=site,
        by_date=by_date,
        shift=shift,
        completeness=_completeness(shown, views, shift, legend, seed),
        class_share={c.name: float(classes[c.id] / max(1, labelled)) for c in legend.classes},
        foreground_share=float(classes[1:IGNORE].sum() / max(1, labelled)),
        ignore_share=float(classes[IGNORE] / classes.sum()),
        empty_blocks=empty_share(blocks),
        correlation=np.mean(surfaces, axis=0) if surfaces else None,
    )


@dataclass(frozen=True, slots=True)
class _Compared:
    """One image against the labels: the score of every window, and its sums over lags."""

    scores: tuple[NDArray[np.float32], ...]
    valid: tuple[NDArray[np.bool_], ...]
    sums: LagSums


def _compare(acquisition: Acquisition, views: Sequence[View]) -> _Compared | None:
    """Learn what the labels look like in an image, wherever they fit best, and correlate.

    None where no labelled pixel has data.
    """
    images = [read_image(acquisition, view.window.grow(MARGIN_PX)) for view in views]
    data = [valid_mask(image) for image in images]
    inner = (slice(MARGIN_PX, -MARGIN_PX),) * 2
    valid = [far_inside(known, EDGE_PX)[inner] for known in data]
    if not any((seen & view.mask).any() for seen, view in zip(valid, views, strict=True)):
        return None
    shown = [responses(image)[:, *inner] for image in stretched(images, data)]
    counted = [view.mask & seen for view, seen in zip(views, valid, strict=True)]
    moments = Moments.total(
        [
            window_moments(response, view.drawn, mask)
            for response, view, mask in zip(shown, views, counted, strict=True)
        ]
    )
    scores = moments.scores(best_lag(moments), shown)
    parts = [
        window_sums(score, view.drawn, mask) for score, view, mask in zip(scores, views, counted, strict=True)
    ]
    sums = LagSums(
        np.concatenate([part.score for part in parts]), np.concatenate([part.template for part in parts])
    )
    return _Compared(tuple(scores), tuple(valid), sums)


def _completeness(
    shown: Sequence[_Compared], views: Sequence[View], shift: Shift | None, legend: Legend, seed: int
) -> Completeness | None:
    """Completeness of the lines, on the mean score of the dates; None where there are no lines."""
    if shift is None or not any(c.geometry == "line" for c in legend.classes):
        return None
    windows = []
    for at, view in enumerate(views):
        score = np.mean([date.scores[at] for date in shown], axis=0)
        seen = np.all([date.valid[at] for date in shown], axis=0)
        windows.append(LineGround.of(score, view.moved(shift), view.mask & seen))
    return completeness(windows, seed)


def check_json(checks: Sequence[SiteCheck]) -> dict[str, JsonValue]:
    """What check.json says of the sites of a dataset."""
    return {
        "sites": [_site_json(check) for check in checks],
        "warnings": sum(len(check.warnings) for check in checks),
    }


def _site_json(check: SiteCheck) -> JsonValue:
    site, whole = check.site, check.completeness
    by_date = zip(site.dates, check.by_date, strict=True)
    content: JsonValue = to_jsonable_python(
        {
            "name": site.name,
            "splits": site.splits,
            "dates": site.dates,
            "labels_date": site.labels_date,
            "years_apart": check.years_apart,
            "shift_px": _shift_json(check.shift),
            "shift_px_by_date": {date: _shift_json(shift) for date, shift in by_date},
            "applied_shift_m": site.shift_m,
            "shift_m": check.correction_m,
            "scene_shift_m": check.image_corrections_m,
            "completeness_at_least": whole and whole.least,
            "completeness_interval": whole and (whole.low, whole.high),
            "class_share": check.class_share,
            "foreground_share": check.foreground_share,
            "ignore_share": check.ignore_share,
            "empty_blocks": check.empty_blocks,
            "warnings": check.warnings,
        }
    )
    return content


def _shift_json(shift: Shift | None) -> dict[str, float] | None:
    names = ("east", "south", "east_error", "south_error", "significant")
    return None if shift is None else {name: getattr(shift, name) for name in names}
