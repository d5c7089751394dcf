"""A trained model: its two networks and everything needed to use them, as safetensors and JSON."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from swath.errors import InputError, ModelError
from swath.files import read_json, replacing, sha256, write_json
from swath.legend import Legend
from swath.models.names import NAMES
from swath.models.orientations import Orientations
from swath.models.registry import WholeSeries, architecture
from swath.models.wholeseries import OneDate, SeriesSizes
from swath.scaling import Scaling
from swath.schema import first_problem
from swath.sentinel2 import ImageSettings

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
        temperature: Of the fused maps, fitted on the validation sites; 1 where there were none.
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
    orientations: Orientations = 1
    temperature: float = Field(default=1.0, gt=0)
    splits: dict[str, list[str]]
    training: dict[str, Any] = {}
    data: dict[str, str] = {}
    scores: dict[str, Any] = {}
    attribution: str = ""

    @property
    def whole_series(self) -> bool:
        """Whether one network maps the series, and none a date alone."""
        return isinstance(architecture(self.name), WholeSeries)

    def build_fcn(self) -> nn.Module:
        """The network for one image, with fresh weights."""
        known = architecture(self.name)
        if isinstance(known, WholeSeries):
            return OneDate(self.build_series())
        return known.fcn(
            len(self.image.bands), len(self.legend.classes), self.width, self.decoder_convs
        )

    def build_rnn(self) -> nn.Module:
        """The network that fuses PMaps, with fresh weights.

        Raises:
            ModelError: The model is of one network for the whole series.
        """
        known = architecture(self.name)
        if isinstance(known, WholeSeries):
            raise ModelError(f"model {self.name!r} maps whole series: it fuses no maps of dates")
        return known.rnn(len(self.legend.classes), self.hidden, self.layers)

    def build_series(self) -> nn.Module:
        """The network for a whole series, with fresh weights.

        Raises:
            ModelError: The model is of two networks.
        """
        known = architecture(self.name)
        if not isinstance(known, WholeSeries):
            raise ModelError(f"model {self.name!r} maps one date at a time")
        return known.series(
            SeriesSizes(
                bands=len(self.image.bands),
                classes=len(self.legend.classes),
                dates=self.dates,
                width=self.width,
                decoder_convs=self.decoder_convs,
                hidden=self.hidden,
                layers=self.layers,
            )
        )


@dataclass(slots=True)
class TrainedModel:
    """The networks of a run, in evaluation mode.

    Attributes:
        spec: What they are and what they were trained on.
        fcn: (B, C, H, W) scaled images -> (B, lc, H, W) logits; any H and W. For a model of whole
            series: that network, shown one date as often as it needs.
        rnn: (B, T, lc, H, W) PMaps -> (B, lc, H, W) logits; None if only stage `fcn` was trained,
            and for a model of whole series.
        series: (B, T, C, H, W) scaled images -> (B, lc, H, W) logits; None for a model of two
            networks.
        folder: The run that it was read from, if it was.

    Example:
        >>> import swath
        >>> swath.load_model("run")
        TrainedModel(unet-convlstm: B04, B03, B02 as tci -> background, road; T = 3)
    """

    spec: ModelSpec
    fcn: nn.Module
    rnn: nn.Module | None
    series: nn.Module | None = None
    folder: Path | None = None

    def __repr__(self) -> str:
        """What it reads and what it maps, in one line."""
        image, names = self.spec.image, ", ".join(self.spec.legend.names)
        reads = f"{', '.join(image.bands)} as {image.encoding}"
        return f"TrainedModel({self.spec.name}: {reads} -> {names}; T = {self.spec.dates})"

    @classmethod
    def of_series(cls, spec: ModelSpec, series: nn.Module) -> Self:
        """A model of whole series."""
        return cls(spec, OneDate(series), None, series)

    @property
    def stride(self) -> int:
        """Tile origins must be multiples of this many px."""
        return int(self.fcn.stride)  # type: ignore[arg-type]

    def receptive_radius(self, dates: int) -> int:
        """Margin in px beyond which nothing changes a pixel of the map fused from `dates` dates."""
        radius = int(self.fcn.receptive_radius)  # type: ignore[arg-type]
        if self.series is not None:
            radius = max(radius, int(self.series.receptive_radius(dates)))  # type: ignore[operator]
        if self.rnn is not None:
            radius += int(self.rnn.receptive_radius(dates))  # type: ignore[operator]
        return radius

    def check_dates(self, dates: int) -> None:
        """Check that the model can map a series of that many dates.

        Raises:
            ModelError: It takes another number only.
        """
        fixed = None if self.series is None else self.series.fixed_dates
        if fixed is not None and dates != fixed:
            raise ModelError(
                f"model {self.spec.name!r} takes series of {fixed} dates and no others, got "
                f"{dates}; give that many, or use a model for any number"
            )

    @property
    def label(self) -> str:
        """How the fused map's model is called in reports."""
        one, fused = NAMES[self.spec.name]
        return one if self.rnn is None and self.series is None else fused


def save_model(folder: Path, model: TrainedModel, *, half: bool = False) -> None:
    """Write model.safetensors and model.json, each whole or not at all.

    Args:
        folder: The run's folder.
        model: What to store, on any device.
        half: Write float16 instead of float32, for a file that is passed on.
    """
    networks = {"fcn": model.fcn, "rnn": model.rnn}
    if model.series is not None:
        networks = {"series": model.series}
    weights = {
        f"{name}.{k}": v
        for name, network in networks.items()
        if network is not None
        for k, v in network.state_dict().items()
    }
    weights = {k: v.detach().cpu().contiguous() for k, v in weights.items()}
    if half:
        weights = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    with replacing(folder / WEIGHTS) as temporary:
        # Not save_file, which makes files that only their owner may read.
        temporary.write_bytes(save(weights))
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
    if spec.whole_series:
        series = spec.build_series()
        _fill(folder, {"series.": series}, weights)
        return replace(TrainedModel.of_series(spec, series), folder=folder)
    fcn = spec.build_fcn()
    rnn = spec.build_rnn() if any(k.startswith("rnn.") for k in weights) else None
    _fill(folder, {"fcn.": fcn} | ({"rnn.": rnn} if rnn else {}), weights)
    return TrainedModel(spec, fcn, rnn, folder=folder)


def _fill(
    folder: Path, networks: Mapping[str, nn.Module], weights: Mapping[str, torch.Tensor]
) -> None:
    """Load the weights of each prefix into its network, and make that ready to be used."""
    for prefix, network in networks.items():
        part = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        try:
            network.load_state_dict(part)
        except RuntimeError:
            raise ModelError(
                f"{folder / WEIGHTS} does not hold the weights that {SPEC} describes"
            ) from None
        network.eval()


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
