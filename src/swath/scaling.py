"""From digital numbers to what a network sees; stored with every model."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from swath.schema import Frozen
from swath.sentinel2 import valid_mask


class Scaling(Frozen):
    """Per-band affine scaling: `(dn - offset) / scale`, no-data pixels become 0.

    Attributes:
        offset: One number a band, in digital numbers.
        scale: One positive number a band, in digital numbers.
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def from_moments(
        cls, count: float, total: NDArray[np.float64], squares: NDArray[np.float64]
    ) -> Self:
        """The scaling to mean 0 and standard deviation 1.

        Args:
            count: Number of valid pixels.
            total: (C,) sum of the digital numbers.
            squares: (C,) sum of their squares.
        """
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))
        return cls(offset=tuple(mean.tolist()), scale=tuple(deviation.tolist()))

    def apply(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """Scale an image.

        Args:
            image: (..., C, H, W) digital numbers, 0 = no data.

        Returns:
            (..., C, H, W) float32; 0 where there is no data.
        """
        shape = (-1, 1, 1)
        offset = np.asarray(self.offset, np.float32).reshape(shape)
        scale = np.asarray(self.scale, np.float32).reshape(shape)
        scaled = (image.astype(np.float32) - offset) / scale
        return np.where(valid_mask(image)[..., None, :, :], scaled, np.float32(0))
