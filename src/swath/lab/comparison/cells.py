"""What COMPARISON.yaml asks for, as cells: a model, a fold, a seed. Nothing is trained here."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from shapely import box

from swath.dataset.catalog import read_dataset
from swath.dataset.site import Dataset, Site
from swath.errors import DatasetError, MissingExtraError, SettingsError
from swath.lab.comparison.pretraining import Pretraining
from swath.legend import LegendClass
from swath.models.registry import WholeSeries, architecture
from swath.schema import Frozen, first_problem, read_yaml
from swath.training.presets import PresetName, TrainSettings, change
from swath.training.runfolder import LONGEST_SERIES, plan_run, series_length

if TYPE_CHECKING:
    from swath.lab.baselines.methods import PixelSettings

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
"""Names become folders."""


OWN_SPLITS = "own"
"""Name of the fold that the dataset's own splits are."""

SHARED_GROUND = 0.01
"""Sites share no more than this share of the smaller one if they only touch."""

Run = dict[str, tuple[dt.date, ...]]
"""Held-out site -> the dates that are mapped as one series, oldest first."""


class PretrainEntry(Frozen):
    """What a network is trained on before the sites of its fold.

    Attributes:
        dataset: Another dataset, all of whose sites train; relative to the file.
        settings: What replaces the settings of the model for this first training.
    """

    dataset: str
    settings: dict[str, Any] = Field(default={})


class ModelEntry(Frozen):
    """A model of the comparison: a network, or a classical classifier of pixels.

    Attributes:
        name: How it is called in the leaderboard.
        preset: Of its training.
        settings: What replaces the preset's settings, as in `swath train --settings`; with a
            `method`, its `pixels` and `dates`.
        stage: `fcn` leaves the ConvLSTM out: the mean of the dates is then its map.
        method: A classical method in place of a network; has no preset and no stage.
        dataset: Another dataset than the comparison's, with the same sites and labels but other
            images (more bands, say); relative to the file.
        pretrain: Another training that comes first; its weights are where this one begins.
    """

    name: Name
    preset: PresetName = "best"
    settings: dict[str, Any] = Field(default={})
    stage: Literal["fcn", "all"] = "all"
    method: str | None = None
    dataset: str | None = None
    pretrain: PretrainEntry | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.method is not None and {"preset", "stage", "pretrain"} & self.model_fields_set:
            raise ValueError(f"method {self.method!r} has no preset, no stage and no pretrain")
        return self


class FoldEntry(Frozen):
    """One way to split the sites; those that are not named train.

    Attributes:
        name: Of the fold; None: its test sites.
        test: Sites that are scored.
        validation: Sites on which thresholds are chosen.
    """

    name: Name | None = None
    test: tuple[str, ...] = Field(min_length=1)
    validation: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name."""
        return self.name or "+".join(self.test)


class ComparisonFile(Frozen):
    """COMPARISON.yaml.

    Attributes:
        dataset: Folder made by `swath build`; relative to the file.
        models: What is compared.
        folds: Which sites are held out; a site is a test site of one fold only. None: one fold,
            the dataset's own splits, which may part a site.
        series: What is mapped of a held-out site: the `last` T dates, or one after the other `all`
            runs of T dates that follow each other, the oldest ones after the newest, so that every
            date is in T runs; scores are then their mean.
        until: Later dates are not mapped (they may be trained on), where labels age, say.
        seeds: One training a model, fold and seed.
        baseline: The model that all others are held against; None: the first.
        class_name: The class that is scored; None: the first of the foreground.
    """

    dataset: str
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    folds: tuple[FoldEntry, ...] = ()
    series: Literal["last", "all"] = "last"
    until: dt.date | None = None
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    baseline: str | None = None
    class_name: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for what, names in (
            ("model", [model.name for model in self.models]),
            ("fold", [fold.label for fold in self.folds]),
            ("test site", [site for fold in self.folds for site in fold.test]),
            ("seed", list(map(str, self.seeds))),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]!r} stands there twice")
        if self.baseline is not None and self.baseline not in {m.name for m in self.models}:
            raise ValueError(f"baseline {self.baseline!r} is none of the models")
        return self


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
    settings: "TrainSettings | PixelSettings"
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
        return isinstance(known, WholeSeries) and known.one_length

    @property
    def group(self) -> str:
        """The same for models whose first stage is the same."""
        decided_by = (
            self.settings.model_dump(mode="json")
            if self.network is None
            else self.network.of_first_stage()
        )
        first = [] if self.pretraining is None else self.pretraining.first_stage
        text = json.dumps([str(self.dataset.root), decided_by, *first], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def controls(self) -> str:
        """The same for models whose PMaps of dates, and number of dates, are the same."""
        orientations = 1 if self.network is None else self.network.orientations
        return f"{self.group}/{self.settings.dates}/{orientations}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One training, its maps and its scores.

    Attributes:
        model: What is trained.
        fold: Name of the fold.
        test: Sites that are scored.
        seed: Of the training.
        dataset: Split as the fold says.
        target: The class that is scored.
        series: As in the file.
        until: As in the file.
    """

    model: Model
    fold: str
    test: tuple[str, ...]
    seed: int
    dataset: Dataset
    target: LegendClass
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
            return series_length(self.dataset, self.model.network)
        sites = [*self.dataset.in_split("train"), *self.dataset.in_split("validation")]
        shortest = min(len(site.acquisitions) for site in sites)
        return min(shortest, self.model.settings.dates or LONGEST_SERIES)

    @property
    def held_out(self) -> tuple[Site, ...]:
        """The sites that are mapped: those with a part for validation or test."""
        return tuple(
            site for site in self.dataset.sites if {"validation", "test"} & set(site.splits)
        )

    def runs(self) -> tuple[Run, ...]:
        """What is mapped, run by run; a site with fewer runs than another repeats some.

        Raises:
            DatasetError: A site has too few dates.
        """
        found: dict[str, list[tuple[dt.date, ...]]] = {}
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
            found[site.name] = [tuple(sorted(around[at : at + length])) for at in starts]
        most = max(map(len, found.values()), default=0)
        return tuple(
            {name: runs[at * len(runs) // most] for name, runs in found.items()}
            for at in range(most)
        )

    @property
    def decided_by(self) -> dict[str, Any]:
        """Everything that decides its scores, as JSON."""
        run = plan_run(self.dataset, self.model.settings, self.seed)
        own = {"stage": self.model.stage, "test": list(self.test), "class": self.target.name}
        mapped: dict[str, Any] = {}  # only where asked for: older cells do not have them
        if self.series != "last":
            mapped["series"] = self.series
        if self.until is not None:
            mapped["until"] = str(self.until)
        before = self.model.pretraining
        pretrain = before and before.decided_by(self.model.stage, self.seed)
        return own | mapped | run | {"pretrain": pretrain}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison, checked against its dataset.

    Attributes:
        dataset: As built.
        target: The class that is scored.
        models: What is compared.
        folds: Fold -> its sites.
        seeds: Of the trainings.
        baseline: Name of the model that the others are held against.
        own_splits: Whether the one fold is what the dataset says.
        series: As in the file.
        until: As in the file.
    """

    dataset: Dataset
    target: LegendClass
    models: tuple[Model, ...]
    folds: tuple[FoldEntry, ...]
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
                    rest = (fold.test, seed, split, self.target, self.series, self.until)
                    yield tuple(Cell(model, fold.label, *rest) for model in models)

    def cells(self) -> tuple[Cell, ...]:
        """All cells."""
        return tuple(cell for job in self.jobs() for cell in job)


def read_comparison(path: Path) -> Comparison:
    """Read COMPARISON.yaml and check it against the dataset.

    Raises:
        SettingsError: The file breaks the format, or has settings that do not exist.
        DatasetError: A site that the dataset lacks, that is named twice in a fold or has too few
            dates, or a fold that leaves no site to train on.
    """
    file = read_yaml(path, ComparisonFile)
    dataset = read_dataset(path.parent / file.dataset)
    foreground = {c.name: c for c in dataset.legend.foreground}
    name = file.class_name or next(iter(foreground))
    if name not in foreground:
        raise SettingsError(
            f"{path}: class_name {name!r} is no class of the dataset; its classes are "
            f"{', '.join(foreground)}"
        )
    models = tuple(
        Model(
            m.name,
            _settings(m, path),
            m.stage,
            _dataset(m, path, dataset, own_splits=not file.folds),
            _pretraining(m.pretrain, m, path),
        )
        for m in file.models
    )
    for model in models:
        if model.network is not None and model.whole_series and model.stage == "fcn":
            raise SettingsError(
                f"{path}: model {model.name} is trained in one stage; leave its stage out"
            )
    found = Comparison(
        dataset,
        foreground[name],
        models,
        file.folds or (_own_fold(dataset, path),),
        file.seeds,
        file.baseline or models[0].name,
        not file.folds,
        file.series,
        file.until,
    )
    for cell in found.cells():
        if not cell.dataset.in_split("train"):
            raise DatasetError(f"{path}: fold {cell.fold} leaves no site to train on")
        _check_apart(cell, path)
        if cell.dates < 1:  # asked for here, so that a series too short is told before any training
            raise DatasetError(f"{path}: fold {cell.fold} has a site without images")
        if cell.model.pretraining is not None and cell.model.network is not None:
            cell.model.pretraining.check(cell.dataset, cell.model.network, cell.dates)
        cell.runs()  # too
    return found


def _check_apart(cell: Cell, path: Path) -> None:
    """Raise `DatasetError` where a site that trains lies over another one that is held out."""
    for held_out in cell.held_out:
        ground = box(*held_out.grid.lonlat_bounds)
        for site in cell.dataset.in_split("train"):
            other = box(*site.grid.lonlat_bounds)
            shared = ground.intersection(other).area
            if site.name != held_out.name and shared > SHARED_GROUND * min(ground.area, other.area):
                raise DatasetError(
                    f"{path}: fold {cell.fold} holds out {held_out.name!r}, and {site.name!r}, "
                    "which trains, lies over it; hold both out"
                )


def _own_fold(dataset: Dataset, path: Path) -> FoldEntry:
    """The dataset's own splits as a fold."""
    test, validation = (
        tuple(site.name for site in dataset.in_split(split)) for split in ("test", "validation")
    )
    if not test:
        raise DatasetError(
            f"{path} names no folds, and {dataset.root} has no test split; name the sites to hold "
            "out in `folds`"
        )
    return FoldEntry(name=OWN_SPLITS, test=test, validation=validation)


def _dataset(entry: ModelEntry, path: Path, common: Dataset, *, own_splits: bool) -> Dataset:
    """What a model sees: its own dataset, with the sites and labels of the common one.

    Where the datasets' own splits count, they must be the same as well.
    """
    if entry.dataset is None:
        return common
    own = read_dataset(path.parent / entry.dataset)
    if own.legend.names != common.legend.names:
        raise DatasetError(
            f"{path}: model {entry.name}: {own.root} has the classes {', '.join(own.legend.names)},"
            f" {common.root} {', '.join(common.legend.names)}; compare models on the same labels"
        )
    wanted, found = (
        {
            site.name: (site.grid, site.labels_sha256, site.regions if own_splits else ())
            for site in dataset.sites
        }
        for dataset in (common, own)
    )
    if differing := sorted(set(wanted.items()) ^ set(found.items()), key=lambda item: item[0]):
        raise DatasetError(
            f"{path}: model {entry.name}: site {differing[0][0]!r} of {own.root} has another grid, "
            f"other labels or other splits than in {common.root}; compare models on the same labels"
        )
    return own


def _pretraining(entry: PretrainEntry | None, model: ModelEntry, path: Path) -> Pretraining | None:
    """A model's pretraining: its own settings, with what the entry replaces."""
    if entry is None:
        return None
    settings = dict(model.settings)
    for key, value in entry.settings.items():
        nested = isinstance(value, dict) and isinstance(settings.get(key), dict)
        settings[key] = {**settings[key], **value} if nested else value
    source = f"{path}: pretrain of model {model.name}"
    data = read_dataset(path.parent / entry.dataset).resplit((), ())
    return Pretraining(data, change(model.preset, settings, source))


def _settings(entry: ModelEntry, path: Path) -> "TrainSettings | PixelSettings":
    """The settings of a model, checked."""
    source = f"{path}: model {entry.name}"
    if entry.method is None:
        return change(entry.preset, entry.settings, source)
    try:
        from swath.lab.baselines.methods import PixelSettings
    except ModuleNotFoundError as error:
        name = error.name or "scikit-learn"
        raise MissingExtraError(f"{source}: method {entry.method}", name, "baselines") from None
    try:
        return PixelSettings.model_validate({**entry.settings, "method": entry.method})
    except ValidationError as error:
        raise SettingsError(f"{source}: {first_problem(error)}") from None
