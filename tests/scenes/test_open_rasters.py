"""Rasters that stay open: the same pixels as a fresh reading, in every process."""

import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from swath.errors import InputError
from swath.grid import Grid, Window
from swath.scenes import raster
from swath.scenes.raster import OpenRasters, read_raster, write_raster

WINDOWS = (
    Window(0, 0, 40, 60),
    Window(-5, -7, 20, 30),
    Window(30, 50, 32, 32),
    Window(500, 500, 8, 8),
)


def _files(folder: Path, count: int) -> list[Path]:
    rng = np.random.default_rng(0)
    grid = Grid.from_bounds((500_000, 4_800_000, 500_600, 4_800_400), "EPSG:32631")
    paths = [folder / f"{number}.tif" for number in range(count)]
    for path in paths:
        image = rng.integers(1, 9999, (3, 40, 60)).astype(np.uint16)
        write_raster(path, image, grid, nodata=0, names=["B04", "B03", "B02"])
    return paths


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_reads_as_from_a_fresh_file(tmp_path: Path, window: Window) -> None:
    path = _files(tmp_path, 1)[0]
    rasters = OpenRasters()
    for _ in range(2):
        found = rasters.read(path, window, fill=7)
        np.testing.assert_array_equal(found, read_raster(path, window, fill=7))


def test_more_files_than_may_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster, "MOST_OPEN", 2)
    rasters = OpenRasters()
    paths = _files(tmp_path, 4)
    for path in [*paths, *paths[::-1], *paths]:
        found = rasters.read(path, WINDOWS[0])
        np.testing.assert_array_equal(found, read_raster(path))


def read_in_child(rasters: OpenRasters, path: Path) -> NDArray[np.uint16]:
    return rasters.read(path, WINDOWS[0])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_opens_its_own(tmp_path: Path, method: str) -> None:
    path = _files(tmp_path, 1)[0]
    rasters = OpenRasters()
    before = rasters.read(path, WINDOWS[0])
    with multiprocessing.get_context(method).Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(read_in_child, (rasters, path)), before)
    np.testing.assert_array_equal(rasters.read(path, WINDOWS[0]), before)


def test_they_travel_without_their_files(tmp_path: Path) -> None:
    path = _files(tmp_path, 1)[0]
    rasters = OpenRasters()
    before = rasters.read(path, WINDOWS[0])
    copy = pickle.loads(pickle.dumps(rasters))  # noqa: S301 - made a line above
    np.testing.assert_array_equal(copy.read(path, WINDOWS[0]), before)


def test_a_missing_or_broken_file_is_told(tmp_path: Path) -> None:
    rasters = OpenRasters()
    with pytest.raises(InputError, match="no such file"):
        rasters.read(tmp_path / "none.tif", WINDOWS[0])
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0 no image")
    with pytest.raises(InputError, match="not readable as a raster"):
        rasters.read(broken, WINDOWS[0])


def test_of_a_file_that_is_damaged_the_cause_is_told(tmp_path: Path) -> None:
    (path,) = _files(tmp_path, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:1000] + b"\xff" * 9000 + whole[10_000:])
    with pytest.raises(InputError, match=r"0\.tif: not readable as a raster \(.*IReadBlock failed.*anew$"):
        read_raster(path)
