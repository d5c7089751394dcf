"""From digital numbers to what a network sees; stored with every model."""

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from swath.sentinel2 import NODATA
from swath.validation import Frozen


class Scaling(Frozen):
    """Per-band affine scaling: `(dn - offset) / scale`; what is no data, or a missing band, becomes 0.

    Attributes:
        offset: One number a band, in digital numbers.
        scale: One positive number a band, in digital numbers.
    """

    offset: tuple[Annotated[float, Field(ge=-1e6, le=1e6)], ...]
    scale: tuple[Annotated[float, Field(ge=1e-6, le=1e6)], ...]

    @classmethod
    def from_moments(
        cls, count: NDArray[np.float64], total: NDArray[np.float64], squares: NDArray[np.float64]
    ) -> Self:
        """To mean 0 and standard deviation 1, from the sums (C,) of pixels, numbers and squares."""
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))
        return cls(offset=tuple(mean.tolist()), scale=tuple(deviation.tolist()))

    def apply(self, image: NDArray[np.generic]) -> NDArray[np.float32]:
        """Scale an image (..., C, H, W) of digital numbers; float32, 0 where they are 0."""
        offset, scale = np.array([self.offset, self.scale], np.float32)[..., None, None]
        scaled = (image.astype(np.float32) - offset) / scale
        return np.where(image != NODATA, scaled, np.float32(0))
