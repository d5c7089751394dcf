"""U-TAE: a U-Net whose dates are joined by temporal attention, found at the coarsest level."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from swath.models.network import SeriesNetwork, fill, pad
from swath.models.unet import DEPTH, ConvBlock, UNet, UpBlock, initialise

KEY_CHANNELS = 4
"""Channels of a key, a head."""


class TemporalAttention(nn.Module):
    """Which date counts how much at a place: one learned query a head (L-TAE).

    Args:
        channels: Of the features.
        heads: Groups of channels, each with its own attention; divides `channels`.

    Source: V. S. F. Garnot, L. Landrieu, Lightweight Temporal Attention, AALTD 2020; follows, but
    for the position of a date: its place in the series, since networks here see no calendar.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_in = nn.GroupNorm(heads, channels)
        self.query = nn.Parameter(torch.randn(heads, KEY_CHANNELS) * math.sqrt(2 / KEY_CHANNELS))
        self.key = nn.Linear(channels, heads * KEY_CHANNELS)
        self.mix = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, features: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Join the dates.

        Args:
            features: (B, T, D, h, w).
            seen: (B, T, h, w) bool, True where the date has data.

        Returns:
            (B, D, h, w), and the attention (B, heads, T, h, w), which sums to 1 over T.
        """
        batch, dates, channels, height, width = features.shape
        # Each place on its own: (B h w, D, T).
        x = features.permute(0, 3, 4, 2, 1).reshape(-1, channels, dates)
        x = self.norm_in(x).transpose(1, 2) + _positions(dates, channels, x)
        keys = self.key(x).reshape(-1, dates, self.heads, KEY_CHANNELS)
        score = torch.einsum("nthk,hk->nht", keys, self.query.to(keys.dtype)).float()
        hidden = ~seen.permute(0, 2, 3, 1).reshape(-1, 1, dates)
        # Where no date has data all are looked at: a softmax over none would be no number.
        hidden = hidden & ~hidden.all(dim=-1, keepdim=True)
        score = (score / math.sqrt(KEY_CHANNELS)).masked_fill(hidden, -torch.inf)
        weight = torch.softmax(score, dim=-1)
        values = x.reshape(-1, dates, self.heads, channels // self.heads)
        joined = torch.einsum("nht,nthc->nhc", weight.to(values.dtype), values)
        joined = joined.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
        attention = weight.reshape(batch, height, width, self.heads, dates).permute(0, 3, 4, 1, 2)
        return self.mix(joined.contiguous()), attention


def _positions(dates: int, channels: int, like: Tensor) -> Tensor:
    """(T, D) sines and cosines of the place in the series."""
    place = torch.arange(dates, device=like.device, dtype=torch.float32)[:, None]
    even = torch.arange(channels, device=like.device) // 2 * 2
    angle = place / 1000 ** (even / channels)
    waves = torch.where(torch.arange(channels, device=like.device) % 2 == 0, angle, angle + 1.5708)
    return torch.sin(waves).to(like.dtype)


class UTAE(SeriesNetwork):
    """The U-Net's encoder sees every date; attention joins them at every level; one decoder.

    The attention is computed at the coarsest level and, enlarged, weights the features of the finer
    levels too. It takes whatever number of dates, and looks at none in a coarse pixel where that
    date has no data; a pixel without data is 0 to the encoder.

    Args:
        bands: C.
        classes: lc.
        dates: T of the training.
        sizes: Of the U-Net.

    Source: V. S. F. Garnot, L. Landrieu, Panoptic Segmentation of Satellite Image Time Series with
    Convolutional Temporal Attention Networks, ICCV 2021, section 3.1. Follows: shared encoder,
    temporal attention at the bottleneck, its masks enlarged and grouped by head. Differs: blocks,
    poolings and filters of the paper's U-Net, so that only the fusion is compared; up to 16 heads.
    """

    Sizes = UNet.Sizes
    stride = UNet.stride

    def __init__(self, bands: int, classes: int, dates: int, sizes: UNet.Sizes) -> None:
        super().__init__(bands, classes, dates, sizes)
        filters = [sizes.width * 2**level for level in range(DEPTH + 1)]
        self.decoder_convs = sizes.decoder_convs
        self.down = nn.ModuleList(
            ConvBlock(source, target, 2)
            for source, target in zip([bands, *filters[:-1]], filters, strict=True)
        )
        self.attention = TemporalAttention(filters[-1], heads=math.gcd(sizes.width, 16))
        self.join = nn.ModuleList(nn.Conv2d(count, count, 1) for count in filters[:-1])
        self.up = nn.ModuleList(UpBlock(count, self.decoder_convs) for count in filters[:0:-1])
        self.head = nn.Conv2d(sizes.width, classes, 1)
        initialise(self)

    def receptive_radius(self, dates: int) -> int:
        """The U-Net's, and one coarse pixel more: the attention is enlarged bilinearly."""
        encoder = 2 * (2 * self.stride - 1)
        return encoder + (self.decoder_convs + 1) * (self.stride - 1) + self.stride

    def forward(self, images: Tensor, known: Tensor) -> Tensor:
        """Map series to logits; shapes as of `SeriesNetwork`."""
        batch, dates = images.shape[:2]
        height, width = images.shape[-2:]
        x = fill(images, known, 0).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x = pad(x, self.stride)
        seen = functional.max_pool2d(pad(known.flatten(0, 1).float(), self.stride), self.stride) > 0
        levels: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else functional.max_pool2d(x, 2))
            levels.append(x.reshape(batch, dates, *x.shape[1:]))
        x, attention = self.attention(levels.pop(), seen.reshape(batch, dates, *seen.shape[1:]))
        for step, join in zip(self.up, reversed(self.join), strict=True):
            x = step(x, join(_weighted(levels.pop(), attention)))
        logits: Tensor = self.head(x)
        return logits[..., :height, :width]


def _weighted(features: Tensor, attention: Tensor) -> Tensor:
    """(B, T, C, H, W) by the enlarged attention (B, heads, T, h, w) -> (B, C, H, W)."""
    batch, dates, channels, height, width = features.shape
    heads = attention.shape[1]
    weight = functional.interpolate(
        attention.flatten(0, 1), size=(height, width), mode="bilinear", align_corners=False
    )
    weight = weight.reshape(batch, heads, dates, 1, height, width).to(features.dtype)
    grouped = features.reshape(batch, dates, heads, channels // heads, height, width)
    return (grouped.transpose(1, 2) * weight).sum(dim=2).reshape(batch, channels, height, width)
