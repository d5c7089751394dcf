"""A trained model: its two networks and everything needed to use them, as safetensors and JSON."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from swath.errors import InputError, ModelError
from swath.files import first_problem, read_json, replacing, sha256, write_json
from swath.legend import Legend
from swath.models.registry import architecture
from swath.scaling import Scaling
from swath.settings import ImageSettings

WEIGHTS = "model.safetensors"
SPEC = "model.json"


class ModelSpec(BaseModel):
    """What model.json says.

    Attributes:
        format: Version of this file format.
        name: Architecture, a name of the registry.
        image: Bands and encoding of the images that the model reads.
        legend: Classes of the map.
        scaling: From digital numbers to the network's input.
        width: Filters of the U-Net's first level.
        decoder_convs: Convolutions in each decoder step.
        hidden: Channels of the ConvLSTM's states.
        layers: Layers of the ConvLSTM.
        dates: T, the length of the series that the ConvLSTM was trained on (any T works).
        orientations: In how many orientations the U-Net looks at an image: 1, or the mean of all 8.
        splits: Split -> names of the sites that this run trained on, chose by, and left for test.
        training: The settings of the run.
        data: Hashes of the images and labels that it saw.
        scores: Scores during training; the report's are to be trusted.
        attribution: Who made the training data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str
    image: ImageSettings
    legend: Legend
    scaling: Scaling
    width: int = Field(ge=1)
    decoder_convs: int = Field(ge=1)
    hidden: int = Field(ge=1)
    layers: int = Field(ge=1)
    dates: int = Field(ge=1)
    orientations: Literal[1, 8] = 1
    splits: dict[str, list[str]]
    training: dict[str, Any] = {}
    data: dict[str, str] = {}
    scores: dict[str, Any] = {}
    attribution: str = ""

    def build_fcn(self) -> nn.Module:
        """The network for one image, with fresh weights."""
        build = architecture(self.name).fcn
        return build(
            len(self.image.bands), len(self.legend.classes), self.width, self.decoder_convs
        )

    def build_rnn(self) -> nn.Module:
        """The network that fuses PMaps, with fresh weights."""
        return architecture(self.name).rnn(len(self.legend.classes), self.hidden, self.layers)


@dataclass(slots=True)
class TrainedModel:
    """The networks of a run, in evaluation mode.

    Attributes:
        spec: What they are and what they were trained on.
        fcn: (B, C, H, W) scaled images -> (B, lc, H, W) logits; any H and W.
        rnn: (B, T, lc, H, W) PMaps -> (B, lc, H, W) logits; None if only stage `fcn` was trained.
    """

    spec: ModelSpec
    fcn: nn.Module
    rnn: nn.Module | None

    @property
    def stride(self) -> int:
        """Tile origins must be multiples of this many px."""
        return int(self.fcn.stride)  # type: ignore[arg-type]

    def receptive_radius(self, dates: int) -> int:
        """Margin in px beyond which nothing changes a pixel of the map fused from `dates` dates."""
        radius = int(self.fcn.receptive_radius)  # type: ignore[arg-type]
        if self.rnn is not None:
            radius += int(self.rnn.receptive_radius(dates))  # type: ignore[operator]
        return radius

    @property
    def label(self) -> str:
        """How the fused map's model is called in reports."""
        return "U-NET" if self.rnn is None else "U-NET + ConvLSTM"


def save_model(folder: Path, model: TrainedModel) -> None:
    """Write model.safetensors and model.json, each whole or not at all.

    Args:
        folder: The run's folder.
        model: What to store; weights are written in float32 from the CPU.
    """
    weights = {f"fcn.{k}": v for k, v in model.fcn.state_dict().items()}
    if model.rnn is not None:
        weights |= {f"rnn.{k}": v for k, v in model.rnn.state_dict().items()}
    weights = {k: v.detach().cpu().contiguous() for k, v in weights.items()}
    with replacing(folder / WEIGHTS) as temporary:
        save_file(weights, temporary)
    write_json(folder / SPEC, model.spec.model_dump(mode="json"))


def load_model(folder: Path) -> TrainedModel:
    """Read a run's model. Nothing is unpickled.

    Args:
        folder: A run's folder, with model.safetensors and model.json.

    Returns:
        The model on the CPU, in evaluation mode, float32.

    Raises:
        InputError: A file is missing or unreadable.
        ModelError: The files do not belong together, or are of another version.
    """
    if not (folder / SPEC).is_file():
        raise InputError(
            f"{folder}: no {SPEC} here; give the folder that `swath train --out` wrote to "
            "(an unfinished run has none: go on with --resume)"
        )
    try:
        spec = ModelSpec.model_validate(read_json(folder / SPEC))
    except ValidationError as error:
        raise ModelError(f"{folder / SPEC}: {first_problem(error)}") from None
    try:
        weights = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder / WEIGHTS}: not readable ({error})") from None
    fcn = spec.build_fcn()
    rnn = spec.build_rnn() if any(k.startswith("rnn.") for k in weights) else None
    for prefix, network in (("fcn.", fcn), ("rnn.", rnn)):
        if network is None:
            continue
        part = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        try:
            network.load_state_dict(part)
        except RuntimeError:
            raise ModelError(
                f"{folder / WEIGHTS} does not hold the weights that {SPEC} describes"
            ) from None
        network.eval()
    return TrainedModel(spec, fcn, rnn)


def weights_hash(folder: Path) -> str:
    """SHA-256 of a run's weights: names the model exactly."""
    return sha256(folder / WEIGHTS)


def network_hash(network: nn.Module) -> str:
    """SHA-256 of a network's weights: their names, shapes and bytes."""
    digest = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def to_memory_format(module: nn.Module) -> nn.Module:
    """The module with channels-last weights: the layout in which CPU and GPU convolve fastest."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
