"""U-Nets that see a whole series: its dates stacked, averaged as features, or in a ConvLSTM."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from swath.models.convlstm import ConvLSTM, convlstm_layers, last_hidden
from swath.models.network import SeriesNetwork, fill, pad, weighted_sum
from swath.models.unet import UNet


class EarlyFusion(SeriesNetwork):
    """A U-Net whose input channels are the bands of all dates.

    It takes the number of dates that it was made for, and no other. A date without data is 0.

    Args:
        bands: C.
        classes: lc.
        dates: T.
        sizes: Of the U-Net.
    """

    Sizes = UNet.Sizes
    one_length = True
    stride = UNet.stride

    def __init__(self, bands: int, classes: int, dates: int, sizes: UNet.Sizes) -> None:
        super().__init__(bands, classes, dates, sizes)
        self.unet = UNet(bands * dates, classes, sizes)

    def receptive_radius(self, dates: int) -> int:
        """That of the U-Net."""
        return self.unet.receptive_radius

    def forward(self, images: Tensor, known: Tensor) -> Tensor:
        """Map series to logits; shapes as of `SeriesNetwork`."""
        stacked = fill(images, known, 0).flatten(1, 2).contiguous()
        logits: Tensor = self.unet(stacked, known.any(dim=1))
        return logits


class FeatureMean(SeriesNetwork):
    """A U-Net whose features of all dates are averaged at every level; one decoder maps the mean.

    It takes whatever number of dates. Their order does not matter, and where a date has no data it
    does not count: a date without data is as if it were not there.

    Args:
        bands: C.
        classes: lc.
        dates: T of the training.
        sizes: Of the U-Net.

    Source: not in the paper, which averages nothing before the last layer; the mean over a set as
    in M. Zaheer et al., Deep Sets, NeurIPS 2017.
    """

    Sizes = UNet.Sizes
    stride = UNet.stride

    def __init__(self, bands: int, classes: int, dates: int, sizes: UNet.Sizes) -> None:
        super().__init__(bands, classes, dates, sizes)
        self.unet = UNet(bands, classes, sizes)

    def receptive_radius(self, dates: int) -> int:
        """That of the U-Net."""
        return self.unet.receptive_radius

    def forward(self, images: Tensor, known: Tensor) -> Tensor:
        """Map series to logits; shapes as of `SeriesNetwork`."""
        height, width = images.shape[-2:]
        dates = images.shape[1]
        flat = fill(images, known, 0).flatten(0, 1)
        flat = flat.contiguous(memory_format=torch.channels_last)
        seen = pad(known.flatten(0, 1)[:, None].float(), self.stride)
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


class FeatureConvLSTM(SeriesNetwork):
    """One U-Net for every date; peephole ConvLSTM layers fuse its last features, not its PMaps.

    Both are trained together. It takes whatever number of dates; one without data is 0 to the
    U-Net, and its features count as those of the others.

    Args:
        bands: C.
        classes: lc.
        dates: T of the training.
        sizes: Of both.

    Source: the paper's ConvLSTM (section 1.2), fed with the `width` features before the U-Net's
    last 1 x 1 convolution instead of its probabilities; the comparison that the paper leaves out.
    """

    class Sizes(UNet.Sizes, ConvLSTM.Sizes):
        """Those of the U-Net and of the ConvLSTM."""

    stride = UNet.stride

    def __init__(self, bands: int, classes: int, dates: int, sizes: Sizes) -> None:
        super().__init__(bands, classes, dates, sizes)
        self.unet = UNet(bands, classes, sizes)
        self.unet.head = nn.Identity()
        self.cells = convlstm_layers(sizes.width, sizes)
        self.head = nn.Conv2d(sizes.hidden, classes, 1)

    def receptive_radius(self, dates: int) -> int:
        """The U-Net's and a convolution a date and a further layer."""
        return self.unet.receptive_radius + dates + len(self.cells) - 1

    def forward(self, images: Tensor, known: Tensor) -> Tensor:
        """Map series to logits; shapes as of `SeriesNetwork`."""
        batch, dates = images.shape[:2]
        flat = images.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = self.unet(flat, known.flatten(0, 1))
        features = features.reshape(batch, dates, *features.shape[1:])
        logits: Tensor = self.head(last_hidden(self.cells, features))
        return logits
