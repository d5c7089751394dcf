"""From a sites file to scenes on one grid: what is found, checked and laid, and what is refused."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray

from swath.errors import GridError, InputError, SettingsError
from swath.grid import Grid, Window, transform_bounds
from swath.scenes.raster import plan_source_window
from swath.scenes.scene import SceneSettings, read_scene
from swath.sites.schema import SitesFile
from swath.sites.series import (
    find_scenes,
    plan_grid,
    plan_loose_series,
    plan_series,
    read_series,
)

UTM = "EPSG:32630"
GRID = Grid.from_bounds((600_000, 5_330_000, 600_400, 5_330_300), UTM)  # 30 x 40 px
DEGREES = Grid("EPSG:4326", Affine(1e-4, 0, -1.66, 0, -1e-4, 48.12), (60, 80))
RGB = ("B04", "B03", "B02")

WriteScene = Callable[..., Path]


def pattern(grid: Grid) -> NDArray[np.uint16]:
    """Different numbers in every band and pixel, all of them data."""
    rng = np.random.default_rng(1)
    return rng.integers(1, 250, (3, *grid.shape)).astype(np.uint16)


def sites_file(**settings: object) -> SitesFile:
    """One site of all GeoTIFFs in a folder."""
    site = {"scenes": [{"path": "*.tif"}], "split": "train"}
    return SitesFile.model_validate({"sites": {"here": site}} | settings)


# --- finding ---------------------------------------------------------------------------------


def test_series_is_oldest_first_whatever_the_names(tmp_path: Path, write_scene: WriteScene) -> None:
    for name in ("a_20200301", "b_20200101", "c_20200201"):
        write_scene(tmp_path / f"{name}.tif", pattern(GRID), GRID, RGB)
    found = find_scenes([SceneSettings(path="*.tif")], tmp_path)
    assert [scene.date.month for scene in found] == [1, 2, 3]
    kept = find_scenes([SceneSettings(path="*.tif", exclude=(dt.date(2020, 2, 1),))], tmp_path)
    assert [scene.date.month for scene in kept] == [1, 3]
    absolute = find_scenes([SceneSettings(path=f"{tmp_path}/a_*.tif")], Path("elsewhere"))
    assert absolute[0].date == dt.date(2020, 3, 1)


def test_what_cannot_be_found_is_one_clear_line(tmp_path: Path, write_scene: WriteScene) -> None:
    for name in ("a_20200101", "b_20200101"):
        write_scene(tmp_path / f"{name}.tif", pattern(GRID), GRID, RGB)
    day = dt.date(2020, 1, 1)
    with pytest.raises(InputError, match="no file matches"):
        find_scenes([SceneSettings(path="gone/*.tif")], tmp_path)
    with pytest.raises(InputError, match="no such file"):
        find_scenes([SceneSettings(path="gone_20200101.tif")], tmp_path)
    with pytest.raises(InputError, match=r"two files of 2020-01-01: .*a_.* and .*b_"):
        find_scenes([SceneSettings(path="*.tif")], tmp_path)
    with pytest.raises(SettingsError, match="matches 2 files"):
        find_scenes([SceneSettings(path="*.tif", date=day)], tmp_path)
    with pytest.raises(SettingsError, match="no file of the excluded date 2021-01-01"):
        find_scenes([SceneSettings(path="a*.tif", exclude=(dt.date(2021, 1, 1),))], tmp_path)
    with pytest.raises(SettingsError, match=r"every date .* is excluded"):
        find_scenes([SceneSettings(path="a*.tif", exclude=(day,))], tmp_path)


# --- the grid of a series --------------------------------------------------------------------


def test_grid_is_the_box_where_all_scenes_overlap(tmp_path: Path, write_scene: WriteScene) -> None:
    other = GRID.crop(Window(5, -10, 30, 40))
    a = read_scene(write_scene(tmp_path / "2020-01-01.tif", pattern(GRID), GRID, RGB))
    b = read_scene(write_scene(tmp_path / "2020-01-02.tif", pattern(other), other, RGB))
    # Rows 5..30, columns 0..30 of the first: exactly, as both lie in that UTM zone.
    assert plan_grid([a, b]) == GRID.crop(Window(5, 0, 25, 30))


def test_grid_of_a_scene_in_degrees_covers_it(tmp_path: Path, write_scene: WriteScene) -> None:
    scene = read_scene(write_scene(tmp_path / "2020-01-01.tif", pattern(DEGREES), DEGREES, RGB))
    grid = plan_grid([scene])
    assert grid.crs == UTM
    assert grid.resolution == (10.0, 10.0)
    assert plan_source_window(scene.grid, grid) == scene.grid.window
    assert plan_grid([scene], resolution_m=20).resolution == (20.0, 20.0)
    assert plan_grid([scene], crs="EPSG:2154").crs == "EPSG:2154"
    west, south, east, north = DEGREES.lonlat_bounds
    small = plan_grid([scene], bounds=(west, south, (west + east) / 2, north))
    assert small.width < grid.width * 0.55


def test_grid_refuses(tmp_path: Path, write_scene: WriteScene) -> None:
    away = GRID.crop(Window(0, 400, 30, 40))
    a = read_scene(write_scene(tmp_path / "2020-01-01.tif", pattern(GRID), GRID, RGB))
    b = read_scene(write_scene(tmp_path / "2020-01-02.tif", pattern(away), away, RGB))
    with pytest.raises(InputError, match=r"in common: 2020-01-01\.tif .*; 2020-01-02\.tif"):
        plan_grid([a, b])
    with pytest.raises(SettingsError, match="expected a projected system in metres"):
        plan_grid([a], crs="EPSG:4326")


# --- the whole stretch ------------------------------------------------------------------------


def test_a_series_is_planned_from_headers_and_then_read(tmp_path: Path, write_scene: WriteScene) -> None:
    """The pixel size is the file's; reflectance is a share of 1, no data is 0 and told beside."""
    image = np.full((3, *GRID.shape), 2500, np.uint16)
    image[:, :, :2] = 0
    for day in ("2020-03-01", "2020-01-01"):
        write_scene(tmp_path / f"{day}.tif", image, GRID, RGB)
    series = plan_series("here", sites_file(resolution_m=20), tmp_path, ("B04", "B02"))
    assert series.dates == (dt.date(2020, 1, 1), dt.date(2020, 3, 1))
    assert (series.grid.resolution, series.grid.shape) == ((20.0, 20.0), (15, 20))
    images, valid = read_series(series, ("B04", "B02"))
    assert (images.shape, valid.shape) == ((2, 2, 15, 20), (2, 15, 20))
    np.testing.assert_allclose(images[:, :, :, 3:], 0.25)
    assert valid[..., 3:].all()
    assert not valid[..., 0].any()
    assert not images[:, :, :, 0].any()
    assert series.first(1).dates == (dt.date(2020, 1, 1),)
    assert series.first(1).grid == series.grid


def test_a_series_that_cannot_be_is_one_clear_line(tmp_path: Path, write_scene: WriteScene) -> None:
    write_scene(tmp_path / "2020-01-01.tif", pattern(GRID), GRID, RGB)
    bare = {"sites": {"here": {"split": "train"}}}
    away = {"scenes": [{"path": "*.tif"}], "split": "train", "bounds": [2, 45, 2.01, 45.01]}
    for settings, bands, kind, message in (
        (bare, RGB, SettingsError, "'here' names no scenes"),
        ({}, ("B08",), InputError, "no band B08; the file has B04, B03, B02"),
        ({"sites": {"here": away}}, RGB, InputError, "does not meet the site's grid"),
    ):
        with pytest.raises(kind, match=message):
            plan_series("here", sites_file(**settings), tmp_path, bands)


def test_loose_scenes_of_one_system_stay_in_it(tmp_path: Path, write_scene: WriteScene) -> None:
    """Even in another zone than their middle's; scenes in degrees go to their UTM zone."""
    foreign = Grid.from_lonlat(DEGREES.lonlat_bounds, "EPSG:32631")
    here = [
        SceneSettings(path=str(write_scene(tmp_path / f"{day}.tif", pattern(foreign), foreign, RGB)))
        for day in ("2020-01-01", "2020-01-02")
    ]
    assert plan_loose_series("x", here, RGB).grid == foreign
    there = write_scene(tmp_path / "2020-01-03.tif", pattern(DEGREES), DEGREES, RGB)
    mixed = plan_loose_series("x", [*here, SceneSettings(path=str(there))], RGB)
    assert (mixed.name, mixed.grid.crs, len(mixed.scenes)) == ("x", UTM, 3)


def test_no_zone_at_the_poles_names_a_file(tmp_path: Path, write_scene: WriteScene) -> None:
    polar = Grid("EPSG:4326", Affine(1e-3, 0, 10, 0, -1e-3, 89), (40, 30))
    path = write_scene(tmp_path / "2020-01-01.tif", pattern(polar), polar, RGB)
    with pytest.raises(GridError, match=r"2020-01-01\.tif: no UTM zone covers lon 10\.0150, lat 88\.98"):
        plan_loose_series("x", [SceneSettings(path=str(path))], RGB)


# --- files as people have them ---------------------------------------------------------------


def test_what_exists_is_itself_and_no_pattern(tmp_path: Path, write_scene: WriteScene) -> None:
    for folder in ("data 2", "data [2024]", "only [new]"):
        (tmp_path / folder).mkdir()
        write_scene(tmp_path / folder / "T30[x]_2020-01-01.tif", pattern(GRID), GRID, RGB)

    def found(path: str, start: Path = tmp_path) -> str:
        (scene,) = find_scenes([SceneSettings(path=path)], start)
        return scene.path.relative_to(tmp_path).as_posix()

    assert found("data [2024]/T30[x]_2020-01-01.tif") == "data [2024]/T30[x]_2020-01-01.tif"
    assert found(f"{tmp_path}/data [2024]/*.tif") == "data [2024]/T30[x]_2020-01-01.tif"
    assert found("*.tif", tmp_path / "only [new]") == "only [new]/T30[x]_2020-01-01.tif"
    assert found("data [1-3]/*.tif") == "data 2/T30[x]_2020-01-01.tif"


def test_dates_that_overlap_in_part_are_mapped_whole(
    tmp_path: Path, write_scene: WriteScene, capsys: pytest.CaptureFixture[str]
) -> None:
    east = GRID.crop(Window(0, 30, 30, 40))
    for day, grid in ((1, GRID), (2, east)):
        write_scene(tmp_path / f"2020-01-0{day}.tif", pattern(grid), grid, RGB)
    entries = [SceneSettings(path=f"{tmp_path}/*.tif")]
    series = plan_loose_series("here", entries, RGB)
    assert series.grid == GRID.crop(Window(0, 0, 30, 70))
    assert "2 of 2 less than 80% of it (2020-01-01 57%)" in capsys.readouterr().err
    _, valid = read_series(series, RGB)
    assert valid.any(axis=1).sum(axis=-1).tolist() == [40, 40]
    shared = plan_series("here", sites_file(), tmp_path, RGB)
    assert shared.grid.shape[1] == 10
    assert "it is where all of them do: 14 %" in capsys.readouterr().err.replace("14%", "14 %")


def test_one_image_overlaps_with_none(
    tmp_path: Path, write_scene: WriteScene, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = Grid("EPSG:4326", Affine(1e-5, 0, -1.7, 0, -1e-5, 48.1), (1, 1))
    path = write_scene(tmp_path / "2020-01-01.tif", np.ones((3, 1, 1), "uint16"), tiny, RGB)
    plan_loose_series("here", [SceneSettings(path=str(path))], RGB)
    assert capsys.readouterr().err == ""


def test_metres_that_are_none_on_the_ground(tmp_path: Path, write_scene: WriteScene) -> None:
    mercator = Grid("EPSG:3857", Affine(10, 0, -184_000, 0, -10, 6_130_000), (60, 60))
    write_scene(tmp_path / "2020-01-01.tif", pattern(mercator), mercator, RGB)
    entries = [SceneSettings(path=f"{tmp_path}/*.tif")]
    grid = plan_loose_series("here", entries, RGB).grid
    assert (grid.crs, grid.resolution) == (UTM, (10, 10))
    assert grid.shape == pytest.approx((41, 41), abs=2)  # 60 px of 6.7 m, a little turned
    site = {"scenes": [{"path": "*.tif"}], "split": "train", "crs": "EPSG:3857"}
    with pytest.raises(SettingsError, match=r"Pseudo-Mercator, whose metre is 0\.67 m on the ground"):
        plan_series("here", sites_file(sites={"here": site}), tmp_path, RGB)


def test_two_zones_and_the_180th_meridian(tmp_path: Path, write_scene: WriteScene) -> None:
    west = Grid.from_lonlat((179.98, -17.2, -179.99, -17.19), "EPSG:32760")
    east = Grid.from_lonlat((179.99, -17.2, 180.02, -17.19), "EPSG:32701")
    turned = Grid("EPSG:4326", Affine(1e-4, 0, -180.01, 0, -1e-4, -17.19), (100, 200))
    for day, grid in enumerate((west, east, turned), 1):
        write_scene(tmp_path / f"2020-01-0{day}.tif", pattern(grid) + np.uint16(500), grid, RGB)
    entries = [SceneSettings(path=f"{tmp_path}/*.tif")]
    series = plan_loose_series("here", entries, RGB)
    left, _, right, _ = series.grid.lonlat_bounds
    assert (left, right) == pytest.approx((179.98, 180.02), abs=1e-3)
    _, valid = read_series(series, RGB)
    # 0.03, 0.03 and 0.02 of 0.04 degrees, in a box whose sides are turned by a degree.
    assert valid.mean(axis=(1, 2)).tolist() == pytest.approx([0.75, 0.75, 0.5], abs=0.08)


def test_longitudes_of_0_to_360(tmp_path: Path, write_scene: WriteScene) -> None:
    far = Grid(DEGREES.crs, Affine.translation(360, 0) @ DEGREES.transform, DEGREES.shape)
    scenes = [
        read_scene(write_scene(tmp_path / f"2020-01-0{day}.tif", pattern(grid), grid, RGB))
        for day, grid in enumerate((DEGREES, far), 1)
    ]
    assert scenes[1].grid.bounds == pytest.approx(scenes[0].grid.bounds)


def test_one_file_a_band(tmp_path: Path, write_scene: WriteScene) -> None:
    image = pattern(GRID) + np.uint16(500)
    whole = write_scene(tmp_path / "whole" / "2020-01-01.tif", image, GRID, RGB)
    coarse = Grid(UTM, GRID.transform @ Affine.scale(2), (15, 20))
    for band, layer in zip(RGB, image, strict=True):
        name = f"T30UWU_20200101T105621_{band}_10m.tif"
        write_scene(tmp_path / "bands" / name, layer[None], GRID, None)
    ones = np.full((1, 15, 20), 1000, np.uint16)
    write_scene(tmp_path / "bands" / "T30UWU_20200101T105621_B11_20m.tif", ones, coarse, None)
    (scene,) = find_scenes([SceneSettings(path="bands/*.tif")], tmp_path)
    assert (scene.bands, scene.grid, len(scene.files)) == (("B02", "B03", "B04", "B11"), GRID, 4)
    each = [SceneSettings(path=str(path)) for path in sorted((tmp_path / "bands").iterdir())]
    joined = plan_loose_series("here", each, (*RGB, "B11"))
    pixels, valid = read_series(joined, (*RGB, "B11"))
    expected, _ = read_series(plan_loose_series("here", [SceneSettings(path=str(whole))], RGB), RGB)
    np.testing.assert_array_equal(pixels[:, :3], expected)
    np.testing.assert_allclose(pixels[:, 3], 0.1, atol=1e-4)
    assert valid.all()
    write_scene(tmp_path / "bands" / "T30UWU_20200101T105621_B11_60m.tif", ones, coarse, None)
    with pytest.raises(InputError, match="hold the same band"):
        find_scenes([SceneSettings(path="bands/*.tif")], tmp_path)
    write_scene(tmp_path / "bands" / "T31UWU_20200101T105621_B08_10m.tif", image[:1], GRID, None)
    with pytest.raises(InputError, match=r"hold the same band"):
        find_scenes([SceneSettings(path="bands/*.tif")], tmp_path)


@pytest.mark.parametrize(
    ("crs", "width", "height", "said"),
    [
        (UTM, 10, 60, "10 m wide and 60 m high"),
        (UTM, 20, 10, "20 m wide and 10 m high"),
        (UTM, 10, 10, ""),
        ("EPSG:4326", 1e-4, 1e-4, ""),  # 7.4 x 11.1 m: square degrees
        ("EPSG:4326", 1.5e-4, 1e-4, ""),  # square on the ground
        ("EPSG:4326", 1e-4, 5e-4, "7.424 m wide and 55.6 m high"),
    ],
)
def test_pixels_that_are_not_square_are_said(
    crs: str,
    width: float,
    height: float,
    said: str,
    tmp_path: Path,
    write_scene: WriteScene,
    capsys: pytest.CaptureFixture[str],
) -> None:
    corner = (600_000, 5_330_000) if crs == UTM else (-1.66, 48.12)
    grid = Grid(crs, Affine(width, 0, corner[0], 0, -height, corner[1]), (20, 30))
    path = write_scene(tmp_path / "2020-01-01.tif", pattern(grid), grid, RGB)
    series = plan_loose_series("here", [SceneSettings(path=str(path))], RGB)
    assert series.grid.resolution == (10, 10)
    error = capsys.readouterr().err
    assert error.count("\n") == bool(said)
    assert said in error


def test_a_scene_turned_in_another_zone_adds_no_empty_rim(tmp_path: Path, write_scene: WriteScene) -> None:
    left, bottom, right, top = transform_bounds(GRID.bounds, UTM, "EPSG:32631")
    for day, grid in ((1, GRID), (2, Grid.from_bounds((left, bottom, right, top), "EPSG:32631"))):
        write_scene(tmp_path / f"2020-01-0{day}.tif", pattern(grid), grid, RGB)
    entries = [SceneSettings(path=f"{tmp_path}/*.tif")]
    assert plan_loose_series("here", entries, RGB).grid == GRID
    east = Grid.from_bounds((left, bottom, right + 200, top), "EPSG:32631")
    write_scene(tmp_path / "2020-01-02.tif", pattern(east), east, RGB)
    wide = plan_loose_series("here", entries, RGB).grid
    assert wide.bounds[0] <= GRID.bounds[0]
    assert wide.bounds[2] >= GRID.bounds[2] + 190
