"""An image whose pixels are those of the grid is copied, which is what warping it would give."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from swath.grid import Grid, Window
from swath.scenes.raster import same_pixels, warp_band

IMAGE = Grid("EPSG:32631", Affine(10, 0, 300_000, 0, -10, 5_000_000), (40, 50))


@given(st.data(), st.integers(0, 1000))
def test_copying_is_what_warping_gives(data, seed):
    """Any part of an image, no data scattered over it and in one block."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(-10, 10_000, IMAGE.shape).astype(np.float32)
    values[rng.random(IMAGE.shape) < 0.2] = np.nan
    values[5:15, 10:30] = np.nan
    row, col = data.draw(st.integers(0, 39)), data.draw(st.integers(0, 49))
    height, width = data.draw(st.integers(1, 40 - row)), data.draw(st.integers(1, 50 - col))
    part = Window(row, col, height, width)
    target = IMAGE.crop(part)
    assert same_pixels(IMAGE, target) == part
    np.testing.assert_array_equal(values[part.slices], warp_band(values, IMAGE, target))


@pytest.mark.parametrize(
    ("crs", "x", "y", "size"),
    [
        ("EPSG:32631", 300_001, 5_000_000, 10),  # a tenth of a pixel east
        ("EPSG:32631", 300_000, 4_999_995, 10),  # half a pixel south
        ("EPSG:32631", 300_000, 5_000_000, 20),
        ("EPSG:32632", 300_000, 5_000_000, 10),
        ("EPSG:32631", 299_990, 5_000_000, 10),  # a column west of the image
    ],
)
def test_other_grids_are_warped(crs, x, y, size):
    target = Grid(crs, Affine(size, 0, x, 0, -size, y), (10, 10))
    assert same_pixels(IMAGE, target) is None
