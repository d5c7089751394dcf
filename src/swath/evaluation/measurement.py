"""Scores and their samples from the evidence: what every candidate is worth on a unit of ground."""

import datetime as dt
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.candidate import Candidate, CandidateOrDate
from swath.evaluation.evidence import Evidence, Rule, common_edge, pool, shared_rules
from swath.metrics.bootstrap import block_weights, resample
from swath.metrics.scores import average_precision, calibration_error, matrix_scores
from swath.metrics.tolerance import DISTANCES, tolerant_f1

RESAMPLES = 500
POOLED = "all"
"""The site of units that pool all sites of a split."""


SiteEvidence = Mapping[CandidateOrDate, Evidence]
"""Candidate -> its evidence on one site; the days that are scored alone oldest first."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One candidate on one unit of ground under one threshold rule.

    Attributes:
        edge: Of the threshold; None where every site has its own.
        values: Score -> value, NaN where it is not defined. Only scores that the class has.
        samples: Score -> (resamples,) its values over the resampled blocks; empty for a single
            block, which cannot be resampled.
        pixels: Scored pixels; the mean over the dates for `Candidate.DATES`.
        positives: Those whose label is the class.
        blocks: Blocks that were resampled.
    """

    edge: int | None
    values: dict[str, float]
    samples: dict[str, NDArray[np.float64]]
    pixels: int
    positives: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Unit:
    """A split's site, or its sites pooled, with everything measured there for one class."""

    split: str
    site: str
    class_name: str
    measured: Mapping[tuple[CandidateOrDate, Rule], Measurement]


def measure_split(split: str, class_name: str, sites: Mapping[str, SiteEvidence], seed: int) -> list[Unit]:
    """Measure all candidates on a split of one site or more.

    Returns:
        The split as one (site `all`), then each site.
    """
    apart = [(site, _measure_unit(f"{split}/{site}", [evidence], seed)) for site, evidence in sites.items()]
    pooled = apart[0][1]
    if len(sites) > 1:
        pooled = _measure_unit(f"{split}/{POOLED}", list(sites.values()), seed)
    units = [(POOLED, pooled), *apart]
    return [Unit(split, site, class_name, measured) for site, measured in units]


def _measure_unit(
    name: str, sites: Sequence[SiteEvidence], seed: int
) -> dict[tuple[CandidateOrDate, Rule], Measurement]:
    blocks = sum(len(next(iter(evidence.values())).histogram) for evidence in sites)
    # All candidates get the same draws, so that they can be compared pair by pair; and a unit's
    # draws do not depend on what else is evaluated.
    weights = None
    if blocks > 1:
        weights = block_weights(blocks, RESAMPLES, (seed, zlib.crc32(name.encode())))
    return {
        (candidate, rule): measurement
        for candidate, parts in _parts(sites).items()
        for rule, measurement in _measure(parts, weights).items()
    }


def _parts(sites: Sequence[SiteEvidence]) -> dict[CandidateOrDate, list[Evidence]]:
    """Candidate -> its evidence over all sites: one part, but one a date of `Candidate.DATES`.

    A candidate counts only where all sites have it. The i-th part of the dates pools the i-th
    dates of all sites, whatever day that was; a shorter series repeats some, so that every site
    weighs alike.
    """
    dated = [[evidence for day, evidence in site.items() if isinstance(day, dt.date)] for site in sites]
    longest = max(map(len, dated))
    slots = [pool([series[at * len(series) // longest] for series in dated]) for at in range(longest)]
    shared = {
        candidate: [pool([site[candidate] for site in sites])]
        for candidate in sites[0]
        if all(candidate in site for site in sites)
    }
    days: dict[CandidateOrDate, list[Evidence]] = {
        day: shared.pop(day) for day in list(shared) if isinstance(day, dt.date)
    }
    return {**days, Candidate.DATES: slots, **shared}


def _measure(parts: Sequence[Evidence], weights: NDArray[np.int64] | None) -> dict[Rule, Measurement]:
    values = [scores_of(part, None) for part in parts]
    samples = [] if weights is None else [scores_of(part, weights) for part in parts]
    totals = [part.histogram.sum(axis=(0, 2), dtype=np.int64) for part in parts]
    negatives, positives = np.mean(totals, axis=0)
    return {
        rule: Measurement(
            common_edge([part.matches[rule] for part in parts]),
            {name: float(value) for name, value in _mean([v[rule] for v in values]).items()},
            _mean([sample[rule] for sample in samples]) if samples else {},
            round(negatives + positives),
            round(positives),
            len(parts[0].histogram),
        )
        for rule in shared_rules(parts)
    }


def scores_of(
    evidence: Evidence, weights: NDArray[np.int64] | None
) -> dict[Rule, dict[str, NDArray[np.float64]]]:
    """All scores of a candidate under each rule.

    Args:
        evidence: Of one candidate.
        weights: (resamples, blocks); None for the blocks as they are.

    Returns:
        Rule -> score -> () float64, or with weights (resamples,); NaN where it is not defined.
    """

    def total(counts: NDArray[np.uint32] | NDArray[np.int64]) -> NDArray[np.float64]:
        whole: NDArray[np.float64] = counts.sum(axis=0, dtype=np.float64)
        return whole if weights is None else resample(weights, counts)

    histogram = total(evidence.histogram)
    # What needs no threshold is the same under all rules.
    free = {"pr_auc": average_precision(histogram), "ece": calibration_error(histogram)}
    result: dict[Rule, dict[str, NDArray[np.float64]]] = {}
    for rule, matches in evidence.matches.items():
        result[rule] = matrix_scores(total(matches.confusion)) | free
        for kind, counts in (("relaxed_f1", matches.relaxed), ("line_f1", matches.line)):
            if counts is not None:
                f1 = tolerant_f1(total(counts))
                result[rule] |= {f"{kind}_{d}": f1[..., at] for at, d in enumerate(DISTANCES)}
    return result


def _mean(dated: Sequence[Mapping[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    return {name: np.mean([scores[name] for scores in dated], axis=0) for name in dated[0]}


def pooled_counts(sites: Sequence[SiteEvidence]) -> dict[CandidateOrDate, NDArray[np.int64]]:
    """Candidate -> (2, `BINS`) pixels of all sites by truth and bin; the dates together."""
    return {
        candidate: np.sum([part.histogram.sum(axis=0, dtype=np.int64) for part in parts], axis=0)
        for candidate, parts in _parts(sites).items()
    }
