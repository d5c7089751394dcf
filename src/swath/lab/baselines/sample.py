"""The pixels that a classifier learns from: so many of each class, over all training sites."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.dataset.site import Dataset, read_image, read_labels
from swath.errors import DatasetError
from swath.legend import IGNORE
from swath.scaling import Scaling
from swath.sentinel2 import valid_mask

STRIP_PX = 1024
"""Rows that are read at once."""


@dataclass(frozen=True, slots=True)
class PixelSample:
    """Labelled pixels.

    Attributes:
        features: (n, T x C) float32, scaled bands of all dates, oldest first.
        labels: (n,) uint8 class ids.
        share: (lc,) float64, the share of each class among all training pixels, whatever was drawn.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.uint8]
    share: NDArray[np.float64]


def draw_sample(dataset: Dataset, scaling: Scaling, dates: int, pixels: int, seed: int) -> PixelSample:
    """Draw up to `pixels` pixels of each class, with equal chances over all training regions.

    A pixel counts where it is labelled and every one of the last `dates` dates has data.

    Args:
        dataset: With its splits.
        scaling: From digital numbers to features.
        dates: T.
        pixels: Of each class.
        seed: Same seed, same pixels.

    Raises:
        DatasetError: Fewer than two classes have a pixel.
    """
    rng = np.random.default_rng(seed)
    classes = len(dataset.legend.classes)
    counts = np.zeros(classes, np.int64)
    kept: list[tuple[NDArray[np.float32], NDArray[np.float64]]] = [
        (np.zeros((0, dates * len(dataset.image.bands)), np.float32), np.zeros(0)) for _ in range(classes)
    ]
    for site in dataset.in_split("train"):
        for region in site.windows("train"):
            for strip in region.strips(STRIP_PX):
                images = np.stack([read_image(a, strip) for a in site.acquisitions[-dates:]])
                labels = read_labels(site, strip)
                use = valid_mask(images).all(axis=0) & (labels != IGNORE)
                rows, ids = stack_dates(scaling.apply(images))[use.ravel()], labels[use]
                counts += np.bincount(ids, minlength=classes)
                for c in range(classes):
                    kept[c] = _thin(kept[c], rows[ids == c], pixels, rng)
    present = [c for c in range(classes) if counts[c]]
    if len(present) < 2:
        raise DatasetError(
            f"{dataset.root}: the training sites have pixels of {len(present)} class(es) with data "
            f"on {dates} dates; a classifier needs two"
        )
    return PixelSample(
        np.concatenate([kept[c][0] for c in present]),
        np.concatenate([np.full(len(kept[c][0]), c, np.uint8) for c in present]),
        counts / counts.sum(),
    )


def _thin(
    kept: tuple[NDArray[np.float32], NDArray[np.float64]],
    rows: NDArray[np.float32],
    pixels: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Add rows, each with a random number, and keep those with the smallest: a fair draw."""
    numbers = np.concatenate([kept[1], rng.random(len(rows))])
    best = np.sort(np.argsort(numbers)[:pixels])
    old = best[best < len(kept[1])]
    new = best[best >= len(kept[1])] - len(kept[1])
    return np.concatenate([kept[0][old], rows[new]]), numbers[best]


def stack_dates(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, C, H, W) -> (H x W, T x C): a row a pixel, oldest date first."""
    dates, bands, height, width = images.shape
    rows: NDArray[np.float32] = images.reshape(dates * bands, height * width).T
    return rows
