"""The peephole ConvLSTM that fuses the PMaps of several dates into one."""

import torch
from torch import Tensor, nn
from torch.nn import functional

State = tuple[Tensor, Tensor]
"""(h, c), each (B, r, H, W)."""


class PeepholeConvLSTMCell(nn.Module):
    """One step of one layer.

    With * the convolution, . the Hadamard product, x_t the input, h_t the hidden and c_t the cell
    state:

        i_t = sigma(Wxi * x_t + Whi * h_{t-1} + Wci . c_{t-1} + b_i)
        f_t = sigma(Wxf * x_t + Whf * h_{t-1} + Wcf . c_{t-1} + b_f)
        c_t = f_t . c_{t-1} + i_t . tanh(Wxc * x_t + Whc * h_{t-1} + b_c)
        o_t = sigma(Wxo * x_t + Who * h_{t-1} + Wco . c_{t-1} + b_o)
        h_t = o_t . tanh(c_t)

    The four gates share one convolution over [x, h]; its output channels are i, f, o, c in this
    order. On the first date h and c are 0, so only the part that sees x is computed.

    Args:
        channels_in: Channels of x.
        hidden: r, channels of h and c.
        kernel: Side of the convolutions, odd.

    Source: section 1.2, as printed; o_t looks at c_{t-1} (other texts use c_t). The peephole
    weights are one number a channel, (r, 1, 1), since the paper gives no shape and a weight a pixel
    would tie the network to one image size.
    """

    def __init__(self, channels_in: int, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        self.channels_in = channels_in
        self.gates = nn.Conv2d(channels_in + hidden, 4 * hidden, kernel, padding=kernel // 2)
        self.peephole = nn.Parameter(torch.zeros(3, hidden, 1, 1))

    def forward(self, x: Tensor, state: State | None) -> State:
        """One date.

        Args:
            x: (B, C, H, W).
            state: (h, c) of the date before, each (B, r, H, W); None on the first date.

        Returns:
            The new (h, c).
        """
        if state is None:
            weight = self.gates.weight[:, : self.channels_in]
            pre = functional.conv2d(x, weight, self.gates.bias, padding=self.gates.padding)
            gate_i, _, gate_o, candidate = pre.chunk(4, dim=1)
            cell = torch.sigmoid(gate_i) * torch.tanh(candidate)
        else:
            before = state[1]
            pre = self.gates(torch.cat([x, state[0]], dim=1))
            gate_i, gate_f, gate_o, candidate = pre.chunk(4, dim=1)
            peep = self.peephole.to(before.dtype)
            gate_i = torch.sigmoid(gate_i + peep[0] * before)
            gate_f = torch.sigmoid(gate_f + peep[1] * before)
            gate_o = gate_o + peep[2] * before
            cell = gate_f * before + gate_i * torch.tanh(candidate)
        return torch.sigmoid(gate_o) * torch.tanh(cell), cell


class ConvLSTM(nn.Module):
    """Peephole ConvLSTM layers over a series of PMaps; a 1 x 1 convolution reads the last state.

    Args:
        classes: lc, channels of a PMap and of the output.
        hidden: r, channels of the states.
        layers: How many ConvLSTM layers lie on each other.
        kernel: Side of the convolutions.

    Source: section 1.2 (two layers, k = 3, r = 32, then 1 x 1 convolution); follows.
    """

    def __init__(self, classes: int, hidden: int = 32, layers: int = 2, kernel: int = 3) -> None:
        super().__init__()
        self.kernel = kernel
        self.cells = nn.ModuleList(
            PeepholeConvLSTMCell(classes if layer == 0 else hidden, hidden, kernel)
            for layer in range(layers)
        )
        self.head = nn.Conv2d(hidden, classes, 1)

    def receptive_radius(self, dates: int) -> int:
        """How far in px a PMap pixel of the first date can act: T + layers - 1 convolutions."""
        return (self.kernel // 2) * (dates + len(self.cells) - 1)

    def forward(self, pmaps: Tensor) -> Tensor:
        """Fuse a series.

        Args:
            pmaps: (B, T, lc, H, W) in 0..1, oldest first, T >= 1, any H and W.

        Returns:
            (B, lc, H, W) logits of the fused PMap.
        """
        states: list[State | None] = [None] * len(self.cells)
        x = pmaps[:, 0]
        for date in range(pmaps.shape[1]):
            x = pmaps[:, date]
            for layer, cell in enumerate(self.cells):
                state = cell(x, states[layer])
                states[layer] = state
                x = state[0]
        logits: Tensor = self.head(x)
        return logits
