"""Tile plans: cores part the scene, reads reach far enough and start where the networks can."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import SettingsError
from swath.grid import Window
from swath.tiles import plan_tiles

SHAPES = st.tuples(st.integers(1, 150), st.integers(1, 150))


@given(SHAPES, st.integers(1, 6), st.integers(0, 40), st.sampled_from([1, 4, 16]))
def test_plans(shape: tuple[int, int], cells: int, margin: int, stride: int) -> None:
    tiles = plan_tiles(shape, cells * stride, margin, stride)
    scene = Window(0, 0, *shape)
    count = np.zeros(shape, int)
    for tile in tiles:
        count[tile.core.slices] += 1
        assert max(tile.core.height, tile.core.width) <= cells * stride
        # All that the network sees of the scene is read, and nothing outside the scene.
        assert scene.contains(tile.read)
        assert tile.read.contains(tile.core.grow(margin).intersect(scene))
        # The network pads the window as it pads the scene.
        assert tile.read.row % stride == 0
        assert tile.read.col % stride == 0
        assert tile.read.row_end == scene.row_end or tile.read.row_end % stride == 0
        assert tile.read.col_end == scene.col_end or tile.read.col_end % stride == 0
        assert tile.kept.shift(tile.read.row, tile.read.col) == tile.core
    assert (count == 1).all()


@given(SHAPES, st.data())
def test_an_area_is_parted_and_read_with_its_surroundings(
    shape: tuple[int, int], data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, shape[0] - 1))
    col = data.draw(st.integers(0, shape[1] - 1))
    height = data.draw(st.integers(1, shape[0] - row))
    width = data.draw(st.integers(1, shape[1] - col))
    area = Window(row, col, height, width)
    count = np.zeros(shape, int)
    for tile in plan_tiles(shape, 16, 3, 1, area):
        count[tile.core.slices] += 1
        assert tile.read == tile.core.grow(3).intersect(Window(0, 0, *shape))
    assert count.sum() == area.size
    assert (count[area.slices] == 1).all()


def test_cores_are_of_about_equal_size() -> None:
    # 1100 px at most 1024: two of 560 and 540 rather than 1024 and a strip of 76.
    tiles = plan_tiles((1024, 1100), 1024, 96, 16)
    assert [tile.core.width for tile in tiles] == [560, 540]
    assert [tile.read.width for tile in tiles] == [560 + 96, 540 + 96]


def test_the_margin_is_rounded_up_to_the_stride() -> None:
    tiles = plan_tiles((512, 512), 256, 92, 16)
    assert tiles[0].read == Window(0, 0, 256 + 96, 256 + 96)
    assert tiles[3].read == Window(256 - 96, 256 - 96, 256 + 96, 256 + 96)


@pytest.mark.parametrize("tile_px", [0, -16, 8, 100])
def test_silly_tiles_are_refused(tile_px: int) -> None:
    with pytest.raises(SettingsError, match=f"multiple of the network's stride, 16 px; got {tile_px}"):
        plan_tiles((100, 100), tile_px, 96, 16)
