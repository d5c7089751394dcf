"""Levels of a scene: hand-worked, what of the day goes away, pieces that fit together."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from conftest import SceneWriter
from swath.errors import InputError
from swath.grid import Grid, Window
from swath.mapping.sources import scene_series
from swath.scenes.levels import (
    CELL_PX,
    SAMPLE_PX,
    SAMPLES,
    STRIP_EVERY,
    fit_cells,
    fit_levels,
    overlook_clouds,
    plan_cells,
    plan_samples,
    plan_strips,
    surroundings,
)
from swath.scenes.scene import read_scene
from swath.scenes.warp import read_on_grid, scene_levels
from swath.sentinel2 import DARK_LEVEL, STANDARD_MEDIAN, STANDARD_SPREAD, ImageSettings

BANDS = ("B04", "B08")
DOS = ImageSettings(bands=BANDS, encoding="dos")
STANDARDISED = ImageSettings(bands=BANDS, encoding="standardised")
RED = ImageSettings(bands=("B04",), encoding="standardised")
REFLECTANCE = ImageSettings(bands=BANDS, encoding="reflectance")
GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_300_000), (50, 80))


def ramp() -> NDArray[np.uint16]:
    """4000 different numbers a band in some order; one corner has no data."""
    rng = np.random.default_rng(5)
    image = np.stack([rng.permutation(4000).reshape(GRID.shape) + low for low in (1001, 2001)])
    image[:, :2, :10] = 0
    return image.astype(np.uint16)


def test_the_level_is_the_first_percentile_of_what_has_data(tmp_path: Path, write_scene: SceneWriter) -> None:
    image = ramp()
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", image, GRID, BANDS))
    expected = [np.percentile(band[band > 0], 1) for band in image]
    found = scene_levels(scene, GRID, DOS)
    assert found is not None
    assert (found.gains == 1).all()
    np.testing.assert_allclose(DARK_LEVEL - found.offsets.ravel(), expected)
    got = read_on_grid(scene, GRID, DOS)
    valid = image[0] > 0
    for band, level, values in zip(got, expected, image, strict=True):
        shifted = np.rint(values[valid] - level + DARK_LEVEL)
        np.testing.assert_allclose(band[valid], np.maximum(shifted, 1), atol=1)
    assert (got[:, ~valid] == 0).all()
    assert (got[:, valid] > 0).all()


def test_haze_that_is_even_goes_away(tmp_path: Path, write_scene: SceneWriter) -> None:
    image = ramp()
    hazy = np.where(image > 0, image + np.array([700, 150])[:, None, None], 0).astype(np.uint16)
    clear_scene, hazy_scene = (
        read_scene(write_scene(tmp_path / name, pixels, GRID, BANDS))
        for name, pixels in (("2020-01-01.tif", image), ("2020-02-01.tif", hazy))
    )
    np.testing.assert_array_equal(read_on_grid(clear_scene, GRID, DOS), read_on_grid(hazy_scene, GRID, DOS))


def test_median_and_spread_are_standard(tmp_path: Path, write_scene: SceneWriter) -> None:
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", ramp(), GRID, BANDS))
    got = read_on_grid(scene, GRID, STANDARDISED)
    for band in got:
        low, middle, high = np.percentile(band[band > 0], [25, 50, 75])
        assert middle == pytest.approx(STANDARD_MEDIAN, abs=1)
        # 1.349: the distance of the quartiles of a normal distribution of deviation 1.
        assert (high - low) / 1.349 == pytest.approx(STANDARD_SPREAD, abs=1)
    np.testing.assert_array_equal(got == 0, ramp() == 0)


def test_the_line_of_ten_numbers() -> None:
    # 0, 100 .. 900: quartiles 225, 450 and 675, so a spread of 450 / 1.349.
    (gain,), (offset,) = fit_levels(np.arange(0, 1000, 100, np.uint16)[None], RED)
    assert gain == pytest.approx(1000 * 1.349 / 450)
    assert offset == pytest.approx(10_000 - 450 * gain)
    assert 675 * gain + offset == pytest.approx(10_000 + 674.5)


def stored(values: NDArray[np.float32]) -> NDArray[np.float64]:
    gains, offsets = fit_levels(values, STANDARDISED)
    return values * gains[:, None] + offsets[:, None]


@given(gain=st.floats(0.3, 3), offset=st.floats(0, 2000), seed=st.integers(0, 50))
def test_what_a_factor_and_an_offset_change_goes_away(gain: float, offset: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(3000, 600, (2, 500)).astype(np.float32)
    other = (values * gain + offset).astype(np.float32)
    np.testing.assert_allclose(stored(values), stored(other), atol=1)


def test_an_even_scene_is_not_stretched_into_noise() -> None:
    water = np.random.default_rng(1).normal(600, 3, (1, 4000)).astype(np.float32)
    (gain,), _ = fit_levels(water, RED)
    assert gain == STANDARD_SPREAD / 50
    assert stored(water).std() < 0.1 * STANDARD_SPREAD


def test_a_model_may_leave_even_ground_more_even_and_changes_no_other() -> None:
    canopy = np.random.default_rng(1).normal([[600], [2000]], [[40], [400]], (2, 4000)).astype(np.float32)
    even = STANDARDISED.model_copy(update={"least_spread": 100.0})
    (red, near), (before, same) = fit_levels(canopy, even)[0], fit_levels(canopy, STANDARDISED)[0]
    assert (red, before) == (STANDARD_SPREAD / 100, STANDARD_SPREAD / 50)
    assert near == same < 3


def test_a_cloud_over_a_tenth_moves_the_rest_little() -> None:
    ground = np.random.default_rng(2).normal(1500, 300, (1, 9000)).astype(np.float32)
    clouded = np.concatenate([ground, np.full((1, 1000), 6000, np.float32)], axis=1)
    moved = stored(clouded)[:, :9000] - stored(ground)
    assert np.abs(moved).mean() < 0.3 * STANDARD_SPREAD


COLOUR = ImageSettings(bands=("B04", "B02"), encoding="standardised")


def test_clouds_and_as_many_dark_pixels_are_overlooked() -> None:
    red = [900, 800, 700, 600, 500, 400, 300, 6000, 2000, 5000]
    blue = [500, 510, 520, 530, 540, 550, 560, 6000, 3001, 3000]
    left = overlook_clouds(np.array([red, blue], np.uint16), COLOUR.bands)
    # Two of ten are brighter than 3000 in blue; of the eight others 1.6, so one goes: 300 + 560 is
    # the darkest.
    assert sorted(left[0]) == [400, 500, 600, 700, 800, 900, 5000]
    assert sorted(left[1]) == [500, 510, 520, 530, 540, 550, 3000]


@given(clouds=st.integers(0, 60), clear=st.integers(0, 60))
def test_however_few_pixels_are_left_something_is_said_of_them(clouds: int, clear: int) -> None:
    values = np.full((2, clouds + clear), 700, np.uint16)
    values[:, :clouds] = 6000
    left = overlook_clouds(values, COLOUR.bands)
    assert left.shape[1] == 0 or (left == 700).all()
    assert bool(left.size) == (clear > 0 and clear >= 0.1 * (clouds + clear))
    gains, offsets = fit_levels(values, COLOUR)
    assert np.isfinite(gains).all()
    assert np.isfinite(offsets).all()


def test_without_blue_or_clouds_nothing_is_overlooked() -> None:
    bright = np.full((2, 5), 9000, np.uint16)
    assert overlook_clouds(bright, BANDS) is bright
    dark = np.full((2, 5), 3000, np.uint16)
    assert overlook_clouds(dark, COLOUR.bands) is dark


@given(share=st.floats(0, 0.6), thick=st.floats(0.35, 1), seed=st.integers(0, 50))
def test_clouds_and_their_shadows_move_the_rest_little(share: float, thick: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ground = rng.normal(1500, 250, (2, 6000)).astype(np.float32)
    cloud, shadow = rng.random((2, 6000)) < share
    seen = np.where(shadow, 0.35 * ground, ground)
    seen = np.where(cloud, rng.normal(10_000 * thick, 100, 6000), seen)
    gains, offsets = (level[:, None] for level in fit_levels(seen, COLOUR))
    moved = (seen * gains + offsets - stored(ground))[:, ~cloud & ~shadow]
    assert np.abs(moved).mean() < 0.2 * STANDARD_SPREAD


def test_snow_is_ground() -> None:
    snow = np.random.default_rng(4).normal(7000, 800, (2, 3000)).astype(np.float32)
    snow[:, :250] = 500
    assert not overlook_clouds(snow, COLOUR.bands).size
    gains, offsets = fit_levels(snow, COLOUR)
    middle = np.median(snow, axis=1)
    np.testing.assert_allclose(middle * gains + offsets, STANDARD_MEDIAN, atol=1)


def test_nothing_seen_changes_nothing() -> None:
    gains, offsets = fit_levels(np.empty((2, 0), np.uint16), STANDARDISED)
    assert (gains == 1).all()
    assert (offsets == 0).all()


@pytest.mark.parametrize(
    ("shape", "cells"),
    [((824, 300), (1, 1)), ((899, 900), (1, 2)), ((10980, 10980), (18, 18))],
)
def test_towns_are_one_cell_and_scenes_many(shape: tuple[int, int], cells: tuple[int, int]) -> None:
    assert plan_cells(shape, "standardised") == cells
    assert plan_cells(shape, "dos") == (1, 1)
    for length, count in zip(shape, cells, strict=True):
        near = [surroundings(cell, count, length) for cell in range(count)]
        assert (near[0].start, near[-1].stop) == (0, length)
        assert all(part.stop - part.start <= 3 * CELL_PX for part in near)


WIDE = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_300_000), (1250, 1900))


def two_lands() -> NDArray[np.uint16]:
    """A dark, even land in the west and a bright, rough one in the east; 40 rows have no data."""
    rng = np.random.default_rng(8)
    west = rng.normal(600, 120, (2, *WIDE.shape))
    east = rng.normal(2500, 600, (2, *WIDE.shape))
    image = np.where(np.arange(WIDE.width) < WIDE.width // 2, west, east)
    image[:, :40] = 0
    return np.clip(np.rint(image), 0, 60_000).astype(np.uint16)


def test_cells_are_standardised_by_their_surroundings() -> None:
    image = two_lands()
    levels = fit_cells(WIDE, STANDARDISED, lambda window: image[(..., *window.slices)])
    assert levels.gains.shape == (2, 2, 3)
    # What the corners' cells see is one land: half a cell beyond their own.
    for row, col, land in ((0, 0, slice(0, 950)), (1, 2, slice(951, None))):
        sampled = image[0, 40:, land].astype(float)
        low, middle, high = np.percentile(sampled, [25, 50, 75])
        assert levels.gains[0, row, col] == pytest.approx(1349 / (high - low), rel=0.03)
        assert levels.offsets[0, row, col] == pytest.approx(
            10_000 - middle * levels.gains[0, row, col], abs=60
        )
    # At its centre a cell has its own level, half way to the next one the mean of both.
    ones = np.ones((1, 1), np.float32)
    rows, cols = (1250 // 2 // 2, 1900 // 3)
    for col, wanted in (
        (cols // 2, levels.gains[1, 0, 0] + levels.offsets[1, 0, 0]),
        (cols, (levels.gains + levels.offsets)[1, 0, :2].mean()),
    ):
        here = WIDE.crop(Window(rows, col, 1, 1))
        assert levels.apply(ones, 1, here)[0, 0] == pytest.approx(wanted, rel=2e-3)


def test_every_strip_is_asked_for_once_and_they_reach_every_cell() -> None:
    asked = []

    def read(window: Window) -> NDArray[np.uint16]:
        asked.append(window)
        return np.full((1, *(window.height, window.width)), 700, np.uint16)

    fit_cells(WIDE, RED, read)
    assert asked == list(plan_strips(WIDE.shape))
    assert sum(window.size for window in asked) <= WIDE.window.size / STRIP_EVERY * 1.1


def test_a_cell_without_data_has_its_neighbours_level() -> None:
    image = two_lands()
    image[:, :, :1300] = 0
    levels = fit_cells(WIDE, STANDARDISED, lambda window: image[(..., *window.slices)])
    np.testing.assert_array_equal(levels.gains[:, :, 0], levels.gains[:, :, 1])
    # A corner that no cell has enough of is one cell for all.
    corner = image[:, 1150:, 1860:].copy()
    image[:] = 0
    image[:, 1150:, 1860:] = corner
    levels = fit_cells(WIDE, STANDARDISED, lambda window: image[(..., *window.slices)])
    assert levels.gains.shape == (2, 1, 1)
    assert (levels.gains[0] * np.median(corner[0]) + levels.offsets[0]).item() == pytest.approx(
        STANDARD_MEDIAN, abs=400
    )
    image[:] = 0
    nothing = fit_cells(WIDE, STANDARDISED, lambda window: image[(..., *window.slices)])
    assert (nothing.gains == 1).all()


def test_a_cell_under_cloud_has_its_neighbours_level_and_snow_its_own() -> None:
    image = two_lands() // 2
    clear = fit_cells(WIDE, COLOUR, lambda window: image[(..., *window.slices)])
    image[:, :, :1300] = 6000
    clouded = fit_cells(WIDE, COLOUR, lambda window: image[(..., *window.slices)])
    # The cells in the middle see beyond the cloud.
    np.testing.assert_array_equal(clouded.gains[:, :, 0], clouded.gains[:, :, 1])
    np.testing.assert_allclose(clouded.gains[:, :, 2], clear.gains[:, :, 2], rtol=0.3)
    image[:] = 6000
    snow = fit_cells(WIDE, COLOUR, lambda window: image[(..., *window.slices)])
    np.testing.assert_allclose(6000 * snow.gains + snow.offsets, STANDARD_MEDIAN)


def test_pieces_of_a_scene_of_many_cells_are_the_whole(tmp_path: Path, write_scene: SceneWriter) -> None:
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", two_lands(), WIDE, BANDS))
    levels = scene_levels(scene, WIDE, STANDARDISED)
    whole = read_on_grid(scene, WIDE, STANDARDISED, levels)
    for piece in (Window(0, 0, 700, 650), Window(601, 333, 649, 1567)):
        np.testing.assert_array_equal(
            read_on_grid(scene, WIDE.crop(piece), STANDARDISED, levels),
            whole[(..., *piece.slices)],
        )
    # Both lands now look alike, where the surroundings are theirs.
    for part in (whole[0, 50:, :300], whole[0, 50:, -300:]):
        assert np.median(part) == pytest.approx(STANDARD_MEDIAN, abs=40)
        assert part.std() == pytest.approx(STANDARD_SPREAD, rel=0.05)


@pytest.mark.parametrize("image", [DOS, STANDARDISED])
def test_pieces_with_the_levels_of_the_whole_are_the_whole(
    tmp_path: Path, write_scene: SceneWriter, image: ImageSettings
) -> None:
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", ramp(), GRID, BANDS))
    levels = scene_levels(scene, GRID, image)
    piece = Window(10, 30, 20, 25)
    np.testing.assert_array_equal(
        read_on_grid(scene, GRID.crop(piece), image, levels),
        read_on_grid(scene, GRID, image)[(..., *piece.slices)],
    )
    # Of its own, the piece has other levels.
    own = scene_levels(scene, GRID.crop(piece), image)
    assert own is not None
    assert levels is not None
    assert (own.offsets != levels.offsets).all()


def test_reflectance_has_no_levels(tmp_path: Path, write_scene: SceneWriter) -> None:
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", ramp(), GRID, BANDS))
    assert scene_levels(scene, GRID, REFLECTANCE) is None


@pytest.mark.parametrize("image", [DOS, STANDARDISED])
def test_a_scene_to_be_mapped_reads_as_in_a_dataset(
    tmp_path: Path, write_scene: SceneWriter, image: ImageSettings
) -> None:
    path = write_scene(tmp_path / "2020-01-01.tif", ramp(), GRID, BANDS)
    series = scene_series("here", [path], None, image)
    (source,) = series.sources
    ready = source.prepare(tmp_path / "work").read(series.grid.window)
    np.testing.assert_array_equal(ready, read_on_grid(read_scene(path), series.grid, image))


@pytest.mark.parametrize("image", [DOS, STANDARDISED])
def test_no_data_at_all_stays_none(tmp_path: Path, write_scene: SceneWriter, image: ImageSettings) -> None:
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", np.zeros_like(ramp()), GRID, BANDS))
    assert (read_on_grid(scene, GRID, image) == 0).all()


@pytest.mark.parametrize("image", [DOS, STANDARDISED])
def test_an_8_bit_image_has_none(tmp_path: Path, write_scene: SceneWriter, image: ImageSettings) -> None:
    pixels = np.full((2, *GRID.shape), 9, np.uint8)
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", pixels, GRID, BANDS))
    with pytest.raises(InputError, match="8-bit"):
        read_on_grid(scene, GRID, image)


@pytest.mark.parametrize("shape", [(512, 512), (513, 400), (10980, 10980), (20, 10980)])
def test_samples_are_bounded_inside_and_reach_every_edge(shape: tuple[int, int]) -> None:
    whole = Window(3, 5, *shape)
    windows = plan_samples(whole)
    assert all(whole.contains(window) and window.size for window in windows)
    assert sum(window.size for window in windows) <= SAMPLES * SAMPLE_PX**2
    assert len(set(windows)) == len(windows)
    assert (min(w.row for w in windows), min(w.col for w in windows)) == (3, 5)
    assert max(w.row_end for w in windows) == whole.row_end
    assert max(w.col_end for w in windows) == whole.col_end
