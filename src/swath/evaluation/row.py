"""The rows of a report: scores with their intervals, and paired differences, as written."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from swath.evaluation.candidate import UNTRAINED, Candidate, CandidateOrDate
from swath.evaluation.evidence import VALIDATION, Rule
from swath.evaluation.measurement import POOLED, Measurement, Unit
from swath.files import finite
from swath.metrics.bootstrap import interval
from swath.metrics.histogram import threshold
from swath.metrics.tolerance import DISTANCES
from swath.validation import Written

PLAIN = ("accuracy", "iou", "f1", "precision", "recall", "mcc", "pr_auc", "ece")
"""Scores that are one number."""

COMPARED = ("iou", "f1", "pr_auc", "line_f1_2")
"""Scores whose difference between two models is reported."""


Score = Annotated[float | None, BeforeValidator(finite)]
"""A score, or a difference of two; None where it is not defined."""

Interval = tuple[float, float]
"""The ends of the interval that holds 95 % of the resampled scores."""

Role = Literal["dates", "mean", "best control"]
"""Why something is what a gain is measured against."""


class Row(Written):
    """One candidate on a site, or on all sites of a split, under one threshold rule.

    Attributes:
        model: The candidate, or the day whose map is scored alone.
        split: Of the site's pixels.
        site: Its name; `all` for all sites of the split pooled.
        class_name: The class that is scored against the rest; `class` in JSON.
        threshold_rule: How the threshold is chosen.
        threshold: Where the score is above it, the class is mapped; None where every site has its
            own.
        pixels: Scored pixels; the mean over the dates for `dates`.
        positives: Those whose label is the class.
        blocks: Blocks that were resampled.
        accuracy: 0..1, as all scores but `mcc`; None where a score is not defined.
        iou: Intersection over union.
        f1: Harmonic mean of precision and recall.
        precision: Share of the mapped pixels that are right.
        recall: Share of the labelled pixels that are mapped.
        mcc: Matthews correlation coefficient, -1..1.
        pr_auc: Average precision; needs no threshold.
        ece: Expected calibration error; needs no threshold.
        relaxed_f1: Image pixels of tolerance -> F1 of areas.
        line_f1: Image pixels of tolerance -> F1 of centre lines; None for a class of areas.
        ci: Score -> its interval; None where it cannot be told.
    """

    model: CandidateOrDate
    split: str
    site: str
    class_name: str = Field(alias="class")
    threshold_rule: Rule
    threshold: float | None
    pixels: int
    positives: int
    blocks: int
    accuracy: Score
    iou: Score
    f1: Score
    precision: Score
    recall: Score
    mcc: Score
    pr_auc: Score
    ece: Score
    relaxed_f1: dict[int, Score]
    line_f1: dict[int, Score] | None
    ci: dict[str, Interval | None]


class Paired(Written):
    """What the fused map is better by than another, on the same draws of blocks.

    Attributes:
        model: `fused`.
        minus: What it is compared with.
        role: Why that.
        chosen_on: The split that the best control was chosen on.
        split: Of the pixels.
        site: As in `Row`.
        class_name: The class; `class` in JSON.
        threshold_rule: How both thresholds are chosen.
        difference: Score -> the fused map's minus the other's.
        ci: Score -> the interval of the difference.
    """

    model: Candidate
    minus: Candidate
    role: Role
    chosen_on: str | None
    split: str
    site: str
    class_name: str = Field(alias="class")
    threshold_rule: Rule
    difference: dict[str, Score]
    ci: dict[str, Interval | None]


def rows_of(unit: Unit) -> list[Row]:
    """The rows of the report for one unit, one a candidate and threshold rule."""
    return [
        Row(
            model=candidate,
            split=unit.split,
            site=unit.site,
            class_name=unit.class_name,
            threshold_rule=rule,
            threshold=None if measured.edge is None else threshold(measured.edge),
            pixels=measured.pixels,
            positives=measured.positives,
            blocks=measured.blocks,
            relaxed_f1=_by_distance("relaxed_f1", measured),
            line_f1=_by_distance("line_f1", measured) if "line_f1_1" in measured.values else None,
            ci=_intervals(tuple(measured.values), measured.samples),
            **{name: measured.values[name] for name in PLAIN},
        )
        for (candidate, rule), measured in unit.measured.items()
    ]


def _by_distance(name: str, measured: Measurement) -> dict[int, float]:
    return {distance: measured.values[f"{name}_{distance}"] for distance in DISTANCES}


def _intervals(
    names: Sequence[str], samples: Mapping[str, NDArray[np.float64]]
) -> dict[str, Interval | None]:
    return {name: interval(samples[name]) if name in samples else None for name in names}


def paired_of(unit: Unit, best_control: Candidate, chosen_on: str) -> list[Paired]:
    """The fused map's gain over what needs no second network, with its interval.

    A row a baseline and threshold rule; none where there is no fused map but the mean. The best
    control and the split it was chosen on are those of `best_control`.
    """
    baselines: list[tuple[Role, Candidate, str | None]] = [
        ("dates", Candidate.DATES, None),
        ("mean", Candidate.MEAN, None),
        ("best control", best_control, chosen_on),
    ]
    rules = [rule for candidate, rule in unit.measured if candidate == Candidate.FUSED]
    rows = []
    for role, baseline, on in baselines:
        for rule in rules:
            ours = unit.measured[Candidate.FUSED, rule]
            theirs = unit.measured[baseline, rule]
            names = [name for name in COMPARED if name in ours.values]
            samples = {
                name: ours.samples[name] - theirs.samples[name] for name in names if name in ours.samples
            }
            rows.append(
                Paired(
                    model=Candidate.FUSED,
                    minus=baseline,
                    role=role,
                    chosen_on=on,
                    split=unit.split,
                    site=unit.site,
                    class_name=unit.class_name,
                    threshold_rule=rule,
                    difference={name: ours.values[name] - theirs.values[name] for name in names},
                    ci=_intervals(names, samples),
                )
            )
    return rows


def best_control(units: Sequence[Unit], unit: Unit) -> tuple[Candidate, str]:
    """The fusion without training that a gain must beat, and the split it was chosen on.

    It has the highest PR-AUC on the pooled validation sites. Without validation maps it is chosen
    on the very split that is scored, which favours the control.
    """
    pooled = {u.split: u for u in units if u.site == POOLED and u.class_name == unit.class_name}
    split = VALIDATION if VALIDATION in pooled else unit.split
    measured = pooled[split].measured
    scores = {name: measured[name, "half"].values["pr_auc"] for name in UNTRAINED}
    return max(scores, key=lambda name: np.nan_to_num(scores[name])), split
