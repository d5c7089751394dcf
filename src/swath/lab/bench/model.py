"""The paper's networks with drawn weights: speed does not depend on what they have learnt."""

import torch
from torch import Tensor, nn

from swath.legend import read_legend
from swath.models.convlstm import ConvLSTM, PeepholeConvLSTMCell
from swath.models.network import FusionNetwork, ImageNetwork
from swath.models.spec import ModelSpec
from swath.models.trained import TrainedModel
from swath.models.unet import UNet
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings


def drawn_model(width: int, hidden: int, seed: int = 0) -> tuple[TrainedModel, UNet, ConvLSTM]:
    """The paper's model, the same for the same seed, and its two networks.

    Args:
        width: Filters of the U-Net's first level (the paper's: 32).
        hidden: Channels of the ConvLSTM's states (the paper's: 32).
        seed: Of the weights.
    """
    torch.manual_seed(seed)
    image = ImageSettings()
    legend = read_legend("roads")
    spec = ModelSpec(
        name="unet-convlstm",
        image=image,
        legend=legend,
        scaling=Scaling(offset=(100.0,) * 3, scale=(50.0,) * 3),
        sizes={"width": width, "decoder_convs": 1, "hidden": hidden, "layers": 2},
        dates=3,
        splits={},
    )
    fcn = UNet(len(image.bands), len(legend.classes), UNet.Sizes(width=width)).eval()
    convlstm = ConvLSTM(len(legend.classes), ConvLSTM.Sizes(hidden=hidden)).eval()
    with torch.no_grad():
        for cell in convlstm.cells:
            assert isinstance(cell, PeepholeConvLSTMCell)
            nn.init.normal_(cell.peephole, std=0.1)
    return TrainedModel(spec, fcn, convlstm), fcn, convlstm


class Everywhere(nn.Module):
    """A network that is given pixels alone: all of them are known.

    Args:
        network: What it runs.
    """

    def __init__(self, network: ImageNetwork | FusionNetwork) -> None:
        super().__init__()
        self.network = network
        self.train(network.training)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), or (B, T, lc, H, W), -> (B, lc, H, W) logits."""
        known = torch.ones_like(x.select(-3, 0), dtype=torch.bool)
        logits: Tensor = self.network(x, known)
        return logits


def multiply_adds(module: nn.Module, *example: Tensor) -> int:
    """Multiply-adds of all convolutions in one forward pass, counted by running it.

    Args:
        module: The network; it is run once, without gradients, in evaluation mode.
        example: Its inputs.
    """
    from torch.utils.flop_counter import FlopCounterMode

    was_training = module.training
    module.eval()
    counter = FlopCounterMode(display=False)
    with counter:
        module(*example)
    module.train(was_training)
    return int(counter.get_total_flops()) // 2
