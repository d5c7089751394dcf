"""All numbers of the simulation but the spectra (`materials.yaml`): each with its source and range.

"Measured" means: on the development data, by the commands in docs/realism.md. "Chosen" means: a
plausible value, moved within its range until the figures there agreed better.
"""

from dataclasses import dataclass

CELL_M = 2.0
"""Side of a cell in which the ground is drawn; narrow streets (4-6 m) are two to three wide."""

CELLS_PER_PX = 5
"""Cells along the side of a pixel of 10 m."""

BLOCK_PX = 256
"""Pixels along the side of a block; memory grows with its square, about 150 MB at 256."""

HALO_PX = 14
"""Pixels around a block that are drawn for its sake: shadows of 120 m and the optics' reach."""


@dataclass(frozen=True, slots=True)
class Optics:
    """The instrument and its geometry.

    Attributes:
        blur_px: Deviation of the Gaussian that blurs beyond the 10 m pixel; 0.42 and the pixel give
            a transfer of 0.27 at Nyquist's frequency. Source: ESA's data quality reports, 0.22-0.30
            for the bands of 10 m; each resampling (Level-1C, and the development images were warped
            twice more) blurs further: range 0.40-0.70; first round of docs/realism.md.
        noise: Deviation of the reflectance at reflectance 0, and its share of the square root of
            the signal. Source: signal-to-noise ratio 140-175 of B02-B08 at the reference radiance
            (ESA, Sentinel-2 mission requirements); range 0.0005-0.0015.
        misregistration_px: Deviation of a date's shift along each axis. Source: ESA's reports, 12 m
            at 95 % before the Global Reference Image (2016-2020), 5 m after: 0.25-0.6; development
            data (2015-2018): "about 1 px".
        between_bands_px: Deviation of each band's own shift. Source: ESA's reports, below 0.3 px
            for 99.7 % of the pixels: 0.05-0.15; third round.
    """

    blur_px: float = 0.58
    noise: tuple[float, float] = (0.0006, 0.0020)
    misregistration_px: float = 0.4
    between_bands_px: float = 0.1


@dataclass(frozen=True, slots=True)
class Air:
    """What lies between the sun, the ground and the sensor.

    Attributes:
        rayleigh: Optical depth of the air itself at 1 um; falls with the wavelength to the power of
            -4.05. Source: Hansen and Travis 1974 (sea level).
        multiple: What light that was scattered more than once adds to the single scattering, per
            optical depth. Source: 6S, Rayleigh reflectance of about 0.065 at 0.49 um from nadir
            with the sun at 45 degrees, of which single scattering is 0.052; third round.
        aerosol: Median optical depth of the haze at 0.55 um, and the deviation of its logarithm
            from day to day. Source: AERONET, cities: 0.05-0.6; clear days are chosen: 0.12.
        angstrom: Exponent with which haze falls with the wavelength. Source: AERONET 0.8-1.6.
        patchiness: Deviation of the logarithm of the haze within a scene. Chosen; range 0.05-0.4.
        patch_px: Size of its patches in pixels. Chosen; range 50-400.
        adjacency: Share of the scattered light that comes from the pixels around, per optical
            depth. Source: Vermote et al. 1997 (6S): 0.1-0.4 of the signal over dark targets.
        adjacency_px: Distance from which it comes, in pixels. Source: 0.5-1 km, same.
    """

    rayleigh: float = 0.00884
    multiple: float = 1.5
    aerosol: tuple[float, float] = (0.13, 0.45)
    angstrom: float = 1.3
    patchiness: float = 0.12
    patch_px: float = 120.0
    adjacency: float = 0.5
    adjacency_px: float = 40.0


@dataclass(frozen=True, slots=True)
class Light:
    """Sun, shade and what changes with them.

    Attributes:
        skylight: Share of the light that comes from the sky at 1 um on a clear day with the sun at
            60 degrees; in the blue more. Source: 6S: 0.10-0.25 at 0.5 um, 0.03-0.06 at 0.85 um.
        open_sky: Share of the sky that is seen from the shade of a street. Chosen; range 0.4-0.9;
            third round.
        roughness: How much darker a rough surface gets from a sun at 60 to one at 30 degrees
            elevation, by itself (its own small shadows). Source: Roy et al. 2016, BRDF of
            Sentinel-2-like nadir views: 0.05-0.25 for vegetation and soil.
        lowest_sun_deg: Days with a lower sun are not chosen. Source: Sentinel-2 acquires above
            about 5 degrees; users rarely take days below 15.
    """

    skylight: float = 0.05
    open_sky: float = 0.55
    roughness: float = 0.15
    lowest_sun_deg: float = 15.0


@dataclass(frozen=True, slots=True)
class Weather:
    """What a day did before the overpass.

    Attributes:
        moisture: Share of days on which the soil is moist, and by how much moist soil and paving
            are darker. Source: Lobell and Asner 2002, soil: 0.2-0.5 darker when wet.
        shadow: Share of days with shadows of clouds in the picture, and their greatest share of it.
            Users choose clear days: 0.1 and 0.05.
        cirrus: Share of days with thin cirrus, and its greatest optical depth. Range 0-0.1.
        snow: Chance of snow on a winter day outside the warm zones. Chosen; range 0-0.3.
        traffic: Share of a road's cells with a car, other ones each day. Source: parking and
            traffic counts differ widely: range 0.02-0.2.
        drift: Deviation of an object's brightness from one day to the next (growth, mowing,
            cleaning, view). Chosen; range 0.02-0.10.
    """

    moisture: tuple[float, float] = (0.3, 0.20)
    shadow: tuple[float, float] = (0.1, 0.05)
    cirrus: tuple[float, float] = (0.15, 0.05)
    snow: float = 0.05
    traffic: float = 0.05
    drift: float = 0.05


@dataclass(frozen=True, slots=True)
class Fill:
    """What stands where OpenStreetMap says nothing.

    Attributes:
        road_density: Kilometres of road per square kilometre (blurred over 200 m), and at each ...
        built: ... the share of the ground that is built-up. Source: measured on the land use that
            is mapped in Liechtenstein and north of Bayreuth.
        works: Share of the built-up ground that is no housing. Source: the same, 0.05-0.3; in
            Moscow's outskirts 0.4-0.9.
        rural: Shares of farmland, meadow, forest and scrub outside towns in a moist climate.
            Source: the same (0.2-0.35, 0.15, 0.5-0.7, 0.05); less forest, which is mapped first.
        house_spacing_m: From one house to the next along a street at 6 and at 16 km of road per
            square kilometre. Source: there 9 % and 15-35 % of the ground are houses, most of them
            10-40 m from the street.
        house_depth_m: From front to back, at the same two densities.
        house_height_m: At the same two densities.
        house_share: Share of the plots that bear a house.
        neighbourhood_m: Side of a neighbourhood that was built in one manner. Chosen; range
            100-400.
        alike: Share of its houses that have its usual roof. Chosen; range 0.5-0.9.
        leafiness: How much greener some neighbourhoods are than others, in deviations of the
            pattern of crowns. Chosen; range 0.2-0.8.
    """

    road_density: tuple[float, ...] = (0.7, 1.5, 3.0, 5.0, 7.5, 11.5, 16.0)
    built: tuple[float, ...] = (0.0, 0.02, 0.10, 0.35, 0.70, 0.88, 0.98)
    works: float = 0.15
    rural: tuple[float, float, float, float] = (0.45, 0.22, 0.25, 0.08)
    house_spacing_m: tuple[float, float] = (19.0, 13.0)
    house_depth_m: tuple[float, float] = (10.0, 14.0)
    house_height_m: tuple[float, float] = (6.0, 15.0)
    house_share: float = 0.8
    neighbourhood_m: float = 220.0
    alike: float = 0.75
    leafiness: float = 0.4


@dataclass(frozen=True, slots=True)
class Mapper:
    """How OpenStreetMap differs from the ground.

    Attributes:
        missing: Share of roads that nobody has drawn, by highway class; other classes lose half of
            the share of `residential`. Source: Barrington-Leigh and Millard-Ball 2017: OSM is 83 %
            complete world-wide, in cities more: 0.02-0.2 of the smaller roads.
        shift_m: Deviation along each axis of a shift that the lines of one neighbourhood share (the
            imagery that mappers draw from is off). Source: measured on the eight labelled cities:
            up to 1 px; Haklay 2010: 6 m in London.
        shift_px: Size of a neighbourhood in pixels. Chosen; range 50-300.
        jitter_m: Deviation of each vertex along each axis. Source: Haklay 2010; range 1-4.
    """

    missing: tuple[tuple[str, float], ...] = (
        ("residential", 0.06),
        ("unclassified", 0.08),
        ("service", 0.3),
        ("living_street", 0.08),
    )
    shift_m: float = 4.0
    shift_px: float = 120.0
    jitter_m: float = 1.5


@dataclass(frozen=True, slots=True)
class Parameters:
    """Everything that decides how a layout looks, but the seed."""

    optics: Optics = Optics()
    air: Air = Air()
    light: Light = Light()
    weather: Weather = Weather()
    fill: Fill = Fill()
    mapper: Mapper = Mapper()
