"""The rasters of a MAPS folder hold what they promise."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.drawn_maps import write_maps
from swath.errors import DatasetError, InputError
from swath.grid import Grid, Window
from swath.legend import read_legend
from swath.maps.rasters import (
    classify,
    composite,
    composite_dates,
    fused_rasters,
    pmap_raster,
    with_rest,
    writing_rasters,
)
from swath.maps.sitemaps import (
    decode_pmap,
    encode_pmap,
    read_bytes,
    read_codes,
    read_grid,
    read_maps,
    read_pmap,
)
from swath.models.fusion import FUSIONS
from swath.scenes.raster import write_raster

DATES = tuple(dt.date(2019, month, 7) for month in (3, 7, 10))


@given(st.floats(0, 1, width=32), st.booleans())
def test_probabilities_survive_storage_to_half_a_step(probability: float, valid: bool) -> None:
    pmap = np.array([1 - probability, probability], np.float32).reshape(2, 1, 1)
    codes = encode_pmap(pmap if valid else pmap * np.nan, np.full((1, 1), valid))
    assert codes.shape == (1, 1, 1)
    if valid:
        assert abs(codes[0, 0, 0] / 254 - probability) <= 0.5 / 254 + 1e-6
        decoded, _ = decode_pmap(codes)
        assert decoded.sum() == 1
    else:
        assert (codes == 255).all()


def test_dates_of_the_composite() -> None:
    a, b, c, d = (dt.date(2019, month, 1) for month in (1, 2, 3, 4))
    assert composite_dates([a]) == ((a,), (a,), (a,))
    assert composite_dates([a, b]) == ((a,), (b,), (a, b))
    assert composite_dates([a, b, c]) == ((a,), (b,), (c,))
    assert composite_dates([a, b, c, d]) == ((a,), (c,), (d,))


def test_the_composite_shows_disagreement_and_gaps() -> None:
    # Three pixels: days agree; day 2 has no data; no day has data. Values by hand.
    road = np.array([[100, 100, 255], [100, 255, 255], [100, 201, 255]], np.uint8)
    codes = road[:, None, None]
    shown = composite(codes, DATES)
    assert shown[:, 0, 0].tolist() == [101, 101, 101]
    assert shown[:, 0, 1].tolist() == [101, 151, 202]  # 150.5 rounds to the even 150
    assert shown[:, 0, 2].tolist() == [0, 0, 0]
    two = composite(codes[::2], DATES[::2])
    assert two[:, 0, 1].tolist() == [101, 202, 151]


GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), (530, 70))


@dataclass(frozen=True)
class Maps:
    """PMaps (T, lc, H, W), where they are valid (T, H, W), and a fused one (lc, H, W)."""

    pmaps: NDArray[np.float32]
    valid: NDArray[np.bool_]
    fused: NDArray[np.float32]


def draw_maps() -> Maps:
    """Random ones, with a hole on one date, one on all, and a strip on the last."""
    rng = np.random.default_rng(0)
    road = rng.random((3, *GRID.shape), np.float32)
    pmaps = np.stack([1 - road, road], axis=1)
    valid = np.ones((3, *GRID.shape), bool)
    valid[0, 170:260, 17:35] = False
    valid[:, :100, :17] = False
    valid[-1, :, 60:] = False
    return Maps(pmaps, valid, FUSIONS["mean"](pmaps, valid))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Maps]:
    folder = tmp_path_factory.mktemp("written")
    maps, legend = draw_maps(), read_legend("roads")
    dated = [pmap_raster(date, legend, "(c) me") for date in DATES]
    rasters = [*dated, *fused_rasters(DATES, legend, "(c) me")]
    pieces = [Window(row, col, 53, 35) for row in range(0, 530, 53) for col in (0, 35)]
    with writing_rasters(folder, GRID, rasters) as write:
        for piece in pieces:
            part = (..., *piece.slices)
            codes = np.stack(list(map(encode_pmap, maps.pmaps[part], maps.valid[part])))
            fused = encode_pmap(maps.fused[part], maps.valid[part].any(axis=0))
            layers = [*codes, fused, classify(fused)[None], composite(codes, DATES)]
            write(piece, layers)
    return folder, maps


def test_the_rasters_of_the_contract(written: tuple[Path, Maps]) -> None:
    folder, expected = written
    names = [f"pmap_{date}.tif" for date in DATES] + ["pmap.tif", "classes.tif", "composite.tif"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for index, date in enumerate(DATES):
        pmap, valid = read_pmap(folder / f"pmap_{date}.tif")
        assert (valid == expected.valid[index]).all()
        true = expected.pmaps[index][:, valid]
        np.testing.assert_allclose(pmap[:, valid], true, atol=0.5 / 254 + 1e-6)
    fused, valid = read_pmap(folder / "pmap.tif")
    assert (valid == expected.valid.any(axis=0)).all()
    assert (read_bytes(folder / "pmap.tif")[:, ~valid] == 255).all()
    np.testing.assert_allclose(fused[:, valid], expected.fused[:, valid], atol=0.5 / 254 + 1e-6)
    classes = read_bytes(folder / "classes.tif")[0]
    assert (classes[~valid] == 255).all()
    assert (classes[valid] == (fused[1] > 0.5)[valid]).all()
    dated = np.stack([read_codes(folder / name) for name in names[:3]])
    assert (read_bytes(folder / "composite.tif") == composite(dated, DATES)).all()


def test_what_the_rasters_say_of_themselves(written: tuple[Path, Maps]) -> None:
    folder, _ = written
    with rasterio.open(folder / "pmap.tif") as pmap:
        assert pmap.descriptions == ("road", "background")
        assert (pmap.dtypes, pmap.nodata) == (("uint8",) * 2, 255)
        assert (pmap.scales, pmap.offsets) == ((1 / 254,) * 2, (0, 0))
        road, background = pmap.read()
        assert (background == np.where(road == 255, 255, 254 - road)).all()
        assert (road == 255).any()
        assert int(pmap.tags(1)["STATISTICS_MAXIMUM"]) <= 254
        assert pmap.overviews(1)
        assert pmap.tags()["TIFFTAG_COPYRIGHT"] == "(c) me"
    with rasterio.open(folder / "classes.tif") as classes:
        colors = classes.colormap(1)
        assert colors[0] == (0xF4, 0xF1, 0xEA, 255)
        assert colors[1] == (0xD7, 0x30, 0x1F, 255)
        assert classes.tags()["CLASS_1"] == "road"
        # Overviews of class ids hold class ids: nothing was averaged.
        small = classes.read(1, out_shape=(133, 18))
        assert set(np.unique(small)) <= {0, 1, 255}
    with rasterio.open(folder / "composite.tif") as shown:
        assert [color.name for color in shown.colorinterp] == ["red", "green", "blue"]
        assert shown.descriptions[0] == "road 2019-03-07"
    assert read_grid(folder / "pmap.tif") == GRID


def test_the_rasters_are_cloud_optimised(written: tuple[Path, Maps]) -> None:
    cogeo = pytest.importorskip("rio_cogeo")
    for path in sorted(written[0].iterdir()):
        valid, errors, warnings = cogeo.cog_validate(path)
        assert (valid, errors, warnings) == (True, [], []), path.name


def test_reading_a_window(written: tuple[Path, Maps]) -> None:
    path = written[0] / "pmap.tif"
    window = Window(20, 10, 30, 40)
    np.testing.assert_array_equal(read_pmap(path, window)[0], read_pmap(path)[0][(..., *window.slices)])
    with pytest.raises(InputError, match="reaches outside"):
        read_pmap(path, Window(500, 0, 31, 10))
    with pytest.raises(InputError, match="no such file"):
        read_pmap(path.with_name("nothing.tif"))


def test_rasters_that_are_not_what_the_item_says_are_one_line(tmp_path: Path) -> None:
    legend = read_legend("roads")
    road = np.full((1, 2, *GRID.shape), 0.5, np.float32)
    maps = write_maps(tmp_path, "town", GRID, road, road[0], legend)
    codes = with_rest(encode_pmap(road[0], np.ones(GRID.shape, bool)))
    names, far = ("road", "background"), Grid(GRID.crs, GRID.transform @ Affine.translation(1, 0), GRID.shape)
    for image, grid, bands, message in [
        (codes[[0, 1, 0]], GRID, ("road", "background", "x"), "3 bands of uint8; expected 2"),
        (codes.astype(np.uint16), GRID, names, "2 bands of uint16"),
        (codes, far, names, "another grid than classes.tif"),
        (codes, GRID, ("a", "b"), "no band is called road"),
    ]:
        write_raster(maps.fused_path, image, grid, nodata=255, names=bands)
        with pytest.raises(DatasetError, match=message):
            read_maps(tmp_path)
    write_raster(maps.fused_path, codes[:1], GRID, nodata=255, names=("road",))  # as of format 7
    assert read_maps(tmp_path)[0].pmap().shape == (2, *GRID.shape)
    with rasterio.open(maps.classes_path, "r+") as target:
        target.crs = rasterio.CRS()
    with pytest.raises(DatasetError, match=f"{maps.classes_path}: no coordinate system"):
        read_maps(tmp_path)
