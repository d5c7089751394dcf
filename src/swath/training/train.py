"""Training a run: stage 1, stage 2, and the model that comes out."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pytorch_lightning import seed_everything
from torch import nn

from swath.dataset.patches import measure_scaling, survey_split
from swath.dataset.site import Dataset
from swath.errors import SettingsError
from swath.memory import keep_freed_memory
from swath.models.convlstm import FUSE_FROM_PX, ConvLSTM
from swath.models.device import (
    Precision,
    autocast,
    best_precision,
    pick_device,
)
from swath.models.network import FusionNetwork, ImageNetwork, SeriesNetwork
from swath.models.registry import WholeSeries, architecture
from swath.models.spec import ModelSpec
from swath.models.trained import (
    TrainedModel,
    build_fcn,
    build_fusion,
    build_series,
    maps_whole_series,
    save_model,
    to_memory_format,
)
from swath.training.calibration import calibrate
from swath.training.fit import Scores, fit_stage
from swath.training.loss import CrossEntropyLogIoU
from swath.training.module import FcnStage, RnnStage, SeriesStage, Stage
from swath.training.patchmodule import PatchModule, PatchSource
from swath.training.presets import StageSettings, TrainSettings
from swath.training.processes import ALONE, Processes, joined
from swath.training.runfolder import (
    LONGEST_SERIES,
    StageName,
    open_run,
    plan_run,
    series_length,
)
from swath.training.start import Start
from swath.training.store import StageStore

N = TypeVar("N", bound=nn.Module)


def train(
    dataset: Dataset,
    out: Path,
    settings: TrainSettings,
    *,
    stage: StageName = "all",
    seed: int = 0,
    device: str = "auto",
    precision: Precision | None = None,
    workers: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    store: StageStore | None = None,
    start: Start | None = None,
    title: str = "",
    processes: Processes = ALONE,
    command: Sequence[str] = (),
) -> TrainedModel:
    """Train a model on a dataset's training split.

    The folder gets `run.json` at once, a folder for each network with its logs and checkpoints, and
    model.safetensors + model.json in the end. A killed run goes on with `resume`.

    Args:
        dataset: The images and labels, with their splits.
        out: The run's folder.
        settings: Usually a preset.
        stage: `fcn` stops after the U-Net; `rnn` adds the ConvLSTM to a run that has its U-Net.
        seed: The same seed on the same machine gives the same weights.
        device: `auto`, `cpu` or `cuda`.
        precision: None: bf16 where the hardware has it.
        workers: Processes that read patches.
        resume: Go on with what is in `out`.
        overwrite: Drop what is in `out`.
        store: First stages that other runs have trained, to take from and to add to.
        start: Another run, whose weights the networks begin with; None: random ones.
        title: How its lines on stderr start.
        processes: Train together, each on a part of every mini-batch; the first one writes.
        command: What starts another process like this one, where there are several.

    Returns:
        The model, on the CPU and in evaluation mode.

    Raises:
        DatasetError: The dataset lacks a split, labels or dates.
        SettingsError: `resume` with other settings, seed or data than the run began with; a `start`
            that does not fit.
        OutputExistsError: `out` holds something, and neither `resume` nor `overwrite` was given.
        WorkerError: Another process of the training is lost.

    Source: section 1.5 (first the FCN; then, frozen, it makes the PMaps that train the RNN).
    """
    where = pick_device(device)
    processes.check(where)
    for used in (settings.fcn, *([] if stage == "fcn" else [settings.rnn])):
        processes.share(used.batch_size)
    if where.type == "cpu":
        keep_freed_memory()
    if isinstance(architecture(settings.model), WholeSeries) and stage != "all":
        raise SettingsError(
            f"model {settings.model!r} is trained in one stage; leave --stage {stage} out"
        )
    plan = plan_run(dataset, settings, seed, start)
    dates = series_length(dataset, settings) if stage != "fcn" else 1
    if start is not None:
        start.check(dataset, settings)
    if processes.first:
        open_run(out, plan, stage, resume=resume, overwrite=overwrite)
    with joined(processes, where, command, [plan, stage, precision]):
        fitting = prepare(
            dataset,
            out,
            settings,
            dates,
            seed,
            where,
            precision,
            workers,
            store,
            start,
            processes,
        )
        fitting.title = title
        model = _fit_all(fitting, stage)
        if processes.first:
            model = fitting.calibrated(model)
            save_model(out, model)
    return model


def _fit_all(fitting: "Fitting", stage: StageName) -> TrainedModel:
    """Stage after stage."""
    spec = fitting.spec
    if maps_whole_series(spec):
        network, spec.scores["series"] = fitting.series()
        return TrainedModel.of_series(spec, network.cpu().eval())
    fcn, scores = fitting.fcn("fcn", salt=1)
    spec.scores["fcn"] = scores
    rnn = None
    if stage != "fcn":
        rnn, spec.scores["rnn"] = fitting.rnn(fcn)
    return TrainedModel(spec, fcn.cpu().eval(), rnn.cpu().eval() if rnn else None)


def prepare(
    dataset: Dataset,
    out: Path,
    settings: TrainSettings,
    dates: int,
    seed: int,
    device: torch.device,
    precision: Precision | None = None,
    workers: int = 0,
    store: StageStore | None = None,
    start: Start | None = None,
    processes: Processes = ALONE,
) -> "Fitting":
    """Survey the data and describe the model: all that comes before the first step.

    Args:
        dataset: The images and labels, with their splits.
        out: The run's folder; nothing is written yet.
        settings: Of the run.
        dates: T, length of the series for the ConvLSTM.
        seed: Of the run.
        device: Where to train.
        precision: None: bf16 where the hardware has it.
        workers: Processes that read patches.
        store: First stages that other runs have trained.
        start: Another run, whose weights the networks begin with.
        processes: Train together.

    Raises:
        DatasetError: No training site, or none with data.
    """
    seed_everything(seed, verbose=False)
    source = PatchSource(
        dataset,
        survey_split(dataset, "train"),
        survey_split(dataset, "validation") if dataset.in_split("validation") else (),
        measure_scaling(dataset),
        settings,
        seed,
        workers,
        processes,
    )
    plan = plan_run(dataset, settings, seed)
    training: dict[str, Any] = {"seed": seed, **settings.model_dump(mode="json")}
    attribution = dataset.attribution
    if start is not None:
        training["start"] = start.record
        first = start.model.spec.attribution
        if first not in attribution:
            attribution += f"; trained before on: {first}"
    spec = ModelSpec(
        name=settings.model,
        image=dataset.image,
        legend=dataset.legend,
        scaling=source.scaling,
        sizes=architecture(settings.model).sizes(settings.model_dump()),
        dates=dates,
        orientations=settings.orientations,
        splits=plan["splits"],
        training=training,
        data=plan["data"],
        attribution=attribution,
    )
    return Fitting(source, spec, out, device, precision or best_precision(device), store, start)


class Fitting:
    """Fits the networks of one run, each in its own folder; made by `prepare`."""

    def __init__(
        self,
        source: PatchSource,
        spec: ModelSpec,
        out: Path,
        device: torch.device,
        precision: Precision,
        store: StageStore | None = None,
        start: Start | None = None,
    ) -> None:
        self.source = source
        self.spec = spec
        self.out = out
        self.device = device
        self.precision = precision
        self.store = store
        self.start = start
        self.title = ""

    @property
    def _loss(self) -> CrossEntropyLogIoU:
        settings = self.source.settings
        return CrossEntropyLogIoU(settings.loss_weight, settings.label_trust)

    def fcn(
        self, name: str, salt: int, leave_out: tuple[str, ...] = ()
    ) -> tuple[ImageNetwork, Scores]:
        """Train the U-Net on all training sites but those left out, or take it from the store."""
        decided_by = {
            "settings": self.source.settings.of_first_stage(),
            "data": self.spec.data,
            "splits": self.spec.splits,
            "seed": self.source.seed,
            "salt": salt,
            "leave_out": sorted(leave_out),
            "device": self.device.type,
            "precision": self.precision,
        }
        if self.start is not None:
            decided_by["start"] = self.start.hashes["fcn"]
        if self.store is not None:
            self.store.lend(decided_by, self.out / name)
        stage, patches = self.fcn_stage(salt, leave_out)
        scores = self._fit(stage, patches, name)
        if self.store is not None:
            self.store.keep(decided_by, self.out / name)
        return stage.network, scores

    def fcn_stage(self, salt: int, leave_out: tuple[str, ...] = ()) -> tuple[FcnStage, PatchModule]:
        """Stage 1 with the weights that it begins with, and its patches."""
        settings = self.source.settings.fcn
        torch.manual_seed(self.source.seed * 1000 + salt)
        network = self._begin("fcn", build_fcn(self.spec))
        stage = FcnStage(network, settings, self._loss, len(self.spec.legend.classes))
        return stage, PatchModule(self.source, settings, 1, salt, leave_out)

    def rnn(self, fcn: ImageNetwork) -> tuple[FusionNetwork, Scores]:
        """Train the ConvLSTM on PMaps of the frozen U-Net, or of cross-fitted ones."""
        sites = [site.name for site in self.source.dataset.sites]
        fcns = dict.fromkeys(sites, fcn)
        for fold, group in enumerate(self._groups()):
            fitted, _ = self.fcn(f"fcn-without-{fold}", salt=10 + fold, leave_out=group)
            fcns |= dict.fromkeys(group, fitted)
        stage, patches = self.rnn_stage(fcns)
        with self._fused(stage.network, self.source.settings.rnn):
            scores = self._fit(stage, patches, "rnn")
        return stage.network, scores

    def series(self) -> tuple[SeriesNetwork, Scores]:
        """Train a network for whole series."""
        stage, patches = self.series_stage()
        return stage.network, self._fit(stage, patches, "series")

    def series_stage(self) -> tuple[SeriesStage, PatchModule]:
        """The only stage of such a network as it begins, and its patches."""
        settings = self.source.settings.fcn
        torch.manual_seed(self.source.seed * 1000 + 3)
        network = self._begin("series", build_series(self.spec))
        stage = SeriesStage(network, settings, self._loss, len(self.spec.legend.classes))
        return stage, PatchModule(self.source, settings, self.spec.dates, 3)

    def rnn_stage(self, fcns: dict[str, ImageNetwork]) -> tuple[RnnStage, PatchModule]:
        """Stage 2 as it begins, on the PMaps of each site's network, and its patches."""
        settings = self.source.settings.rnn
        torch.manual_seed(self.source.seed * 1000 + 2)
        network = self._begin("rnn", build_fusion(self.spec))
        stage = RnnStage(network, fcns, settings, self._loss, len(self.spec.legend.classes))
        return stage, PatchModule(self.source, settings, self.spec.dates, 2)

    def calibrated(self, model: TrainedModel) -> TrainedModel:
        """The model with the temperature that the validation sites ask for, if there are any."""
        sites = [s for s in self.source.dataset.sites if s.name in self.spec.splits["validation"]]
        if not sites:
            return model
        dates = self.spec.dates
        if model.fusion is None and model.series is None:
            # Its maps are the mean of the dates that there are.
            longest = self.source.settings.dates or LONGEST_SERIES
            dates = min(longest, *(len(site.acquisitions) for site in sites))
        found = calibrate(model, self.source, dates, self.device, self.precision)
        spec = model.spec.model_copy(update={"temperature": found})
        return dataclasses.replace(model, spec=spec)

    def _begin(self, name: str, network: N) -> N:
        if self.start is not None:
            self.start.fill(name, network)
        return to_memory_format(network)

    @contextmanager
    def _fused(self, network: nn.Module, settings: StageSettings) -> Iterator[None]:
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
        """Pixels x dates that the ConvLSTM's training goes through."""
        patches = settings.epochs * settings.batches * settings.batch_size
        return patches * settings.patch_px**2 * self.spec.dates

    def _fit(self, stage: Stage, patches: PatchModule, name: str) -> Scores:
        return fit_stage(
            stage,
            patches,
            self.out / name,
            title=f"{self.title} {name}".strip(),
            device=self.device,
            precision=self.precision,
        )

    def _groups(self) -> list[tuple[str, ...]]:
        """The training sites in `cross_fit` groups of about equal labelled area."""
        count = self.source.settings.cross_fit
        if count == 0:
            return []
        pixels: dict[str, int] = {}
        for survey in self.source.train:
            pixels[survey.site] = pixels.get(survey.site, 0) + survey.pixels
        if not 2 <= count <= len(pixels):
            raise SettingsError(
                f"cross_fit must be 0 or from 2 to the number of training sites ({len(pixels)}), "
                f"got {count}"
            )
        groups: list[list[str]] = [[] for _ in range(count)]
        load = np.zeros(count)
        for site in sorted(pixels, key=lambda name: (-pixels[name], name)):
            lightest = int(load.argmin())
            groups[lightest].append(site)
            load[lightest] += pixels[site]
        return [tuple(group) for group in groups]
