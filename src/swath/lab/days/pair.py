"""Two images of one place, laid on one another and taken apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, mean, shift
from skimage.registration import phase_cross_correlation
from skimage.segmentation import slic

from swath.errors import InputError
from swath.lab.realism.land import LAND, land_classes
from swath.lab.realism.siteimages import BANDS

SCALES = ("air", "object", "pixel")
"""What a pattern is made of: waves of `AIR_PX`, one value for each object, one for each pixel."""

AIR_PX = 24.0
"""Deviation of the Gaussian that tells the air's pattern from the ground's. Chosen: fields and
quarters are smaller, haze is larger."""

OBJECT_PX = 40
"""Pixels of an object (a field, a block of houses) on average. Chosen."""

LEAST_PX = 400
"""Pixels of a land class below which a pair says nothing of it."""

LARGEST_SHIFT_PX = 2.5

Images = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class DayPair:
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
        level, contrast = (
            np.stack([spread(values, self.weights) for values in both])
            for both in (self.levels, self.contrasts)
        )
        return np.where(self.ok, (self.images - level) / contrast, 0).astype(np.float32)

    @property
    def objects(self) -> NDArray[np.int32]:
        """(H, W) number of the object of every pixel, by both images."""
        both = self.images.mean(axis=0)
        features = np.moveaxis(both / both.std(axis=(1, 2), keepdims=True), 0, -1)
        numbers: NDArray[np.int32] = slic(
            features,
            n_segments=max(2, both[0].size // OBJECT_PX),
            compactness=0.3,
            max_num_iter=4,
            channel_axis=-1,
            start_label=0,
        ).astype(np.int32)
        return numbers


def lay_pair(images: Images, valid: NDArray[np.bool_]) -> DayPair:
    """Lay two images on one another and measure their levels by land class.

    Args:
        images: (2, 4, H, W) reflectance.
        valid: (2, H, W) known pixels.

    Raises:
        InputError: They share too little ground, or a band is the same everywhere on it.
    """
    ok = valid[0] & valid[1]
    if ok.sum() < LEAST_PX:
        raise InputError(f"two images share {int(ok.sum())} pixels; {LEAST_PX} are needed")
    filled = [np.where(ok, image, image[:, ok].mean(axis=1)[:, None, None]) for image in images]
    if min(np.ptp(band) for image in filled for band in image) < 1e-6:
        raise InputError("an image has a band of one value everywhere, which shows no ground; leave it out")
    greys = [sum((band - band.mean()) / band.std() for band in image[:3]) for image in filled]
    moved, _, _ = phase_cross_correlation(*greys, upsample_factor=20)  # type: ignore[no-untyped-call]
    moved = np.clip(moved, -LARGEST_SHIFT_PX, LARGEST_SHIFT_PX)
    second = np.stack([shift(band, moved, order=3, mode="nearest") for band in filled[1]])
    both = np.stack([filled[0], second]).astype(np.float32)
    land = land_classes(both.mean(axis=0))
    hard = np.stack([land == k for k in range(len(LAND))]).astype(np.float32)
    # Without steps at the borders of land classes, where levels differ.
    weights = np.stack([gaussian_filter(share, 2.0, mode="nearest") for share in hard])
    weights /= weights.sum(axis=0)
    levels, contrasts = (np.zeros((2, len(LAND), len(BANDS)), np.float32) for _ in range(2))
    for k in range(len(LAND)):
        here = ok & (land == k)
        here = here if here.sum() >= LEAST_PX else ok
        levels[:, k] = both[:, :, here].mean(axis=2)
        contrasts[:, k] = np.maximum(both[:, :, here].std(axis=2), 1e-3)
    return DayPair(both, ok, weights, levels, contrasts, np.asarray(moved))


def take_apart(pattern: Images, objects: NDArray[np.int32]) -> Images:
    """A pattern by `SCALES`.

    Args:
        pattern: (4, H, W).
        objects: (H, W) numbers of objects.

    Returns:
        (3 scales, 4, H, W): the parts; they sum to the pattern.
    """
    air = np.stack([gaussian_filter(band, AIR_PX, mode="nearest") for band in pattern])
    rest = pattern - air
    numbers = np.arange(objects.max() + 1)
    by_object = np.stack([mean(band, objects, numbers)[objects] for band in rest])
    return np.stack([air, by_object, rest - by_object]).astype(np.float32)


def spread(values: NDArray[np.floating], weights: Images) -> Images:
    """(4 bands, H, W) from one value a land class and band, (4, 4)."""
    pixels: Images = np.tensordot(values.astype(np.float32), weights, axes=(0, 0))
    return pixels
