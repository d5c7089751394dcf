"""Who is scored: the maps of a model and the controls, as slugs; and what tables call them."""

import datetime as dt
from collections.abc import Collection, Iterable
from enum import StrEnum

from swath.models.fusion import FUSIONS
from swath.models.names import NAMES

SHIFT_PX = 50
"""How far the shifted control is moved, down and right, in image pixels."""


class Candidate(StrEnum):
    """What a report scores, but for the maps of single dates."""

    DATES = "dates"
    """The mean over the dates of the scores of their maps: what one date is worth."""

    FUSED = "fused"
    """The map of the whole series."""

    MEAN = "mean"
    MEDIAN = "median"
    VOTE = "vote"
    MAX = "max"

    SHIFTED = "shifted"
    """The mean moved by `SHIFT_PX`: what the same density gets by chance."""

    ALL_BACKGROUND = "all-background"
    ALL_CLASS = "all-class"
    """The class that is scored, everywhere."""

    COMMONEST = "commonest"
    """Of many classes, the commonest of the labels, everywhere."""


CandidateOrDate = Candidate | dt.date
"""A candidate, or the day whose map is scored alone."""

UNTRAINED = tuple(Candidate(name) for name in FUSIONS)
"""The controls that fuse the dates' maps without training."""

ONE_CLASS_CONTROLS = (Candidate.ALL_BACKGROUND, Candidate.ALL_CLASS)
"""The controls of two classes that know nothing; of many it is the commonest class."""

CONTROLS = (*UNTRAINED, Candidate.SHIFTED, *ONE_CLASS_CONTROLS)
"""All controls of two classes, in the order of the paper's table."""

MIXED = ("one date", "fused")
"""What the maps of one date, and fused ones, are called where models of several kinds made them."""


def names_of(
    architectures: Collection[str], class_name: str, dates: Iterable[dt.date] = ()
) -> dict[CandidateOrDate, str]:
    """What tables call the candidates, and the days that are scored alone.

    Args:
        architectures: Of the models that made the maps, as in `swath.models.names.NAMES`.
        class_name: The class that is scored.
        dates: The days.
    """
    kinds = set(architectures)
    alone, fused = NAMES.get(next(iter(kinds)), MIXED) if len(kinds) == 1 else MIXED
    return {
        **{date: f"{alone} {date}" for date in dates},
        **{candidate: candidate.value for candidate in Candidate},
        Candidate.DATES: alone,
        Candidate.FUSED: fused,
        Candidate.COMMONEST: "commonest class",
        Candidate.SHIFTED: f"shifted mean ({SHIFT_PX} px)",
        Candidate.ALL_CLASS: f"all-{class_name}",
    }
