"""The day of an acquisition: sun, season, haze, cloud shadow, wet roads, sensor noise."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from swath.simulate.cover import CELL_M, MATERIALS, Cover, smooth_noise

BANDS = ("B02", "B03", "B04", "B08")
"""The simulated sensor's bands."""

PIXEL_M = 10.0
LATITUDE_DEG = 45.0

PATH = np.array([0.070, 0.040, 0.024, 0.010])
"""What clear air adds to the reflectance of each band (scattering; most in the blue)."""

HAZE = np.array([0.085, 0.075, 0.065, 0.040])
"""What haze of strength 1 adds."""


@dataclass(frozen=True, slots=True)
class Day:
    """One acquisition's conditions.

    Attributes:
        date: Day of acquisition.
        haze: Mean strength of the haze, 0 (none) to about 1.
        shaded: Share of the ground under the shadow of clouds outside the picture, 0..1.
        wet: Factor on the reflectance of paved ground.
        gain: Factor on all reflectance that is left after the sun's height is allowed for.
        shift: Registration error in cells of 2.5 m, (down, right).
        seed: Of the patterns of haze, shadow and noise.
    """

    date: dt.date
    haze: float
    shaded: float
    wet: float
    gain: float
    shift: tuple[int, int]
    seed: int

    @property
    def sun(self) -> tuple[float, float]:
        """Elevation and azimuth of the sun at 10:30 in radians (azimuth clockwise from north)."""
        season = 2 * np.pi * (self.date.timetuple().tm_yday + 284) / 365
        declination, latitude = np.deg2rad(23.44) * np.sin(season), np.deg2rad(LATITUDE_DEG)
        hour = np.deg2rad(-22.5)
        up = np.sin(latitude) * np.sin(declination)
        up += np.cos(latitude) * np.cos(declination) * np.cos(hour)
        elevation = np.arcsin(up)
        north = (np.sin(declination) - up * np.sin(latitude)) / (
            np.cos(elevation) * np.cos(latitude)
        )
        return float(elevation), float(np.arccos(np.clip(north, -1, 1)))


def plan_days(seed: int | tuple[int, ...], count: int, year: int = 2021) -> tuple[Day, ...]:
    """Choose `count` days from spring to autumn, oldest first, each with its own weather."""
    rng = np.random.default_rng(seed)
    first, last = 75, 290  # mid March to mid October
    step = (last - first) / count
    starts = first + step * (np.arange(count) + rng.uniform(0.2, 0.8, count))
    return tuple(
        Day(
            date=dt.date(year, 1, 1) + dt.timedelta(days=int(start)),
            haze=float(rng.beta(1.2, 2.2)),
            shaded=float(rng.uniform(0.0, 0.25)),
            wet=float(rng.uniform(0.75, 1.1)),
            gain=float(rng.normal(1.0, 0.04)),
            shift=(int(rng.integers(-2, 3)), int(rng.integers(-2, 3))),
            seed=int(rng.integers(2**31)),
        )
        for start in starts
    )


def expose(cover: Cover, day: Day) -> NDArray[np.uint16]:
    """Take the picture of a day.

    Args:
        cover: The ground, (h, w) cells of 2.5 m.
        day: The conditions.

    Returns:
        (4, h / 4, w / 4) uint16: top-of-atmosphere reflectance x 10000 of `BANDS`, at least 1.
    """
    rng = np.random.default_rng(day.seed)
    ratio = round(PIXEL_M / CELL_M)
    light = cover.texture * _shading(cover.height_m, *day.sun)
    spectra = _spectra(day)
    shape = (light.shape[0] // ratio, light.shape[1] // ratio)
    haze = day.haze * np.exp(0.45 * smooth_noise(rng, shape, 160, octaves=5))
    clear = _cloud_shadow(rng, shape, day.shaded)
    image = np.empty((len(BANDS), *shape), np.uint16)
    for band in range(len(BANDS)):
        cells = np.roll(spectra[cover.material, band] * light, day.shift, axis=(0, 1))
        ground = cells.reshape(shape[0], ratio, shape[1], ratio).mean(axis=(1, 3))
        ground = gaussian_filter(ground, 0.45)  # the optics blur a little beyond the pixel
        seen = day.gain * ground * clear * np.exp(-0.6 * haze) + PATH[band] + HAZE[band] * haze
        noisy = seen + 0.0015 * rng.standard_normal(shape)
        image[band] = np.clip(np.rint(noisy * 10_000), 1, 20_000).astype(np.uint16)
    return image


def _spectra(day: Day) -> NDArray[np.float32]:
    """(materials, bands) float32 reflectance of every material on that day."""
    table = []
    doy = day.date.timetuple().tm_yday
    for name, material in MATERIALS.items():
        leaf = (
            np.exp(-0.5 * ((doy - material.peak) / material.season) ** 2) if material.season else 0
        )
        wet = day.wet if name in {"asphalt", "concrete", "gravel", "yard"} else 1.0
        bare, green = np.array(material.bare), np.array(material.green)
        table.append(wet * ((1 - leaf) * bare + leaf * green))
    return np.array(table, np.float32)


def _shading(
    height_m: NDArray[np.float32], elevation: float, azimuth: float
) -> NDArray[np.float32]:
    """(h, w) float32: 1 in the sun, 0.35 in the shadow of a house or tree."""
    shaded = np.zeros(height_m.shape, np.bool_)
    fall = CELL_M * np.tan(elevation)
    for step in range(1, int(height_m.max() / fall) + 1):
        # The sun stands in the south-east: shadows fall up and to the left.
        away = (round(step * np.cos(azimuth)), round(-step * np.sin(azimuth)))
        shadow = np.roll(height_m, away, axis=(0, 1)) - step * fall
        shaded |= shadow > height_m
    low = (np.sin(elevation) / np.sin(np.deg2rad(60))) ** 0.2
    factor: NDArray[np.float32] = np.where(shaded, 0.35 * low, low).astype(np.float32)
    return factor


def _cloud_shadow(
    rng: np.random.Generator, shape: tuple[int, int], share: float
) -> NDArray[np.float32]:
    """(H, W) float32 factor: 1 in the open, down to 0.55 under `share` of the picture."""
    hills = smooth_noise(rng, shape, 80, octaves=5)
    edge = np.quantile(hills, 1 - share)
    depth = np.clip((hills - edge) / 0.25, 0, 1)
    factor: NDArray[np.float32] = (1 - 0.45 * depth).astype(np.float32)
    return factor
