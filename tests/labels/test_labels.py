import gzip
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import LineString, MultiPolygon, Point, Polygon, box

from swath.errors import InputError, MissingExtraError
from swath.grid import Grid, Window
from swath.labels.burn import Widening, burn, burn_mask, reach_px, widen
from swath.labels.features import cut_features, read_features, read_polygons
from swath.legend import Legend, read_legend
from swath.validation import parse_yaml

UTM = "EPSG:32630"
GRID = Grid.from_bounds((600_000, 5_330_000, 600_400, 5_330_300), UTM)  # 30 x 40 px
LEFT, BOTTOM, RIGHT, TOP = GRID.bounds
NONE = Widening(times=0)

WET = parse_yaml(
    """
name: wet
classes:
  - {id: 0, name: rest, color: "#ffffff"}
  - {id: 1, name: water, color: "#0000ff", geometry: area, tags: {natural: [water]}}
  - {id: 2, name: road, color: "#ff0000", geometry: line, tags: {highway: ["*"]}}
""",
    Legend,
    "wet.yaml",
)
ROADS = read_legend("roads")


def at(row: float, col: float) -> tuple[float, float]:
    """The point `row` pixels down and `col` right of the grid's corner."""
    return LEFT + 10 * col, TOP - 10 * row


def line(*points: tuple[float, float]) -> LineString:
    return LineString([at(row, col) for row, col in points])


def table(**columns: list[object]) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(columns, crs=UTM)


def features(*rows: tuple[int, object]) -> geopandas.GeoDataFrame:
    return table(class_id=[row[0] for row in rows], geometry=[row[1] for row in rows])


def covered(mask: np.ndarray) -> set[tuple[int, int]]:
    return {(int(r), int(c)) for r, c in np.argwhere(mask)}


def test_a_coordinate_that_lies_nowhere_is_no_warning() -> None:
    nowhere = LineString([(1e308, 1e308), at(5, 5)])
    roads = table(highway=["primary", "service"], geometry=[nowhere, line((1, 1), (1, 9))])
    assert "service" in set(cut_features(roads, GRID.bounds)["highway"])


# --- burning ---------------------------------------------------------------------------------


def test_a_line_is_the_chain_of_pixels_it_runs_through() -> None:
    mask = burn_mask(geopandas.GeoSeries([line((5.5, 2.5), (5.5, 8.5))]), GRID)
    assert covered(mask) == {(5, c) for c in range(2, 9)}
    oblique = burn_mask(geopandas.GeoSeries([line((2.5, 2.5), (12.5, 12.5))]), GRID)
    # One pixel a column also on the diagonal, not the two or three that it touches.
    assert covered(oblique) == {(k, k) for k in range(2, 13)}


@given(st.tuples(st.floats(1, 29), st.floats(1, 39)), st.tuples(st.floats(1, 29), st.floats(1, 39)))
def test_a_burnt_line_is_thin_whole_and_near(start: tuple[float, float], end: tuple[float, float]) -> None:
    road = line(start, end)
    mask = burn_mask(geopandas.GeoSeries([road]), GRID)
    pixels = np.argwhere(mask)
    span = np.ptp(pixels, axis=0)
    assert len(pixels) == span.max() + 1  # one pixel a row or column: thin, without a gap
    distances = [Point(at(r + 0.5, c + 0.5)).distance(road) / 10 for r, c in pixels]
    # Half a pixel's diagonal from its ends moved to pixel centres, half a pixel of Bresenham's.
    assert max(distances) <= 0.5 * 2**0.5 + 0.5


def test_an_area_takes_the_pixels_whose_centre_is_inside() -> None:
    (x0, y0), (x1, y1) = at(4, 3), at(7.6, 6.4)
    labels = burn(features((1, box(x0, y1, x1, y0))), WET, GRID, Widening())
    # Rows 4..7 (7.5 < 7.6), columns 3..5 (6.5 > 6.4); areas are not widened.
    assert covered(labels == 1) == {(r, c) for r in range(4, 8) for c in range(3, 6)}


def test_the_later_class_wins_and_only_lines_are_widened() -> None:
    (x0, y0), (x1, y1) = at(0, 0), at(30, 20)
    lake, road = box(x0, y1, x1, y0), line((10.5, 0.5), (10.5, 39.5))
    # Whatever the order of the features.
    for rows in ([(1, lake), (2, road)], [(2, road), (1, lake)]):
        labels = burn(features(*rows), WET, GRID, Widening())
        assert labels.dtype == np.uint8
        assert (labels[9:12] == 2).all()
        assert (labels[:9, :20] == 1).all()
        assert (labels[:9, 20:] == 0).all()


def test_a_line_just_outside_reaches_in() -> None:
    # One pixel above the grid and one to the left of it.
    roads = features((2, line((-0.5, 3.5), (-0.5, 9.5))), (2, line((20.5, -1.5), (25.5, -1.5))))
    once = burn(roads, WET, GRID, Widening(times=1))
    assert covered(once) == {(0, c) for c in range(2, 11)}
    twice = burn(roads, WET, GRID, Widening(times=2))
    assert (twice[18:28, 0] == 2).all()


def test_burning_a_crop_is_cropping_the_burnt() -> None:
    roads = features((2, line((1.2, 2.1), (27.7, 36.4))), (2, line((20.5, 1.5), (3.5, 38.5))))
    whole = burn(roads, WET, GRID, Widening(times=3))
    window = Window(8, 12, 9, 14)
    rows, cols = window.slices
    part = burn(roads, WET, GRID.crop(window), Widening(times=3))
    np.testing.assert_array_equal(part, whole[rows, cols])


def test_nothing_to_burn() -> None:
    assert not burn(features((1, line((1, 1), (2, 2)))).iloc[:0], WET, GRID, Widening()).any()


# --- widening --------------------------------------------------------------------------------

ROAD = np.zeros((11, 31), bool)
ROAD[5, 8:23] = True  # 15 px long, 1 px wide


def width_at_middle(mask: np.ndarray) -> int:
    return int(mask[:, 15].sum())


@pytest.mark.parametrize(
    ("widening", "width", "length"),
    [
        (Widening(times=0), 1, 15),
        (Widening(shape="square", times=1), 3, 17),  # the paper's: 30 m
        (Widening(shape="square", times=2), 5, 19),
        (Widening(shape="cross", times=1), 3, 17),
        (Widening(shape="cross", times=3), 7, 21),
        (Widening(shape="disk", times=2), 5, 19),
        # Half width at half maximum of a Gaussian is 1.18 sigma: 1 px to each side, then 2.
        (Widening(method="gaussian", sigma_px=1.0), 3, 15),
        (Widening(method="gaussian", sigma_px=1.8), 5, 15),
    ],
)
def test_widths(widening: Widening, width: int, length: int) -> None:
    wide = widen(ROAD, widening)
    assert width_at_middle(wide) == width
    assert wide[5].sum() == length


def test_shapes_of_one_pixel() -> None:
    dot = np.zeros((7, 7), bool)
    dot[3, 3] = True
    assert widen(dot, Widening(shape="square", times=2)).sum() == 25
    assert widen(dot, Widening(shape="cross", times=2)).sum() == 13  # |r| + |c| <= 2
    assert widen(dot, Widening(shape="disk", times=2)).sum() == 13  # r2 + c2 <= 4
    # A blurred dot is below half of a line's middle; the pixel itself stays.
    np.testing.assert_array_equal(widen(dot, Widening(method="gaussian", sigma_px=2)), dot)


wide_ways = st.one_of(
    st.builds(Widening, shape=st.sampled_from(["cross", "square", "disk"]), times=st.integers(0, 4)),
    st.builds(Widening, method=st.just("gaussian"), sigma_px=st.floats(0.3, 2.5)),
)


@given(st.integers(0, 10), st.integers(0, 30), wide_ways)
def test_widening_keeps_the_line_and_stays_in_reach(row: int, col: int, widening: Widening) -> None:
    mask = ROAD.copy()
    mask[row, col] = True
    wide = widen(mask, widening)
    assert (wide >= mask).all()
    near = {
        (r + dr, c + dc)
        for r, c in covered(mask)
        for dr in range(-reach_px(widening), reach_px(widening) + 1)
        for dc in range(-reach_px(widening), reach_px(widening) + 1)
    }
    assert covered(wide) <= near


def test_widening_nothing_is_nothing() -> None:
    empty = np.zeros((5, 5), bool)
    for widening in (Widening(shape="disk", times=3), Widening(method="gaussian"), Widening()):
        assert not widen(empty, widening).any()


# --- reading ---------------------------------------------------------------------------------


@pytest.fixture
def world() -> geopandas.GeoDataFrame:
    """Two roads, a path, a lake, and what is broken or far away."""
    lake = box(*at(20, 5), *at(10, 15))
    return table(
        highway=["residential", "primary", "footway", None, "primary", "primary"],
        natural=[None, None, None, "water", None, None],
        tunnel=[None, None, None, None, "yes", None],
        geometry=[
            line((5, -3), (5, 20)),
            line((0, 30), (60, 30)),
            line((1, 1), (2, 2)),
            lake,
            line((8, 8), (9, 9)),
            line((5, 4000), (9, 4100)),
        ],
    )


@pytest.mark.parametrize("suffix", [".parquet", ".gpkg", ".geojson", ".shp", ".fgb"])
@pytest.mark.parametrize("crs", [UTM, "EPSG:4326", "EPSG:3857"])
def test_every_format_and_crs_gives_the_same_roads(
    tmp_path: Path, world: geopandas.GeoDataFrame, suffix: str, crs: str
) -> None:
    if suffix == ".geojson" and crs != "EPSG:4326":
        pytest.skip("GeoJSON is in degrees by its standard")
    frame = world.to_crs(crs)
    path = tmp_path / f"roads{suffix}"
    if suffix == ".shp":  # one kind of geometry a file
        frame = frame[frame.geom_type == "LineString"]
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)
    got = read_features(path, ROADS, GRID)
    assert got.crs.to_epsg() == 32630
    assert list(got.columns) == ["class_id", *ROADS.keys, "geometry"]
    assert got["class_id"].tolist() == [1, 1]
    assert sorted(got["highway"]) == ["primary", "residential"]
    # 200 m of the first inside the grid, 300 m of the second.
    assert sorted(got.length) == pytest.approx([200, 300], abs=0.1)


def test_margin_keeps_what_the_widening_reaches(tmp_path: Path, world: geopandas.GeoDataFrame) -> None:
    path = tmp_path / "roads.parquet"
    world.to_parquet(path)
    got = read_features(path, ROADS, GRID, margin_px=2)
    assert sorted(got.length) == pytest.approx([220, 320])
    assert got.total_bounds.tolist() == [LEFT - 20, BOTTOM - 20, LEFT + 300, TOP]


def test_class_by_tags_and_geometry(tmp_path: Path, world: geopandas.GeoDataFrame) -> None:
    # An area tagged as a highway (a square) is no road: the class wants lines.
    world.loc[3, "highway"] = "pedestrian"
    path = tmp_path / "world.parquet"
    world.to_parquet(path)
    got = read_features(path, WET, GRID)
    assert sorted(got["class_id"]) == [1, 2, 2, 2, 2]
    lake = got[got["class_id"] == 1].geometry.iloc[0]
    assert lake.area == pytest.approx(100 * 100)


def test_all_layers_of_a_geopackage_count(tmp_path: Path, world: geopandas.GeoDataFrame) -> None:
    path = tmp_path / "world.gpkg"
    lines = world.geom_type == "LineString"
    world[lines].to_file(path, layer="lines")
    world[~lines].to_crs("EPSG:4326").to_file(path, layer="areas")
    assert sorted(read_features(path, WET, GRID)["class_id"]) == [1, 2, 2, 2, 2]


def test_a_layer_that_was_copied_counts_once(tmp_path: Path, world: geopandas.GeoDataFrame) -> None:
    path = tmp_path / "world.gpkg"
    for layer in ("roads", "roads copy"):
        world.to_file(path, layer=layer)
    renamed = world.assign(highway=world["highway"].replace("primary", "secondary"))
    renamed.to_file(path, layer="another day")
    got = read_features(path, ROADS, GRID)
    assert sorted(got["highway"]) == ["primary", "residential", "secondary"]


def test_broken_and_mixed_geometry_is_mended(tmp_path: Path) -> None:
    bow = Polygon([at(2, 2), at(8, 8), at(8, 2), at(2, 8)])  # crosses itself
    many = MultiPolygon([box(*at(20, 1), *at(15, 5)), box(*at(20, 50), *at(15, 55))])
    high = shapely.force_3d(box(*at(29, 30), *at(25, 35)), 12.0)
    path = tmp_path / "lakes.parquet"
    table(natural=["water"] * 5, geometry=[bow, many, high, None, Polygon()]).to_parquet(path)
    got = read_features(path, WET, GRID)
    assert got.is_valid.all()
    assert not got.has_z.any()
    # Two triangles of 6 x 3 / 2 px, 4 x 5 px (the other part is outside), 5 x 4 px; 100 m2 a px.
    assert got.area.sum() == pytest.approx(100 * (2 * 9 + 20 + 20))


def test_numbers_and_truth_values_read_as_tags(tmp_path: Path) -> None:
    legend = parse_yaml(
        'name: codes\nclasses:\n  - {id: 0, name: rest, color: "#000000"}\n'
        '  - {id: 1, name: road, color: "#ffffff", geometry: line, tags: {code: ["7"]},'
        ' exclude: {tunnel: ["yes"]}}\n',
        Legend,
        "codes.yaml",
    )
    path = tmp_path / "roads.parquet"
    roads = [line((k, 1), (k, 9)) for k in (3, 6, 9)]
    table(code=[7, 7, 8], tunnel=[False, True, False], geometry=roads).to_parquet(path)
    assert len(read_features(path, legend, GRID)) == 1


LOCAL = 'LOCAL_CS["site",UNIT["metre",1]]'


def test_unusable_labels_are_one_clear_line(tmp_path: Path, world: geopandas.GeoDataFrame) -> None:
    def written(frame: geopandas.GeoDataFrame, name: str) -> Path:
        frame.to_parquet(tmp_path / name)
        return tmp_path / name

    cases = [
        (tmp_path / "gone.gpkg", "no such file"),
        (written(world.iloc[5:], "far.parquet"), "labels do not overlap the image, which spans"),
        (written(world.iloc[2:3], "paths.parquet"), "none of the 1 features .*highway=footway"),
        (written(world[["geometry"]], "bare.parquet"), "looks at the columns .* the file has none"),
        (written(world.set_crs(None, allow_override=True), "nowhere.parquet"), "no coordinate sys"),
        (written(world.set_crs(LOCAL, allow_override=True), "local.parquet"), "nobody knows how"),
    ]
    for name in ("notes.txt", "broken.gpkg", "broken.parquet", "broken.geojson"):
        (tmp_path / name).write_text("not vectors")
    cases += [
        (tmp_path / "notes.txt", "unknown kind of vector file; known are .parquet"),
        (tmp_path / "broken.gpkg", "not readable as vector features"),
        (tmp_path / "broken.parquet", "not readable as vector features"),
        (tmp_path / "broken.geojson", "not readable as vector features"),
    ]
    for path, message in cases:
        with pytest.raises(InputError, match=message) as error:
            read_features(path, ROADS, GRID)
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)


def test_polygons(tmp_path: Path, world: geopandas.GeoDataFrame) -> None:
    areas, lines = tmp_path / "areas.geojson", tmp_path / "lines.geojson"
    world.iloc[3:4].to_crs("EPSG:4326").to_file(areas)
    world.iloc[:2].to_crs("EPSG:4326").to_file(lines)
    assert burn_mask(read_polygons(areas, GRID), GRID).sum() == 100
    with pytest.raises(InputError, match="expected polygons, got LineString"):
        read_polygons(lines, GRID)


# --- OpenStreetMap extracts ------------------------------------------------------------------


def write_osm(path: Path, *, shuffled: bool = False) -> Path:
    """A road, a path, a road with a missing node, a lake as a closed way, an island's lake."""
    corners = {
        1: (5, 2), 2: (5, 30), 3: (8, 2), 4: (8, 30),
        11: (10, 5), 12: (10, 15), 13: (20, 15), 14: (20, 5),
        21: (22, 20), 22: (22, 30), 23: (28, 30), 24: (28, 20),
        31: (24, 22), 32: (24, 24), 33: (26, 24), 34: (26, 22),
    }  # fmt: skip
    points = geopandas.GeoSeries([Point(at(*p)) for p in corners.values()], crs=UTM)
    degrees = points.to_crs("EPSG:4326")
    nodes = [
        f'<node id="{n}" version="1" lat="{p.y:.7f}" lon="{p.x:.7f}"/>'
        for n, p in zip(corners, degrees, strict=True)
    ]

    def way(number: int, refs: list[int], **tags: str) -> str:
        inside = "".join(f'<nd ref="{ref}"/>' for ref in refs)
        inside += "".join(f'<tag k="{k}" v="{v}"/>' for k, v in tags.items())
        return f'<way id="{number}" version="1">{inside}</way>'

    ways = [
        way(1, [1, 2], highway="residential"),
        way(2, [3, 4], highway="footway"),
        way(3, [1, 99], highway="primary"),
        way(4, [11, 12, 13, 14, 11], natural="water"),
        way(5, [21, 22, 23, 24, 21]),
        way(6, [31, 32, 33, 34, 31]),
    ]
    relation = (
        '<relation id="1" version="1"><member type="way" ref="5" role="outer"/>'
        '<member type="way" ref="6" role="inner"/><tag k="type" v="multipolygon"/>'
        '<tag k="natural" v="water"/></relation>'
    )
    body = [*nodes, *(reversed(ways) if shuffled else ways), relation]
    text = f'<osm version="0.6" generator="hand">{"".join(body)}</osm>'
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["a.osm", "a.osm.gz", "a.osm.pbf"])
def test_osm_extract(tmp_path: Path, name: str) -> None:
    osmium = pytest.importorskip("osmium")
    path = write_osm(tmp_path / name.replace(".pbf", ""))
    if name.endswith(".pbf"):
        with osmium.SimpleWriter(str(tmp_path / name)) as writer:
            osmium.apply(str(path), writer)
        path = tmp_path / name
    roads = read_features(path, ROADS, GRID)
    assert roads["highway"].tolist() == ["residential"]
    assert roads.length.tolist() == pytest.approx([280], abs=0.1)

    both = read_features(path, WET, GRID)
    assert both["class_id"].value_counts().to_dict() == {1: 2, 2: 2}  # `*`: the path too
    # 10 x 10 px, and 6 x 10 px with an island of 2 x 2 px.
    areas = both[both["class_id"] == 1].area
    assert sorted(areas) == pytest.approx([5600, 10_000], rel=1e-3)


def test_osm_of_an_editor_may_be_in_any_order(tmp_path: Path) -> None:
    pytest.importorskip("osmium")
    ordered = read_features(write_osm(tmp_path / "a.osm"), WET, GRID)
    shuffled = read_features(write_osm(tmp_path / "b.osm", shuffled=True), WET, GRID)
    assert shuffled.area.sum() == pytest.approx(ordered.area.sum())
    assert len(shuffled) == len(ordered)


def test_broken_osm_and_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("osmium")
    broken = tmp_path / "a.osm.pbf"
    broken.write_text("no pbf")
    with pytest.raises(InputError, match="not readable as an OpenStreetMap extract"):
        read_features(broken, ROADS, GRID)
    with pytest.raises(InputError, match="no such file"):
        read_features(tmp_path / "gone.osm", ROADS, GRID)
    monkeypatch.setitem(sys.modules, "osmium", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'swath\[osm\]'"):
        read_features(broken, ROADS, GRID)


# --- real files ------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("full/helsinki-centre.osm.pbf", (24.938, 60.166, 24.952, 60.176)),
        ("full/monaco.osm.gz", (7.415, 43.730, 7.430, 43.745)),
        ("full/lauf.osm", (11.148, 49.463, 11.166, 49.469)),
        ("roads-only/columbus.osm.pbf", (-83.01, 39.95, -82.99, 39.97)),
        ("roads-only/wuhan.parquet", None),
    ],
)
def test_real_osm_gives_roads(
    data_dir: Path, name: str, bounds: tuple[float, float, float, float] | None
) -> None:
    path = data_dir / "osm" / name
    if bounds is None:
        centre = geopandas.read_parquet(path).to_crs("EPSG:4326").geometry.iloc[1000].centroid
        bounds = (centre.x - 0.01, centre.y - 0.01, centre.x + 0.01, centre.y + 0.01)
    grid = Grid.from_lonlat(bounds)
    roads = read_features(path, ROADS, grid, margin_px=1)
    margin = 10 + 1e-6
    left, bottom, right, top = grid.bounds
    got = roads.total_bounds
    assert left - margin <= got[0] < got[2] <= right + margin
    assert bottom - margin <= got[1] < got[3] <= top + margin
    share = (burn(roads, ROADS, grid, Widening()) == 1).mean()
    assert 0.03 < share < 0.7
