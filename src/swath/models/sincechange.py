"""The mean of the dates since the last change: fuses PMaps into the map of today."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from swath.models.attention import logits_of
from swath.models.network import FusionNetwork, NetworkSizes, fill

FIRM = 3.0
"""How much less likely than none a change is held to be before anything is learnt, in logits."""

PLANES = 2
"""How many dates are after a change, and before it: 1 / (1 + number)."""


class SinceChange(FusionNetwork):
    """Attention over the days on which the ground may have changed.

    With a_k the mean PMap of the dates from k on and b_k that of the dates before it:

        w_k = softmax over k of convolutions of [logits of a_k and of b_k, their numbers of dates]
        logits = g . logit(sum w_k a_k) + h,    w_0 (nothing changed) has the score 0

    So where it sees no change it is the mean of all dates, the control that is hardest to beat, and
    where a road was built or went away it is the mean of the dates since; but where one date alone
    sees more of the first class (the background), nothing went away: a cloud would erase the map. It
    draws no line that no date has. A date that has no data is as if it were not there.

    Source: not in the paper, whose ConvLSTM reads the same PMaps one after another (section 1.2).
    """

    kind = "since"

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
                2 * classes + PLANES if layer == 0 else hidden, hidden, 3, padding=2**layer, dilation=2**layer
            )
            for layer in range(layers)
        )
        self.score = nn.Conv2d(hidden, 1, 1)
        assert self.score.bias is not None
        nn.init.normal_(self.score.weight, std=1e-3)
        nn.init.constant_(self.score.bias, -FIRM)
        self.gain = nn.Parameter(torch.ones(classes, 1, 1))
        self.shift = nn.Parameter(torch.zeros(classes, 1, 1))

    def receptive_radius(self, dates: int) -> int:
        """How far in px a PMap pixel can act, whatever the number of dates."""
        return int(2 ** len(self.looks) - 1)

    def forward(self, pmaps: Tensor, known: Tensor) -> Tensor:
        """Fuse a series, oldest first; shapes as of `FusionNetwork`."""
        classes = pmaps.shape[2]
        pmaps = fill(pmaps, known, 1 / classes)
        seen = known.unsqueeze(2).to(pmaps.dtype)
        upto, count = (seen * pmaps).cumsum(dim=1), seen.cumsum(dim=1)
        total, dates = upto[:, -1:], count[:, -1:]
        whole = _mean(total, dates, classes)
        if pmaps.shape[1] == 1:
            return self._last(whole[:, 0])
        old, earlier = count[:, :-1], upto[:, :-1]
        new = dates - old
        since, before = _mean(total - earlier, new, classes), _mean(earlier, old, classes)
        planes = (logits_of(since), logits_of(before), 1 / (1 + new), 1 / (1 + old))
        x = torch.cat(planes, dim=2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        for look in self.looks:
            x = functional.relu(look(x), inplace=True)
        score = torch.unflatten(self.score(x).to(pmaps.dtype), 0, since.shape[:2])
        # Without a date on each side there is no change to be seen there.
        score = score.masked_fill((new == 0) | (old == 0), -1e4)
        # What one date alone no longer sees may lie under a cloud that no mask knows.
        score = score.masked_fill((new == 1) & (since[:, :, :1] > before[:, :, :1]), -1e4)
        weight = torch.cat([torch.zeros_like(score[:, :1]), score], dim=1).softmax(dim=1)
        return self._last((weight * torch.cat([whole, since], dim=1)).sum(dim=1))

    def _last(self, mean: Tensor) -> Tensor:
        logits: Tensor = self.gain * logits_of(mean) + self.shift
        return logits


def _mean(total: Tensor, dates: Tensor, classes: int) -> Tensor:
    """The mean of so many dates' PMaps; 1/lc where there are none."""
    return torch.where(dates > 0, total / dates.clamp_min(1), 1 / classes)
