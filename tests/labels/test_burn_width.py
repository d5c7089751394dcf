"""Lines as chains of pixels and as strokes of a width in metres; rings; widths from tags."""

import math
import tracemalloc
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage
from shapely import LineString, MultiLineString, box

from swath.errors import SettingsError
from swath.grid import Grid, Window
from swath.labels.burn import Widening, burn, burn_mask, margin_px, widen
from swath.labels.features import read_features
from swath.labels.strokes import draw_chains, draw_strokes
from swath.labels.width import line_widths_m, parse_length_m, width_m
from swath.legend import IGNORE, Legend, LineWidth, read_legend
from swath.validation import parse_yaml

UTM = "EPSG:32630"
GRID = Grid.from_bounds((600_000, 5_330_000, 600_400, 5_330_300), UTM)  # 30 x 40 px
OBLONG = Grid(UTM, Affine(8.0, 0, 600_000, 0, -12.0, 5_330_360), (30, 40))
LEFT, BOTTOM, RIGHT, TOP = GRID.bounds
BY_WIDTH = Widening(method="width", ring_px=0)
BY_CLASS = read_legend("roads-by-class")
RULE = BY_CLASS.classes[1].width
assert RULE is not None


def at(row: float, col: float) -> tuple[float, float]:
    return LEFT + 10 * col, TOP - 10 * row


def line(*points: tuple[float, float]) -> LineString:
    return LineString([at(row, col) for row, col in points])


def roads(*geometries: LineString, **columns: list[str | None]) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(
        {"class_id": [1] * len(geometries), **columns}, geometry=list(geometries), crs=UTM
    )


def chains(lines: list[LineString], grid: Grid = GRID) -> NDArray[np.bool_]:
    mask = np.zeros(grid.shape, bool)
    draw_chains(mask, np.array(lines, object), grid)
    return mask


def strokes(lines: list[LineString], width_m: float, grid: Grid = GRID) -> NDArray[np.bool_]:
    mask = np.zeros(grid.shape, bool)
    draw_strokes(mask, np.array(lines, object), np.full(len(lines), width_m), grid)
    return mask


def covered(mask: NDArray[np.bool_]) -> set[tuple[int, int]]:
    return {(int(r), int(c)) for r, c in np.argwhere(mask)}


def polylines(seed: int, *, corners: bool) -> list[LineString]:
    """Some lines in and around the grid: long, short, with points twice, perhaps on corners."""
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(rng.integers(1, 4)):
        xy = rng.uniform(-100, 500, (rng.integers(2, 7), 2))
        if rng.random() < 0.3:
            xy = xy[0] + rng.uniform(-3, 3, xy.shape)
        if rng.random() < 0.3:
            xy[-1] = xy[-2]
        if rng.random() < 0.5:
            # Level, upright and diagonal pieces; in the middle of pixels or on their corners.
            xy = np.round(xy / 10) * 10 + (0 if corners and rng.random() < 0.5 else 5)
        lines.append(LineString(xy + np.array([LEFT, BOTTOM])))
    return lines


seeds = st.integers(0, 2**32 - 1)


# --- chains ----------------------------------------------------------------------------------


@given(seeds)
def test_chains_are_those_of_gdal(seed: int) -> None:
    # Not on corners: there GDAL's 0.1 x 600010 is 60000.99..., and the pixel another.
    lines = polylines(seed, corners=False)
    expected = rasterize(lines, out_shape=GRID.shape, transform=GRID.transform, dtype=np.uint8)
    np.testing.assert_array_equal(chains(lines), expected == 1)


def test_chains_far_outside_cost_nothing() -> None:
    far = 1e12
    lines = [
        LineString([(-far, TOP - 55), (far, TOP - 55)]),
        LineString([(far, far), (2 * far, 0)]),
    ]
    assert covered(chains(lines)) == {(5, c) for c in range(40)}
    assert covered(strokes(lines, 10)) == {(5, c) for c in range(40)}


def test_parts_and_areas_burn_together() -> None:
    two = MultiLineString([line((2.5, 2.5), (2.5, 6.5)), line((9.5, 1.5), (9.5, 3.5))])
    square = box(*at(20, 10), *at(18, 12))
    mask = burn_mask(geopandas.GeoSeries([two, square]), GRID)
    assert covered(mask) == (
        {(2, c) for c in range(2, 7)} | {(9, c) for c in range(1, 4)}
        | {(r, c) for r in (18, 19) for c in (10, 11)}
    )  # fmt: skip


# --- strokes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [GRID, OBLONG], ids=["square", "oblong"])
@given(seed=seeds, width=st.floats(0.5, 90))
def test_a_stroke_is_all_centres_within_half_its_width(grid: Grid, seed: int, width: float) -> None:
    lines = polylines(seed, corners=True)
    cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    xs = grid.transform.c + cols * grid.transform.a
    ys = grid.transform.f + rows * grid.transform.e
    distance = np.min([shapely.distance(shapely.points(xs, ys), road) for road in lines], axis=0)
    half = max(width, *grid.resolution) / 2
    got = strokes(lines, width, grid)
    assert got[distance < half - 1e-6].all()
    assert not got[distance > half + 1e-6].any()


def test_a_road_of_25_m_by_hand() -> None:
    # Along the middle of row 5: centres of rows 4..6 are 10 m or less from it, and 12.5 m reach.
    # Its ends are round: 10 m aside, sqrt(12.5^2 - 10^2) = 7.5 m beyond; on the line itself 12.5 m.
    mask = strokes([line((5.5, 10.5), (5.5, 20.5))], 25)
    assert covered(mask) == {(5, c) for c in range(9, 22)} | {(r, c) for r in (4, 6) for c in range(10, 21)}


WIDE_GRID = Grid.from_bounds((600_000, 5_330_000, 602_000, 5_332_000), UTM)  # 200 x 200 px


def crossing(angle: float, dx: float, dy: float, width_m: float) -> NDArray[np.bool_]:
    """A straight road of 1500 m through a point near the grid's middle."""
    step = 750 * np.array([math.cos(angle), math.sin(angle)])
    middle = np.array([601_000 + 10 * dx, 5_331_000 + 10 * dy])
    return strokes([LineString([middle - step, middle + step])], width_m, WIDE_GRID)


@given(st.floats(0, math.pi), st.floats(0, 1), st.floats(0, 1))
def test_a_narrow_road_has_no_gap(angle: float, dx: float, dy: float) -> None:
    _, parts = ndimage.label(crossing(angle, dx, dy, 4), structure=np.ones((3, 3)))
    assert parts == 1


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.7, math.pi / 4, 1.2, 2.5])
@pytest.mark.parametrize("width_m", [4, 10, 26])
def test_a_road_has_the_area_of_its_width_in_every_direction(angle: float, width_m: float) -> None:
    offsets = np.random.default_rng(0).random((40, 2))
    areas = [crossing(angle, dx, dy, width_m).sum() for dx, dy in offsets]
    wide = max(width_m, 10) / 10
    expected = 150 * wide + math.pi / 4 * wide**2
    assert np.mean(areas) == pytest.approx(expected, rel=0.1)


def test_burning_a_crop_by_width_is_cropping_the_burnt() -> None:
    lines = roads(line((1.2, 2.1), (27.7, 36.4)), line((20.5, 1.5), (3.5, 38.5)), width=["38", None])
    ringed = Widening(method="width")
    whole = burn(lines, BY_CLASS, GRID, ringed)
    window = Window(8, 12, 9, 14)
    rows, cols = window.slices
    np.testing.assert_array_equal(burn(lines, BY_CLASS, GRID.crop(window), ringed), whole[rows, cols])


def test_blocks_of_rows_do_not_show() -> None:
    # 1024 rows a block: a disk and a blur across the border come out as in one piece.
    grid = Grid.from_bounds((600_000, 5_310_000, 600_300, 5_331_000), UTM)  # 2100 rows
    top = grid.bounds[3]
    across = LineString([(600_095, top - 10_100), (600_205, top - 10_400)])
    mask = burn_mask(geopandas.GeoSeries([across]), grid)
    for widening in (
        Widening(shape="disk", times=4),
        Widening(shape="cross", times=3),
        Widening(method="gaussian", sigma_px=2),
    ):
        labels = burn(roads(across), read_legend("roads"), grid, widening)
        np.testing.assert_array_equal(labels == 1, widen(mask, widening))


@given(seeds, st.sampled_from(["square", "cross"]), st.integers(0, 3))
def test_dilation_is_that_of_scipy(seed: int, shape: str, times: int) -> None:
    mask = np.random.default_rng(seed).random((9, 13)) < 0.1
    structure = ndimage.generate_binary_structure(2, 2 if shape == "square" else 1)
    expected = mask if times == 0 else ndimage.binary_dilation(mask, structure, iterations=times)
    got = widen(mask, Widening.model_validate({"shape": shape, "times": times}))
    np.testing.assert_array_equal(got, expected)


# --- rings and classes -----------------------------------------------------------------------


def test_the_ring_is_one_pixel_and_never_road() -> None:
    cross = roads(line((5.5, 2.5), (5.5, 12.5)), line((7.5, 2.5), (7.5, 12.5)))
    labels = burn(cross, BY_CLASS, GRID, Widening(method="width"))
    # Two roads of one pixel, a row apart: what is between them is the ring of both.
    assert covered(labels == 1) == {(r, c) for r in (5, 7) for c in range(2, 13)}
    assert covered(labels == IGNORE) == {(r, c) for r in range(4, 9) for c in range(1, 14)} - covered(
        labels == 1
    )
    assert (burn(cross, BY_CLASS, GRID, BY_WIDTH) != IGNORE).all()


def test_a_ring_may_go_with_the_papers_dilation_too() -> None:
    road = roads(line((5.5, 2.5), (5.5, 12.5)))
    plain = burn(road, read_legend("roads"), GRID, Widening())
    ringed = burn(road, read_legend("roads"), GRID, Widening(ring_px=2))
    np.testing.assert_array_equal(ringed == 1, plain == 1)
    assert covered(ringed == IGNORE) == {(r, c) for r in range(2, 9) for c in range(16) if plain[r, c] == 0}


def test_ring_from_outside_the_grid() -> None:
    # 15 m above the grid, 26 m wide: 13 m reach down to the first row's ring only.
    road = roads(line((-1.5, 5), (-1.5, 30)), width=["26"])
    labels = burn(road, BY_CLASS, GRID, Widening(method="width"))
    assert not (labels == 1).any()
    assert (labels[0, 5:30] == IGNORE).all()
    assert (labels[1:] == 0).all()


def test_land_cover_by_hand() -> None:
    legend = read_legend("landcover")
    ids = {c.name: c.id for c in legend.classes}
    assert ids["other"] == 0
    frame = geopandas.GeoDataFrame(
        {
            "class_id": [ids[name] for name in ("road", "water", "forest", "building", "other")],
            "highway": ["residential", None, None, None, None],
        },
        geometry=[
            line((10.5, 0.5), (10.5, 39.5)),
            box(*at(20, 5), *at(5, 15)),
            box(*at(30, 0), *at(0, 20)),
            box(*at(3, 2), *at(1, 4)),
            box(*at(30, 20), *at(0, 30)),
        ],
        crs=UTM,
    )
    labels = burn(frame, legend, GRID, Widening(method="width"))
    assert (labels[10] == ids["road"]).all()
    assert (labels[[9, 11]] == IGNORE).all()
    assert (labels[12:20, 5:15] == ids["water"]).all()
    assert (labels[20:, :20] == ids["forest"]).all()
    assert (labels[1:3, 2:4] == ids["building"]).all()
    assert (labels[:9, 20:30] == ids["other"]).all()
    # Nobody has mapped the east: it is not `other`.
    assert (labels[:9, 30:] == IGNORE).all()


def test_width_without_widths_is_one_clear_line() -> None:
    with pytest.raises(SettingsError, match="gives 'road' none; give width_m, take roads-by-class"):
        burn(roads(line((1, 1), (2, 2))), read_legend("roads"), GRID, Widening(method="width"))


def test_margin_reaches_as_far_as_the_widest_tag() -> None:
    assert RULE.greatest_m == 40
    assert margin_px(BY_CLASS, GRID, BY_WIDTH) >= 2
    widest = roads(line((-1.9, 5), (-1.9, 30)), width=["40"])
    # 19 m above the grid, 20 m to either side: no pixel centre inside is nearer than 24 m.
    assert (burn(widest, BY_CLASS, GRID, BY_WIDTH) == 0).all()
    nearer = roads(line((-1.4, 5), (-1.4, 30)), width=["40"])
    assert (burn(nearer, BY_CLASS, GRID, BY_WIDTH)[0, 5:30] == 1).all()


def test_a_road_is_read_as_far_away_as_its_ring_reaches(tmp_path: Path) -> None:
    # 24 m above the grid and 40 m wide: the row above the grid is road, the first row its ring.
    path = tmp_path / "roads.parquet"
    widest = roads(line((-2.4, 5), (-2.4, 30)), highway=["primary"], width=["40"])
    widest.to_parquet(path)
    widening = Widening(method="width")
    near = read_features(path, BY_CLASS, GRID, margin_px(BY_CLASS, GRID, widening))
    labels = burn(near, BY_CLASS, GRID, widening)
    assert (labels[0, 6:29] == IGNORE).all()
    assert (labels != 1).all()


# --- widths ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("5", 5), ("5.5", 5.5), ("5,5", 5.5), (" 6 m ", 6), ("6m", 6), ("0.01 km", 10),
        ("20 ft", 6.096), ("20'", 6.096), ("16'6\"", 5.0292), ("0.01 mi", 16.09344),
        ("3;4", None), ("narrow", None), ("", None), ("-5", None), ("1e3", None), ("5 m 3", None),
        (None, None), (math.nan, None), (5.0, None),
    ],
)  # fmt: skip
def test_lengths_as_osm_writes_them(text: object, metres: float | None) -> None:
    got = parse_length_m(text)
    assert got is None if metres is None else got == pytest.approx(metres)


@pytest.mark.parametrize(
    ("tags", "metres"),
    [
        ({"highway": "motorway"}, 13),
        ({"highway": "residential"}, 6),
        ({"highway": "road"}, 6),  # the default
        ({"highway": "primary", "width": "17.5"}, 17.5),
        ({"highway": "primary", "width": "800"}, 11),  # not believed
        ({"highway": "primary", "width": "0"}, 11),
        ({"highway": "primary", "est_width": "9"}, 9),
        ({"highway": "primary", "width": "wide", "est_width": "9"}, 9),
        ({"highway": "primary", "lanes": "4"}, 14),
        ({"highway": "primary", "lanes": "4", "width": "12"}, 12),
        ({"highway": "primary", "lanes": "1.5"}, 5.25),
        ({"highway": "primary", "lanes": "2;3"}, 11),
        ({"highway": "primary", "lanes": "44"}, 11),
        ({"highway": "primary", "lanes": "16"}, 40),  # 56 m: the most that is believed
        ({"highway": None, "width": math.nan}, 6),
    ],
)
def test_width_of_a_road(tags: dict[str, object], metres: float) -> None:
    assert width_m(tags, RULE) == pytest.approx(metres)


def test_widths_of_a_table_may_lack_columns() -> None:
    two = [line((1, 1), (2, 2)), line((1, 1), (3, 3))]
    assert line_widths_m(roads(*two), RULE).tolist() == [6, 6]
    assert line_widths_m(roads(*two, highway=["trunk", None]), RULE).tolist() == [12, 6]
    assert line_widths_m(roads(), RULE).shape == (0,)


def test_lanes_count_only_where_the_legend_says_so() -> None:
    rule = LineWidth(default_m=7)
    assert rule.keys == ("width",)
    assert width_m({"lanes": "4"}, rule) == 7


@pytest.mark.parametrize(
    ("width", "message"),
    [
        ("{default_m: 0}", "default_m"),
        ("{default_m: 5, range_m: [9, 3]}", "range_m must be"),
        ("{default_m: 5, by: {highway: {trunk: -1}}}", "trunk"),
        ("{}", "default_m"),
        ("{default_m: 5, meters: 3}", "unknown key"),
    ],
)
def test_a_broken_width_is_one_clear_line(width: str, message: str) -> None:
    text = (
        'name: a\nclasses:\n  - {id: 0, name: rest, color: "#000000"}\n'
        '  - {id: 1, name: road, color: "#ffffff", geometry: line, tags: {highway: ["*"]},'
        f" width: {width}}}\n"
    )
    with pytest.raises(SettingsError, match=message) as error:
        parse_yaml(text, Legend, "mine.yaml")
    assert "\n" not in str(error.value)


def test_shipped_legends_see_from_above() -> None:
    for name, road in (("roads-by-class", 1), ("landcover", 5)):
        legend = read_legend(name)
        assert legend.classify({"highway": "primary", "bridge": "yes"}) == road
        assert legend.classify({"highway": "primary", "tunnel": "yes"}) is None
        assert legend.classify({"highway": "primary", "covered": "yes"}) is None
        assert legend.classify({"highway": "residential", "area": "yes"}) is None
        assert {"width", "lanes", "highway"} <= set(legend.keys)
    assert read_legend("landcover").classify({"landuse": "residential"}) == 0


# --- size ------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_lines() -> None:
    grid = Grid.from_bounds((600_000, 5_300_000, 605_120, 5_305_120), UTM)  # 512 x 512 px
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 5_000, (65_536, 1, 2))
    steps = rng.normal(0, 20, (65_536, 9, 2)).cumsum(axis=1)
    corner = np.array([600_000, 5_300_000])
    lines = shapely.linestrings(np.concatenate([start, start + steps], axis=1) + corner)

    def peak_bytes(count: int) -> int:
        mask = np.zeros(grid.shape, bool)
        tracemalloc.start()
        draw_chains(mask, lines[:count], grid)
        draw_strokes(mask, lines[:count], np.full(count, 12.0), grid)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 0.1 < mask.mean() <= 1
        return peak

    # Laid out at once, four times the lines would take four times the memory.
    assert peak_bytes(65_536) < 1.2 * peak_bytes(16_384)
