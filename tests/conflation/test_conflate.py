"""A map beside OpenStreetMap: what only one has, what it may be instead, and the files for mappers."""

import datetime as dt
import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from affine import Affine

import swath
from support.drawn_maps import write_maps
from swath import cli
from swath.conflation.candidates import CONSTANT, WEIGHTS, confidence, joined_ends
from swath.conflation.profile import measure_lines
from swath.errors import OutputExistsError, SettingsError
from swath.grid import Grid
from swath.groundsize import metres_per_unit
from swath.legend import read_legend
from swath.maps.maps import Maps, open_maps
from swath.maps.vectors import write_vectors
from swath.metrics.linepieces import split_by_nearness

GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), (120, 160))


def at(*pixels: tuple[float, float]) -> shapely.LineString:
    """A line through the middles of (row, column)."""
    return shapely.LineString([(600_005 + 10 * col, 5_329_995 - 10 * row) for row, col in pixels])


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Maps:
    """Three roads along rows 20, 60 and 100, the last fainter."""
    root = tmp_path_factory.mktemp("maps")
    road = np.zeros(GRID.shape, np.float32)
    for row, p in ((20, 0.95), (60, 0.95), (100, 0.8)):
        road[row - 1 : row + 2, 10:150] = p
    pmap = np.stack([1 - road, road])
    site = write_maps(root, "here", GRID, pmap[None], pmap, read_legend("roads"))
    write_vectors(site, 0.3)
    return open_maps(root)


@pytest.fixture(scope="module")
def osm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Road 20 is there, 8 m off, and one that the map lacks; half of road 60 is a path, the other a river."""
    rows = [
        ("tertiary", None, shapely.transform(at((20, 0), (20, 155)), lambda xy: xy + np.array([0, 8]))),
        ("residential", None, at((80, 20), (80, 120))),
        ("path", None, at((60, 0), (60, 70))),
        (None, "river", at((61, 71), (61, 155))),
    ]
    frame = gpd.GeoDataFrame(rows, columns=["highway", "waterway", "geometry"], crs=GRID.crs)
    path = tmp_path_factory.mktemp("osm") / "osm.gpkg"
    frame.to_file(path)
    return path


def test_both_and_each_alone(maps: Maps, osm: Path, tmp_path: Path) -> None:
    found = swath.conflate(maps, osm, tmp_path / "out")
    assert found.both["highway"].unique().tolist() == ["tertiary"]
    assert found.both["length_m"].sum() == pytest.approx(1440, abs=80)
    seen = found.osm_only.groupby("highway")["length_m"].sum()
    assert seen["residential"] == pytest.approx(1000)
    assert (found.osm_only["confidence"] > 0.9).all()
    # The path is a way, if no road: what lies along it is no candidate.
    assert found.map_only["rank"].tolist() == [1, 2]
    assert found.map_only["false_friend"].tolist() == ["", "waterway"]
    assert found.map_only["length_m"].tolist() == pytest.approx([1390, 770], abs=60)
    first = found.map_only.geometry[0]
    assert first.distance(at((100, 80), (100, 81))) < 10


def test_roads_beyond_the_data_are_not_counted(maps: Maps, tmp_path: Path) -> None:
    """A road of 155 pixels that goes on for 500 beyond the grid: 155 and what the sampling needs."""
    roads = gpd.GeoDataFrame({"highway": ["primary"]}, geometry=[at((80, 5), (80, 660))], crs=GRID.crs)
    roads.to_file(tmp_path / "osm.gpkg")
    found = swath.conflate(maps, tmp_path / "osm.gpkg")
    assert found.osm_only["length_m"].sum() == pytest.approx(1550, abs=15)


def test_a_piece_is_as_sure_as_the_map_is_along_it(tmp_path: Path) -> None:
    """A road of 0.9 in the west and 0.6 in the east, which OpenStreetMap has in the west.

    Two dates see all of it and the west alone; the third has no data in the east.
    """
    west, east = np.zeros(GRID.shape, np.float32), np.zeros(GRID.shape, np.float32)
    west[59:62, 10:80], east[59:62, 80:150] = 0.9, 0.6
    dates = np.stack([np.stack([1 - road, road]) for road in (west + east, west, west + east)])
    valid = np.ones((3, *GRID.shape), bool)
    valid[2, :, 80:] = False
    site = write_maps(tmp_path / "maps", "here", GRID, dates, dates[0], read_legend("roads"), valid=valid)
    write_vectors(site, 0.3)
    assert site.roads()["p_mean"].tolist() == pytest.approx([0.75], abs=0.01)
    roads = gpd.GeoDataFrame({"highway": ["primary"]}, geometry=[at((60, 0), (60, 85))], crs=GRID.crs)
    roads.to_file(tmp_path / "osm.gpkg")
    (piece,) = swath.conflate(tmp_path / "maps", tmp_path / "osm.gpkg").map_only.itertuples()
    assert piece.length_m == pytest.approx(620, abs=10)  # from 20 m beyond the end of OpenStreetMap's
    assert [piece.p_mean, piece.p_min] == pytest.approx([round(0.6 * 254) / 254] * 2)
    assert piece.p_line == pytest.approx(0.75, abs=0.01)
    assert (piece.dates_seen, piece.dates_known, piece.joined, piece.p_beside) == (1, 2, 1, 0)
    assert 0 < piece.confidence < 1


def test_what_lies_thirty_metres_beside_a_line_is_measured(tmp_path: Path) -> None:
    """Three pixels of 10 m south of it 0.4, north of it nothing: their mean is 0.2; and the same turned."""
    road = np.zeros(GRID.shape, np.float32)
    road[60, 10:150] = 1
    road[63, 10:150] = 0.4
    pmap = np.stack([1 - road, road])
    site = write_maps(tmp_path / "maps", "here", GRID, pmap[None], pmap, read_legend("roads"))
    lines = np.array([at((60, 20), (60, 100)), at((20, 80), (50, 80))], object)
    metres = shapely.transform(lines, lambda xy: xy * metres_per_unit(GRID))
    measured = measure_lines(site, metres, GRID)
    assert measured["p_mean"].tolist() == pytest.approx([1, 0])
    assert measured["p_beside"].tolist() == pytest.approx([round(0.4 * 254) / 254 / 2, 0])
    assert (measured["dates_seen"].tolist(), measured["dates_known"].tolist()) == ([1, 0], [1, 1])
    assert all(len(values) == 0 for values in measure_lines(site, metres[:0], GRID).values())


def test_the_confidence_is_the_odds_of_all_evidence() -> None:
    """Probabilities of a half have log odds 0: what is left are the constant and what is linear."""
    rows = {"p_mean": [0.5, 0.5, 0.8], "p_line": [0.5, 0.5, np.nan], "p_beside": [0.2, 0.2, 0.0]}
    rows |= {"joined": [2, 2, 0], "dates_seen": [1, 1, 0], "dates_known": [4, 4, 0]}
    table = gpd.GeoDataFrame(rows | {"false_friend": ["", "railway", ""]}, geometry=[None] * 3)
    first = CONSTANT + 0.2 * WEIGHTS[2] + 2 * WEIGHTS[3] + WEIGHTS[4] / 4
    third = CONSTANT + np.log(4) * WEIGHTS[0] - np.log(49) * WEIGHTS[1]
    chances = [1 / (1 + np.exp(-odds)) for odds in (first, third)]
    assert confidence(table).tolist() == pytest.approx([chances[0], chances[0] / 2, chances[1]])


def test_an_end_by_a_way_is_joined() -> None:
    """Ways end 24 and 26 m from the ends of two lines; a third lies far off."""
    lines = np.array([shapely.LineString([(x, 0), (x + 100, 0)]) for x in (0, 1000, 5000)], object)
    ways = [shapely.LineString([(x, y), (x, 500)]) for x, y in ((0, 24), (100, 24), (1000, 26), (1100, 5))]
    assert joined_ends(lines, np.array(ways, object)).tolist() == [2, 1, 0]


def test_lines_of_others_are_refused_in_one_line(
    maps: Maps, osm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "maps"
    shutil.copytree(maps.folder, copy)
    path = copy / "here" / "roads.parquet"
    lines, whole = gpd.read_parquet(path), path.read_bytes()
    for other in (
        pd.DataFrame({"a": [1]}),
        lines.assign(geometry=None).set_geometry("geometry"),
        lines.drop(columns="class"),
        lines.drop(columns="p_mean"),
        lines.assign(p_mean="high"),
        lines.assign(geometry=lines.centroid),
        lines.assign(geometry=shapely.LineString()),
        lines.set_crs(None, allow_override=True),
        lines.assign(geometry=lines.translate(1e10)),
        whole[:-100],
        b"",
    ):
        path.write_bytes(other) if isinstance(other, bytes) else other.to_parquet(path)
        assert cli.run(["conflate", str(copy), str(osm), "--out", str(tmp_path / "out")]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: {path}: ")
        assert said.endswith("map the site again\n")


def test_lines_in_another_system_or_in_parts_are_the_same(maps: Maps, osm: Path, tmp_path: Path) -> None:
    copy = tmp_path / "maps"
    shutil.copytree(maps.folder, copy)
    lines = gpd.read_parquet(copy / "here" / "roads.parquet")
    lines.dissolve().to_crs("EPSG:4326").to_parquet(copy / "here" / "roads.parquet")
    found, same = (swath.conflate(folder, osm).map_only["length_m"] for folder in (copy, maps))
    assert found.sum() == pytest.approx(same.sum(), abs=1)


def test_a_date_belongs_to_a_server(maps: Maps, osm: Path) -> None:
    with pytest.raises(SettingsError, match="is a file, read as it is; a date is for an Overpass server"):
        swath.conflate(maps, osm, date=dt.date(2020, 1, 1))
    with pytest.raises(SettingsError, match=r"^http://host/api is an Overpass server, which needs a date"):
        swath.conflate(maps, "http://host/api")


def test_files_for_mappers(maps: Maps, osm: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    swath.conflate(maps, osm, out)
    layers = {str(name) for name in pyogrio.list_layers(out / "conflation.gpkg")[:, 0]}
    assert layers == {"both", "map_only", "osm_only"}
    candidates = gpd.read_file(out / "candidates.geojson")
    assert candidates.crs == "EPSG:4326"
    assert set(candidates["highway"]) == {"road"}
    assert candidates["source"].str.startswith("Sentinel-2 2019-03-11").all()
    tasks = gpd.read_file(out / "tasks.geojson").set_index("task")
    assert tasks["candidates"].sum() == 2
    for row in candidates.itertuples():
        middle = row.geometry.interpolate(0.5, normalized=True)
        assert tasks.geometry[row.task].buffer(1e-6).contains(middle)
    project = json.loads((out / "project.json").read_text("utf-8"))
    assert len(project["tasks"]["features"]) == len(tasks)
    assert project["attribution"] == "drawn by a test"
    assert json.loads((out / "candidates.geojson").read_text("utf-8"))["attribution"] == "drawn by a test"
    with pytest.raises(OutputExistsError):
        swath.conflate(maps, osm, out)


def test_lines_are_cut_where_they_leave_others() -> None:
    line = np.array([shapely.LineString([(0, 0), (1000, 0)])], object)
    others = np.array(
        [shapely.LineString([(0, 5), (400, 5)]), shapely.LineString([(600, 9), (610, 9)])], object
    )
    pieces, owner, near = split_by_nearness(line, others)
    assert near.tolist() == [True, False]  # what is near for 50 m only is no other road
    assert owner.tolist() == [0, 0]
    assert shapely.length(pieces).tolist() == pytest.approx([420, 580], abs=3)
    assert len(split_by_nearness(np.zeros(0, object), others)[0]) == 0
    assert split_by_nearness(line, np.zeros(0, object))[2].tolist() == [False]


@pytest.mark.parametrize("suffix", ["geojson", "parquet"])
def test_features_that_lie_nowhere_are_refused(
    maps: Maps, osm: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """None of them; one that lies somewhere is enough."""
    roads = gpd.read_file(osm)
    nowhere = pd.concat([roads.set_geometry([None] * len(roads), crs=roads.crs)] * 2, ignore_index=True)
    path, out = tmp_path / f"osm.{suffix}", tmp_path / "out"
    write = gpd.GeoDataFrame.to_file if suffix == "geojson" else gpd.GeoDataFrame.to_parquet
    write(nowhere, path)
    assert cli.run(["conflate", str(maps.folder), str(path), "--out", str(out)]) == 2
    said = f"error: {path}: none of its {len(nowhere)} features has a usable geometry\n"
    assert (capsys.readouterr().err, out.exists()) == (said, False)
    write(pd.concat([nowhere, roads], ignore_index=True), path)
    assert cli.run(["conflate", str(maps.folder), str(path), "--out", str(out)]) == 0


def test_without_any_road_of_openstreetmap_all_is_a_candidate(
    maps: Maps, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "osm.geojson"
    empty.write_text('{"type": "FeatureCollection", "features": []}')
    assert cli.run(["conflate", str(maps.folder), str(empty), "--out", str(tmp_path / "out")]) == 0
    assert "the file has no road here, by its tags: look at it first" in capsys.readouterr().out
    table = gpd.read_file(tmp_path / "out" / "conflation.gpkg", layer="map_only")
    assert table["length_m"].sum() > 0
    assert cli.run(["show", str(empty), "--out", str(tmp_path / "map.png")]) == 2


def test_the_command(maps: Maps, osm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert cli.run(["conflate", str(maps.folder), str(osm), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lines"]["map_only"] == 2
    assert told["false_friends"] == {"waterway": 1}
    assert told["km"]["osm_only"] > 1
    assert cli.run(["conflate", str(maps.folder), str(osm), "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.run(["conflate", str(maps.folder), str(osm), "--out", str(out), "--overwrite"]) == 0
    text = capsys.readouterr().out
    assert "candidates; 1 of them on railways, water, car parks" in text
    assert "for mappers" in text
