"""Scores of maps of many classes: a confusion matrix a candidate, split and site, and what it says."""

import datetime as dt
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from swath.evaluation.candidate import UNTRAINED, Candidate, CandidateOrDate
from swath.evaluation.decisions import ClassEvidence, commonest
from swath.evaluation.evidence import VALIDATION
from swath.evaluation.measurement import POOLED, RESAMPLES
from swath.evaluation.row import Interval, Role, Score
from swath.metrics.agreement import class_scores, map_scores, stratified_areas
from swath.metrics.bootstrap import block_weights, interval, resample
from swath.metrics.scores import calibration_error
from swath.validation import Written

SiteClasses = Mapping[CandidateOrDate, ClassEvidence]
"""Candidate -> its evidence on one site."""


class ClassScores(Written):
    """How well a map has one class.

    Attributes:
        users_accuracy: Share of the pixels mapped as the class that are it (precision).
        producers_accuracy: Share of its labelled pixels that are mapped so (recall).
        iou: Intersection over union.
        f1: Harmonic mean of the two accuracies.
        labelled: Labelled pixels of the class.
        mapped_ha: Its area on the whole map of the sites, labelled or not.
        area_ha: That area corrected by the confusion matrix (the stratified estimator).
        area_ci_ha: Its interval where the labelled pixels were drawn one by one, as points are.
        ci: Score, or `area_ha`, -> its interval by resampled blocks: neighbours are alike.
    """

    users_accuracy: Score
    producers_accuracy: Score
    iou: Score
    f1: Score
    labelled: int
    mapped_ha: float
    area_ha: Score
    area_ci_ha: Interval | None
    ci: dict[str, Interval | None]


class ClassMap(Written):
    """A map of many classes on a site, or on all sites of a split: one decision a pixel.

    Attributes:
        model: The candidate, or the day whose map is scored alone.
        split: Of the site's pixels.
        site: Its name; `all` for all sites of the split pooled.
        pixels: Scored pixels; those of all dates for `dates`, which counts their maps together.
        blocks: Blocks that were resampled.
        matrix: Pixels: a row a class of the labels, a column a class of the map.
        accuracy: Overall accuracy: share of the pixels that are right, over all classes.
        mean_iou: Mean over the classes that the labels hold, as `mean_f1`.
        mean_f1: See there.
        kappa: Cohen's.
        ece: Expected calibration error of the score of the likeliest class.
        ci: Score -> its interval; `ece` has none.
        classes: Class -> how well the map has it.
    """

    model: CandidateOrDate
    split: str
    site: str
    pixels: int
    blocks: int
    matrix: tuple[tuple[int, ...], ...]
    accuracy: Score
    mean_iou: Score
    mean_f1: Score
    kappa: Score
    ece: Score
    ci: dict[str, Interval | None]
    classes: dict[str, ClassScores] = Field(default_factory=dict)


class Gain(Written):
    """What the fused map of many classes is better by than another, on the same draws of blocks.

    Attributes:
        model: `fused`.
        minus: What it is compared with.
        role: Why that.
        chosen_on: The split that the best control was chosen on, by its mean IoU.
        split: Of the pixels.
        site: As in `ClassMap`.
        difference: `accuracy`, `mean_iou` -> the fused map's minus the other's.
        iou: Class -> the difference of its IoU.
        ci: The keys of both -> the interval of the difference.
    """

    model: Candidate
    minus: Candidate
    role: Role
    chosen_on: str | None
    split: str
    site: str
    difference: dict[str, Score]
    iou: dict[str, Score]
    ci: dict[str, Interval | None]


@dataclass(frozen=True, slots=True)
class _Measured:
    """Scores of a candidate: of its blocks as they are, and of the resampled ones (none of one block)."""

    evidence: ClassEvidence
    values: dict[str, NDArray[np.float64]]
    samples: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class ClassUnit:
    """A split's site, or its sites pooled, with all candidates measured there."""

    split: str
    site: str
    names: tuple[str, ...]
    pixel_ha: float
    measured: Mapping[CandidateOrDate, _Measured]

    def rows(self) -> list[ClassMap]:
        """A row a candidate."""
        return [self._row(candidate, measured) for candidate, measured in self.measured.items()]

    def _row(self, candidate: CandidateOrDate, measured: _Measured) -> ClassMap:
        matrix = measured.evidence.matrix.sum(axis=0)
        whole = ("accuracy", "mean_iou", "mean_f1", "kappa")
        return ClassMap(
            model=candidate,
            split=self.split,
            site=self.site,
            pixels=int(matrix.sum()),
            blocks=len(measured.evidence.matrix),
            matrix=tuple(map(tuple, matrix.tolist())),
            ece=float(calibration_error(measured.evidence.sure)),
            ci={name: _interval(measured.samples.get(name)) for name in whole},
            classes={name: self._class(at, measured, matrix) for at, name in enumerate(self.names)},
            **{name: float(measured.values[name]) for name in whole},
        )

    def _class(self, at: int, measured: _Measured, matrix: NDArray[np.int64]) -> ClassScores:
        scores = ("users_accuracy", "producers_accuracy", "iou", "f1")
        mapped = measured.evidence.mapped
        areas = stratified_areas(matrix, mapped)
        low, high = (float(ends[at]) * self.pixel_ha for ends in areas.bounds)
        samples = measured.samples
        area = samples["area"][:, at] * self.pixel_ha if samples else None
        return ClassScores(
            labelled=int(matrix[at].sum()),
            mapped_ha=float(mapped[at]) * self.pixel_ha,
            area_ha=float(areas.pixels[at]) * self.pixel_ha,
            area_ci_ha=(low, high) if np.isfinite([low, high]).all() else None,
            ci={name: _interval(samples[name][:, at] if samples else None) for name in scores}
            | {"area_ha": _interval(area)},
            **{name: float(measured.values[name][at]) for name in scores},
        )

    def gains(self, best: Candidate, chosen_on: str) -> list[Gain]:
        """What the fused map adds; none where there is no fused map but the mean."""
        if Candidate.FUSED not in self.measured:
            return []
        compared: list[tuple[Role, Candidate, str | None]] = [
            ("dates", Candidate.DATES, None),
            ("mean", Candidate.MEAN, None),
            ("best control", best, chosen_on),
        ]
        return [self._gain(*baseline) for baseline in compared]

    def _gain(self, role: Role, minus: Candidate, chosen_on: str | None) -> Gain:
        ours, theirs = self.measured[Candidate.FUSED], self.measured[minus]
        whole = ("accuracy", "mean_iou")
        iou = ours.values["iou"] - theirs.values["iou"]
        ci = dict.fromkeys((*whole, *self.names))
        if ours.samples:
            apart = {name: ours.samples[name] - theirs.samples[name] for name in (*whole, "iou")}
            ci = {name: interval(apart[name]) for name in whole}
            ci |= {name: interval(apart["iou"][:, at]) for at, name in enumerate(self.names)}
        return Gain(
            model=Candidate.FUSED,
            minus=minus,
            role=role,
            chosen_on=chosen_on,
            split=self.split,
            site=self.site,
            difference={name: float(ours.values[name] - theirs.values[name]) for name in whole},
            iou=dict(zip(self.names, iou.tolist(), strict=True)),
            ci=ci,
        )


def _interval(samples: NDArray[np.float64] | None) -> Interval | None:
    return None if samples is None else interval(samples)


def measure_classes(
    split: str, names: tuple[str, ...], pixel_ha: float, sites: Mapping[str, SiteClasses], seed: int
) -> list[ClassUnit]:
    """Measure all candidates on a split of one site or more.

    Args:
        split: Its name.
        names: Of the classes.
        pixel_ha: Area of a pixel; the sites' pixels are alike.
        sites: Site -> what was counted there.
        seed: Of the resampling.

    Returns:
        The split as one (site `all`), then each site.
    """
    units = {POOLED: list(sites.values())} | {site: [evidence] for site, evidence in sites.items()}
    return [
        ClassUnit(split, site, names, pixel_ha, _measure(f"{split}/{site}", parts, seed))
        for site, parts in units.items()
    ]


def _measure(name: str, sites: Sequence[SiteClasses], seed: int) -> dict[CandidateOrDate, _Measured]:
    pooled = _pool(sites)
    blocks = len(pooled[Candidate.MEAN].matrix)
    # All candidates get the same draws, so that they can be compared pair by pair.
    weights = None
    if blocks > 1:
        weights = block_weights(blocks, RESAMPLES, (seed, zlib.crc32(name.encode())))
    return {candidate: _scores(evidence, weights) for candidate, evidence in pooled.items()}


def _pool(sites: Sequence[SiteClasses]) -> dict[CandidateOrDate, ClassEvidence]:
    """Candidate -> its evidence over all sites; the dates together, block by block, and the commonest."""
    dated = [[part for day, part in site.items() if isinstance(day, dt.date)] for site in sites]
    together = [
        ClassEvidence(
            np.sum([part.matrix for part in parts], axis=0),
            np.sum([part.sure for part in parts], axis=0),
            # Of one date: areas do not grow with their number.
            np.mean([part.mapped for part in parts], axis=0).round().astype(np.int64),
        )
        for parts in dated
    ]
    shared = {
        candidate: _join([site[candidate] for site in sites])
        for candidate in sites[0]
        if all(candidate in site for site in sites)
    }
    labelled = shared[Candidate.MEAN].matrix.sum(axis=(0, 2))
    days: dict[CandidateOrDate, ClassEvidence] = {
        day: shared.pop(day) for day in list(shared) if isinstance(day, dt.date)
    }
    everywhere = commonest(shared, int(labelled.argmax()))
    return {**days, Candidate.DATES: _join(together), **shared, Candidate.COMMONEST: everywhere}


def _join(parts: Sequence[ClassEvidence]) -> ClassEvidence:
    return ClassEvidence(
        np.concatenate([part.matrix for part in parts]),
        np.sum([part.sure for part in parts], axis=0),
        np.sum([part.mapped for part in parts], axis=0),
    )


def _scores(evidence: ClassEvidence, weights: NDArray[np.int64] | None) -> _Measured:
    def of(matrix: NDArray[np.generic]) -> dict[str, NDArray[np.float64]]:
        areas = stratified_areas(matrix, evidence.mapped)
        return {**map_scores(matrix), **class_scores(matrix), "area": areas.pixels}

    samples = {} if weights is None else of(resample(weights, evidence.matrix))
    return _Measured(evidence, of(evidence.matrix.sum(axis=0)), samples)


def best_class_control(units: Sequence[ClassUnit], unit: ClassUnit) -> tuple[Candidate, str]:
    """The fusion without training that a gain must beat, and the split it was chosen on.

    It has the highest mean IoU on the pooled validation sites, else on the very split that is
    scored, which favours the control.
    """
    pooled = {u.split: u for u in units if u.site == POOLED}
    split = VALIDATION if VALIDATION in pooled else unit.split
    measured = pooled[split].measured
    return max(UNTRAINED, key=lambda name: np.nan_to_num(float(measured[name].values["mean_iou"]))), split
