"""Attention over dates: fuses the PMaps of several dates into one, in no order."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from swath.models.network import FusionNetwork, NetworkSizes, fill, weighted_sum

LEAST = 1e-3
"""Probabilities are kept this far from 0 and 1 before their logarithm is taken."""


class DateAttention(FusionNetwork):
    """Which date to trust where: a weighted mean of the dates' logits, and a correction to it.

    With z_t the logits of date t's PMap and m their plain mean over the dates:

        e_t = two convolutions of [z_t, m]
        a_t = softmax over the dates of a 1 x 1 convolution of e_t
        logits = g . sum a_t z_t + two convolutions of sum a_t e_t

    So it starts, but for tiny random weights, as the mean of the dates' logits (a uniform, g = 1,
    no correction), the control that is hardest to beat, and learns what differs from it. All sums
    run over the dates that know the pixel: their order does not matter, and a date without data is
    as if it were not there. Convolutions beside such a pixel see a z_t of 0 in it: 1/lc in every
    class, the PMap that says nothing.

    Source: not in the paper, whose ConvLSTM reads the same PMaps one after another (section 1.2).
    """

    kind = "attention"

    class Sizes(NetworkSizes):
        """Sizes of the attention.

        Attributes:
            hidden: Channels of e_t.
            layers: Convolutions that make e_t; the n-th skips 2**n - 1 px between the pixels that
                it sees.
        """

        hidden: int = Field(default=32, ge=1)
        layers: int = Field(default=2, ge=1, le=16)

    _default = Sizes()

    def __init__(self, classes: int, sizes: Sizes = _default) -> None:
        super().__init__(classes, sizes)
        hidden, layers = sizes.hidden, sizes.layers
        self.looks = nn.ModuleList(
            _wide(2 * classes if layer == 0 else hidden, hidden, 2**layer) for layer in range(layers)
        )
        self.trust = nn.Conv2d(hidden, 1, 1, bias=False)  # the softmax would not see it
        self.around = _wide(hidden, hidden, 2**layers)
        self.correction = nn.Conv2d(hidden, classes, 1)
        assert self.correction.bias is not None
        nn.init.zeros_(self.correction.bias)
        self.gain = nn.Parameter(torch.ones(classes, 1, 1))
        for last in (self.trust, self.correction):
            nn.init.normal_(last.weight, std=1e-3)

    def receptive_radius(self, dates: int) -> int:
        """How far in px a PMap pixel can act, whatever the number of dates."""
        return int(2 ** (len(self.looks) + 1) - 1)

    def forward(self, pmaps: Tensor, known: Tensor) -> Tensor:
        """Fuse a series; shapes as of `FusionNetwork`. The order of the dates does not matter."""
        batch, dates, classes = pmaps.shape[:3]
        seen = logits_of(fill(pmaps, known, 1 / classes))
        known = known.unsqueeze(2)
        share = known / known.sum(dim=1, keepdim=True).clamp_min(1)
        mean = (share * seen).sum(dim=1, keepdim=True).expand_as(seen)
        x = torch.cat([seen, mean], dim=2).flatten(0, 1)
        x = x.contiguous(memory_format=torch.channels_last)
        for look in self.looks:
            x = functional.relu(look(x), inplace=True)
        trust = torch.unflatten(self.trust(x).to(seen.dtype), 0, (batch, dates))
        # Not minus infinity: where no date knows the pixel all weigh alike, and nothing is NaN.
        weight = trust.masked_fill(~known, -1e4).softmax(dim=1)
        around = functional.relu(self.around(weighted_sum(x, weight)), inplace=True)
        fused: Tensor = self.gain * (weight * seen).sum(dim=1) + self.correction(around)
        return fused


def logits_of(pmaps: Tensor) -> Tensor:
    """What `probabilities` makes these PMaps of, but for a constant: (..., lc, H, W)."""
    inside = pmaps.to(torch.promote_types(pmaps.dtype, torch.float32)).clamp(LEAST, 1 - LEAST)
    return torch.logit(inside) if pmaps.shape[-3] == 2 else inside.log()


def _wide(channels_in: int, channels: int, step: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, padding=step, dilation=step)
