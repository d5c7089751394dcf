"""Fitting the networks of one run, each in its own folder."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from pydantic import JsonValue
from pytorch_lightning import seed_everything
from torch import nn

from swath.dataset.patches import measure_scaling, survey_split
from swath.errors import DivergedError
from swath.models.convlstm import FUSE_FROM_PX, ConvLSTM
from swath.models.device import autocast
from swath.models.network import FusionNetwork, ImageNetwork
from swath.models.registry import architecture
from swath.models.spec import ModelSpec
from swath.models.trained import (
    TrainedModel,
    build_fcn,
    build_fusion,
    build_series,
    to_memory_format,
)
from swath.training.calibration import calibrate
from swath.training.compute import Compute
from swath.training.fit import Scores, fit_stage
from swath.training.module import LOSS, FcnStage, FusionStage, SeriesStage, Stage
from swath.training.patchmodule import PatchModule, PatchSource
from swath.training.trainplan import LONGEST_SERIES, TrainPlan

N = TypeVar("N", bound=nn.Module)

NetworkName = Literal["fcn", "rnn", "series"]

SALTS: dict[NetworkName, int] = {"fcn": 1, "rnn": 2, "series": 3}
"""Tell the stages apart: each has first weights and patches of its own."""


def prepare(plan: TrainPlan, out: Path, compute: Compute, title: str = "") -> "Fitting":
    """Survey the data and describe the model: all that comes before the first step.

    Args:
        plan: What is trained.
        out: The run's folder; nothing is written yet.
        compute: With what.
        title: How progress lines start.

    Raises:
        DatasetError: No training site, or none with data.
    """
    seed_everything(plan.seed, verbose=False)
    dataset = plan.dataset
    source = PatchSource(
        plan,
        compute,
        survey_split(dataset, "train"),
        survey_split(dataset, "validation") if dataset.in_split("validation") else (),
        measure_scaling(dataset),
    )
    return Fitting(source, _describe(source), out, title)


def _describe(source: PatchSource) -> ModelSpec:
    """What model.json will say, but for scores and temperature."""
    plan = source.plan
    dataset, settings = plan.dataset, plan.settings
    training: dict[str, JsonValue] = {"seed": plan.seed, **settings.model_dump(mode="json")}
    attribution = dataset.attribution
    if plan.start is not None:
        training["start"] = plan.start.record
        first = plan.start.model.spec.attribution
        if first not in attribution:
            attribution += f"; trained before on: {first}"
    return ModelSpec(
        name=settings.model,
        image=dataset.image,
        legend=dataset.legend,
        scaling=source.scaling,
        finer=dataset.finer,
        sizes=architecture(settings.model).sizes(settings.model_dump()),
        dates=plan.dates,
        orientations=settings.orientations,
        splits=dataset.splits,
        training=training,
        data=dataset.hashes,
        attribution=attribution,
    )


@dataclass(frozen=True, slots=True)
class Fitting:
    """A run that is being fitted; made by `prepare`.

    Attributes:
        source: Where patches come from, what is trained and with what.
        spec: The model as it is described before it is trained.
        out: The run's folder.
        title: How progress lines start.
        stops: Why a stage was stopped whose loss was no longer finite; none is trained after it.
    """

    source: PatchSource
    spec: ModelSpec
    out: Path
    title: str
    stops: list[str] = dataclasses.field(default_factory=list)

    @property
    def compute(self) -> Compute:
        """Where to train, and how exactly."""
        return self.source.compute

    def model(self) -> TrainedModel:
        """Train the stages that are asked for, one after the other.

        Source: section 1.5 (first the FCN; then, frozen, it makes the PMaps that train the RNN).
        """
        if self.source.plan.whole_series:
            only, patches = self.series_stage()
            scores = {"series": self._fit("series", only, patches)}
            spec = self.spec.model_copy(update={"scores": scores})
            return TrainedModel.of_series(spec, only.network.cpu().eval())
        first, patches = self.fcn_stage()
        scores = {"fcn": self._fit("fcn", first, patches)}
        fusion: FusionNetwork | None = None
        if self.source.plan.stage != "fcn" and not self.stops:
            second, patches = self.fusion_stage(first.network)
            with self._compiled(second):
                scores["rnn"] = self._fit("rnn", second, patches)
            fusion = second.network.cpu().eval()
        spec = self.spec.model_copy(update={"scores": scores})
        return TrainedModel(spec, first.network.cpu().eval(), fusion)

    def fcn_stage(self) -> tuple[FcnStage, PatchModule]:
        """Stage 1 as it begins, and its patches."""
        patches = self._patches("fcn", 1)
        return FcnStage(self._fresh("fcn", build_fcn), patches), patches

    def fusion_stage(self, fcn: ImageNetwork) -> tuple[FusionStage, PatchModule]:
        """Stage 2 as it begins, on the PMaps of a trained network, and its patches."""
        patches = self._patches("rnn", self.spec.dates)
        return FusionStage(self._fresh("rnn", build_fusion), patches, fcn), patches

    def series_stage(self) -> tuple[SeriesStage, PatchModule]:
        """The only stage of a network for whole series as it begins, and its patches."""
        patches = self._patches("series", self.spec.dates)
        return SeriesStage(self._fresh("series", build_series), patches), patches

    def calibrated(self, model: TrainedModel) -> TrainedModel:
        """The model with what the validation sites say of it, if there are any."""
        plan = self.source.plan
        sites = plan.dataset.in_split("validation")
        if not sites:
            return model
        dates = self.spec.dates
        if model.fusion is None and model.series is None:
            # Its maps are the mean of the dates that there are.
            longest = plan.settings.dates or LONGEST_SERIES
            dates = min(longest, *(len(site.acquisitions) for site in sites))
        found = calibrate(model, self.source, dates)
        names = tuple(model.spec.legend.names[number] for number in found.unpredicted)
        update = {"temperature": found.temperature, "unpredicted": names}
        spec = model.spec.model_copy(update=update)
        return dataclasses.replace(model, spec=spec)

    def _patches(self, name: NetworkName, dates: int) -> PatchModule:
        """What a network learns from."""
        settings = self.source.plan.settings
        stage = settings.rnn if name == "rnn" else settings.fcn
        return PatchModule(self.source, stage, dates, SALTS[name])

    def _fresh(self, name: NetworkName, build: Callable[[ModelSpec], N]) -> N:
        """A network with the weights that it begins with: drawn by the seed, or the start's."""
        plan = self.source.plan
        torch.manual_seed(plan.seed * 1000 + SALTS[name])
        network = build(self.spec)
        if plan.start is not None:
            plan.start.fill(name, network)
        return to_memory_format(network)

    @contextmanager
    def _compiled(self, stage: FusionStage) -> Iterator[None]:
        """Trains with compiled gates where that repays: on a CPU, if the training is long."""
        network, settings, where = stage.network, stage.settings, self.compute.where
        pixels = settings.steps * settings.batch_size * settings.patch_px**2 * self.spec.dates
        long = pixels >= FUSE_FROM_PX
        if not (long and where.type == "cpu" and isinstance(network, ConvLSTM)):
            yield
            return
        with autocast(where, self.compute.exactness):
            network.train().fuse_gates()
        yield
        network.unfuse_gates()

    def _fit(self, name: NetworkName, stage: Stage, patches: PatchModule) -> Scores:
        try:
            return fit_stage(stage, patches, self.out / name, f"{self.title} {name}".strip())
        except DivergedError as error:
            self.stops.append(str(error))
            return {LOSS: None}
