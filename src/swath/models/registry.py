"""Which networks can be built, by name."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from swath.errors import ModelError
from swath.models.attention import DateAttention
from swath.models.convlstm import ConvLSTM
from swath.models.names import NAMES
from swath.models.network import FusionNetwork, ImageNetwork, NetworkSizes, SeriesNetwork
from swath.models.sincechange import SinceChange
from swath.models.unet import UNet

Sizes = dict[str, int]
"""The sizes of all networks of a model, by name."""


@dataclass(frozen=True, slots=True)
class TwoStages:
    """A model that maps each date, then fuses the PMaps."""

    fcn: type[ImageNetwork]
    fusion: type[FusionNetwork]

    def sizes(self, given: Mapping[str, object]) -> Sizes:
        """The sizes that this model has, from those and whatever else is given by name."""
        return _sizes_of(self.fcn.Sizes, given) | _sizes_of(self.fusion.Sizes, given)


@dataclass(frozen=True, slots=True)
class WholeSeries:
    """A model of one network, trained end to end on series."""

    series: type[SeriesNetwork]

    def sizes(self, given: Mapping[str, object]) -> Sizes:
        """The sizes that this model has, from those and whatever else is given by name."""
        return _sizes_of(self.series.Sizes, given)


Architecture = TwoStages | WholeSeries

ARCHITECTURES: dict[str, Architecture] = {
    "unet-convlstm": TwoStages(UNet, ConvLSTM),
    "unet-attention": TwoStages(UNet, DateAttention),
    "unet-since": TwoStages(UNet, SinceChange),
}


def register(name: str, entry: Architecture, names: tuple[str, str]) -> None:
    """Make an architecture known.

    Args:
        name: Its slug, as settings and `model.json` say it.
        entry: Its networks.
        names: What reports call its map of one date, and that of the whole series.
    """
    ARCHITECTURES[name] = entry
    NAMES[name] = names


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


def _sizes_of(kind: type[NetworkSizes], given: Mapping[str, object]) -> Sizes:
    """The sizes of one network; what is not given is as by default."""
    return kind.model_validate(given).model_dump()


def count_parameters(module: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
