"""How long a comparison will take: measured on a few steps of each model, then multiplied."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from swath.lab.baselines.settings import PixelSettings
from swath.lab.comparison.cells import Cell, Comparison
from swath.lab.comparison.pretraining import Pretraining
from swath.models.trained import SPEC, check_finer
from swath.progress import track
from swath.training.budget import StageRates
from swath.training.compute import Compute
from swath.training.fitting import prepare
from swath.training.presets import StageSettings
from swath.training.rates import measure_stage

PIXEL_PART = 4
"""A classical method is measured on this part of its pixels; kernels and trees grow a little faster
than their number, reading the images does not grow."""

TILE_OVERHEAD = 1.4
"""Pixels that mapping computes for a pixel of the map: margins of tiles, and what is outside."""


@dataclass(frozen=True, slots=True)
class NetworkRates:
    """What the networks of one model cost here.

    Attributes:
        fcn: Stage 1, or the only one.
        fusion: Stage 2, the PMaps of the frozen network included; None for a model without.
    """

    fcn: StageRates
    fusion: StageRates | None

    @property
    def parameters(self) -> int:
        """Trained weights."""
        return self.fcn.parameters + (self.fusion.parameters if self.fusion else 0)


@dataclass(frozen=True, slots=True)
class PixelRates:
    """What a classical method costs here.

    Attributes:
        fit_s: Fitting it.
        map_s_per_mpx: Mapping a megapixel from the whole series.
    """

    fit_s: float
    map_s_per_mpx: float
    parameters: int = 0


ModelRates = NetworkRates | PixelRates


@dataclass(frozen=True, slots=True)
class ComparisonCost:
    """What is still to be done, and how long it will take with one cell at a time.

    Attributes:
        seconds: Cell -> seconds of training and mapping; scoring is not in it.
        parameters: Model -> trained weights.
        done: Cells that are finished.
    """

    seconds: dict[str, float]
    parameters: dict[str, int]
    done: int

    @property
    def total_s(self) -> float:
        """All of it."""
        return sum(self.seconds.values())

    def wall_s(self, jobs: Collection[tuple[Cell, ...]], workers: int) -> float:
        """With several jobs at once, each handed to the first that is free."""
        busy = [0.0] * workers
        for job in jobs:
            first = busy.index(min(busy))
            busy[first] += sum(self.seconds.get(cell.name, 0.0) for cell in job)
        return max(busy)

    def as_json(self) -> dict[str, JsonValue]:
        """Plain values."""
        return {
            "cells": len(self.seconds) + self.done,
            "done": self.done,
            "cell_minutes": {name: round(s / 60, 4) for name, s in self.seconds.items()},
            "total_minutes": round(self.total_s / 60, 4),
            "parameters": {**self.parameters},
        }


def estimate(
    comparison: Comparison,
    done: Collection[str],
    stored: Callable[[Cell], bool],
    pretrained: Path,
    compute: Compute,
) -> ComparisonCost:
    """Run a few steps of each model on its first fold, and count what all cells will need.

    Args:
        comparison: What is asked for.
        done: Names of the cells that are finished; they cost nothing more.
        stored: Whether the first stage of a cell has been trained and kept.
        pretrained: Folder of what models are trained on before their fold.
        compute: Where they are trained.

    Raises:
        ModelError: A model cannot map as finely as its dataset is labelled.
    """
    firsts = {cell.model.name: cell for cell in reversed(comparison.cells())}
    wanted = {cell.model.name for cell in comparison.cells() if cell.name not in done}
    rates = {
        name: _measure(firsts[name], compute)
        for name in track(sorted(wanted), "measuring a few steps of each model")
    }
    seconds: dict[str, float] = {}
    counted: set[Path] = set()
    for job in comparison.jobs():
        trained = stored(job[0])
        for cell in job:
            if cell.name not in done:
                seconds[cell.name] = _cell_seconds(cell, rates, firsts, first_stage=not trained)
                trained = True
                if (before := cell.model.pretraining) is not None:
                    run = before.folder(pretrained, cell.model.stage, cell.seed)
                    if run not in counted and not (run / SPEC).is_file():
                        seconds[cell.name] += _pretraining_seconds(cell, before, rates)
                    counted.add(run)
    parameters = {name: measured.parameters for name, measured in rates.items()}
    return ComparisonCost(seconds, parameters, len(done))


def _measure(cell: Cell, compute: Compute) -> ModelRates:
    if cell.model.network is None:
        return _measure_pixels(cell)
    check_finer(cell.plan.settings.model, cell.plan.dataset.finer)
    fitting = prepare(cell.plan, Path(), compute)
    if cell.model.whole_series:
        return NetworkRates(measure_stage(*fitting.series_stage()), None)
    fcn_stage, patches = fitting.fcn_stage()
    fcn = measure_stage(fcn_stage, patches)
    if cell.model.stage == "fcn":
        return NetworkRates(fcn, None)
    fusion_stage, patches = fitting.fusion_stage(fcn_stage.network)
    return NetworkRates(fcn, measure_stage(fusion_stage, patches))


def _measure_pixels(cell: Cell) -> PixelRates:
    """Fit on a part of the pixels that a class is allowed, and map them."""
    from swath.lab.baselines.classify import fit  # needs scikit-learn

    settings = cell.model.settings
    assert isinstance(settings, PixelSettings)
    part = max(10, settings.pixels // PIXEL_PART)
    began = time.perf_counter()
    model = fit(cell.dataset, settings.model_copy(update={"pixels": part}), cell.dates, cell.seed)
    fitted = time.perf_counter()
    bands = len(cell.dataset.image.bands)
    rng = np.random.default_rng(0)
    shape = (cell.dates, bands, 64, 64)
    model.predict(rng.standard_normal(shape).astype(np.float32))
    mapped = time.perf_counter() - fitted
    return PixelRates((fitted - began) * settings.pixels / part, mapped / (64 * 64 / 1e6))


def _cell_seconds(
    cell: Cell,
    rates: Mapping[str, ModelRates],
    firsts: Mapping[str, Cell],
    *,
    first_stage: bool,
) -> float:
    """Training and mapping of one cell, without the first stage where another has trained it."""
    model = cell.model
    measured = rates[model.name]
    mpx = sum(site.grid.window.size for site in cell.held_out) * len(cell.runs()) / 1e6
    if isinstance(measured, PixelRates):
        return measured.fit_s + (1 + cell.dates) * mpx * measured.map_s_per_mpx
    settings = model.network
    assert settings is not None
    # Validation was measured on the first fold; other folds have other sites.
    larger = _validation_mpx(cell) / max(_validation_mpx(firsts[model.name]), 1e-9)

    def training(stage: StageSettings, cost: StageRates) -> float:
        return stage.steps * cost.step_s + stage.epochs * cost.validation_s * larger

    total = 0.0
    if first_stage:
        total += training(settings.fcn, measured.fcn)
    if measured.fusion:
        total += training(settings.rnn, measured.fusion)
    once = measured.fcn.forward_s_per_mpx
    per_mpx = once * cell.dates * settings.orientations
    if model.whole_series:  # each date alone, at most as costly as the series, and the series
        per_mpx += once * settings.orientations
    if measured.fusion:  # the PMaps of all dates are in it, once each
        per_mpx += measured.fusion.forward_s_per_mpx - once * cell.dates
    # The temperature is fitted on maps of the validation sites.
    return total + (mpx * TILE_OVERHEAD + _validation_mpx(cell)) * per_mpx


def _pretraining_seconds(cell: Cell, before: Pretraining, rates: Mapping[str, ModelRates]) -> float:
    """The training on other data, in which nothing is validated."""
    measured, settings = rates[cell.model.name], cell.model.network
    assert isinstance(measured, NetworkRates)
    assert settings is not None

    def training(stage: StageSettings, usual: StageSettings, cost: StageRates) -> float:
        larger = stage.batch_size * stage.patch_px**2 / (usual.batch_size * usual.patch_px**2)
        return stage.steps * cost.step_s * larger

    total = training(before.settings.fcn, settings.fcn, measured.fcn)
    if measured.fusion:
        total += training(before.settings.rnn, settings.rnn, measured.fusion)
    return total


def _validation_mpx(cell: Cell) -> float:
    return sum(site.grid.window.size for site in cell.dataset.in_split("validation")) / 1e6
