"""What is taken for roads and is none: landscapes laid over layouts, and their paint."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely.geometry import LineString

from swath.errors import SettingsError
from swath.simulate.climate import draw_climate
from swath.simulate.ground import Painter
from swath.simulate.houses import Density, add_houses
from swath.simulate.landscape import LANDSCAPES, add_landscapes, empty_layout, open_sea
from swath.simulate.layout import LINES, Layout
from swath.simulate.lookalikes import read_lookalikes
from swath.simulate.materials import CODE
from swath.simulate.parameters import Fill
from swath.simulate.scenery import ALWAYS, PATCHES_M

SIZE_PX = 128


def town(seed: int = 3) -> Layout:
    """Open country with one main road and ten lanes, from side to side."""
    empty = empty_layout(open_sea(SIZE_PX), seed)
    left, bottom, right, top = empty.grid.bounds
    ys = np.linspace(bottom + 61, top - 59, 11)
    lines = gpd.GeoDataFrame(
        {
            "kind": "road",
            "width_m": 6.0,
            "paved": True,
            "highway": ["primary", *["residential"] * 10],
        },
        geometry=[LineString([(left, y), (right, y)]) for y in ys],
        crs=empty.grid.crs,
    )
    return Layout(empty.grid, empty.areas, lines, seed)


def paint(layout: Layout, date: int = 0):
    density = Density(layout)
    painter = Painter(add_houses(layout, density, Fill()), density, draw_climate(45, 1), Fill())
    return painter.paint(layout.grid.window, date)


@pytest.mark.parametrize("name", LANDSCAPES)
def test_every_landscape_lays_what_can_be_painted(name: str) -> None:
    empty = empty_layout(open_sea(SIZE_PX), 7)
    layout = add_landscapes(empty, (name,), 3)
    assert layout.scenery is not None
    scenery = layout.scenery
    assert len(scenery) + len(layout.lines) > 0
    assert {*scenery["material"], *scenery["mixed"]} <= set(CODE)
    assert set(scenery["patch_m"]) <= set(PATCHES_M)
    assert scenery["share"].between(0, 1).all()
    assert ((scenery["since"] >= 0) & (scenery["since"] < scenery["until"])).all()
    assert (scenery.geom_type == "Polygon").all()
    assert set(layout.lines["kind"]) <= set(LINES)
    # Only roads of the landscape's own have a highway, and they lie where they are drawn.
    assert name in ("motorway", "lane", "fields") or layout.lines["highway"].isna().all()
    again = add_landscapes(empty, (name,), 3)
    assert again.scenery is not None
    assert again.scenery.geometry.geom_equals(scenery.geometry).all()


def test_a_sea_takes_all_roads_and_a_river_only_the_small_ones() -> None:
    layout = town()
    assert add_landscapes(layout, ("sea",), 1).lines.empty
    crossed = add_landscapes(layout, ("river",), 1).lines
    length = crossed.geometry.length.groupby(crossed["highway"]).sum()
    whole = layout.lines.geometry.length.iloc[0]
    assert length["primary"] == pytest.approx(whole)
    assert 0 < length["residential"] < 10 * whole - 20


def test_open_country_ends_at_the_town() -> None:
    # Ten lanes on 1.28 km of height: 8 km/km2, a town all over.
    layout = add_landscapes(town(), ("woods", "canopy"), 1)
    assert layout.scenery is not None
    within = layout.scenery.intersection(shapely.box(*layout.grid.bounds))
    assert shapely.union_all(within.values).area < 0.35 * (SIZE_PX * 10) ** 2
    assert len(layout.lines) == 11


def test_no_house_stands_on_scenery_and_roads_lie_over_it() -> None:
    layout = town()
    table = gpd.GeoDataFrame(
        {
            "material": ["mud"],
            "mixed": ["mudflat"],
            "share": [0.3],
            "patch_m": [40.0],
            "height_m": [0.0],
            "since": [1],
            "until": [2],
        },
        geometry=[shapely.box(*layout.grid.bounds)],
        crs=layout.grid.crs,
    )
    covered = Layout(layout.grid, layout.areas, layout.lines, layout.seed, table)
    before, during, after = (paint(covered, date) for date in range(3))
    np.testing.assert_array_equal(before.material, after.material)
    np.testing.assert_array_equal(before.material, paint(layout).material)
    mud = np.isin(during.material, [CODE["mud"], CODE["mudflat"]])
    assert mud.mean() > 0.8
    assert (during.material == CODE["mudflat"])[mud].mean() == pytest.approx(0.3, abs=0.12)
    assert during.paved.mean() == pytest.approx(11 * 6 / 1280, rel=0.2)
    assert (during.height_m[mud] == 0).all()


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="no landscape 'moon'; there are tidal"):
        add_landscapes(town(), ("moon",), 1)


def test_lookalikes_of_a_file_become_scenery(tmp_path: Path) -> None:
    grid = open_sea(SIZE_PX)
    west, south, east, north = grid.lonlat_bounds
    middle = (south + north) / 2
    line = LineString([(west, middle), (east, middle)])
    rows = [{"man_made": "pier", "geometry": line}, {"barrier": "hedge", "geometry": line}]
    path = tmp_path / "shore.geojson"
    gpd.GeoDataFrame(rows, crs="EPSG:4326").to_file(path, driver="GeoJSON", engine="pyogrio")
    table = read_lookalikes(path, grid)
    assert table["material"].tolist() == ["concrete", "leafy"]
    # A pier is 6 m wide, and the grid with 15 px around it is 1.58 km; the line ends at the grid.
    assert table.area.iloc[0] == pytest.approx(6 * 1280, rel=0.02)
    assert (table["until"] == ALWAYS).all()
    gpd.GeoDataFrame([{"highway": "primary", "geometry": line}], crs="EPSG:4326").to_file(
        path, driver="GeoJSON", engine="pyogrio"
    )
    assert read_lookalikes(path, grid).empty
