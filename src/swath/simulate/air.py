"""From the surface to the top of the atmosphere: scattering, haze, cirrus, clouds and shadows."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from swath.grid import Window
from swath.scenes.paintedclouds import SHADE, cloud_cover
from swath.sentinel2 import CLOUD_REFLECTANCE
from swath.simulate.day import Day
from swath.simulate.materials import WAVES_UM
from swath.simulate.parameters import Air
from swath.simulate.pattern import hills

_CLOUD_M = 1500.0
"""Height of thick clouds above the ground: how far from a cloud its shadow falls."""

_HAZE_BACKWARD = 0.35
"""Phase function of haze towards nadir (Henyey-Greenstein, g = 0.65: 0.1-0.4 at 110-150 deg)."""


def through_air(
    surface: NDArray[np.float32], day: Day, bands: tuple[int, ...], air: Air
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """See the ground, (bands, H, W) reflectance of the whole picture, from above the air.

    Returns:
        (bands, H, W) float32 reflectance at the top of the atmosphere; and (H, W) bool: True where
        thick cloud or its shadow hides the ground.

    Source: single scattering in a plane layer, with transmission in both directions as in 5S (Tanre
    et al. 1990), and a share of the light that was scattered in from the surroundings.
    """
    window = Window(0, 0, *surface.shape[1:])
    sun_up = np.float32(np.sin(day.sun[0]))
    paths = np.float32(1 / sun_up + 1)
    # Rayleigh's phase function; seen from the zenith the light turns by 180 degrees less the sun's
    # distance from the zenith.
    phase = np.float32(0.75) * (1 + sun_up**2)
    veil = np.exp(air.patchiness * hills(window, air.patch_px, day.seed + 5, octaves=5))
    haze = np.float32(day.aerosol) * veil
    cloud, hidden, clear = clouds(window, day)
    cirrus = day.cirrus * np.clip(hills(window, 150, day.seed + 8, octaves=4), 0, 2.5)
    seen = np.empty_like(surface)
    for at, band in enumerate(bands):
        wave = float(WAVES_UM[band])
        rayleigh = np.float32(air.rayleigh * wave**-4.05)
        aerosol = haze * np.float32((wave / 0.55) ** -air.angstrom)
        back = (1 - np.exp(-(rayleigh + aerosol) * paths)) / (4 * (1 + sun_up))
        total = rayleigh + aerosol
        path = back * (rayleigh * phase + aerosol * np.float32(_HAZE_BACKWARD)) / total
        path *= 1 + np.float32(air.multiple) * rayleigh
        through = np.exp(-(0.48 * rayleigh + 0.16 * aerosol) * paths)
        lit = surface[at] * clear
        around = lit
        for _ in range(2):
            around = uniform_filter(around, int(air.adjacency_px), mode="nearest")
        share = np.minimum(air.adjacency * total, 0.6)
        seen[at] = path + through * (lit + share * (around - lit))
        white = np.float32(ice(wave))
        seen[at] += (1 - np.exp(-cirrus)) * (white - seen[at])
        seen[at] += cloud * (np.float32(CLOUD_REFLECTANCE) * np.float32(white / 0.5) - seen[at])
    return seen, hidden


def ice(wavelength_um: float) -> float:
    """How bright ice is: white in all bands but the short-wave infrared, where it absorbs."""
    return 0.5 if wavelength_um < 1.5 else 0.25


def clouds(window: Window, day: Day) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """(H, W) cover of thick cloud 0..1, where it or its shadow hides the ground, light left."""
    shape = (window.height, window.width)
    cover = np.zeros(shape, np.float32)
    clear = np.ones(shape, np.float32)
    if day.cloud > 0:
        reach = _CLOUD_M / np.tan(day.sun[0]) / 10.0
        down = round(float(reach * np.cos(day.sun[1])))
        right = round(float(-reach * np.sin(day.sun[1])))
        heights = hills(window, 60, day.seed + 6, octaves=6)
        edge = np.float32(np.quantile(heights, 1 - day.cloud))
        cover = cloud_cover(heights, edge).astype(np.float32)
        moved = hills(window.shift(-down, -right), 60, day.seed + 6, octaves=6)
        clear -= SHADE * cloud_cover(moved, edge)
    if day.shadow > 0:
        heights = hills(window, 80, day.seed + 7, octaves=5)
        edge = np.float32(np.quantile(heights, 1 - day.shadow))
        clear *= 1 - np.float32(0.5) * cloud_cover(heights, edge)
    return cover, (cover > 0.1) | (clear < 0.8), clear.astype(np.float32)
