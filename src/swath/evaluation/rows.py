"""Scores and their intervals from the evidence: rows of the report, and paired differences."""

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.candidates import FUSED, UNET
from swath.evaluation.evidence import VALIDATION, Evidence, Rule, pool
from swath.metrics import (
    DISTANCES,
    average_precision,
    block_weights,
    calibration_error,
    interval,
    resample,
    threshold,
    tolerant_f1,
)
from swath.metrics.scores import matrix_scores
from swath.models.fusion import FUSIONS

RESAMPLES = 500
POOLED = "all"
"""The site of rows that pool all sites of a split."""

PLAIN = ("accuracy", "iou", "f1", "precision", "recall", "mcc", "pr_auc", "ece")
COMPARED = ("iou", "f1", "pr_auc", "line_f1_2")
"""Scores whose difference between two models is reported."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One site of one split: the evidence of its candidates, and which of them are dates.

    Attributes:
        site: Its name.
        evidence: Candidate -> evidence.
        dates: The candidates that are dates of the U-Net, oldest first.
    """

    site: str
    evidence: Mapping[str, Evidence]
    dates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """One model on one unit of ground under one threshold rule.

    Attributes:
        edge: Of the threshold; None where every site has its own.
        values: Score -> value, NaN where it is not defined. Only scores that the class has.
        samples: Score -> (resamples,) its values over the resampled blocks; None for a single
            block, which cannot be resampled.
        pixels: Scored pixels; the mean over the dates for the U-Net.
        positives: Those whose label is the class.
        blocks: Blocks that were resampled.
    """

    edge: int | None
    values: dict[str, float]
    samples: dict[str, NDArray[np.float64]] | None
    pixels: int
    positives: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Unit:
    """A split's site, or its sites pooled, with everything measured there for one class."""

    split: str
    site: str
    class_name: str
    measured: Mapping[tuple[str, Rule], Measured]


def measure_split(
    split: str, class_name: str, entries: Sequence[Entry], seed: int
) -> Iterator[Unit]:
    """Measure all models on a split: pooled first, then site by site.

    Args:
        split: Its name.
        class_name: The class.
        entries: The split's sites, at least one.
        seed: Of the resampling.

    Yields:
        The split as one (site `all`), then each site.
    """
    if len(entries) == 1:
        (entry,) = entries
        measured = _measure_unit(f"{split}/{entry.site}", entries, seed)
        yield Unit(split, POOLED, class_name, measured)
        yield Unit(split, entry.site, class_name, measured)
        return
    for site, members in [(POOLED, entries), *((entry.site, [entry]) for entry in entries)]:
        yield Unit(split, site, class_name, _measure_unit(f"{split}/{site}", members, seed))


def _measure_unit(
    name: str, entries: Sequence[Entry], seed: int
) -> dict[tuple[str, Rule], Measured]:
    blocks = sum(len(next(iter(entry.evidence.values())).histogram) for entry in entries)
    # Every model gets the same draws, so that models can be compared pair by pair; and a unit's
    # draws do not depend on what else is evaluated.
    weights = None
    if blocks > 1:
        weights = block_weights(blocks, RESAMPLES, (seed, zlib.crc32(name.encode())))
    return {
        (model, rule): measured
        for model, series in _series(entries).items()
        for rule, measured in _measure(series, weights).items()
    }


def _series(entries: Sequence[Entry]) -> dict[str, list[Evidence]]:
    """Model -> its evidence over all entries; the U-Net's is one a date, others have one.

    A candidate counts only where all entries have it. The U-Net's i-th date pools the i-th dates of
    all sites, whatever day that was; a shorter series repeats some, so that every site weighs
    alike.
    """
    first, longest = entries[0], max(len(entry.dates) for entry in entries)
    shared = [n for n in first.evidence if all(n in entry.evidence for entry in entries)]
    models = {name: [pool([e.evidence[name] for e in entries])] for name in shared}
    slots = [
        pool([e.evidence[e.dates[at * len(e.dates) // longest]] for e in entries])
        for at in range(longest)
    ]
    dated = {name: models.pop(name) for name in first.dates if name in models}
    return dated | {UNET: slots} | models


def _measure(series: Sequence[Evidence], weights: NDArray[np.int64] | None) -> dict[Rule, Measured]:
    rules = [rule for rule in series[0].matches if all(rule in e.matches for e in series)]
    values = [scores_of(evidence, None) for evidence in series]
    samples = [] if weights is None else [scores_of(evidence, weights) for evidence in series]
    totals = [evidence.histogram.sum(axis=(0, 2), dtype=np.int64) for evidence in series]
    negatives, positives = np.mean(totals, axis=0)
    return {
        rule: Measured(
            _common([evidence.matches[rule].edge for evidence in series]),
            {name: float(value) for name, value in _mean([v[rule] for v in values]).items()},
            _mean([sample[rule] for sample in samples]) if samples else None,
            round(negatives + positives),
            round(positives),
            len(series[0].histogram),
        )
        for rule in rules
    }


def _common(edges: Sequence[int | None]) -> int | None:
    """The edge, if it is the same of all."""
    return edges[0] if len(set(edges)) == 1 else None


def scores_of(
    evidence: Evidence, weights: NDArray[np.int64] | None
) -> dict[Rule, dict[str, NDArray[np.float64]]]:
    """All scores under each rule.

    Args:
        evidence: Of one candidate.
        weights: (resamples, blocks); None for the blocks as they are.

    Returns:
        Rule -> score -> () float64, or with weights (resamples,); NaN where it is not defined.
    """

    def total(counts: NDArray[Any]) -> NDArray[Any]:
        whole: NDArray[np.int64] = counts.sum(axis=0, dtype=np.int64)
        return whole if weights is None else resample(weights, counts)

    histogram = total(evidence.histogram)
    # What needs no threshold is the same under all rules.
    free = {"pr_auc": average_precision(histogram), "ece": calibration_error(histogram)}
    result: dict[Rule, dict[str, NDArray[np.float64]]] = {}
    for rule, matches in evidence.matches.items():
        matrix = total(matches.confusion).astype(np.float64)
        result[rule] = matrix_scores(matrix) | free
        for kind, counts in (("relaxed_f1", matches.relaxed), ("line_f1", matches.line)):
            if counts is not None:
                f1 = tolerant_f1(total(counts))
                result[rule] |= {f"{kind}_{d}": f1[..., at] for at, d in enumerate(DISTANCES)}
    return result


def _mean(dated: Sequence[Mapping[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    return {name: np.mean([scores[name] for scores in dated], axis=0) for name in dated[0]}


def pooled_counts(entries: Sequence[Entry]) -> dict[str, NDArray[np.int64]]:
    """Model -> (2, `BINS`) pixels of all entries by truth and bin; the U-Net's dates together."""
    return {
        model: np.sum([e.histogram.sum(axis=0, dtype=np.int64) for e in series], axis=0)
        for model, series in _series(entries).items()
    }


def rows_of(unit: Unit) -> list[dict[str, Any]]:
    """The rows of the report for one unit, one a model and threshold rule."""
    return [_row(unit, model, rule, m) for (model, rule), m in unit.measured.items()]


def _row(unit: Unit, model: str, rule: Rule, measured: Measured) -> dict[str, Any]:
    values = {name: _plain(value) for name, value in measured.values.items()}
    by_distance = {
        kind: {str(d): values[f"{kind}_{d}"] for d in DISTANCES} if f"{kind}_1" in values else None
        for kind in ("relaxed_f1", "line_f1")
    }
    samples = measured.samples or {}
    return {
        "model": model,
        "split": unit.split,
        "site": unit.site,
        "class": unit.class_name,
        "threshold_rule": rule,
        "threshold": None if measured.edge is None else threshold(measured.edge),
        "pixels": measured.pixels,
        "positives": measured.positives,
        "blocks": measured.blocks,
        **{name: values[name] for name in PLAIN},
        **by_distance,
        "ci": {name: _interval(samples.get(name)) for name in values},
    }


def paired_of(unit: Unit, best_control: str, chosen_on: str) -> list[dict[str, Any]]:
    """The ConvLSTM's gain over what needs no training, with its interval, on the same draws.

    Args:
        unit: Where.
        best_control: The control with the highest PR-AUC.
        chosen_on: The split that it was chosen on.

    Returns:
        A row for each baseline (U-Net, mean, best control) and threshold rule; none where there is
        no ConvLSTM.
    """
    rows = []
    baselines = [("U-Net", UNET, None), ("mean", "mean", None)]
    for role, name, on in [*baselines, ("best control", best_control, chosen_on)]:
        for (model, rule), ours in unit.measured.items():
            if model != FUSED:
                continue
            theirs = unit.measured[name, rule]
            rows.append(
                {
                    "model": FUSED,
                    "minus": name,
                    "role": role,
                    "chosen_on": on,
                    "split": unit.split,
                    "site": unit.site,
                    "class": unit.class_name,
                    "threshold_rule": rule,
                    **_difference(ours, theirs),
                }
            )
    return rows


def _difference(ours: Measured, theirs: Measured) -> dict[str, Any]:
    names = [name for name in COMPARED if name in ours.values]
    samples: dict[str, NDArray[np.float64]] = {}
    if ours.samples is not None and theirs.samples is not None:
        samples = {name: ours.samples[name] - theirs.samples[name] for name in names}
    return {
        "difference": {name: _plain(ours.values[name] - theirs.values[name]) for name in names},
        "ci": {name: _interval(samples.get(name)) for name in names},
    }


def best_control(units: Sequence[Unit], unit: Unit) -> tuple[str, str]:
    """The fusion without training that a gain must beat, and the split it was chosen on.

    It has the highest PR-AUC on the pooled validation sites. Without validation maps it is chosen
    on the very split that is scored, which favours the control.
    """
    pooled = {u.split: u for u in units if u.site == POOLED and u.class_name == unit.class_name}
    split = VALIDATION if VALIDATION in pooled else unit.split
    scores = {name: pooled[split].measured[name, "half"].values["pr_auc"] for name in FUSIONS}
    return max(scores, key=lambda name: np.nan_to_num(scores[name])), split


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _interval(samples: NDArray[np.float64] | None) -> list[float] | None:
    found = None if samples is None else interval(samples)
    return None if found is None else list(found)
