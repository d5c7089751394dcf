"""What a network must be, to be trained and to map: of one image, of PMaps, or of a series.

A mask travels beside the pixels: `known`, bool, True = use. What a network makes of pixels that are
not known is its own business; their values act on nothing, and may be anything, even NaN.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from pydantic import ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from swath.grid import Window
from swath.validation import Frozen


class NetworkSizes(Frozen):
    """Whole numbers that a network leaves to choose; each architecture has its own.

    Further keys are not looked at, so that one table of settings serves all architectures.
    """

    model_config = ConfigDict(extra="ignore")


class ImageNetwork(nn.Module, ABC):
    """Maps one image: (B, C, H, W) -> (B, lc, nH, nW) logits, at any H and W.

    Attributes:
        stride: Tile origins must be multiples of this many px.
        finer: n, map pixels to the side of an image pixel.
    """

    Sizes: ClassVar[type[NetworkSizes]]
    finest: ClassVar[int] = 1
    """The largest n that it offers; one that offers 1 alone need not take the argument."""
    stride: int
    finer: int = 1

    def __init__(self, bands: int, classes: int, sizes: NetworkSizes, finer: int = 1) -> None:
        super().__init__()
        self.finer = finer

    @property
    @abstractmethod
    def receptive_radius(self) -> int:
        """How far, in image px, an input pixel can lie from that of an output and still change it."""

    @abstractmethod
    def forward(self, image: Tensor, known: Tensor, kept: Window | None = None) -> Tensor:
        """Map images to logits.

        Args:
            image: Float, scaled; anything where it is not known.
            known: (B, H, W) bool, True = data.
            kept: The part whose logits are wanted, in image px; None: all.
        """


class FusionNetwork(nn.Module, ABC):
    """Fuses the PMaps of dates: (B, T, lc, H, W) -> (B, lc, H, W) logits, at any T, H and W."""

    Sizes: ClassVar[type[NetworkSizes]]
    kind: ClassVar[Literal["convlstm", "attention", "since"]]
    """What the maps say that they were fused by."""

    def __init__(self, classes: int, sizes: NetworkSizes) -> None:
        super().__init__()

    @abstractmethod
    def receptive_radius(self, dates: int) -> int:
        """How far in px a PMap pixel of any of `dates` dates can act."""

    @abstractmethod
    def forward(self, pmaps: Tensor, known: Tensor) -> Tensor:
        """Fuse a series.

        Args:
            pmaps: In 0..1, oldest first, T >= 1; anything where not known.
            known: (B, T, H, W) bool, True = the date has data.
        """


class SeriesNetwork(nn.Module, ABC):
    """Maps a whole series at once: (B, T, C, H, W) -> (B, lc, H, W) logits, at any H and W.

    It is built for `dates`, the T of its training.

    Attributes:
        stride: Tile origins must be multiples of this many px.
        fixed_dates: The only T that it takes; None: any.
    """

    Sizes: ClassVar[type[NetworkSizes]]
    one_length: ClassVar[bool] = False
    """Whether it takes series of the length that it was built for only."""
    stride: int

    def __init__(self, bands: int, classes: int, dates: int, sizes: NetworkSizes) -> None:
        super().__init__()
        self.fixed_dates: int | None = dates if self.one_length else None

    @abstractmethod
    def receptive_radius(self, dates: int) -> int:
        """How far in px an input pixel of any of `dates` dates can act."""

    @abstractmethod
    def forward(self, images: Tensor, known: Tensor) -> Tensor:
        """Map series to logits.

        Args:
            images: Float, scaled, oldest first; anything where not known.
            known: (B, T, H, W) bool, True = the date has data.
        """


class OneDate(ImageNetwork):
    """A network for series as one for images: it is shown that date, as often as it needs.

    So every model has a map of each date: what it says when it knows no other.
    """

    def __init__(self, series: SeriesNetwork) -> None:
        nn.Module.__init__(self)
        self.series = series
        self.repeats = series.fixed_dates or 1
        self.stride = series.stride

    @property
    def receptive_radius(self) -> int:
        """That of the series."""
        return self.series.receptive_radius(self.repeats)

    def forward(self, image: Tensor, known: Tensor, kept: Window | None = None) -> Tensor:
        """Map images to logits; shapes as of `ImageNetwork`."""
        images = image[:, None].expand(-1, self.repeats, -1, -1, -1)
        logits: Tensor = self.series(images, known[:, None].expand(-1, self.repeats, -1, -1))
        return cut(logits, image, kept)


def fill(x: Tensor, known: Tensor, value: float) -> Tensor:
    """Put a value, no news, where x (..., C, H, W) is not known (..., H, W); its layout stays."""
    # Not masked_fill, which loses channels-last where the mask is broadcast.
    return torch.where(known.unsqueeze(-3), x, value)


def refine(mask: Tensor, n: int) -> Tensor:
    """(..., H, W) in pixels an n-th of the side: each value stands in n x n."""
    return mask if n == 1 else mask.repeat_interleave(n, dim=-2).repeat_interleave(n, dim=-1)


def pad(x: Tensor, stride: int) -> Tensor:
    """(..., H, W), filled up with zeros at the bottom and right to multiples of the stride."""
    # Written so that an exporter, whose sides are symbols, sees multiples of the stride.
    down, across = ((side + stride - 1) // stride * stride - side for side in x.shape[-2:])
    return functional.pad(x, (0, across, 0, down))


def cut(logits: Tensor, image: Tensor, kept: Window | None) -> Tensor:
    """The part of padded logits that is wanted: (..., H, W) of the image, or `kept` of it."""
    part = kept or Window(0, 0, *image.shape[-2:])
    return logits[(..., *part.slices)]


def weighted_sum(x: Tensor, weight: Tensor) -> Tensor:
    """The weighted sum of what is known of every date.

    Date by date: the product of all dates at once, with its weights broadcast over channels that
    lie innermost, takes fifty times as long on a CPU.

    Args:
        x: (B T, C, H, W), the dates of a series after one another.
        weight: (B, T, 1, H, W).

    Returns:
        (B, C, H, W) of x's type, channels last.
    """
    dated = torch.unflatten(x, 0, weight.shape[:2])
    weight = weight.to(x.dtype)
    if torch.compiler.is_exporting():  # T is a symbol
        return (dated * weight).sum(dim=1)
    total = dated[:, 0] * weight[:, 0]
    for date in range(1, weight.shape[1]):
        total = torch.addcmul(total, dated[:, date], weight[:, date])
    return total.contiguous(memory_format=torch.channels_last)
