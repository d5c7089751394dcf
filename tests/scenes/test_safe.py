"""Sentinel-2 products: reflectances worked by hand, folders and zips alike, no harm by bad ones."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine
from numpy.typing import NDArray

from support import safe_products as made_of
from support.safe_products import (
    GRID,
    PRODUCTS,
    Made,
    band_file,
    change,
    encode,
    ground,
    metadata_file,
    tile_file,
    write_safe,
    zip_safe,
)
from swath import cli
from swath.dataset.build import build_dataset
from swath.dataset.site import read_image
from swath.errors import InputError
from swath.grid import Grid, Window
from swath.mapping import sources as mapping_series
from swath.scenes import safe
from swath.scenes.jp2 import decode, decoder_name
from swath.scenes.safe import read_product, read_reflectance, read_scl_valid, read_tci
from swath.scenes.scene import SceneSettings, read_scene
from swath.scenes.warp import plain_scene, read_on_grid
from swath.sentinel2 import BANDS, SCL_INVALID, ImageSettings, tci_from_reflectance, valid_mask
from swath.sites.series import find_scenes

REFLECTANCE = ImageSettings(encoding="reflectance")
RGB = ("B04", "B03", "B02")
TEN = ("B02", "B03", "B04", "B08")


@pytest.fixture(scope="module")
def safes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All products as folders, made once; nobody writes into them."""
    folder = tmp_path_factory.mktemp("safes")
    return {key: write_safe(folder / key, key) for key in PRODUCTS}


# --- what the metadata say -------------------------------------------------------------------


@pytest.mark.parametrize("key", PRODUCTS)
def test_metadata(safes: dict[str, Path], key: str) -> None:
    product, made = read_product(safes[key]), PRODUCTS[key]
    assert (product.metadata.level, product.metadata.baseline) == (made.level, made.baseline)
    assert product.metadata.spacecraft == "Sentinel-2A"
    assert product.metadata.quantification == float(made.quantification)
    assert product.metadata.offsets == {band: made.offsets.get(band, 0) for band in BANDS}
    assert product.tile.mgrs_tile == "30UWU"
    assert product.date == dt.datetime.strptime(made.day, "%Y%m%d").date()
    assert product.tile.sensing_time.isoformat().endswith("T11:04:24.002000+00:00")
    assert product.cloud_cover == 3.5  # the tile's, not the product's 17.25
    assert (product.tile.sun_zenith_deg, product.tile.sun_azimuth_deg) == (26.5, 151.75)
    assert product.grid == GRID
    assert [grid.shape[0] for grid in product.tile.grids.values()] == [120, 60, 20]
    assert set(product.bands) == set(BANDS) - ({"B10"} if made.level == "L2A" else set())
    assert ("SCL" in product.images) == (made.level == "L2A")


def test_what_is_not_told_is_none(tmp_path: Path) -> None:
    folder = write_safe(tmp_path, "L1C_N0400")
    change(tile_file(folder), "<CLOUDY_PIXEL_PERCENTAGE>3.5</CLOUDY_PIXEL_PERCENTAGE>", "")
    assert read_product(folder).cloud_cover == 17.25
    change(metadata_file(folder), "17.25", "NaN")
    change(tile_file(folder), "Mean_Sun_Angle>", "Other>")
    product = read_product(folder)
    assert product.cloud_cover is None
    assert product.tile.sun_zenith_deg is None


# --- reflectance -----------------------------------------------------------------------------


@pytest.mark.parametrize("key", PRODUCTS)
def test_the_ground_comes_back_from_every_baseline(safes: dict[str, Path], key: str) -> None:
    product = read_product(safes[key])
    for band in TEN:
        np.testing.assert_array_equal(read_reflectance(product, band), ground(band))


def test_hand_worked_values(tmp_path: Path) -> None:
    # (number + offset) / quantification x 10000, by hand; 0 is no data, 65535 is saturated.
    numbers = np.array([0, 1, 500, 999, 1000, 1001, 2234, 32767, 65534, 65535], np.uint16)
    image = np.resize(numbers, GRID.shape)
    by_hand = {
        # Offsets differ by band: B04 -1000, B03 -500, B02 0.
        ("L1C", "10000", "B04"): [0, 1, 1, 1, 1, 1, 1234, 31767, 64534, 65535],
        ("L1C", "10000", "B03"): [0, 1, 1, 499, 500, 501, 1734, 32267, 65034, 65535],
        ("L1C", "10000", "B02"): [0, 1, 500, 999, 1000, 1001, 2234, 32767, 65534, 65535],
        ("L2A", "10000", "B04"): [0, 1, 1, 1, 1, 1, 1234, 31767, 64534, 65535],
        ("L2A", "10000", "B03"): [0, 1, 1, 499, 500, 501, 1734, 32267, 65034, 65535],
        # 1000 numbers for reflectance 1: ten times as much; clipped at 65535.
        ("L1C", "1000", "B04"): [0, 1, 1, 1, 1, 10, 12340, 65535, 65535, 65535],
        ("L1C", "20000", "B02"): [0, 1, 250, 500, 500, 500, 1117, 16384, 32767, 65535],
    }
    offsets = dict.fromkeys(BANDS, -1000.0) | {"B03": -500.0, "B02": 0.0}
    for (level, quantification, band), expected in by_hand.items():
        made = Made(level, "05.11", quantification=quantification, offsets=offsets)
        folder = write_safe(tmp_path / f"{level}{quantification}{band}", made)
        band_file(folder, band).write_bytes(encode(image, 10, 16))
        got = read_reflectance(read_product(folder), band)
        np.testing.assert_array_equal(got[0, :10], expected, err_msg=f"{level} {band}")


def test_offsets_belong_to_the_band_that_the_file_names(tmp_path: Path) -> None:
    # A file whose band_id order is its own: the numbers of B04 (3) and B08 (7) change places.
    folder = write_safe(tmp_path, "L1C_N0511")
    file = metadata_file(folder)
    change(file, 'bandId="3" physicalBand="B4"', 'bandId="x" physicalBand="B4"')
    change(file, 'bandId="7" physicalBand="B8"', 'bandId="3" physicalBand="B8"')
    change(file, 'bandId="x"', 'bandId="7"')
    change(file, 'band_id="3">-1000', 'band_id="3">-250')
    offsets = read_product(folder).metadata.offsets
    assert (offsets["B08"], offsets["B04"]) == (-250, -1000)


def test_l1c_and_l2a_of_one_ground_are_equal(safes: dict[str, Path]) -> None:
    # L2A of any baseline; its image of 10 m, not the decoys of 20 and 60 m, which are all 777.
    want = read_reflectance(read_product(safes["L1C_N0204_old"]), "B08")
    for key in ("L2A_N0205_early", "L2A_N0214", "L2A_N0400", "L2A_N0511"):
        np.testing.assert_array_equal(read_reflectance(read_product(safes[key]), "B08"), want)


def test_dn_6_is_dark_and_not_saturated(tmp_path: Path) -> None:
    # L2A products of 2017 and 2018 declare SATURATED = 6.
    folder = write_safe(tmp_path, "L2A_N0205_early")
    band_file(folder, "B04").write_bytes(encode(np.full(GRID.shape, 6, np.uint16), 10, 15))
    assert (read_reflectance(read_product(folder), "B04") == 6).all()


def test_a_window_is_a_part_of_the_whole(safes: dict[str, Path]) -> None:
    product = read_product(safes["L2A_N0511"])
    window = Window(17, 33, 40, 51)
    rows, cols = window.slices
    np.testing.assert_array_equal(read_reflectance(product, "B03", window), ground("B03")[rows, cols])
    for band in ("B11", "B01"):  # resampled
        whole = read_reflectance(product, band)
        np.testing.assert_array_equal(read_reflectance(product, band, window), whole[rows, cols])
    np.testing.assert_array_equal(read_tci(product, window), made_of.true_color()[:, rows, cols])
    valid = read_scl_valid(product, SCL_INVALID)
    np.testing.assert_array_equal(read_scl_valid(product, SCL_INVALID, window), valid[rows, cols])


@pytest.mark.parametrize(("band", "factor"), [("B11", 2), ("B09", 6)])
def test_coarse_bands_are_resampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, band: str, factor: int
) -> None:
    # A ramp in 20 or 60 m: its value at the centre of a 10 m pixel is the ramp there; constant
    # no data in a corner stays no data and darkens nothing. Strips change nothing.
    folder = write_safe(tmp_path, "L1C_N0511")
    size = GRID.height // factor
    ramp = np.broadcast_to(3000 + 60 * np.arange(size, dtype=np.uint16), (size, size)).copy()
    ramp[-3:, -3:] = 0
    band_file(folder, band).write_bytes(encode(ramp, 10 * factor, 16))
    product = read_product(folder)
    got = read_reflectance(product, band)
    centre = (np.arange(GRID.width) + 0.5) / factor - 0.5
    inside = slice(2 * factor, GRID.width - 6 * factor)
    expected = np.broadcast_to(2000 + 60 * centre[inside], (GRID.height, centre[inside].size))
    np.testing.assert_allclose(got[:, inside], expected, atol=0.51)
    hole = got[-3 * factor :, -3 * factor :]
    assert (hole == 0).all()
    assert (got > 0).sum() == got.size - hole.size
    assert got[got > 0].min() >= 1990
    monkeypatch.setattr(safe, "STRIP_PX", 13)
    np.testing.assert_array_equal(read_reflectance(product, band), got)


# --- folder, zip, decoders -------------------------------------------------------------------


@pytest.mark.parametrize("key", ["L1C_N0204_old", "L2A_N0205_early", "L1C_N0511", "L2A_N0511"])
@pytest.mark.parametrize("top", [True, False])
def test_zip_and_folder_give_identical_arrays(
    safes: dict[str, Path], tmp_path: Path, key: str, top: bool
) -> None:
    folder = write_safe(tmp_path, key)
    packed = zip_safe(folder, top=top)
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    for image in (REFLECTANCE, ImageSettings(), ImageSettings(bands=("B08", "B11", "B01"))):
        ours, theirs = (read_on_grid(read_scene(p), GRID, image) for p in (folder, packed))
        assert ours.any()
        np.testing.assert_array_equal(ours, theirs)
    assert read_scene(packed).date == read_scene(folder).date
    # Nothing was unpacked.
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_gdal_decodes_the_same_where_the_extra_is_missing(
    safes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("imagecodecs")
    product = read_product(safes["L2A_N0511"])
    assert decoder_name() == "imagecodecs"
    ours = [read_reflectance(product, "B04"), read_tci(product), read_scl_valid(product, (4,))]
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    assert decoder_name() == "gdal"
    theirs = [read_reflectance(product, "B04"), read_tci(product), read_scl_valid(product, (4,))]
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    cut = encode(ground("B04").astype(np.uint16), 10, 16)[:-200] + b"\xff\xd9"
    with pytest.raises(InputError, match="damaged"):
        decode(cut, GRID, 1, "cut")


def test_the_scene_classification_is_found_in_every_level_2a(safes: dict[str, Path]) -> None:
    for key in (key for key in PRODUCTS if key.startswith("L2A")):
        product = read_product(safes[key])
        assert list(product.images["SCL"]) == [20], key
        assert not read_scl_valid(product, SCL_INVALID).all(), key


def test_other_ways_to_name_a_product(safes: dict[str, Path], tmp_path: Path) -> None:
    folder = safes["L2A_N0400"]
    for path in (metadata_file(folder), next(folder.glob("GRANULE/*"))):
        assert read_product(path).grid == GRID
    packed = zip_safe(write_safe(tmp_path, "L2A_N0400"))
    granule = next(folder.glob("GRANULE/*")).name
    assert read_product(packed / "GRANULE" / granule).grid == GRID
    with pytest.raises(InputError, match="no such granule; it has L2A_T30UWU"):
        read_product(packed / "GRANULE" / "other")


def test_a_product_of_several_tiles_asks_which(tmp_path: Path) -> None:
    folder = write_safe(tmp_path, "L1C_N0204_old", ("30UWU", "30UXU"))
    names = sorted(path.name for path in folder.glob("GRANULE/*"))
    with pytest.raises(InputError, match=f"2 tiles; name one: .*{names[0]}, {names[1]}"):
        read_product(folder)
    assert read_product(folder / "GRANULE" / names[1]).tile.mgrs_tile == "30UXU"
    packed = zip_safe(folder)
    assert read_product(packed / "GRANULE" / names[0]).tile.mgrs_tile == "30UWU"


# --- as scenes -------------------------------------------------------------------------------


def test_a_product_is_a_scene(safes: dict[str, Path]) -> None:
    scene = read_scene(safes["L1C_N0511"])
    assert (scene.date, scene.grid, scene.dtype) == (dt.date(2025, 6, 21), GRID, "uint16")
    got = read_on_grid(scene, GRID, REFLECTANCE)
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, [ground(band) for band in RGB])
    with pytest.raises(InputError, match="`bands:` is for image files"):
        read_scene(safes["L1C_N0511"], bands=RGB)
    given_date = read_scene(safes["L1C_N0511"], dt.date(2020, 1, 1))
    assert given_date.date == dt.date(2020, 1, 1)


def test_the_8_bit_view_is_the_tci_or_made_from_reflectance(safes: dict[str, Path]) -> None:
    want = made_of.true_color()
    assert "TCI" not in read_product(safes["L1C_N0204_old"]).images
    for key in ("L1C_N0511", "L1C_N0204_old", "L1C_N0202_q1000"):
        np.testing.assert_array_equal(read_on_grid(read_scene(safes[key]), GRID, ImageSettings()), want)
    infrared = ImageSettings(bands=("B08", "B04", "B03"))
    got = read_on_grid(read_scene(safes["L1C_N0511"]), GRID, infrared)
    expected = tci_from_reflectance(np.stack([ground(b) for b in infrared.bands]).astype(np.uint16))
    np.testing.assert_array_equal(got, expected)


def test_a_pixel_needs_all_wanted_bands(tmp_path: Path) -> None:
    # At the edge of a swath the bands end one after the other.
    folder = write_safe(tmp_path, "L1C_N0511")
    numbers = np.full(GRID.shape, 3000, np.uint16)
    numbers[:, 100:] = 0
    band_file(folder, "B03").write_bytes(encode(numbers, 10, 16))
    valid = valid_mask(read_on_grid(read_scene(folder), GRID, REFLECTANCE))
    assert valid[:100, :100].all()
    assert not valid[:, 100:].any()


def test_products_by_glob_and_on_another_grid(safes: dict[str, Path]) -> None:
    root = safes["L1C_N0511"].parents[1]
    found = find_scenes([SceneSettings(path="L1C_N0[45]*/*.SAFE")], root)
    assert [scene.date.year for scene in found] == [2022, 2025]
    # Half a pixel south-east: as if a plain GeoTIFF of the same pixels were warped.
    shifted = Grid(GRID.crs, Affine(10, 0, 600_105, 0, -10, 5_299_935), (60, 70))
    with plain_scene(found[1], GRID, REFLECTANCE) as plain:
        assert plain.product is None
        expected = read_on_grid(plain, shifted, REFLECTANCE)
    assert not plain.path.exists()
    np.testing.assert_array_equal(read_on_grid(found[1], shifted, REFLECTANCE), expected)
    with pytest.raises(InputError, match="does not meet"):
        read_on_grid(found[1], GRID.crop(Window(9000, 0, 9, 9)), REFLECTANCE)


def test_every_image_is_decoded_once(
    safes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []

    def counting(data: bytes, grid: Grid, components: int, source: str) -> NDArray[np.uint16]:
        decoded.append(source.rpartition("_1")[0][-3:])
        image: NDArray[np.uint16] = decode(data, grid, components, source)
        return image

    monkeypatch.setattr(safe, "decode", counting)
    monkeypatch.setattr(mapping_series, "PIECE_PX", 32)  # 16 pieces
    scenes = [safes["L2A_N0400"], safes["L2A_N0511"]]
    image = ImageSettings(bands=("B08", "B04"), encoding="reflectance")
    series = mapping_series.scene_series("place", scenes, None, image)
    assert series.grid == GRID
    images = [source.prepare(tmp_path) for source in series.sources]
    assert decoded == ["B08", "B04", "", "B08", "B04", ""]  # "": SCL, which has 20 m
    valid = read_scl_valid(read_product(scenes[0]), SCL_INVALID)
    for dated in images:
        pixels = dated.read(GRID.window)
        expected = np.stack([ground("B08"), ground("B04")]) * valid
        np.testing.assert_array_equal(pixels, expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2022-06-21.tif", "2025-06-21.tif"]


# --- scene classification --------------------------------------------------------------------


def test_scene_classification_becomes_valid(safes: dict[str, Path]) -> None:
    product = read_product(safes["L2A_N0511"])
    classes = made_of.scene_classes().repeat(2, axis=0).repeat(2, axis=1)
    valid = read_scl_valid(product, SCL_INVALID)
    np.testing.assert_array_equal(valid, ~np.isin(classes, [0, 1, 3, 8, 9, 10]))
    assert (~valid).sum() == 6 * 6 * 6  # six classes of 6 x 6 px
    assert read_scl_valid(product, ()).all()


@pytest.mark.parametrize("image", [REFLECTANCE, ImageSettings()])
def test_clouds_are_no_data_in_the_scene(safes: dict[str, Path], image: ImageSettings) -> None:
    path = safes["L2A_N0214"]
    seen = valid_mask(read_on_grid(read_scene(path, scl_invalid=()), GRID, image))
    default = valid_mask(read_on_grid(read_scene(path), GRID, image))
    snow = valid_mask(read_on_grid(read_scene(path, scl_invalid=(11,)), GRID, image))
    assert (~seen).sum() == 4  # the corner without data
    np.testing.assert_array_equal(default, seen & read_scl_valid(read_product(path), SCL_INVALID))
    np.testing.assert_array_equal(snow, seen & read_scl_valid(read_product(path), (11,)))


def test_scl_settings_that_do_not_fit(safes: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this one is L1C"):
        read_scene(safes["L1C_N0511"], scl_invalid=(3,))
    with pytest.raises(InputError, match="is for Level-2A products; this is an image file"):
        read_scene(tmp_path / "2020-01-01.tif", scl_invalid=(3,))
    with pytest.raises(ValueError, match="less than or equal to 11"):
        SceneSettings(path="x", scl_invalid=(12,))
    folder = write_safe(tmp_path, "L2A_N0511")
    band_file(folder, "SCL").unlink()
    with pytest.raises(InputError, match=r"no image SCL, only .*`scl_invalid: \[\]`"):
        read_on_grid(read_scene(folder), GRID, ImageSettings())
    got = read_on_grid(read_scene(folder, scl_invalid=()), GRID, ImageSettings())
    np.testing.assert_array_equal(got, made_of.true_color())


def test_a_number_that_is_no_class_is_not_used(tmp_path: Path) -> None:
    folder = write_safe(tmp_path, "L2A_N0511")
    classes = np.full((60, 60), 4, np.uint8)
    classes[0, 0] = 200
    band_file(folder, "SCL").write_bytes(encode(classes, 20, 8))
    assert (~read_scl_valid(read_product(folder), SCL_INVALID)).sum() == 4


# --- from the command line -------------------------------------------------------------------


def sites_file(folder: Path, scenes: list[dict[str, object]]) -> Path:
    """A sites file with one oblique road over the tile."""
    west, south, east, north = GRID.lonlat_bounds
    roads = {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"highway": "primary"},
                "geometry": {"type": "LineString", "coordinates": [[west, south], [east, north]]},
            }
        ],
    }
    (folder / "roads.geojson").write_text(json.dumps(roads))
    site = {"scenes": scenes, "labels": "roads.geojson", "split": "train", "crs": GRID.crs}
    path = folder / "sites.yaml"
    path.write_text(yaml.safe_dump({"sites": {"place": site}}))
    return path


def test_build_from_products(safes: dict[str, Path], tmp_path: Path) -> None:
    write_safe(tmp_path, "L1C_N0206")
    write_safe(tmp_path, "L2A_N0511")
    zip_safe(write_safe(tmp_path / "zips", "L2A_N0214"))
    scenes: list[dict[str, object]] = [
        {"path": "S2A_MSIL1C_*.SAFE"},
        {"path": "zips/*.zip", "scl_invalid": []},
        {"path": "S2A_MSIL2A_*.SAFE"},
    ]
    dataset = build_dataset(sites_file(tmp_path, scenes), tmp_path / "dataset")
    site = dataset.site("place")
    assert [date.year for date in site.dates] == [2018, 2020, 2025]
    assert site.grid == GRID
    first, second, third = (read_image(a) for a in site.acquisitions)
    np.testing.assert_array_equal(first, made_of.true_color())
    np.testing.assert_array_equal(second, first)
    valid = read_scl_valid(read_product(safes["L2A_N0511"]), SCL_INVALID)
    np.testing.assert_array_equal(third, first * valid)


def test_a_damaged_product_is_exit_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_safe(tmp_path, "L1C_N0511")
    file = band_file(folder, "TCI")
    file.write_bytes(file.read_bytes()[:-700])
    sites = sites_file(tmp_path, [{"path": folder.name}])
    assert cli.run(["build", str(sites), "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ")
    assert "_TCI.jp2: the image is damaged (it breaks off before its end)" in lines[-1]
    assert "Traceback" not in "".join(lines)
    assert not (tmp_path / "out").exists()


def test_inspect(safes: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(safes["L2A_N0511"]), str(safes["L1C_N0204_old"])]
    assert cli.run(["inspect", *paths, "--json"]) == 0
    new, old = json.loads(capsys.readouterr().out)["scenes"]
    assert new["product"] | {"offsets": None} == {
        "level": "L2A",
        "baseline": "05.11",
        "spacecraft": "Sentinel-2A",
        "granule": "L2A_T30UWU_A006291_20250621T110424",
        "mgrs_tile": "30UWU",
        "sensing_time": "2025-06-21T11:04:24.002000+00:00",
        "quantification": 10000.0,
        "offsets": None,
        "tci": True,
        "scl": True,
    }
    assert new["product"]["offsets"]["B04"] == -1000
    # The zenith angle of 26.5 degrees is 63.5 above the horizon.
    sky = {"cloud_cover": 3.5, "sun_azimuth_deg": 151.75, "sun_elevation_deg": 63.5}
    assert {key: new[key] for key in sky} == sky
    assert (old["date"], old["product"]["tci"]) == ("2016-09-05", False)
    assert cli.run(["inspect", *paths]) == 0
    text = capsys.readouterr().out
    assert "Sentinel-2A L2A N0511, tile 30UWU, 11:04:24 UTC, quantification" in text
    assert "cloud 3.5%, sun 63.5 deg high, azimuth 151.8 deg" in text
    assert cli.run(["inspect", str(tmp_path)]) == 2
    assert "no Sentinel-2 product" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_fixtures_are_what_another_reader_of_products_takes_them_for(
    safes: dict[str, Path],
) -> None:
    # GDAL's driver for Sentinel-2 products knows the structure of real ones.
    for key, made in PRODUCTS.items():
        with rasterio.open(metadata_file(safes[key])) as source:
            names = source.subdatasets
        assert any(f"{made.level}:" in name and "10m:EPSG_32630" in name for name in names), key
