"""A trained model: its networks and everything needed to use them, as safetensors and JSON."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from swath.errors import InputError, ModelError
from swath.files import check_file, read_json, sha256, write_bytes, write_json
from swath.models.names import names_of
from swath.models.network import FusionNetwork, ImageNetwork, OneDate, SeriesNetwork
from swath.models.registry import TwoStages, WholeSeries, architecture
from swath.models.spec import ModelSpec
from swath.progress import console
from swath.validation import first_problem

WEIGHTS = "model.safetensors"
SPEC = "model.json"

N = TypeVar("N", bound=nn.Module)


@dataclass(slots=True)
class TrainedModel:
    """The networks of a run, in evaluation mode.

    Attributes:
        spec: What they are and what they were trained on.
        fcn: The network for one image. For a model of whole series: that network, shown one date as
            often as it needs.
        fusion: The network that fuses the PMaps of dates; None if only stage `fcn` was trained, and
            for a model of whole series.
        series: The network for a whole series; None for a model of two networks.
        folder: The run that it was read from, if it was.

    Example:
        >>> import swath
        >>> swath.load_model("run")
        TrainedModel(unet-convlstm: B04, B03, B02 as tci -> background, road; T = 3)
    """

    spec: ModelSpec
    fcn: ImageNetwork
    fusion: FusionNetwork | None
    series: SeriesNetwork | None = None
    folder: Path | None = None

    def __repr__(self) -> str:
        """What it reads and what it maps, in one line."""
        image, names = self.spec.image, ", ".join(self.spec.legend.names)
        reads = f"{', '.join(image.bands)} as {image.encoding}"
        return f"TrainedModel({self.spec.name}: {reads} -> {names}; T = {self.spec.dates})"

    @classmethod
    def of_series(cls, spec: ModelSpec, series: SeriesNetwork) -> Self:
        """A model of whole series."""
        return cls(spec, OneDate(series), None, series)

    @property
    def stride(self) -> int:
        """Tile origins must be multiples of this many px."""
        return self.fcn.stride

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Every network once, by the prefix of its weights in the file."""
        if self.series is not None:
            return {"series": self.series}
        return {"fcn": self.fcn} | ({} if self.fusion is None else {"rnn": self.fusion})

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
        single, fused = names_of(self.spec.name)
        return single if self.fusion is None and self.series is None else fused


def maps_whole_series(spec: ModelSpec) -> bool:
    """Whether one network maps the series, and none a date alone."""
    return isinstance(architecture(spec.name), WholeSeries)


def check_finer(name: str, finer: int) -> None:
    """Check that an architecture can map in pixels `finer` times as fine as the image's.

    Raises:
        ModelError: It cannot.
    """
    known = architecture(name)
    finest = known.fcn.finest if isinstance(known, TwoStages) else 1
    if finer > finest:
        raise ModelError(
            f"model {name!r} maps at most {finest} x {finest} pixels to one of the image, got "
            f"{finer} x {finer}; build the dataset with finer: {finest}, or use another model"
        )


def build_fcn(spec: ModelSpec) -> ImageNetwork:
    """The network for one image, with fresh weights.

    Raises:
        ModelError: It cannot map as finely as the spec says.
    """
    known = architecture(spec.name)
    if isinstance(known, WholeSeries):
        return OneDate(build_series(spec))
    sizes = known.fcn.Sizes.model_validate(spec.sizes)
    shape = len(spec.image.bands), len(spec.legend.classes), sizes
    if spec.finer == 1:
        return known.fcn(*shape)
    check_finer(spec.name, spec.finer)
    return known.fcn(*shape, spec.finer)


def build_fusion(spec: ModelSpec) -> FusionNetwork:
    """The network of a model of two that fuses PMaps, with fresh weights."""
    known = architecture(spec.name)
    assert isinstance(known, TwoStages)
    sizes = known.fusion.Sizes.model_validate(spec.sizes)
    return known.fusion(len(spec.legend.classes), sizes)


def build_series(spec: ModelSpec) -> SeriesNetwork:
    """The only network of a model of whole series, with fresh weights."""
    known = architecture(spec.name)
    assert isinstance(known, WholeSeries)
    sizes = known.series.Sizes.model_validate(spec.sizes)
    return known.series(len(spec.image.bands), len(spec.legend.classes), spec.dates, sizes)


def save_model(folder: Path, model: TrainedModel, *, half: bool = False) -> None:
    """Write model.safetensors and model.json, each whole or not at all.

    Args:
        folder: The run's folder.
        model: What to store, on any device.
        half: Write float16 instead of float32, where that holds the values, for a file that is
            passed on.
    """
    weights = {
        f"{name}.{key}": value.detach().cpu().contiguous()
        for name, network in model.networks.items()
        for key, value in network.state_dict().items()
    }
    if half:
        # A variance may be larger than float16 holds.
        weights = {
            k: v.half() if v.is_floating_point() and v.half().isfinite().all() else v
            for k, v in weights.items()
        }
    write_bytes(folder / WEIGHTS, save(weights))
    write_json(folder / SPEC, model.spec.model_dump(mode="json"))


def load_model(folder: Path) -> TrainedModel:
    """Read a run's model: on the CPU, in evaluation mode, float32. Nothing is unpickled.

    Raises:
        InputError: A file is missing or unreadable.
        ModelError: The files do not belong together, or are of another version.
    """
    if not (folder / SPEC).is_file():
        raise InputError(
            f"{folder}: no {SPEC} here; give the folder of a finished training (an unfinished one "
            "has none yet: resume it)"
        )
    try:
        spec = ModelSpec.model_validate(read_json(folder / SPEC))
    except ValidationError as error:
        raise ModelError(f"{folder / SPEC}: {first_problem(error)}") from None
    weights = _load_weights(folder, spec)
    model = _build(spec, weights)
    try:
        for name, network in model.networks.items():
            of_network = name + "."
            network.load_state_dict(
                {
                    key.removeprefix(of_network): value
                    for key, value in weights.items()
                    if key.startswith(of_network)
                }
            )
            network.eval()
    except RuntimeError:
        raise ModelError(f"{folder / WEIGHTS} does not hold the weights that {SPEC} describes") from None
    model.fcn.eval()
    return replace(model, folder=folder)


def _build(spec: ModelSpec, weights: Collection[str]) -> TrainedModel:
    """The networks whose weights a file has, by their names there; with fresh ones."""
    if maps_whole_series(spec):
        return TrainedModel.of_series(spec, build_series(spec))
    fused = any(name.startswith("rnn.") for name in weights)
    return TrainedModel(spec, build_fcn(spec), build_fusion(spec) if fused else None)


class _Undrawn(TorchFunctionMode):
    """Fresh weights as they are: to draw them on the meta device torch imports its compiler, for seconds."""

    def __torch_function__(
        self, func: Callable[..., object], _: object, args: tuple[object, ...] = (), kwargs: object = None
    ) -> object:
        given = kwargs if isinstance(kwargs, dict) else {}
        if func in (nn.init.normal_, Tensor.normal_):
            return given.get("tensor", *args[:1])
        return func(*args, **given)


def _load_weights(folder: Path, spec: ModelSpec) -> dict[str, Tensor]:
    """Read the weights, once the file's header says that they are those of the spec's networks."""
    path = folder / WEIGHTS
    check_file(path)
    try:
        with safe_open(path, "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        # On this device tensors have shapes, and take no memory.
        with torch.device("meta"), _Undrawn():
            networks = _build(spec, shapes).networks
        expected = {
            f"{name}.{key}": tuple(value.shape)
            for name, network in networks.items()
            for key, value in network.state_dict().items()
        }
        if shapes != expected:
            raise ModelError(f"{path} does not hold the weights that {SPEC} describes")
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not readable ({error})") from None
    except ValidationError as error:
        raise ModelError(f"{folder / SPEC}: sizes: {first_problem(error)}") from None
    if broken := next((name for name, value in weights.items() if not value.isfinite().all()), None):
        raise ModelError(f"{path}: {broken} has values that are no finite numbers; train the model again")
    return weights


def tell_fallback(spec: ModelSpec) -> None:
    """Say in red, on stderr, that the mean stands in for a model's fusion, if it does."""
    if spec.fallback is not None:
        said = f"the trained fusion failed: {spec.fallback.reason}; maps are the mean of the dates"
        console.print(said, style="bold red", soft_wrap=True, highlight=False)


def weights_hash(folder: Path) -> str:
    """SHA-256 of a run's weights: names the model exactly."""
    if not (folder / WEIGHTS).is_file():  # a pipe would never end
        raise FileNotFoundError(folder / WEIGHTS)
    return sha256(folder / WEIGHTS)


def network_hash(network: nn.Module) -> str:
    """SHA-256 of a network's weights: their names, shapes and bytes."""
    digest = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def to_memory_format(module: N) -> N:
    """The module with channels-last weights: the layout in which CPU and GPU convolve fastest."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module
