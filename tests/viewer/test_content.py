"""What the page is made of: numbers of rasters, features, scores, scripts."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.io import MemoryFile

import swath.viewer
from support.class_worlds import LEGEND
from support.drawn_maps import write_maps
from swath.errors import InputError
from swath.grid import Grid
from swath.maps.sitemaps import SiteMaps, read_bytes
from swath.maps.styles import vector_layers
from swath.picture import ramp_color
from swath.viewer.layer import TILE_PX, Layer, read_layers
from swath.viewer.overlay import Order, geojson, site_overlays, vector_files
from swath.viewer.pictures import embed, plan_factors, plan_levels
from swath.viewer.place import Place, read_exhibition
from swath.viewer.scores import read_scores
from swath.viewer.show import blocks, picture

WEB = Path(swath.viewer.__file__).parent / "web"


def test_the_vendored_scripts_are_those_that_were_built() -> None:
    for line in (WEB / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((WEB / name).read_bytes()).hexdigest() == digest
    licences = (WEB / "vendor-licences.txt").read_text()
    assert all(name in licences for name in ("ol 10.", "uplot 1.", "geotiff 3.", "proj4 2."))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_embedded_tiles_hold_the_files_numbers(town: SiteMaps) -> None:
    for layer in read_layers(town):
        fields = embed(layer, 1)
        level = fields["levels"][0]  # type: ignore[index, call-overload]
        with rasterio.open(layer.path) as source:
            expected = source.read(list(layer.bands))
        across = -(-level["width"] // TILE_PX)
        for at in (0, across + 1):
            row, col = at // across * TILE_PX, at % across * TILE_PX
            tiles = []
            for plane in level["planes"]:
                with MemoryFile(base64.b64decode(plane[at])) as memory, memory.open() as tile:
                    tiles.append(tile.read())
            found = np.concatenate(tiles)
            np.testing.assert_array_equal(found, expected[:, row : row + TILE_PX, col : col + TILE_PX])


def test_a_whole_scene_becomes_a_pyramid(town: SiteMaps) -> None:
    (fused,) = [layer for layer in read_layers(town) if layer.id == "pmap"]
    assert (fused.bands, fused.names) == ((1,), ("road",))  # not the rest, which follows
    scene = Layer(**{name: getattr(fused, name) for name in Layer.__slots__} | {"sizes": ((10980, 10980),)})
    factors = plan_factors([scene, fused], 10_000_000)
    assert factors == [4, 1]  # 2745 px: 7 of 10 MB
    assert [(level.width, level.height) for level in plan_levels(scene, 4)] == [
        (2745, 2745),
        (1373, 1373),
        (687, 687),
    ]


def test_overlays_tell_what_they_are(town: SiteMaps, beside: Path) -> None:
    own, candidates, osm = site_overlays(town, vector_files(beside))
    assert (own.role, own.ranked) == ("roads", False)
    assert (candidates.role, candidates.ranked, candidates.count) == ("candidate", True, 3)
    assert (osm.role, osm.ranked) == ("osm", False)
    assert candidates.read(town.grid)["rank"].tolist() == [1, 2, 3]
    assert len(own.read(town.grid)) == len(town.roads())


def test_the_first_lines_of_an_order(town: SiteMaps, beside: Path) -> None:
    own, candidates, osm = site_overlays(town, vector_files(beside))
    roads = town.roads()
    widest = own.first(town.grid, Order("width_m", True, 5))
    assert widest["width_m"].tolist() == sorted(roads["width_m"], reverse=True)[:5]
    longest = own.first(town.grid, Order("length_m", False, 3, "width_m", 20, np.inf))
    assert longest["length_m"].tolist() == sorted(roads.loc[roads["width_m"] >= 20, "length_m"])[:3]
    number = int(widest.index[0])
    same = own.one(town.grid, number)
    assert same.geometry.iloc[0].equals(widest.geometry.iloc[0])
    assert own.one(town.grid, 10**6).empty
    left, _, right, top = town.grid.bounds
    (upper,) = candidates.first(town.grid, Order("rank", False, 9), (left, top - 600, right, top))["rank"]
    assert upper == 2
    with pytest.raises(InputError, match="no column of numbers 'highway'"):
        osm.first(town.grid, Order("highway", True, 5))


def test_a_file_that_is_called_as_the_maps_own_is_another(
    town: SiteMaps, beside: Path, tmp_path: Path
) -> None:
    gpd.read_file(beside / "osm.geojson").to_file(tmp_path / "roads.gpkg", layer="roads")
    own, other = site_overlays(town, [tmp_path / "roads.gpkg"])
    assert (own.role, other.role) == ("roads", "other")
    assert own.id != other.id


def test_candidates_are_shown_once(town: SiteMaps, tmp_path: Path) -> None:
    left, _, _, top = town.grid.bounds
    line = shapely.LineString([(left + 100, top - 500), (left + 900, top - 500)])
    frame = gpd.GeoDataFrame({"rank": [1]}, geometry=[line], crs=town.grid.crs)
    for layer in ("both", "map_only", "osm_only"):
        frame.to_file(tmp_path / "conflation.gpkg", layer=layer)
    alone = [overlay.title for overlay in site_overlays(town, [tmp_path])[1:]]
    assert alone == ["Both", "Map only", "OpenStreetMap only"]
    frame.to_crs(4326).to_file(tmp_path / "candidates.geojson")
    for beside in ([tmp_path], vector_files(tmp_path)):
        titles = [overlay.title for overlay in site_overlays(town, beside)[1:]]
        assert titles == ["Candidates", "Both", "OpenStreetMap only"]


def test_features_far_away_are_no_overlay(town: SiteMaps, tmp_path: Path) -> None:
    far = gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(100, -40)], crs=4326)
    far.to_file(tmp_path / "far.geojson")
    assert len(site_overlays(town, vector_files(tmp_path))) == 1
    with pytest.raises(InputError, match="no vector file"):
        vector_files(tmp_path / "nothing")


def test_geojson_has_plain_values() -> None:
    frame = gpd.GeoDataFrame(
        {"share": np.float32([0.25]), "day": [np.datetime64("2019-03-11")], "none": [None], "n": [3]},
        geometry=[shapely.LineString([(1.23456, 2.34567), (3, 4)])],
        index=[7],
    )
    collection = json.loads(json.dumps(geojson(frame, 0.1), allow_nan=False))
    (feature,) = collection["features"]
    assert feature["id"] == "7"
    assert feature["geometry"]["coordinates"] == [[1.2, 2.3], [3.0, 4.0]]
    assert feature["properties"] == {"share": 0.25, "day": "2019-03-11", "none": None, "n": 3}


def test_numbers_that_are_none_and_bytes_have_a_text() -> None:
    table = {"c": [np.inf, -1e308, 0.5], "bin": [b"\0\xff", None, b""], "list": [[1], None, [2, 3]]}
    points = gpd.GeoDataFrame(table, geometry=[shapely.Point(0, 0)] * 3)
    features = json.loads(json.dumps(geojson(points, 1.0), allow_nan=False))["features"]
    found = [tuple(feature["properties"].values()) for feature in features]
    assert found == [(None, "00ff", "[1]"), (None, None, None), (0.5, "", "[2, 3]")]


def test_features_without_a_place_are_not_shown(town: SiteMaps, tmp_path: Path) -> None:
    left, bottom, _, _ = town.grid.bounds
    here = shapely.LineString([(left, bottom), (left + 900, bottom + 900)])
    lost = shapely.LineString([(np.inf, 0), (left, bottom)])
    table = {"confidence": ["high", None, None, None], "p_mean": ["x", None, "0.5", "0.5"]}
    shapes = [here, lost, None, shapely.LineString()]
    gpd.GeoDataFrame(table, geometry=shapes, crs=town.grid.crs).to_file(tmp_path / "odd.gpkg")
    (overlay,) = site_overlays(town, [tmp_path / "odd.gpkg"])[1:]
    assert len(overlay.read(town.grid)) == 1
    assert picture(tmp_path / "odd.gpkg", 50)[3].any()


def test_a_file_that_shows_nothing_is_named(
    town: SiteMaps, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    far = gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(100, -40)], crs=4326)
    far.to_file(tmp_path / "far.geojson")
    read_exhibition([town.folder.parent], [tmp_path])
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'far.geojson'}: it has no feature in the maps")


def test_scores_put_test_first_and_the_fused_map_above_the_controls(tmp_path: Path) -> None:
    def row(model: str, split: str, site: str, rule: str, iou: float | None) -> dict[str, object]:
        return {"model": model, "split": split, "site": site, "class": "road", "threshold_rule": rule,
                "iou": iou, "line_f1": {"1": 0.5, "2": 0.7}}  # fmt: skip

    rows = [
        row(model, split, site, rule, iou)
        for split in ("train", "test")
        for site in ("town", "all")
        for model, rule, iou in (
            ("mean", "scene", 0.3),
            ("fused", "scene", 0.4),
            ("fused", "half", 0.1),
            ("vote", "none", None),
            ("2019-03-11", "half", 0.2),
        )
    ]
    (tmp_path / "report.json").write_text(json.dumps({"rows": rows, "names": {"road": {"fused": "Fused"}}}))
    test, train = read_scores(tmp_path)
    assert (test.title, train.title) == ("road, test", "road, train")
    assert test.columns == ("", "line F1", "IoU")
    assert test.rows == (
        ("Fused", "0.500", "0.400"),
        ("mean", "0.500", "0.300"),
        ("vote", "0.500", "–"),
    )
    text = {"rows": [row("fused", "test", "all", "half", None) | {"iou": "high"}]}
    for wrong in ([1], text):
        (tmp_path / "report.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError, match="no report"):
            read_scores(tmp_path)


def test_a_picture_has_the_ramps_colours(town: SiteMaps) -> None:
    from swath.maps.styles import RAMP

    shown = picture(town.fused_path, 10_000)
    with rasterio.open(town.fused_path) as source:
        codes = source.read(source.descriptions.index("road") + 1)
    assert shown[:3, 100, 300].tolist() == list(ramp_color(RAMP, codes[100, 300] / 254))
    classes = picture(town.classes_path, 10_000)
    road = town.legend.foreground[0]
    found = (classes[:3] == np.array(road.rgb)[:, None, None]).all(axis=0)
    np.testing.assert_array_equal(found, read_bytes(town.classes_path)[0] == road.id)
    lines = picture(town.gpkg_path, 200)
    assert max(lines.shape[1:]) == 200
    assert 0 < (lines[3] > 0).mean() < 1


def test_odd_vectors_are_shown_or_refused(tmp_path: Path) -> None:
    line, path = shapely.LineString([(0, 0), (100, 50)]), tmp_path / "odd.gpkg"
    endless = shapely.LineString([(np.inf, 0), (1, 1)])
    frame = gpd.GeoDataFrame({"p_mean": ["high", None, "0.5"]}, geometry=[line, endless, None], crs=32630)
    frame.to_file(path)
    assert picture(path, 20)[3].any()
    frame.iloc[1:].to_file(path)
    with pytest.raises(InputError, match=f"{path} has no features"):
        picture(path, 20)
    path.unlink()
    pyogrio.write_dataframe(frame.drop(columns="geometry"), path)
    with pytest.raises(InputError, match=f"{path}: .*no geometry"):
        picture(path, 20)
    broken = tmp_path / "here" / "roads.gpkg"
    broken.parent.mkdir()
    broken.write_bytes(b"")
    with pytest.raises(InputError, match=f"{broken}: .*map the site again"):
        vector_layers(broken.parent)


def test_of_many_classes_the_first_is_shown_as_the_others(tmp_path: Path) -> None:
    """Class 0 of land cover is ground that somebody mapped, no background."""
    classes = np.arange(3)[:, None, None] == np.tile(np.repeat([0, 1, 2], 4), (12, 1))
    pmap = (0.1 + 0.8 * classes).astype(np.float32)
    grid = Grid.from_bounds((500_000, 5_200_000, 500_120, 5_200_120), "EPSG:32633")
    maps = write_maps(tmp_path / "maps", "here", grid, pmap[None], pmap, LEGEND)
    fused = next(layer for layer in read_layers(maps) if layer.id == "pmap")
    assert (fused.names, fused.bands) == (LEGEND.names, (1, 2, 3))
    shown: Any = Place("here", maps, (), ()).fields()["classes"]
    assert [c["name"] for c in shown if c["foreground"]] == list(LEGEND.names)


def test_blocks_are_two_pixels_a_character() -> None:
    red_over_blue = np.array([[[255], [0]], [[0], [0]], [[0], [255]], [[255], [255]]], np.uint8)
    first, newline = blocks(red_over_blue)
    assert first.text == "▀"
    assert first.style is not None
    assert (first.style.color.name, first.style.bgcolor.name) == ("#ff0000", "#0000ff")  # type: ignore[union-attr]
    assert newline.text == "\n"
