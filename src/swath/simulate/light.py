"""The ground in the light of a day: season, shade, moisture, cars; reflectance below the air."""

import numpy as np
from numpy.typing import NDArray

from swath.grid import Window
from swath.simulate.climate import Climate
from swath.simulate.day import Day
from swath.simulate.ground import Ground
from swath.simulate.materials import CODE, MATERIALS, SNOW, TURBID, WAVES_UM, column
from swath.simulate.parameters import CELL_M, Light, Parameters
from swath.simulate.pattern import chance, grain, hills


def season_spectra(day: Day, climate: Climate) -> NDArray[np.float32]:
    """What every material reflects on a day: (materials, bands) float32.

    South of the equator the seasons are turned; in the tropics they fade; in dry regions grass is
    green in early spring and little at any time.
    """
    latitude = climate.latitude_deg
    doy = day.date.timetuple().tm_yday + (182 if latitude < 0 else 0)
    early = 50 * climate.dry + 1.2 * (45 - min(abs(latitude), 55))
    fade = float(np.clip((abs(latitude) - 12) / 20, 0.15, 1))
    growth = []
    for material in MATERIALS.values():
        if material.season == 0:
            growth.append(material.evergreen)
            continue
        away = (doy - (material.peak - early * 0.8) + 182.5) % 365 - 182.5
        leaf = float(np.exp(-0.5 * (away / material.season) ** 2))
        leaf = fade * leaf + (1 - fade) * 0.75
        leaf *= 1 - 0.6 * climate.dry * (material.rough < 1)
        growth.append(material.evergreen + (1 - material.evergreen) * leaf)
    share = np.array(growth, np.float32)[:, None]
    colour = np.interp(WAVES_UM, (0.49, 0.83), climate.soil).astype(np.float32)
    bare = np.where(column("soil")[:, None] > 0, column("bare") * colour, column("bare"))
    bare = np.where(column("porous")[:, None] > 0, bare * np.float32(day.moist), bare)
    table = (1 - share) * bare + share * column("green")
    clear, turbid = column("bare")[CODE["water"]], np.array(TURBID, np.float32)
    table[CODE["water"]] = clear + day.turbid * (turbid - clear)
    return table.astype(np.float32)


def shade(height_m: NDArray[np.float32], elevation: float, azimuth: float) -> NDArray[np.float32]:
    """Where the sun does not reach: (h, w) float32, 0 in the sun, 1 in the shade.

    At the edges shadows from outside are missing. The sun's elevation and azimuth (clockwise from
    north) are in radians.
    """
    dark = np.zeros(height_m.shape, np.bool_)
    fall = CELL_M * np.tan(elevation)
    for step in range(1, int(min(height_m.max(), 60.0) / fall) + 1):
        # The shadow falls away from the sun: for a sun in the south-east to the north-west.
        down, right = round(step * np.cos(azimuth)), round(-step * np.sin(azimuth))
        whole = Window(0, 0, *height_m.shape)
        to = whole.intersect(whole.shift(down, right))
        of = to.shift(-down, -right).slices
        dark[to.slices] |= height_m[of] - np.float32(step * fall) > height_m[to.slices]
    return dark.astype(np.float32)


def skylight(day: Day, light: Light) -> NDArray[np.float32]:
    """(bands,) float32: share of the light on open ground that comes from the sky."""
    high = np.sin(day.sun[0]) / np.sin(np.deg2rad(60))
    share = light.skylight * (1 + day.aerosol / 0.1) / 2 * WAVES_UM**-1.6 / high
    return np.asarray(np.clip(share, 0.01, 0.6), np.float32)


def illuminate(
    ground: Ground, window: Window, day: Day, climate: Climate, bands: tuple[int, ...], parameters: Parameters
) -> NDArray[np.float32]:
    """What the ground, painted on a window of cells, reflects on a day.

    Returns:
        (bands, h, w) float32 reflectance of the surface, in the unit of a sunlit flat ground; the
        bands are indexes into `materials.BANDS`.
    """
    elevation, azimuth = day.sun
    table = season_spectra(day, climate)
    dark = shade(ground.height_m, elevation, azimuth)
    sky = skylight(day, parameters.light)
    # No field or roof looks quite the same on two days.
    change = chance(ground.thing, ground.material, day.seed + 3) - np.float32(0.5)
    tone = ground.tone * (1 + np.float32(parameters.weather.drift * np.sqrt(12)) * change)
    low = (np.sin(np.deg2rad(60)) - np.sin(elevation)) / (np.sin(np.deg2rad(60)) - 0.5)
    rough = column("rough") * np.float32(parameters.light.roughness * max(low, -0.3))
    tone *= (1 - np.clip(rough, -0.1, 0.5))[ground.material]
    cars = ground.paved & (grain(window, day.seed + 1) < parameters.weather.traffic)
    tone[cars] *= np.exp(1.6 * (grain(window, day.seed + 2)[cars] - 0.35))
    snow = _snow(ground, window, day)
    out = np.empty((len(bands), *tone.shape), np.float32)
    for at, band in enumerate(bands):
        flat = np.take(table[:, band], ground.material) * tone
        if snow is not None:
            flat += snow * (np.float32(SNOW[band]) - flat)
        share = sky[band]
        lit = (1 - dark) * (1 - share) + share * (1 - (1 - parameters.light.open_sky) * dark)
        out[at] = flat * lit
    return out


def _snow(ground: Ground, window: Window, day: Day) -> NDArray[np.float32] | None:
    """(h, w) float32 share of every cell under snow; None: there is none."""
    if day.snow <= 0:
        return None
    patches = hills(window, 40, day.seed + 4, octaves=4) < 4 * day.snow - 1.5
    free = ground.paved | (ground.height_m > 2) | (ground.material == CODE["water"])
    return np.where(patches, np.where(free, 0.15, 0.9), 0).astype(np.float32)
