"""Who is scored: the U-Net's dates, the fused map, and the controls, all as maps of score bins."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.grid import Window
from swath.maps.sitemaps import SiteMaps, read_grid, read_pmap
from swath.metrics import BINS, class_score, score_bins
from swath.models.fusion import FUSIONS
from swath.models.names import NAMES

UNET = "U-NET"
FUSED = "U-NET + ConvLSTM"
SHIFT_PX = 50
SHIFTED = f"shifted mean ({SHIFT_PX} px)"
ALL_BACKGROUND = "all-background"
_ROWS = 512


def all_class(name: str) -> str:
    """Name of the control that maps one class everywhere."""
    return f"all-{name}"


def dated(date: object) -> str:
    """Name of the U-Net's map of one date."""
    return f"{UNET} {date}"


def report_names(models: Collection[str]) -> dict[str, str]:
    """What the candidates `UNET` and `FUSED` are called in the report of other models.

    Args:
        models: The architectures of all maps.

    Returns:
        Candidate -> its name; empty where they are U-Net and ConvLSTM.
    """
    if set(models) == {"unet-convlstm"} or not set(models) <= NAMES.keys():
        return {}
    if len(set(models)) > 1:
        return {UNET: "one date", FUSED: "fused"}
    one, fused = NAMES[next(iter(models))]
    return {UNET: one, FUSED: fused}


def called(name: str, names: Mapping[str, str]) -> str:
    """A candidate's name in a report, also that of a single date.

    Args:
        name: Of the candidate.
        names: Of `report_names`.
    """
    if name not in names and name.startswith(f"{UNET} ") and UNET in names:
        return names[UNET] + name.removeprefix(UNET)
    return names.get(name, name)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The score maps of one site for one class.

    Attributes:
        bins: Candidate -> (H, W) uint16 bins of its score; 0 where it knows nothing.
        dates: Candidate of a date -> (H, W) bool, True where that date has data.
        valid: (H, W) bool, True where any date has data. All other candidates are scored there.
    """

    bins: dict[str, NDArray[np.uint16]]
    dates: dict[str, NDArray[np.bool_]]
    valid: NDArray[np.bool_]

    def __iter__(self) -> Iterator[tuple[str, NDArray[np.uint16], NDArray[np.bool_]]]:
        """Yield (name, bins, where to score it)."""
        for name, bins in self.bins.items():
            yield name, bins, self.dates.get(name, self.valid)

    def model_of(self, name: str) -> str:
        """The model that a candidate is of: every date's map is the U-Net's."""
        return UNET if name in self.dates else name


def candidate_names(maps: SiteMaps, class_name: str) -> tuple[str, ...]:
    """The candidates of a site, in the order of the report: models, then controls."""
    fused = (FUSED,) if maps.fusion != "mean" else ()
    controls = (ALL_BACKGROUND, all_class(class_name), SHIFTED, *FUSIONS)
    return (*(dated(date) for date in maps.dates), *fused, *controls)


def read_candidates(maps: SiteMaps, class_id: int) -> Candidates:
    """Read a site's PMaps and make the score maps of all candidates.

    The controls come from the same PMaps: mean (of a model that fuses so: its map), median, vote
    and max of the dates; the mean shifted 50 px down and right, wrapped around (what the same
    density of roads gets by chance); all background and all class.

    Args:
        maps: The site's maps.
        class_id: The class that is scored against the rest.

    Raises:
        InputError: A map cannot be read.
    """
    shape = read_grid(maps.fused_path).shape
    names = candidate_names(maps, maps.legend.names[class_id])
    bins = {name: np.zeros(shape, np.uint16) for name in names}
    dates = {dated(date): np.zeros(shape, bool) for date in maps.dates}
    valid = np.zeros(shape, bool)
    # A model without a network for fusion gives the mean, but as sure as it has reason to be.
    own = FUSED if FUSED in bins else "mean"
    # In strips: the PMaps of a whole scene as float32 would not fit into a small machine.
    for strip in Window(0, 0, *shape).strips(_ROWS):
        where = strip.slices
        loaded = [read_pmap(maps.pmap_path(date), strip) for date in maps.dates]
        pmaps = np.stack([pmap for pmap, _ in loaded])
        seen = np.stack([mask for _, mask in loaded])
        for name, pmap, mask in zip(dates, pmaps, seen, strict=True):
            bins[name][where] = score_bins(class_score(pmap, class_id))
            dates[name][where] = mask
        fused, mask = read_pmap(maps.fused_path, strip)
        bins[own][where] = score_bins(class_score(fused, class_id))
        for name in FUSIONS.keys() - {own}:
            pmap = FUSIONS[name](pmaps, seen)
            bins[name][where] = score_bins(class_score(pmap, class_id))
        valid[where] = seen.any(axis=0) & mask
    bins[SHIFTED] = np.roll(bins["mean"], (SHIFT_PX, SHIFT_PX), axis=(0, 1))
    bins[all_class(maps.legend.names[class_id])][:] = BINS - 1
    return Candidates(bins, dates, valid)
