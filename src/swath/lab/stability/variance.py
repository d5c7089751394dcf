"""How much maps of one place differ from day to day, of one date and fused; without labels."""

import datetime as dt
import tempfile
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.errors import InputError
from swath.lab.stability.inmemory import InMemoryMapper
from swath.mapping.predict import Predictor
from swath.mapping.sources import Series, warped_series
from swath.maps.rasters import classify
from swath.maps.sitemaps import decode_pmap, encode_pmap
from swath.models.fusion import FUSIONS
from swath.progress import track
from swath.sites.schema import SitesFile, read_sites_file
from swath.sites.series import plan_series
from swath.validation import Written


class MapKind(StrEnum):
    """Whose maps are compared."""

    ONE_DATE = "one date"
    FUSED = "fused"
    MEAN = "mean"


class Differences(Written):
    """How far pairs of maps differ.

    Attributes:
        pairs: How many.
        differ: Mean share of the pixels whose class differs.
        most: The largest share of a pair.
        of_class: Mean share of those that either map calls the first class; None where none does.
    """

    pairs: int
    differ: float
    most: float
    of_class: float | None


ByKind = dict[MapKind, Differences | None]
"""Kind -> how far its maps differ; None without a pair that shares a pixel with data."""


class SiteVariance(Written):
    """How far the maps of a site differ from day to day.

    Attributes:
        site: Its name.
        dates: Of its images, oldest first.
        split_of_run: The splits that it had in the model's run.
        class_share: Share 0..1 of the pixels that the maps of single dates call the first class.
        days: Maps of disjoint dates: single dates pair by pair, and runs of T dates pair by pair
            (none where the site has fewer than 2 T dates).
        next: How far the map moves when the next date comes in: one date's to the next one's, and
            that of the last T dates so far to that with the new date.
        order: How far the map of the last T dates is from that of the same dates in reverse.
    """

    site: str
    dates: tuple[dt.date, ...]
    split_of_run: tuple[str, ...]
    class_share: float
    days: ByKind
    next: ByKind
    order: ByKind


class VarianceTable(Written):
    """Day variance of several sites.

    Attributes:
        dates: T of the fused maps.
        sites: One entry a site.
    """

    dates: int
    sites: tuple[SiteVariance, ...]


Classes = NDArray[np.uint8]
"""(H, W) class ids, 255 = no data."""

Run = tuple[int, ...]
"""Numbers of the dates that are mapped together, in the order in which the model sees them."""

Maker = Callable[[Run], Classes]
Pairs = Callable[[Iterable[Classes]], Iterable[tuple[Classes, Classes]]]


def measure_variance(sites_file: Path, predictor: Predictor, dates: int) -> VarianceTable:
    """Compare the maps of all sites of a sites file from day to day.

    Args:
        sites_file: As `swath build` takes it; sites need no labels.
        predictor: The model.
        dates: T of the fused maps.

    Raises:
        SettingsError: The file breaks the format.
        InputError: An image cannot be read, lacks a band of the model, or a site has one date only.
        ModelError: The model takes another number of dates only.
    """
    predictor.model.check_dates(dates)
    settings = read_sites_file(sites_file)
    plans = [_site_series(name, settings, sites_file.parent, predictor) for name in settings.sites]
    sites = [_compare(series, predictor, dates) for series in track(plans, "comparing days")]
    return VarianceTable(dates=dates, sites=tuple(sites))


def _site_series(name: str, settings: SitesFile, folder: Path, predictor: Predictor) -> Series:
    image = predictor.model.spec.image
    series = plan_series(name, settings, folder, image.required)
    if len(series.scenes) < 2:
        raise InputError(f"site {name!r} has one date only; days are compared: give two or more")
    return warped_series(series, image)


def _compare(series: Series, predictor: Predictor, dates: int) -> SiteVariance:
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

        def differ(runs: Sequence[Run], pairs: Pairs) -> ByKind:
            return {
                output: differences(pairs(map(make, single if output == MapKind.ONE_DATE else runs)), target)
                for output, make in makers.items()
            }

        shares = [_share(makers[MapKind.ONE_DATE](run), target) for run in single]
        return SiteVariance(
            site=series.site,
            dates=series.dates,
            split_of_run=tuple(split for split, names in spec.splits.items() if series.site in names),
            class_share=float(np.mean(shares)),
            days=differ(newest, lambda maps: combinations(maps, 2)),
            next=differ(so_far, pairwise),
            order={
                output: differences([(make(run), make(run[::-1])) for run in so_far[-1:]], target)
                for output, make in makers.items()
                if output != MapKind.ONE_DATE
            },
        )


def _makers(series: Series, predictor: Predictor, scratch: Path) -> dict[MapKind, Maker]:
    """Kind -> what makes its classes of some dates, given by number; none is made twice."""
    mapper = InMemoryMapper(predictor, series.grid.shape)
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

    makers: dict[MapKind, Maker] = {MapKind.ONE_DATE: lambda run: classify(pmaps[run[-1]])}
    if predictor.fusion != "mean":
        makers[MapKind.FUSED] = fused
    return makers | {MapKind.MEAN: mean}


def _share(classes: Classes, target: int) -> float:
    known = classes != 255
    return float((classes[known] == target).mean()) if known.any() else 0.0


def differences(pairs: Iterable[tuple[Classes, Classes]], target: int) -> Differences | None:
    """How far pairs of maps differ.

    Args:
        pairs: Maps of one grid.
        target: Id of the first class.

    Returns:
        None without a pair that shares a pixel with data.
    """
    differ, of_class = [], []
    for before, after in pairs:
        known = (before != 255) & (after != 255)
        if not known.any():
            continue
        unlike = (before != after) & known
        either = ((before == target) | (after == target)) & known
        differ.append(float(unlike.sum() / known.sum()))
        if either.any():
            here = (before == target) != (after == target)
            of_class.append(float((here & known).sum() / either.sum()))
    if not differ:
        return None
    return Differences(
        pairs=len(differ),
        differ=float(np.mean(differ)),
        most=max(differ),
        of_class=float(np.mean(of_class)) if of_class else None,
    )
