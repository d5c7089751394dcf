"""Surfaces: their reflectance in Sentinel-2's bands, and how it changes over the year.

Source: rounded means of typical curves as spectral libraries show them (USGS splib07, ECOSTRESS),
averaged over the bands' widths. Within a class real surfaces differ by a factor of 0.6 to 1.6;
`spread` says how much of it is drawn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
"""The bands of 10 and 20 m, in the order of all spectra here."""

Spectrum = tuple[float, ...]

GRASS: Spectrum = (0.035, 0.070, 0.045, 0.105, 0.275, 0.335, 0.36, 0.38, 0.22, 0.11)
STRAW: Spectrum = (0.075, 0.105, 0.140, 0.170, 0.205, 0.225, 0.25, 0.27, 0.31, 0.23)
CROP: Spectrum = (0.026, 0.060, 0.032, 0.090, 0.325, 0.410, 0.44, 0.46, 0.19, 0.09)
SOIL: Spectrum = (0.070, 0.100, 0.138, 0.160, 0.180, 0.195, 0.215, 0.23, 0.31, 0.27)
TWIGS: Spectrum = (0.035, 0.050, 0.060, 0.085, 0.120, 0.140, 0.16, 0.18, 0.20, 0.14)
LEAVES: Spectrum = (0.018, 0.042, 0.023, 0.075, 0.240, 0.310, 0.34, 0.35, 0.17, 0.07)


@dataclass(frozen=True, slots=True)
class Material:
    """A surface.

    Attributes:
        bare: Reflectance in `BANDS` when nothing grows.
        green: The same in full leaf.
        peak: Day of the year when it is greenest in the north of the temperate zone.
        season: Standard deviation of the green time in days; 0: it never greens.
        evergreen: Share that is green all the year.
        spread: Standard deviation of the brightness from one object to the next.
        rough: Share of the surface's own shadows, 0 (a roof) to 1 (a wood).
        soil: Whether it takes the colour of the region's soil.
        porous: Whether rain darkens it.
    """

    bare: Spectrum
    green: Spectrum = GRASS
    peak: int = 170
    season: int = 0
    evergreen: float = 0.0
    spread: float = 0.12
    rough: float = 0.5
    soil: bool = False
    porous: bool = False


def _crop(peak: int, season: int, green: Spectrum = CROP) -> Material:
    return Material(SOIL, green, peak, season, spread=0.10, soil=True, porous=True)


MATERIALS: dict[str, Material] = {
    "wheat": _crop(125, 36),
    "barley": _crop(112, 34),
    "maize": _crop(215, 36),
    "beet": _crop(225, 48),
    "rape": _crop(118, 40, (0.040, 0.110, 0.090, 0.17, 0.35, 0.41, 0.44, 0.45, 0.22, 0.10)),
    "lucerne": _crop(170, 75),
    "fallow": Material(SOIL, GRASS, 140, 40, 0.15, soil=True, porous=True),
    "stubble": Material(STRAW, GRASS, 110, 45, porous=True),
    "meadow": Material(STRAW, GRASS, 150, 85, 0.35),
    "lawn": Material(STRAW, GRASS, 160, 110, 0.45, spread=0.10),
    "steppe": Material(STRAW, GRASS, 110, 45, 0.05, spread=0.10, soil=True, porous=True),
    "scrub": Material(
        (0.045, 0.065, 0.075, 0.11, 0.15, 0.17, 0.19, 0.21, 0.24, 0.17),
        (0.028, 0.052, 0.042, 0.085, 0.19, 0.23, 0.26, 0.28, 0.19, 0.11),
        150,
        80,
        0.4,
        rough=1.0,
    ),
    "leafy": Material(TWIGS, LEAVES, 190, 68, 0.10, spread=0.12, rough=1.0),
    "conifer": Material(
        TWIGS,
        (0.015, 0.027, 0.018, 0.045, 0.125, 0.16, 0.175, 0.18, 0.09, 0.04),
        180,
        200,
        0.85,
        spread=0.12,
        rough=1.0,
    ),
    "vines": Material(SOIL, LEAVES, 205, 55, spread=0.10, rough=0.8, soil=True, porous=True),
    "soil": Material(SOIL, spread=0.15, soil=True, porous=True),
    "sand": Material((0.19, 0.25, 0.31, 0.34, 0.36, 0.37, 0.39, 0.40, 0.49, 0.45), soil=True),
    "rock": Material((0.12, 0.14, 0.165, 0.18, 0.19, 0.195, 0.20, 0.205, 0.24, 0.22), rough=0.8),
    "water": Material((0.030, 0.032, 0.018, 0.013, 0.009, 0.008, 0.007, 0.006, 0.003, 0.002)),
    "asphalt": Material(
        (0.085, 0.098, 0.108, 0.114, 0.12, 0.124, 0.128, 0.132, 0.16, 0.15),
        spread=0.16,
        rough=0.1,
        porous=True,
    ),
    "concrete": Material(
        (0.18, 0.21, 0.235, 0.245, 0.25, 0.255, 0.26, 0.265, 0.28, 0.26),
        spread=0.14,
        rough=0.1,
        porous=True,
    ),
    "gravel": Material(
        (0.13, 0.16, 0.195, 0.212, 0.225, 0.235, 0.245, 0.255, 0.30, 0.27),
        spread=0.15,
        rough=0.3,
        soil=True,
        porous=True,
    ),
    "paving": Material(
        (0.115, 0.135, 0.15, 0.156, 0.162, 0.167, 0.172, 0.178, 0.21, 0.20),
        spread=0.18,
        rough=0.2,
        porous=True,
    ),
    "ballast": Material((0.075, 0.085, 0.10, 0.106, 0.112, 0.118, 0.124, 0.13, 0.16, 0.15)),
    "tiles": Material(
        (0.070, 0.098, 0.165, 0.20, 0.22, 0.23, 0.25, 0.265, 0.34, 0.32), spread=0.22, rough=0.2
    ),
    "slate": Material(
        (0.070, 0.076, 0.082, 0.086, 0.09, 0.094, 0.098, 0.104, 0.13, 0.125), spread=0.22, rough=0.2
    ),
    "flat": Material(
        (0.12, 0.135, 0.15, 0.155, 0.16, 0.164, 0.168, 0.172, 0.20, 0.19), spread=0.28, rough=0.1
    ),
    "metal": Material(
        (0.26, 0.28, 0.295, 0.30, 0.305, 0.31, 0.315, 0.32, 0.30, 0.27), spread=0.28, rough=0.0
    ),
    "white": Material(
        (0.36, 0.40, 0.42, 0.43, 0.43, 0.43, 0.43, 0.43, 0.38, 0.35), spread=0.22, rough=0.0
    ),
}
"""All surfaces; their order is the code in `Ground.material`."""

CODE = {name: code for code, name in enumerate(MATERIALS)}

TURBID: Spectrum = (0.062, 0.088, 0.078, 0.062, 0.036, 0.033, 0.026, 0.02, 0.005, 0.003)
"""Water full of silt; a day's water lies between clear and this."""

SNOW: Spectrum = (0.85, 0.86, 0.85, 0.84, 0.83, 0.81, 0.79, 0.76, 0.12, 0.10)


def column(attribute: str) -> NDArray[np.float32]:
    """(materials,) float32: one attribute of all materials, in the order of their codes."""
    return np.array([getattr(m, attribute) for m in MATERIALS.values()], np.float32)


def spectra(attribute: str) -> NDArray[np.float32]:
    """(materials, bands) float32: `bare` or `green` of all materials."""
    return np.array([getattr(m, attribute) for m in MATERIALS.values()], np.float32)
