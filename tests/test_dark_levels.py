"""Dark object subtraction: hand-worked levels, haze that goes away, pieces that fit together."""

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray

from conftest import SceneWriter
from swath.errors import InputError
from swath.grid import Grid, Window
from swath.mapping.series import scene_series
from swath.scenes.scene import read_scene
from swath.scenes.series import DARK_SAMPLES, SAMPLE_PX, dark_levels, plan_samples, read_on_grid
from swath.sentinel2 import DARK_LEVEL
from swath.settings import ImageSettings

BANDS = ("B04", "B08")
DOS = ImageSettings(bands=BANDS, encoding="dos")
REFLECTANCE = ImageSettings(bands=BANDS, encoding="reflectance")
GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_300_000), (50, 80))


def ramp() -> NDArray[np.uint16]:
    """4000 different numbers a band in some order; one corner has no data."""
    rng = np.random.default_rng(5)
    image = np.stack([rng.permutation(4000).reshape(GRID.shape) + low for low in (1001, 2001)])
    image[:, :2, :10] = 0
    return image.astype(np.uint16)


def test_the_level_is_the_first_percentile_of_what_has_data(
    tmp_path: Path, write_scene: SceneWriter
) -> None:
    image = ramp()
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", image, GRID, BANDS))
    expected = [np.percentile(band[band > 0], 1) for band in image]
    np.testing.assert_allclose(dark_levels(scene, GRID, DOS), expected)
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
    np.testing.assert_array_equal(
        read_on_grid(clear_scene, GRID, DOS), read_on_grid(hazy_scene, GRID, DOS)
    )


def test_pieces_with_the_levels_of_the_whole_are_the_whole(
    tmp_path: Path, write_scene: SceneWriter
) -> None:
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", ramp(), GRID, BANDS))
    dark = dark_levels(scene, GRID, DOS)
    piece = Window(10, 30, 20, 25)
    np.testing.assert_array_equal(
        read_on_grid(scene, GRID.crop(piece), DOS, dark),
        read_on_grid(scene, GRID, DOS)[(..., *piece.slices)],
    )
    # Of its own, the piece has other levels.
    assert dark_levels(scene, GRID.crop(piece), DOS) != dark


def test_a_scene_to_be_mapped_reads_as_in_a_dataset(
    tmp_path: Path, write_scene: SceneWriter
) -> None:
    path = write_scene(tmp_path / "2020-01-01.tif", ramp(), GRID, BANDS)
    series = scene_series("here", [path], None, DOS)
    (source,) = series.sources
    ready = source.prepare(tmp_path / "work").read(series.grid.window)
    np.testing.assert_array_equal(ready, read_on_grid(read_scene(path), series.grid, DOS))


def test_no_data_at_all_has_level_0(tmp_path: Path, write_scene: SceneWriter) -> None:
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", np.zeros_like(ramp()), GRID, BANDS))
    assert dark_levels(scene, GRID, DOS) == (0.0, 0.0)
    assert (read_on_grid(scene, GRID, DOS) == 0).all()


def test_an_8_bit_image_has_none(tmp_path: Path, write_scene: SceneWriter) -> None:
    pixels = np.full((2, *GRID.shape), 9, np.uint8)
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", pixels, GRID, BANDS))
    with pytest.raises(InputError, match="8-bit"):
        read_on_grid(scene, GRID, DOS)


@pytest.mark.parametrize("shape", [(512, 512), (513, 400), (10980, 10980), (20, 10980)])
def test_samples_are_bounded_inside_and_reach_every_edge(shape: tuple[int, int]) -> None:
    whole = Window(3, 5, *shape)
    windows = plan_samples(whole)
    assert all(whole.contains(window) and window.size for window in windows)
    assert sum(window.size for window in windows) <= DARK_SAMPLES * SAMPLE_PX**2
    assert len(set(windows)) == len(windows)
    assert (min(w.row for w in windows), min(w.col for w in windows)) == (3, 5)
    assert max(w.row_end for w in windows) == whole.row_end
    assert max(w.col_end for w in windows) == whole.col_end
