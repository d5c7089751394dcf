"""What a cloud, a wrong order, a missing date or a shift does to the maps of labelled sites."""

import datetime as dt
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.dataset.site import Dataset, Site
from swath.errors import DatasetError, ModelError
from swath.evaluation.candidate import Candidate
from swath.evaluation.evidence import (
    VALIDATION,
    CountedMap,
    Edges,
    Rule,
    best_edges,
    count_evidence,
    plan_block_px,
)
from swath.evaluation.measurement import RESAMPLES, scores_of
from swath.evaluation.truth import Truth, truth_of_site
from swath.grid import Window
from swath.lab.stability.imagery import Pictures
from swath.lab.stability.inmemory import InMemoryMapper
from swath.lab.stability.perturbation import (
    Frame,
    Perturbation,
    plan_perturbations,
    plan_series,
)
from swath.legend import IGNORE, LegendClass
from swath.mapping.jobs import Codes
from swath.mapping.predict import DatedImage, Predictor
from swath.mapping.sources import Series, select_sites, site_series
from swath.maps.sitemaps import decode_pmap
from swath.metrics.bootstrap import block_weights
from swath.metrics.histogram import HALF, Blocks, class_score, plan_blocks, score_bins, selected
from swath.models.fusion import FUSIONS
from swath.progress import track
from swath.sites.schema import SplitName

SCORES = ("pr_auc", "iou", "line_f1_2")
_ROWS = 512

Bins = dict[Candidate, NDArray[np.uint16]]
"""Output -> (H, W) bins of the score, 0 where it knows nothing."""


@dataclass(frozen=True, slots=True)
class OutputScores:
    """One output on one site under one perturbation.

    Attributes:
        values: Score -> value; NaN where it is not defined.
        samples: Score -> (resamples,) over resampled blocks; None for a single block.
        changed: Share of the mapped pixels of the split that are on the other side of the
            threshold than in the undisturbed map.
    """

    values: dict[str, float]
    samples: dict[str, NDArray[np.float64]] | None
    changed: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One perturbation of one site.

    Attributes:
        site: Name of the site.
        perturbation: What was done.
        hidden: Share of the image's pixels that painted cloud and shadow hide.
        measured: Output -> scores; empty where the model does not take so many dates.
    """

    site: str
    perturbation: Perturbation
    hidden: float
    measured: dict[Candidate, OutputScores]


def measure_robustness(
    predictor: Predictor,
    dataset: Dataset,
    sites: Sequence[Site],
    split: SplitName | None,
    find_series: "SeriesFinder",
    seed: int,
) -> tuple[list[Trial], Edges]:
    """Map every site as it is and after every perturbation, and score all maps.

    Args:
        predictor: The model.
        dataset: With the model's images.
        sites: Which of its sites.
        split: The split whose pixels are scored; None: all.
        find_series: Which dates of a site.
        seed: Of clouds, random orders and resampling.

    Returns:
        The trials, site by site, the undisturbed one first; and output -> edge of the threshold
        chosen on the validation sites, empty without any.

    Raises:
        DatasetError: A site without a labelled pixel in the split.
        InputError: An image or a label file cannot be read.
    """
    target = dataset.legend.foreground[0]
    edges = _choose_edges(predictor, dataset, target, find_series)
    block_px = plan_block_px([site.map_grid for site in sites], sites[0].finer)
    trials: list[Trial] = []
    for site in sites:
        bench = _Bench(predictor, dataset, find_series(site), seed)
        judge = _Judge(_truth(site, predictor, dataset), split, target, edges, block_px, seed)
        trials += _try_site(bench, judge, seed)
    return trials, edges


@dataclass(frozen=True, slots=True)
class SeriesFinder:
    """Finds the series of a site.

    Attributes:
        dataset: Of the sites.
        dates: How many of the most recent dates to take.
        wanted: Days to take instead, where any are given.
    """

    dataset: Dataset
    dates: int
    wanted: tuple[dt.date, ...] = ()

    def __call__(self, site: Site) -> Series:
        """The series of a site.

        Raises:
            DatasetError: It has no acquisition of a wanted day.
        """
        return site_series(site, self.dataset, self.dates, self.wanted)


def _try_site(bench: "_Bench", judge: "_Judge", seed: int) -> Iterator[Trial]:
    dates = len(bench.pictures.dates)
    plain = plan_series(dates)
    before = bench.map(plain)
    assert before is not None  # the model takes the series: `site_series` gave it
    judge.start(before.bins, before.seen)
    plan = [plain, *plan_perturbations(dates, seed)]
    for perturbation in track(plan, f"disturbing {bench.pictures.site}"):
        maps = before if perturbation is plain else bench.map(perturbation)
        measured = {} if maps is None else judge.measure(maps.bins)
        hidden = 0.0 if maps is None else maps.hidden
        yield Trial(bench.pictures.site, perturbation, hidden, measured)


@dataclass(frozen=True, slots=True)
class _Maps:
    """The maps of a series: bins of all outputs.

    Attributes:
        bins: Output -> bins.
        seen: (H, W) bool, True where any date has data.
        hidden: The largest share 0..1 of an image that painted cloud hides.
    """

    bins: Bins
    seen: NDArray[np.bool_]
    hidden: float


class _Bench:
    """Maps frames of one site in any sequence; PMaps of unchanged dates are made once."""

    def __init__(self, predictor: Predictor, dataset: Dataset, series: Series, seed: int) -> None:
        whole = series.grid.window
        images = [source.prepare(Path()) for source in series.sources]
        self.pictures = Pictures(
            series.site,
            series.grid,
            dataset.image,
            series.dates,
            tuple(predictor.read(image, whole) for image in images),
            seed,
        )
        self._predictor = predictor
        self._class_id = dataset.legend.foreground[0].id
        self._mapper = InMemoryMapper(predictor, series.grid.shape)
        self._kept: dict[Frame, tuple[DatedImage, Codes]] = {}

    def map(self, series: Perturbation) -> _Maps | None:
        """The maps of a series; None where the model takes another number of dates only."""
        try:
            self._predictor.model.check_dates(len(series.frames))
        except ModelError:
            return None
        shown = [self._show(frame) for frame in series.frames]
        pmaps = [pmap for _, pmap, _ in shown]
        bins = {Candidate.MEAN: self._mean(pmaps)}
        if self._predictor.fusion != "mean":
            fused, _ = decode_pmap(self._mapper.fuse([image for image, _, _ in shown], pmaps))
            bins = {Candidate.FUSED: score_bins(class_score(fused, self._class_id))} | bins
        seen = np.any([decode_pmap(pmap)[1] for pmap in pmaps], axis=0)
        for output in bins.values():
            output[~seen] = 0
        return _Maps(bins, seen, max(hidden for _, _, hidden in shown))

    def _show(self, frame: Frame) -> tuple[DatedImage, Codes, float]:
        if frame in self._kept:
            return *self._kept[frame], 0.0
        image, hidden = self.pictures.show(frame)
        pmap = self._mapper.pmap(image)
        if frame.change == "none":
            self._kept[frame] = image, pmap
        return image, pmap, hidden

    def _mean(self, pmaps: Sequence[Codes]) -> NDArray[np.uint16]:
        """In strips: all PMaps of a scene as float32 would not fit into a small machine."""
        shape = pmaps[0].shape[1:]
        bins = np.zeros(shape, np.uint16)
        for strip in Window(0, 0, *shape).strips(_ROWS):
            part = strip.slices
            values, valid = decode_pmap(np.stack([pmap[(..., *part)] for pmap in pmaps]))
            bins[part] = score_bins(class_score(FUSIONS[Candidate.MEAN](values, valid), self._class_id))
        return bins


class _Judge:
    """Scores the maps of one site against its labels and against its undisturbed map.

    All maps are scored on the same pixels: those with a label that the undisturbed series saw.
    """

    def __init__(
        self,
        truth: Truth,
        split: SplitName | None,
        target: LegendClass,
        edges: Edges,
        block_px: int,
        seed: int,
    ) -> None:
        labels = truth.read_labels()
        wanted = [name for name in truth.splits if split is None or name == split]
        self._inside: NDArray[np.bool_] = np.any([truth.inside(name) for name in wanted], axis=0)
        self._labelled = self._inside & (labels != IGNORE)
        self._positive = labels == target.id
        self._lines = truth.centre_lines(target, labels)
        self._edges, self._block_px = edges, block_px
        self._draws = (seed, zlib.crc32(truth.site.encode()))
        self._site, self._finer = truth.site, truth.finer

    def start(self, bins: Bins, seen: NDArray[np.bool_]) -> None:
        """Take note of the undisturbed maps.

        Raises:
            DatasetError: No labelled pixel was seen.
        """
        self._before, self._seen = bins, self._inside & seen
        self._scored = self._labelled & seen
        if not self._scored.any():
            raise DatasetError(f"site {self._site!r} has no labelled pixel in the split to score")
        self._blocks: Blocks = plan_blocks(self._scored, self._block_px)
        number = self._blocks.number
        self._weights = block_weights(number, RESAMPLES, self._draws) if number > 1 else None

    def measure(self, bins: Bins) -> dict[Candidate, OutputScores]:
        """Score all outputs."""
        return {output: self._measure(output, scores) for output, scores in bins.items()}

    def _measure(self, output: Candidate, bins: NDArray[np.uint16]) -> OutputScores:
        edge = self._edges.get(output, HALF)
        rules: dict[Rule, int] = {"validation": edge}
        evidence = count_evidence(
            bins, self._positive, self._lines, self._scored, self._blocks, rules, self._finer
        )
        values = scores_of(evidence, None)["validation"]
        drawn = None
        if self._weights is not None:
            drawn = scores_of(evidence, self._weights)["validation"]
        known = [score for score in SCORES if score in values]
        differs = selected(bins, edge) != selected(self._before[output], edge)
        return OutputScores(
            {score: float(values[score]) for score in known},
            None if drawn is None else {score: drawn[score] for score in known},
            float(differs[self._seen].mean()),
        )


def _truth(site: Site, predictor: Predictor, dataset: Dataset) -> Truth:
    return truth_of_site(site, dataset, predictor.model.spec.splits, str(dataset.root))


def _choose_edges(
    predictor: Predictor, dataset: Dataset, target: LegendClass, find_series: SeriesFinder
) -> dict[Candidate, int]:
    """Output -> the edge with the highest IoU on the pooled validation pixels, if there are any."""
    try:
        sites = select_sites(dataset, predictor.model.spec, "validation", ())
    except DatasetError:
        return {}
    # Days that are asked for are those of the sites to be tried; other sites have other days.
    length = len(find_series.wanted) or find_series.dates
    latest = SeriesFinder(dataset, length)

    def validation() -> Iterator[CountedMap]:
        for site in track(sites, "choosing thresholds"):
            truth = _truth(site, predictor, dataset)
            bench = _Bench(predictor, dataset, latest(site), 0)
            maps = bench.map(plan_series(len(bench.pictures.dates)))
            assert maps is not None  # the model takes the series: `site_series` gave it
            labels = truth.read_labels()
            scored = truth.inside(VALIDATION) & (labels != IGNORE) & maps.seen
            for output, bins in maps.bins.items():
                yield output, bins, labels == target.id, scored

    return best_edges(validation())
