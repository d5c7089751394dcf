"""The cloud model: on real clouded days, on products, and where it cannot run."""

import importlib.metadata
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

from conftest import SceneWriter
from support.safe_products import write_safe
from swath import cli, extras
from swath.dataset.catalog import read_dataset
from swath.dataset.site import read_image
from swath.errors import InputError, MissingExtraError
from swath.grid import Grid, Window
from swath.mapping.sources import scene_series
from swath.maps.sitemaps import read_pmap
from swath.scenes import warp as series
from swath.scenes.clouds import BUFFER_PX, CloudModel, choose_cloud_model, find_clouds
from swath.scenes.scene import SceneSettings, read_scene
from swath.scenes.warp import read_on_grid
from swath.sentinel2 import BANDS, ImageSettings, valid_mask
from swath.sites.series import find_scenes, plan_grid

GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_300_010), (60, 60))
FOUR = ("B02", "B03", "B04", "B08")
BOADELLA = tuple(band for band in BANDS if band != "B10")
needs_model = pytest.mark.skipif(importlib.util.find_spec("ukis_csmask") is None, reason="no extra `clouds`")


# --- which network ---------------------------------------------------------------------------


@needs_model
def test_the_network_with_more_bands_is_taken_where_they_are() -> None:
    path = Path("x.tif")
    assert choose_cloud_model(path, FOUR, "L1C").bands == FOUR
    assert choose_cloud_model(path, BOADELLA, "L2A").bands == (*FOUR, "B11", "B12")


@pytest.mark.parametrize(
    ("bands", "level", "message"),
    [
        (("B04", "B03", "B02"), "L1C", "better also B11, B12); there is no B08"),
        (FOUR, None, "give `level: L1C` (top of the atmosphere) or `level: L2A` (surface)"),
    ],
)
def test_what_the_model_needs_is_said(bands: tuple[str, ...], level: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        choose_cloud_model(Path("x.tif"), bands, level)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'swath\[clouds\]'"):
        choose_cloud_model(Path("x.tif"), FOUR, "L1C")


@needs_model
def test_a_product_says_its_own_level(tmp_path: Path) -> None:
    folder = write_safe(tmp_path, "L2A_N0511")
    entry = SceneSettings(path=folder.name, mask="ukis-csmask", level="L1C")
    with pytest.raises(InputError, match="a product says its own"):
        find_scenes([entry], tmp_path)
    (scene,) = find_scenes([entry.model_copy(update={"level": None})], tmp_path)
    assert scene.clouds is not None
    assert (scene.clouds.level, scene.clouds.bands[-1]) == ("L2A", "B12")


@needs_model
def test_nothing_is_found_where_nothing_is_seen() -> None:
    model = CloudModel("L1C", FOUR, "1")
    assert not find_clouds(model, np.zeros((4, 20, 30), np.uint16)).any()


# --- what becomes of what it finds -----------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[CloudModel]:
    """The bright pixels are the clouds, so that where they end is known; who asked is kept."""
    asked: list[CloudModel] = []

    def bright(model: CloudModel, image: NDArray[np.uint16]) -> NDArray[np.bool_]:
        asked.append(model)
        return np.asarray(image[0] > 4000)

    monkeypatch.setattr(series, "find_clouds", bright)
    return asked


@needs_model
def test_the_mask_lies_where_the_clouds_do_and_scene_and_pieces_agree(
    tmp_path: Path, write_scene: SceneWriter, drawn: list[CloudModel]
) -> None:
    pixels = np.full((4, *GRID.shape), 1000, np.uint16)
    pixels[:, 12:30, 21:45] = 9000  # on pixels of 30 m
    path = write_scene(tmp_path / "2020-03-01.tif", pixels, GRID, FOUR)
    image = ImageSettings(bands=("B08",), encoding="reflectance")
    (scene,) = find_scenes([SceneSettings(path=path.name, mask="ukis-csmask", level="L1C")], tmp_path)
    assert [model.level for model in drawn] == []  # headers only so far
    got = read_on_grid(scene, GRID, image)[0]
    assert len(drawn) == 1
    hidden = got == 0
    assert hidden[12:30, 21:45].all()
    assert (got[~hidden] == 1000).all()
    wide = ndimage.binary_dilation(pixels[0] == 9000, np.ones((3, 3)), iterations=3)
    assert not (hidden & ~wide).any()

    # As `swath map` reads it: in pieces, and the model looks once.
    drawn.clear()
    found = scene_series("x", [path], None, image, "ukis-csmask", "L1C")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swath.mapping.sources.PIECE_PX", 16)
        (tmp_path / "work").mkdir()
        dated = found.sources[0].prepare(tmp_path / "work")
    assert len(drawn) == 1
    np.testing.assert_array_equal(dated.read(Window(0, 0, *GRID.shape))[0], got)
    # With and without the model are two images: no map of the one is kept for the other.
    assert found.sources[0].identify() != scene_series("x", [path], None, image).sources[0].identify()


@needs_model
@pytest.mark.parametrize("key", ["L1C_N0204_old", "L2A_N0511"])
def test_a_dataset_keeps_the_masks_of_products_and_who_made_them(
    tmp_path: Path, key: str, drawn: list[CloudModel], capsys: pytest.CaptureFixture[str]
) -> None:
    from scenes.test_safe import sites_file

    folder = write_safe(tmp_path, key)
    entry: dict[str, object] = {"path": folder.name, "mask": "ukis-csmask"}
    sites = sites_file(tmp_path, [entry])
    assert cli.run(["build", str(sites), "--out", str(tmp_path / "out"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["sites"][0]["acquisitions"][0]
    (model,) = drawn
    level = key[:3]
    bands = [*FOUR, "B11", "B12"]
    version = importlib.metadata.version("ukis-csmask")
    expected: dict[str, Any] = {
        "model": {"name": "ukis-csmask", "level": level, "bands": bands, "version": version}
    }
    if level == "L2A":
        expected["scl"] = [0, 1, 3, 8, 9, 10]
    assert said["masks"] == expected
    assert (said["cloud_cover"], said["sun_elevation_deg"]) == (3.5, 63.5)
    assert model.level == level

    # The fixtures' roofs, row 1, have a reflectance of 1.2; at 30 m they cover the first rows.
    dataset = read_dataset(tmp_path / "out")
    acquisition = dataset.sites[0].acquisitions[0]
    seen = valid_mask(read_image(acquisition))
    assert acquisition.masks == expected
    assert not seen[:2, 6:-6].all()
    item = json.loads(next((tmp_path / "out" / "place").glob("2*.json")).read_text())
    properties = item["properties"]
    assert properties["eo:cloud_cover"] == 3.5
    assert (properties["view:sun_azimuth"], properties["view:sun_elevation"]) == (151.75, 63.5)
    assert properties["swath:masks"] == expected
    assert any("/view/" in extension for extension in item["stac_extensions"])


def test_the_map_of_masked_scenes_has_no_data_there(
    tmp_path: Path, write_scene: SceneWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    from cli.test_map import save_run

    run = tmp_path / "run"
    save_run(run, {"train": ["x"], "validation": [], "test": []})
    pixels = np.random.default_rng(3).integers(1, 256, (3, *GRID.shape)).astype(np.uint8)
    masks = {"2020-03-01": slice(0, 20), "2020-08-01": slice(10, 40)}
    scenes = []
    for day, rows in masks.items():
        scenes.append(write_scene(tmp_path / f"{day}.tif", pixels, GRID, ("B04", "B03", "B02")))
        cloud = np.zeros((1, *GRID.shape), np.uint8)
        cloud[0, rows] = 1
        write_scene(tmp_path / "clouds" / f"{day}.tif", cloud, GRID, nodata=None)
    out = tmp_path / "maps"
    command = ["map", str(run), *map(str, scenes), "--name", "town", "--out", str(out)]
    assert cli.run([*command, "--mask", str(tmp_path / "clouds" / "{date}.tif")]) == 0
    for day, rows in masks.items():
        expected = np.ones(GRID.shape, bool)
        expected[rows] = False
        np.testing.assert_array_equal(read_pmap(out / "town" / f"pmap_{day}.tif")[1], expected)
    fused = read_pmap(out / "town" / "pmap.tif")[1]
    assert not fused[10:20].any()
    assert fused[:10].all()
    assert fused[20:].all()

    capsys.readouterr()
    assert cli.run([*command, "--mask", "ukis-csmask", "--overwrite"]) == 2
    assert "there is no B08" in capsys.readouterr().err
    assert cli.run([*command, "--mask", "none/{date}.tif", "--overwrite"]) == 2
    assert "none/2020-03-01.tif: no such file" in capsys.readouterr().err


# --- real clouds -----------------------------------------------------------------------------


@needs_model
@pytest.mark.data
def test_two_clouded_days_are_told_from_a_clear_one(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "real" / "boadella"
    clear, clouded = "2020-02-02", "2020-01-18"
    grid = None
    for day, low, high in ((clear, 0.99, 1.0), (clouded, 0.0, 0.01)):
        entry = SceneSettings(path=f"{day}.tif", bands=BOADELLA, mask="ukis-csmask", level="L2A")
        (scene,) = find_scenes([entry], folder)
        grid = grid or plan_grid([scene])
        seen = valid_mask(read_on_grid(scene, grid, ImageSettings()))
        bare = valid_mask(read_on_grid(read_scene(scene.path, bands=BOADELLA), grid, ImageSettings()))
        assert low <= seen.sum() / bare.sum() <= high, day


@needs_model
@pytest.mark.data
def test_the_buffer_is_as_wide_as_it_says(data_dir: Path) -> None:
    # Half of a clear day, half of a clouded one: the edge of what is found lies near the seam.
    folder = data_dir / "real" / "boadella"
    entry = SceneSettings(path="2020-02-02.tif", bands=BOADELLA, mask="ukis-csmask", level="L2A")
    (scene,) = find_scenes([entry], folder)
    assert scene.clouds is not None
    grid = plan_grid([scene], resolution_m=30)
    want = ImageSettings(bands=scene.clouds.bands, encoding="reflectance")
    clear, clouded = (
        read_on_grid(read_scene(folder / f"{day}.tif", bands=BOADELLA), grid, want).astype(np.uint16)
        for day in ("2020-02-02", "2020-01-18")
    )
    half = grid.width // 2
    clear[:, :, :half] = clouded[:, :, :half]
    found = find_clouds(scene.clouds, clear)
    assert found[:, : half - 1].mean() > 0.99
    assert found[:, half + BUFFER_PX + 6 :].mean() < 0.05
