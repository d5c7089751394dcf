"""What the program is compared with: the same maths as one would first write it down.

fp32, channels first, no folding, no fusing; the paper's tile layout; a common sliding window.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from swath.models.convlstm import ConvLSTM, PeepholeConvLSTMCell

PAPER_TILE_PX = 2048
PAPER_OVERLAP_PX = 512


class PlainCell(nn.Module):
    """One ConvLSTM layer with a convolution for every W * of the printed equations."""

    def __init__(self, cell: PeepholeConvLSTMCell) -> None:
        super().__init__()
        r, seen = cell.hidden, cell.channels_in
        bias = cell.gates.bias
        assert bias is not None
        of_x = [nn.Conv2d(seen, r, 3, padding=1) for _ in range(4)]
        of_h = [nn.Conv2d(r, r, 3, padding=1, bias=False) for _ in range(4)]
        self.of_x, self.of_h = nn.ModuleList(of_x), nn.ModuleList(of_h)
        self.peephole = nn.Parameter(cell.peephole.detach().clone())
        with torch.no_grad():
            for at, (x, h) in enumerate(zip(of_x, of_h, strict=True)):
                rows = slice(at * r, (at + 1) * r)
                assert x.bias is not None
                x.weight.copy_(cell.gates.weight[rows, :seen])
                x.bias.copy_(bias[rows])
                h.weight.copy_(cell.gates.weight[rows, seen:])

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The next (h, c), each (B, r, H, W)."""
        i, f, o, new = (of_x(x) + of_h(h) for of_x, of_h in zip(self.of_x, self.of_h, strict=True))
        i = torch.sigmoid(i + self.peephole[0] * c)
        f = torch.sigmoid(f + self.peephole[1] * c)
        o = torch.sigmoid(o + self.peephole[2] * c)
        c = f * c + i * torch.tanh(new)
        return o * torch.tanh(c), c


class PlainConvLSTM(nn.Module):
    """The ConvLSTM gate by gate, from the weights of `model`, where every date is known."""

    def __init__(self, model: ConvLSTM) -> None:
        super().__init__()
        cells = [cell for cell in model.cells if isinstance(cell, PeepholeConvLSTMCell)]
        self.cells = nn.ModuleList(PlainCell(cell) for cell in cells)
        self.head = nn.Conv2d(model.head.in_channels, model.head.out_channels, 1)
        self.head.load_state_dict(model.head.state_dict())

    def forward(self, pmaps: Tensor) -> Tensor:
        """(B, T, lc, H, W) -> (B, lc, H, W) logits."""
        batch, dates, _, height, width = pmaps.shape
        r = self.head.in_channels
        states = [(pmaps.new_zeros(batch, r, height, width),) * 2 for _ in self.cells]
        x = pmaps[:, 0]
        for date in range(dates):
            x = pmaps[:, date]
            for layer, cell in enumerate(self.cells):
                states[layer] = cell(x, *states[layer])
                x = states[layer][0]
        logits: Tensor = self.head(x)
        return logits


def paper_windows(length: int) -> list[int]:
    """Where the paper's windows start along one side: every 1536 px, the last at the end."""
    size = min(PAPER_TILE_PX, length)
    step = PAPER_TILE_PX - PAPER_OVERLAP_PX
    count = 1 + math.ceil((length - size) / step)
    return [min(at * step, length - size) for at in range(count)]


def paper_pixels(side_px: int) -> int:
    """Pixels that the paper's layout computes of a square scene."""
    return (len(paper_windows(side_px)) * min(PAPER_TILE_PX, side_px)) ** 2


def draw_scene(side_px: int, dates: int) -> list[NDArray[np.uint8]]:
    """A (3, H, H) uint8 image a date: noise, since speed does not depend on what is seen."""
    rng = np.random.default_rng(0)
    return [rng.integers(1, 255, (3, side_px, side_px), np.uint8) for _ in range(dates)]
