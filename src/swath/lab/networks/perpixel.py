"""Networks that see a pixel's values on all dates and nothing around it."""

import torch
from torch import Tensor, nn

from swath.models.unet import initialise
from swath.models.wholeseries import SeriesSizes

SEQUENCES = 1 << 17
"""Pixels that go through the LSTM at once when it maps: bounds its memory."""


class TempCNN(nn.Module):
    """Convolutions along time, then a dense layer over all dates; a pixel on its own.

    It takes the number of dates that it was made for, and no other.

    Args:
        sizes: Its shape: 2 `width` filters, 8 `width` units in the dense layer.

    Source: C. Pelletier, G. I. Webb, F. Petitjean, Temporal Convolutional Neural Network, Remote
    Sensing 11 (2019), section 3; follows with `width=32` (three convolutions of 64 filters over 5
    dates, 256 dense units, dropout 0.5).
    """

    stride: int = 1

    def __init__(self, sizes: SeriesSizes) -> None:
        super().__init__()
        self.fixed_dates: int | None = sizes.dates
        filters, dense = 2 * sizes.width, 8 * sizes.width
        layers: list[nn.Module] = []
        for source in (sizes.bands, filters, filters):
            # Time is the image's height here, and all pixels lie along its width.
            layers += [
                nn.Conv2d(source, filters, (5, 1), padding=(2, 0), bias=False),
                nn.BatchNorm2d(filters),
                nn.ReLU(inplace=True),
                nn.Dropout(0.5),
            ]
        self.along_time = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Conv2d(filters * sizes.dates, dense, 1, bias=False),
            nn.BatchNorm2d(dense),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
        )
        self.head = nn.Conv2d(dense, sizes.classes, 1)
        initialise(self)

    def receptive_radius(self, dates: int) -> int:
        """0: nothing around a pixel counts."""
        return 0

    def forward(self, images: Tensor) -> Tensor:
        """(B, T, C, H, W) -> (B, lc, H, W) logits."""
        height, width = images.shape[-2:]
        x = self.along_time(images.transpose(1, 2).flatten(3))
        x = self.dense(x.flatten(1, 2).unflatten(2, (height, width)))
        logits: Tensor = self.head(x)
        return logits


class PixelLSTM(nn.Module):
    """An LSTM over the dates of a pixel on its own; its last state is read. Any number of dates.

    Args:
        sizes: Its shape: `layers` layers of 2 `hidden` units.

    Source: the paper names an LSTM per pixel and gives no sizes.
    """

    stride: int = 1
    fixed_dates: int | None = None

    def __init__(self, sizes: SeriesSizes) -> None:
        super().__init__()
        units = 2 * sizes.hidden
        self.lstm = nn.LSTM(sizes.bands, units, sizes.layers, batch_first=True)
        self.head = nn.Linear(units, sizes.classes)

    def receptive_radius(self, dates: int) -> int:
        """0: nothing around a pixel counts."""
        return 0

    def forward(self, images: Tensor) -> Tensor:
        """(B, T, C, H, W) -> (B, lc, H, W) logits."""
        batch, dates, bands, height, width = images.shape
        rows = images.permute(0, 3, 4, 1, 2).reshape(-1, dates, bands)
        pieces = (rows,) if self.training else torch.split(rows, SEQUENCES)
        logits = torch.cat([self.head(self.lstm(piece)[0][:, -1]) for piece in pieces])
        return logits.reshape(batch, height, width, -1).permute(0, 3, 1, 2)
