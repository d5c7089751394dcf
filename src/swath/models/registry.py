"""Which networks can be built, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from swath.errors import ModelError
from swath.models.convlstm import ConvLSTM
from swath.models.unet import UNet


@dataclass(frozen=True, slots=True)
class Architecture:
    """How to build the two networks of a model.

    Attributes:
        fcn: (bands, classes, width, decoder_convs) -> the network for one image.
        rnn: (classes, hidden, layers) -> the network that fuses PMaps.
    """

    fcn: Callable[[int, int, int, int], nn.Module]
    rnn: Callable[[int, int, int], nn.Module]


ARCHITECTURES: dict[str, Architecture] = {
    "unet-convlstm": Architecture(fcn=UNet, rnn=ConvLSTM),
}


def architecture(name: str) -> Architecture:
    """The architecture of that name.

    Raises:
        ModelError: There is none.
    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise ModelError(
            f"no model {name!r}; known models are {', '.join(ARCHITECTURES)}"
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
