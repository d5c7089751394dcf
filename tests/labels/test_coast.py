"""The sea from its edge: the land lies on the left of a coastline, the water on the right."""

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pyproj import Transformer

from swath.grid import Grid
from swath.labels.burn import Widening, burn
from swath.labels.coast import find_sea
from swath.labels.features import read_features
from swath.labels.overpass import FIRST_DAY, plan_queries
from swath.legend import IGNORE, Legend, LegendClass, read_legend

BOX = (0.0, 0.0, 1000.0, 1000.0)
LANDCOVER = read_legend("landcover")
WATER = LANDCOVER.names.index("water")
# Northwards through the middle: the land is west, the sea east.
NORTH = shapely.LineString([(500, -100), (500, 400), (520, 1100)])


def sea_of(*lines: Any) -> Any:
    found = find_sea(np.array(lines, object), BOX)
    assert all(shapely.covers(shapely.box(*BOX), face) for face in found)
    return shapely.union_all(found)


def test_the_sea_is_on_the_right() -> None:
    sea = sea_of(NORTH)
    # 500 x 1000 m, less the triangle that the bend takes: x at the top is 500 + 20 x 600 / 700.
    assert sea.area == pytest.approx(500 * 1000 - 600 * (20 * 600 / 700) / 2)
    assert sea.contains(shapely.Point(900, 500))
    west = sea_of(shapely.reverse(NORTH))
    assert west.contains(shapely.Point(100, 500))
    assert sea.area + west.area == pytest.approx(1e6)


def test_pieces_in_any_order_and_islands() -> None:
    pieces = [
        shapely.LineString([(500, 400), (520, 1100)]),
        shapely.LineString([(500, -100), (500, 400)]),
    ]
    # Anticlockwise: what is inside is on the left, so an island; clockwise it is a lagoon.
    island = shapely.LineString([(700, 700), (800, 700), (800, 800), (700, 800), (700, 700)])
    lagoon = shapely.reverse(shapely.transform(island, lambda xy: xy - [600, 0]))
    whole = sea_of(NORTH)
    assert sea_of(*pieces).equals(whole)
    found = sea_of(*pieces, island, lagoon)
    assert found.area == pytest.approx(whole.area - 100 * 100 + 100 * 100)
    assert not found.contains(shapely.Point(750, 750))
    assert found.contains(shapely.Point(150, 750))
    # An island alone in the box says that all around it is sea.
    assert sea_of(island).area == pytest.approx(1e6 - 1e4)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [shapely.LineString([(500, -100), (500, 400)])],  # ends in the box
        [
            shapely.LineString([(500, -100), (500, 480)]),
            shapely.LineString([(500, 490), (500, 1100)]),
        ],
        [shapely.LineString([(2000, -100), (2000, 1100)])],  # is elsewhere
        # Two coasts that contradict each other: the strip between them is right and left.
        [
            shapely.LineString([(300, -9), (300, 1009)]),
            shapely.LineString([(600, -9), (600, 1009)]),
        ],
    ],
)
def test_where_it_is_not_told_nothing_is_claimed(lines: list[Any]) -> None:
    found = sea_of(*lines)
    assert not found.contains(shapely.Point(450, 500))
    assert not found.contains(shapely.Point(100, 500))


@given(
    st.lists(st.floats(50, 950), min_size=2, max_size=12),
    st.booleans(),
)
def test_a_coast_across_the_box_parts_it_in_sea_and_land(xs: list[float], turned: bool) -> None:
    ys = np.linspace(-10, 1010, len(xs))
    line = shapely.LineString(np.column_stack([xs, ys]))
    polygon = shapely.Polygon([*zip(xs, ys, strict=True), (2000, 1010), (2000, -10)])
    if turned:
        line = shapely.reverse(line)
        polygon = shapely.Polygon([*zip(xs, ys, strict=True), (-2000, 1010), (-2000, -10)])
    expected = polygon.intersection(shapely.box(*BOX))
    assert sea_of(line).symmetric_difference(expected).area < 1e-3


def test_a_file_with_a_coast_makes_water_in_the_labels(tmp_path: Path) -> None:
    grid = Grid.from_lonlat((24.0, 60.0, 24.02, 60.01))
    middle = 24.01
    frame = geopandas.GeoDataFrame(
        {"natural": ["coastline", "wood"], "highway": [None, None]},
        geometry=[
            shapely.LineString([(middle, 59.98), (middle, 60.03)]),
            shapely.box(24.001, 60.002, 24.004, 60.008),
        ],
        crs=4326,
    )
    path = tmp_path / "coast.gpkg"
    frame.to_file(path)
    features = read_features(path, LANDCOVER, grid)
    labels = burn(features, LANDCOVER, grid, Widening())
    half = grid.width // 2  # a meridian is oblique there: by 5 px over the grid
    assert (labels[:, half + 5 :] == WATER).all()
    assert not (labels[:, : half - 5] == WATER).any()
    assert (labels[:, : half - 5] == IGNORE).any()
    # What was made of it is found again in the file that a dataset keeps.
    kept = tmp_path / "roads.parquet"
    features.to_parquet(kept)
    again = burn(read_features(kept, LANDCOVER, grid), LANDCOVER, grid, Widening())
    np.testing.assert_array_equal(again, labels)
    # The legend of roads has no sea.
    frame["highway"] = ["primary", None]
    frame.to_file(path)
    assert read_features(path, read_legend("roads"), grid)["class_id"].tolist() == [1]


def test_overpass_is_asked_for_the_coast_where_the_legend_has_the_sea() -> None:
    asked = {
        name: plan_queries("main", (7.4, 43.7, 7.5, 43.8), read_legend(name), FIRST_DAY)[0].text
        for name in ("landcover", "water", "roads")
    }
    assert "coastline" in asked["landcover"]
    assert "coastline" in asked["water"]
    assert "coastline" not in asked["roads"]


def test_a_legend_has_one_sea_of_areas() -> None:
    land = LegendClass(id=0, name="land", color="#000000")
    area: dict[str, Any] = {"color": "#000000", "tags": {"natural": ("water",)}, "sea": True}
    with pytest.raises(ValidationError, match="its geometry is not area"):
        Legend(name="x", classes=(land, LegendClass(id=1, name="sea", geometry="line", **area)))
    two = [LegendClass(id=n, name=f"sea{n}", geometry="area", **area) for n in (1, 2)]
    with pytest.raises(ValidationError, match="one class only"):
        Legend(name="x", classes=(land, *two))


@pytest.mark.data
def test_the_sea_at_monaco(data_dir: Path) -> None:
    pytest.importorskip("osmium")
    path = data_dir / "osm" / "full" / "monaco.osm.gz"
    grid = Grid.from_lonlat((7.41, 43.722, 7.435, 43.745))
    labels = burn(read_features(path, LANDCOVER, grid), LANDCOVER, grid, Widening())
    to_grid = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)

    def at(lon: float, lat: float) -> int:
        col, row = ~grid.transform @ to_grid.transform(lon, lat)
        return int(labels[int(row), int(col)])

    # Off Larvotto, in the harbour of Hercule (inside its moles); the Rock and Monte-Carlo are land.
    assert at(7.4340, 43.7400) == WATER
    assert at(7.4255, 43.7345) == WATER
    assert at(7.4200, 43.7240) == WATER
    for lon, lat in ((7.4203, 43.7312), (7.4270, 43.7400), (7.4150, 43.7330)):
        assert at(lon, lat) != WATER
    assert 0.3 < (labels == WATER).mean() < 0.6
