"""Further days of a real place, made from two of its images by changes fitted on other places.

Of two images a and b, what the place is, z, is known up to noise (see `dayfit`): a third day is
rho / (1 + rho) (a + b), plus what they leave unknown of z, plus a pattern of its own, moved by a
part of a pixel. Days that are made so correlate with one another and with both images as these do,
if the place is like those on which the changes were fitted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from swath.lab.days.dayfit import Fit
from swath.lab.days.pair import (
    AIR_PX,
    LARGEST_SHIFT_PX,
    SCALES,
    DayPair,
    Images,
    lay_pair,
    spread,
)
from swath.lab.realism.land import LAND
from swath.lab.realism.siteimages import BANDS
from swath.simulate.parameters import Optics


@dataclass(frozen=True, slots=True, eq=False)
class _Patterns:
    """What the patterns of days over one place are drawn from.

    Attributes:
        weights: (4 classes, H, W) how far a pixel belongs to a land class.
        objects: (H, W) number of the object of every pixel.
        roots: (4 classes, 3 scales, 4, 4) matrices that give independent numbers the covariances.
        grain_px: See `Fit`.
    """

    weights: Images
    objects: NDArray[np.int32]
    roots: NDArray[np.float64]
    grain_px: float

    def draw(self, rng: np.random.Generator, share: NDArray[np.float64]) -> Images:
        """(4, H, W) pattern with `share` (4 classes, 4 bands) of a day's own variance."""
        noise = np.stack(
            [
                _smooth(rng, self.objects.shape, AIR_PX),
                _by_object(rng, self.objects),
                _smooth(rng, self.objects.shape, self.grain_px),
            ]
        )
        part = (self.roots * np.sqrt(share)[:, None, :, None]).astype(np.float32)
        by_land = np.tensordot(part, noise, axes=([1, 3], [0, 1]))
        pattern: Images = (self.weights[:, None] * by_land).sum(axis=0)
        return pattern


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
    pair = lay_pair(images, valid)
    covariances = np.array([[fit.patterns[land][scale] for scale in SCALES] for land in LAND])
    of_a_day = covariances.sum(axis=1).diagonal(axis1=1, axis2=2)  # (4 classes, 4 bands): 1 - rho
    rho = np.clip(1 - of_a_day, 0.02, 0.98)
    roots = np.array([[_root(covariance) for covariance in scales] for scales in covariances])
    patterns = _Patterns(pair.weights, pair.objects, roots, fit.grain_px)
    ground = spread(rho / (1 + rho), pair.weights) * pair.plain.sum(axis=0)
    # What two images leave unknown of the place is drawn once, for all its days.
    ground += patterns.draw(np.random.default_rng((seed, 605)), rho / (1 + rho))
    days = []
    for number in range(count):
        rng = np.random.default_rng((seed, number, 606))
        level, contrast = _draw_change(fit, pair, rng)
        shown = ground + patterns.draw(rng, np.ones_like(rho))
        day = spread(level, pair.weights) + spread(contrast, pair.weights) * shown
        moved = np.clip(rng.normal(0, fit.shift_px, 2), -LARGEST_SHIFT_PX, LARGEST_SHIFT_PX)
        day = np.stack([shift(band, moved, order=3, mode="nearest") for band in day])
        days.append(np.maximum(day, 1e-4).astype(np.float32))
    return np.stack(days), pair.ok


def _draw_change(
    fit: Fit, pair: DayPair, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Level and contrast of a day, (4 classes, 4 bands) each: a pair's change, either way."""
    place = fit.places[int(rng.integers(len(fit.places)))]
    seen = [change for change in fit.changes if change.place == place]
    change = seen[int(rng.integers(len(seen)))]
    sign = rng.choice([-1, 1]) / np.sqrt(2)
    level, contrast = (
        np.exp(np.log(np.maximum(values, 1e-3)).mean(axis=0) + sign * np.asarray(ratios))
        for values, ratios in ((pair.levels, change.level), (pair.contrasts, change.contrast))
    )
    return level, contrast


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix that gives independent numbers this covariance."""
    values, vectors = np.linalg.eigh(covariance)
    root: NDArray[np.float64] = vectors * np.sqrt(np.maximum(values, 0))
    return root


def _by_object(rng: np.random.Generator, objects: NDArray[np.int32]) -> Images:
    """(4, H, W) one number an object, with borders as sharp as the instrument leaves them."""
    drawn = rng.standard_normal((len(BANDS), int(objects.max()) + 1), np.float32)
    pixels: Images = np.stack([gaussian_filter(band[objects], Optics().blur_px) for band in drawn])
    return pixels


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Images:
    """(4, H, W) of deviation 1 and correlated over `sigma`."""
    white = rng.standard_normal((len(BANDS), *shape))
    waves = np.stack([gaussian_filter(band, sigma, mode="wrap") for band in white])
    waves /= waves.std(axis=(1, 2), keepdims=True)
    return waves.astype(np.float32)
