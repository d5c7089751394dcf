"""OpenStreetMap in all the forms it comes in: extracts and their edges, histories."""

import collections
import datetime as dt
import gzip
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pyarrow.parquet
import pyogrio
import pytest
import rasterio
import shapely
from shapely import LineString, box
from shapely.geometry.base import BaseGeometry

from swath.cli import run
from swath.dataset.build import build_dataset
from swath.dataset.site import read_labels
from swath.errors import InputError
from swath.grid import Bounds, Grid, transform_bounds
from swath.labels.features import read_features, read_near
from swath.labels.osm import FeatureSource, read_extract
from swath.labels.source import LabelSettings, read_labels_source
from swath.legend import read_legend

osmium = pytest.importorskip("osmium")

ROADS = read_legend("roads")
WATER = read_legend("water")
LANDCOVER = read_legend("landcover")
EARTH: Bounds = (-180, -90, 180, 90)
GRID = Grid.from_lonlat((24.0, 60.0, 24.03, 60.01))
SceneWriter = Callable[..., Path]


def points(geometry: BaseGeometry) -> list[tuple[float, float]]:
    return [(round(x, 6), round(y, 6)) for x, y in geometry.coords]


def found(extract: FeatureSource) -> dict[str, list[tuple[float, float]]]:
    """Highway -> points of the (only) line of that class."""
    frame = extract.features
    assert frame["highway"].is_unique
    return {h: points(g) for h, g in zip(frame["highway"], frame.geometry, strict=True)}


def incomplete(path: Path) -> int:
    """How many roads of an extract lack a node or more."""
    import osmium

    ways = osmium.FileProcessor(path).with_locations()
    roads = ways.with_filter(osmium.filter.KeyFilter("highway"))
    return sum(
        not all(node.location.valid() for node in road.nodes)
        for road in roads.with_filter(osmium.filter.EntityFilter(osmium.osm.WAY))
    )


def write_xml(path: Path, ways: str, bounds: str = "") -> Path:
    """Nodes 1..4 along 60.0 N (24.00, 24.01, 24.02, 24.03 E), and these ways."""
    nodes = "".join(
        f'<node id="{n}" version="1" lat="60.004" lon="{24 + (n - 1) / 100:.2f}"/>' for n in range(1, 5)
    )
    text = f'<osm version="0.6" generator="hand">{bounds}{nodes}{ways}</osm>'
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def way(number: int, refs: list[int], **tags: str) -> str:
    inside = "".join(f'<nd ref="{ref}"/>' for ref in refs)
    inside += "".join(f'<tag k="{k}" v="{v}"/>' for k, v in tags.items())
    return f'<way id="{number}" version="1">{inside}</way>'


# --- edges, tunnels, bridges, squares --------------------------------------------------------


def test_what_is_left_of_a_way_at_the_edge_is_kept(tmp_path: Path) -> None:
    path = write_xml(
        tmp_path / "a.osm",
        way(1, [1, 2, 98, 3, 4], highway="primary")  # a gap in the middle
        + way(2, [99, 1, 2], highway="tertiary")  # begins outside
        + way(3, [97, 1, 98], highway="residential"),  # one node only
    )
    extract = read_extract(path, ROADS, EARTH)
    got = sorted(
        (h, points(g)) for h, g in zip(extract.features["highway"], extract.features.geometry, strict=True)
    )
    assert got == [
        ("primary", [(24.0, 60.004), (24.01, 60.004)]),
        ("primary", [(24.02, 60.004), (24.03, 60.004)]),
        ("tertiary", [(24.0, 60.004), (24.01, 60.004)]),
    ]
    assert incomplete(path) == 3


def test_bridges_stay_tunnels_and_squares_go(tmp_path: Path) -> None:
    path = write_xml(
        tmp_path / "a.osm",
        way(1, [1, 2], highway="primary", bridge="yes")
        + way(2, [2, 3], highway="primary", tunnel="yes")
        + way(3, [3, 4], highway="secondary", tunnel="no")
        + way(4, [1, 2, 3, 1], highway="residential", area="yes")
        + way(5, [1, 2, 4, 1], highway="tertiary", junction="roundabout"),
    )
    for name in ("roads", "roads-by-class"):
        kept = read_features(path, read_legend(name), GRID)
        assert sorted(kept["highway"]) == ["primary", "secondary", "tertiary"]
        assert (kept.geom_type == "LineString").all()  # a roundabout is a line, not a disc


def test_the_extent_and_the_day_come_from_the_header(tmp_path: Path) -> None:
    bounds = '<bounds minlat="60.0" minlon="24.0" maxlat="60.01" maxlon="24.015"/>'
    path = write_xml(tmp_path / "a.osm.gz", way(1, [1, 4], highway="primary"), bounds)
    extract = read_extract(path, ROADS, EARTH)
    assert extract.extent == pytest.approx((24.0, 60.0, 24.015, 60.01))
    assert extract.date is None
    bare = read_extract(write_xml(tmp_path / "b.osm", way(1, [1, 4], highway="trunk")), ROADS, EARTH)
    assert bare.extent is None


def test_outside_the_extract_nothing_is_known(tmp_path: Path, write_scene: SceneWriter) -> None:
    write_xml(
        tmp_path / "half.osm",
        way(1, [1, 4], highway="primary"),
        '<bounds minlat="59.9" minlon="23.9" maxlat="60.1" maxlon="24.015"/>',
    )
    write_xml(tmp_path / "whole.osm", way(1, [1, 4], highway="primary"))
    sites = write_sites(tmp_path, write_scene, "labels: half.osm")
    half = read_labels(build_dataset(sites, tmp_path / "half").site("town"))
    sites.write_text(sites.read_text().replace("half.osm", "whole.osm"))
    whole = read_labels(build_dataset(sites, tmp_path / "whole").site("town"))
    assert not (whole == 255).any()
    middle = half.shape[1] // 2
    np.testing.assert_array_equal(half[:, : middle - 3], whole[:, : middle - 3])
    assert (half[:, middle + 3 :] == 255).all()
    # On the grid the meridian leans; every row changes over once.
    assert (np.diff((half == 255).astype(int), axis=1) == 1).sum(axis=1).tolist() == [1] * len(half)


def write_sites(folder: Path, write_scene: SceneWriter, labels: str) -> Path:
    """A sites file with one town on GRID and one date."""
    pixels = np.full((3, *GRID.shape), 700, np.uint16)
    write_scene(folder / "2019-07-04.tif", pixels, GRID, ("B04", "B03", "B02"))
    path = folder / "sites.yaml"
    path.write_text(
        "image: {encoding: reflectance}\nattribution: Copernicus\nsites:\n  town:\n"
        f"    scenes: [{{path: 2019-07-04.tif}}]\n    split: train\n    {labels}\n"
    )
    return path


# --- full history ----------------------------------------------------------------------------


def at(date: str) -> dt.datetime:
    return dt.datetime.fromisoformat(date).replace(tzinfo=dt.UTC)


def write_history(path: Path, until: str = "") -> Path:
    """Four nodes, two ways, a lake: moved, split, retagged, deleted, each on a known day."""
    new = osmium.osm.mutable
    header = osmium.io.Header()
    header.has_multiple_object_versions = True
    if until:
        header.set("osmosis_replication_timestamp", f"{until}T00:00:00Z")

    def node(number: int, version: int, day: str, lon: float, lat: float) -> object:
        return new.Node(id=number, version=version, timestamp=at(day), location=(lon, lat), visible=True)

    def gone(kind: type, number: int, version: int, day: str) -> object:
        return kind(id=number, version=version, timestamp=at(day), visible=False)

    def line(number: int, version: int, day: str, refs: list[int], **tags: str) -> object:
        return new.Way(id=number, version=version, timestamp=at(day), nodes=refs, tags=tags, visible=True)

    lake = [(24.0, 60.0), (24.01, 60.0), (24.01, 60.005), (24.0, 60.005)]
    with osmium.SimpleWriter(str(path), header=header) as writer:
        writer.add_node(node(1, 1, "2010-01-01", 24.0, 60.0))
        writer.add_node(node(2, 1, "2010-01-01", 24.01, 60.0))
        writer.add_node(node(2, 2, "2012-06-01", 24.01, 60.005))
        writer.add_node(gone(new.Node, 2, 3, "2016-01-01"))
        writer.add_node(node(3, 1, "2010-01-01", 24.02, 60.0))
        writer.add_node(node(4, 1, "2014-01-01", 24.03, 60.0))
        for number, (lon, lat) in enumerate(lake, start=11):
            writer.add_node(node(number, 1, "2010-01-01", lon, lat))
            if number == 13:
                writer.add_node(node(13, 2, "2015-03-01", 24.02, 60.005))
        writer.add_way(line(1, 1, "2010-02-01", [1, 2, 3], highway="residential"))
        writer.add_way(line(1, 2, "2014-02-01", [1, 2, 3, 4], highway="primary"))
        writer.add_way(line(1, 3, "2015-12-31", [1, 3, 4], highway="primary"))
        writer.add_way(line(1, 4, "2018-01-01", [1, 3, 4], highway="footway"))
        writer.add_way(  # some deletions keep what they delete
            new.Way(
                id=1,
                version=5,
                timestamp=at("2019-01-01"),
                nodes=[1, 3, 4],
                tags={"highway": "footway"},
                visible=False,
            )
        )
        writer.add_way(line(2, 1, "2011-01-01", [3, 1]))
        writer.add_way(line(2, 2, "2013-01-01", [3, 1], highway="tertiary"))
        writer.add_way(line(2, 3, "2017-01-01", [3, 1], highway="tertiary", tunnel="yes"))
        writer.add_way(line(5, 1, "2010-01-01", [11, 12, 13, 14, 11]))
        writer.add_relation(
            new.Relation(
                id=1,
                version=1,
                timestamp=at("2013-03-01"),
                visible=True,
                members=[("w", 5, "outer")],
                tags={"type": "multipolygon", "natural": "water"},
            )
        )
        writer.add_relation(gone(new.Relation, 1, 2, "2017-03-01"))
    return path


A, B, B_MOVED = (24.0, 60.0), (24.01, 60.0), (24.01, 60.005)
C, D = (24.02, 60.0), (24.03, 60.0)

HISTORY: list[tuple[str, dict[str, list[tuple[float, float]]]]] = [
    ("2010-01-31", {}),
    ("2010-02-01", {"residential": [A, B, C]}),  # 0:00 of the day it was made
    ("2012-05-31", {"residential": [A, B, C]}),
    ("2012-06-01", {"residential": [A, B_MOVED, C]}),  # a node moved, the way is as it was
    ("2013-01-02", {"residential": [A, B_MOVED, C], "tertiary": [C, A]}),  # a way gets its tag
    ("2014-01-31", {"residential": [A, B_MOVED, C], "tertiary": [C, A]}),
    ("2014-02-01", {"primary": [A, B_MOVED, C, D], "tertiary": [C, A]}),  # longer, and retagged
    ("2016-06-01", {"primary": [A, C, D], "tertiary": [C, A]}),  # without the deleted node
    ("2018-06-01", {"footway": [A, C, D], "tertiary": [C, A]}),
    ("2019-06-01", {"tertiary": [C, A]}),  # deleted
]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("history") / "town.osh.pbf", until="2020-01-01")


@pytest.mark.parametrize(("day", "expected"), HISTORY)
def test_the_state_of_a_day_by_hand(
    history: Path, day: str, expected: dict[str, list[tuple[float, float]]]
) -> None:
    extract = read_extract(history, ROADS, EARTH, dt.date.fromisoformat(day))
    assert found(extract) == expected
    assert extract.date == dt.date.fromisoformat(day)


def test_tags_of_the_day_decide(history: Path) -> None:
    before = read_near(history, ROADS, EARTH, dt.date(2016, 12, 31)).features
    after = read_near(history, ROADS, EARTH, dt.date(2017, 1, 1)).features
    assert before.set_index("highway")["tunnel"].to_dict() == {"primary": None, "tertiary": None}
    assert after.set_index("highway")["tunnel"].to_dict() == {"primary": None, "tertiary": "yes"}


@pytest.mark.parametrize(
    ("day", "shape"),
    [
        ("2013-02-28", None),
        ("2013-03-01", box(24.0, 60.0, 24.01, 60.005)),
        # Its south-east corner stays, its north-east one moves: a trapezium.
        ("2015-03-01", LineString([(24.0, 60.0), (24.01, 60.0), (24.02, 60.005), (24.0, 60.005)])),
        ("2017-03-01", None),
    ],
)
def test_areas_of_a_day(history: Path, day: str, shape: BaseGeometry | None) -> None:
    frame = read_extract(history, WATER, EARTH, dt.date.fromisoformat(day)).features
    if shape is None:
        assert frame.empty
    else:
        expected = shape if shape.geom_type == "Polygon" else shape.convex_hull
        assert frame.geometry.iloc[0].symmetric_difference(expected).area < 1e-12


def test_history_and_day_belong_together(tmp_path: Path, history: Path) -> None:
    plain = write_xml(tmp_path / "a.osm", way(1, [1, 2], highway="primary"))
    table = tmp_path / "a.geojson"
    table.write_text('{"type": "FeatureCollection", "features": []}')
    renamed = tmp_path / "renamed.osm.pbf"
    renamed.write_bytes(history.read_bytes())
    day = dt.date(2016, 1, 1)
    cases: list[tuple[Path, dt.date | None, str]] = [
        (history, None, "full-history file .* say which day is wanted"),
        (renamed, None, "full-history file .* say which day is wanted"),
        (plain, day, "as_of needs a full-history file"),
        (table, day, "as_of needs a full-history"),
        (history, dt.date(2020, 1, 2), "the history ends 2020-01-01, before the 2020-01-02"),
    ]
    for path, as_of, message in cases:
        with pytest.raises(InputError, match=message) as error:
            read_near(path, ROADS, EARTH, as_of)
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)
    settings = LabelSettings(path=history.name, as_of=dt.date(2010, 1, 31))
    with pytest.raises(InputError, match="labels as of 2010-01-31 do not overlap"):
        read_labels_source(settings, ROADS, GRID, history.parent)


def test_a_history_that_is_not_one(tmp_path: Path) -> None:
    new = osmium.osm.mutable
    tags = {"highway": "primary"}
    undated, unsorted = tmp_path / "undated.osh.pbf", tmp_path / "unsorted.osh.pbf"
    with osmium.SimpleWriter(str(undated)) as writer:
        writer.add_way(new.Way(id=1, version=1, nodes=[1, 2], tags=tags, visible=True))
    with osmium.SimpleWriter(str(unsorted)) as writer:
        for number in (2, 1):
            writer.add_way(new.Way(id=number, version=1, timestamp=at("2010-01-01"), nodes=[1, 2], tags=tags))
    for path, message in ((undated, "have no dates"), (unsorted, "must be sorted")):
        with pytest.raises(InputError, match=message):
            read_extract(path, ROADS, EARTH, dt.date(2016, 1, 1))


def test_a_dataset_as_of_a_day(tmp_path: Path, write_scene: SceneWriter) -> None:
    write_history(tmp_path / "town.osh.pbf")
    labels = "labels: {path: town.osh.pbf, as_of: 2016-06-01}"
    dataset = build_dataset(write_sites(tmp_path, write_scene, labels), tmp_path / "out")
    town = dataset.site("town")
    assert dataset.attribution == "Copernicus; (c) OpenStreetMap contributors, ODbL 1.0"
    with rasterio.open(town.labels) as source:
        tags = source.tags()
    assert tags["LABELS_DATE"] == "2016-06-01"
    assert tags["LABELS_SOURCE"] == "town.osh.pbf"
    assert tags["TIFFTAG_COPYRIGHT"] == "(c) OpenStreetMap contributors, ODbL 1.0"
    assert town.roads is not None
    roads = geopandas.read_parquet(town.roads)
    assert sorted(roads["highway"]) == ["primary", "tertiary"]
    assert roads.attrs["attribution"] == "(c) OpenStreetMap contributors, ODbL 1.0"
    assert roads.attrs["date"] == "2016-06-01"


# --- cut and unknown files -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.osm", "a.osm.gz", "a.osm.pbf", "a.osh.pbf"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.98])
def test_a_cut_extract_is_one_clear_line(tmp_path: Path, name: str, share: float) -> None:
    whole = tmp_path / f"whole-{name}"
    ways = "".join(way(n, [1, 2, 3, 4], highway="primary") for n in range(1, 400))
    if name == "a.osh.pbf":
        write_history(whole)
    elif name == "a.osm.pbf":
        with osmium.SimpleWriter(str(whole)) as writer:
            osmium.apply(str(write_xml(tmp_path / "xml.osm", ways)), writer)
    else:
        write_xml(whole, ways)
    path = tmp_path / name
    path.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    as_of = dt.date(2016, 1, 1) if "osh" in name else None
    with pytest.raises(InputError, match="not readable as an OpenStreetMap extract") as error:
        read_near(path, ROADS, EARTH, as_of)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["fgb", "gpkg", "geojson", "parquet"])
def test_a_cut_vector_file_is_one_true_line(tmp_path: Path, suffix: str) -> None:
    # 500 roads: of a FlatGeobuf, 1 % ends in the header, 2 to 30 % in the index.
    roads = [shapely.LineString([(n / 1000, 0), (n / 1000, 1)]) for n in range(500)]
    frame = geopandas.GeoDataFrame({"highway": ["primary"] * 500}, geometry=roads, crs=4326)
    whole = tmp_path / f"whole.{suffix}"
    frame.to_parquet(whole) if suffix == "parquet" else frame.to_file(whole)
    assert len(read_near(whole, ROADS, EARTH).features) == 500
    assert read_near(whole, ROADS, (50.0, 50.0, 51.0, 51.0)).features.empty
    path = tmp_path / f"cut.{suffix}"
    for share in (0.01, 0.02, 0.1, 0.3, 0.5, 0.9, 0.999):
        path.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        with pytest.raises(InputError, match="not readable as vector features") as error:
            read_near(path, ROADS, EARTH)
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("lat", ["x", "", "1,5"])
def test_a_coordinate_that_is_no_number_is_one_clear_line(tmp_path: Path, lat: str) -> None:
    path = tmp_path / "a.osm"
    path.write_text(
        f'<osm version="0.6"><node id="1" lat="{lat}" lon="0"/><node id="2" lat="1" lon="1"/>'
        '<way id="7"><nd ref="1"/><nd ref="2"/><tag k="highway" v="primary"/></way></osm>'
    )
    with pytest.raises(InputError, match="not readable as an OpenStreetMap extract") as error:
        read_near(path, ROADS, EARTH)
    assert "\n" not in str(error.value)


def test_an_entity_bomb_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "bomb.osm"
    entities = "".join(
        f'<!ENTITY l{n} "{"&l" + str(n - 1) + ";"}{"&l" + str(n - 1) + ";"}">' for n in range(1, 40)
    )
    path.write_text(
        f'<!DOCTYPE osm [<!ENTITY l0 "lol">{entities}]><osm version="0.6">'
        '<node id="1" version="1" lat="0" lon="0"><tag k="a" v="&l39;"/></node></osm>'
    )
    with pytest.raises(InputError, match="not readable as an OpenStreetMap extract"):
        read_features(path, ROADS, GRID)


def test_bad_labels_are_exit_2_on_the_command_line(
    tmp_path: Path, write_scene: SceneWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.osm.pbf").write_bytes(b"\0\0\0\x0d")
    sites = write_sites(tmp_path, write_scene, "labels: cut.osm.pbf")
    assert run(["build", str(sites), "--out", str(tmp_path / "out"), "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip().splitlines()[-1].startswith("error: ")
    assert "not readable as an OpenStreetMap extract" in captured.err
    assert not (tmp_path / "out").exists()


# --- real extracts, two readers --------------------------------------------------------------

EXTRACTS = [
    *(f"full/{name}" for name in (
        "andorra.osm.pbf", "campo-grande.osm.gz", "helsinki-centre.osm.pbf", "lauf.osm",
        "liechtenstein.osm.pbf", "monaco.osm.gz", "moscow-crop.osm.gz", "north-bayreuth.osm.gz",
    )),
    *(f"roads-only/{name}" for name in (
        "columbus.osm.pbf", "porto.osm.pbf", "sao-paulo-centre.osm.pbf",
    )),
]  # fmt: skip


def roads_by_gdal(path: Path) -> geopandas.GeoDataFrame:
    """The lines of the legend `roads`, by GDAL's own reader of OpenStreetMap."""
    source = f"/vsigzip/{path}" if path.suffix == ".gz" else str(path)
    # Editors' files are in no order, which GDAL's own index needs.
    pyogrio.set_gdal_config_options({"OSM_USE_CUSTOM_INDEXING": "NO"})
    try:
        lines = pyogrio.read_dataframe(source, layer="lines", where="highway IS NOT NULL")
    finally:
        pyogrio.set_gdal_config_options({"OSM_USE_CUSTOM_INDEXING": None})
    chosen = []
    for highway, others in zip(lines["highway"], lines["other_tags"], strict=True):
        text = others if isinstance(others, str) else ""
        tags = dict(part.split('"=>"', 1) for part in text.strip('"').split('","') if part)
        chosen.append(ROADS.classify({"highway": highway, **tags}) is not None)
    return lines[chosen]


def counts(frame: geopandas.GeoDataFrame) -> tuple[dict[str, int], dict[str, int]]:
    """Highway -> number of lines: open ones, and those that end where they begin."""
    closed = frame[frame.geometry.is_closed]["highway"].value_counts().to_dict()
    return frame[~frame.geometry.is_closed]["highway"].value_counts().to_dict(), closed


@pytest.mark.data
@pytest.mark.parametrize("name", EXTRACTS)
def test_two_readers_count_the_same_roads(data_dir: Path, name: str) -> None:
    path = data_dir / "osm" / name
    extract = read_extract(path, ROADS, EARTH)
    frame = extract.features
    tags = frame.drop(columns="geometry").to_dict("records")
    ours, rings = counts(frame[[ROADS.classify(t) is not None for t in tags]])
    theirs, their_rings = counts(roads_by_gdal(path))
    assert sum(theirs.values()) > 10
    if incomplete(path) == 0:
        assert ours == theirs
        # What is a building or a car park as well as a road is no line to GDAL: two in Porto.
        assert 0 <= sum(rings.values()) - sum(their_rings.values()) <= 2
    else:
        # GDAL draws a way over its missing nodes, here it is left in pieces.
        assert sum(ours.values()) == pytest.approx(sum(theirs.values()), abs=incomplete(path))


@pytest.mark.data
@pytest.mark.parametrize("name", ["aleppo", "bucaramanga", "douala", "liege", "wuhan"])
def test_two_readers_count_the_same_roads_in_parquet(data_dir: Path, name: str) -> None:
    path = data_dir / "osm" / "roads-only" / f"{name}.parquet"
    table = pyarrow.parquet.read_table(path)
    theirs = collections.Counter(str(v) for v in table["highway"].to_pylist() if v is not None)
    crs = geopandas.read_parquet(path, columns=["geometry"]).crs
    bounds = shapely.total_bounds(shapely.from_wkb(table["geometry"].to_pylist()))
    box_deg = transform_bounds(tuple(bounds), crs.to_wkt(), "EPSG:4326")
    frame = read_near(path, ROADS, box_deg).features
    ours = collections.Counter(frame["highway"].dropna())
    assert ours == theirs
    assert sum(ours.values()) > 1000
