"""Scores and their samples from the evidence: what every candidate is worth on a unit of ground."""

import datetime as dt
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.candidate import Candidate, CandidateOrDate
from swath.evaluation.evidence import Evidence, Rule, pool
from swath.metrics import (
    DISTANCES,
    average_precision,
    block_weights,
    calibration_error,
    matrix_scores,
    resample,
    tolerant_f1,
)

RESAMPLES = 500
POOLED = "all"
"""The site of units that pool all sites of a split."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One site of one split: the evidence of its candidates, and which of them are dates.

    Attributes:
        site: Its name.
        evidence: Candidate -> evidence.
        dates: The days that are scored alone, oldest first.
    """

    site: str
    evidence: Mapping[CandidateOrDate, Evidence]
    dates: tuple[dt.date, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One candidate on one unit of ground under one threshold rule.

    Attributes:
        edge: Of the threshold; None where every site has its own.
        values: Score -> value, NaN where it is not defined. Only scores that the class has.
        samples: Score -> (resamples,) its values over the resampled blocks; None for a single
            block, which cannot be resampled.
        pixels: Scored pixels; the mean over the dates for `Candidate.DATES`.
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
    measured: Mapping[tuple[CandidateOrDate, Rule], Measurement]


def measure_split(
    split: str, class_name: str, entries: Sequence[Entry], seed: int
) -> Iterator[Unit]:
    """Measure all candidates on a split: pooled first, then site by site.

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
) -> dict[tuple[CandidateOrDate, Rule], Measurement]:
    blocks = sum(len(next(iter(entry.evidence.values())).histogram) for entry in entries)
    # All candidates get the same draws, so that they can be compared pair by pair; and a unit's
    # draws do not depend on what else is evaluated.
    weights = None
    if blocks > 1:
        weights = block_weights(blocks, RESAMPLES, (seed, zlib.crc32(name.encode())))
    return {
        (candidate, rule): measurement
        for candidate, parts in _parts(entries).items()
        for rule, measurement in _measure(parts, weights).items()
    }


def _parts(entries: Sequence[Entry]) -> dict[CandidateOrDate, list[Evidence]]:
    """Candidate -> its evidence over all entries: one part, but one a date of `Candidate.DATES`.

    A candidate counts only where all entries have it. The i-th part of the dates pools the i-th
    dates of all sites, whatever day that was; a shorter series repeats some, so that every site
    weighs alike.
    """
    first, longest = entries[0], max(len(entry.dates) for entry in entries)
    shared = {
        candidate: [pool([entry.evidence[candidate] for entry in entries])]
        for candidate in first.evidence
        if all(candidate in entry.evidence for entry in entries)
    }
    slots = [
        pool([entry.evidence[entry.dates[at * len(entry.dates) // longest]] for entry in entries])
        for at in range(longest)
    ]
    dated: dict[CandidateOrDate, list[Evidence]] = {
        date: shared.pop(date) for date in first.dates if date in shared
    }
    return dated | {Candidate.DATES: slots} | shared


def _measure(
    parts: Sequence[Evidence], weights: NDArray[np.int64] | None
) -> dict[Rule, Measurement]:
    rules = [rule for rule in parts[0].matches if all(rule in part.matches for part in parts)]
    values = [scores_of(part, None) for part in parts]
    samples = [] if weights is None else [scores_of(part, weights) for part in parts]
    totals = [part.histogram.sum(axis=(0, 2), dtype=np.int64) for part in parts]
    negatives, positives = np.mean(totals, axis=0)
    return {
        rule: Measurement(
            _common([part.matches[rule].edge for part in parts]),
            {name: float(value) for name, value in _mean([v[rule] for v in values]).items()},
            _mean([sample[rule] for sample in samples]) if samples else None,
            round(negatives + positives),
            round(positives),
            len(parts[0].histogram),
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

    def total(
        counts: NDArray[np.uint32] | NDArray[np.int64],
    ) -> NDArray[np.int64] | NDArray[np.float64]:
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


def pooled_counts(entries: Sequence[Entry]) -> dict[CandidateOrDate, NDArray[np.int64]]:
    """Candidate -> (2, `BINS`) pixels of all entries by truth and bin; the dates together."""
    return {
        candidate: np.sum([part.histogram.sum(axis=0, dtype=np.int64) for part in parts], axis=0)
        for candidate, parts in _parts(entries).items()
    }
