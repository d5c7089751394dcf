"""What an image shows where labels lie: filter responses that favour no direction."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

RIDGE_SCALES_PX = (1.0, 2.0)
"""Standard deviations of the Gaussians under the ridge filters: roads of 10 m to 40 m."""

BACKGROUND_PX = 8.0
"""What varies more slowly than this is town or country, not a line or an edge, and is taken off."""

MARGIN_PX = 32
"""How far outside a window the filters look (to 4 sigma of the slowest)."""

EDGE_PX = 6
"""Pixels next to no data whose responses are not used."""

_STABLE = 1e-3
"""Share of a unit variance added to every response, so that alike ones do not fight."""


def stretched(
    images: Sequence[NDArray[np.generic]], valid: Sequence[NDArray[np.bool_]]
) -> list[NDArray[np.float32]]:
    """The windows of an image, with the numbers of its bands brought to one scale.

    A band is clipped at its 1st and 99th percentile; then it has mean 0 and deviation 1.

    Args:
        images: (C, h, w) each, any encoding.
        valid: (h, w) each, True = use; some pixel is. Others count as the band's mean.
    """
    known = [image[:, mask] for image, mask in zip(images, valid, strict=True)]
    numbers = np.concatenate(known, axis=1).astype(np.float32)
    low, high = np.percentile(numbers, [1, 99], axis=1).astype(np.float32)[..., None, None]
    clipped = np.clip(numbers, low[..., 0], high[..., 0])
    mean = clipped.mean(axis=1)[:, None, None]
    deviation = np.maximum(clipped.std(axis=1), np.float32(1e-6))[:, None, None]
    scaled = ((np.clip(image.astype(np.float32), low, high) - mean) / deviation for image in images)
    return [np.where(mask, image, np.float32(0)) for image, mask in zip(scaled, valid, strict=True)]


def responses(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(7 C, H, W) ridge, edge and brightness responses of a stretched image (C, H, W).

    Of each band: bright and dark ridges at two scales (eigenvalues of the Hessian), the length of
    the gradient, the brightness at two scales; without what varies slowly. Each is free of phase:
    it stands where its cause stands in the image. So does any weighted sum of them, however the
    weights were learnt; that is what lets a score that was learnt from misplaced labels tell where
    they should be.
    """
    filtered = [response for band in image for response in _band_responses(band)]
    return np.stack([response - _blur(response, BACKGROUND_PX) for response in filtered])


def _band_responses(band: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    ridges = []
    for sigma in RIDGE_SCALES_PX:
        yy, xx, xy = (_blur(band, sigma, order) for order in ((2, 0), (0, 2), (1, 1)))
        mean, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
        # Times sigma^2, so that both scales speak equally loud.
        ridges += [
            np.maximum(spread - mean, 0) * np.float32(sigma**2),
            np.maximum(spread + mean, 0) * np.float32(sigma**2),
        ]
    gradient = np.hypot(_blur(band, 1.0, (1, 0)), _blur(band, 1.0, (0, 1)))
    return [*ridges, gradient, _blur(band, 1.0), _blur(band, 3.0)]


def _blur(values: NDArray[np.float32], sigma: float, order: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(values, sigma, order, mode="nearest")
    return blurred


def far_inside(mask: NDArray[np.bool_], px: int) -> NDArray[np.bool_]:
    """Where all of (H, W) `mask` is True within `px` pixels; outside it all counts as True."""
    if mask.all():
        return mask
    return np.asarray(ndimage.minimum_filter(mask, 2 * px + 1, mode="constant", cval=1))


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over pixels from which a score is found; they add up over windows.

    Attributes:
        pixels: Number of pixels.
        response: (F,) sums of the responses.
        square: (F, F) sums of their products.
        template: (...) sums of the labels' template, for one lag or many.
        template_square: (...) sums of its square.
        product: (F, ...) sums of response times template.
    """

    pixels: int
    response: NDArray[np.float64]
    square: NDArray[np.float64]
    template: NDArray[np.float64]
    template_square: NDArray[np.float64]
    product: NDArray[np.float64]

    @classmethod
    def total(cls, parts: Sequence[Self]) -> Self:
        """The sum of the moments of several windows, one or more."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.sum([getattr(part, name) for part in parts], axis=0) for name in names))

    def _centred(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Covariance (F, F) of the responses, and (F, ...) with the template; its variance."""
        n = max(1, self.pixels)
        mean, template = self.response / n, self.template / n
        covariance = self.square / n - np.outer(mean, mean)
        covariance += _STABLE * np.diag(np.diag(covariance)) + 1e-12 * np.eye(len(mean))
        return (
            covariance,
            self.product / n - np.multiply.outer(mean, template),
            self.template_square / n - template**2,
        )

    def explained(self) -> NDArray[np.float64]:
        """(...) share 0..1 of the template's variance that the best weighted sum explains."""
        covariance, with_template, variance = self._centred()
        flat = with_template.reshape(len(covariance), -1)
        solved = np.linalg.solve(covariance, flat)
        gain = (flat * solved).sum(axis=0).reshape(variance.shape)
        return np.asarray(gain / np.maximum(variance, 1e-12))

    def scores(
        self, lag: tuple[int, int], responses: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """The weighted sum (H, W) of responses (F, H, W) that fits the template of a lag best.

        By least squares: it is high where labels lie, and 0 on average.
        """
        covariance, with_template, _ = self._centred()
        weights = np.linalg.solve(covariance, with_template[:, *lag])
        offset = np.float32(-(weights @ self.response) / max(1, self.pixels))
        weights = weights.astype(np.float32)
        return [np.asarray(np.tensordot(weights, response, axes=1) + offset) for response in responses]
