"""The leaderboard as a value: who is best by how much, over cities and seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.candidates import ALL_BACKGROUND, SHIFTED, UNET, all_class
from swath.lab.comparison.cells import Cell, Comparison
from swath.lab.comparison.result import SCORES, Result, Values
from swath.metrics import interval, nested_resample
from swath.models.fusion import FUSIONS

DRAWS = 5000
"""Resamples behind the interval of a difference."""

Key = tuple[str, int]
"""Test site, seed."""


@dataclass(slots=True)
class Row:
    """One model or control of the leaderboard.

    Attributes:
        name: How it is called.
        kind: `model`, `control` (fused without training), `date` (one date alone), `trivial`.
        group: Models whose PMaps are the same, and the controls of these; "" for trivial.
        candidate: `fused` for a model, else what the row is without the name of its group.
        dates: T of the maps.
        values: Test site and seed -> scores.
        samples: The same -> (resamples, scores) over blocks.
        minutes: Training time of each cell.
        parameters: Trained weights.
        diverged: Cells whose training did.
    """

    name: str
    kind: str
    group: str
    candidate: str
    dates: int = 0
    values: dict[Key, Values] = field(default_factory=dict)
    samples: dict[Key, NDArray[np.float32]] = field(default_factory=dict)
    minutes: list[float] = field(default_factory=list)
    parameters: int = 0
    diverged: int = 0

    def by_site(self, score: str) -> dict[str, NDArray[np.float64]]:
        """Test site -> the score of each seed, seeds ascending."""
        sites = dict.fromkeys(site for site, _ in self.values)
        return {
            site: np.array(
                [self.values[key][score] for key in sorted(self.values) if key[0] == site]
            )
            for site in sites
        }


@dataclass(frozen=True, slots=True)
class Board:
    """What `leaderboard.json` holds.

    Attributes:
        content: JSON values.
    """

    content: dict[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row a model or control, the best PR-AUC first."""
        rows: list[dict[str, Any]] = self.content["rows"]
        return rows

    @property
    def paired(self) -> list[dict[str, Any]]:
        """Differences of every model against its best control and against the baseline."""
        paired: list[dict[str, Any]] = self.content["paired"]
        return paired


def make_board(
    comparison: Comparison, cells: Sequence[Cell], results: Mapping[str, Result]
) -> Board:
    """Compute the leaderboard.

    Args:
        comparison: What was asked for.
        cells: Finished ones: of a fold and seed all models or none.
        results: Name of a cell -> what it found.
    """
    rows = {row.name: row for row in _rows(comparison, cells, results)}
    names = {model.name: model.controls for model in comparison.models}
    groups = list(_leaders(comparison))
    controls = {group: _best_control(cells, results, group) for group in groups}
    first = next((m.controls for m in comparison.models if not m.whole_series), None)
    paired = []
    for name, own in names.items():
        against: list[tuple[str, Row, str | None]] = []
        # A network for whole series has no PMaps of its own to fuse: the first U-Net's stand in.
        group = own if own in controls else first
        if group is not None:
            control = _control(comparison, group, controls[group][0])
            against.append(("best control", rows[control], controls[group][1]))
        if name != comparison.baseline:
            against.append(("baseline", rows[comparison.baseline], None))
        for role, other, on in against:
            paired.append(_paired(rows[name], other, role, on))
    found = sorted((_row(row) for row in rows.values()), key=_rank)
    sites = sorted({site for row in rows.values() for site, _ in row.values})
    return Board(
        {
            "stands_on": _stands_on(comparison, cells),
            "dataset": str(comparison.dataset.root),
            "class": comparison.target.name,
            "baseline": comparison.baseline,
            "scores": {name: {"score": s, "threshold": r} for name, (s, r) in SCORES.items()},
            "thresholds_from_validation": all(results[cell.name].chosen for cell in cells),
            "sites": sites,
            "seeds": sorted({cell.seed for cell in cells}),
            "cells": {"finished": len(cells), "planned": len(comparison.cells())},
            "models": {
                m.name: {"stage": m.stage, "settings": m.settings.model_dump(mode="json")}
                for m in comparison.models
            },
            "rows": found,
            "paired": paired,
        }
    )


def _rows(
    comparison: Comparison, cells: Sequence[Cell], results: Mapping[str, Result]
) -> Iterable[Row]:
    """One row a model; one a control and group; the trivial ones once."""
    rows: dict[str, Row] = {
        m.name: Row(m.name, "model", m.controls, "fused") for m in comparison.models
    }
    leaders = _leaders(comparison)
    trivial = (ALL_BACKGROUND, all_class(comparison.target.name), SHIFTED)
    for cell in cells:
        result, model = results[cell.name], cell.model
        own = rows[model.name]
        own.minutes.append(result.minutes)
        own.parameters = result.parameters
        own.diverged += result.diverged
        wanted = [(own, result.own)]
        if leaders.get(model.controls) == model.name:
            kinds = [(UNET, "date"), *((name, "control") for name in FUSIONS)]
            for candidate, kind in kinds:
                name = _control(comparison, model.controls, candidate)
                shown = "one date" if candidate == UNET else candidate
                row = rows.setdefault(name, Row(name, kind, model.controls, shown))
                wanted.append((row, candidate))
        if model.name == comparison.models[0].name:
            wanted += [
                (rows.setdefault(name, Row(name, "trivial", "", name)), name) for name in trivial
            ]
        for row, candidate in wanted:
            row.dates = cell.dates
            for site in cell.test:
                row.values[site, cell.seed] = result.sites[site][candidate]
                row.samples[site, cell.seed] = result.samples[site][candidate]
    return rows.values()


def _leaders(comparison: Comparison) -> dict[str, str]:
    """Group -> its first model, whose cells give the controls; none for whole series."""
    return {m.controls: m.name for m in reversed(comparison.models) if not m.whole_series}


def _control(comparison: Comparison, group: str, candidate: str) -> str:
    """Name of a group's control; the group is called by its first model if there are several."""
    leaders = _leaders(comparison)
    what = "one date" if candidate == UNET else candidate
    return what if len(leaders) == 1 else f"{what} of {leaders[group]}"


def _best_control(
    cells: Sequence[Cell], results: Mapping[str, Result], group: str
) -> tuple[str, str]:
    """The fusion without training that has the best PR-AUC, and the split that says so.

    Validation chooses. Without validation sites the test sites do, which favours the control.
    """
    own = [results[cell.name] for cell in cells if cell.model.controls == group]
    split = "validation" if all(result.chosen for result in own) else "test"
    means: dict[str, float] = {}
    for name in FUSIONS:
        if split == "validation":
            values = [result.chosen[name] for result in own]
        else:
            values = [site[name]["pr_auc"] for result in own for site in result.sites.values()]
        means[name] = float(np.nan_to_num(np.mean(values)))
    return max(means, key=lambda name: means[name]), split


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "candidate": row.candidate,
        "dates": row.dates,
        "minutes": round(float(np.mean(row.minutes)), 2) if row.minutes else None,
        "parameters": row.parameters or None,
        "diverged": row.diverged,
        **{score: _summary(row, at, score) for at, score in enumerate(SCORES)},
        "sites": {
            site: {score: _plain(np.mean(row.by_site(score)[site])) for score in SCORES}
            for site in row.by_site("pr_auc")
        },
    }


def _summary(row: Row, at: int, score: str) -> dict[str, Any]:
    """Mean over cities of the mean over seeds; its spread over seeds; its interval over blocks."""
    sites = row.by_site(score)
    mean = np.mean([values.mean() for values in sites.values()])
    seeds = sorted({seed for _, seed in row.values})
    complete = [s for s in seeds if all((site, s) in row.values for site in sites)]
    by_seed = [np.mean([row.values[site, s][score] for site in sites]) for s in complete]
    drawn = np.mean(
        [
            np.mean([row.samples[key][:, at] for key in row.samples if key[0] == site], axis=0)
            for site in sites
        ],
        axis=0,
    )
    return {
        "mean": _plain(mean),
        "sd": _plain(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else None,
        "ci": interval(drawn.astype(np.float64)),
    }


def _paired(row: Row, other: Row, role: str, chosen_on: str | None) -> dict[str, Any]:
    """What a model is better than another row by, with its interval over cities and seeds."""
    keys = [key for key in row.values if key in other.values]
    sites = list(dict.fromkeys(site for site, _ in keys))
    scores = {}
    for score in SCORES:
        groups = [
            np.array([row.values[k][score] - other.values[k][score] for k in keys if k[0] == site])
            for site in sites
        ]
        means = [float(group.mean()) for group in groups]
        several = any(len(group) > 1 for group in groups) or len(groups) > 1
        scores[score] = {
            "difference": _plain(np.mean(means)),
            "ci": interval(nested_resample(groups, DRAWS, 0)) if several else None,
            "sites": {site: _plain(mean) for site, mean in zip(sites, means, strict=True)},
        }
    return {"model": row.name, "minus": other.name, "role": role, "chosen_on": chosen_on, **scores}


def _rank(row: Mapping[str, Any]) -> float:
    mean = row["pr_auc"]["mean"]
    return -mean if mean is not None else 1.0


def _plain(value: float | np.floating[Any]) -> float | None:
    return float(value) if np.isfinite(value) else None


def _stands_on(comparison: Comparison, cells: Sequence[Cell]) -> str:
    made = comparison.dataset.attribution or "data without a stated source"
    lengths = " or ".join(map(str, sorted({cell.dates for cell in cells})))
    sites = len({site for cell in cells for site in cell.test})
    seeds = len({cell.seed for cell in cells})
    plural = "s" if seeds > 1 else ""
    return f"{made}; test sites: {sites}, {seeds} seed{plural}, T = {lengths}"
