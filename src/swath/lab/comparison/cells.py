"""The cells of a comparison: a model, a fold, a seed. Nothing is trained here."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from swath.dataset.site import Dataset, Site
from swath.errors import DatasetError
from swath.keys import Decided
from swath.lab.baselines.settings import CLASSIFIER, PixelSettings
from swath.lab.comparison.pretraining import Pretraining
from swath.lab.comparison.scoring import Scoring
from swath.lab.comparison.stagestore import settings_of_first_stage
from swath.models.registry import WholeSeries, architecture
from swath.training.presets import TrainSettings
from swath.training.trainplan import (
    LONGEST_SERIES,
    TRAINER,
    TrainPlan,
    decided_by_data,
    series_length,
)

CELL = 1
"""Version of the code that maps and scores, raised when the same training gets other scores."""

Run = dict[str, tuple[dt.date, ...]]
"""Held-out site -> the dates that are mapped as one series, oldest first."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model with its settings resolved.

    Attributes:
        name: In the leaderboard.
        settings: Of its training.
        stage: `fcn` or `all`.
        dataset: What it sees.
        pretraining: What it sees before; None: it begins with random weights.
    """

    name: str
    settings: TrainSettings | PixelSettings
    stage: Literal["fcn", "all"]
    dataset: Dataset
    pretraining: Pretraining | None = None

    @property
    def network(self) -> TrainSettings | None:
        """Settings of the training of a network; None for a classical classifier."""
        return self.settings if isinstance(self.settings, TrainSettings) else None

    @property
    def whole_series(self) -> bool:
        """Whether the series is mapped at once, so that there are no PMaps of dates to fuse."""
        return self.network is None or isinstance(architecture(self.network.model), WholeSeries)

    @property
    def roots(self) -> tuple[Path, ...]:
        """Folders of the datasets that it reads."""
        before = () if self.pretraining is None else (self.pretraining.dataset.root,)
        return (self.dataset.root, *before)

    @property
    def takes_one_length(self) -> bool:
        """Whether it maps series of the length that it learnt from only."""
        if self.network is None:
            return True
        known = architecture(self.network.model)
        return isinstance(known, WholeSeries) and known.series.one_length

    @property
    def group(self) -> str:
        """The same for models whose first stage is the same."""
        fields: dict[str, JsonValue] = {
            "dataset": str(self.dataset.root),
            "settings": (
                self.settings.model_dump(mode="json")
                if self.network is None
                else settings_of_first_stage(self.network)
            ),
            "pretraining": self.pretraining.first_stage if self.pretraining else None,
        }
        return Decided("first stages", TRAINER, fields).key[:16]

    @property
    def controls(self) -> str:
        """The same for models whose PMaps of dates, and number of dates, are the same."""
        orientations = 1 if self.network is None else self.network.orientations
        return f"{self.group}/{self.settings.dates}/{orientations}"


@dataclass(frozen=True, slots=True)
class Fold:
    """One way to split the sites; those that are not named train.

    Attributes:
        name: Of the fold.
        test: Sites that are scored.
        validation: Sites on which thresholds are chosen.
    """

    name: str
    test: tuple[str, ...]
    validation: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One training, its maps and its scores.

    Attributes:
        model: What is trained.
        fold: Name of the fold.
        test: Sites that are scored.
        seed: Of the training.
        dataset: Split as the fold says.
        scoring: What is compared.
        series: As in the file.
        until: As in the file.
    """

    model: Model
    fold: str
    test: tuple[str, ...]
    seed: int
    dataset: Dataset
    scoring: Scoring
    series: Literal["last", "all"]
    until: dt.date | None

    @property
    def name(self) -> str:
        """Its folder below OUT/cells."""
        return f"{self.model.name}/{self.fold}/seed-{self.seed}"

    @property
    def dates(self) -> int:
        """T, how many dates of a site are mapped.

        Raises:
            DatasetError: A site has too few.
        """
        if self.model.stage == "all" and self.model.network is not None:
            return series_length(self.dataset, self.model.settings.dates)
        sites = [*self.dataset.in_split("train"), *self.dataset.in_split("validation")]
        shortest = min(len(site.acquisitions) for site in sites)
        return min(shortest, self.model.settings.dates or LONGEST_SERIES)

    @property
    def held_out(self) -> tuple[Site, ...]:
        """The sites that are mapped: those with a part for validation or test."""
        return tuple(site for site in self.dataset.sites if {"validation", "test"} & set(site.splits))

    def runs(self) -> tuple[Run, ...]:
        """What is mapped, run by run; a site with fewer runs than another repeats some.

        Raises:
            DatasetError: A site has too few dates.
        """
        runs: dict[str, list[tuple[dt.date, ...]]] = {}
        for site in self.held_out:
            days = [day for day in site.dates if self.until is None or day <= self.until]
            # A site may have fewer dates than T where the model takes any number.
            length = min(self.dates, len(days))
            if self.until is not None or self.model.takes_one_length:
                length = self.dates
            if not days or length > len(days):
                raise DatasetError(
                    f"site {site.name!r} has {len(days)} dates to map, a series of {length} was "
                    "asked for; ask for fewer dates, or for a later `until`"
                )
            starts = [len(days) - length]
            if self.series == "all" and length < len(days):
                starts = list(range(len(days)))
            around = [*days, *days]
            runs[site.name] = [tuple(sorted(around[at : at + length])) for at in starts]
        most = max(map(len, runs.values()), default=0)
        return tuple(
            {name: series[at * len(series) // most] for name, series in runs.items()} for at in range(most)
        )

    @property
    def plan(self) -> TrainPlan:
        """The training of a network on this fold, but for the weights that it may begin with."""
        assert self.model.network is not None
        return TrainPlan(self.dataset, self.model.network, self.model.stage, self.seed)

    @property
    def decided(self) -> Decided:
        """Everything that decides its scores."""
        before = self.model.pretraining
        fields: dict[str, JsonValue] = {
            "trainer": CLASSIFIER if self.model.network is None else TRAINER,
            "stage": self.model.stage,
            "test": list(self.test),
            "class": self.scoring.class_name,
            "settings": self.model.settings.model_dump(mode="json"),
            "seed": self.seed,
            **decided_by_data(self.dataset),
            "pretrain": before.decided(self.model.stage, self.seed).json() if before else None,
        }
        # Only where asked for, so that nothing else decides the usual cell.
        if self.series != "last":
            fields["series"] = self.series
        if self.until is not None:
            fields["until"] = str(self.until)
        return Decided("cell", CELL, fields)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison, checked against its dataset.

    Attributes:
        dataset: As built.
        scoring: What is compared.
        models: What is compared.
        folds: Fold -> its sites.
        seeds: Of the trainings.
        baseline: Name of the model that the others are held against.
        own_splits: Whether the one fold is what the dataset says.
        series: As in the file.
        until: As in the file.
    """

    dataset: Dataset
    scoring: Scoring
    models: tuple[Model, ...]
    folds: tuple[Fold, ...]
    seeds: tuple[int, ...]
    baseline: str
    own_splits: bool
    series: Literal["last", "all"]
    until: dt.date | None

    def jobs(self) -> Iterator[tuple[Cell, ...]]:
        """The cells, those that share a first stage together; all models of a seed come early."""
        groups: dict[str, list[Model]] = {}
        for model in self.models:
            groups.setdefault(model.group, []).append(model)
        for seed in self.seeds:
            for fold in self.folds:
                for models in groups.values():
                    split = models[0].dataset
                    if not self.own_splits:
                        split = split.resplit(fold.validation, fold.test)
                    rest = (fold.test, seed, split, self.scoring, self.series, self.until)
                    yield tuple(Cell(model, fold.name, *rest) for model in models)

    def cells(self) -> tuple[Cell, ...]:
        """All cells."""
        return tuple(cell for job in self.jobs() for cell in job)
