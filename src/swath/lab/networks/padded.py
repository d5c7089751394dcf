"""What networks with poolings share: the image is padded to their stride, the map is cut back."""

from abc import abstractmethod

from torch import Tensor

from swath.grid import Window
from swath.models.network import ImageNetwork, cut, fill, pad


class PaddedNetwork(ImageNetwork):
    """A network for images that knows only sides that are multiples of its stride.

    It maps images of whatever size: see `swath.models.unet.UNet`. Pixels without data are 0 to it.
    """

    @abstractmethod
    def map_padded(self, image: Tensor) -> Tensor:
        """(B, C, H, W), both sides multiples of the stride -> (B, lc, H, W) logits."""

    def forward(self, image: Tensor, known: Tensor, kept: Window | None = None) -> Tensor:
        """Map images to logits; shapes as of `ImageNetwork`."""
        logits = self.map_padded(pad(fill(image, known, 0), self.stride))
        return cut(logits, image, kept)
