"""The leaderboard counted from finished cells, over cities and seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.candidate import UNTRAINED, Candidate, names_of
from swath.lab.comparison.board import (
    Against,
    Board,
    BoardPair,
    BoardRow,
    CellCount,
    Gain,
    Kind,
    ModelRecord,
    Spread,
)
from swath.lab.comparison.cells import Cell, Comparison
from swath.lab.comparison.result import Result, Values
from swath.metrics.bootstrap import interval

DRAWS = 5000
"""Resamples behind the interval of a difference."""

Key = tuple[str, int]
"""Test site, seed."""


@dataclass(slots=True)
class Tally:
    """What is known of one row of the leaderboard, cell by cell.

    Attributes:
        name: How it is called.
        kind: What it is of.
        group: Models whose PMaps are the same, and the controls of these; "" for trivial.
        candidate: `fused` for a model.
        dates: T of the maps.
        values: Test site and seed -> scores.
        samples: The same -> (resamples, scores) over blocks.
        minutes: Training time of each cell.
        parameters: Trained weights.
        diverged: Cells whose training did.
    """

    name: str
    kind: Kind
    group: str
    candidate: Candidate
    dates: int = 0
    values: dict[Key, Values] = field(default_factory=dict)
    samples: dict[Key, NDArray[np.float32]] = field(default_factory=dict)
    minutes: list[float] = field(default_factory=list)
    parameters: int = 0
    diverged: int = 0

    def add(self, cell: Cell, result: Result, candidate: str) -> None:
        """Take in what a candidate of a cell scores."""
        self.dates = cell.dates
        for site in cell.test:
            self.values[site, cell.seed] = result.sites[site][candidate]
            self.samples[site, cell.seed] = result.samples[site][candidate]

    def by_site(self, score: str) -> dict[str, NDArray[np.float64]]:
        """Test site -> the score of each seed, seeds ascending."""
        sites = dict.fromkeys(site for site, _ in self.values)
        return {
            site: np.array([self.values[key][score] for key in sorted(self.values) if key[0] == site])
            for site in sites
        }


def make_board(comparison: Comparison, cells: Sequence[Cell], results: Mapping[str, Result]) -> Board:
    """Compute the leaderboard.

    Args:
        comparison: What was asked for.
        cells: Finished ones: of a fold and seed all models or none.
        results: Name of a cell -> what it scores.
    """
    tallies = {tally.name: tally for tally in _tallies(comparison, cells, results)}
    scoring = comparison.scoring
    names = tuple(scoring.columns)
    rows = sorted(
        (_row(tally, names) for tally in tallies.values()),
        key=lambda row: _rank(row.scores[scoring.first].mean),
    )
    return Board(
        stands_on=_stands_on(comparison, cells),
        dataset=str(comparison.dataset.root),
        class_name=scoring.class_name,
        baseline=comparison.baseline,
        scores={**scoring.columns},
        thresholds_from_validation=all(results[cell.name].chosen for cell in cells),
        sites=tuple(sorted({site for tally in tallies.values() for site, _ in tally.values})),
        seeds=tuple(sorted({cell.seed for cell in cells})),
        cells=CellCount(finished=len(cells), planned=len(comparison.cells())),
        models={
            model.name: ModelRecord(stage=model.stage, settings=model.settings.model_dump(mode="json"))
            for model in comparison.models
        },
        rows=tuple(rows),
        paired=tuple(_pairs(comparison, cells, results, tallies)),
    )


def _tallies(comparison: Comparison, cells: Sequence[Cell], results: Mapping[str, Result]) -> Iterable[Tally]:
    """One a model; one a control and group; the trivial ones once."""
    tallies = {
        model.name: Tally(model.name, "model", model.controls, Candidate.FUSED) for model in comparison.models
    }
    leaders = _leaders(comparison)
    names = names_of((), comparison.scoring.class_name or "")
    for cell in cells:
        result, model = results[cell.name], cell.model
        tally = tallies[model.name]
        tally.minutes.append(result.minutes)
        tally.parameters = result.parameters
        tally.diverged += result.diverged
        tally.add(cell, result, result.candidate)
        if leaders.get(model.controls) == model.name:
            for candidate in (Candidate.DATES, *UNTRAINED):
                kind: Kind = "date" if candidate == Candidate.DATES else "control"
                name = _control(comparison, model.controls, candidate)
                control = Tally(name, kind, model.controls, candidate)
                tallies.setdefault(name, control).add(cell, result, candidate)
        if model.name == comparison.models[0].name:
            for candidate in comparison.scoring.trivial:
                name = names[candidate]
                trivial = Tally(name, "trivial", "", candidate)
                tallies.setdefault(name, trivial).add(cell, result, candidate)
    return tallies.values()


def _leaders(comparison: Comparison) -> dict[str, str]:
    """Group -> its first model, whose cells give the controls; none for whole series."""
    return {m.controls: m.name for m in reversed(comparison.models) if not m.whole_series}


def label_of(candidate: Candidate) -> str:
    """What a control is called, whichever model's maps it is made from."""
    return "one date" if candidate == Candidate.DATES else candidate.value


def _control(comparison: Comparison, group: str, candidate: Candidate) -> str:
    """Name of a group's control; the group is called by its first model if there are several."""
    leaders = _leaders(comparison)
    name = label_of(candidate)
    return name if len(leaders) == 1 else f"{name} of {leaders[group]}"


def _pairs(
    comparison: Comparison,
    cells: Sequence[Cell],
    results: Mapping[str, Result],
    tallies: Mapping[str, Tally],
) -> Iterable[BoardPair]:
    """Every model against one date, its best control and the baseline."""
    names = tuple(comparison.scoring.columns)
    controls = {group: _best_control(cells, results, group) for group in _leaders(comparison)}
    first = next((model.controls for model in comparison.models if not model.whole_series), None)
    for model in comparison.models:
        # A network for whole series has no PMaps to fuse: the first U-Net's stand in.
        group = model.controls if model.controls in controls else first
        ours = tallies[model.name]
        if group is not None:
            candidate, split = controls[group]
            date = tallies[_control(comparison, group, Candidate.DATES)]
            yield paired(ours, date, names, "one date")
            control = tallies[_control(comparison, group, candidate)]
            yield paired(ours, control, names, "best control", split)
        if model.name != comparison.baseline:
            yield paired(ours, tallies[comparison.baseline], names, "baseline")


def _best_control(cells: Sequence[Cell], results: Mapping[str, Result], group: str) -> tuple[Candidate, str]:
    """The fusion without training that has the best score, and the split that says so.

    Validation chooses. Without validation sites the test sites do, which favours the control.
    """
    cells = [cell for cell in cells if cell.model.controls == group]
    members, first = [results[cell.name] for cell in cells], cells[0].scoring.first
    split = "validation" if all(result.chosen for result in members) else "test"
    means: dict[Candidate, float] = {}
    for candidate in UNTRAINED:
        if split == "validation":
            values = [result.chosen[candidate] for result in members]
        else:
            values = [site[candidate][first] for result in members for site in result.sites.values()]
        means[candidate] = float(np.nan_to_num(np.mean(values)))
    return max(means, key=lambda candidate: means[candidate]), split


def _row(tally: Tally, names: Sequence[str]) -> BoardRow:
    by_score = {score: tally.by_site(score) for score in names}
    return BoardRow(
        name=tally.name,
        kind=tally.kind,
        candidate=tally.candidate,
        dates=tally.dates,
        minutes=round(float(np.mean(tally.minutes)), 2) if tally.minutes else None,
        parameters=tally.parameters or None,
        diverged=tally.diverged,
        scores={score: spread(tally, score, at) for at, score in enumerate(names)},
        sites={
            site: {score: float(sites[site].mean()) for score, sites in by_score.items()}
            for site in by_score[names[0]]
        },
    )


def spread(tally: Tally, score: str, at: int) -> Spread:
    """Mean over cities of the mean over seeds; its spread over seeds; its interval over blocks.

    A city that does not define the score (no label of the class) is left out.

    Args:
        tally: Of the row.
        score: Which.
        at: Its place among the samples.
    """
    sites = {site: values for site, values in tally.by_site(score).items() if np.isfinite(values).all()}
    if not sites:
        return Spread(mean=None, sd=None, ci=None)
    seeds = sorted({seed for _, seed in tally.values})
    complete = [s for s in seeds if all((site, s) in tally.values for site in sites)]
    by_seed = [np.mean([tally.values[site, s][score] for site in sites]) for s in complete]
    drawn = np.mean(
        [
            np.mean([tally.samples[key][:, at] for key in tally.samples if key[0] == site], axis=0)
            for site in sites
        ],
        axis=0,
    )
    return Spread(
        mean=np.mean([values.mean() for values in sites.values()]),
        sd=np.std(by_seed, ddof=1) if len(by_seed) > 1 else None,
        ci=interval(drawn.astype(np.float64)),
    )


def paired(
    tally: Tally,
    other: Tally,
    names: Sequence[str],
    role: Against,
    chosen_on: str | None = None,
) -> BoardPair:
    """What a model is better than another row by, with its interval over cities and seeds."""
    keys = [key for key in tally.values if key in other.values]
    return BoardPair(
        model=tally.name,
        minus=other.name,
        role=role,
        chosen_on=chosen_on,
        scores={score: _gain(tally, other, keys, score) for score in names},
    )


def _gain(tally: Tally, other: Tally, keys: Sequence[Key], score: str) -> Gain:
    apart = {
        site: np.array([tally.values[k][score] - other.values[k][score] for k in keys if k[0] == site])
        for site in dict.fromkeys(site for site, _ in keys)
    }
    groups = {site: values for site, values in apart.items() if np.isfinite(values).all()}
    if not groups:
        return Gain(difference=None, ci=None, sites={})
    means = {site: float(group.mean()) for site, group in groups.items()}
    drawn = None
    if len(keys) > 1:
        drawn = interval(nested_resample(list(groups.values()), DRAWS, 0))
    return Gain(difference=np.mean(list(means.values())), ci=drawn, sites=means)


def nested_resample(
    groups: Sequence[NDArray[np.float64]], resamples: int, seed: int | tuple[int, ...]
) -> NDArray[np.float64]:
    """Means over groups and their members, both drawn with replacement.

    A hierarchical bootstrap: each resample draws as many groups (cities) as there are, and in each
    group drawn as many members (trainings with other seeds) as it has. A group that is drawn twice
    draws its members anew. With a single group only its members vary.

    Args:
        groups: One array of values a group, each with one value or more.
        resamples: Number of resamples.
        seed: Same seed, same draws.

    Returns:
        (resamples,) the mean over the groups drawn of the mean over the members drawn.

    Source: A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application (1997),
    section 3.8, strategy "with replacement at both stages".
    """
    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(groups), size=(resamples, len(groups)))
    result = np.empty(drawn.shape)
    for index, members in enumerate(groups):
        where = drawn == index
        picks = generator.integers(len(members), size=(int(where.sum()), len(members)))
        result[where] = np.asarray(members, np.float64)[picks].mean(axis=1)
    means: NDArray[np.float64] = result.mean(axis=1)
    return means


def _rank(mean: float | None) -> float:
    return -mean if mean is not None else 1.0


def _stands_on(comparison: Comparison, cells: Sequence[Cell]) -> str:
    source = comparison.dataset.attribution or "data without a stated source"
    lengths = " or ".join(map(str, sorted({cell.dates for cell in cells})))
    sites = len({site for cell in cells for site in cell.test})
    seeds = len({cell.seed for cell in cells})
    plural = "s" if seeds > 1 else ""
    return f"{source}; test sites: {sites}, {seeds} seed{plural}, T = {lengths}"
