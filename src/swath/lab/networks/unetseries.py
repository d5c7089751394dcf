"""U-Nets that see a whole series: its dates stacked, averaged as features, or in a ConvLSTM."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from swath.models.convlstm import PeepholeConvLSTMCell, last_hidden
from swath.models.dates import weighted_sum
from swath.models.unet import UNet
from swath.models.wholeseries import SeriesSizes


class EarlyFusion(nn.Module):
    """A U-Net whose input channels are the bands of all dates.

    It takes the number of dates that it was made for, and no other.

    Args:
        sizes: Its shape; `hidden` and `layers` mean nothing here.
    """

    def __init__(self, sizes: SeriesSizes) -> None:
        super().__init__()
        self.fixed_dates: int | None = sizes.dates
        bands = sizes.bands * sizes.dates
        self.unet = UNet(bands, sizes.classes, sizes.width, sizes.decoder_convs)
        self.stride = self.unet.stride

    def receptive_radius(self, dates: int) -> int:
        """That of the U-Net."""
        return self.unet.receptive_radius

    def forward(self, images: Tensor) -> Tensor:
        """(B, T, C, H, W) -> (B, lc, H, W) logits."""
        logits: Tensor = self.unet(images.flatten(1, 2).contiguous())
        return logits


class FeatureMean(nn.Module):
    """A U-Net whose features of all dates are averaged at every level; one decoder maps the mean.

    Any number of dates. Their order does not matter, and where a date has no data it does not
    count: a date without any is as if it were not there.

    Args:
        sizes: Its shape; `hidden` and `layers` mean nothing here.

    Source: not in the paper, which averages nothing before the last layer; the mean over a set as
    in M. Zaheer et al., Deep Sets, NeurIPS 2017.
    """

    fixed_dates: int | None = None

    def __init__(self, sizes: SeriesSizes) -> None:
        super().__init__()
        self.unet = UNet(sizes.bands, sizes.classes, sizes.width, sizes.decoder_convs)
        self.stride = self.unet.stride

    def receptive_radius(self, dates: int) -> int:
        """That of the U-Net."""
        return self.unet.receptive_radius

    def forward(self, images: Tensor) -> Tensor:
        """(B, T, C, H, W) -> (B, lc, H, W) logits."""
        height, width = images.shape[-2:]
        dates = images.shape[1]
        flat = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        padding = (0, -width % self.stride, 0, -height % self.stride)
        seen = functional.pad((flat != 0).any(dim=1, keepdim=True).float(), padding)
        levels = self.unet.plan((height, width))
        means = [
            _mean_of_dates(features, functional.avg_pool2d(seen, 2**level), dates)
            for level, features in enumerate(self.unet.encode(flat, levels))
        ]
        logits: Tensor = self.unet.decode(means, levels)
        return logits[..., :height, :width]


def _mean_of_dates(features: Tensor, seen: Tensor, dates: int) -> Tensor:
    """(B T, C, H, W), weighted by the share (B T, 1, H, W) with data -> (B, C, H, W).

    0 where no date has data, so that it does not matter how many dates have none.
    """
    share = torch.unflatten(seen, 0, (-1, dates))
    weight = share / share.sum(dim=1, keepdim=True).clamp_min(1e-6)
    return weighted_sum(features, weight)


class FeatureConvLSTM(nn.Module):
    """One U-Net for every date; peephole ConvLSTM layers fuse its last features, not its PMaps.

    Both are trained together. Any number of dates.

    Args:
        sizes: Its shape.

    Source: the paper's ConvLSTM (section 1.2), fed with the `width` features before the U-Net's
    last 1 x 1 convolution instead of its probabilities; the comparison that the paper leaves out.
    """

    fixed_dates: int | None = None

    def __init__(self, sizes: SeriesSizes) -> None:
        super().__init__()
        self.unet = UNet(sizes.bands, sizes.classes, sizes.width, sizes.decoder_convs)
        self.unet.head = nn.Identity()
        self.stride = self.unet.stride
        self.cells = nn.ModuleList(
            PeepholeConvLSTMCell(sizes.width if layer == 0 else sizes.hidden, sizes.hidden)
            for layer in range(sizes.layers)
        )
        self.head = nn.Conv2d(sizes.hidden, sizes.classes, 1)

    def receptive_radius(self, dates: int) -> int:
        """The U-Net's and a convolution a date and a further layer."""
        return self.unet.receptive_radius + dates + len(self.cells) - 1

    def forward(self, images: Tensor) -> Tensor:
        """(B, T, C, H, W) -> (B, lc, H, W) logits."""
        batch, dates = images.shape[:2]
        flat = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = self.unet(flat)
        features = features.reshape(batch, dates, *features.shape[1:])
        logits: Tensor = self.head(last_hidden(self.cells, features))
        return logits
