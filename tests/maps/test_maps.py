"""The MAPS folder as a value: arrays with their masks, vectors, and one site or several."""

import base64
import datetime as dt
import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.io import MemoryFile

from support.drawn_maps import DATES, draw_pmaps, write_maps
from swath.errors import DatasetError, MissingExtraError
from swath.grid import Grid
from swath.legend import read_legend
from swath.maps.labelled import coordinates
from swath.maps.manifest import MANIFEST_NAME
from swath.maps.maps import Maps, open_maps
from swath.maps.vectors import write_vectors
from swath.picture import png, thumbnail

GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), (60, 80))
LABELS = np.zeros(GRID.shape, np.uint8)
LABELS[28:31, 5:75] = 1


@pytest.fixture(scope="module")
def pmaps() -> NDArray[np.float32]:
    return draw_pmaps(LABELS, 0.2, 0)


@pytest.fixture(scope="module")
def maps(pmaps: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> Maps:
    root = tmp_path_factory.mktemp("maps")
    valid = np.ones(pmaps[:, 0].shape, bool)
    valid[1, :10] = False
    valid[:, :5] = False
    fused = draw_pmaps(LABELS, 0.05, 1)[0]
    site = write_maps(root, "town", GRID, pmaps, fused, read_legend("roads"), valid=valid)
    write_vectors(site, 0.35)
    return open_maps(root)


def test_a_pmap_has_its_mask_beside_it(maps: Maps, pmaps: NDArray[np.float32]) -> None:
    fused = maps.pmap()
    assert (fused.shape, fused.dtype) == ((2, *GRID.shape), np.float32)
    assert fused.mask[:, :5].all()
    assert not fused.mask[:, 5:].any()
    assert 0 <= fused.min() <= fused.max() <= 1
    assert np.isnan(fused.filled()[:, :5]).all()
    day = maps.pmap(DATES[1])
    assert day.mask[:, :10].all()
    assert not day.mask[:, 10:].any()
    shares = pmaps[1] / pmaps[1].sum(axis=0)
    np.testing.assert_allclose(day[:, 10:], shares[:, 10:], atol=0.5 / 254 + 1e-6)
    np.testing.assert_array_equal(maps.pmap(str(DATES[1])).filled(9), day.filled(9))
    day.mask[:] = False  # whoever has it may change it
    with pytest.raises(DatasetError, match="no map of 1999-01-01"):
        maps.pmap("1999-01-01")


def test_a_stored_half_is_known(maps: Maps, pmaps: NDArray[np.float32], tmp_path: Path) -> None:
    half = np.full((1, 2, *GRID.shape), 0.5, np.float32)
    write_maps(tmp_path, "half", GRID, half, half[0], read_legend("roads"))
    pmap = open_maps(tmp_path).pmap()
    assert not pmap.mask.any()
    assert (pmap == 0.5).all()


def test_classes_vectors_grid_and_legend(maps: Maps) -> None:
    classes = maps.classes()
    assert (classes.shape, classes.dtype) == (GRID.shape, np.uint8)
    assert set(np.unique(classes)) == {0, 1, 255}
    assert (classes[:5] == 255).all()
    assert (maps.grid, maps.dates) == (GRID, DATES)
    assert maps.legend.names == ("background", "road")
    roads = maps.roads()
    assert isinstance(roads, gpd.GeoDataFrame)
    assert roads.crs == GRID.crs
    assert roads.length_m.sum() == pytest.approx(680, abs=60)


def test_maps_without_a_manifest_say_so(pmaps: NDArray[np.float32], tmp_path: Path) -> None:
    """Their threshold stands in it, and nowhere else."""
    site = write_maps(tmp_path, "town", GRID, pmaps, pmaps[0], read_legend("roads"))
    maps = open_maps(tmp_path)
    (site.folder / MANIFEST_NAME).unlink()
    with pytest.raises(DatasetError, match=r"manifest.json: no such file; map the site again"):
        maps.threshold  # noqa: B018


def test_several_sites_are_named_and_one_is_to_be_chosen(
    maps: Maps, pmaps: NDArray[np.float32], tmp_path: Path
) -> None:
    legend = read_legend("roads")
    for name in ("valencia", "rennes"):
        write_maps(tmp_path, name, GRID, pmaps, pmaps[0], legend)
    several = open_maps(tmp_path)
    assert (list(several), len(several), "rennes" in several) == (["rennes", "valencia"], 2, True)
    assert several["rennes"].dates == DATES
    for ask in (several.pmap, several.classes, several.roads, lambda: several.grid):
        with pytest.raises(DatasetError, match=r"rennes, valencia; choose one .* maps\['rennes'\]"):
            ask()
    with pytest.raises(DatasetError, match="no maps of 'nantes'; it has rennes, valencia"):
        several["nantes"]
    assert several.get("nantes") is None
    assert several._repr_html_().count("<img") == 2
    assert repr(several) == f"Maps({tmp_path}: rennes, valencia)"


def test_coordinates_are_those_of_the_pixels_centres() -> None:
    about = coordinates(GRID)
    (_, x, x_notes), (_, y, y_notes), (axes, _, place) = (
        about["x"], about["y"], about["spatial_ref"],
    )  # fmt: skip
    assert isinstance(x, np.ndarray)
    assert isinstance(y, np.ndarray)
    assert (x[0], x[-1], y[0], y[-1]) == (600_005, 600_795, 5_329_995, 5_329_405)
    assert x_notes["standard_name"] == "projection_x_coordinate"
    assert y_notes["units"] == "metre"
    assert axes == ()
    assert place["grid_mapping_name"] == "transverse_mercator"
    assert CRS.from_cf(dict(place)).equals(CRS.from_user_input(GRID.crs))
    written = [float(number) for number in str(place["GeoTransform"]).split()]
    assert Affine.from_gdal(*written) == GRID.transform


def test_without_xarray_one_line_says_what_to_install(maps: Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xarray", None)
    with pytest.raises(MissingExtraError, match=r"'xarray'.*pip install 'swath\[xarray\]'"):
        maps.to_xarray()


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rioxarray's
def test_maps_of_several_axes_become_a_dataset(maps: Maps) -> None:
    xarray = pytest.importorskip("xarray")
    dataset = maps.to_xarray()
    assert isinstance(dataset, xarray.Dataset)
    assert dict(dataset.sizes) == {"time": 3, "class": 2, "y": 60, "x": 80}
    assert list(dataset["class"].values) == ["background", "road"]
    assert dataset["time"].values[0] == np.datetime64(DATES[0])
    np.testing.assert_array_equal(dataset["pmap"], maps.pmap().filled())
    chosen = dataset["pmaps"].sel(time=str(DATES[1]))
    np.testing.assert_array_equal(chosen.squeeze(), maps.pmap(DATES[1]).filled())
    assert dataset["spatial_ref"].attrs["crs_wkt"]
    rioxarray = pytest.importorskip("rioxarray")
    assert rioxarray
    assert dataset.rio.crs.to_epsg() == 32630
    assert dataset.rio.transform() == GRID.transform


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_pictures_are_png_files_and_small(maps: Maps, tmp_path: Path) -> None:
    html = maps._repr_html_()
    (data,) = re.findall(r"data:image/png;base64,([^']+)", html)
    with MemoryFile(base64.b64decode(data)) as memory, memory.open() as picture:
        assert (picture.driver, picture.count, picture.shape) == ("PNG", 4, GRID.shape)
    assert thumbnail(tmp_path / "gone.tif") is None
    path = tmp_path / "wide.tif"
    with rasterio.open(path, "w", driver="GTiff", count=4, dtype="uint16", width=2000, height=500) as target:
        image = np.random.default_rng(0).integers(1, 9999, (4, 500, 2000)).astype("uint16")
        image[:, :100] = 0
        target.write(image)
    small = thumbnail(path, 200)
    assert small is not None
    assert small.shape == (4, 50, 200)
    assert small[:3].std() > 30
    assert (small[3, :10] == 0).all()
    assert (small[3, 10:] == 255).all()
    assert png(small).startswith(b"\x89PNG")


def test_html_is_escaped(maps: Maps) -> None:
    site = maps.only.model_copy(update={"attribution": "<script>"})
    assert "<script>" not in site._repr_html_()
    assert dt.date.fromisoformat("2019-03-11") in site.dates
