"""Which numbers of a file are measurements, and in what unit: files as people have them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from swath.errors import InputError
from swath.grid import Grid
from swath.scenes.scene import read_scene
from swath.scenes.warp import read_on_grid
from swath.sentinel2 import ImageSettings, valid_mask

GRID = Grid.from_bounds((600_000, 5_330_000, 600_600, 5_330_500), "EPSG:32630")  # 50 x 60 px
BANDS = ("B04", "B03", "B02")
REFLECTANCE = ImageSettings(encoding="reflectance")
LAND = np.random.default_rng(3).integers(300, 3000, (3, *GRID.shape))

WriteScene = Callable[..., Path]


def with_fill(dtype: str, fill: float) -> np.ndarray:
    image = LAND.astype(dtype)
    image[:, :, :30] = fill
    return image


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("int16", -10_000),
        ("int16", -32_768),
        ("int16", 32_767),
        ("uint16", 65_535),
        ("float32", -9_999),
        ("float32", -3.4028235e38),
        ("float32", 1e20),
        ("float32", np.inf),
        ("float32", -np.inf),
    ],
)
@pytest.mark.parametrize("encoding", ["reflectance", "standardised"])
def test_a_fill_value_needs_no_declaration(
    tmp_path: Path, write_scene: WriteScene, dtype: str, fill: float, encoding: str
) -> None:
    image, settings = with_fill(dtype, fill), ImageSettings(encoding=encoding)
    plain = write_scene(tmp_path / "2020-01-01.tif", image, GRID, BANDS, nodata=None)
    with np.errstate(over="ignore"):
        told = write_scene(tmp_path / "2020-01-02.tif", image, GRID, BANDS, nodata=np.dtype(dtype).type(fill))
    got, expected = (read_on_grid(read_scene(path), GRID, settings) for path in (plain, told))
    np.testing.assert_array_equal(got, expected)
    assert (valid_mask(got) == (np.arange(60) >= 30)).all()


def test_a_fill_value_in_one_band_and_a_declared_scale(tmp_path: Path, write_scene: WriteScene) -> None:
    image = LAND.astype("int16")
    image[1, 4, 5] = -9999
    path = write_scene(tmp_path / "2020-01-01.tif", image, GRID, BANDS, nodata=None)
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (1e-4,) * 3, (-0.01,) * 3
    got = read_on_grid(read_scene(path), GRID, REFLECTANCE)
    assert np.argwhere(~valid_mask(got)).tolist() == [[4, 5]]
    np.testing.assert_array_equal(got[:, 0], LAND[:, 0] - 100)


def test_0_that_is_declared_counts_in_one_band_of_reflectance(
    tmp_path: Path, write_scene: WriteScene
) -> None:
    image = LAND.astype("uint16")
    image[2, :, :7] = 0
    told = read_scene(write_scene(tmp_path / "2020-01-01.tif", image, GRID, BANDS, nodata=0))
    untold = read_scene(write_scene(tmp_path / "2020-01-02.tif", image, GRID, BANDS, nodata=None))
    assert valid_mask(read_on_grid(told, GRID, REFLECTANCE)).sum() == 50 * 53
    assert valid_mask(read_on_grid(untold, GRID, REFLECTANCE)).all()
    eight = np.minimum(image, 255).astype("uint8")
    shown = read_scene(write_scene(tmp_path / "2020-01-03.tif", eight, GRID, BANDS, nodata=0))
    assert valid_mask(read_on_grid(shown, GRID, ImageSettings())).all()


@pytest.mark.parametrize(
    ("image", "level"),
    [
        ((LAND / 10_000).astype("float32"), "half of its pixels are at most 0.2"),
        ((LAND / 100).astype("float32"), "95 % of its pixels are at most 29"),
        (np.clip(LAND / 3558 * 255, 1, 255).astype("uint16"), "95 % of its pixels are at most 21"),
    ],
    ids=["share", "per cent", "8 bit"],
)
@pytest.mark.parametrize("outlier", [None, 20_000, -10_000])
def test_another_unit_is_refused_whatever_a_few_pixels_say(
    tmp_path: Path, write_scene: WriteScene, image: np.ndarray, level: str, outlier: float | None
) -> None:
    image = image.copy()
    if outlier is not None and np.can_cast(np.min_scalar_type(outlier), image.dtype):
        image[:, 10, :50] = outlier
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", image, GRID, BANDS, nodata=None))
    with pytest.raises(InputError, match=level) as error:
        read_on_grid(scene, GRID, REFLECTANCE)
    assert "scale and offset" in str(error.value)


@pytest.mark.parametrize(("low", "high"), [(-1900, -1200), (-5, -4)])
def test_numbers_below_zero_are_no_reflectance(
    tmp_path: Path, write_scene: WriteScene, low: int, high: int
) -> None:
    image = np.random.default_rng(4).integers(low, high, (3, *GRID.shape)).astype("float32")
    path = write_scene(tmp_path / "2020-01-01.tif", image, GRID, BANDS, nodata=None)
    with pytest.raises(InputError, match="half of its pixels are at most -"):
        read_on_grid(read_scene(path), GRID, REFLECTANCE)


def test_a_scale_below_zero_is_refused(tmp_path: Path, write_scene: WriteScene) -> None:
    path = write_scene(tmp_path / "2020-01-01.tif", LAND.astype("int16"), GRID, BANDS, nodata=None)
    with rasterio.open(path, "r+") as file:
        file.scales = (-1e-4,) * 3
    with pytest.raises(InputError, match=r"declares the scale -0\.0001"):
        read_on_grid(read_scene(path), GRID, REFLECTANCE)


def test_dark_water_may_be_declared(tmp_path: Path, write_scene: WriteScene) -> None:
    water = np.full((3, *GRID.shape), 150, "uint16")
    path = write_scene(tmp_path / "2020-01-01.tif", water, GRID, BANDS, nodata=None)
    with pytest.raises(InputError, match="at most 150 in every band"):
        read_on_grid(read_scene(path), GRID, REFLECTANCE)
    with rasterio.open(path, "r+") as target:
        target.scales = (1e-4,) * 3
    assert (read_on_grid(read_scene(path), GRID, REFLECTANCE) == 150).all()
