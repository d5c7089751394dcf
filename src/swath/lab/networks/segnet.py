"""SegNet: an encoder and decoder that pass on where the maxima of the poolings were."""

from torch import Tensor, nn
from torch.nn import functional

from swath.lab.networks.padded import PaddedNetwork
from swath.models.unet import ConvBlock, UNet, initialise

CONVS = (2, 2, 3, 3, 3)
"""3 x 3 convolutions of each encoder stage, those of VGG16; a pooling follows each stage."""


class SegNet(PaddedNetwork):
    """The decoder puts each value where the pooling of the same stage found its maximum.

    Args:
        bands: Channels of the input.
        classes: lc, channels of the output.
        sizes: Filters of the first stage, which stages 2, 3 and 4 double and 5 keeps, and 3 x 3
            convolutions in each decoder stage.

    Source: V. Badrinarayanan, A. Kendall, R. Cipolla, SegNet, IEEE TPAMI 39 (2017), section 3.
    Follows: stages of VGG16, batch norms, indices of the poolings. Differs: half the filters with
    `width=32`, as the paper's U-Net has; a decoder stage has `decoder_convs` convolutions as that
    U-Net's, where the original mirrors the encoder; fresh weights, since VGG16's know photographs.
    """

    Sizes = UNet.Sizes
    stride: int = 2 ** len(CONVS)

    def __init__(self, bands: int, classes: int, sizes: UNet.Sizes) -> None:
        super().__init__(bands, classes, sizes)
        width = sizes.width
        filters = [width * min(2**stage, 8) for stage in range(len(CONVS))]
        self.decoder_convs = sizes.decoder_convs
        self.down = nn.ModuleList(
            ConvBlock(source, target, count)
            for source, target, count in zip([bands, *filters[:-1]], filters, CONVS, strict=True)
        )
        targets = [width, *filters[:-1]]
        self.up = nn.ModuleList(
            ConvBlock(source, target, self.decoder_convs)
            for source, target in zip(filters[::-1], targets[::-1], strict=True)
        )
        self.head = nn.Conv2d(width, classes, 1)
        initialise(self)

    @property
    def receptive_radius(self) -> int:
        """How far in px an input pixel can act: 152 for one convolution a decoder stage."""
        encoder = sum(count << stage for stage, count in enumerate(CONVS))
        return encoder + (self.decoder_convs + 1) * (self.stride - 1)

    def map_padded(self, image: Tensor) -> Tensor:
        """Map images to logits; shapes as of `PaddedNetwork`."""
        x = image
        places: list[Tensor] = []
        for block in self.down:
            x, index = functional.max_pool2d(block(x), 2, return_indices=True)
            places.append(index)
        for block in self.up:
            x = block(functional.max_unpool2d(x, places.pop(), (2, 2)))
        logits: Tensor = self.head(x)
        return logits
