"""Further days of a real place, made from two of its images by changes fitted on other places.

Days of one place are taken as equal members of a family: each is what the place is, plus what that
day was like. With land class `k` and band `b`, an image is x = m + s (z + e): a level `m` and a
contrast `s` of the day, the place `z` and the day's own pattern `e`. Days correlate by rho, so that
var z = rho and var e = 1 - rho. Of two images a and b, z is known up to noise: a third day is
rho / (1 + rho) (a + b), plus what they leave unknown of z, plus a pattern of its own, moved by a
part of a pixel. Made days then correlate with one another and with both images as these do, if the
place is like those on which the changes were fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator
from scipy.ndimage import gaussian_filter, mean, shift
from skimage.registration import phase_cross_correlation
from skimage.segmentation import slic

from swath.errors import InputError
from swath.lab.realism.realism import BANDS, LAND, land_classes
from swath.simulate.parameters import Optics

SCALES = ("air", "object", "pixel")
"""What a pattern is made of: waves of `AIR_PX`, one value for each object, one for each pixel."""

AIR_PX = 24.0
"""Deviation of the Gaussian that tells the air's pattern from the ground's. Chosen: fields and
quarters are smaller, haze is larger."""

OBJECT_PX = 40
"""Pixels of an object (a field, a block of houses) on average. Chosen."""

_LEAST_PX = 400
"""Pixels of a land class below which a pair says nothing of it."""

_LARGEST_SHIFT_PX = 2.5

Images = NDArray[np.float32]


class Change(BaseModel):
    """One observed pair: how level and contrast changed, in logarithms, by land class and band.

    Attributes:
        place: Where.
        level: (4 classes, 4 bands) logarithm of the ratio of the means.
        contrast: (4, 4) logarithm of the ratio of the deviations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str
    level: tuple[tuple[float, ...], ...]
    contrast: tuple[tuple[float, ...], ...]


class Fit(BaseModel):
    """What was measured on pairs of real images.

    Attributes:
        places: On which.
        patterns: Land class -> scale -> covariance (4 x 4 bands) of the day's own pattern.
        grain_px: Deviation of the Gaussian that gives pixels' patterns their correlation.
        shift_px: Deviation of a day's shift along an axis.
        changes: Every pair's change of level and contrast.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    places: tuple[str, ...]
    patterns: dict[str, dict[str, tuple[tuple[float, ...], ...]]]
    grain_px: float
    shift_px: float
    changes: tuple[Change, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        square = (len(BANDS), len(BANDS))
        for land in LAND:
            for scale in SCALES:
                found = np.asarray(self.patterns.get(land, {}).get(scale, ()))
                if found.shape != square or np.linalg.eigvalsh(found).min() < -1e-6:
                    raise ValueError(f"patterns of {land}, {scale}: no covariance of 4 bands")
        if not self.changes:
            raise ValueError("changes: none")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two images of a place, the second moved onto the first.

    Attributes:
        images: (2, 4, H, W) reflectance.
        ok: (H, W) bool where both are known.
        weights: (4 classes, H, W) how far a pixel belongs to a land class; sums to 1.
        levels: (2, 4 classes, 4 bands) means of the images.
        contrasts: (2, 4 classes, 4 bands) deviations of the images.
        shift_px: (down, right) by which the second was moved.
    """

    images: Images
    ok: NDArray[np.bool_]
    weights: Images
    levels: Images
    contrasts: Images
    shift_px: NDArray[np.float64]

    @property
    def plain(self) -> Images:
        """(2, 4, H, W) the images without level and contrast."""
        level = np.stack([_spread(one, self.weights) for one in self.levels])
        contrast = np.stack([_spread(one, self.weights) for one in self.contrasts])
        return np.where(self.ok, (self.images - level) / contrast, 0).astype(np.float32)


def _pair(images: Images, valid: NDArray[np.bool_]) -> _Pair:
    """Lay two images on one another and measure their levels by land class."""
    ok = valid[0] & valid[1]
    if ok.sum() < _LEAST_PX:
        raise InputError(f"two images share {int(ok.sum())} pixels; {_LEAST_PX} are needed")
    filled = [np.where(ok, image, image[:, ok].mean(axis=1)[:, None, None]) for image in images]
    greys = [sum((band - band.mean()) / band.std() for band in image[:3]) for image in filled]
    moved, _, _ = phase_cross_correlation(*greys, upsample_factor=20)  # type: ignore[no-untyped-call]
    moved = np.clip(moved, -_LARGEST_SHIFT_PX, _LARGEST_SHIFT_PX)
    second = np.stack([shift(band, moved, order=3, mode="nearest") for band in filled[1]])
    both = np.stack([filled[0], second]).astype(np.float32)
    land = land_classes(both.mean(axis=0))
    hard = np.stack([land == k for k in range(len(LAND))]).astype(np.float32)
    # Without steps at the borders of land classes, where levels differ.
    weights = np.stack([gaussian_filter(one, 2.0, mode="nearest") for one in hard])
    weights /= weights.sum(axis=0)
    levels, contrasts = (np.zeros((2, len(LAND), len(BANDS)), np.float32) for _ in range(2))
    for k in range(len(LAND)):
        here = ok & (land == k)
        here = here if here.sum() >= _LEAST_PX else ok
        levels[:, k] = both[:, :, here].mean(axis=2)
        contrasts[:, k] = np.maximum(both[:, :, here].std(axis=2), 1e-3)
    return _Pair(both, ok, weights, levels, contrasts, np.asarray(moved))


def _objects(images: Images) -> NDArray[np.int32]:
    """(H, W) number of the object of every pixel, by both images."""
    both = images.mean(axis=0)
    features = np.moveaxis(both / both.std(axis=(1, 2), keepdims=True), 0, -1)
    found: NDArray[np.int32] = slic(
        features,
        n_segments=max(2, both[0].size // OBJECT_PX),
        compactness=0.3,
        max_num_iter=4,
        channel_axis=-1,
        start_label=0,
    ).astype(np.int32)
    return found


def _parts(pattern: Images, objects: NDArray[np.int32]) -> Images:
    """(3 scales, 4, H, W): a pattern taken apart; the parts sum to it."""
    air = np.stack([gaussian_filter(band, AIR_PX, mode="nearest") for band in pattern])
    rest = pattern - air
    numbers = np.arange(objects.max() + 1)
    by_object = np.stack([mean(band, objects, numbers)[objects] for band in rest])
    return np.stack([air, by_object, rest - by_object]).astype(np.float32)


def fit_days(places: Sequence[tuple[str, Images, NDArray[np.bool_]]]) -> Fit:
    """Measure how days differ, on pairs of images of real places; every place weighs alike.

    Args:
        places: Name, (T, 4, H, W) reflectance of `realism.BANDS` by date, (T, H, W) known pixels.

    Raises:
        InputError: No place has two images.
    """
    found: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    neighbours, shifts, changes, names = [], [], [], []
    for name, images, valid in places:
        own: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
        for first, second in pairwise(range(len(images))):
            pair = _pair(images[[first, second]], valid[[first, second]])
            pattern = (pair.plain[0] - pair.plain[1]) / np.float32(np.sqrt(2))
            parts = _parts(pattern, _objects(pair.images))
            for k, land in enumerate(LAND):
                here = pair.ok & (pair.weights[k] > 0.5)
                if here.sum() >= _LEAST_PX:
                    for scale, part in zip(SCALES, parts, strict=True):
                        values = part[:, here].astype(np.float64)
                        own.setdefault((land, scale), []).append(values @ values.T / here.sum())
            pixel = parts[2]
            power = (pixel**2).mean()
            neighbours.append(float((pixel[:, :, 1:] * pixel[:, :, :-1]).mean() / power))
            shifts += (pair.shift_px / np.sqrt(2)).tolist()
            level, contrast = (
                np.log(np.maximum(it[1], 1e-3) / np.maximum(it[0], 1e-3))
                for it in (pair.levels, pair.contrasts)
            )
            changes.append(Change(place=name, level=level.tolist(), contrast=contrast.tolist()))
            names.append(name)
        for key, values in own.items():
            found.setdefault(key, []).append(np.mean(values, axis=0))
    if not changes:
        raise InputError("no site has two images; changes from day to day need pairs")
    everywhere = {
        scale: np.mean([m for (_, s), ms in found.items() if s == scale for m in ms], axis=0)
        for scale in SCALES
    }
    patterns = {
        land: {
            scale: np.mean(found.get((land, scale), [everywhere[scale]]), axis=0).tolist()
            for scale in SCALES
        }
        for land in LAND
    }
    return Fit(
        places=tuple(dict.fromkeys(names)),
        patterns=patterns,
        grain_px=round(_grain_px(float(np.mean(neighbours))), 3),
        shift_px=round(float(np.sqrt(np.mean(np.square(shifts)))), 3),
        changes=tuple(changes),
    )


def make_days(
    images: Images, valid: NDArray[np.bool_], fit: Fit, count: int, seed: int
) -> tuple[Images, NDArray[np.bool_]]:
    """Make further days of a place from two of its images.

    Args:
        images: (2, 4, H, W) reflectance.
        valid: (2, H, W) known pixels.
        fit: How days differ.
        count: How many days.
        seed: The same seed gives the same days.

    Returns:
        (count, 4, H, W) reflectance, and (H, W) bool where it is known: where both images are.

    Raises:
        InputError: The images share too little ground.
    """
    pair = _pair(images, valid)
    covariance = np.array([[fit.patterns[land][scale] for scale in SCALES] for land in LAND])
    own = covariance.sum(axis=1).diagonal(axis1=1, axis2=2)  # (4 classes, 4 bands): 1 - rho
    rho = np.clip(1 - own, 0.02, 0.98)
    roots = np.array([[_root(one) for one in scales] for scales in covariance])
    objects = _objects(pair.images)

    def pattern(rng: np.random.Generator, share: NDArray[np.float64]) -> Images:
        """(4, H, W) pattern with `share` (4 classes, 4 bands) of a day's own variance."""
        noise = np.stack(
            [
                _smooth(rng, objects.shape, AIR_PX),
                _by_object(rng, objects),
                _smooth(rng, objects.shape, fit.grain_px),
            ]
        )
        part = (roots * np.sqrt(share)[:, None, :, None]).astype(np.float32)
        by_land = np.tensordot(part, noise, axes=([1, 3], [0, 1]))
        found: Images = (pair.weights[:, None] * by_land).sum(axis=0)
        return found

    mixed = _spread(rho / (1 + rho), pair.weights)
    # What two images leave unknown of the place is drawn once, for all its days.
    ground = mixed * pair.plain.sum(axis=0)
    ground += pattern(np.random.default_rng((seed, 605)), rho / (1 + rho))
    made = []
    for number in range(count):
        rng = np.random.default_rng((seed, number, 606))
        place = fit.places[int(rng.integers(len(fit.places)))]
        seen = [change for change in fit.changes if change.place == place]
        change = seen[int(rng.integers(len(seen)))]
        sign = rng.choice([-1, 1]) / np.sqrt(2)
        level, contrast = (
            np.exp(np.log(np.maximum(it, 1e-3)).mean(axis=0) + sign * np.asarray(moved))
            for it, moved in (
                (pair.levels, change.level),
                (pair.contrasts, change.contrast),
            )
        )
        shown = ground + pattern(rng, np.ones_like(rho))
        day = _spread(level, pair.weights) + _spread(contrast, pair.weights) * shown
        moved = np.clip(rng.normal(0, fit.shift_px, 2), -_LARGEST_SHIFT_PX, _LARGEST_SHIFT_PX)
        day = np.stack([shift(band, moved, order=3, mode="nearest") for band in day])
        made.append(np.maximum(day, 1e-4).astype(np.float32))
    return np.stack(made), pair.ok


def _spread(values: NDArray[np.floating], weights: Images) -> Images:
    """(4 bands, H, W) from one value a land class and band, (4, 4)."""
    found: Images = np.tensordot(values.astype(np.float32), weights, axes=(0, 0))
    return found


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix that gives independent numbers this covariance."""
    values, vectors = np.linalg.eigh(covariance)
    root: NDArray[np.float64] = vectors * np.sqrt(np.maximum(values, 0))
    return root


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


def _by_object(rng: np.random.Generator, objects: NDArray[np.int32]) -> Images:
    """(4, H, W) one number an object, with borders as sharp as the instrument leaves them."""
    values = rng.standard_normal((len(BANDS), int(objects.max()) + 1), np.float32)
    found: Images = np.stack([gaussian_filter(one[objects], Optics().blur_px) for one in values])
    return found


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Images:
    """(4, H, W) of deviation 1 and correlated over `sigma`."""
    white = rng.standard_normal((len(BANDS), *shape))
    waves = np.stack([gaussian_filter(band, sigma, mode="wrap") for band in white])
    found: Images = (waves / waves.std(axis=(1, 2), keepdims=True)).astype(np.float32)
    return found
