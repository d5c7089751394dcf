"""Surfaces: their reflectance in Sentinel-2's bands, and how it changes over the year."""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from swath.sentinel2 import BANDS as SENTINEL2
from swath.validation import Frozen, parse_yaml

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
"""The bands of 10 and 20 m, in the order of all spectra here."""

Spectrum = tuple[float, ...]

GRASS: Spectrum = (0.035, 0.070, 0.045, 0.105, 0.275, 0.335, 0.36, 0.38, 0.22, 0.11)


class Material(Frozen):
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


class _Table(Frozen):
    """What `materials.yaml` holds."""

    spectra: dict[str, Spectrum]
    materials: dict[str, Material]


_TABLE = parse_yaml((files("swath.simulate") / "materials.yaml").read_text("utf-8"), _Table, "materials.yaml")

MATERIALS = _TABLE.materials
"""All surfaces; their order is the code in `Ground.material`."""

CODE = {name: code for code, name in enumerate(MATERIALS)}

WAVES_UM = np.array([SENTINEL2[band].wavelength_um for band in BANDS])

TURBID = _TABLE.spectra["turbid"]
"""Water full of silt; a day's water lies between clear and this."""

SNOW = _TABLE.spectra["snow"]


def column(attribute: str) -> NDArray[np.float32]:
    """(materials,) or (materials, bands) float32: one attribute of all, in the order of codes."""
    return np.array([getattr(m, attribute) for m in MATERIALS.values()], np.float32)
