"""Land cover as polygons: no gap, no overlap, nothing too small; and what changed between two maps."""

import tempfile
import tracemalloc
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy import ndimage

from support.class_worlds import LEGEND
from support.drawn_maps import write_maps
from swath.errors import GridError
from swath.grid import Grid
from swath.maps import landcover
from swath.maps.coverage import cover, merge_small
from swath.maps.landchange import change_matrix, write_class_changes
from swath.maps.landcover import area_table, write_landcover
from swath.maps.sitemaps import SiteMaps

ids = st.sampled_from([0, 1, 2, 255])
class_maps = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14), elements=ids)


def grid_of(shape: tuple[int, int]) -> Grid:
    height, width = shape
    return Grid.from_bounds((500_000, 5_200_000, 500_000 + 10 * width, 5_200_000 + 10 * height), "EPSG:32633")


def smooth_classes(side: int, seed: int = 0) -> NDArray[np.uint8]:
    generator = np.random.default_rng(seed)
    drawn = [ndimage.gaussian_filter(generator.normal(size=(side, side)), 4) for _ in range(3)]
    return np.argmax(drawn, axis=0).astype(np.uint8)


def maps_of(folder: Path, classes: NDArray[np.uint8], site: str = "here") -> SiteMaps:
    pmap = 0.1 + 0.8 * (classes == np.arange(3)[:, None, None]).astype(np.float32)
    known = (classes != 255)[None]
    return write_maps(folder, site, grid_of(classes.shape), pmap[None], pmap, LEGEND, valid=known)


@given(class_maps)
def test_polygons_cover_the_map_whatever_it_is(classes: NDArray[np.uint8]) -> None:
    coverage = cover(classes, grid_of(classes.shape))
    assert shapely.coverage_is_valid(coverage.polygons)
    assert shapely.is_valid(coverage.polygons).all()
    assert shapely.area(coverage.polygons).sum() == pytest.approx(100 * (classes != 255).sum())


def test_a_hole_is_kept_and_its_border_is_shared() -> None:
    rows, cols = np.mgrid[:40, :40]
    classes = np.where(np.hypot(rows - 20, cols - 20) < 10, 1, 0).astype(np.uint8)
    coverage = cover(classes, grid_of(classes.shape))
    order = np.argsort(coverage.ids)
    field, pond = coverage.polygons[order]
    assert len(field.interiors) == 1
    assert shapely.Polygon(field.interiors[0]).equals(pond)
    # The staircase is gone, the pond's size is not.
    assert shapely.get_num_coordinates(pond) < 40
    assert pond.area == pytest.approx(100 * (classes == 1).sum(), rel=0.05)
    assert field.bounds == grid_of(classes.shape).bounds


@given(class_maps, st.integers(2, 9))
def test_nothing_smaller_than_the_unit_is_left_beside_something_larger(
    classes: NDArray[np.uint8], least: int
) -> None:
    merged = merge_small(classes, least)
    np.testing.assert_array_equal(merged == 255, classes == 255)
    regions, number = ndimage.label(merged != 255)
    for region in range(1, number + 1):
        inside = regions == region
        sizes = [
            size
            for value in np.unique(merged[inside])
            for size in np.bincount(ndimage.label(inside & (merged == value))[0].ravel())[1:]
        ]
        assert max(sizes) < least or min(sizes) >= least


def test_a_small_area_becomes_what_most_of_its_border_touches() -> None:
    """Two pixels of 1: three sides on 2, two on 0, which is far larger; one of 3 between equals takes 0."""
    classes = np.zeros((6, 8), np.uint8)
    classes[:, 5:] = 2
    classes[2, 4:6] = 1  # sides: 0 above, below and left of the first; 2 above, below and right
    classes[4, 5] = 3  # sides: 0 on the left; 2 above, below and right
    merged = merge_small(classes, 3)
    expected = classes.copy()
    expected[2, 4:6] = 0  # three sides each: of equals the lower id
    expected[4, 5] = 2
    np.testing.assert_array_equal(merged, expected)


@given(class_maps, st.integers(2, 5), st.integers(1, 6))
def test_strips_merge_as_the_whole_map_does(classes: NDArray[np.uint8], least: int, strip: int) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryFile() as file:
        patch.setattr(landcover, "STRIP_PIXELS", strip * classes.shape[1])
        rows = landcover._Rows(file, classes.shape)
        rows.write(0, classes)
        landcover._merge(rows, least)
        np.testing.assert_array_equal(rows.read(0, len(classes)), merge_small(classes, least))


def test_many_strips_merge_as_the_whole_map_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise that needs several passes, in strips no higher than what one pass reaches."""
    classes = np.random.default_rng(0).integers(0, 4, (260, 50)).astype(np.uint8)
    classes[100:140, :20] = 255
    monkeypatch.setattr(landcover, "STRIP_PIXELS", 1)
    with tempfile.TemporaryFile() as file:
        rows = landcover._Rows(file, classes.shape)
        rows.write(0, classes)
        landcover._merge(rows, 6)
        np.testing.assert_array_equal(rows.read(0, 260), merge_small(classes, 6))


def test_memory_does_not_grow_with_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landcover, "STRIP_PIXELS", 3000)

    def peak(height: int) -> int:
        with tempfile.TemporaryFile() as file:
            rows = landcover._Rows(file, (height, 60))
            generator = np.random.default_rng(0)
            for start in range(0, height, 50):
                rows.write(start, generator.integers(0, 3, (50, 60)).astype(np.uint8))
            tracemalloc.start()
            landcover._merge(rows, 4)
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found

    peak(200)  # what is imported and kept
    assert peak(3000) < 1.2 * peak(300)


def test_the_file_has_polygons_and_areas(tmp_path: Path) -> None:
    classes = smooth_classes(80)
    classes[:7, :9] = 255
    maps = maps_of(tmp_path / "maps", classes)
    write_landcover(maps, unit_ha=0.2)
    land = maps.landcover()
    assert set(land["class"]) == set(LEGEND.names)
    assert land["area_ha"].sum() == pytest.approx((classes != 255).sum() / 100)
    assert land["area_ha"].min() > 0.1
    assert land["p_mean"].between(0.5, 1).all()
    assert land.crs == maps.grid.crs
    table = pyogrio.read_dataframe(maps.landcover_path, layer="areas")
    assert table["pixels"].tolist() == np.bincount(classes[classes != 255], minlength=3).tolist()
    assert table["share"].sum() == pytest.approx(1)
    assert table["area_ha"].tolist() == area_table(maps)["area_ha"].tolist()
    (style,) = pyogrio.read_dataframe(maps.landcover_path, layer="layer_styles")["styleQML"]
    renderer = ElementTree.fromstring(style).find("renderer-v2")
    assert renderer is not None
    assert [c.get("value") for c in renderer.iter("category")] == list(LEGEND.names)
    colours = [o.get("value") for o in renderer.iter("Option") if o.get("name") == "color"]
    assert colours == ["255,255,0,255", "255,0,0,255", "0,0,255,255"]
    first = maps.landcover_path.read_bytes()
    write_landcover(maps, unit_ha=0.2)
    assert maps.landcover_path.read_bytes() == first


def test_sheets_fit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landcover, "SHEET_PX", 33)
    maps = maps_of(tmp_path / "maps", smooth_classes(80))
    write_landcover(maps)
    land = maps.landcover()
    assert land["area_ha"].sum() == pytest.approx(64)
    overlaps = gpd.overlay(land, land, how="intersection", keep_geom_type=True)
    assert overlaps.area.sum() == pytest.approx(land.area.sum())


def test_a_change_matrix_worked_by_hand() -> None:
    old = np.array([[0, 0, 1], [2, 2, 255]], np.uint8)
    new = np.array([[0, 1, 1], [0, 255, 1]], np.uint8)
    np.testing.assert_array_equal(change_matrix(old, new, 3), [[1, 1, 0], [0, 1, 0], [1, 0, 0]])


def test_changes_have_from_and_to_and_a_shift_is_none(tmp_path: Path) -> None:
    classes = np.zeros((60, 60), np.uint8)
    classes[:, 30:] = 2
    later = np.roll(classes, 1, axis=1)  # a pixel off
    later[:, 0] = 0
    later[10:20, 5:15] = 1
    old, new = maps_of(tmp_path / "old", classes), maps_of(tmp_path / "new", later)
    matrix = write_class_changes(old, new, tmp_path / "changes.gpkg")
    changes = gpd.read_file(tmp_path / "changes.gpkg", layer="changes")
    assert changes[["from", "to"]].to_numpy().tolist() == [["field", "road"]]
    assert changes["area_ha"].tolist() == [pytest.approx(1.0, rel=0.1)]
    of = matrix.set_index(["from", "to"])["pixels"]
    assert of["field", "road"] == 100
    assert of["water", "field"] == 60
    assert matrix["pixels"].sum() == 3600
    assert pyogrio.list_layers(tmp_path / "changes.gpkg")[:, 0].tolist() == ["changes", "matrix"]
    moved = maps_of(tmp_path / "small", classes[:50])
    with pytest.raises(GridError, match="not on one grid"):
        write_class_changes(old, moved, tmp_path / "c.gpkg")
