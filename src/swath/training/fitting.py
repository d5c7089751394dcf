"""Fitting the networks of one run, each in its own folder."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from pydantic import JsonValue
from pytorch_lightning import seed_everything
from torch import nn

from swath.dataset.index import plan_cover
from swath.dataset.patches import measure_scaling, survey_split
from swath.errors import DivergedError
from swath.files import write_json
from swath.models.convlstm import FUSE_FROM_PX, ConvLSTM
from swath.models.device import autocast
from swath.models.network import FusionNetwork, ImageNetwork
from swath.models.registry import architecture
from swath.models.spec import ModelSpec
from swath.models.trained import TrainedModel, build_fcn, build_fusion, build_series, to_memory_format
from swath.progress import tell
from swath.training.budget import Rates, stage_of, steps_within, with_steps
from swath.training.calibration import calibrate
from swath.training.callbacks import After
from swath.training.compute import Compute
from swath.training.fit import Scores, fit_stage
from swath.training.module import LOSS, FcnStage, FusionStage, SeriesStage, Stage
from swath.training.patchmodule import VALIDATION_PX, PatchModule, PatchSource
from swath.training.presets import TrainSettings
from swath.training.rates import measure_stage
from swath.training.trainplan import LONGEST_SERIES, STAGE_WORDS, TrainPlan
from swath.training.verdict import PATCHES, judge
from swath.validation import read_model

N = TypeVar("N", bound=nn.Module)

NetworkName = Literal["fcn", "rnn", "series"]

LONG = 500
"""Steps of a run that is worth to be timed first, so that it can say how long it will take."""

FEWEST = 50
"""Steps below which a training is not worth its time, and its user is told."""

PLANNED = "planned.json"
"""The settings that a budget of minutes came to, from the run's first start on."""

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
    if plan.budget is not None:
        training["budget"] = plan.budget.record
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


def _fit_text(settings: TrainSettings, plan: TrainPlan) -> str:
    """How many steps a budget of minutes came to, and whether that is worth it."""
    steps = [stage_of(settings, name).steps for name in plan.budgeted]
    text = f"{' + '.join(map(str, steps))} steps fit{' (U-Net + fusion)' if len(steps) > 1 else ''}"
    few = f"; too few to improve on {'the start' if plan.start else 'anything'}; give more minutes"
    return text + (few if sum(steps) < FEWEST else "")


@dataclass(frozen=True, slots=True)
class Fitting:
    """A run that is being fitted; made by `prepare`.

    Attributes:
        source: Where patches come from, what is trained and with what.
        spec: The model as it is described before it is trained.
        out: The run's folder.
        title: How progress lines start.
        rates: What each stage was measured to cost here, where it was.
        stops: Why a stage was stopped whose loss was no longer finite; none is trained after it.
    """

    source: PatchSource
    spec: ModelSpec
    out: Path
    title: str
    rates: Rates = dataclasses.field(default_factory=dict)
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

    def planned(self, began: float) -> "Fitting":
        """The same with the steps that its budget gives, and rates where the run is long enough to ask.

        Minutes are turned into steps once: a run that is gone on with keeps them.

        Args:
            began: When the run did, of `time.perf_counter`.
        """
        plan, kept = self.source.plan, self.out / PLANNED
        budget, stages = plan.budget, plan.budgeted
        steps = budget.steps if budget else sum(stage_of(plan.settings, name).steps for name in stages)
        measurable = plan.stage == "all" and self.compute.processes.count == 1
        known = self.measured() if measurable and (steps is None or steps >= LONG) else self
        if budget is None:
            return known
        if budget.minutes is None:
            assert steps is not None
            return known.within(with_steps(plan.settings, steps, stages))
        if kept.is_file():
            return known.within(read_model(kept, TrainSettings))
        left = 60 * budget.minutes - (time.perf_counter() - began) - known.end_s
        steps = steps_within(left, plan.settings, known.rates)
        settings = with_steps(plan.settings, steps, stages, known.rates)
        write_json(kept, settings.model_dump(mode="json"))
        tell(f"{budget.minutes:g} minutes: {_fit_text(settings, plan)}")
        return known.within(settings)

    def measured(self) -> "Fitting":
        """The same with the rates of its stages: a few steps of each are run, and thrown away."""
        with torch.random.fork_rng():
            if self.source.plan.whole_series:
                return dataclasses.replace(self, rates={"fcn": measure_stage(*self.series_stage())})
            first, patches = self.fcn_stage()
            rates: Rates = {"fcn": measure_stage(first, patches)}
            rates["rnn"] = measure_stage(*self.fusion_stage(first.network))
        return dataclasses.replace(self, rates=rates)

    def within(self, settings: TrainSettings) -> "Fitting":
        """The same with other numbers of steps."""
        source = dataclasses.replace(
            self.source, plan=dataclasses.replace(self.source.plan, settings=settings)
        )
        return dataclasses.replace(self, source=source, spec=_describe(source))

    @property
    def end_s(self) -> float:
        """Seconds that come after the last step: the maps of the validation sites."""
        plan, rate = self.source.plan, self.rates.get("fcn")
        if rate is None:
            return 0.0
        patches = len(plan_cover(self.source.validation, VALIDATION_PX, self.spec.dates))
        looks = patches * plan.settings.orientations + min(patches or PATCHES, PATCHES)
        return looks * self.spec.dates * VALIDATION_PX**2 / 1e6 * rate.forward_s_per_mpx

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

    def judged(self, model: TrainedModel) -> TrainedModel:
        """The model with what its fusion is worth; without the fusion where that is nothing."""
        verdict = judge(model, self.source)
        if verdict is None:
            return model
        scores = {**model.spec.scores, "fusion": verdict.scores}
        spec = model.spec.model_copy(update={"scores": scores, "fallback": verdict.fallback})
        fusion = model.fusion if verdict.fallback is None else None
        return dataclasses.replace(model, spec=spec, fusion=fusion)

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
            title = f"{self.title} {STAGE_WORDS[name]}".strip()
            return fit_stage(stage, patches, self.out / name, title, self._after(name))
        except DivergedError as error:
            self.stops.append(str(error))
            return {LOSS: None}

    def _after(self, name: NetworkName) -> After:
        """What comes after a stage; a step of the fusion that was not timed is a third of a U-Net's a date.

        A step of the U-Net goes through it and back, three times the arithmetic of going through.
        """
        plan = self.source.plan
        fusion = name == "fcn" and plan.stage == "all"
        if not self.rates:
            return After(steps=plan.settings.rnn.steps * self.spec.dates / 3 if fusion else 0.0)
        rnn = plan.settings.rnn
        return After(self.end_s + (self.rates["rnn"].seconds(rnn.steps, rnn.epochs) if fusion else 0.0))
