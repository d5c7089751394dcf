"""Fitting the networks of one run, each in its own folder."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import JsonValue
from pytorch_lightning import seed_everything
from torch import nn

from swath.dataset.patches import measure_scaling, survey_split
from swath.keys import Decided
from swath.models.convlstm import FUSE_FROM_PX, ConvLSTM
from swath.models.device import Precision, autocast
from swath.models.network import FusionNetwork, ImageNetwork, SeriesNetwork
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
from swath.training.fit import Scores, StageFolder, fit_stage
from swath.training.loss import CrossEntropyLogIoU
from swath.training.module import FcnStage, FusionStage, SeriesStage, Stage
from swath.training.patchmodule import PatchModule, PatchSource
from swath.training.presets import StageSettings
from swath.training.store import StageStore
from swath.training.trainplan import LONGEST_SERIES, TrainPlan

N = TypeVar("N", bound=nn.Module)

FCN_SALT, FUSION_SALT, SERIES_SALT = 1, 2, 3
"""Tell the stages apart: each has first weights and patches of its own."""


def prepare(
    plan: TrainPlan,
    out: Path,
    compute: Compute,
    store: StageStore | None = None,
    title: str = "",
) -> "Fitting":
    """Survey the data and describe the model: all that comes before the first step.

    Args:
        plan: What is trained.
        out: The run's folder; nothing is written yet.
        compute: With what.
        store: First stages that other runs have trained.
        title: How progress lines start.

    Raises:
        DatasetError: No training site, or none with data.
    """
    seed_everything(plan.seed, verbose=False)
    dataset = plan.dataset
    source = PatchSource(
        dataset,
        survey_split(dataset, "train"),
        survey_split(dataset, "validation") if dataset.in_split("validation") else (),
        measure_scaling(dataset),
        plan.settings,
        plan.seed,
        compute.workers,
        compute.processes,
    )
    return Fitting(
        plan, source, _describe(plan, source), out, compute.where, compute.exactness, store, title
    )


def _describe(plan: TrainPlan, source: PatchSource) -> ModelSpec:
    """What model.json will say, but for scores and temperature."""
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
        plan: What is trained.
        source: Where patches come from.
        spec: The model as it is described before it is trained.
        out: The run's folder.
        device: Where to train.
        precision: Of the computations.
        store: First stages that other runs have trained, to take from and to add to.
        title: How progress lines start.
    """

    plan: TrainPlan
    source: PatchSource
    spec: ModelSpec
    out: Path
    device: torch.device
    precision: Precision
    store: StageStore | None
    title: str

    def model(self) -> TrainedModel:
        """Train the stages that are asked for, one after the other.

        Source: section 1.5 (first the FCN; then, frozen, it makes the PMaps that train the RNN).
        """
        if self.plan.whole_series:
            series, scores = self._series()
            spec = self.spec.model_copy(update={"scores": {"series": scores}})
            return TrainedModel.of_series(spec, series.cpu().eval())
        fcn, scores = self._fcn()
        by_stage, fusion = {"fcn": scores}, None
        if self.plan.stage != "fcn":
            fusion, by_stage["rnn"] = self._fusion(fcn)
        spec = self.spec.model_copy(update={"scores": by_stage})
        return TrainedModel(spec, fcn.cpu().eval(), fusion.cpu().eval() if fusion else None)

    def fcn_stage(self) -> tuple[FcnStage, PatchModule]:
        """Stage 1 as it begins, and its patches."""
        settings = self.source.settings.fcn
        self._seed(FCN_SALT)
        network = self._begin("fcn", build_fcn(self.spec))
        stage = FcnStage(network, settings, self._loss, self._classes)
        return stage, PatchModule(self.source, settings, 1, FCN_SALT)

    def fusion_stage(self, fcn: ImageNetwork) -> tuple[FusionStage, PatchModule]:
        """Stage 2 as it begins, on the PMaps of a trained network, and its patches."""
        settings = self.source.settings.rnn
        self._seed(FUSION_SALT)
        network = self._begin("rnn", build_fusion(self.spec))
        stage = FusionStage(network, fcn, settings, self._loss, self._classes)
        return stage, PatchModule(self.source, settings, self.spec.dates, FUSION_SALT)

    def series_stage(self) -> tuple[SeriesStage, PatchModule]:
        """The only stage of a network for whole series as it begins, and its patches."""
        settings = self.source.settings.fcn
        self._seed(SERIES_SALT)
        network = self._begin("series", build_series(self.spec))
        stage = SeriesStage(network, settings, self._loss, self._classes)
        return stage, PatchModule(self.source, settings, self.spec.dates, SERIES_SALT)

    def calibrated(self, model: TrainedModel) -> TrainedModel:
        """The model with the temperature that the validation sites ask for, if there are any."""
        sites = self.source.dataset.in_split("validation")
        if not sites:
            return model
        dates = self.spec.dates
        if model.fusion is None and model.series is None:
            # Its maps are the mean of the dates that there are.
            longest = self.source.settings.dates or LONGEST_SERIES
            dates = min(longest, *(len(site.acquisitions) for site in sites))
        temperature = calibrate(model, self.source, dates, self.device, self.precision)
        spec = model.spec.model_copy(update={"temperature": temperature})
        return dataclasses.replace(model, spec=spec)

    @property
    def _classes(self) -> int:
        return len(self.spec.legend.classes)

    @property
    def _loss(self) -> CrossEntropyLogIoU:
        return CrossEntropyLogIoU(self.source.settings.loss_weight)

    def _fcn(self) -> tuple[ImageNetwork, Scores]:
        """Train the network for one image, or take it from the store."""
        stage, patches = self.fcn_stage()
        first = self.plan.first_stage
        fields = {**first.fields, "device": self.device.type, "precision": self.precision}
        decided = Decided(first.what, first.version, fields)
        if self.store is not None:
            self.store.lend(decided, self.out / "fcn")
        scores = self._fit(stage, patches, "fcn")
        if self.store is not None:
            self.store.keep(decided, self.out / "fcn")
        return stage.network, scores

    def _fusion(self, fcn: ImageNetwork) -> tuple[FusionNetwork, Scores]:
        """Train the fusion on PMaps of the frozen network."""
        stage, patches = self.fusion_stage(fcn)
        with self._compiled(stage.network, self.source.settings.rnn):
            scores = self._fit(stage, patches, "rnn")
        return stage.network, scores

    def _series(self) -> tuple[SeriesNetwork, Scores]:
        """Train a network for whole series."""
        stage, patches = self.series_stage()
        return stage.network, self._fit(stage, patches, "series")

    def _seed(self, salt: int) -> None:
        """Decide the random weights of the next network."""
        torch.manual_seed(self.plan.seed * 1000 + salt)

    def _begin(self, name: str, network: N) -> N:
        """A fresh network with the weights that it begins with."""
        if self.plan.start is not None:
            self.plan.start.fill(name, network)
        return to_memory_format(network)

    @contextmanager
    def _compiled(self, network: nn.Module, settings: StageSettings) -> Iterator[None]:
        """Trains with compiled gates where that repays: on a CPU, if the training is long."""
        long = self._work_px(settings) >= FUSE_FROM_PX
        if not (long and self.device.type == "cpu" and isinstance(network, ConvLSTM)):
            yield
            return
        with autocast(self.device, self.precision):
            network.train().fuse_gates()
        yield
        network.unfuse_gates()

    def _work_px(self, settings: StageSettings) -> int:
        """Pixels x dates that the training of the fusion goes through."""
        patches = settings.epochs * settings.batches * settings.batch_size
        return patches * settings.patch_px**2 * self.spec.dates

    def _fit(self, stage: Stage, patches: PatchModule, name: str) -> Scores:
        folder = StageFolder(self.out / name, f"{self.title} {name}".strip())
        return fit_stage(stage, patches, folder, self.device, self.precision)
