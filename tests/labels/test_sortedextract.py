"""OpenStreetMap files as editors and servers leave them: only what exists, and all of it."""

import bz2
import gzip
from pathlib import Path

import geopandas
import pytest
import shapely

from swath.errors import InputError
from swath.grid import Grid
from swath.labels.osm import read_extract
from swath.labels.source import LabelSettings, read_labels_source
from swath.legend import read_legend

osmium = pytest.importorskip("osmium")

ROADS, LANDCOVER = read_legend("roads"), read_legend("landcover")
BOX = (24.0, 60.0, 24.03, 60.01)


def node(number: int, lon: float, lat: float = 60.004, more: str = "") -> str:
    return f"<node id='{number}' version='1' lat='{lat}' lon='{lon}' {more}/>"


def way(number: int, refs: list[int], more: str = "", highway: str = "primary") -> str:
    nodes = "".join(f"<nd ref='{ref}'/>" for ref in refs)
    return f"<way id='{number}' version='1' {more}>{nodes}<tag k='highway' v='{highway}'/></way>"


def written(path: Path, *objects: str) -> Path:
    text = f"<osm version='0.6' generator='hand'>{''.join(objects)}</osm>".encode()
    packed = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)
    path.write_bytes(packed(text))
    return path


def lengths(path: Path) -> list[float]:
    """Of the lines, in degrees."""
    features: geopandas.GeoDataFrame = read_extract(path, ROADS, BOX).features
    return sorted(round(line.length, 6) for line in features.geometry)


@pytest.mark.parametrize("suffix", [".osm", ".osm.gz", ".osm.bz2"])
def test_objects_in_any_order_and_drawn_anew(tmp_path: Path, suffix: str) -> None:
    nodes = (node(1, 24.001), node(2, 24.003), node(-1, 24.011), node(-2, 24.015))
    ways = (way(1, [1, 2]), way(-7, [-1, -2]))
    assert lengths(written(tmp_path / f"a{suffix}", *nodes, *ways)) == [0.002, 0.004]
    assert lengths(written(tmp_path / f"b{suffix}", *reversed(ways), *nodes)) == [0.002, 0.004]
    mixed = written(tmp_path / f"c{suffix}", nodes[0], *ways, nodes[3], nodes[2], nodes[1])
    assert lengths(mixed) == [0.002, 0.004]


def test_areas_whose_relation_stands_first(tmp_path: Path) -> None:
    corners = [node(-k, *at) for k, at in enumerate(((24.0, 60.0), (24.01, 60.0), (24.01, 60.01)), 1)]
    relation = (
        "<relation id='-9' version='1'><member type='way' ref='-5' role='outer'/>"
        "<tag k='type' v='multipolygon'/><tag k='natural' v='water'/></relation>"
    )
    ring = "<way id='-5' version='1'>" + "".join(f"<nd ref='-{k}'/>" for k in (1, 2, 3, 1)) + "</way>"
    extract = read_extract(written(tmp_path / "a.osm", relation, ring, *corners), LANDCOVER, BOX)
    assert shapely.area(extract.features.geometry.values).sum() == pytest.approx(0.01**2 / 2)


def test_what_an_editor_has_deleted_is_gone(tmp_path: Path) -> None:
    nodes = [node(k, 24.0 + k / 1000) for k in range(1, 9)]
    ways = [
        way(1, [1, 2]),
        way(2, [1, 4], "action='delete'"),
        way(3, [1, 5], "visible='false'"),
        way(4, [1, 7], 'action="modify"'),
        way(-5, [1, 8], 'action = "delete"'),
    ]
    assert lengths(written(tmp_path / "a.osm", *nodes, *ways)) == [0.001, 0.006]


def test_entities_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.osm"
    way_1 = way(1, [1, 2], "action='delete'")
    path.write_text(
        "<!DOCTYPE osm [<!ENTITY a 'b'>]><osm version='0.6' generator='hand'>"
        f"{node(1, 24.001)}{node(2, 24.003)}{way_1}</osm>"
    )
    with pytest.raises(InputError, match="not readable as an OpenStreetMap extract"):
        read_extract(path, ROADS, BOX)


def test_a_place_without_any_road_has_no_features(tmp_path: Path) -> None:
    grid = Grid.from_lonlat(BOX)
    path = written(tmp_path / "a.osm", node(1, 23.9), node(2, 24.1, 60.1), node(3, 24.001), node(4, 24.002))
    settings = LabelSettings(path=path.name)
    assert read_labels_source(settings, ROADS, grid, tmp_path).features.empty
    written(path, node(1, 24.001), node(2, 24.002), way(1, [1, 2], highway="footway"))
    assert read_labels_source(settings, ROADS, grid, tmp_path).features.empty
    written(path, node(1, 25.001), node(2, 25.002), way(1, [1, 2]))
    with pytest.raises(InputError, match="do not overlap the image"):
        read_labels_source(settings, ROADS, grid, tmp_path)
    assert read_labels_source(settings, ROADS, grid, tmp_path, complete=True).features.empty
    empty = tmp_path / "none.geojson"
    empty.write_text('{"type": "FeatureCollection", "features": []}')
    assert read_labels_source(LabelSettings(path=empty.name), ROADS, grid, tmp_path).features.empty
