"""Thick clouds and their shadows, painted into images: for training, and to see what they do.

Source: not in the paper.
"""

import numpy as np
from numpy.typing import NDArray

SOFT_EDGE = 0.25
"""Hills of a deviation of 1 are cloud from an edge on; so much higher, the cloud is thick."""

SHADE = 0.65
"""Share of the light that a thick cloud keeps from the ground in its shadow."""


def cloud_cover(heights: NDArray[np.floating], edge: float | np.floating) -> NDArray[np.floating]:
    """How much cloud, 0..1, is where hills (H, W) of mean 0 and deviation 1 rise above an edge."""
    return np.clip((heights - edge) / SOFT_EDGE, 0, 1)


def cloud_over(
    image: NDArray[np.number],
    cover: NDArray[np.floating],
    light: NDArray[np.floating],
    dark: float | np.floating,
    white: float | np.floating,
) -> NDArray[np.floating]:
    """An image as it is seen through clouds, its ground in the light that they leave; not rounded.

    Args:
        image: (..., H, W) numbers that are linear in light.
        cover: (H, W) 0..1, see `cloud_cover`.
        light: (H, W) 0..1 of the sun's, on the ground.
        dark: The number of a ground without light.
        white: The number of a thick cloud.
    """
    image = image.astype(
        np.result_type(image, np.float32), copy=False
    )  # unsigned ones would wrap below `dark`
    lit = dark + (image - dark) * light
    seen: NDArray[np.floating] = lit + cover * (white - lit)
    return seen
