"""How far simulated images are from real ones: figures of both, and a two-sample test."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swath.extras import need_extras
from swath.lab.realism.siteimages import SiteImages, read_places
from swath.lab.realism.traits import Traits, describe
from swath.lab.realism.twosample import TwoSample, tell_apart


@dataclass(frozen=True, slots=True)
class Likeness:
    """Simulated beside real places; its fields are what `swath lab realism` prints as JSON.

    Attributes:
        simulated: Figures of the simulated places.
        real: Figures of the real ones.
        test: How well a forest tells their patches apart.
    """

    simulated: Traits
    real: Traits
    test: TwoSample


def measure_realism(simulated: Path, real: Path, seed: int) -> Likeness:
    """Compare the images of two sites files; see `compare`.

    Raises:
        SettingsError: A file breaks the format.
        InputError: An image or a label file cannot be read; too few sites.
        MissingExtraError: scikit-learn is not installed.
    """
    need_extras("swath lab realism", "baselines")
    return compare(read_places(simulated, "simulated"), read_places(real, "real"), seed)


def compare(simulated: Sequence[SiteImages], real: Sequence[SiteImages], seed: int) -> Likeness:
    """All figures of both, and the two-sample test.

    Args:
        simulated: Simulated places.
        real: Real places.
        seed: Of the forests and of the choice of patches.

    Raises:
        InputError: Too few places to hold some out.
    """
    test = tell_apart(simulated, real, seed)
    return Likeness(describe(simulated), describe(real), test)
