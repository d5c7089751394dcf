"""Attention over dates that knows which is the newest: fuses PMaps into the map of today."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from swath.models.attention import logits_of
from swath.models.network import FusionNetwork, NetworkSizes, fill

PLANES = 2
"""How new a date is, and how old: 1 / (1 + number of dates after it, and before it)."""


class RecencyAttention(FusionNetwork):
    """A weighted mean of the dates' PMaps that follows what changed.

    With z_t the logits of date t's PMap, and m, b_t, a_t their means over all dates, over the dates
    before t and over those after it:

        w_t = softmax over the dates of convolutions of [z_t, m, b_t, a_t, how new, how old]
        logits = g . logit(sum w_t p_t) + h

    It only says which date to trust where: so it draws no line that no date has, and where it has
    learnt nothing it is the mean, the control that is hardest to beat. Where the dates after t
    agree with each other and not with those before, something was built or went away; where they
    differ at random, it is the day. All sums run over the dates that know the pixel: a date without
    data is as if it were not there.

    Source: not in the paper, whose ConvLSTM reads the same PMaps one after another (section 1.2).
    """

    kind: ClassVar[Literal["convlstm", "attention"]] = "attention"

    class Sizes(NetworkSizes):
        """Sizes of the attention.

        Attributes:
            hidden: Channels between the convolutions.
            layers: Convolutions; the n-th skips 2**n - 1 px between the pixels that it sees.
        """

        hidden: int = Field(default=16, ge=1)
        layers: int = Field(default=2, ge=1)

    _default = Sizes()

    def __init__(self, classes: int, sizes: Sizes = _default) -> None:
        super().__init__(classes, sizes)
        hidden, layers = sizes.hidden, sizes.layers
        self.looks = nn.ModuleList(
            nn.Conv2d(
                4 * classes + PLANES if layer == 0 else hidden, hidden, 3, padding=2**layer, dilation=2**layer
            )
            for layer in range(layers)
        )
        self.trust = nn.Conv2d(hidden, 1, 1, bias=False)  # the softmax would not see it
        nn.init.normal_(self.trust.weight, std=1e-3)
        self.gain = nn.Parameter(torch.ones(classes, 1, 1))
        self.shift = nn.Parameter(torch.zeros(classes, 1, 1))

    def receptive_radius(self, dates: int) -> int:
        """How far in px a PMap pixel can act, whatever the number of dates."""
        return int(2 ** len(self.looks) - 1)

    def forward(self, pmaps: Tensor, known: Tensor) -> Tensor:
        """Fuse a series, oldest first; shapes as of `FusionNetwork`."""
        batch, dates, classes = pmaps.shape[:3]
        pmaps = fill(pmaps, known, 1 / classes)
        known = known.unsqueeze(2)
        seen = logits_of(pmaps).masked_fill(~known, 0)
        x = torch.cat([seen, *_around_in_time(seen, known.to(seen.dtype))], dim=2).flatten(0, 1)
        x = x.contiguous(memory_format=torch.channels_last)
        for look in self.looks:
            x = functional.relu(look(x), inplace=True)
        trust = torch.unflatten(self.trust(x).to(seen.dtype), 0, (batch, dates))
        # Not minus infinity: where no date knows the pixel all weigh alike, and nothing is NaN.
        weight = trust.masked_fill(~known, -1e4).softmax(dim=1)
        fused: Tensor = self.gain * logits_of((weight * pmaps).sum(dim=1)) + self.shift
        return fused


def _around_in_time(seen: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Means over all dates, those before and those after each; how new, how old each is."""
    upto, count = seen.cumsum(dim=1), known.cumsum(dim=1)
    total, dates = upto[:, -1:], count[:, -1:]
    before, after = count - known, dates - count
    return (
        (total / dates.clamp_min(1)).expand_as(seen),
        (upto - seen) / before.clamp_min(1),
        (total - upto) / after.clamp_min(1),
        1 / (1 + after),
        1 / (1 + before),
    )
