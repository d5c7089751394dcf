"""What a scene's own numbers say of its day, so that an encoding can take it away."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.grid import Window
from swath.sentinel2 import DARK_LEVEL, STANDARD_MEDIAN, STANDARD_SPREAD
from swath.settings import Encoding

FROM_SCENE: tuple[Encoding, ...] = ("dos", "standardised")
"""The encodings that depend on the whole scene."""

DARK_PERCENT = 1
"""So many per cent of a scene's pixels are at its dark level or below."""

QUARTILES = (25, 50, 75)

IQR_OF_NORMAL = 1.349
"""Between the quartiles of a normal distribution lie so many of its standard deviations."""

LEAST_SPREAD = 50.0
"""Reflectance x 10000: no scene is stretched more than one of this spread, such as open water."""

SAMPLES = 256
SAMPLE_PX = 32
"""Where a scene is large, its levels are those of so many windows of this side."""


@dataclass(frozen=True, slots=True)
class Level:
    """How one band of one scene is stored: gain x (reflectance x 10000) + offset.

    Attributes:
        gain: Above 0.
        offset: Of the stored number.
    """

    gain: float
    offset: float

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(...) reflectance x 10000, NaN = no data -> the numbers to be stored, not yet rounded."""
        return values * np.float32(self.gain) + np.float32(self.offset)


def fit_levels(
    values: NDArray[np.uint16] | NDArray[np.float32], encoding: Encoding
) -> tuple[Level, ...]:
    """The levels of a scene.

    `dos` moves each band so that its first percentile lies at `DARK_LEVEL`: even haze goes away.
    `standardised` moves and stretches it so that its median lies at `STANDARD_MEDIAN` and its
    spread, the quartiles' distance over that of a normal distribution of deviation 1, is
    `STANDARD_SPREAD`: whatever changes a band by a factor and an offset goes away, be it the sun,
    even haze, the product's level or the sensor's calibration. Quartiles, since a cloud or a lake
    over less than a quarter of the scene moves them little.

    Args:
        values: (C, N) reflectance x 10000 of sampled pixels, all with data.
        encoding: One of `FROM_SCENE`.

    Returns:
        One a band; without pixels they change nothing.

    Source: not in the paper, which shows its networks fixed 8-bit views. Dark object subtraction:
    Chavez 1988, with a percentile instead of a histogram's foot.
    """
    if not values.size:
        return (Level(1.0, 0.0),) * len(values)
    if encoding == "dos":
        dark = np.percentile(values, DARK_PERCENT, axis=1)
        return tuple(Level(1.0, DARK_LEVEL - level) for level in dark.tolist())
    low, middle, high = np.percentile(values, QUARTILES, axis=1)
    gains = STANDARD_SPREAD / np.maximum((high - low) / IQR_OF_NORMAL, LEAST_SPREAD)
    offsets = STANDARD_MEDIAN - middle * gains
    return tuple(map(Level, gains.tolist(), offsets.tolist()))


def plan_samples(whole: Window) -> tuple[Window, ...]:
    """Up to `SAMPLES` windows of `SAMPLE_PX`, evenly spread; the whole where it is small."""
    side = math.isqrt(SAMPLES)
    if max(whole.height, whole.width) <= side * SAMPLE_PX:
        return (whole,)

    def starts(first: int, length: int) -> list[int]:
        last = max(0, length - SAMPLE_PX)
        return sorted({first + round(step * last / (side - 1)) for step in range(side)})

    return tuple(
        Window(row, col, SAMPLE_PX, SAMPLE_PX).intersect(whole)
        for row in starts(whole.row, whole.height)
        for col in starts(whole.col, whole.width)
    )
