"""What is exported: the networks of a model with all that stands around them, as one function each.

Every size of the arrays may be a symbol, so nothing here looks at one.
"""

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from swath.models.convlstm import ConvLSTM, PeepholeConvLSTMCell, next_gates
from swath.models.head import complementary, probabilities
from swath.models.network import fill, refine
from swath.models.orientations import mapped
from swath.models.sincechange import SinceChange
from swath.models.temperature import LEAST
from swath.models.trained import TrainedModel
from swath.scaling import Scaling
from swath.sentinel2 import NODATA

BYTE = 255
"""Deepness divides every number by it."""


class ImageGraph(nn.Module):
    """An image's numbers -> its PMap, in as many orientations as the model looks."""

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self.network = model.fcn
        self.orientations = model.spec.orientations
        self.offset, self.scale = _by_band(model.spec.scaling)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map images.

        Args:
            image: (B, C, H, W) float32, digital numbers; 0 in all bands = no data, 0 in some = those
                bands are missing.

        Returns:
            (B, lc, nH, nW) float32 in 0..1, and (B, nH, nW) bool, True = data; where it is False the
            PMap means nothing.
        """
        known = (image != NODATA).any(dim=1)
        scaled = torch.where(image != NODATA, (image - self.offset) / self.scale, 0.0)
        network = self.network
        pmap = complementary(mapped(network, (scaled, known), network.stride, self.orientations))
        return pmap, refine(known, network.finer)


class FusionGraph(nn.Module):
    """The PMaps of dates -> the fused PMap, softened by the model's temperature."""

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        assert model.fusion is not None
        self.network = Scanned(model.fusion) if isinstance(model.fusion, ConvLSTM) else model.fusion
        self.temperature = model.spec.temperature

    def forward(self, pmaps: Tensor, known: Tensor) -> Tensor:
        """Fuse series: what `FusionNetwork` takes -> (B, lc, H, W) float32 in 0..1."""
        if isinstance(self.network, SinceChange):
            # It goes another way for one date, a graph goes one: a date without data changes nothing.
            pmaps = torch.cat([pmaps[:, :1], pmaps], dim=1)
            known = torch.cat([torch.zeros_like(known[:, :1]), known], dim=1)
        pmap = probabilities(self.network(pmaps, known))
        if self.temperature != 1:
            power = pmap.clamp_min(LEAST) ** (1 / self.temperature)
            pmap = power / power.sum(dim=1, keepdim=True)
        return complementary(pmap)


class Scanned(nn.Module):
    """A ConvLSTM that runs over the dates in one loop of the graph, so that T is left open.

    Masks do what skipping does in the network itself; the first date is like any other, after
    states of 0.
    """

    def __init__(self, network: ConvLSTM) -> None:
        super().__init__()
        self.network = network

    def forward(self, pmaps: Tensor, known: Tensor) -> Tensor:
        """Fuse series; shapes as of `FusionNetwork`."""
        series = fill(pmaps, known, 1 / pmaps.shape[2])
        nothing = self.network.head.weight.new_zeros(1, self.network.head.in_channels, 1, 1)
        start = nothing * series[:, 0, :1]

        def step(states: list[Tensor], date: tuple[Tensor, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            x, here = date[0], date[1].unsqueeze(1)
            new = []
            for layer, cell in enumerate(self.network.cells):
                assert isinstance(cell, PeepholeConvLSTMCell)
                before, memory = states[2 * layer : 2 * layer + 2]
                gates = next_gates(cell.gates(torch.cat([x, before], dim=1)), memory, cell.peephole)
                x, memory = (torch.where(here, *pair) for pair in zip(gates, (before, memory), strict=True))
                new += [x, memory]
            return new, []

        dates = series.transpose(0, 1).contiguous(), known.transpose(0, 1).contiguous()
        states, _ = scan(step, [start.clone() for _ in range(2 * len(self.network.cells))], dates)
        logits: Tensor = self.network.head(states[-2])
        return logits


class DesktopGraph(nn.Module):
    """An image's numbers / 255 -> what Deepness, the plugin of QGIS, draws, in pixels of that image.

    Of two classes that is the second alone, so that the plugin's threshold acts on it. A finer map
    is averaged over the pixels of the image. Where there is no data all classes are 0.
    """

    def __init__(self, image: ImageGraph) -> None:
        super().__init__()
        self.image = image

    def forward(self, tile: Tensor) -> Tensor:
        """Map tiles: (B, C, H, W) -> (B, lc, H, W), or one class of two, float32 in 0..1."""
        numbers = torch.round(tile * BYTE)  # whole, as they were before they were divided
        pmap = self.image(numbers)[0]
        pmap = nn.functional.avg_pool2d(pmap, self.image.network.finer)
        shown = pmap[:, 1:] if pmap.shape[1] == 2 else pmap
        return shown * (numbers != NODATA).any(dim=1, keepdim=True)


def _by_band(scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Offset and scale, each (C, 1, 1) float32."""
    offset, scale = torch.tensor([scaling.offset, scaling.scale])[..., None, None]
    return offset, scale
