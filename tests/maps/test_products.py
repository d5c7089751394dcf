"""The foreground as vectors: lines and areas, and what is known of them."""

import datetime as dt
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from swath.grid import Grid
from swath.legend import Legend, read_legend
from swath.maps import lines
from swath.maps.lines import trace_lines
from swath.maps.sitemaps import SiteMaps, encode_pmap, read_bytes
from swath.maps.styles import STYLES_TABLE
from swath.maps.vectors import write_vectors

GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), (60, 80))
DAY = dt.date(2019, 3, 7)


# --- lines ------------------------------------------------------------------------------------


def cross() -> NDArray[np.bool_]:
    mask = np.zeros(GRID.shape, bool)
    mask[29:32, 10:71] = True
    mask[10:51, 39:42] = True
    return mask


def test_a_crossing_gives_four_lines_that_meet() -> None:
    traced = trace_lines(cross())
    assert len(traced) == 4
    ends = {point for line in traced for point in (line.coords[0], line.coords[-1])}
    assert (40.0, 30.0) in ends
    assert len(ends) == 5
    # The skeleton of a road 3 px wide ends 1 px before the road.
    assert shapely.length(traced).sum() == pytest.approx(58 + 38, abs=4)


def test_a_ring_is_one_closed_line() -> None:
    mask = np.zeros((30, 30), bool)
    mask[5:20, 5:20] = True
    mask[8:17, 8:17] = False
    (ring,) = trace_lines(mask)
    assert ring.is_ring
    assert shapely.Polygon(ring).contains(shapely.Point(12, 12))


def test_bumps_give_no_dead_ends() -> None:
    mask = np.zeros((20, 60), bool)
    mask[10, 5:55] = True
    mask[8:10, 30] = True  # two pixels off the road
    (line,) = trace_lines(mask)
    assert (line.coords[0], line.coords[-1]) in (((5, 10), (54, 10)), ((54, 10), (5, 10)))
    mask[4:10, 30] = True  # six: a street
    assert len(trace_lines(mask)) == 3


def test_spots_and_nothing_give_no_line() -> None:
    mask = np.zeros((20, 20), bool)
    assert len(trace_lines(mask)) == 0
    mask[5, 5] = True
    assert len(trace_lines(mask)) == 0


def steps(traced: NDArray[np.object_]) -> list[list[tuple[object, ...]]]:
    """Each line as its two-point links, whatever its direction and, of a ring, its start."""
    return sorted(sorted(tuple(sorted(pair)) for pair in pairwise(line.coords)) for line in traced)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.4, 0.7]))
def test_links_are_joined_as_geos_joins_them(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((25, 20)) < share
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "SPUR_PX", 0.0)
        traced = trace_lines(mask)
    links = [link for line in steps(traced) for link in line]
    assert len(set(links)) == len(links)
    if links:
        merged = shapely.line_merge(shapely.multilinestrings(shapely.linestrings(links)))
        assert steps(shapely.get_parts(merged)) == steps(traced)


# --- vectors ----------------------------------------------------------------------------------


def site_maps(folder: Path, legend: Legend, classes: NDArray[np.integer], road: float) -> SiteMaps:
    """A MAPS/<site> with the two rasters that vectors are made of; class 1 has PMap `road`."""
    folder.mkdir(parents=True)
    maps = SiteMaps(
        folder=folder, site="here", dates=(DAY,), legend=legend, model="m", fusion="mean",
        attribution="(c) somebody",
    )  # fmt: skip
    here = np.where(classes == 1, road, 0.0)
    pmap = np.stack([1 - here, here])
    codes = encode_pmap(pmap.astype(np.float32), classes != 255)
    for path, bands in ((maps.classes_path, classes[None]), (maps.fused_path, codes)):
        with rasterio.open(
            path, "w", driver="GTiff", count=len(bands), dtype="uint8", nodata=255, **GRID.profile()
        ) as target:
            target.write(bands.astype(np.uint8))
    return maps


def test_roads_become_lines(tmp_path: Path) -> None:
    maps = site_maps(tmp_path / "here", read_legend("roads"), cross().astype(int), 200 / 254)
    write_vectors(maps)
    assert len(maps.roads()) == 4
    table = gpd.read_file(maps.gpkg_path, layer="road")
    assert table.crs == "EPSG:32630"
    assert set(table["class"]) == {"road"}
    assert table.probability.to_numpy() == pytest.approx(200 / 254, abs=1e-6)
    assert table.length_m.to_numpy() == pytest.approx(table.length.to_numpy())
    # The crossing is the centre of pixel (row 30, column 40).
    assert shapely.Point(600_405, 5_329_695) in [
        shapely.Point(line.coords[at]) for line in table.geometry for at in (0, -1)
    ]
    assert all(len(line.coords) == 2 for line in table.geometry)  # simplified
    assert pyogrio.read_info(maps.gpkg_path, layer="road")["layer_metadata"] == {
        "attribution": "(c) somebody"
    }
    parquet = gpd.read_parquet(maps.parquet_path)
    assert parquet.attrs["attribution"] == "(c) somebody"
    assert parquet.crs == "EPSG:32630"
    assert sorted(parquet.length_m) == sorted(table.length_m)


def test_water_becomes_areas(tmp_path: Path) -> None:
    classes = np.zeros(GRID.shape, int)
    classes[5:25, 10:30] = 1
    classes[10:12, 15:20] = 0  # an island
    classes[40:41, 50:52] = 1
    classes[50:, :] = 255
    maps = site_maps(tmp_path / "here", read_legend("water"), classes, 0.5)
    write_vectors(maps)
    assert len(maps.roads()) == 2
    table = gpd.read_file(maps.gpkg_path, layer="water")
    assert sorted(table.area_m2) == [200.0, 39_000.0]  # 2 and 400 - 10 pixels of 100 m2
    assert table.probability.to_numpy() == pytest.approx(127 / 254, abs=1e-6)
    assert len(table.geometry[table.area_m2.argmax()].interiors) == 1


def test_areas_across_strips_have_the_mean_of_all_their_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swath.maps.vectors.STRIP_PX", 7)
    classes = np.zeros(GRID.shape, int)
    classes[5:25, 10:30] = 1
    classes[5:25, 32:34] = 1
    maps = site_maps(tmp_path / "here", read_legend("water"), classes, 0.5)
    codes = read_bytes(maps.fused_path)
    codes[0, 5:15] = 254
    with rasterio.open(maps.fused_path, "r+") as target:
        target.write(codes)
    write_vectors(maps)
    table = gpd.read_file(maps.gpkg_path, layer="water")
    assert table.probability.to_numpy() == pytest.approx(0.75, abs=1e-6)


def test_an_empty_map_gives_empty_layers(tmp_path: Path) -> None:
    maps = site_maps(tmp_path / "here", read_legend("roads"), np.zeros(GRID.shape, int), 0.5)
    write_vectors(maps)
    assert len(maps.roads()) == 0
    layers = pyogrio.list_layers(maps.gpkg_path).tolist()
    assert layers == [["road", "LineString"], [STYLES_TABLE, None]]
    assert len(gpd.read_parquet(maps.parquet_path)) == 0


def test_sheets_cut_lines_and_lose_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Roads 3 px wide at all angles; sheets of 16 px must give the lines of one sheet, cut.
    generator = np.random.default_rng(3)
    classes = np.zeros(GRID.shape, np.uint8)
    for _ in range(6):
        (r0, r1), (c0, c1) = (generator.integers(3, size - 3, 2) for size in GRID.shape)
        steps = np.linspace(0, 1, 200)
        rows, cols = r0 + steps * (r1 - r0), c0 + steps * (c1 - c0)
        classes[rows.astype(int), cols.astype(int)] = 1
    classes = ndimage.binary_dilation(classes, np.ones((3, 3))).astype(int)
    tables = []
    for name, size in (("one", 2048), ("many", 16)):
        monkeypatch.setattr("swath.maps.vectors.SHEET_PX", size)
        monkeypatch.setattr("swath.maps.vectors.SIMPLIFY_PX", 0.0)
        maps = site_maps(tmp_path / name, read_legend("roads"), classes, 0.8)
        write_vectors(maps)
        tables.append(gpd.read_parquet(maps.parquet_path))
    one, many = tables
    assert len(many) > len(one)
    assert many.probability.to_numpy() == pytest.approx(np.float32(round(0.8 * 254) / 254))
    joined, whole = many.union_all(), one.union_all()
    assert many.length_m.sum() == pytest.approx(joined.length)  # nothing twice
    # At a cut a dead end shorter than 3 px may be taken for a spur, or a spur for a line.
    for more, less in ((whole, joined), (joined, whole)):
        different = shapely.line_merge(more.difference(less.buffer(0.01)))
        assert all(part.length < 30 for part in shapely.get_parts(different))
        assert different.length < 0.03 * whole.length
