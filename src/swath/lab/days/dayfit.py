"""How days of a place differ, measured on pairs of images of real places.

Days of one place are taken as equal members of a family: each is what the place is, plus what that
day was like. With land class `k` and band `b`, an image is x = m + s (z + e): a level `m` and a
contrast `s` of the day, the place `z` and the day's own pattern `e`. Days correlate by rho, so that
var z = rho and var e = 1 - rho.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from swath.errors import InputError
from swath.lab.days.pair import (
    LEAST_PX,
    OBJECT_PX,
    SCALES,
    Images,
    lay_pair,
    take_apart,
)
from swath.lab.realism.land import LAND
from swath.lab.realism.siteimages import BANDS
from swath.validation import Frozen

Matrix = tuple[tuple[float, ...], ...]

_LEAST_VARIANCE = 1e-12
"""Of what is new in a day, in units of its contrast: far above rounding, below one pixel that differs."""


class DayChange(Frozen):
    """One observed pair: how level and contrast changed, in logarithms, by land class and band.

    Attributes:
        place: Where.
        level: (4 classes, 4 bands) logarithm of the ratio of the means.
        contrast: (4, 4) logarithm of the ratio of the deviations.
    """

    place: str
    level: Matrix
    contrast: Matrix


class Fit(Frozen):
    """What was measured on pairs of real images.

    Attributes:
        places: On which.
        patterns: Land class -> scale -> covariance (4 x 4 bands) of the day's own pattern.
        grain_px: Deviation of the Gaussian that gives pixels' patterns their correlation.
        shift_px: Deviation of a day's shift along an axis.
        changes: Every pair's change of level and contrast.
    """

    places: tuple[str, ...]
    patterns: dict[str, dict[str, Matrix]]
    grain_px: float
    shift_px: float
    changes: tuple[DayChange, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        square = (len(BANDS), len(BANDS))
        for land in LAND:
            for scale in SCALES:
                covariance = np.asarray(self.patterns.get(land, {}).get(scale, ()))
                if covariance.shape != square or np.linalg.eigvalsh(covariance).min() < -1e-6:
                    raise ValueError(f"patterns of {land}, {scale}: no covariance of 4 bands")
        if not self.changes:
            raise ValueError("changes: none")
        return self


Covariances = dict[tuple[str, str], NDArray[np.float64]]
"""(land class, scale) -> (4 x 4 bands)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """What one pair says.

    Attributes:
        change: Of level and contrast.
        covariances: Of a day's own pattern, of the land classes that the pair has enough of.
        neighbours: Correlation of neighbouring pixels' patterns.
        shifts: (2,) of a day along either axis, in px.
    """

    change: DayChange
    covariances: Covariances
    neighbours: float
    shifts: NDArray[np.float64]


def fit_days(places: Sequence[tuple[str, Images, NDArray[np.bool_]]]) -> Fit:
    """Measure how days differ, on pairs of images of real places; every place weighs alike.

    Args:
        places: Name, (T, 4, H, W) reflectance of the four bands by date, (T, H, W) known pixels.

    Raises:
        InputError: No place has two images; two of a place share too little ground, or do not differ.
    """
    by_place = [
        [
            _measure(name, images[[first, second]], valid[[first, second]])
            for first, second in pairwise(range(len(images)))
        ]
        for name, images, valid in places
    ]
    pairs = [pair for measured in by_place for pair in measured]
    if not pairs:
        raise InputError("no site has two images; changes from day to day need pairs")
    shifts = np.concatenate([pair.shifts for pair in pairs])
    return Fit(
        places=tuple(dict.fromkeys(pair.change.place for pair in pairs)),
        patterns=_patterns([_mean_by_kind(measured) for measured in by_place]),
        grain_px=round(_grain_px(float(np.mean([pair.neighbours for pair in pairs]))), 3),
        shift_px=round(float(np.sqrt(np.mean(np.square(shifts)))), 3),
        changes=tuple(pair.change for pair in pairs),
    )


def _measure(place: str, images: Images, valid: NDArray[np.bool_]) -> _Measured:
    try:
        pair = lay_pair(images, valid)
    except InputError as error:
        raise InputError(f"site {place!r}: {error}") from None
    plain = pair.plain
    parts = take_apart((plain[0] - plain[1]) / np.float32(np.sqrt(2)), pair.objects)
    covariances: Covariances = {}
    for k, land in enumerate(LAND):
        here = pair.ok & (pair.weights[k] > 0.5)
        if here.sum() >= LEAST_PX:
            for scale, part in zip(SCALES, parts, strict=True):
                values = part[:, here].astype(np.float64)
                covariances[land, scale] = values @ values.T / here.sum()
    pixel = parts[SCALES.index("pixel")]
    if (variance := (pixel**2).mean()) < _LEAST_VARIANCE:
        raise InputError(f"site {place!r}: two of its dates do not differ; give images of two days")
    beside = (pixel[:, :, 1:] * pixel[:, :, :-1]).mean() / variance
    level, contrast = (
        np.log(np.maximum(second, 1e-3) / np.maximum(first, 1e-3)).tolist()
        for first, second in (pair.levels, pair.contrasts)
    )
    change = DayChange(place=place, level=level, contrast=contrast)
    return _Measured(change, covariances, float(beside), pair.shift_px / np.sqrt(2))


def _mean_by_kind(pairs: Sequence[_Measured]) -> Covariances:
    """The mean covariances of the pairs of one place."""
    kinds = dict.fromkeys(kind for pair in pairs for kind in pair.covariances)
    return {
        kind: np.mean([p.covariances[kind] for p in pairs if kind in p.covariances], axis=0) for kind in kinds
    }


def _patterns(places: Sequence[Covariances]) -> dict[str, dict[str, Matrix]]:
    """Mean over places; a land class that none has enough of is like all others together."""
    by_kind: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    for covariances in places:
        for kind, covariance in covariances.items():
            by_kind.setdefault(kind, []).append(covariance)
    everywhere = {
        scale: np.mean([m for (_, s), ms in by_kind.items() if s == scale for m in ms], axis=0)
        for scale in SCALES
    }
    return {
        land: {
            scale: np.mean(by_kind.get((land, scale), [everywhere[scale]]), axis=0).tolist()
            for scale in SCALES
        }
        for land in LAND
    }


def _grain_px(beside: float) -> float:
    """Deviation of the Gaussian that correlates neighbours as pixels' patterns are.

    Args:
        beside: Correlation of neighbours once the means of objects are taken away. They take that
            part of the variance with them that is shared over an object.
    """

    def deviation(correlation: float) -> float:  # that correlates neighbours by exp(-1 / (4 s^2))
        return float(np.sqrt(-1 / (4 * np.log(np.clip(correlation, 0.01, 0.9)))))

    taken = min(0.5, 4 * np.pi * deviation(beside) ** 2 / OBJECT_PX)
    return deviation(beside * (1 - taken) + taken)
