"""The paper's networks with drawn weights: speed does not depend on what they have learnt."""

import torch

from swath.legend import read_legend
from swath.models.convlstm import ConvLSTM
from swath.models.trained import ModelSpec, TrainedModel
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
        width=width,
        decoder_convs=1,
        hidden=hidden,
        layers=2,
        dates=3,
        splits={},
    )
    fcn = UNet(len(image.bands), len(legend.classes), width).eval()
    rnn = ConvLSTM(len(legend.classes), hidden).eval()
    with torch.no_grad():
        for cell in rnn.cells:
            torch.nn.init.normal_(cell.peephole, std=0.1)  # type: ignore[arg-type]
    return TrainedModel(spec, fcn, rnn), fcn, rnn
