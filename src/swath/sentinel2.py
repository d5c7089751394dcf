"""Facts about Sentinel-2: bands, quantification, the 8-bit True Colour Image."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from swath.errors import InputError
from swath.validation import Frozen


@dataclass(frozen=True, slots=True)
class Band:
    """A spectral band: its `eo:common_name` in STAC, central wavelength and native pixel size."""

    name: str
    common_name: str
    wavelength_um: float
    resolution_m: int


# Source: ESA, Sentinel-2 MSI user guide, table of spectral bands (Sentinel-2A).
BANDS: dict[str, Band] = {
    band.name: band
    for band in (
        Band("B01", "coastal", 0.4427, 60),
        Band("B02", "blue", 0.4924, 10),
        Band("B03", "green", 0.5598, 10),
        Band("B04", "red", 0.6646, 10),
        Band("B05", "rededge071", 0.7041, 20),
        Band("B06", "rededge075", 0.7405, 20),
        Band("B07", "rededge078", 0.7828, 20),
        Band("B08", "nir", 0.8328, 10),
        Band("B8A", "nir08", 0.8647, 20),
        Band("B09", "nir09", 0.9451, 60),
        Band("B10", "cirrus", 1.3735, 60),
        Band("B11", "swir16", 1.6137, 20),
        Band("B12", "swir22", 2.2024, 20),
    )
}

TCI_BANDS = ("B04", "B03", "B02")
"""The bands of the True Colour Image, in its order: red, green, blue."""

QUANTIFICATION = 10_000
"""Digital number of reflectance 1."""

TCI_REFLECTANCE = 0.3558
"""Reflectance that ESA's True Colour Image shows as 255."""

Level = Literal["L1C", "L2A"]
"""Processing level: reflectance at the top of the atmosphere, or at the surface."""

NODATA = 0
"""No measurement, in images of either encoding."""

DARK_LEVEL = 500
"""What a scene's dark level becomes with the encoding `dos`: room for what is darker still."""

CLOUD_REFLECTANCE = 0.62
"""Of a thick cloud, where one is painted, up to the near infrared."""

STANDARD_MEDIAN = 10_000
STANDARD_SPREAD = 1_000
"""What the median and the spread of a scene's band become with the encoding `standardised`: from
ten spreads below the median to 55 above it fit in 16 bits."""

SATURATED = 65535
"""Digital number of a saturated pixel of a product."""

# Source: ESA, Sentinel-2 MSI user guide, scene classification of Level-2A (SCL).
SCL_CLASSES: dict[int, str] = {
    0: "no data",
    1: "saturated or defective",
    2: "dark area",
    3: "cloud shadow",
    4: "vegetation",
    5: "not vegetated",
    6: "water",
    7: "unclassified",
    8: "cloud, medium probability",
    9: "cloud, high probability",
    10: "thin cirrus",
    11: "snow or ice",
}

SCL_INVALID = (0, 1, 3, 8, 9, 10)
"""Classes of the scene classification whose pixels are not used, unless the user says otherwise."""


def tci_from_reflectance(dn: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The 8-bit view that ESA makes of a scene: a fixed linear stretch, the same on all dates.

    Reflectance x 10000 (uint16) of 0..0.3558 becomes 1..255, clipped; 0 = no data in both.

    Source: ESA's user guide codes the TCI from 1 to 255 and keeps 0 for "no data"; differs from
    the TCI of a product by rounding only.
    """
    span = TCI_REFLECTANCE * QUANTIFICATION
    stretched = np.clip(np.rint(1.0 + 254.0 * (dn.astype(np.float32) / span)), 1, 255)
    return np.where(dn == NODATA, 0, stretched).astype(np.uint8)


def reflectance_from_tci(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reflectance x 10000 of the numbers 1..255 of a True Colour Image: `tci_from_reflectance` undone.

    Steps are 14; 255 gives 3558, whatever was brighter.
    """
    span = np.float32(TCI_REFLECTANCE * QUANTIFICATION)
    return (values - np.float32(1)) / np.float32(254) * span


def valid_mask(image: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where an image (..., C, H, W) holds a measurement: (..., H, W) bool.

    One band of a dark water pixel may well be 0 in a real TCI: only a pixel that is 0 in *every*
    band has no data.
    """
    mask: NDArray[np.bool_] = (image != NODATA).any(axis=-3)
    return mask


def check_bands(bands: Sequence[str], known: Collection[str] = tuple(BANDS)) -> None:
    """Raise `InputError` unless `bands` are distinct names of known bands."""
    if not bands or not set(bands) <= set(known) or len(set(bands)) != len(bands):
        raise InputError(
            f"bands must be distinct names of {', '.join(known)}; got {', '.join(bands) or 'none'}"
        )


Encoding = Literal["tci", "reflectance", "dos", "standardised"]


class ImageSettings(Frozen):
    """What the network is shown.

    Attributes:
        bands: Names of the bands, in the order of the network's input.
        encoding: `tci`: uint8, the fixed stretch of ESA's True Colour Image; `reflectance`: uint16
            reflectance x 10000; `dos`: the same after dark object subtraction, so that haze and
            the difference between Level-1C and Level-2A weigh less; `standardised`: every band of
            every scene has the same median and spread, so that sun, season and even haze weigh
            less as well (see `swath.scenes.levels`).
        optional: Bands that an image may lack. It then has 0 in them, which no measured pixel has,
            and the network sees their mean.
        least_spread: Reflectance x 10000: no band is stretched more by `standardised` than one of this
            spread, so that even ground, such as open water or closed forest, stays even.
    """

    bands: tuple[str, ...] = TCI_BANDS
    encoding: Encoding = "tci"
    optional: tuple[str, ...] = ()
    least_spread: float = Field(default=50.0, gt=0, le=10_000)

    @property
    def own_stretch(self) -> dict[str, float]:
        """`least_spread` where it is another than usual: part of what names a map."""
        return self.model_dump(include={"least_spread"}, exclude_defaults=True)

    @property
    def required(self) -> tuple[str, ...]:
        """The bands that every image must have."""
        return tuple(band for band in self.bands if band not in self.optional)

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            check_bands(self.bands)
        except InputError as error:
            raise ValueError(str(error)) from None
        if not set(self.optional) <= set(self.bands) or not self.required:
            raise ValueError(
                f"optional must be some of the bands {', '.join(self.bands)}, not all; got "
                f"{', '.join(self.optional)}"
            )
        return self
