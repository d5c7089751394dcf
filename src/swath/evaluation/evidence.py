"""What the pixels say: counts per block for every candidate, from which all scores follow."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.candidate import Candidate, CandidateOrDate
from swath.evaluation.scoremap import read_score_maps
from swath.evaluation.truth import Truth
from swath.grid import Grid
from swath.legend import IGNORE, LegendClass
from swath.maps.sitemaps import SiteMaps
from swath.metrics.histogram import BINS, HALF, Blocks, block_histogram, confusion, plan_blocks, selected
from swath.metrics.scores import best_edge, expected_edge
from swath.metrics.tolerance import centre_line, match_counts

VALIDATION = "validation"
SMALLEST_BLOCK_PX = 64
MOST_BLOCKS = 2048

Edges = Mapping[Candidate, int]
"""Candidate -> the edge of its threshold chosen on validation; all single dates share `DATES`."""

Rule = Literal["half", "validation", "scene"]
"""How a threshold is found: 0.5; the best on the validation sites; or, site by site and without any
label, where the map's own scores lead one to expect the highest IoU (see `expected_edge`)."""


CountedMap = tuple[Candidate, NDArray[np.uint16], NDArray[np.bool_], NDArray[np.bool_]]
"""A candidate; (H, W) bins of its score; where the label is the class; where to score it."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Counts at one threshold, per pixel and within 1, 2, 3 px: see `swath.metrics.tolerance`.

    Attributes:
        edge: Of the threshold; None where sites with several are pooled.
        confusion: (blocks, 4) int64, of pixels.
        relaxed: (blocks, 3, 4) int64, of areas.
        line: (blocks, 3, 4) int64, of centre lines; None for a class of areas.
    """

    edge: int | None
    confusion: NDArray[np.int64]
    relaxed: NDArray[np.int64]
    line: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One candidate against the truth, over some blocks.

    Attributes:
        histogram: (blocks, 2, `BINS`) uint32, pixels by truth and by bin of the score.
        matches: Rule -> counts at its threshold.
    """

    histogram: NDArray[np.uint32]
    matches: Mapping[Rule, Matches]


def pool(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of several sites as one; blocks in the order of the parts."""
    if len(parts) == 1:
        return parts[0]
    return Evidence(
        np.concatenate([part.histogram for part in parts]),
        {rule: _pool([part.matches[rule] for part in parts]) for rule in shared_rules(parts)},
    )


def shared_rules(parts: Sequence[Evidence]) -> list[Rule]:
    """The rules that all parts are counted under."""
    return [rule for rule in parts[0].matches if all(rule in part.matches for part in parts)]


def common_edge(parts: Sequence[Matches]) -> int | None:
    """The edge of the parts, if they have the same."""
    edges = {part.edge for part in parts}
    return edges.pop() if len(edges) == 1 else None


def _pool(parts: Sequence[Matches]) -> Matches:
    lines = [part.line for part in parts if part.line is not None]
    return Matches(
        common_edge(parts),
        np.concatenate([part.confusion for part in parts]),
        np.concatenate([part.relaxed for part in parts]),
        np.concatenate(lines) if lines else None,  # of one class: on every site or on none
    )


def plan_block_px(grids: Sequence[Grid], finer: int) -> int:
    """Side of the blocks: 64 image px, doubled until no site has more than 2048 of them.

    640 m is beyond the distance over which the errors of one road hang together; a whole scene of
    10980 px gets blocks of 256 px, so that 17 of them still fit into memory.

    Args:
        grids: Of the maps.
        finer: Their pixels to the side of one of the image.
    """
    px = SMALLEST_BLOCK_PX * finer
    while max((-(-g.height // px)) * (-(-g.width // px)) for g in grids) > MOST_BLOCKS:
        px *= 2
    return px


def model_of(candidate: CandidateOrDate) -> Candidate:
    """The candidate under which a date's map is pooled with those of other dates, or itself."""
    return Candidate.DATES if isinstance(candidate, dt.date) else candidate


def choose_edges(pairs: Sequence[tuple[SiteMaps, Truth]], target: LegendClass) -> dict[Candidate, int]:
    """The edges that are the best on the pooled validation pixels of all mapped sites.

    Single dates get one threshold, from all dates of the validation sites together: other cities
    have other dates.
    """

    def validation() -> Iterator[CountedMap]:
        for maps, truth in pairs:
            if VALIDATION not in truth.splits:
                continue
            labels = truth.read_labels()
            score_maps = read_score_maps(maps, target.id)
            scored = truth.inside(VALIDATION) & (labels != IGNORE) & score_maps.valid
            for candidate, bins, valid in score_maps:
                yield model_of(candidate), bins, labels == target.id, scored & valid

    return best_edges(validation())


def best_edges(counted: Iterable[CountedMap]) -> dict[Candidate, int]:
    """Candidate -> the edge with the highest IoU over all its maps; none without a scored pixel."""
    totals: dict[Candidate, NDArray[np.int64]] = {}
    for candidate, bins, positive, scored in counted:
        blocks = plan_blocks(scored, SMALLEST_BLOCK_PX)
        total = totals.setdefault(candidate, np.zeros((2, BINS), np.int64))
        total += block_histogram(bins, positive, scored, blocks).sum(axis=0, dtype=np.int64)
    return {candidate: best_edge(total) for candidate, total in totals.items() if total.any()}


def gather(
    maps: SiteMaps, truth: Truth, target: LegendClass, edges: Edges, block_px: int
) -> dict[str, dict[CandidateOrDate, Evidence]]:
    """Count one site for one class.

    Pixels that count: the label is not *ignore*, the split has them, and at least one date saw
    them. A single date is scored on the pixels that it saw.

    Args:
        maps: The site's maps.
        truth: The site's truth.
        target: The class that is scored against the rest.
        edges: Thresholds chosen on validation, perhaps none; the other rules need no other site.
        block_px: Side of the blocks; all candidates of a split have the same.

    Returns:
        Split -> candidate -> evidence; splits without a pixel to score are left out.
    """
    labels = truth.read_labels()
    lines = truth.centre_lines(target, labels)
    score_maps = read_score_maps(maps, target.id)
    expected = {
        candidate: expected_edge(np.bincount(bins[valid], minlength=BINS))
        for candidate, bins, valid in score_maps
    }
    result: dict[str, dict[CandidateOrDate, Evidence]] = {}
    for split in truth.splits:
        scored = truth.inside(split) & (labels != IGNORE) & score_maps.valid
        if not scored.any():
            continue
        blocks = plan_blocks(scored, block_px)
        result[split] = {}
        for candidate, bins, valid in score_maps:
            rules: dict[Rule, int] = {"half": HALF, "scene": expected[candidate]}
            if (model := model_of(candidate)) in edges:
                rules["validation"] = edges[model]
            result[split][candidate] = count_evidence(
                bins, labels == target.id, lines, scored & valid, blocks, rules, truth.finer
            )
    return result


def count_evidence(
    bins: NDArray[np.uint16],
    positive: NDArray[np.bool_],
    lines: NDArray[np.bool_] | None,
    scored: NDArray[np.bool_],
    blocks: Blocks,
    rules: Mapping[Rule, int],
    finer: int = 1,
) -> Evidence:
    """Count one score map against the truth.

    Args:
        bins: (H, W) bins of the score.
        positive: (H, W), True where the label is the class.
        lines: (H, W), the true centre lines; None for a class of areas.
        scored: (H, W), True = score this pixel.
        blocks: Of these pixels.
        rules: Rule -> edge of its threshold.
        finer: Pixels to the side of one of the image; tolerances are counted in those.
    """
    histogram = block_histogram(bins, positive, scored, blocks)
    at_edge: dict[int, Matches] = {}
    for edge in set(rules.values()):
        predicted = selected(bins, edge)
        at_edge[edge] = Matches(
            edge,
            np.asarray(confusion(histogram, edge), np.int64),
            match_counts(predicted & scored, positive, scored, blocks, finer),
            None
            if lines is None
            else match_counts(centre_line(predicted, scored), lines, scored, blocks, finer),
        )
    return Evidence(histogram, {rule: at_edge[edge] for rule, edge in rules.items()})
