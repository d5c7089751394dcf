"""A region: how dry it is, the colour of its soil, what its roofs are made of."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from swath.simulate.materials import CODE

ROOFS = ("tiles", "slate", "flat", "metal", "white")


@dataclass(frozen=True, slots=True)
class Climate:
    """What the places of one region share.

    Attributes:
        latitude_deg: Of the place.
        dry: 0 (moist all the year) to 1 (desert).
        soil: Factor on the soil's reflectance at 0.49 and at 0.83 um.
        roofs: Share of each of `ROOFS` among houses.
        trees: Factor on the share of trees in gardens and streets.
        turbid: How far its water is between clear (0) and full of silt (1).
    """

    latitude_deg: float
    dry: float
    soil: tuple[float, float]
    roofs: tuple[float, ...]
    trees: float
    turbid: float


def draw_climate(latitude_deg: float, seed: int) -> Climate:
    """A plausible region at a latitude.

    Dry zones lie at 15 to 38 degrees; dry soil is bright, and dry regions have few trees and pale
    roofs.
    """
    rng = np.random.default_rng((seed, 101))
    belt = np.exp(-0.5 * ((abs(latitude_deg) - 27) / 9) ** 2)
    dry = float(np.clip(0.75 * belt * rng.beta(2, 2) / 0.5 + rng.uniform(0, 0.2), 0, 1))
    bright = np.exp(rng.normal(0.15 + 0.35 * dry, 0.15))
    red = np.exp(rng.normal(0.05, 0.12))
    mix = rng.dirichlet(np.array([3.0, 1.8, 2.2 + 3 * dry, 0.3, 0.15 + 0.5 * dry]) * 1.5)
    return Climate(
        latitude_deg=latitude_deg,
        dry=dry,
        soil=(float(bright / red), float(bright * red)),
        roofs=tuple(float(share) for share in mix),
        trees=float((1 - 0.8 * dry) * np.exp(rng.normal(0, 0.3))),
        turbid=float(rng.beta(1.2, 2.5)),
    )


def crops(climate: Climate) -> NDArray[np.uint8]:
    """(n,) codes of what fields bear, each as often as it is common."""
    moist = ["wheat", "wheat", "barley", "maize", "maize", "beet", "rape", "lucerne", "stubble"]
    dry = ["wheat", "barley", "fallow", "fallow", "soil", "stubble", "lucerne", "steppe"]
    count = round(8 * climate.dry)
    return np.array([CODE[name] for name in moist[: 9 - count] + dry[: count + 1]], np.uint8)


def usual_roofs(climate: Climate) -> NDArray[np.uint8]:
    """(64,) codes of roofs that a whole neighbourhood may share: no shining ones."""
    return roofs(replace(climate, roofs=(*climate.roofs[:3], 0.0, 0.2 * climate.dry)), works=False)


def roofs(climate: Climate, works: bool) -> NDArray[np.uint8]:
    """(64,) codes of roofs, of houses or of works, each material as often as it is common."""
    shares = np.array(climate.roofs)
    if works:
        shares = 0.25 * shares + 0.75 * np.array([0.07, 0.18, 0.45, 0.22, 0.08])
    ends = np.cumsum(shares / shares.sum())
    picked = np.searchsorted(ends, (np.arange(64) + 0.5) / 64).clip(max=len(ROOFS) - 1)
    return np.array([CODE[ROOFS[at]] for at in picked], np.uint8)
