"""The peephole ConvLSTM that fuses the PMaps of several dates into one."""

import functools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from swath.models.network import FusionNetwork, NetworkSizes, fill
from swath.progress import console

State = tuple[Tensor, Tensor]
"""(h, c), each (B, r, H, W)."""

FUSE_FROM_PX = 12_000_000
"""Pixels x dates from which fused gates repay the seconds that the compiler takes.

Source: on one core 0.3 to 0.5 s for each million saved, and 4 to 11 s to compile, 2 to 4 s when the
compiler's cache has it; see `swath bench`.
"""


def _exact(pre: Tensor, wide: Tensor) -> bool:
    """Whether the gates are computed to the last digit: not in bfloat16, if they are compiled.

    Step by step, a fraction of polynomials would take longer than PyTorch's own functions.
    """
    return pre.dtype == wide.dtype or not torch.compiler.is_compiling()


def _tanh(x: Tensor, exact: bool) -> Tensor:
    """Tanh; if not exact, a fraction of polynomials that is within 1e-4 of it, in half the time.

    bfloat16 rounds a number near 1 by up to 4e-3. The fraction is fitted to -5..5 (largest error
    5e-5), beyond which tanh is within 1e-4 of -1 or 1.
    """
    if exact:
        return torch.tanh(x)
    # Plain numbers here, not constants of the module: those the compiler would read from memory.
    x = x.clamp(-5.0, 5.0)
    s = x * x
    above = x * (0.999810168 + s * (0.101723222 + s * 0.000654945388))
    return above / (1.0 + s * (0.434504184 + s * 0.0126392003))


def _sigmoid(x: Tensor, exact: bool) -> Tensor:
    """The logistic sigmoid, as `_tanh`."""
    return torch.sigmoid(x) if exact else 0.5 + 0.5 * _tanh(0.5 * x, exact)


def first_gates(pre: Tensor) -> State:
    """The gates of the first date, where h and c are 0: there is nothing to forget.

    `pre` (N, 3 r) is what the convolution gave for i, o, c; the rest as `next_gates`.
    """
    wide = pre.to(torch.promote_types(pre.dtype, torch.float32))
    exact = _exact(pre, wide)
    gate_i, gate_o, candidate = wide.chunk(3, dim=1)
    cell = _sigmoid(gate_i, exact) * _tanh(candidate, exact)
    return (_sigmoid(gate_o, exact) * _tanh(cell, exact)).to(pre.dtype), cell


def next_gates(pre: Tensor, cell: Tensor, peephole: Tensor) -> State:
    """The gates of a later date.

    Args:
        pre: (N, 4 r) what the convolution gave for i, f, o, c.
        cell: (N, r) c of the date before.
        peephole: (3, r) weights of i, f, o.

    Returns:
        h (N, r) in the type of `pre`, and c (N, r) in float32 or wider.
    """
    wide = pre.to(torch.promote_types(pre.dtype, torch.float32))
    exact = _exact(pre, wide)
    gate_i, gate_f, gate_o, candidate = wide.chunk(4, dim=1)
    gate_i = _sigmoid(gate_i + peephole[0] * cell, exact)
    gate_f = _sigmoid(gate_f + peephole[1] * cell, exact)
    gate_o = _sigmoid(gate_o + peephole[2] * cell, exact)
    cell = gate_f * cell + gate_i * _tanh(candidate, exact)
    return (gate_o * _tanh(cell, exact)).to(pre.dtype), cell


class Gates(NamedTuple):
    """The arithmetic between the convolutions: as written, or compiled into one pass."""

    first: Callable[[Tensor], State]
    next: Callable[[Tensor, Tensor, Tensor], State]


PLAIN_GATES = Gates(first_gates, next_gates)


@functools.cache
def _compiled_gates() -> Gates:
    compiled = functools.partial(torch.compile, dynamic=True, fullgraph=True)
    return Gates(compiled(first_gates), compiled(next_gates))


class PeepholeConvLSTMCell(nn.Module):
    """One step of one layer, with `channels_in` channels of x and `hidden` (r) of h and c.

    With * the convolution, . the Hadamard product, x_t the input, h_t the hidden and c_t the cell
    state:

        i_t = sigma(Wxi * x_t + Whi * h_{t-1} + Wci . c_{t-1} + b_i)
        f_t = sigma(Wxf * x_t + Whf * h_{t-1} + Wcf . c_{t-1} + b_f)
        c_t = f_t . c_{t-1} + i_t . tanh(Wxc * x_t + Whc * h_{t-1} + b_c)
        o_t = sigma(Wxo * x_t + Who * h_{t-1} + Wco . c_{t-1} + b_o)
        h_t = o_t . tanh(c_t)

    The four gates share one convolution over [x, h]; its output channels are i, f, o, c in this
    order. On the first date h and c are 0, so only the part that sees x is computed, and not for
    f. Under autocast the convolutions run in bfloat16, the gates and c in float32.

    Source: section 1.2, as printed; o_t looks at c_{t-1} (other texts use c_t). The peephole
    weights are one number a channel, (r, 1, 1), since the paper gives no shape and a weight a pixel
    would tie the network to one image size.
    """

    def __init__(self, channels_in: int, hidden: int) -> None:
        super().__init__()
        self.channels_in = channels_in
        self.hidden = hidden
        self.gates = nn.Conv2d(channels_in + hidden, 4 * hidden, 3, padding=1)
        self.peephole = nn.Parameter(torch.zeros(3, hidden, 1, 1))

    def forward(self, x: Tensor, state: State | None, gates: Gates = PLAIN_GATES) -> State:
        """One date, x (B, C, H, W): the state before, None on the first date -> the new one."""
        if state is None:
            hidden, cell = gates.first(_rows(self._first_convolution(x)))
        else:
            before, cell = state
            # In the type that the convolution takes, or joining them would widen h first.
            pre = self.gates(torch.cat([x.to(before.dtype), before], dim=1))
            hidden, cell = gates.next(_rows(pre), _rows(cell), self.peephole.flatten(1))
        return self._image(hidden, x), self._image(cell, x)

    def _first_convolution(self, x: Tensor) -> Tensor:
        """(B, 3 r, H, W): i, o and c from x alone."""
        r = self.hidden
        assert self.gates.bias is not None
        weight = self.gates.weight[:, : self.channels_in]
        weight = torch.cat([weight[:r], weight[2 * r :]])
        bias = torch.cat([self.gates.bias[:r], self.gates.bias[2 * r :]])
        return functional.conv2d(x, weight, bias, padding=self.gates.padding)

    def _image(self, rows: Tensor, x: Tensor) -> Tensor:
        """(B H W, r) -> (B, r, H, W), channels last, without a copy."""
        return rows.view(x.shape[0], *x.shape[-2:], self.hidden).permute(0, 3, 1, 2)


def _rows(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B H W, C); copies only what is not channels last."""
    return image.permute(0, 2, 3, 1).reshape(-1, image.shape[1])


def convlstm_layers(channels_in: int, sizes: "ConvLSTM.Sizes") -> nn.ModuleList:
    """The cells of layers that lie on each other, lowest first; it sees `channels_in` channels."""
    hidden = sizes.hidden
    return nn.ModuleList(
        PeepholeConvLSTMCell(channels_in if layer == 0 else hidden, hidden) for layer in range(sizes.layers)
    )


def last_hidden(
    cells: nn.ModuleList, series: Tensor, gates: Gates = PLAIN_GATES, known: Tensor | None = None
) -> Tensor:
    """Run a series through ConvLSTM layers that lie on each other.

    Args:
        cells: The layers, `PeepholeConvLSTMCell`s, lowest first.
        series: (B, T, C, H, W), oldest first, T >= 1.
        gates: Who computes the gates.
        known: (B, T, H, W) bool: where it is False, that date leaves the states as they are; None:
            every date is known everywhere.

    Returns:
        (B, r, H, W): the hidden state of the top layer after the last date.
    """
    states: list[State | None] = [None] * len(cells)
    x = series[:, 0]
    for date in range(series.shape[1]):
        here = None if known is None else known[:, date, None]
        only = states[0] is None and date + 1 == series.shape[1]
        if here is not None and not here.any() and not only:
            continue  # as if the date were not there
        x = series[:, date].contiguous(memory_format=torch.channels_last)
        gaps = here if here is not None and not here.all() else None
        for layer, cell in enumerate(cells):
            state = cell(x, states[layer], gates)
            if gaps is not None:
                state = _kept(gaps, state, states[layer])
            states[layer] = state
            x = state[0]
    return x


def _kept(known: Tensor, new: State, old: State | None) -> State:
    """The new state where the date is known (B, 1, H, W), else the old one; at first that is 0.

    Without gradients, `new` itself is changed at the pixels that are not known: they are few as a
    rule, and choosing at every pixel takes 8 % of the network's time.
    """
    before = tuple(torch.zeros_like(part) for part in new) if old is None else old
    if torch.is_grad_enabled():
        hidden, cell = (torch.where(known, *pair) for pair in zip(new, before, strict=True))
        return hidden, cell
    gaps = (~known).flatten().nonzero().squeeze(1)
    for part, kept in zip(new, before, strict=True):
        _rows(part)[gaps] = _rows(kept)[gaps]
    return new


class ConvLSTM(FusionNetwork):
    """Peephole ConvLSTM layers over a series of PMaps; a 1 x 1 convolution reads the last state.

    Where a date has no data it leaves the states as they are. Convolutions beside such a pixel see
    1/lc in it, the PMap that says nothing.

    Source: section 1.2 (two layers, k = 3, r = 32, then 1 x 1 convolution); follows. The paper is
    silent on dates without data.
    """

    kind = "convlstm"

    class Sizes(NetworkSizes):
        """Sizes of a ConvLSTM.

        Attributes:
            hidden: r, channels of the states.
            layers: How many ConvLSTM layers lie on each other.
        """

        hidden: int = Field(default=32, ge=1)
        layers: int = Field(default=2, ge=1, le=16)

    _default = Sizes()

    def __init__(self, classes: int, sizes: Sizes = _default) -> None:
        super().__init__(classes, sizes)
        hidden = sizes.hidden
        self.cells = convlstm_layers(classes, sizes)
        self.head = nn.Conv2d(hidden, classes, 1)
        self._gates = PLAIN_GATES

    def receptive_radius(self, dates: int) -> int:
        """How far in px a PMap pixel of the first date can act: T + layers - 1 convolutions."""
        return dates + len(self.cells) - 1

    def fuse_gates(self) -> bool:
        """Compile the gates into one pass over memory; the same function but for rounding.

        Call it as the network will run: under the same autocast, in training or evaluation mode.
        It takes a few seconds, and needs a C++ compiler; without one it says so on stderr, the
        gates stay as they are, and it returns False.
        """
        gates = _compiled_gates()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on the compiler's own parts
                self._try(gates)
        except Exception as error:  # of many kinds; without the compiler the result is the same
            reason = " ".join(str(error).split("\n")[:2])
            console.print(
                f"the ConvLSTM's gates are not compiled and take more time ({reason})",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
            return False
        self._gates = gates
        return True

    def unfuse_gates(self) -> None:
        """Go back to the gates as written."""
        self._gates = PLAIN_GATES

    def _try(self, gates: Gates) -> None:
        """Run the gates, and in training mode back, on a few rows: this compiles them."""
        weight = self.head.weight
        dtype = weight.dtype
        if torch.is_autocast_enabled(weight.device.type):
            dtype = torch.get_autocast_dtype(weight.device.type)
        r, learns = self.head.in_channels, self.training
        pre = torch.zeros(48, 4 * r, dtype=dtype, device=weight.device, requires_grad=learns)
        peephole = torch.zeros(3, r, device=weight.device, requires_grad=learns)
        with torch.set_grad_enabled(learns):
            _, cell = gates.first(pre[:, : 3 * r].contiguous())
            hidden, cell = gates.next(pre, cell, peephole)
            if learns:
                torch.autograd.grad((hidden.float() + cell).sum(), [pre, peephole])

    def forward(self, pmaps: Tensor, known: Tensor) -> Tensor:
        """Fuse a series."""
        pmaps = fill(pmaps, known, 1 / pmaps.shape[2])
        logits: Tensor = self.head(last_hidden(self.cells, pmaps, self._gates, known))
        return logits
