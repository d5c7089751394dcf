"""The foreground as vectors: lines and areas, and what is known of them."""

import datetime as dt
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

from swath.errors import DatasetError
from swath.grid import Grid
from swath.legend import Legend, read_legend
from swath.maps.sitemaps import SiteMaps, encode_pmap
from swath.maps.styles import STYLES_TABLE
from swath.maps.vectors import write_vectors

GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), (60, 80))
DAY = dt.date(2019, 3, 7)


def cross() -> NDArray[np.bool_]:
    mask = np.zeros(GRID.shape, bool)
    mask[29:32, 10:71] = True
    mask[10:51, 39:42] = True
    return mask


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
    for path, bands in (
        (maps.classes_path, classes[None]),
        (maps.fused_path, codes),
        (maps.pmap_path(DAY), codes),
    ):
        with rasterio.open(
            path, "w", driver="GTiff", count=len(bands), dtype="uint8", nodata=255, **GRID.profile()
        ) as target:
            target.write(bands.astype(np.uint8))
    return maps


def test_roads_become_a_network(tmp_path: Path) -> None:
    maps = site_maps(tmp_path / "here", read_legend("roads"), cross().astype(int), 200 / 254)
    write_vectors(maps, 0.3)
    roads = gpd.read_file(maps.gpkg_path, layer="roads")
    nodes = gpd.read_file(maps.gpkg_path, layer="nodes").set_index("node")
    assert len(roads) == len(maps.roads()) == 4
    assert len(nodes) == 5
    assert roads.crs == nodes.crs == "EPSG:32630"
    assert set(roads["class"]) == {"road"}
    assert set(roads.component) == set(nodes.component) == {0}
    assert roads.p_mean.to_numpy() == pytest.approx(200 / 254, abs=0.02)
    assert (roads.p_min <= roads.p_mean).all()
    assert roads.length_m.to_numpy() == pytest.approx(roads.length.to_numpy(), rel=0.02)
    assert roads.length_m.sum() == pytest.approx(590 + 390, abs=80)
    assert roads.width_m.to_numpy() == pytest.approx(30, abs=8)
    assert set(zip(roads.dates_seen, roads.dates_known, strict=True)) == {(1, 1)}
    # The crossing is the centre of pixel (row 30, column 40).
    (middle,) = nodes.index[nodes.degree == 4]
    assert nodes.geometry[middle].distance(shapely.Point(600_405, 5_329_695)) < 5
    for road in roads.itertuples():
        ends = [shapely.Point(road.geometry.coords[at]) for at in (0, -1)]
        assert ends == [nodes.geometry[road.from_node], nodes.geometry[road.to_node]]
    assert pyogrio.read_info(maps.gpkg_path, layer="roads")["layer_metadata"] == {
        "attribution": "(c) somebody"
    }
    parquet = gpd.read_parquet(maps.parquet_path)
    assert parquet.attrs["attribution"] == "(c) somebody"
    assert parquet.crs == "EPSG:32630"
    assert sorted(parquet.length_m) == sorted(roads.length_m)


def test_water_becomes_polygons_and_no_roads(tmp_path: Path) -> None:
    classes = np.zeros(GRID.shape, int)
    classes[5:25, 10:30] = 1
    classes[10:12, 15:20] = 0  # an island
    classes[40:43, 50:54] = 1
    classes[50:, :] = 255
    maps = site_maps(tmp_path / "here", read_legend("water"), classes, 0.5)
    write_vectors(maps)
    table = maps.landcover()
    assert sorted(table.area_ha) == pytest.approx([0.12, 3.9])  # 12 and 400 - 10 pixels of 0.01 ha
    assert set(table["class"]) == {"water"}  # the background is no class of its own
    assert table.p_mean.to_numpy() == pytest.approx(127 / 254, abs=1e-6)
    assert len(table.geometry[table.area_ha.argmax()].interiors) == 1
    assert maps.vector_paths == (maps.landcover_path,)
    assert not maps.gpkg_path.exists()
    with pytest.raises(DatasetError, match="maps no lines"):
        maps.roads()


def test_an_empty_map_gives_empty_layers(tmp_path: Path) -> None:
    maps = site_maps(tmp_path / "here", read_legend("roads"), np.zeros(GRID.shape, int), 0.5)
    write_vectors(maps)
    assert len(maps.roads()) == 0
    assert pyogrio.list_layers(maps.gpkg_path).tolist() == [
        ["roads", "LineString"],
        ["nodes", "Point"],
        [STYLES_TABLE, None],
    ]
    assert len(gpd.read_parquet(maps.parquet_path)) == 0


def test_sheets_cut_lines_and_lose_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Roads 3 px wide at all angles; sheets of 30 px must give the lines of one sheet, cut.
    generator = np.random.default_rng(3)
    classes = np.zeros(GRID.shape, np.uint8)
    for _ in range(6):
        (r0, r1), (c0, c1) = (generator.integers(3, size - 3, 2) for size in GRID.shape)
        steps = np.linspace(0, 1, 200)
        rows, cols = r0 + steps * (r1 - r0), c0 + steps * (c1 - c0)
        classes[rows.astype(int), cols.astype(int)] = 1
    classes = ndimage.binary_dilation(classes, np.ones((3, 3))).astype(int)
    tables, nodes = [], []
    for name, size in (("one", 2048), ("many", 30)):
        monkeypatch.setattr("swath.maps.linetable.SHEET_PX", size)
        maps = site_maps(tmp_path / name, read_legend("roads"), classes, 0.8)
        write_vectors(maps, 0.3)
        tables.append(gpd.read_parquet(maps.parquet_path))
        nodes.append(gpd.read_file(maps.gpkg_path, layer="nodes"))
    one, many = tables
    assert len(many) > len(one)
    joined, whole = many.union_all(), one.union_all()
    assert many.length_m.sum() == pytest.approx(joined.length, rel=0.01)  # nothing twice
    # Lines meet over the seams: in the very same nodes, and they are as many parts as before.
    assert len(set(many.component)) == len(set(one.component))
    assert not nodes[1].geometry.duplicated().any()
    ends = np.concatenate([many.from_node, many.to_node])
    assert np.bincount(ends).tolist() == nodes[1].degree.tolist()
    # Near a cut nothing is moved or mended, so lines may lie up to a pixel or two elsewhere.
    for more, less in ((whole, joined), (joined, whole)):
        assert more.difference(less.buffer(20)).length < 0.05 * whole.length
