"""Ground, light, air and sensor of the simulator, by small numbers of known origin."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import SettingsError
from swath.grid import Window
from swath.simulate.air import through_air
from swath.simulate.climate import Climate, draw_climate
from swath.simulate.day import Day, plan_days
from swath.simulate.ground import Ground
from swath.simulate.light import illuminate, season_spectra, shade
from swath.simulate.materials import BANDS, CODE, MATERIALS
from swath.simulate.parameters import HALO_PX, Air, Light, Optics, Parameters, Weather
from swath.simulate.parcels import cut_parcels
from swath.simulate.pattern import chance, grain, hills
from swath.simulate.render import plan_blocks
from swath.simulate.sensor import band_shifts, gather, measure

CLIMATE = Climate(latitude_deg=48.0, dry=0.1, soil=(1.0, 1.0), roofs=(1.0, 0, 0, 0, 0), trees=1.0, turbid=0.2)
JUNE = Day(dt.date(2021, 6, 21), 45.0)
STILL = Parameters(weather=Weather(traffic=0.0, drift=0.0))
RGBN = (0, 1, 2, 6)
STRAIGHT = np.zeros((1, 2))
SEED = st.integers(0, 2**20)


def flat(material: str, height: float = 0.0, side: int = 60) -> Ground:
    shape = (side, side)
    return Ground(
        material=np.full(shape, CODE[material], np.uint8),
        tone=np.ones(shape, np.float32),
        thing=np.zeros(shape, np.int32),
        height_m=np.full(shape, height, np.float32),
        paved=np.zeros(shape, np.bool_),
    )


@given(SEED, st.integers(-90, 90), st.integers(-90, 90), st.integers(1, 30), st.integers(1, 30))
def test_patterns_depend_on_the_place_alone(seed: int, row: int, col: int, down: int, right: int) -> None:
    wide, part = Window(-100, -100, 240, 240), Window(row, col, down, right)
    rows, cols = part.relative_to(wide).slices
    np.testing.assert_array_equal(grain(wide, seed)[rows, cols], grain(part, seed))
    np.testing.assert_allclose(hills(wide, 7.3, seed, 2)[rows, cols], hills(part, 7.3, seed, 2), atol=1e-5)


def test_hills_are_standard_and_smooth() -> None:
    many = hills(Window(0, 0, 1500, 1500), 15, 5, octaves=2)
    assert many.mean() == pytest.approx(0, abs=0.05)
    assert many.std() == pytest.approx(1, abs=0.05)
    assert np.abs(np.diff(hills(Window(0, 0, 200, 200), 40, 5), axis=0)).max() < 0.2


def test_chance_is_even() -> None:
    draws = chance(np.arange(200)[:, None], np.arange(200)[None], 3)
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, 10, (0, 1))[0]
    # 40,000 draws in ten classes: 4,000 each, with a deviation of 60.
    assert np.abs(counts - 4000).max() < 300


def test_parcels_fit_together_and_have_the_promised_size() -> None:
    whole = cut_parcels(Window(-50, 13, 400, 380), 9)
    part = cut_parcels(Window(33, 101, 90, 70), 9)
    rows, cols = slice(83, 173), slice(88, 158)
    np.testing.assert_array_equal(whole.strip[rows, cols], part.strip)
    np.testing.assert_array_equal(whole.plot[rows, cols], part.plot)
    assert (whole.border_m >= 0).all()
    assert whole.border_m.max() <= 65  # half of the widest strip


def test_sun_at_the_solstice_stands_where_the_almanac_says() -> None:
    # Declination 23.44 degrees, latitude 45, hour angle -22.5 degrees:
    # sin h = sin 45 sin 23.44 + cos 45 cos 23.44 cos 22.5 = 0.2813 + 0.5994, h = 61.7 degrees.
    elevation, azimuth = JUNE.sun
    assert np.rad2deg(elevation) == pytest.approx(61.7, abs=0.2)
    # sin A = cos 23.44 sin 22.5 / cos 61.7, in the south-east: A = 180 - 47.8 degrees.
    assert np.rad2deg(azimuth) == pytest.approx(132.2, abs=0.5)


def test_sun_south_of_the_equator_stands_in_the_north() -> None:
    elevation, azimuth = Day(dt.date(2021, 6, 21), -35.0).sun
    # sin h = -sin 35 sin 23.44 + cos 35 cos 23.44 cos 22.5 = -0.2282 + 0.6944, h = 27.8 degrees.
    assert np.rad2deg(elevation) == pytest.approx(27.8, abs=0.2)
    assert 0 < np.rad2deg(azimuth) < 90


@pytest.mark.parametrize("latitude", [-33.0, 0.0, 45.0, 60.0])
def test_days_are_in_order_apart_and_sunny(latitude: float) -> None:
    climate = draw_climate(latitude, 1)
    days = plan_days(5, climate, Parameters(), 2)
    assert [d.date for d in days] == sorted({d.date for d in days})
    assert all(np.rad2deg(d.sun[0]) >= 15 for d in days)
    assert days == plan_days(5, climate, Parameters(), 2)


def test_no_days_without_sun() -> None:
    with pytest.raises(SettingsError, match="sun above"):
        plan_days(366, draw_climate(70.0, 1), Parameters(), 2)


def ndvi(day: Day, climate: Climate, material: str) -> float:
    table = season_spectra(day, climate)[CODE[material]]
    return float((table[6] - table[2]) / (table[6] + table[2]))


def test_seasons_turn_with_the_hemisphere_and_roads_have_none() -> None:
    south = Climate(-48.0, 0.1, (1.0, 1.0), (1.0, 0, 0, 0, 0), 1.0, 0.2)
    january = Day(dt.date(2021, 1, 15), 48.0)
    for material in ("leafy", "maize"):
        assert ndvi(JUNE, CLIMATE, "leafy") > ndvi(january, CLIMATE, "leafy") + 0.2
        assert ndvi(january, south, material) > ndvi(JUNE, south, material) + 0.2
    assert ndvi(JUNE, CLIMATE, "asphalt") == ndvi(january, CLIMATE, "asphalt")


def test_rain_darkens_soil_and_asphalt_but_no_roof() -> None:
    wet = season_spectra(Day(JUNE.date, 45.0, moist=0.8), CLIMATE)
    dry = season_spectra(JUNE, CLIMATE)
    for name in ("soil", "asphalt"):
        np.testing.assert_allclose(wet[CODE[name]], 0.8 * dry[CODE[name]], rtol=1e-5)
    np.testing.assert_array_equal(wet[CODE["tiles"]], dry[CODE["tiles"]])


def test_all_spectra_are_reflectances() -> None:
    for material in MATERIALS.values():
        for spectrum in (material.bare, material.green):
            assert len(spectrum) == len(BANDS)
            assert 0 < min(spectrum) <= max(spectrum) < 1


def test_house_throws_its_shadow_away_from_the_morning_sun() -> None:
    height = np.zeros((40, 40), np.float32)
    height[20, 20] = 20.0
    elevation, azimuth = JUNE.sun  # 61.7 degrees: 20 m throw a shadow of 10.8 m, five cells
    dark = shade(height, elevation, azimuth)
    rows, cols = np.nonzero(dark)
    assert len(rows) in (4, 5)  # two steps of one cell may end in the same cell
    assert (rows < 20).all()
    assert (cols < 20).all()
    assert np.hypot(20 - rows, 20 - cols).max() * 2 == pytest.approx(10.8, abs=2)


def test_shade_is_lit_by_the_sky_more_in_the_blue() -> None:
    ground = flat("concrete")
    ground.height_m[30:34, 30:34] = 30.0
    window = Window(0, 0, 60, 60)
    lit = illuminate(ground, window, JUNE, CLIMATE, RGBN, STILL)
    dark = shade(ground.height_m, *JUNE.sun) > 0
    share = [float(band[dark].mean() / band[~dark].mean()) for band in lit]
    assert share[0] > share[1] > share[2] > share[3] > 0.005
    assert share[0] < 0.35


def test_cars_stand_on_roads_only_and_not_the_same_every_day() -> None:
    ground = flat("asphalt")
    ground.paved[:, :30] = True
    window, busy = Window(0, 0, 60, 60), Parameters(weather=Weather(traffic=0.2, drift=0.0))
    days = [Day(JUNE.date, 45.0, seed=seed) for seed in (1, 2)]
    first, second = (illuminate(ground, window, d, CLIMATE, (2,), busy)[0] for d in days)
    assert (first[:, :30] != second[:, :30]).mean() > 0.2
    np.testing.assert_array_equal(first[:, 30:], second[:, 30:])


def test_snow_covers_meadows_and_leaves_roads() -> None:
    ground = flat("meadow")
    ground.paved[:, :30] = True
    day = Day(dt.date(2021, 1, 20), 48.0, snow=1.0)
    lit = illuminate(ground, Window(0, 0, 60, 60), day, CLIMATE, (0, 8), STILL)
    assert lit[0][:, 30:].mean() > 0.6
    assert lit[0][:, :30].mean() < 0.3
    assert lit[1][:, 30:].mean() < 0.2  # snow is dark at 1.6 um


def test_air_over_black_ground_is_blue_and_grows_with_haze() -> None:
    black = np.zeros((4, 64, 64), np.float32)
    clear, _ = through_air(black, Day(JUNE.date, 45.0, aerosol=0.05), RGBN, Air())
    hazy, _ = through_air(black, Day(JUNE.date, 45.0, aerosol=0.5), RGBN, Air())
    path = clear.mean(axis=(1, 2))
    assert path[0] > path[1] > path[2] > path[3] > 0
    # 6S tables for a clear day and a high sun: about 0.05-0.08 at 0.49 um, 0.003-0.01 at 0.83 um.
    assert 0.045 < path[0] < 0.085
    assert 0.002 < path[3] < 0.015
    assert (hazy.mean(axis=(1, 2)) > path).all()


def test_haze_takes_contrast_and_the_surroundings_shine_in() -> None:
    ground = np.full((4, 128, 128), 0.1, np.float32)
    ground[:, :, 64:] = 0.4
    contrast = []
    for aerosol in (0.05, 0.6):
        seen, _ = through_air(ground, Day(JUNE.date, 45.0, aerosol=aerosol), RGBN, Air())
        contrast.append(seen[2, :, 100:].mean() - seen[2, :, :28].mean())
        assert seen[2, :, 60:64].mean() > seen[2, :, :8].mean()
    assert 0 < contrast[1] < 0.9 * contrast[0] < 0.3


def test_cloud_and_its_shadow_cover_their_share_and_are_told() -> None:
    ground = np.full((4, 200, 200), 0.2, np.float32)
    seen, hidden = through_air(ground, Day(JUNE.date, 45.0, cloud=0.2, seed=4), RGBN, Air())
    assert (seen[2] > 0.4).mean() == pytest.approx(0.15, abs=0.08)
    assert 0.2 < hidden.mean() < 0.6
    assert hidden[seen[2] > 0.35].all()
    assert hidden[seen[2] < 0.13].all()
    clear, none = through_air(ground, JUNE, RGBN, Air())
    assert not none.any()
    assert np.ptp(clear[2]) < 0.02


def test_a_pixel_gathers_all_light_once() -> None:
    side = (2 * HALO_PX + 8) * 5
    one = gather(np.ones((1, side, side), np.float32), np.array([[0.3, -0.4]]), Optics())
    np.testing.assert_allclose(one, 1, rtol=1e-5)
    cells = np.zeros((1, side, side), np.float32)
    cells[0, side // 2, side // 2] = 25.0  # a lamp with the light of one pixel
    assert gather(cells, STRAIGHT, Optics()).sum() == pytest.approx(1, abs=1e-3)


def test_transfer_at_nyquist_is_what_the_parameters_say() -> None:
    # The pixel's square passes 2/pi = 0.637 at Nyquist's frequency, a Gaussian of 0.42 px
    # exp(-2 (pi 0.42 / 2)^2) = 0.419: together 0.267.
    side = (2 * HALO_PX + 20) * 5
    wave = np.cos(np.pi * (np.arange(side) + 0.5 - 2.5) / 5)
    cells = np.broadcast_to(wave.astype(np.float32), (1, side, side)).copy()
    seen = gather(cells, STRAIGHT, Optics(blur_px=0.42))
    # Cells of a fifth of a pixel stand for the continuous wave to within 2 %.
    assert np.abs(seen).max() == pytest.approx(0.267, rel=0.03)


def test_a_shift_moves_the_picture_by_parts_of_a_pixel() -> None:
    side = (2 * HALO_PX + 30) * 5
    ramp = np.broadcast_to(np.arange(side, dtype=np.float32) / 5, (1, side, side)).copy()
    still = gather(ramp, STRAIGHT, Optics())
    moved = gather(ramp, np.array([[0.0, 0.7]]), Optics())
    np.testing.assert_allclose(still - moved, 0.7, atol=2e-3)


def test_bands_of_a_day_lie_a_little_apart() -> None:
    shifts = np.concatenate([band_shifts((0.5, -1.0), 10, n, Optics()) for n in range(200)])
    np.testing.assert_allclose(shifts.mean(axis=0), [0.5, -1.0], atol=0.01)
    np.testing.assert_allclose(shifts.std(axis=0), 0.1, atol=0.006)


def test_noise_has_the_stated_size_and_zero_is_never_reached() -> None:
    optics = Optics(noise=(0.001, 0.0))
    numbers = measure(np.full((1, 300, 300), 0.2, np.float32), 5, optics)
    assert numbers.mean() == pytest.approx(2000, abs=0.2)
    assert numbers.std() == pytest.approx(10, rel=0.02)
    assert measure(np.zeros((1, 9, 9), np.float32), 5, optics).min() >= 1


@given(st.integers(1, 700), st.integers(1, 700))
def test_blocks_cover_every_pixel_once(height: int, width: int) -> None:
    count = np.zeros((height, width), int)
    for block in plan_blocks((height, width)):
        count[block.slices] += 1
    assert (count == 1).all()


@given(st.floats(-60, 70), SEED)
def test_climates_are_plausible(latitude: float, seed: int) -> None:
    climate = draw_climate(latitude, seed)
    assert 0 <= climate.dry <= 1
    assert 0 <= climate.turbid <= 1
    assert sum(climate.roofs) == pytest.approx(1)
    assert 0.3 < min(climate.soil) <= max(climate.soil) < 4


def test_roughness_and_light_are_bounded() -> None:
    low = Day(dt.date(2021, 12, 21), 45.0)
    lit = illuminate(flat("conifer"), Window(0, 0, 60, 60), low, CLIMATE, RGBN, STILL)
    high = illuminate(flat("conifer"), Window(0, 0, 60, 60), JUNE, CLIMATE, RGBN, STILL)
    assert (lit < high).all()
    assert (lit > 0.6 * high).all()
    assert Light().roughness < 0.5


@pytest.mark.parametrize("seed", [0, 2**21, 2**32 - 1])
def test_every_seed_draws(seed: int) -> None:
    """The ground's seed is a thousand times the user's: beyond 32 bits."""
    draws = cut_parcels(Window(0, 0, 60, 60), 1000 * seed).chance(1000 * seed + 2)
    assert ((draws >= 0) & (draws < 1)).all()
