"""Geofabrik's shapefile zips: their classes told as tags, and zips that would do harm."""

import zipfile
from pathlib import Path

import geopandas
import pytest
from shapely import LineString, box
from shapely.geometry.base import BaseGeometry

from swath.errors import InputError
from swath.grid import Bounds, Grid
from swath.labels.features import read_features
from swath.labels.geofabrik import read_geofabrik
from swath.labels.source import LabelSettings, read_labels_source
from swath.legend import read_legend

ROADS = read_legend("roads")
LANDCOVER = read_legend("landcover")
EARTH: Bounds = (-180, -90, 180, 90)
GRID = Grid.from_lonlat((24.0, 60.0, 24.03, 60.01))


def write_geofabrik(path: Path, **changes: object) -> Path:
    """A zip with the layers and columns of Geofabrik's free shapefiles."""

    def line(k: int) -> LineString:
        return LineString([(24.0, 60.001 * 1 + k * 1e-4), (24.02, 60.001 + k * 1e-4)])

    def square(k: int) -> BaseGeometry:
        return box(24.0 + k * 1e-3, 60.002, 24.0005 + k * 1e-3, 60.003)

    def common(codes: list[int], classes: list[str]) -> dict[str, list[object]]:
        numbers = [str(number) for number in range(len(codes))]
        return {"osm_id": numbers, "code": codes, "fclass": classes, "name": ["é"] * len(codes)}

    roads = ["motorway", "residential", "unknown", "track_grade2", "primary", "primary"]
    codes = [5111, 5122, 5199, 5144, 5113, 5113]
    layers = {
        "roads": {
            **common(codes, roads), "ref": "", "oneway": "B", "maxspeed": 0, "layer": 0,
            "bridge": ["F"] * 4 + ["T", "F"], "tunnel": ["F"] * 5 + ["T"],
            "geometry": [line(k) for k in range(6)],
        },
        "landuse_a": {
            **common(
                [7201, 7228, 7202, 7203, 7217],
                ["forest", "farmland", "park", "residential", "scrub"],
            ),
            "geometry": [square(k) for k in range(5)],
        },
        "water_a": {
            **common([8200, 8201, 8221], ["water", "reservoir", "wetland"]),
            "geometry": [square(k) for k in range(5, 8)],
        },
        "buildings_a": {
            **common([1500, 1500], ["building", "building"]), "type": ["house", None],
            "geometry": [square(k) for k in range(8, 10)],
        },
        "waterways": {**common([8101], ["river"]), "width": 5, "geometry": [line(9)]},
    }  # fmt: skip
    folder = path.parent / f"{path.name}-layers"
    folder.mkdir()
    for name, columns in layers.items():
        frame = geopandas.GeoDataFrame(columns, crs="EPSG:4326")
        frame.to_file(folder / f"gis_osm_{name}_free_1.shp", encoding="utf-8")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README", "Data (c) OpenStreetMap contributors, ODbL 1.0")
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


def test_geofabrik_zip_tells_tags(tmp_path: Path) -> None:
    path = write_geofabrik(tmp_path / "liechtenstein-latest-free.shp.zip")
    frame = read_geofabrik(path, LANDCOVER, EARTH)
    lines = frame[frame.geom_type == "LineString"]
    assert lines["highway"].tolist() == [
        "motorway", "residential", "road", "track", "primary", "primary"
    ]  # fmt: skip
    assert lines["tunnel"].tolist() == [None] * 5 + ["yes"]
    tags = frame[["landuse", "leisure", "natural", "building"]].astype(object).to_dict("list")
    seen = {(key, v) for key, values in tags.items() for v in values if isinstance(v, str)}
    assert seen == {
        ("landuse", "forest"), ("landuse", "farmland"), ("landuse", "residential"),
        ("leisure", "park"), ("natural", "scrub"), ("natural", "water"), ("natural", "wetland"),
        ("building", "house"), ("building", "yes"),
    }  # fmt: skip


def test_geofabrik_zip_makes_labels(tmp_path: Path) -> None:
    path = write_geofabrik(tmp_path / "town.zip")
    roads = read_features(path, ROADS, GRID)
    assert sorted(roads["highway"]) == ["motorway", "primary", "residential", "road"]
    cover = read_features(path, LANDCOVER, GRID)
    assert cover["class_id"].value_counts().to_dict() == {0: 1, 1: 3, 2: 1, 3: 2, 4: 2, 5: 4}
    source = read_labels_source(LabelSettings(path=path.name), ROADS, GRID, tmp_path)
    assert source.attribution == "(c) OpenStreetMap contributors, ODbL 1.0"


def zip_of(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 100)
    return path


def test_bad_zips_are_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = write_geofabrik(tmp_path / "good.zip").read_bytes()
    roads = "gis_osm_roads_free_1.shp"
    cut, text, secret = tmp_path / "cut.zip", tmp_path / "text.zip", tmp_path / "secret.zip"
    cut.write_bytes(good[: len(good) // 2])
    text.write_text("no zip")
    locked = bytearray(zip_of(tmp_path / "open.zip", roads).read_bytes())
    locked[locked.index(b"PK\x01\x02") + 8] |= 1  # the flag of an encrypted member
    secret.write_bytes(locked)
    cases = [
        (cut, "not a readable zip"),
        (text, "not a readable zip"),
        (secret, "the zip is encrypted"),
        (zip_of(tmp_path / "up.zip", roads, f"../{roads}"), "a name that leads out of it"),
        (zip_of(tmp_path / "root.zip", f"/etc/{roads}"), "a name that leads out of it"),
        (zip_of(tmp_path / "back.zip", f"..\\..\\{roads}"), "a name that leads out of it"),
        (zip_of(tmp_path / "drive.zip", f"C:\\{roads}"), "a name that leads out of it"),
        (zip_of(tmp_path / "other.zip", "roads.shp"), "expected a shapefile zip .* roads.shp"),
        (zip_of(tmp_path / "empty.zip"), "it holds nothing"),
        (zip_of(tmp_path / "junk.zip", roads), "not readable as vector features"),
        (tmp_path / "gone.zip", "no such file"),
    ]
    for path, message in cases:
        with pytest.raises(InputError, match=message) as error:
            read_features(path, ROADS, GRID)
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)
    monkeypatch.setattr("swath.labels.geofabrik._MOST_BYTES", 100)
    with pytest.raises(InputError, match="claims to hold more"):
        read_features(tmp_path / "good.zip", ROADS, GRID)
