"""Which networks can be built, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from swath.errors import ModelError
from swath.models.attention import DateAttention
from swath.models.convlstm import ConvLSTM
from swath.models.unet import UNet
from swath.models.wholeseries import SeriesSizes


@dataclass(frozen=True, slots=True)
class TwoStages:
    """How to build the two networks of a model that maps each date, then fuses the PMaps.

    Attributes:
        fcn: (bands, classes, width, decoder_convs) -> the network for one image.
        rnn: (classes, hidden, layers) -> the network that fuses PMaps.
    """

    fcn: Callable[[int, int, int, int], nn.Module]
    rnn: Callable[[int, int, int], nn.Module]


@dataclass(frozen=True, slots=True)
class WholeSeries:
    """How to build the one network of a model that is trained end to end on series.

    Attributes:
        series: Its sizes -> the network, a `swath.models.wholeseries.SeriesNetwork`.
        one_length: Whether it takes series of the length that it was built for only.
    """

    series: Callable[[SeriesSizes], nn.Module]
    one_length: bool = False


Architecture = TwoStages | WholeSeries

ARCHITECTURES: dict[str, Architecture] = {
    "unet-convlstm": TwoStages(UNet, ConvLSTM),
    "unet-attention": TwoStages(UNet, DateAttention),
}


def register(name: str, entry: Architecture) -> None:
    """Make an architecture known under a name."""
    ARCHITECTURES[name] = entry


def architecture(name: str) -> Architecture:
    """The architecture of that name.

    Raises:
        ModelError: There is none.
    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise ModelError(
            f"no model {name!r}; known models are {', '.join(ARCHITECTURES)} (networks that these "
            "are held against belong to the laboratory, whose comparisons train and map them)"
        ) from None


def count_parameters(module: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)


def multiply_adds(module: nn.Module, *example: Any) -> int:
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
