"""How much maps of one place differ from day to day, of one date and fused; without labels."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.errors import InputError
from swath.lab.stability.sequence import SequenceMapper
from swath.mapping.predict import Predictor
from swath.mapping.sources import Series, warped_series
from swath.maps.rasters import classify
from swath.maps.sitemaps import decode_pmap, encode_pmap
from swath.models.fusion import FUSIONS
from swath.progress import track
from swath.sites.schema import SitesFile, read_sites_file
from swath.sites.series import plan_series

ONE_DATE = "one date"
FUSED = "fused"
MEAN = "mean"

Classes = NDArray[np.uint8]
"""(H, W) class ids, 255 = no data."""

Run = tuple[int, ...]
"""Numbers of the dates that are mapped together, in the order in which the model sees them."""

Maker = Callable[[Run], Classes]
Pairs = Callable[[Iterable[Classes]], Iterable[tuple[Classes, Classes]]]


def measure_variance(sites_file: Path, predictor: Predictor, dates: int) -> dict[str, Any]:
    """Compare the maps of all sites of a sites file from day to day.

    Args:
        sites_file: As `swath build` takes it; sites need no labels.
        predictor: The model.
        dates: T of the fused maps.

    Returns:
        Plain JSON values: `dates` and `sites`, one entry a site, see `_compare`.

    Raises:
        SettingsError: The file breaks the format.
        InputError: An image cannot be read, lacks a band of the model, or a site has one date only.
        ModelError: The model takes another number of dates only.
    """
    predictor.model.check_dates(dates)
    settings = read_sites_file(sites_file)
    plans = [_site_series(name, settings, sites_file.parent, predictor) for name in settings.sites]
    found = [_compare(series, predictor, dates) for series in track(plans, "comparing days")]
    return {"dates": dates, "sites": found}


def _site_series(name: str, settings: SitesFile, folder: Path, predictor: Predictor) -> Series:
    image = predictor.model.spec.image
    series = plan_series(name, settings, folder, image.bands)
    if len(series.scenes) < 2:
        raise InputError(f"site {name!r} has one date only; days are compared: give two or more")
    return warped_series(series, image)


def _compare(series: Series, predictor: Predictor, dates: int) -> dict[str, Any]:
    """One site.

    Returns:
        `days`: how far maps of disjoint dates differ: single dates pair by pair, and runs of T
        dates pair by pair (none where the site has fewer than 2 T dates). `next`: how far the map
        moves when the next date comes in: one date's to the next one's, and that of the last T
        dates so far to that with the new date. `order`: how far the map of the last T dates is from
        that of the same dates in reverse. Each output -> {pairs, differ, most, of_class}: `differ`
        is the mean share of pixels whose class differs, `most` the largest of a pair, `of_class`
        the mean share of those that either map calls the first class.
    """
    spec = predictor.model.spec
    target = spec.legend.foreground[0].id
    count = len(series.sources)
    single: list[Run] = [(at,) for at in range(count)]
    newest: list[Run] = [tuple(range(end - dates, end)) for end in range(count, dates - 1, -dates)]
    so_far: list[Run] = [tuple(range(max(0, end - dates), end)) for end in range(1, count + 1)]
    if predictor.series is not None and predictor.series.fixed_dates:
        so_far = [run for run in so_far if len(run) == dates]
    with tempfile.TemporaryDirectory(prefix="swath-") as scratch:
        makers = _makers(series, predictor, Path(scratch))

        def differ(runs: Sequence[Run], pairs: Pairs) -> dict[str, Any]:
            return {
                name: _differences(pairs(map(make, single if name == ONE_DATE else runs)), target)
                for name, make in makers.items()
            }

        return {
            "site": series.site,
            "dates": [str(day) for day in series.dates],
            "split_of_run": [split for split, names in spec.splits.items() if series.site in names],
            "class_share": float(
                np.mean([_share(makers[ONE_DATE](run), target) for run in single])
            ),
            "days": differ(newest, lambda maps: combinations(maps, 2)),
            "next": differ(so_far, pairwise),
            "order": {
                name: _differences([(make(run), make(run[::-1])) for run in so_far[-1:]], target)
                for name, make in makers.items()
                if name != ONE_DATE
            },
        }


def _makers(series: Series, predictor: Predictor, scratch: Path) -> dict[str, Maker]:
    """Output -> what makes its classes of some dates, given by number; none is made twice."""
    mapper = SequenceMapper(predictor, series.grid.shape)
    images = [source.prepare(scratch) for source in series.sources]
    pmaps = [mapper.pmap(image) for image in images]

    @cache
    def fused(run: Run) -> Classes:
        return classify(mapper.fuse([images[at] for at in run], [pmaps[at] for at in run]))

    @cache
    def mean(run: Run) -> Classes:
        values, valid = decode_pmap(np.stack([pmaps[at] for at in run]))
        fused = FUSIONS["mean"](values, valid)
        return classify(encode_pmap(fused, np.asarray(valid.any(axis=0))))

    found: dict[str, Maker] = {ONE_DATE: lambda run: classify(pmaps[run[-1]])}
    if predictor.fusion != "mean":
        found[FUSED] = fused
    return found | {MEAN: mean}


def _share(classes: Classes, target: int) -> float:
    known = classes != 255
    return float((classes[known] == target).mean()) if known.any() else 0.0


def _differences(pairs: Iterable[tuple[Classes, Classes]], target: int) -> dict[str, Any] | None:
    """How far pairs of maps differ; None without a pair that shares a pixel with data."""
    differ, of_class = [], []
    for one, other in pairs:
        known = (one != 255) & (other != 255)
        if not known.any():
            continue
        unlike = (one != other) & known
        either = ((one == target) | (other == target)) & known
        differ.append(float(unlike.sum() / known.sum()))
        if either.any():
            here = (one == target) != (other == target)
            of_class.append(float((here & known).sum() / either.sum()))
    if not differ:
        return None
    return {
        "pairs": len(differ),
        "differ": float(np.mean(differ)),
        "most": max(differ),
        "of_class": float(np.mean(of_class)) if of_class else None,
    }
