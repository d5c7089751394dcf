"""The U-Net that maps one image to class logits."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from swath.grid import Window
from swath.models.network import ImageNetwork, NetworkSizes, fill, pad

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


class Doubling(nn.ConvTranspose2d):
    """Transpose convolution of 2 x 2 with stride 2: twice the height and width, half the channels.

    In training it is computed as the matrix product that it is, since the output's blocks do not
    overlap: forward and backward then take two thirds of the library's time.
    """

    def __init__(self, channels_in: int) -> None:
        super().__init__(channels_in, channels_in // 2, 2, stride=2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, H, W) -> (B, C/2, 2H, 2W)."""
        if not self.training:
            return super().forward(x, output_size)
        batch, channels, height, width = x.shape
        half = self.out_channels
        assert self.bias is not None
        # One row of the product for each pixel of a 2 x 2 block and channel.
        weight = self.weight.permute(2, 3, 1, 0).reshape(4 * half, channels)
        rows = x.permute(0, 2, 3, 1).reshape(-1, channels)
        pixels = functional.linear(rows, weight, self.bias.repeat(4))
        blocks = pixels.view(batch, height, width, 2, 2, half).transpose(2, 3)
        return blocks.reshape(batch, 2 * height, 2 * width, half).permute(0, 3, 1, 2)


class UpBlock(nn.Module):
    """Transpose convolution that halves the channels, concatenation, `convs` 3 x 3 convolutions."""

    def __init__(self, channels_in: int, convs: int) -> None:
        super().__init__()
        half = channels_in // 2
        self.up = Doubling(channels_in)
        self.conv = ConvBlock(channels_in, half, convs)

    def forward(self, deep: Tensor, skip: Tensor, kept: Window | None = None) -> Tensor:
        """A decoder step: (B, C, H, W) and (B, C/2, h, w) -> (B, C/2, h, w).

        Args:
            deep: Of the level below.
            skip: The matching map of the contracting path.
            kept: Which h x w of the 2H x 2W pixels of `deep` these are; None: all.
        """
        up = self.up(deep)
        if kept is not None:
            up = up[(..., *kept.slices)]
        result: Tensor = self.conv(torch.cat([skip, up], dim=1))
        return result


class Level(NamedTuple):
    """What one level of the network computes, in pixels of that level.

    Attributes:
        encoded: Where the contracting path is computed.
        decoded: Where the expansive path is; of the lowest level, what that path needs of it.
    """

    encoded: Window
    decoded: Window


def plan_levels(shape: tuple[int, int], kept: Window, decoder_convs: int, head_convs: int = 0) -> list[Level]:
    """What each level must compute for a part of the output.

    A level needs the part and as many pixels around it as its convolutions see, so the deeper, the
    more; without this the margin of the whole network would be computed on all levels.

    Args:
        shape: (height, width) of the padded input, multiples of the stride.
        kept: The wanted part of it.
        decoder_convs: Of each decoder step.
        head_convs: 3 x 3 convolutions after the last.

    Returns:
        From full resolution to the lowest. Nothing reaches outside the input.
    """
    extents = [Window(0, 0, shape[0] >> n, shape[1] >> n) for n in range(DEPTH + 1)]
    decoded = [kept.grow(decoder_convs + head_convs).intersect(extents[0])]
    for extent in extents[1:]:
        needed = decoded[-1].coarser(2)
        deepest = extent is extents[-1]
        decoded.append(needed if deepest else needed.grow(decoder_convs).intersect(extent))
    encoded = [decoded[-1].grow(2).intersect(extents[-1])]
    for extent in extents[-2::-1]:
        encoded.insert(0, encoded[0].finer(2).grow(2).intersect(extent))
    return [Level(*windows) for windows in zip(encoded, decoded, strict=True)]


def _crop(x: Tensor, have: Window, want: Window) -> Tensor:
    """`want` of a map (..., h, w) that holds `have`."""
    return x if have == want else x[(..., *want.relative_to(have).slices)]


class FinerHead(nn.Sequential):
    """Features of an image's pixels -> logits of n x n map pixels in each.

    One 3 x 3 convolution looks across the edges of the pixel, one of 1 x 1 gives each of its parts
    logits of its own. They begin alike: the first maps are those of the image's grid.

    Source: not in the paper. Shi et al., Real-Time Single Image and Video Super-Resolution Using an
    Efficient Sub-Pixel Convolutional Neural Network, CVPR 2016; Aitken et al., Checkerboard artifact
    free sub-pixel convolution, 2017 (the weights that begin alike).
    """

    convs = 1

    def __init__(self, channels: int, classes: int, finer: int) -> None:
        parts = nn.Conv2d(channels, classes * finer**2, 1)
        with torch.no_grad():
            for values in parts.parameters():
                values.copy_(values[:classes].repeat_interleave(finer**2, dim=0))
        super().__init__(ConvBlock(channels, channels, self.convs), parts, nn.PixelShuffle(finer))


def initialise(network: nn.Module) -> None:
    """Draw the weights of the convolutions before a batch norm as He et al. do for ReLU."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class UNet(ImageNetwork):
    """The paper's U-Net: half the filters of the original, one convolution a decoder step.

    It maps images of whatever size: the input is padded with zeros at the bottom and right to a
    multiple of the stride, and the output is cut to the size of the input. Pixels without data are
    zeros to it as well.

    Source: section 1.1; follows with the sizes as they are by default (32, 64, 128, 256, 512
    filters; 6.98 M parameters; 147,360 multiply-adds a pixel with 3 bands and 2 classes); differs
    where the map is finer than the image (`FinerHead`: 6 % more arithmetic at 2, 7 % at 4).
    Convolutions before a batch norm carry no bias, which changes nothing that the network can
    compute.
    """

    class Sizes(NetworkSizes):
        """Sizes of a U-Net.

        Attributes:
            width: Filters of the first level; each of the four poolings doubles them.
            decoder_convs: 3 x 3 convolutions in each decoder step.
        """

        width: int = Field(default=32, ge=1)
        decoder_convs: int = Field(default=1, ge=1, le=16)

    _default = Sizes()

    finest: ClassVar[int] = 4
    stride: int = 2**DEPTH

    def __init__(self, bands: int, classes: int, sizes: Sizes = _default, finer: int = 1) -> None:
        super().__init__(bands, classes, sizes, finer)
        filters = [sizes.width * 2**level for level in range(DEPTH + 1)]
        self.decoder_convs = sizes.decoder_convs
        self.down = nn.ModuleList(
            ConvBlock(source, target, 2)
            for source, target in zip([bands, *filters[:-1]], filters, strict=True)
        )
        self.up = nn.ModuleList(UpBlock(count, self.decoder_convs) for count in filters[:0:-1])
        self.head: nn.Module = (
            nn.Conv2d(sizes.width, classes, 1) if finer == 1 else FinerHead(sizes.width, classes, finer)
        )
        self.head_convs = 0 if finer == 1 else FinerHead.convs
        initialise(self)

    @property
    def receptive_radius(self) -> int:
        """How far, in image px, an input pixel can lie from that of an output and still change it.

        Two convolutions reach 2 px at each of the levels 0..DEPTH, a decoder step
        `decoder_convs` px at levels 0..DEPTH-1, the head of a finer map 1 px, and the blocks of
        the poolings add up to 2**DEPTH - 1 px of misalignment: 92 px for the paper's network.
        """
        encoder = 2 * (2 * self.stride - 1)
        decoder = self.decoder_convs * (self.stride - 1)
        return encoder + decoder + self.head_convs + (self.stride - 1)

    def forward(self, image: Tensor, known: Tensor, kept: Window | None = None) -> Tensor:
        """Map images to logits; what `kept` does not depend on is not computed."""
        if kept is None:
            logits = self._whole(pad(fill(image, known, 0), self.stride))
            return logits[..., : self.finer * image.shape[-2], : self.finer * image.shape[-1]]
        levels = self.plan(image.shape[-2:], kept)
        logits = self.decode(self.encode(fill(image, known, 0), levels), levels)
        return _crop(logits, levels[0].decoded.finer(self.finer), kept.finer(self.finer))

    def _whole(self, image: Tensor) -> Tensor:
        """All of a padded image: no windows, so that the sides may be symbols of an exporter."""
        skips: list[Tensor] = []
        for block in self.down:
            skips.append(block(functional.max_pool2d(skips[-1], 2) if skips else image))
        x = skips.pop()
        for step in self.up:
            x = step(x, skips.pop())
        logits: Tensor = self.head(x)
        return logits

    def plan(self, shape: Sequence[int], kept: Window | None = None) -> list[Level]:
        """What each level computes for images of `shape` (height, width); see `plan_levels`."""
        height, width = (-(-side // self.stride) * self.stride for side in shape)
        part = kept or Window(0, 0, height, width)
        return plan_levels((height, width), part, self.decoder_convs, self.head_convs)

    def encode(self, image: Tensor, levels: Sequence[Level]) -> list[Tensor]:
        """The contracting path: the features that the other path needs, finest level first.

        Args:
            image: (B, C, H, W), 0 where it is not known; it is padded to multiples of the stride.
            levels: Of `plan`.
        """
        x = pad(image, self.stride)
        have = Window(0, 0, *x.shape[-2:])
        features: list[Tensor] = []
        for number, (block, level) in enumerate(zip(self.down, levels, strict=True)):
            if number > 0:
                x, have = functional.max_pool2d(x, 2), have.coarser(2)
            x = block(_crop(x, have, level.encoded))
            have = level.encoded
            features.append(_crop(x, have, level.decoded))
        return features

    def decode(self, features: Sequence[Tensor], levels: Sequence[Level]) -> Tensor:
        """The expansive path: features of `encode` -> logits of the finest level's pixels."""
        *skips, x = features
        have = levels[-1].decoded
        for step in self.up:
            wanted = levels[len(skips) - 1].decoded
            x = step(x, skips.pop(), wanted.relative_to(have.finer(2)))
            have = wanted
        logits: Tensor = self.head(x)
        return logits
