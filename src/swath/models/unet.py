"""The U-Net that maps one image to class logits."""

import torch
from torch import Tensor, nn
from torch.nn import functional

DEPTH = 4
"""Poolings on the contracting path; the network's stride is 2 ** DEPTH = 16 px."""


class ConvBlock(nn.Sequential):
    """`count` times: 3 x 3 convolution, batch normalisation, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, count: int) -> None:
        layers: list[nn.Module] = []
        for index in range(count):
            source = channels_in if index == 0 else channels_out
            layers += [
                nn.Conv2d(source, channels_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels_out),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class UpBlock(nn.Module):
    """Transpose convolution that halves the channels, concatenation, `convs` 3 x 3 convolutions."""

    def __init__(self, channels_in: int, convs: int) -> None:
        super().__init__()
        half = channels_in // 2
        self.up = nn.ConvTranspose2d(channels_in, half, 2, stride=2)
        self.conv = ConvBlock(channels_in, half, convs)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """(B, C, H, W) and the matching (B, C/2, 2H, 2W) -> (B, C/2, 2H, 2W)."""
        result: Tensor = self.conv(torch.cat([skip, self.up(deep)], dim=1))
        return result


def initialise(network: nn.Module) -> None:
    """Draw the weights of the convolutions before a batch norm as He et al. do for ReLU."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class UNet(nn.Module):
    """The paper's U-Net: half the filters of the original, one convolution a decoder step.

    Any height and width: the input is padded with zeros at the bottom and right to a multiple of
    the stride, and the output is cut to the size of the input.

    Args:
        bands: Channels of the input.
        classes: lc, channels of the output.
        width: Filters of the first level; each of the four poolings doubles them.
        decoder_convs: 3 x 3 convolutions in each decoder step.

    Source: section 1.1; follows with `width=32, decoder_convs=1` (32, 64, 128, 256, 512 filters;
    6.98 M parameters; 147,360 multiply-adds a pixel with 3 bands and 2 classes). Convolutions
    before a batch norm carry no bias, which changes nothing that the network can compute.
    """

    stride: int = 2**DEPTH

    def __init__(self, bands: int, classes: int, width: int = 32, decoder_convs: int = 1) -> None:
        super().__init__()
        filters = [width * 2**level for level in range(DEPTH + 1)]
        self.decoder_convs = decoder_convs
        self.down = nn.ModuleList(
            ConvBlock(source, target, 2)
            for source, target in zip([bands, *filters[:-1]], filters, strict=True)
        )
        self.up = nn.ModuleList(UpBlock(count, decoder_convs) for count in filters[:0:-1])
        self.head: nn.Module = nn.Conv2d(width, classes, 1)
        initialise(self)

    @property
    def receptive_radius(self) -> int:
        """How far, in px, an input pixel can lie from an output pixel and still change it.

        Two convolutions reach 2 px at each of the levels 0..DEPTH, a decoder step
        `decoder_convs` px at levels 0..DEPTH-1, and the blocks of the poolings add up to
        2**DEPTH - 1 px of misalignment: 92 px for the paper's network.
        """
        encoder = 2 * (2 * self.stride - 1)
        decoder = self.decoder_convs * (self.stride - 1)
        return encoder + decoder + (self.stride - 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map images to logits.

        Args:
            image: (B, C, H, W) float, scaled; 0 where there is no data.

        Returns:
            (B, lc, H, W) logits.
        """
        height, width = image.shape[-2:]
        return self.decode(self.encode(image))[..., :height, :width]

    def encode(self, image: Tensor) -> list[Tensor]:
        """The contracting path: (B, C, H, W), padded to the stride -> features, finest level first.

        Those of level n are (B, width * 2**n, H / 2**n, W / 2**n).
        """
        height, width = image.shape[-2:]
        x = functional.pad(image, (0, -width % self.stride, 0, -height % self.stride))
        levels: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else functional.max_pool2d(x, 2))
            levels.append(x)
        return levels

    def decode(self, levels: list[Tensor]) -> Tensor:
        """The expansive path: features of all levels, finest first -> logits of the padded size."""
        *skips, x = levels
        for step in self.up:
            x = step(x, skips.pop())
        logits: Tensor = self.head(x)
        return logits
