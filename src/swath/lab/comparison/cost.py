"""How long a comparison will take: measured on a few steps of each model, then multiplied."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swath.lab.comparison.cells import Cell, Comparison
from swath.lab.comparison.pretraining import Pretraining
from swath.models.device import pick_device
from swath.models.trained import SPEC
from swath.progress import track
from swath.training.presets import StageSettings
from swath.training.rates import StageRates, measure_stage
from swath.training.train import prepare

PIXEL_PART = 4
"""A classical method is measured on this part of its pixels; kernels and trees grow a little faster
than their number, reading the images does not grow."""

TILE_OVERHEAD = 1.4
"""Pixels that mapping computes for a pixel of the map: margins of tiles, and what is outside."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What the networks of one model cost here.

    Attributes:
        fcn: Stage 1, or the only one.
        rnn: Stage 2, the PMaps of the frozen networks included; None for a model without.
    """

    fcn: StageRates
    rnn: StageRates | None

    @property
    def parameters(self) -> int:
        """Trained weights."""
        return self.fcn.parameters + (self.rnn.parameters if self.rnn else 0)


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


@dataclass(frozen=True, slots=True)
class Estimate:
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

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "cells": len(self.seconds) + self.done,
            "done": self.done,
            "cell_minutes": {name: round(s / 60, 4) for name, s in self.seconds.items()},
            "total_minutes": round(self.total_s / 60, 4),
            "parameters": self.parameters,
        }


def estimate(
    comparison: Comparison,
    done: Collection[str],
    stored: Callable[[Cell], bool],
    pretrained: Path,
    device: str,
) -> Estimate:
    """Run a few steps of each model on its first fold, and count what all cells will need.

    Args:
        comparison: What is asked for.
        done: Names of the cells that are finished; they cost nothing more.
        stored: Whether the first stage of a cell has been trained and kept.
        pretrained: Folder of what models are trained on before their fold.
        device: `auto`, `cpu` or `cuda`.
    """
    firsts = {cell.model.name: cell for cell in reversed(comparison.cells())}
    wanted = {cell.model.name for cell in comparison.cells() if cell.name not in done}
    rates = {
        name: _measure(firsts[name], device)
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
    parameters = {name: found.parameters for name, found in rates.items()}
    return Estimate(seconds, parameters, len(done))


def _measure(cell: Cell, device: str) -> Rates | PixelRates:
    settings = cell.model.network
    if settings is None:
        return _measure_pixels(cell)
    where = pick_device(device)
    fitting = prepare(cell.dataset, Path(), settings, cell.dates, cell.seed, where)
    if cell.model.whole_series:
        return Rates(measure_stage(fitting, *fitting.series_stage()), None)
    fcn_stage, patches = fitting.fcn_stage(salt=1)
    fcn = measure_stage(fitting, fcn_stage, patches)
    if cell.model.stage == "fcn":
        return Rates(fcn, None)
    sites = [site.name for site in cell.dataset.sites]
    rnn_stage, patches = fitting.rnn_stage(dict.fromkeys(sites, fcn_stage.network))
    return Rates(fcn, measure_stage(fitting, rnn_stage, patches))


def _measure_pixels(cell: Cell) -> PixelRates:
    """Fit on a part of the pixels that a class is allowed, and map them."""
    from swath.lab.baselines.classify import fit
    from swath.lab.baselines.methods import PixelSettings

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
    rates: Mapping[str, Rates | PixelRates],
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

    def training(stage: StageSettings, found: StageRates) -> float:
        return stage.steps * found.step_s + stage.epochs * found.validation_s * larger

    total = 0.0
    if first_stage:
        times = 1 + (settings.cross_fit if measured.rnn else 0)
        total += times * training(settings.fcn, measured.fcn)
    if measured.rnn:
        total += training(settings.rnn, measured.rnn)
    once = measured.fcn.forward_s_per_mpx
    per_mpx = once * cell.dates * settings.orientations
    if model.whole_series:  # each date alone, at most as costly as the series, and the series
        per_mpx += once * settings.orientations
    if measured.rnn:  # the PMaps of all dates are in it, once each
        per_mpx += measured.rnn.forward_s_per_mpx - once * cell.dates
    # The temperature is fitted on maps of the validation sites.
    return total + (mpx * TILE_OVERHEAD + _validation_mpx(cell)) * per_mpx


def _pretraining_seconds(
    cell: Cell, before: Pretraining, rates: Mapping[str, Rates | PixelRates]
) -> float:
    """The training on other data, in which nothing is validated."""
    measured, settings = rates[cell.model.name], cell.model.network
    assert isinstance(measured, Rates)
    assert settings is not None

    def training(stage: StageSettings, usual: StageSettings, found: StageRates) -> float:
        larger = stage.batch_size * stage.patch_px**2 / (usual.batch_size * usual.patch_px**2)
        return stage.steps * found.step_s * larger

    crossed = 1 + (before.settings.cross_fit if measured.rnn else 0)
    total = crossed * training(before.settings.fcn, settings.fcn, measured.fcn)
    if measured.rnn:
        total += training(before.settings.rnn, settings.rnn, measured.rnn)
    return total


def _validation_mpx(cell: Cell) -> float:
    return sum(site.grid.window.size for site in cell.dataset.in_split("validation")) / 1e6
