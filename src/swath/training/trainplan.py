"""What a training computes, as a value: data, settings, stage, seed, and what it begins with."""

from dataclasses import astuple, dataclass
from typing import Literal

from pydantic import JsonValue

from swath.dataset.site import Dataset
from swath.errors import DatasetError, SettingsError
from swath.keys import Decided
from swath.models.registry import WholeSeries, architecture
from swath.models.trained import check_finer
from swath.training.budget import Budget, BudgetedStage
from swath.training.presets import TrainSettings
from swath.training.start import Start

StageName = Literal["fcn", "rnn", "all"]

TRAINER = 2
"""Version of the code that trains, raised whenever a plan gives other weights than before: then no
run goes on and no stage is taken up that earlier code began."""

STAGE_WORDS = {"fcn": "U-Net", "rnn": "fusion", "series": "network for series"}
"""A network -> what people call it."""

LONGEST_SERIES = 3
"""Dates of a training series where the settings do not say: the paper's three, if they exist."""


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """All that decides what a training computes. Nothing is read or written here.

    Attributes:
        dataset: The images and labels, with their splits.
        settings: Usually a preset.
        stage: `fcn` stops after the network for one image; `rnn` adds the fusion to a run that has
            that network; `all` trains both.
        seed: The same seed on the same machine gives the same weights.
        start: Another run, whose weights the networks begin with; None: random ones.
        budget: What all stages may cost together; None: as the settings say.
    """

    dataset: Dataset
    settings: TrainSettings
    stage: StageName = "all"
    seed: int = 0
    start: Start | None = None
    budget: Budget | None = None

    @property
    def budgeted(self) -> tuple[BudgetedStage, ...]:
        """The stages that share a budget, as the settings call them."""
        return ("fcn",) if self.whole_series else ("fcn", "rnn")

    @property
    def whole_series(self) -> bool:
        """Whether one network is trained, end to end on series."""
        return isinstance(architecture(self.settings.model), WholeSeries)

    @property
    def dates(self) -> int:
        """T of the series that are learnt from; 1 for a network for one image alone."""
        return 1 if self.stage == "fcn" else series_length(self.dataset, self.settings.dates)

    @property
    def decided(self) -> Decided:
        """What decides the run, whichever of its stages are trained."""
        fields: dict[str, JsonValue] = {
            "settings": self.settings.model_dump(mode="json"),
            "seed": self.seed,
            **decided_by_data(self.dataset),
            "start": {**self.start.hashes} if self.start else None,
        }
        if self.budget is not None:
            fields["budget"] = self.budget.record
        return Decided("run", TRAINER, fields)

    def check(self) -> None:
        """Check that the parts fit one another.

        Raises:
            DatasetError: No training site, or one with too few dates.
            ModelError: Labels that are finer than the model can map.
            SettingsError: A stage that the model does not have, or a start that does not fit.
        """
        if self.whole_series and self.stage != "all":
            raise SettingsError(
                f"model {self.settings.model!r} is trained in one stage: it has no stage "
                f"{self.stage!r} of its own"
            )
        if self.budget is not None and self.stage != "all":
            raise SettingsError(f"a budget of minutes or steps is for all stages; got stage {self.stage!r}")
        check_finer(self.settings.model, self.dataset.finer)
        _ = self.dates
        if self.start is not None:
            self.start.check(self.dataset, self.settings)


def decided_by_data(dataset: Dataset) -> dict[str, JsonValue]:
    """What of a dataset decides a training: its files, its splits, the parts of parted sites."""
    fields: dict[str, JsonValue] = {
        "splits": {split: list[JsonValue](names) for split, names in dataset.splits.items()},
        "data": {**dataset.hashes},
    }
    regions: dict[str, JsonValue] = {
        site.name: {s: [list(astuple(window)) for window in site.windows(s)] for s in site.splits}
        for site in dataset.sites
        if len(site.splits) > 1
    }
    return fields | ({"regions": regions} if regions else {})


def series_length(dataset: Dataset, dates: int | None) -> int:
    """T for the fusion, checked against what the training and validation sites have.

    Args:
        dataset: With its splits.
        dates: What the settings ask for; None: what there is, at most `LONGEST_SERIES`.

    Raises:
        DatasetError: No training site, or one with too few dates.
    """
    sites = [*dataset.in_split("train"), *dataset.in_split("validation")]
    if not sites:
        raise DatasetError(f"{dataset.root} has no training site; name one in the sites file")
    shortest = min(sites, key=lambda site: len(site.acquisitions))
    have = len(shortest.acquisitions)
    if have < 2:
        raise DatasetError(
            f"site {shortest.name!r} has one date only; the fusion needs a series of two or "
            "more: add scenes, or train the U-Net alone (stage fcn)"
        )
    wanted = dates or min(have, LONGEST_SERIES)
    if wanted > have:
        raise DatasetError(
            f"site {shortest.name!r} has {have} dates, the settings ask for series of {wanted}; "
            "add scenes or ask for fewer dates"
        )
    return wanted
