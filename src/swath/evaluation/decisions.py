"""Maps of many classes: every candidate decides for one class a pixel, and is counted against labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.candidate import SHIFT_PX, UNTRAINED, Candidate, CandidateOrDate
from swath.evaluation.truth import Truth
from swath.grid import Window
from swath.legend import IGNORE
from swath.maps.sitemaps import SiteMaps, read_grid, read_pmap
from swath.metrics.agreement import block_matrices
from swath.metrics.histogram import BINS, Blocks, class_score, plan_blocks, score_bins
from swath.models.fusion import FUSIONS

_ROWS = 512


@dataclass(frozen=True, slots=True)
class Decision:
    """What a candidate decides.

    Attributes:
        classes: (H, W) uint8 ids: the likeliest class, of equal ones the first.
        bins: (H, W) uint16 bins of that class's score: how sure it is.
        known: (H, W) bool, True where the candidate has data.
    """

    classes: NDArray[np.uint8]
    bins: NDArray[np.uint16]
    known: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ClassEvidence:
    """A candidate counted against the labels of one split of one site.

    Attributes:
        matrix: (blocks, n, n) int64 pixels by label and map.
        sure: (2, `BINS`) int64 pixels by whether they are right and by the bin of their score.
        mapped: (n,) int64 pixels of the whole split by mapped class, labelled or not.
    """

    matrix: NDArray[np.int64]
    sure: NDArray[np.int64]
    mapped: NDArray[np.int64]


def decide(pmap: NDArray[np.floating]) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """The likeliest class of a PMap (lc, h, w) and the bin of its score, (h, w) each."""
    pmap = np.nan_to_num(pmap)
    classes = pmap.argmax(axis=0).astype(np.uint8)
    best = np.take_along_axis(pmap, classes[None].astype(np.int64), axis=0)
    rest = pmap.sum(axis=0, dtype=np.float64)[None] - best
    return classes, score_bins(class_score(np.concatenate([best, rest]), 0))


def read_decisions(maps: SiteMaps) -> Iterator[tuple[CandidateOrDate, Decision]]:
    """The decisions of a site's maps and controls, one candidate after the other.

    The mean of a model that fuses so is its map; shifted is wrapped around. The commonest class is
    not among them: it needs no map.

    Raises:
        InputError: A map cannot be read.
    """
    fused = (Candidate.FUSED,) if maps.fusion != "mean" else ()
    stored = Candidate.FUSED if fused else Candidate.MEAN
    for candidate in (*maps.dates, *fused, *UNTRAINED):
        decision = _read(maps, candidate, candidate == stored)
        yield candidate, decision
        if candidate == Candidate.MEAN:
            shift = (maps.finer * SHIFT_PX,) * 2
            classes, bins = np.roll(decision.classes, shift, (0, 1)), np.roll(decision.bins, shift, (0, 1))
            yield Candidate.SHIFTED, Decision(classes, bins, decision.known)


def _read(maps: SiteMaps, candidate: CandidateOrDate, stored: bool) -> Decision:
    """One candidate's decision, read in strips: a whole scene as float32 would not fit."""
    shape = read_grid(maps.fused_path).shape
    whole = Decision(np.zeros(shape, np.uint8), np.zeros(shape, np.uint16), np.zeros(shape, bool))
    for strip in Window(0, 0, *shape).strips(_ROWS):
        pmap, known = _pmap(maps, candidate, stored, strip)
        whole.classes[strip.slices], whole.bins[strip.slices] = decide(pmap)
        whole.known[strip.slices] = known
    return whole


def _pmap(
    maps: SiteMaps, candidate: CandidateOrDate, stored: bool, strip: Window
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if stored:
        return read_pmap(maps.fused_path, strip)
    if not isinstance(candidate, Candidate):
        return read_pmap(maps.pmap_path(candidate), strip)
    loaded = [read_pmap(maps.pmap_path(date), strip) for date in maps.dates]
    pmaps = np.stack([pmap for pmap, _ in loaded])
    seen = np.stack([mask for _, mask in loaded])
    known = np.asarray(seen.any(axis=0))
    if candidate == Candidate.MAX and maps.legend.unmapped == "ignore":
        # The control takes class 0 for what is left; here it is a class as the others.
        highest: NDArray[np.float32] = np.where(seen[:, None], pmaps, np.float32(0)).max(axis=0)
        return highest, known
    return FUSIONS[candidate](pmaps, seen), known


def gather_classes(
    maps: SiteMaps, truth: Truth, block_px: int
) -> dict[str, dict[CandidateOrDate, ClassEvidence]]:
    """Count one site.

    Pixels that count: the label is not *ignore*, the split has them, and at least one date saw
    them. A single date is scored on the pixels that it saw.

    Args:
        maps: The site's maps.
        truth: The site's truth.
        block_px: Side of the blocks; all candidates of a split have the same.

    Returns:
        Split -> candidate -> evidence; splits without a pixel to score are left out.
    """
    labels, classes = truth.read_labels(), len(truth.legend.classes)
    _, valid = read_pmap(maps.fused_path)
    scored: dict[str, tuple[NDArray[np.bool_], Blocks]] = {}
    for split in truth.splits:
        here = truth.inside(split) & (labels != IGNORE) & valid
        if here.any():
            scored[split] = here, plan_blocks(here, block_px)
    result: dict[str, dict[CandidateOrDate, ClassEvidence]] = {split: {} for split in scored}
    for candidate, decision in read_decisions(maps):
        for split, (here, blocks) in scored.items():
            seen = here & decision.known
            result[split][candidate] = ClassEvidence(
                block_matrices(labels, decision.classes, seen, blocks, classes),
                _count_sure(decision, labels, seen),
                np.bincount(
                    decision.classes[truth.inside(split) & decision.known & valid], minlength=classes
                ),
            )
    return result


def _count_sure(
    decision: Decision, labels: NDArray[np.uint8], scored: NDArray[np.bool_]
) -> NDArray[np.int64]:
    right = (decision.classes == labels)[scored]
    key = right * BINS + decision.bins[scored].astype(np.int64)
    return np.bincount(key, minlength=2 * BINS).reshape(2, BINS)


def commonest(evidence: Mapping[CandidateOrDate, ClassEvidence], number: int) -> ClassEvidence:
    """The map that is class `number` everywhere, from what the mean was counted on."""
    mean = evidence[Candidate.MEAN]
    matrix = np.zeros_like(mean.matrix)
    matrix[:, :, number] = mean.matrix.sum(axis=2)
    sure = np.zeros_like(mean.sure)
    labelled = matrix.sum(axis=(0, 2))
    sure[:, -1] = labelled.sum() - labelled[number], labelled[number]
    mapped = np.zeros_like(mean.mapped)
    mapped[number] = mean.mapped.sum()
    return ClassEvidence(matrix, sure, mapped)
