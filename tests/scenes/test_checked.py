"""Rasters that are read back: what GDAL keeps quiet about is found."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from support.limits import file_limit
from swath.errors import InputError, OutputError
from swath.grid import Grid
from swath.scenes.checked import copy_checked, writing_checked
from swath.scenes.raster import tiff_profile

GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), (600, 700))
PIXELS = np.random.default_rng(0).integers(1, 255, (2, *GRID.shape), dtype=np.uint8)
PROFILE = tiff_profile(GRID, 2, "uint8", 0)


def write(path: Path) -> Path:
    with writing_checked(path, PROFILE) as raster:
        for row in (0, 300):
            raster.write(PIXELS[:, row : row + 300], Window(0, row, 700, 300))
    return path


def test_what_was_written_is_there(tmp_path: Path) -> None:
    with rasterio.open(write(tmp_path / "a.tif")) as source:
        np.testing.assert_array_equal(source.read(), PIXELS)


@pytest.mark.parametrize("size", [0, 100, 10_000, 500_000, 800_000])
def test_a_file_that_may_not_grow_is_found(
    size: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of 840,000 bytes of pixels; GDAL itself raises nothing at the close."""
    with file_limit(size), pytest.raises(OutputError, match=rf"a\.tif.*{size:,} bytes"):
        write(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""


def test_bytes_that_are_not_those_written_are_found(tmp_path: Path) -> None:
    def spoil() -> None:
        with writing_checked(tmp_path / "a.tif", PROFILE) as raster:
            raster.write(PIXELS)
            raster.file.write(PIXELS[:, :9, :9] - 1, window=Window(0, 0, 9, 9))

    with pytest.raises(OutputError, match="read back"):
        spoil()


def test_an_error_of_an_input_stays_one(tmp_path: Path) -> None:
    with pytest.raises(InputError), writing_checked(tmp_path / "a.tif", PROFILE):
        raise InputError("scene.tif: damaged")


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_copy_that_may_not_grow_is_found(share: float, tmp_path: Path) -> None:
    original = write(tmp_path / "a.tif")
    copy_checked(original, tmp_path / "whole.tif", driver="COG", compress="DEFLATE")
    size = (tmp_path / "whole.tif").stat().st_size
    with file_limit(int(size * share)), pytest.raises(OutputError, match="copy"):
        copy_checked(original, tmp_path / "copy.tif", driver="COG", compress="DEFLATE")


def write_planes(path: Path) -> Path:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), writing_checked(path, PROFILE | MASKED) as raster:
        for band in (1, 2):
            raster.write(PIXELS[band - 1], band=band)
        raster.write_mask(VALID)
    return path


MASKED = {"nodata": None}
VALID = np.random.default_rng(1).random(GRID.shape) < 0.5


def test_planes_and_their_mask_are_there(tmp_path: Path) -> None:
    with rasterio.open(write_planes(tmp_path / "a.tif")) as source:
        np.testing.assert_array_equal(source.read(), PIXELS)
        np.testing.assert_array_equal(source.read_masks(2) > 0, VALID)


@pytest.mark.parametrize("short", [1, 20_000, 200_000])
def test_planes_and_masks_that_are_cut_short_are_found(short: int, tmp_path: Path) -> None:
    size = write_planes(tmp_path / "whole.tif").stat().st_size
    with file_limit(size - short), pytest.raises(OutputError, match=r"a\.tif"):
        write_planes(tmp_path / "a.tif")
