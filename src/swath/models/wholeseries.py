"""What networks for a whole series share, and the view of them that maps one date."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class SeriesSizes:
    """All that decides the shape of a network for series.

    Attributes:
        bands: C, channels of an image.
        classes: lc, channels of the output.
        dates: T of the training; some networks take no other.
        width: Filters of the first level, or what stands for them.
        decoder_convs: 3 x 3 convolutions in each decoder step.
        hidden: Channels of recurrent states.
        layers: Recurrent layers.
    """

    bands: int
    classes: int
    dates: int
    width: int
    decoder_convs: int
    hidden: int
    layers: int


class SeriesNetwork(Protocol):
    """A network that maps a whole series at once: (B, T, C, H, W) -> (B, lc, H, W) logits.

    Attributes:
        stride: Tile origins must be multiples of this many px.
        fixed_dates: The only T that it takes; None: any.
    """

    stride: int
    fixed_dates: int | None

    def receptive_radius(self, dates: int) -> int:
        """How far in px an input pixel of any date can act."""

    def __call__(self, images: Tensor) -> Tensor:
        """Oldest date first, scaled; 0 where there is no data."""


class OneDate(nn.Module):
    """A network for series as one for images: it is shown that date, as often as it needs.

    So every model has a map of each date: what it says when it knows no other.

    Args:
        series: The network; it is used, not copied.
    """

    def __init__(self, series: nn.Module) -> None:
        super().__init__()
        self.series = series

    @property
    def repeats(self) -> int:
        """How often the date is shown."""
        fixed: int | None = self.series.fixed_dates  # type: ignore[assignment]
        return fixed or 1

    @property
    def stride(self) -> int:
        """Of the network."""
        return int(self.series.stride)  # type: ignore[arg-type]

    @property
    def receptive_radius(self) -> int:
        """How far in px an input pixel can act."""
        return int(self.series.receptive_radius(self.repeats))  # type: ignore[operator]

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) scaled -> (B, lc, H, W) logits."""
        images = image[:, None].expand(-1, self.repeats, -1, -1, -1)
        logits: Tensor = self.series(images)
        return logits
