"""Augmentation: the eight symmetries of the square, other days' brightness, and clouds."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from swath.scenes.paintedclouds import SHADE, cloud_cover, cloud_over
from swath.sentinel2 import CLOUD_REFLECTANCE, QUANTIFICATION, STANDARD_MEDIAN, STANDARD_SPREAD, Encoding

A = TypeVar("A", bound=np.generic)

SYMMETRIES = 8
"""Elements of D4: turns by 0, 90, 180, 270 degrees, each with and without a flip."""

BLACK_WHITE: dict[Encoding, tuple[float, float]] = {
    "tci": (0.0, 255.0),
    "reflectance": (0.0, CLOUD_REFLECTANCE * QUANTIFICATION),
    "dos": (0.0, CLOUD_REFLECTANCE * QUANTIFICATION),
    "standardised": (STANDARD_MEDIAN - 4.0 * STANDARD_SPREAD, STANDARD_MEDIAN + 14.0 * STANDARD_SPREAD),
}
"""Encoding -> the numbers of no light and of a thick cloud in it. A standardised scene has its own;
in towns black lies 2 to 8 spreads below the median and white 5 to 37 above it, the least in the
near infrared."""

SHADOW_PX = 40
"""How far a shadow may fall from its cloud: one 1500 m up under a sun 75 degrees high, or 400 m up
under one of 45 degrees."""


def transform(array: NDArray[A], symmetry: int) -> NDArray[A]:
    """Apply one element of D4, 0..7, to the last two axes of (..., H, W).

    `symmetry % 4` quarter turns counter-clockwise, then a flip left-right for 4 and more.

    Source: section 1.4 (flips and rotations by multiples of 90 degrees); one element serves the
    whole series and its label.
    """
    turned = np.rot90(array, symmetry % 4, axes=(-2, -1))
    return turned[..., ::-1] if symmetry >= 4 else turned


def jitter(
    image: NDArray[np.float32], valid: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Change brightness and colour as another day, sensor view or haze would.

    Each date gets one gain and one offset for all bands, and half as strong ones for each band.

    Args:
        image: (T, C, H, W) scaled to mean 0 and standard deviation 1.
        valid: (T, H, W) bool; pixels without data stay 0.
        strength: Standard deviation of the log gain and of the offset (in standard deviations of
            the image); 0 returns the image as it is.
        rng: Source of randomness.

    Source: not in the paper; part of the `best` preset.
    """
    if strength == 0:
        return image
    dates, bands = image.shape[:2]

    def draw() -> NDArray[np.float64]:
        shared = rng.normal(0.0, strength, (dates, 1, 1, 1))
        by_band = rng.normal(0.0, strength / 2, (dates, bands, 1, 1))
        return shared + by_band

    changed = image * np.exp(draw()) + draw()
    return np.where(valid[:, None], changed, 0).astype(np.float32)


def cloud_a_date(
    images: NDArray[np.generic], encoding: Encoding, share: float, rng: np.random.Generator
) -> NDArray[np.generic]:
    """Hide a part of one date of a series under cloud and its shadow, as no mask would tell.

    It happens with probability `share`, and never to a series of one date. Chance decides which
    date, how much of it (5 to 95 %), how thick, and where the shadow falls.

    Args:
        images: (T, C, H, W) uint8 or uint16, 0 = no data; what had data still has.
        encoding: Of the images.
        share: 0..1.
        rng: Source of randomness.

    Source: not in the paper. So that what fuses dates learns which one not to trust.
    """
    if len(images) == 1 or share == 0 or rng.random() >= share:
        return images
    clouded = images.copy()
    date = rng.integers(len(images))
    heights = _heights(images.shape[-2:], rng)
    edge = np.quantile(heights, rng.uniform(0.05, 0.95))
    cover = cloud_cover(heights, edge)
    fall = rng.integers(-SHADOW_PX, SHADOW_PX + 1, 2)
    light = 1 - SHADE * np.roll(cover, fall, (0, 1))
    thickness = rng.uniform(0.4, 1.0)
    seen = np.rint(cloud_over(images[date], thickness * cover, light, *BLACK_WHITE[encoding]))
    clouded[date] = np.where(images[date] > 0, np.maximum(seen, 1), 0)
    return clouded


def _heights(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """(H, W) hills of all sizes, mean 0 and standard deviation 1."""
    height, width = shape
    total = np.zeros(shape)
    for octave in range(5):
        cells = 2 ** (octave + 1)
        knots = rng.normal(size=(cells + 1, cells + 1)) / cells
        total += zoom(knots, (height / (cells + 1), width / (cells + 1)), order=1)
    hills: NDArray[np.float64] = (total - total.mean()) / max(float(total.std()), 1e-9)
    return hills
