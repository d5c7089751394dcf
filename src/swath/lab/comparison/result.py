"""What a finished cell leaves: its record, its scores, and their samples over blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, JsonValue

from swath.errors import DatasetError
from swath.evaluation.candidate import UNTRAINED, Candidate, CandidateOrDate
from swath.evaluation.measurement import POOLED, RESAMPLES
from swath.files import finite, replacing
from swath.lab.comparison.cells import Cell
from swath.lab.comparison.scoring import ScoredUnit
from swath.validation import read_model

RECORD = "cell.json"
SAMPLES = "samples.npz"

Values = dict[str, float]
"""Score of the leaderboard -> value; NaN where it is not defined."""

StoredValues = dict[str, float | None]
"""The same as JSON: None where it is not defined."""

StoredSites = dict[str, dict[str, StoredValues]]
"""Test site -> candidate -> scores."""


class RunRecord(BaseModel):
    """One of several series of a cell.

    Attributes:
        dates: Held-out site -> days that were mapped.
        sites: Test site -> candidate -> scores.
    """

    dates: dict[str, list[str]]
    sites: StoredSites


class CellRecord(BaseModel):
    """What `cell.json` holds.

    Attributes:
        decided_by: What decided it.
        candidate: Which one is the cell's model: the fused map, or the mean of the dates.
        dates: T of its maps.
        seconds: Step -> wall time; a shared first stage counts in every cell that uses it.
        parameters: Trained weights of all networks; 0 for a classical method.
        diverged: Whether a training ended in numbers that are not finite.
        sites: Test site -> candidate -> scores, means over the runs.
        candidates: The order of the candidates in the samples.
        chosen: Control -> the score that ranks, on the validation sites; empty without any.
        runs: Each series by itself, where there are several.
    """

    model_config = ConfigDict(frozen=True)

    decided_by: dict[str, JsonValue]
    candidate: str
    dates: int
    seconds: dict[str, float]
    parameters: int
    diverged: bool
    sites: StoredSites
    candidates: list[str]
    chosen: dict[str, float]
    runs: tuple[RunRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """A finished cell, as the leaderboard reads it.

    Attributes:
        candidate: Which one is the cell's model: the fused map, or the mean of the dates.
        sites: Test site -> candidate -> scores.
        samples: Test site -> candidate -> (resamples, the board's scores) over resampled blocks of
            the site; NaN where there are none.
        chosen: Control -> the score that ranks, on the validation sites; empty without any.
        seconds: Step -> wall time; a shared first stage counts in every cell that uses it.
        parameters: Trained weights of all networks; 0 for a classical method.
        diverged: Whether a training ended in numbers that are not finite.
    """

    candidate: str
    sites: dict[str, dict[str, Values]]
    samples: dict[str, dict[str, NDArray[np.float32]]]
    chosen: dict[str, float]
    seconds: dict[str, float]
    parameters: int
    diverged: bool

    @property
    def minutes(self) -> float:
        """Wall time of the training."""
        return sum(self.seconds[step] for step in self.seconds if step not in ("map", "score")) / 60


def read_result(folder: Path) -> Result:
    """Read a finished cell.

    Raises:
        InputError: The cell's record is missing or unreadable.
    """
    record = read_model(folder / RECORD, CellRecord)
    with np.load(folder / SAMPLES, allow_pickle=False) as stored:
        samples: NDArray[np.float32] = stored["samples"]
    return Result(
        record.candidate,
        {
            site: {name: _numbers(values) for name, values in candidates.items()}
            for site, candidates in record.sites.items()
        },
        {site: dict(zip(record.candidates, samples[i], strict=True)) for i, site in enumerate(record.sites)},
        record.chosen,
        record.seconds,
        record.parameters,
        record.diverged,
    )


def _numbers(values: StoredValues) -> Values:
    return {score: np.nan if value is None else value for score, value in values.items()}


def sites_of_run(cell: Cell, units: Sequence[ScoredUnit]) -> StoredSites:
    """Test site -> candidate -> scores of one run.

    Raises:
        DatasetError: A test site without a labelled pixel.
    """
    names = candidates_of_run(cell, units)
    test = {unit.site: unit.scores for unit in units if unit.split == "test"}
    return {
        site: {
            str(name): {score: finite(it.value) for score, it in test[site][name].items()} for name in names
        }
        for site in cell.test
    }


def candidates_of_run(cell: Cell, units: Sequence[ScoredUnit]) -> list[CandidateOrDate]:
    """What all test sites have. They differ in dates, so single ones are no rows; their mean is.

    Raises:
        DatasetError: A test site without a labelled pixel.
    """
    test = {unit.site: unit.scores for unit in units if unit.split == "test"}
    empty = [site for site in cell.test if site not in test]
    if empty:
        raise DatasetError(f"test site {empty[0]!r} has no labelled pixel under its map")
    return [name for name in test[cell.test[0]] if all(name in test[site] for site in cell.test)]


def shared_candidates(cell: Cell, runs: Sequence[Sequence[ScoredUnit]]) -> list[CandidateOrDate]:
    """What all runs have: those of several dates have other single dates."""
    every = [candidates_of_run(cell, units) for units in runs]
    return [name for name in every[0] if all(name in names for names in every)]


def mean_of_runs(
    cell: Cell, runs: Sequence[Sequence[ScoredUnit]], candidates: Sequence[CandidateOrDate]
) -> StoredSites:
    """Test site -> candidate -> scores, means over runs."""
    by_run = [sites_of_run(cell, units) for units in runs]
    return {
        site: {str(name): _mean([run[site][str(name)] for run in by_run]) for name in candidates}
        for site in cell.test
    }


def write_samples(
    folder: Path, cell: Cell, runs: Sequence[Sequence[ScoredUnit]], candidates: Sequence[CandidateOrDate]
) -> None:
    """Write (test sites, candidates, resamples, scores) float32, means over runs, as npz."""
    shape = (len(cell.test), len(candidates), RESAMPLES, len(cell.scoring.columns))
    samples = np.full(shape, np.nan, np.float32)
    for i, site in enumerate(cell.test):
        for j, name in enumerate(candidates):
            samples[i, j] = np.mean([_samples(cell, units, site, name) for units in runs], axis=0)
    with replacing(folder / SAMPLES) as temporary:
        np.savez_compressed(temporary, samples=samples)


def chosen_on_validation(cell: Cell, runs: Sequence[Sequence[ScoredUnit]]) -> dict[str, float]:
    """Control -> the score that ranks, on the validation sites, mean over runs; empty without any."""
    by_control: dict[str, list[float]] = {}
    for units in runs:
        for unit in units:
            if (unit.split, unit.site) == ("validation", POOLED):
                values = {name: unit.scores[name][cell.scoring.first].value for name in UNTRAINED}
                if np.isfinite(values[Candidate.MEAN]):
                    for name, value in values.items():
                        by_control.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in by_control.items()}


def _samples(
    cell: Cell, units: Sequence[ScoredUnit], site: str, candidate: CandidateOrDate
) -> NDArray[np.float32]:
    """(resamples, scores) of a candidate on a test site; NaN where there are none."""
    (unit,) = (unit for unit in units if (unit.split, unit.site) == ("test", site))
    samples = np.full((RESAMPLES, len(cell.scoring.columns)), np.nan, np.float32)
    for k, name in enumerate(cell.scoring.columns):
        if (drawn := unit.scores[candidate][name].samples) is not None:
            samples[:, k] = drawn
    return samples


def _mean(runs: Sequence[Mapping[str, float | None]]) -> StoredValues:
    """Score -> mean over runs; None where a run does not define it."""
    return {
        score: None
        if any(run[score] is None for run in runs)
        else float(np.mean([run[score] for run in runs if run[score] is not None]))
        for score in runs[0]
    }
