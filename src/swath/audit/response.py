"""What an image shows where labels lie: filter responses that favour no direction."""

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Stretch:
    """How the numbers of an image's bands are brought to one scale.

    Attributes:
        low: (C,) 1st percentile of each band; what is darker counts as this.
        high: (C,) 99th percentile.
        mean: (C,) mean of the clipped values.
        deviation: (C,) their standard deviation, above 0.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @classmethod
    def of(cls, values: NDArray[np.generic]) -> Self:
        """The stretch of (C, n) valid pixels of an image, n >= 1."""
        numbers = values.astype(np.float32)
        low, high = np.percentile(numbers, [1, 99], axis=1).astype(np.float32)
        clipped = np.clip(numbers, low[:, None], high[:, None])
        deviation = np.maximum(clipped.std(axis=1), np.float32(1e-6))
        return cls(low, high, clipped.mean(axis=1), deviation)


def responses(
    image: NDArray[np.generic], valid: NDArray[np.bool_], stretch: Stretch
) -> NDArray[np.float32]:
    """Ridge, edge and brightness responses of an image.

    Of each band: bright and dark ridges at two scales (eigenvalues of the Hessian), the length of
    the gradient, the brightness at two scales. Each is free of phase: it stands where its cause
    stands in the image. So does any weighted sum of them, however the weights were found; that is
    what lets a score that was learnt from misplaced labels tell where they should be.

    Args:
        image: (C, H, W), any encoding.
        valid: (H, W) bool, True = use; other pixels count as the band's mean.
        stretch: Of this image.

    Returns:
        (7 C, H, W) float32, without what varies slowly.
    """
    filtered = []
    for at, band in enumerate(image):
        clipped = np.clip(band.astype(np.float32), stretch.low[at], stretch.high[at])
        scaled = (clipped - stretch.mean[at]) / stretch.deviation[at]
        filtered += _band_responses(np.where(valid, scaled, np.float32(0)))
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


def _blur(
    values: NDArray[np.float32], sigma: float, order: tuple[int, int] = (0, 0)
) -> NDArray[np.float32]:
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(values, sigma, order, mode="nearest")
    return blurred


def usable(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where responses rest on data alone, up to the slow background.

    Args:
        valid: (H, W) bool, True = data.

    Returns:
        (H, W) bool: no pixel without data within 6 px; the outside of the array counts as data.
    """
    if valid.all():
        return valid
    gaps = ndimage.maximum_filter(~valid, 2 * EDGE_PX + 1, mode="constant", cval=0)
    return np.asarray(~gaps)


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A weighted sum of responses that is high where labels lie.

    Attributes:
        weights: (F,) of each response.
        offset: Added, so that the mean is 0.
    """

    weights: NDArray[np.float64]
    offset: float

    def __call__(self, response: NDArray[np.float32]) -> NDArray[np.float32]:
        """(F, H, W) responses -> (H, W) score."""
        summed = np.tensordot(self.weights.astype(np.float32), response, axes=1)
        return np.asarray(summed + np.float32(self.offset), np.float32)


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
        return cls(
            sum(part.pixels for part in parts),
            np.sum([part.response for part in parts], axis=0),
            np.sum([part.square for part in parts], axis=0),
            np.sum([part.template for part in parts], axis=0),
            np.sum([part.template_square for part in parts], axis=0),
            np.sum([part.product for part in parts], axis=0),
        )

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

    def score(self, row: int, col: int) -> LabelScore:
        """The weighted sum that fits the template of a lag best (least squares)."""
        covariance, with_template, _ = self._centred()
        weights = np.linalg.solve(covariance, with_template[:, row, col])
        offset = float(-(weights @ self.response) / max(1, self.pixels))
        return LabelScore(np.asarray(weights, np.float64), offset)
