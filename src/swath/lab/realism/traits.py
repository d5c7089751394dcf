"""What places look like, in figures: each the mean over places, and how places differ in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from swath.lab.realism.land import LAND, land_classes
from swath.lab.realism.siteimages import BANDS, SiteImages

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_LEAST_PX = 400
"""Pixels of a land class below which two dates say nothing of it."""

_LEAST_ROAD_PX = 200
"""Pixels of roads, and of the ground around them, below which a date says nothing of contrast."""

Summary = tuple[float, float] | None
"""Mean and deviation, rounded; None without values."""


@dataclass(frozen=True, slots=True)
class DatePairs:
    """The second image of places on the first, in one band and land class.

    Attributes:
        correlation: Of the pixels' reflectance.
        slope: Of the second on the first.
        places: How many places have enough of the class.
    """

    correlation: Summary
    slope: Summary
    places: int


@dataclass(frozen=True, slots=True)
class Spectrum:
    """How fast power falls with frequency, and how much fine detail there is.

    Attributes:
        slope: Of log power against log frequency between periods of 32 and 4 px.
        fine: The power at periods below 2.7 px against that at 5 to 8 px, in decibels.
    """

    slope: Summary
    fine: Summary


@dataclass(frozen=True, slots=True)
class RoadContrast:
    """Roads against the ground 3 to 6 px away, in deviations of the picture.

    Attributes:
        contrast: Over all dates of all places.
        between_dates: The deviation of a place's contrast from date to date.
    """

    contrast: Summary
    between_dates: Summary


@dataclass(frozen=True, slots=True)
class Traits:
    """Figures of places.

    Attributes:
        places: Their names.
        images: How many images they have.
        quantiles: Band -> quantile of reflectance.
        between_dates: Land class, or `all` -> band.
        spectrum: Band ->.
        road_contrast: Band ->; None where no place has road lines.
    """

    places: tuple[str, ...]
    images: int
    quantiles: Mapping[str, Mapping[str, Summary]]
    between_dates: Mapping[str, Mapping[str, DatePairs]]
    spectrum: Mapping[str, Spectrum]
    road_contrast: Mapping[str, RoadContrast] | None


def describe(places: Sequence[SiteImages]) -> Traits:
    """Figures of places, each the mean over places and the deviation from place to place."""
    return Traits(
        places=tuple(place.name for place in places),
        images=sum(len(place.images) for place in places),
        quantiles=_quantiles(places),
        between_dates=_between_dates(places),
        spectrum=_spectrum(places),
        road_contrast=_road_contrast(places),
    )


def _summary(values: Sequence[float]) -> Summary:
    known = np.asarray([value for value in values if np.isfinite(value)], np.float64)
    if len(known) == 0:
        return None
    return round(float(known.mean()), 4), round(float(known.std()), 4)


def _quantiles(places: Sequence[SiteImages]) -> dict[str, dict[str, Summary]]:
    def quantile(at: int, q: float) -> Summary:
        return _summary(
            [
                float(np.quantile(image[at][ok], q))
                for place in places
                for image, ok in zip(place.images, place.valid, strict=True)
            ]
        )

    return {band: {str(q): quantile(at, q) for q in QUANTILES} for at, band in enumerate(BANDS)}


def _between_dates(places: Sequence[SiteImages]) -> dict[str, dict[str, DatePairs]]:
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for place in places:
        if len(place.images) < 2:
            continue
        first, second = place.images[:2]
        ok = place.valid[0] & place.valid[1]
        land = land_classes(first)
        for number, name in enumerate((*LAND, "all")):
            here = ok & (land == number) if name != "all" else ok
            if here.sum() < _LEAST_PX:
                continue
            for at, band in enumerate(BANDS):
                a, b = first[at][here], second[at][here]
                slope = float(np.cov(a, b)[0, 1] / max(float(a.var()), 1e-9))
                pairs.setdefault((name, band), []).append((float(np.corrcoef(a, b)[0, 1]), slope))
    result: dict[str, dict[str, DatePairs]] = {}
    for (name, band), values in pairs.items():
        correlations, slopes = zip(*values, strict=True)
        figures = DatePairs(_summary(correlations), _summary(slopes), len(values))
        result.setdefault(name, {})[band] = figures
    return result


def _spectrum(places: Sequence[SiteImages]) -> dict[str, Spectrum]:
    result = {}
    for at, band in enumerate(BANDS):
        slopes, fine = [], []
        for place in places:
            for image, ok in zip(place.images, place.valid, strict=True):
                frequency, power = radial_power(np.where(ok, image[at], image[at][ok].mean()))
                chosen = (frequency > 1 / 32) & (frequency < 1 / 4)
                slopes.append(np.polyfit(np.log(frequency[chosen]), np.log(power[chosen]), 1)[0])
                small = power[(frequency > 0.375) & (frequency <= 0.5)].mean()
                middle = power[(frequency > 0.125) & (frequency < 0.2)].mean()
                fine.append(10 * np.log10(small / middle))
        result[band] = Spectrum(_summary(slopes), _summary(fine))
    return result


def radial_power(image: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean power by frequency of a picture's largest square.

    Args:
        image: (H, W).

    Returns:
        (n,) frequencies in cycles per pixel, and (n,) powers.
    """
    side = min(image.shape)
    square = image[:side, :side] - image[:side, :side].mean()
    window = np.hanning(side)
    power = np.abs(np.fft.fft2(square * window[:, None] * window)) ** 2
    axis = np.fft.fftfreq(side)
    radius = np.rint(np.hypot(axis[:, None], axis) * side).astype(np.int64)
    total = np.bincount(radius.ravel(), power.ravel())
    count = np.bincount(radius.ravel())
    rings = np.arange(1, side // 2)
    return rings / side, total[rings] / count[rings]


def _road_contrast(places: Sequence[SiteImages]) -> dict[str, RoadContrast] | None:
    values: dict[str, list[float]] = {band: [] for band in BANDS}
    swings: dict[str, list[float]] = {band: [] for band in BANDS}
    for place in places:
        for band, contrasts in _contrasts(place).items():
            values[band] += contrasts
            if len(contrasts) > 1:
                swings[band].append(float(np.std(contrasts)))
    if not any(values.values()):
        return None
    return {band: RoadContrast(_summary(values[band]), _summary(swings[band])) for band in BANDS}


def _contrasts(place: SiteImages) -> dict[str, list[float]]:
    """Band -> contrast of the roads of a place on each date that shows enough of them."""
    if place.roads is None or not (place.roads & place.complete).any():
        return {}
    square = np.ones((3, 3), np.bool_)
    near = binary_dilation(place.roads, square, 2)
    around = binary_dilation(place.roads, square, 5) & ~near & place.complete
    road = place.roads & place.complete
    contrasts: dict[str, list[float]] = {band: [] for band in BANDS}
    for image, ok in zip(place.images, place.valid, strict=True):
        if min((around & ok).sum(), (road & ok).sum()) < _LEAST_ROAD_PX:
            continue
        for at, band in enumerate(BANDS):
            gap = image[at][road & ok].mean() - image[at][around & ok].mean()
            contrasts[band].append(float(gap / image[at][place.complete & ok].std()))
    return contrasts
