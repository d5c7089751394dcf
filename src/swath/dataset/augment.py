"""Augmentation: the eight symmetries of the square, and day-like changes of brightness."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

A = TypeVar("A", bound=np.generic)

SYMMETRIES = 8
"""Elements of D4: turns by 0, 90, 180, 270 degrees, each with and without a flip."""


def transform(array: NDArray[A], symmetry: int) -> NDArray[A]:
    """Apply one element of D4 to the last two axes.

    Args:
        array: (..., H, W).
        symmetry: 0..7: `symmetry % 4` quarter turns counter-clockwise, then a flip left-right for
            4 and more.

    Returns:
        (..., H, W), or (..., W, H) for an odd number of quarter turns.

    Source: section 1.4 (flips and rotations by multiples of 90 degrees); one element serves the
    whole series and its label.
    """
    turned = np.rot90(array, symmetry % 4, axes=(-2, -1))
    return turned[..., ::-1] if symmetry >= 4 else turned


def inverse(symmetry: int) -> int:
    """The element that undoes `symmetry`: flips undo themselves, a turn needs the opposite turn."""
    return symmetry if symmetry >= 4 else -symmetry % 4


def jitter(
    image: NDArray[np.float32], valid: NDArray[np.bool_], strength: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Change brightness and colour as another day, sensor view or haze would.

    Each date gets one gain and one offset for all bands, and half as strong ones for each
    band of its own.

    Args:
        image: (T, C, H, W) scaled to mean 0 and standard deviation 1.
        valid: (T, H, W) bool; pixels without data stay 0.
        strength: Standard deviation of the log gain and of the offset (in standard deviations of
            the image); 0 returns the image as it is.
        rng: Source of randomness.

    Returns:
        (T, C, H, W) float32.

    Source: not in the paper; part of the `best` preset.
    """
    if strength == 0:
        return image
    dates, bands = image.shape[:2]

    def draw() -> NDArray[np.float64]:
        shared = rng.normal(0.0, strength, (dates, 1, 1, 1))
        own = rng.normal(0.0, strength / 2, (dates, bands, 1, 1))
        return shared + own

    changed = image * np.exp(draw()) + draw()
    return np.where(valid[:, None], changed, 0).astype(np.float32)
