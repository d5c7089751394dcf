"""COMPARISON.yaml: what it may say; and what it asks for, checked against its datasets."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, ValidationError, model_validator
from shapely import box

from swath.dataset.catalog import read_dataset
from swath.dataset.site import Dataset
from swath.errors import DatasetError, SettingsError
from swath.extras import need_extras
from swath.grid import Grid
from swath.lab.baselines.settings import PixelSettings
from swath.lab.comparison.cells import Cell, Comparison, Fold, Model
from swath.lab.comparison.pretraining import Pretraining
from swath.lab.comparison.scoring import Scoring
from swath.training.presets import PresetName, TrainSettings, change, preset
from swath.validation import Frozen, Seed, first_problem, read_yaml

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]
"""Names become folders."""

OWN_SPLITS = "own"
"""Name of the fold that the dataset's own splits are."""

SHARED_GROUND = 0.01
"""Sites share no more than this share of the smaller one if they only touch."""


class PretrainEntry(Frozen):
    """What a network is trained on before the sites of its fold.

    Attributes:
        dataset: Another dataset, all of whose sites train; relative to the file.
        settings: What replaces the settings of the model for this first training.
    """

    dataset: str
    settings: dict[str, JsonValue] = Field(default={})


class ModelEntry(Frozen):
    """A model of the comparison: a network, or a classical classifier of pixels.

    Attributes:
        name: How it is called in the leaderboard.
        preset: Of its training.
        settings: What replaces the preset's settings, as in `swath train --settings`; with a
            `method`, its `pixels` and `dates`.
        stage: `fcn` leaves the fusion out: the mean of the dates is then its map.
        method: A classical method in place of a network; has no preset and no stage.
        dataset: Another dataset than the comparison's, with the same sites and labels but other
            images (more bands, say); relative to the file.
        pretrain: Another training that comes first; its weights are where this one begins.
    """

    name: Name
    preset: PresetName = "best"
    settings: dict[str, JsonValue] = Field(default={})
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
        class_name: The class that is scored; None: of two classes the foreground, of more the map of
            all of them.
    """

    dataset: str
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    folds: tuple[FoldEntry, ...] = ()
    series: Literal["last", "all"] = "last"
    until: dt.date | None = None
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
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


def read_comparison(path: Path) -> Comparison:
    """Read COMPARISON.yaml and check it against the dataset.

    Raises:
        SettingsError: The file breaks the format, or has settings that do not exist.
        DatasetError: A site that the dataset lacks, that is named twice in a fold or has too few
            dates, or a fold that leaves no site to train on.
    """
    file = read_yaml(path, ComparisonFile)
    dataset = read_dataset(path.parent / file.dataset)
    comparison = Comparison(
        dataset,
        _scoring(file, dataset, path),
        tuple(_model(entry, file, dataset, path) for entry in file.models),
        tuple(Fold(fold.label, fold.test, fold.validation) for fold in file.folds)
        or (_own_fold(dataset, path),),
        file.seeds,
        file.baseline or file.models[0].name,
        not file.folds,
        file.series,
        file.until,
    )
    for cell in comparison.cells():
        _check_cell(cell, path)
    return comparison


def _scoring(file: ComparisonFile, dataset: Dataset, path: Path) -> Scoring:
    """The class that is scored, or all."""
    legend = dataset.legend
    if file.class_name is None and len(legend.classes) > 2:
        return Scoring(legend, None)
    foreground = {c.name: c for c in legend.foreground}
    name = file.class_name or next(iter(foreground))
    if name not in foreground:
        raise SettingsError(
            f"{path}: class_name {name!r} is no class of the dataset; its classes are {', '.join(foreground)}"
        )
    return Scoring(legend, foreground[name])


def _model(entry: ModelEntry, file: ComparisonFile, common: Dataset, path: Path) -> Model:
    """A model with its settings resolved."""
    settings = _settings(entry, path)
    model = Model(
        entry.name,
        settings,
        entry.stage,
        _dataset(entry, path, common, own_splits=not file.folds),
        _pretraining(entry, settings, path),
    )
    if model.network is not None and model.whole_series and model.stage == "fcn":
        raise SettingsError(f"{path}: model {model.name} is trained in one stage; leave its stage out")
    return model


def _check_cell(cell: Cell, path: Path) -> None:
    """Tell before any training what would go wrong after hours."""
    if not cell.dataset.in_split("train"):
        raise DatasetError(f"{path}: fold {cell.fold} leaves no site to train on")
    check_apart(cell, path)
    if cell.dates < 1:
        raise DatasetError(f"{path}: fold {cell.fold} has a site without images")
    if cell.model.pretraining is not None and cell.model.network is not None:
        cell.model.pretraining.check(cell.dataset, cell.model.network, cell.dates)
    cell.runs()


def check_apart(cell: Cell, path: Path) -> None:
    """Raise `DatasetError` where a site that trains lies over another one that is held out."""
    for held_out in cell.held_out:
        for site in cell.dataset.in_split("train"):
            if site.name != held_out.name and _shared_share(held_out.grid, site.grid) > SHARED_GROUND:
                raise DatasetError(
                    f"{path}: fold {cell.fold} holds out {held_out.name!r}, and {site.name!r}, "
                    "which trains, lies over it; hold both out"
                )


def _shared_share(grid: Grid, other: Grid) -> float:
    """How much of the smaller of two grids lies under the other, 0..1; at most so much, in degrees.

    Boxes in degrees around grids that are turned against north are wider than these, so neighbours
    with one coordinate system are compared in it.
    """
    same = grid.crs == other.crs
    one, two = (box(*(g.bounds if same else g.lonlat_bounds)) for g in (grid, other))
    return float(one.intersection(two).area / min(one.area, two.area))


def _own_fold(dataset: Dataset, path: Path) -> Fold:
    """The dataset's own splits as a fold."""
    test, validation = (
        tuple(site.name for site in dataset.in_split(split)) for split in ("test", "validation")
    )
    if not test:
        raise DatasetError(
            f"{path} names no folds, and {dataset.root} has no test split; name the sites to hold "
            "out in `folds`"
        )
    return Fold(OWN_SPLITS, test, validation)


def _dataset(entry: ModelEntry, path: Path, common: Dataset, *, own_splits: bool) -> Dataset:
    """What a model sees: its own dataset, with the sites and labels of the common one.

    Where the datasets' own splits count, they must be the same as well.
    """
    if entry.dataset is None:
        return common
    other = read_dataset(path.parent / entry.dataset)
    if other.legend.names != common.legend.names:
        raise DatasetError(
            f"{path}: model {entry.name}: {other.root} has the classes "
            f"{', '.join(other.legend.names)}, {common.root} {', '.join(common.legend.names)}; "
            "compare models on the same labels"
        )
    wanted, given = (
        {
            site.name: (site.grid, site.labels_sha256, site.regions if own_splits else ())
            for site in dataset.sites
        }
        for dataset in (common, other)
    )
    if differing := sorted(set(wanted.items()) ^ set(given.items()), key=lambda item: item[0]):
        raise DatasetError(
            f"{path}: model {entry.name}: site {differing[0][0]!r} of {other.root} has another "
            f"grid, other labels or other splits than in {common.root}; compare models on the same "
            "labels"
        )
    return other


def _pretraining(
    entry: ModelEntry, settings: TrainSettings | PixelSettings, path: Path
) -> Pretraining | None:
    """A model's pretraining: its own settings, with what the entry replaces."""
    if entry.pretrain is None or isinstance(settings, PixelSettings):
        return None
    source = f"{path}: pretrain of model {entry.name}"
    dataset = read_dataset(path.parent / entry.pretrain.dataset).resplit((), ())
    return Pretraining(dataset, change(settings, entry.pretrain.settings, source))


def _settings(entry: ModelEntry, path: Path) -> TrainSettings | PixelSettings:
    """The settings of a model, checked."""
    source = f"{path}: model {entry.name}"
    if entry.method is None:
        return change(preset(entry.preset), entry.settings, source)
    need_extras(f"{source}: method {entry.method}", "baselines")
    try:
        return PixelSettings.model_validate({**entry.settings, "method": entry.method})
    except ValidationError as error:
        raise SettingsError(f"{source}: {first_problem(error)}") from None
