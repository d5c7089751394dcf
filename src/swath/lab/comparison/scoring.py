"""What is compared of a map: one class at thresholds, or all its classes, one decision a pixel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.dataset.site import Dataset
from swath.evaluation.agreement import ClassUnit
from swath.evaluation.candidate import Candidate, CandidateOrDate
from swath.evaluation.evaluate import score_class, score_classes
from swath.evaluation.evidence import Rule
from swath.evaluation.measurement import Unit
from swath.evaluation.truth import truths_of_dataset
from swath.legend import Legend, LegendClass
from swath.maps.sitemaps import SiteMaps
from swath.validation import Written

CLASS_IOU = "iou_"
"""Scores of a class of many are called so, and by its name."""


class Column(Written):
    """A column of the leaderboard.

    Attributes:
        score: Of the report.
        threshold: Its threshold rule (0.5 without validation); None: the likeliest class is mapped.
        heading: What tables call it.
        plotted: Whether it has a panel in the figure, and a table of the test sites.
        paired: Whether differences are shown in it.
    """

    score: str
    threshold: Rule | None
    heading: str
    plotted: bool = False
    paired: bool = False


ONE_CLASS: Mapping[str, Column] = {
    "pr_auc": Column(score="pr_auc", threshold="half", heading="PR-AUC", plotted=True, paired=True),
    "line_f1_2": Column(
        score="line_f1_2", threshold="validation", heading="line F1, 2 px", plotted=True, paired=True
    ),
    "iou": Column(
        score="iou", threshold="validation", heading="IoU, validation threshold", plotted=True, paired=True
    ),
    "iou_scene": Column(
        score="iou", threshold="scene", heading="IoU, the scene's own threshold", paired=True
    ),
    "iou_half": Column(score="iou", threshold="half", heading="IoU, 0.5"),
    "ece": Column(score="ece", threshold="half", heading="ECE"),
    "accuracy": Column(score="accuracy", threshold="half", heading="accuracy, 0.5"),
}


@dataclass(frozen=True, slots=True)
class Score:
    """A score, NaN where it is not defined, and its (resamples,) samples over blocks, if any."""

    value: float
    samples: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class ScoredUnit:
    """A split's site, or its sites pooled: candidate -> column -> its score."""

    split: str
    site: str
    scores: Mapping[CandidateOrDate, Mapping[str, Score]]


@dataclass(frozen=True, slots=True)
class Scoring:
    """What is compared.

    Attributes:
        legend: Of the maps.
        target: The class that is scored; None: all classes of maps of many.
    """

    legend: Legend
    target: LegendClass | None

    @property
    def class_name(self) -> str | None:
        """Of the class that is scored."""
        return None if self.target is None else self.target.name

    @property
    def columns(self) -> Mapping[str, Column]:
        """The leaderboard's; rows are ranked, and the best control is chosen, by the first."""
        if self.target is not None:
            return ONE_CLASS
        whole = {"mean_iou": "mean IoU", "accuracy": "overall accuracy"}
        rest = {"mean_f1": "mean F1", "kappa": "kappa", "ece": "ECE"}

        def column(score: str, heading: str, *, shown: bool) -> Column:
            return Column(score=score, threshold=None, heading=heading, plotted=shown, paired=shown)

        return {
            **{name: column(name, heading, shown=True) for name, heading in whole.items()},
            **{
                f"{CLASS_IOU}{name}": Column(score="iou", threshold=None, heading=f"IoU {name}", paired=True)
                for name in self.legend.names
            },
            **{name: column(name, heading, shown=False) for name, heading in rest.items()},
        }

    @property
    def first(self) -> str:
        """The score that ranks."""
        return next(iter(self.columns))

    @property
    def trivial(self) -> tuple[Candidate, ...]:
        """The controls that know nothing of the place."""
        if self.target is None:
            return Candidate.COMMONEST, Candidate.SHIFTED
        return Candidate.ALL_BACKGROUND, Candidate.ALL_CLASS, Candidate.SHIFTED

    def score(self, maps: Sequence[SiteMaps], dataset: Dataset) -> list[ScoredUnit]:
        """Score maps of a dataset's sites.

        All models are scored on the same draws of blocks, so that they can be compared pair by pair.
        """
        pairs = list(zip(maps, truths_of_dataset(maps, dataset), strict=True))
        if self.target is None:
            return [self._of_classes(unit) for unit in score_classes(pairs, seed=0)]
        return [self._of_class(unit) for unit in score_class(pairs, self.target, seed=0).units]

    def _of_class(self, unit: Unit) -> ScoredUnit:
        """One class: what the rule of each column gives, or 0.5 where a rule could not be applied."""
        candidates = [name for name, rule in unit.measured if rule == "half"]
        scores: dict[CandidateOrDate, dict[str, Score]] = {}
        for candidate in candidates:
            half = unit.measured[candidate, "half"]
            scores[candidate] = {}
            for name, column in self.columns.items():
                measured = unit.measured.get((candidate, column.threshold or "half"), half)
                value = measured.values.get(column.score, np.nan)
                scores[candidate][name] = Score(value, measured.samples.get(column.score))
        return ScoredUnit(unit.split, unit.site, scores)

    def _of_classes(self, unit: ClassUnit) -> ScoredUnit:
        """All classes; one that the labels of the unit do not hold has no IoU there."""
        scores: dict[CandidateOrDate, dict[str, Score]] = {}
        for row in unit.rows():
            samples = unit.measured[row.model].samples
            scores[row.model] = {
                name: Score(_number(getattr(row, name)), samples.get(name))
                for name, column in self.columns.items()
                if column.score != "iou"
            }
            for at, (name, values) in enumerate(row.classes.items()):
                drawn = samples["iou"][:, at] if samples else None
                scored = Score(_number(values.iou), drawn) if values.labelled else Score(np.nan, None)
                scores[row.model][CLASS_IOU + name] = scored
        return ScoredUnit(unit.split, unit.site, scores)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
