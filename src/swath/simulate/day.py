"""The days on which pictures are taken: sun, weather, and the instrument's aim."""

import datetime as dt
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from swath.errors import SettingsError
from swath.simulate.climate import Climate
from swath.simulate.parameters import Parameters

_OVERPASS_H = 10.5
"""Mean solar time of Sentinel-2's overpass. Source: ESA, 10:30 at the descending node."""


@dataclass(frozen=True, slots=True)
class Day:
    """One acquisition's conditions.

    Attributes:
        date: Day of acquisition.
        latitude_deg: Of the place.
        aerosol: Optical depth of the haze at 0.55 um.
        cirrus: Greatest optical depth of thin cirrus.
        cloud: Share of the picture under thick cloud.
        shadow: Share of the picture in the shadow of clouds outside of it.
        moist: Factor on the reflectance of soil and paving, at most 1.
        snow: Share of the open ground under snow.
        turbid: How far water is between clear (0) and full of silt (1).
        shift_px: Registration error in pixels (down, right).
        seed: Of the patterns of haze, cloud and noise.
    """

    date: dt.date
    latitude_deg: float
    aerosol: float = 0.1
    cirrus: float = 0.0
    cloud: float = 0.0
    shadow: float = 0.0
    moist: float = 1.0
    snow: float = 0.0
    turbid: float = 0.2
    shift_px: tuple[float, float] = (0.0, 0.0)
    seed: int = 0

    @property
    def sun(self) -> tuple[float, float]:
        """Elevation and azimuth of the sun in radians (azimuth clockwise from north).

        Source: Cooper 1969 (declination); spherical triangle of pole, zenith and sun.
        """
        season = 2 * np.pi * (self.date.timetuple().tm_yday + 284) / 365
        declination, latitude = np.deg2rad(23.44) * np.sin(season), np.deg2rad(self.latitude_deg)
        hour = np.deg2rad(15 * (_OVERPASS_H - 12))
        up = np.sin(latitude) * np.sin(declination)
        up += np.cos(latitude) * np.cos(declination) * np.cos(hour)
        east = -np.cos(declination) * np.sin(hour)
        north = np.sin(declination) * np.cos(latitude)
        north -= np.cos(declination) * np.sin(latitude) * np.cos(hour)
        return float(np.arcsin(up)), float(np.arctan2(east, north) % (2 * np.pi))


def plan_days(
    count: int, climate: Climate, parameters: Parameters, seed: int, cloud: float = 0.0
) -> tuple[Day, ...]:
    """Choose clear days spread over a year, each with its own weather; oldest first.

    Thick cloud covers a share `cloud` of the picture on the last of them.

    Raises:
        SettingsError: The sun stands too low all the year for so many days.
    """
    rng = np.random.default_rng((seed, 202))
    year = dt.date(2021, 1, 1) + dt.timedelta(days=int(rng.integers(0, 360)))
    lowest = np.deg2rad(parameters.light.lowest_sun_deg)
    every = [year + dt.timedelta(days=day) for day in range(365)]
    bright = [date for date in every if Day(date, climate.latitude_deg).sun[0] >= lowest]
    if len(bright) < count:
        raise SettingsError(
            f"{count} dates at {climate.latitude_deg:.1f} degrees north: only {len(bright)} days "
            f"of a year have the sun above {parameters.light.lowest_sun_deg:g} degrees"
        )
    days = []
    for first, last in pairwise(np.linspace(0, len(bright), count + 1)):
        # Kept apart: two pictures of one week would show one day's weather twice.
        date = bright[int(first + (last - first) * rng.uniform(0.2, 0.8))]
        days.append(_draw_weather(date, climate, parameters, rng))
    return (*days[:-1], replace(days[-1], cloud=cloud))


def _draw_weather(date: dt.date, climate: Climate, parameters: Parameters, rng: np.random.Generator) -> Day:
    """A day with what weather it had; without thick cloud."""
    weather, air, optics = parameters.weather, parameters.air, parameters.optics
    wet, cirrus, shade = rng.random(3)
    darker = weather.moisture[1] * (wet < weather.moisture[0])
    winter = Day(date, climate.latitude_deg).sun[0] < np.deg2rad(30)
    frost = date.month in ((12, 1, 2, 3) if climate.latitude_deg > 0 else (6, 7, 8))
    cold = frost and abs(climate.latitude_deg) > 40
    return Day(
        date=date,
        latitude_deg=climate.latitude_deg,
        aerosol=float(air.aerosol[0] * np.exp(air.aerosol[1] * rng.standard_normal())),
        cirrus=float(rng.uniform(0, weather.cirrus[1]) * (cirrus < weather.cirrus[0])),
        shadow=float(rng.uniform(0, weather.shadow[1]) * (shade < weather.shadow[0])),
        moist=float(1 - rng.uniform(0.2, 1) * darker - 0.1 * winter),
        snow=float(rng.uniform(0.4, 1) * (rng.random() < weather.snow * cold)),
        turbid=float(np.clip(climate.turbid + rng.normal(0, 0.1), 0, 1)),
        shift_px=(
            float(rng.normal(0, optics.misregistration_px)),
            float(rng.normal(0, optics.misregistration_px)),
        ),
        seed=int(rng.integers(2**20)),
    )


def plan_series(count: int, climate: Climate, parameters: Parameters, seed: int) -> tuple[Day, ...]:
    """Days of a series as archives have them, oldest first: uneven gaps over some years, haze, cloud.

    The first and the last are as good as a user would choose; every third between them is hazy or has cloud.

    Raises:
        SettingsError: The sun stands too low all the year.
    """
    rng = np.random.default_rng((seed, 909))
    lowest = np.deg2rad(parameters.light.lowest_sun_deg)
    gaps = np.ceil(rng.exponential(1, count) * rng.choice([8, 25, 70, 140])).astype(int)
    first = dt.date(2017, 1, 1) + dt.timedelta(days=int(rng.integers(0, 700)))
    days: list[Day] = []
    for number, after in enumerate(np.cumsum(5 * np.ceil(gaps / 5))):
        date = first + dt.timedelta(days=int(after))
        tries = 0
        while Day(date, climate.latitude_deg).sun[0] < lowest or (days and date <= days[-1].date):
            date, tries = date + dt.timedelta(days=5), tries + 1
            if tries > 400:
                raise SettingsError(
                    f"at {climate.latitude_deg:.1f} degrees north the sun stays below "
                    f"{parameters.light.lowest_sun_deg:g} degrees"
                )
        day = _draw_weather(date, climate, parameters, rng)
        haze, cloud, off, cover = rng.random(4)
        if 0 < number < count - 1 or rng.random() < 0.15:
            if haze < 0.25:
                day = replace(day, aerosol=min(day.aerosol * float(rng.uniform(2, 5)), 0.9))
            if cloud < 0.3:
                day = replace(day, cloud=float(0.03 + 0.5 * cover**2), shadow=float(0.1 * rng.random()))
        if off < 0.12:  # dates that nobody has registered
            down, right = rng.normal(0, 0.8, 2)
            day = replace(day, shift_px=(float(down), float(right)))
        days.append(day)
    return tuple(days)
