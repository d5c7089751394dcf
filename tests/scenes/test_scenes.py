import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.enums import ColorInterp

from swath.errors import InputError, Remedy
from swath.grid import Grid, Window
from swath.scenes.raster import plan_source_window, read_raster, warp_band, write_raster
from swath.scenes.scene import SceneSettings, band_name, date_in_name, read_scene
from swath.scenes.warp import read_on_grid
from swath.sentinel2 import ImageSettings, reflectance_from_tci, tci_from_reflectance, valid_mask
from swath.sites.series import find_scenes, plan_grid

UTM = "EPSG:32630"
GRID = Grid.from_bounds((600_000, 5_330_000, 600_400, 5_330_300), UTM)  # 30 x 40 px
DEGREES = Grid("EPSG:4326", Affine(1e-4, 0, -1.66, 0, -1e-4, 48.12), (60, 80))
REFLECTANCE = ImageSettings(encoding="reflectance")
RGB = ("B04", "B03", "B02")

WriteScene = Callable[..., Path]


def pattern(grid: Grid, count: int = 3, dtype: str = "uint16") -> NDArray[np.generic]:
    """Different numbers in every band and pixel, all of them data."""
    rng = np.random.default_rng(1)
    return rng.integers(1, 250 if dtype == "uint8" else 4000, (count, *grid.shape)).astype(dtype)


# --- names and dates -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("2017-06-21.tif", dt.date(2017, 6, 21)),
        ("rennes_20170621.tif", dt.date(2017, 6, 21)),
        ("T30UWU_20170621T105621_TCI.tif", dt.date(2017, 6, 21)),
        # The first date is the acquisition, the second the processing.
        ("S2A_MSIL2A_20170621T105621_N0500_R094_T30UWU_20230901T1.tif", dt.date(2017, 6, 21)),
        ("10980123_2017-06-21.tif", dt.date(2017, 6, 21)),
        # Before December 2016 the processing came first.
        ("S2A_OPER_PRD_MSIL1C_PDMC_20160905T010424_R051_V20150821T105621.tif", dt.date(2015, 8, 21)),
        ("20200404T105621_20210930T110415_T31TCJ.tif", dt.date(2020, 4, 4)),
        ("tile_19000101_20150821.tif", dt.date(2015, 8, 21)),
        ("2020-04-04-00:00_2020-04-04-23:59_B02.tif", dt.date(2020, 4, 4)),
    ],
)
def test_date_in_name(name: str, date: dt.date) -> None:
    assert date_in_name(Path(name)) == date


@pytest.mark.parametrize(
    "name",
    [
        "scene.tif",
        "20171321.tif",
        "2017-0621.tif",
        "120170621.tif",
        "2015-06-22.tif",
        "S2A_OPER_MSI_L1C_TL_EPA__20160905T010424_A000865_T30UWU_B02.tif",
    ],
)
def test_no_date_in_name(name: str) -> None:
    with pytest.raises(InputError, match=r"no date .* give `date:`"):
        date_in_name(Path(name))


def test_of_two_days_none_is_guessed() -> None:
    with pytest.raises(InputError, match="holds 2024-01-05 and 2019-04-04; rename it"):
        date_in_name(Path("20240105_20190404.tif"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("B4", "B04"),
        ("b04", "B04"),
        ("B8A", "B8A"),
        ("B08A", "B8A"),
        ("B12", "B12"),
        ("red", "B04"),
        ("nir", "B08"),
        ("SCL", "SCL"),
        ("B99", "B99"),
    ],
)
def test_band_name(text: str, name: str) -> None:
    assert band_name(text) == name


def test_bands_from_descriptions_setting_or_colours(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID, dtype="uint8")
    described = write_scene(tmp_path / "2020-01-01.tif", image, GRID, ("B2", "green", "B04"))
    assert read_scene(described).bands == ("B02", "B03", "B04")
    assert read_scene(described, bands=("B11", "B12", "SCL")).bands == ("B11", "B12", "SCL")

    coloured = write_scene(tmp_path / "2020-01-02.tif", image, GRID)
    with rasterio.open(coloured, "r+") as target:
        target.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    assert read_scene(coloured).bands == RGB


def test_a_true_colour_image_that_says_nothing_of_its_bands(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID, dtype="uint8")
    plain = write_scene(tmp_path / "2020-01-01.tif", image, GRID)
    with rasterio.open(plain, "r+") as target:
        target.colorinterp = (ColorInterp.gray, ColorInterp.undefined, ColorInterp.undefined)
    assert read_scene(plain).bands == RGB
    assert read_scene(write_scene(tmp_path / "2020-01-02.tif", image[:2], GRID)).bands != RGB[:2]


def test_header_knows_date_grid_and_type(tmp_path: Path, write_scene: WriteScene) -> None:
    path = write_scene(tmp_path / "2020-01-01.tif", pattern(DEGREES), DEGREES, RGB)
    scene = read_scene(path)
    assert (scene.date, scene.dtype, scene.grid) == (dt.date(2020, 1, 1), "uint16", DEGREES)
    assert read_scene(path, dt.date(2019, 5, 5)).date == dt.date(2019, 5, 5)


def test_bad_headers_are_one_clear_line(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID)
    fine = write_scene(tmp_path / "2020-01-01.tif", image, GRID, RGB)
    with pytest.raises(InputError, match="names 2 bands, but the file has 3"):
        read_scene(fine, bands=("B04", "B03"))
    with pytest.raises(InputError, match="named twice"):
        read_scene(fine, bands=("B04", "B4", "B02"))

    with pytest.raises(InputError, match="no such file"):
        read_scene(tmp_path / "2020-01-02.tif")
    text = tmp_path / "2020-01-03.tif"
    text.write_text("no raster")
    with pytest.raises(InputError, match="not readable as a raster"):
        read_scene(text)
    kind = write_scene(tmp_path / "2020-01-04.tif", image.astype("float64"), GRID, RGB)
    with pytest.raises(InputError, match="the image is float64; expected"):
        read_scene(kind)

    nowhere = tmp_path / "2020-01-05.tif"
    plain = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": 4, "width": 4}
    with rasterio.open(nowhere, "w", **plain, transform=Affine(10, 0, 0, 0, -10, 0)) as target:
        target.write(np.ones((1, 4, 4), np.uint8))
    with pytest.raises(InputError, match="no coordinate system"):
        read_scene(nowhere)
    turned = tmp_path / "2020-01-06.tif"
    south_up = Affine(10, 0, 600_000, 0, 10, 5_330_000)
    with rasterio.open(turned, "w", **plain, crs=UTM, transform=south_up) as target:
        target.write(np.ones((1, 4, 4), np.uint8))
    with pytest.raises(InputError, match=r"2020-01-06\.tif: a grid must be north-up"):
        read_scene(turned)


# --- warping ---------------------------------------------------------------------------------


def test_same_grid_passes_through_unchanged(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID)
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", image, GRID, ("B02", "B03", "B04")))
    got = read_on_grid(scene, GRID, REFLECTANCE)
    assert got.dtype == np.uint16
    # In the order of the settings, not of the file.
    np.testing.assert_array_equal(got, image[::-1])
    np.testing.assert_array_equal(
        read_on_grid(scene, GRID, ImageSettings()), tci_from_reflectance(got.astype(np.uint16))
    )


def test_an_8_bit_image_passes_through(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID, dtype="uint8")
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", image, GRID, RGB))
    got = read_on_grid(scene, GRID, ImageSettings())
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, image)
    with pytest.raises(InputError, match="8-bit image cannot give reflectance"):
        read_on_grid(scene, GRID, REFLECTANCE)
    with pytest.raises(InputError, match="8-bit image cannot give reflectance"):
        read_on_grid(scene, GRID, ImageSettings(encoding="dos"))


def test_an_8_bit_image_is_standardised_as_the_reflectance_that_it_shows(
    tmp_path: Path, write_scene: WriteScene, capsys: pytest.CaptureFixture[str]
) -> None:
    """(v - 1) / 254 x 3558: the stretch is a line, so only the steps of 14 remain between the two."""
    shown = pattern(GRID, dtype="uint8")
    reflectance = reflectance_from_tci(shown.astype(np.float32))
    assert (reflectance_from_tci(np.float32([1, 255])) == [0, 3558]).all()
    np.testing.assert_array_equal(tci_from_reflectance(np.maximum(1, reflectance).astype(np.uint16)), shown)
    image = ImageSettings(encoding="standardised")
    tci = read_scene(write_scene(tmp_path / "2020-01-01.tif", shown, GRID, RGB))
    real = read_scene(
        write_scene(tmp_path / "2020-01-02.tif", np.rint(reflectance + 1).astype(np.uint16), GRID, RGB)
    )
    got = read_on_grid(tci, GRID, image)
    assert got.dtype == np.uint16
    np.testing.assert_allclose(got, read_on_grid(real, GRID, image), atol=3)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "2020-01-01.tif: an 8-bit image" in lines[0]


def test_a_missing_band_names_what_is_there(tmp_path: Path, write_scene: WriteScene) -> None:
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", pattern(GRID), GRID, ("B02", "B03", "B08")))
    with pytest.raises(InputError, match="no band B04; the file has B02, B03, B08, wanted are B04"):
        read_on_grid(scene, GRID, ImageSettings())
    unnamed = read_scene(write_scene(tmp_path / "2020-01-02.tif", pattern(GRID), GRID))
    with pytest.raises(InputError, match=r"\(no name\)") as caught:
        read_on_grid(unnamed, GRID, ImageSettings())
    assert caught.value.remedy is Remedy.BANDS


def test_a_ramp_lands_where_pyproj_says() -> None:
    # The value of a ramp tells the source column of a pixel. Cubic convolution reproduces a ramp,
    # but for a few hundredths where it also averages: 7.4 m to 10 m.
    ramp = np.broadcast_to(np.arange(80, dtype=np.float32), (60, 80)).copy()
    target = Grid.from_lonlat((-1.658, 48.1155, -1.654, 48.1185))
    got = warp_band(ramp, DEGREES, target)
    to_degrees = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    rows, cols = np.mgrid[: target.height, : target.width]
    left, _, _, top = target.bounds
    lon, _ = to_degrees.transform(left + 10 * (cols + 0.5), top - 10 * (rows + 0.5))
    np.testing.assert_allclose(got, (lon + 1.66) / 1e-4 - 0.5, atol=0.04)


def test_half_a_pixel_of_shift_uses_the_cubic_weights() -> None:
    # Keys' kernel with a = -0.5 at distances 1.5, 0.5, 0.5, 1.5: -1/16, 9/16, 9/16, -1/16.
    line = np.zeros(GRID.shape, np.float32)
    line[:, 20] = 16
    t = GRID.transform
    shifted = Grid(UTM, Affine(t.a, 0, t.c + 5, 0, t.e, t.f), GRID.shape)
    got = warp_band(line, GRID, shifted)[10, 17:23]
    np.testing.assert_allclose(got, [0, -1, 9, 9, -1, 0], atol=1e-3)


@pytest.mark.parametrize("target", ["shifted", "utm"])
def test_no_data_does_not_bleed(tmp_path: Path, write_scene: WriteScene, target: str) -> None:
    # A constant image with a hole: every target pixel is the constant or no data, never between.
    grid = GRID if target == "shifted" else DEGREES
    image = np.full((3, *grid.shape), 1234, np.uint16)
    image[:, 10:16, 12:20] = 0
    image[:, 22, 5] = 0
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", image, grid, RGB))
    if target == "shifted":
        t = grid.transform
        onto = Grid(UTM, Affine(10, 0, t.c + 4, 0, -10, t.f - 6), grid.shape)
    else:
        onto = plan_grid([scene])
    got = read_on_grid(scene, onto, REFLECTANCE)
    assert set(np.unique(got)) == {0, 1234}
    valid = valid_mask(got)
    assert (~valid[: grid.height - 2, : grid.width - 2]).sum() > 30
    np.testing.assert_array_equal(valid, (got == 1234).all(axis=0))


def test_one_dark_band_is_a_measurement(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID)
    image[0, 4, 4] = 0  # one band of dark water
    image[:, 8, 8] = 0  # no data
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", image, GRID, RGB, nodata=None))
    got = read_on_grid(scene, GRID, REFLECTANCE)
    assert got[:, 4, 4].tolist() == [1, *image[1:, 4, 4].tolist()]
    assert got[:, 8, 8].tolist() == [0, 0, 0]
    assert valid_mask(got).sum() == GRID.window.size - 1


def test_signed_numbers_below_zero_stay_data(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID, dtype="int16")
    image[:, 3, 3] = (-20, 0, 7)
    image[:, 5, 5] = 0
    path = write_scene(tmp_path / "2020-01-01.tif", image, GRID, RGB, nodata=None)
    got = read_on_grid(read_scene(path), GRID, REFLECTANCE)
    assert got[:, 3, 3].tolist() == [1, 1, 7]
    assert got[:, 5, 5].tolist() == [0, 0, 0]
    assert read_on_grid(read_scene(path), GRID, ImageSettings())[:, 3, 3].min() == 1


def test_no_data_value_and_nan(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID, dtype="int16")
    image[1, 3, 3] = -9999
    path = write_scene(tmp_path / "2020-01-01.tif", image, GRID, RGB, nodata=-9999)
    got = read_on_grid(read_scene(path), GRID, REFLECTANCE)
    assert got[:, 3, 3].tolist() == [0, 0, 0]
    assert valid_mask(got).sum() == GRID.window.size - 1

    floats = pattern(GRID, dtype="float32")
    floats[2, 6, 7] = np.nan
    path = write_scene(tmp_path / "2020-01-02.tif", floats, GRID, RGB, nodata=None)
    got = read_on_grid(read_scene(path), GRID, REFLECTANCE)
    assert got[:, 6, 7].tolist() == [0, 0, 0]
    assert valid_mask(got).sum() == GRID.window.size - 1


def test_alpha_band_marks_no_data(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID, count=4, dtype="uint8")
    image[3] = 255
    image[3, 2, 2] = 0
    path = write_scene(tmp_path / "2020-01-01.tif", image, GRID, nodata=None)
    with rasterio.open(path, "r+") as target:
        target.colorinterp = (
            ColorInterp.red,
            ColorInterp.green,
            ColorInterp.blue,
            ColorInterp.alpha,
        )
    got = read_on_grid(read_scene(path), GRID, ImageSettings())
    assert np.argwhere(~valid_mask(got)).tolist() == [[2, 2]]


def test_scale_and_offset_of_the_file_are_applied(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID) + np.uint16(1000)
    path = write_scene(tmp_path / "2020-01-01.tif", image, GRID, RGB)
    with rasterio.open(path, "r+") as target:
        target.scales = (1e-4,) * 3
        target.offsets = (-0.1,) * 3
    got = read_on_grid(read_scene(path), GRID, REFLECTANCE)
    np.testing.assert_array_equal(got, image - 1000)


def test_reflectance_0_to_1_is_refused(tmp_path: Path, write_scene: WriteScene) -> None:
    image = (pattern(GRID) / 10000).astype("float32")
    image[:, 3, 4] = 20_000  # one pixel, whatever it is, says nothing of the unit
    image[:, 4, 4] = np.inf
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", image, GRID, RGB, nodata=None))
    with pytest.raises(InputError, match=r"half of its pixels are at most 0\.3\d*.* scale and offset"):
        read_on_grid(scene, GRID, REFLECTANCE)


@pytest.mark.parametrize("infrared", [2.0, -30.0])
def test_dark_water_is_not_reflectance_of_0_to_1(
    tmp_path: Path, write_scene: WriteScene, infrared: float
) -> None:
    """Float reflectance x 10000: no band alone, and no part alone, says what its unit is."""
    image = np.full((2, *GRID.shape), 300, np.float32)
    image[1] = infrared
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", image, GRID, ("B04", "B08")))
    water = ImageSettings(bands=("B04", "B08"), encoding="reflectance")
    found = read_on_grid(scene, GRID.crop(Window(0, 0, 8, 8)), water)
    np.testing.assert_array_equal(found[0], 300)
    np.testing.assert_array_equal(found[1], max(1, infrared))
    image[0] = infrared
    dark = read_scene(write_scene(tmp_path / "2020-02-01.tif", image, GRID, ("B04", "B08")))
    with pytest.raises(InputError, match=f"at most {infrared:g} in every band; expected reflectance x 10000"):
        read_on_grid(dark, GRID, water)


def test_reflectance_0_to_1_with_its_offset_declared_is_read(tmp_path: Path, write_scene: WriteScene) -> None:
    # As composites of offset products have it: reflectance + 0.1, here of 0 to 0.0249.
    image = (pattern(GRID) / 10000 + 0.1).astype("float32")
    image[:, 5, 7] = np.nan
    path = write_scene(tmp_path / "2020-01-01.tif", image, GRID, RGB, nodata=None)
    with rasterio.open(path, "r+") as target:
        target.offsets = (-0.1,) * 3
    got = read_on_grid(read_scene(path), GRID, REFLECTANCE)
    expected = np.maximum(pattern(GRID), 1)
    expected[:, 5, 7] = 0
    np.testing.assert_array_equal(got, expected)


def test_a_true_colour_image_does_not_do_for_other_bands(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID).astype("uint8")
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", image, GRID, RGB))
    with pytest.raises(InputError, match=r"no band B08; .* True Colour Image is not enough here") as caught:
        scene.band_indexes(("B04", "B08"))
    assert caught.value.remedy is None
    unnamed = read_scene(write_scene(tmp_path / "2020-01-02.tif", image, GRID, ("x", "y", "z")))
    with pytest.raises(InputError, match=r"no band B04; the file has x, y, z") as caught:
        unnamed.band_indexes(("B04",))
    assert caught.value.remedy is Remedy.BANDS


def test_a_scene_apart_from_the_grid(tmp_path: Path, write_scene: WriteScene) -> None:
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", pattern(GRID), GRID, RGB))
    away = GRID.crop(Window(0, 5000, 30, 40))
    with pytest.raises(InputError, match="does not meet the site's grid"):
        read_on_grid(scene, away, REFLECTANCE)


def test_outside_the_scene_is_no_data_and_a_crop_changes_nothing(
    tmp_path: Path, write_scene: WriteScene
) -> None:
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", pattern(DEGREES), DEGREES, RGB))
    grid = plan_grid([scene])
    whole = read_on_grid(scene, grid, REFLECTANCE).astype(int)
    window = Window(-8, 20, 30, 25)
    part = read_on_grid(scene, grid.crop(window), REFLECTANCE)
    assert (part[:, :8] == 0).all()
    # A crop reads only the source pixels that it needs, and gets the same numbers.
    assert plan_source_window(DEGREES, grid.crop(window)).size < 0.7 * DEGREES.window.size
    np.testing.assert_allclose(part[:, 8:], whole[:, :22, 20:45], atol=4)


# --- files -----------------------------------------------------------------------------------


def test_a_moved_scene_is_the_scene_seen_from_a_grid_moved_back(
    tmp_path: Path, write_scene: WriteScene
) -> None:
    for local in (GRID, DEGREES):
        path = write_scene(tmp_path / f"{len(local.crs)}_2020-01-01.tif", pattern(local), local, RGB)
        scene = read_scene(path)
        target = plan_grid([scene])
        target = target.crop(target.window.grow(-4))
        moved = read_on_grid(scene.moved((7.0, -12.0)), target, REFLECTANCE)
        seen = read_on_grid(scene, target.moved(-7.0, 12.0), REFLECTANCE)
        # On degrees, metres are converted on a sphere: a hundredth of the way off.
        assert np.abs(moved.astype(int) - seen.astype(int)).max() <= (0 if local is GRID else 128)


def test_written_raster_reads_back(tmp_path: Path) -> None:
    image = pattern(GRID, dtype="uint8")
    path = tmp_path / "out.tif"
    write_raster(path, image, GRID, nodata=0, names=RGB, tags={"A": "b"})
    np.testing.assert_array_equal(read_raster(path), image)
    with rasterio.open(path) as source:
        assert source.descriptions == RGB
        assert source.nodata == 0
        assert source.block_shapes == [(256, 256)] * 3
        assert source.colorinterp[0] == ColorInterp.red
        assert source.tags()["A"] == "b"
        assert Grid(source.crs.to_wkt(), source.transform, source.shape) == GRID
    assert [p.name for p in tmp_path.iterdir()] == ["out.tif"]


def test_window_outside_the_file_is_filled(tmp_path: Path) -> None:
    image = pattern(GRID)
    path = tmp_path / "out.tif"
    write_raster(path, image, GRID, nodata=0, names=RGB)
    got = read_raster(path, Window(-2, 35, 10, 10), fill=7)
    assert (got[:, :2] == 7).all()
    assert (got[:, :, 5:] == 7).all()
    np.testing.assert_array_equal(got[:, 2:, :5], image[:, :8, 35:])
    assert (read_raster(path, Window(100, 0, 3, 3), fill=7) == 7).all()


def test_a_broken_file_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        write_raster(tmp_path / "x.tif", pattern(GRID), GRID, nodata=0, names=("B04",))
    assert not list(tmp_path.iterdir())


# --- real files ------------------------------------------------------------------------------


@pytest.mark.data
def test_real_series_lands_on_one_grid(data_dir: Path) -> None:
    # The two dates of saclay_w differ in size and in pixel size.
    scenes = find_scenes([SceneSettings(path="*.tif")], data_dir / "real" / "cities" / "saclay_w")
    assert scenes[0].grid.shape != scenes[1].grid.shape
    grid = plan_grid(scenes)
    assert (grid.crs, grid.shape) == ("EPSG:32631", (824, 591))
    small = grid.crop(Window(300, 200, 128, 128))
    first, second = (read_on_grid(scene, small, REFLECTANCE).astype(float) for scene in scenes)
    assert (first > 0).all()
    # The same fields, a year apart: the images resemble each other most when not shifted.
    shifted = np.roll(second, 8, axis=2)
    match = np.corrcoef(first.ravel(), second.ravel())[0, 1]
    assert match > np.corrcoef(first.ravel(), shifted.ravel())[0, 1] + 0.1


@pytest.mark.data
def test_all_real_images_read_as_another_reader_has_them(data_dir: Path) -> None:
    """Against tifffile, which shares no code with GDAL."""
    import tifffile

    bands = ("B02", "B03", "B04", "B08")
    image = ImageSettings(bands=bands, encoding="reflectance")
    paths = sorted((data_dir / "real" / "cities").glob("*/*.tif"))
    assert len(paths) == 36
    for path in paths:
        scene = read_scene(path)
        assert scene.bands == bands
        stored = tifffile.imread(path)
        planes = stored if stored.shape[0] == 4 else np.moveaxis(stored, -1, 0)
        known = (planes != 0).any(axis=0)
        expected = np.where(known, np.maximum(planes, 1), 0)
        np.testing.assert_array_equal(read_on_grid(scene, scene.grid, image), expected)


@pytest.mark.data
def test_real_bands_by_setting(data_dir: Path) -> None:
    names = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
    path = data_dir / "real" / "boadella" / "2020-06-21.tif"
    scene = read_scene(path, bands=names)
    assert scene.dtype == "int16"
    grid = plan_grid([scene])
    wanted = ImageSettings(bands=("B08", "B04"), encoding="reflectance")
    nir, red = read_on_grid(scene, grid, wanted).astype(float)
    valid = (nir > 0) & (red > 0)
    assert valid.mean() > 0.98
    # A forest and a lake in June: near infrared far above red in the one, not in the other.
    assert np.percentile(nir[valid] / red[valid], 90) > 5
    assert np.percentile(nir[valid] / red[valid], 2) < 1


def test_a_long_name_and_many_bands_are_read_and_told_briefly(
    tmp_path: Path, write_scene: WriteScene
) -> None:
    path = tmp_path / f"{'x' * 238}-2020-01-01.tif"
    scene = read_scene(
        write_scene(tmp_path / "a.tif", np.ones((3, *GRID.shape), "uint16"), GRID, RGB).rename(path)
    )
    assert len(scene.bands) == 3
    with pytest.raises(InputError) as error:
        replace(scene, path=Path("a.tif"), bands=("",) * 300).band_indexes(("B04",))
    assert "(no name) and 288 more, wanted are B04" in str(error.value)


def test_a_system_that_no_map_has_is_named(tmp_path: Path, write_scene: WriteScene) -> None:
    path = write_scene(tmp_path / "2020-01-01.tif", np.ones((3, *GRID.shape), "uint16"), GRID, RGB)
    with rasterio.open(path, "r+") as file:
        file.crs = "EPSG:4978"
    with pytest.raises(InputError, match=r"of the image, WGS 84, is none of maps"):
        read_scene(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a system without /proc")
def test_an_input_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "2020-01-01.tif").symlink_to("/proc/self/mem")
    with pytest.raises(InputError, match=r"2020-01-01\.tif: Input/output error"):
        read_scene(tmp_path / "2020-01-01.tif")
