"""DeepLabV3+: parallel dilated convolutions see several sizes at once; a small decoder sharpens."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from swath.lab.networks.padded import PaddedNetwork
from swath.models.unet import ConvBlock, UNet, initialise

RATES = (3, 6, 9)
"""Dilations of the pyramid, at the stride of 8 px: they reach 24, 48 and 72 px."""


class DeepLab(PaddedNetwork):
    """An encoder of stride 8, atrous spatial pyramid pooling, and a decoder at stride 2.

    Args:
        bands: Channels of the input.
        classes: lc, channels of the output.
        sizes: Filters of the first level, which each of the three poolings doubles, and 3 x 3
            convolutions of the decoder.

    Source: L.-C. Chen et al., Encoder-Decoder with Atrous Separable Convolution, ECCV 2018, section
    3. Follows: pyramid, 1 x 1 on the early features, concatenation, bilinear upsampling. Differs:
    a plain small encoder with fresh weights in place of Xception; strides 8 and 2 with rates 3, 6,
    9 in place of 16 and 4 with 6, 12, 18, since roads are one to three pixels wide here; no branch
    that pools the whole image: it would make a pixel's value depend on how far away the scene ends.
    """

    Sizes = UNet.Sizes
    stride = 8

    def __init__(self, bands: int, classes: int, sizes: UNet.Sizes) -> None:
        super().__init__(bands, classes, sizes)
        width = sizes.width
        filters = [width * 2**level for level in range(4)]
        middle = 4 * width
        self.decoder_convs = sizes.decoder_convs
        self.down = nn.ModuleList(
            ConvBlock(source, target, 2)
            for source, target in zip([bands, *filters[:-1]], filters, strict=True)
        )
        self.pyramid = nn.ModuleList(
            [_conv(filters[-1], middle, 1), *(_conv(filters[-1], middle, 3, r) for r in RATES)]
        )
        self.join = _conv(middle * (1 + len(RATES)), middle, 1)
        self.early = _conv(filters[1], width, 1)
        self.decode = ConvBlock(middle + width, middle, self.decoder_convs)
        self.head = nn.Conv2d(middle, classes, 1)
        initialise(self)

    @property
    def receptive_radius(self) -> int:
        """How far in px an input pixel can act: 121 for one convolution in the decoder.

        Two convolutions at each of the strides 1, 2, 4, 8; the blocks of the poolings; the widest
        dilation; and one pixel of the coarser grid for each upsampling.
        """
        encoder = 2 * (1 + 2 + 4 + 8) + (self.stride - 1)
        return encoder + RATES[-1] * self.stride + self.stride + 2 * self.decoder_convs + 2

    def map_padded(self, image: Tensor) -> Tensor:
        """Map images to logits; shapes as of `PaddedNetwork`."""
        levels: list[Tensor] = []
        for level, block in enumerate(self.down):
            image = block(image if level == 0 else functional.max_pool2d(image, 2))
            levels.append(image)
        deep = self.join(torch.cat([branch(image) for branch in self.pyramid], dim=1))
        x = self.decode(torch.cat([_enlarge(deep, 4), self.early(levels[1])], dim=1))
        return _enlarge(self.head(x), 2)


def _conv(channels_in: int, channels_out: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def _enlarge(x: Tensor, times: int) -> Tensor:
    return functional.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)
