"""Networks that see a pixel's values on all dates and nothing around it."""

import torch
from pydantic import Field
from torch import Tensor, nn

from swath.models.network import NetworkSizes, SeriesNetwork, fill
from swath.models.unet import initialise

SEQUENCES = 1 << 17
"""Pixels that go through the LSTM at once when it maps: bounds its memory."""


class TempCNN(SeriesNetwork):
    """Convolutions along time, then a dense layer over all dates; a pixel on its own.

    It takes the number of dates that it was made for, and no other. A date without data is 0.

    Args:
        bands: C.
        classes: lc.
        dates: T.
        sizes: See `Sizes`.

    Source: C. Pelletier, G. I. Webb, F. Petitjean, Temporal Convolutional Neural Network, Remote
    Sensing 11 (2019), section 3; follows with `width=32` (three convolutions of 64 filters over 5
    dates, 256 dense units, dropout 0.5).
    """

    class Sizes(NetworkSizes):
        """Sizes of a TempCNN.

        Attributes:
            width: Half the filters of the convolutions, an eighth of the units in the dense layer.
        """

        width: int = Field(default=32, ge=1)

    one_length = True
    stride = 1

    def __init__(self, bands: int, classes: int, dates: int, sizes: Sizes) -> None:
        super().__init__(bands, classes, dates, sizes)
        filters, dense = 2 * sizes.width, 8 * sizes.width
        layers: list[nn.Module] = []
        for source in (bands, filters, filters):
            # Time is the image's height here, and all pixels lie along its width.
            layers += [
                nn.Conv2d(source, filters, (5, 1), padding=(2, 0), bias=False),
                nn.BatchNorm2d(filters),
                nn.ReLU(inplace=True),
                nn.Dropout(0.5),
            ]
        self.along_time = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Conv2d(filters * dates, dense, 1, bias=False),
            nn.BatchNorm2d(dense),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
        )
        self.head = nn.Conv2d(dense, classes, 1)
        initialise(self)

    def receptive_radius(self, dates: int) -> int:
        """0: nothing around a pixel counts."""
        return 0

    def forward(self, images: Tensor, known: Tensor) -> Tensor:
        """Map series to logits; shapes as of `SeriesNetwork`."""
        height, width = images.shape[-2:]
        images = fill(images, known, 0)
        x = self.along_time(images.transpose(1, 2).flatten(3))
        x = self.dense(x.flatten(1, 2).unflatten(2, (height, width)))
        logits: Tensor = self.head(x)
        return logits


class PixelLSTM(SeriesNetwork):
    """An LSTM over the dates of a pixel on its own; its last state is read.

    It takes whatever number of dates. A date without data is 0.

    Args:
        bands: C.
        classes: lc.
        dates: T of the training.
        sizes: See `Sizes`.

    Source: the paper names an LSTM per pixel and gives no sizes.
    """

    class Sizes(NetworkSizes):
        """Sizes of an LSTM per pixel.

        Attributes:
            hidden: Half the units of a layer.
            layers: Of the LSTM.
        """

        hidden: int = Field(default=32, ge=1)
        layers: int = Field(default=2, ge=1)

    stride = 1

    def __init__(self, bands: int, classes: int, dates: int, sizes: Sizes) -> None:
        super().__init__(bands, classes, dates, sizes)
        units = 2 * sizes.hidden
        self.lstm = nn.LSTM(bands, units, sizes.layers, batch_first=True)
        self.head = nn.Linear(units, classes)

    def receptive_radius(self, dates: int) -> int:
        """0: nothing around a pixel counts."""
        return 0

    def forward(self, images: Tensor, known: Tensor) -> Tensor:
        """Map series to logits; shapes as of `SeriesNetwork`."""
        batch, dates, bands, height, width = images.shape
        rows = fill(images, known, 0).permute(0, 3, 4, 1, 2).reshape(-1, dates, bands)
        pieces = (rows,) if self.training else torch.split(rows, SEQUENCES)
        logits = torch.cat([self.head(self.lstm(piece)[0][:, -1]) for piece in pieces])
        return logits.reshape(batch, height, width, -1).permute(0, 3, 1, 2)
