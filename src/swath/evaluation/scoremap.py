"""The maps of all candidates of a site, as bins of the score of one class."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.evaluation.candidate import SHIFT_PX, UNTRAINED, Candidate, CandidateOrDate
from swath.grid import Window
from swath.maps.sitemaps import SiteMaps, read_grid, read_pmap
from swath.metrics.histogram import BINS, class_score, score_bins
from swath.models.fusion import FUSIONS

_ROWS = 512


@dataclass(frozen=True, slots=True)
class ScoreMaps:
    """The score maps of one site for one class; iterates as (candidate, bins, where to score it).

    Attributes:
        bins: Candidate -> (H, W) uint16 bins of its score; 0 where it knows nothing.
        dates: Date -> (H, W) bool, True where that date has data.
        valid: (H, W) bool, True where any date has data. All but single dates are scored there.
    """

    bins: dict[CandidateOrDate, NDArray[np.uint16]]
    dates: dict[CandidateOrDate, NDArray[np.bool_]]
    valid: NDArray[np.bool_]

    def __iter__(self) -> Iterator[tuple[CandidateOrDate, NDArray[np.uint16], NDArray[np.bool_]]]:
        for candidate, bins in self.bins.items():
            yield candidate, bins, self.dates.get(candidate, self.valid)


def read_score_maps(maps: SiteMaps, class_id: int) -> ScoreMaps:
    """Read a site's PMaps and make the score maps of all candidates for a class.

    The controls come from the same PMaps. The mean of a model that fuses so is its map; shifted
    is wrapped around.

    Raises:
        InputError: A map cannot be read.
    """
    shape = read_grid(maps.fused_path).shape
    fused = (Candidate.FUSED,) if maps.fusion != "mean" else ()
    controls = (Candidate.ALL_BACKGROUND, Candidate.ALL_CLASS, Candidate.SHIFTED, *UNTRAINED)
    candidates: tuple[CandidateOrDate, ...] = (*maps.dates, *fused, *controls)
    bins = {candidate: np.zeros(shape, np.uint16) for candidate in candidates}
    dates: dict[CandidateOrDate, NDArray[np.bool_]] = {date: np.zeros(shape, bool) for date in maps.dates}
    valid = np.zeros(shape, bool)
    # A model without a network for fusion gives the mean, but as sure as it has reason to be.
    stored = Candidate.FUSED if Candidate.FUSED in bins else Candidate.MEAN
    # In strips: the PMaps of a whole scene as float32 would not fit into a small machine.
    for strip in Window(0, 0, *shape).strips(_ROWS):
        where = strip.slices
        loaded = [read_pmap(maps.pmap_path(date), strip) for date in maps.dates]
        pmaps = np.stack([pmap for pmap, _ in loaded])
        seen = np.stack([mask for _, mask in loaded])
        for date, pmap, mask in zip(dates, pmaps, seen, strict=True):
            bins[date][where] = score_bins(class_score(pmap, class_id))
            dates[date][where] = mask
        pmap, mask = read_pmap(maps.fused_path, strip)
        bins[stored][where] = score_bins(class_score(pmap, class_id))
        for control in UNTRAINED:
            if control != stored:
                pmap = FUSIONS[control](pmaps, seen)
                bins[control][where] = score_bins(class_score(pmap, class_id))
        valid[where] = seen.any(axis=0) & mask
    shift = (maps.finer * SHIFT_PX,) * 2
    bins[Candidate.SHIFTED] = np.roll(bins[Candidate.MEAN], shift, axis=(0, 1))
    bins[Candidate.ALL_CLASS][:] = BINS - 1
    return ScoreMaps(bins, dates, valid)
