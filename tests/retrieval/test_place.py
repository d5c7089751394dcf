"""A place on the map: boxes, days and files of features as users give them."""

import datetime as dt
import json
from pathlib import Path

import geopandas
import pytest
from shapely.geometry import Point, box

from support.fetch_world import BEST, World, error_line
from support.stac_server import SITE
from swath.cli import run
from swath.errors import GridError, InputError, SettingsError
from swath.retrieval.place import Place, check_wanted, parse_box, parse_days
from swath.sites.schema import read_sites_file


def test_boxes() -> None:
    assert parse_box("4.78,45.7, 4.93,45.8") == (4.78, 45.7, 4.93, 45.8)
    assert Place.of_box((4.78, 45.7, 4.93, 45.8)).name == "N45_750-E4_855"
    assert Place.of_box((-1.7, -48.1, -1.6, -48.0)).name == "S48_050-W1_650"
    # From 179.9 east to 179.7 west: the centre is 179.9 west.
    assert Place.of_box((179.9, -17, -179.7, -16.9)).name == "S16_950-W179_900"
    for text in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1;2;3;4"):
        with pytest.raises(SettingsError, match="west,south,east,north in degrees"):
            parse_box(text)
    for bounds in ((4.93, 45.7, 4.78, 45.8), (4.78, 45.8, 4.93, 45.7), (4.78, 45.7, 4.93, 95), (0, 0, 0, 1)):
        with pytest.raises(GridError, match="west, south, east, north"):
            Place.of_box(bounds)
    with pytest.raises(SettingsError, match="becomes a folder"):
        Place.of_box((4.78, 45.7, 4.93, 45.8), "a/b")
    with pytest.raises(SettingsError, match="becomes a folder"):
        Place.of_box((4.78, 45.7, 4.93, 45.8), "-")


def test_days() -> None:
    assert parse_days("2024-03", "2024-10") == (dt.date(2024, 3, 1), dt.date(2024, 10, 31))
    assert parse_days("2024", "2024-02") == (dt.date(2024, 1, 1), dt.date(2024, 2, 29))
    assert parse_days("2023-12-05", "2023") == (dt.date(2023, 12, 5), dt.date(2023, 12, 31))
    for text in ("", "march", "2024-13", "2024-02-30", "24-03", "2024-00", "0000"):
        with pytest.raises(SettingsError, match="expected a day as 2024, 2024-03 or 2024-03-15"):
            parse_days(text, "2024")
    with pytest.raises(SettingsError, match="first day and then the last; got 2024 and 2023-05"):
        parse_days("2024", "2023-05")
    with pytest.raises(SettingsError, match="is after end"):
        check_wanted(start=dt.date(2024, 2, 1), end=dt.date(2024, 1, 1))


def test_the_box_around_features(tmp_path: Path) -> None:
    path = tmp_path / "two fields.gpkg"
    fields = geopandas.GeoSeries([box(500_000, 5_400_000, 501_000, 5_401_000)], crs="EPSG:32631")
    fields.to_file(path)
    place = Place.around_features(path)
    assert place.name == "two_fields"
    west, south, east, north = place.bounds
    # 3 east is the zone's middle: 1 km is 0.01364 degrees there, at 48.75 north.
    assert (west, east) == pytest.approx((3.0, 3.01364), abs=1e-4)
    assert north - south == pytest.approx(0.009, abs=1e-3)
    # Islands on both sides of the 180th meridian are near each other.
    islands = geopandas.GeoSeries([box(179.9, -17, 179.95, -16.9), box(-179.98, -17, -179.96, -16.9)])
    islands.set_crs(4326).to_file(tmp_path / "fiji.geojson")
    place = Place.around_features(tmp_path / "fiji.geojson", "islands")
    assert (place.name, place.bounds) == ("islands", pytest.approx((179.9, -17, -179.96, -16.9)))


def test_files_that_show_no_place(tmp_path: Path) -> None:
    geopandas.GeoSeries([Point(1, 2)], crs=4326).to_file(tmp_path / "point.gpkg")
    with pytest.raises(InputError, match="its features span no area"):
        Place.around_features(tmp_path / "point.gpkg")
    (tmp_path / "no.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    with pytest.raises(InputError):
        Place.around_features(tmp_path / "no.geojson")
    (tmp_path / "photo.jpg").write_text("x")
    with pytest.raises(InputError, match="unknown kind of vector file"):
        Place.around_features(tmp_path / "photo.jpg")


BBOX = ",".join(f"{side:.6f}" for side in SITE)
WHEN = ["--between", "2022-01", "2022-12"]


def test_a_box_fetches_what_the_starter_reads(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["fetch", "--bbox", BBOX, *WHEN, "--api", world.api.url, "--name", "town", "--out", str(out)]
    assert run([*command, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["sites"][0]
    assert (plan["name"], plan["source"]) == ("town", "bands")
    assert [pick["date"] for pick in plan["picks"]] == BEST
    assert not out.exists()
    assert run(command) == 0
    assert f"next: swath map {out / 'town' / '*.tif'} --out MAPS" in capsys.readouterr().out
    sites = read_sites_file(out / "sites.yaml")
    assert sites.image.bands == ("B04", "B03", "B02", "B08")
    assert len(sites.sites["town"].scenes) == 3
    # A feature file asks for the same.
    geopandas.GeoSeries([box(*SITE)], crs=4326).to_file(tmp_path / "town.gpkg")
    aoi = ["fetch", "--aoi", str(tmp_path / "town.gpkg"), *WHEN, "--api", world.api.url, "--dates", "2"]
    assert run([*aoi, "--out", str(tmp_path / "two"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fetched"] == 2


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["fetch"], "swath fetch takes a sites file, or a place by --bbox or --aoi"),
        (["fetch", "x.yaml", "--bbox", BBOX, *WHEN], "takes a sites file, or a place"),
        (["fetch", "--bbox", BBOX], "a place needs its days, such as --between 2024-03 2024-10"),
        (["fetch", "--bbox", BBOX, "--aoi", "x.gpkg", *WHEN], "by --bbox or by --aoi, not both"),
        (["fetch", "x.yaml", "--dates", "2"], "--dates, --max-cloud and --api go with --bbox or --aoi"),
        (["fetch", "x.yaml", "--osm", "2024-01-01"], "--name and --osm go with --bbox or --aoi"),
        (["fetch", "--bbox", "1,2,3", *WHEN], "west,south,east,north in degrees"),
        (["fetch", "--bbox", "1,3,2,2", *WHEN], "bounds must be (west, south, east, north)"),
        (["fetch", "--bbox", BBOX, "--between", "spring", "fall"], "got 'spring'"),
        (
            ["fetch", "--bbox", BBOX, "--between", "2024", "2023"],
            "first day and then the last; got 2024 and 2023",
        ),
        (["fetch", "--bbox", BBOX, *WHEN, "--api", "erth"], "api 'erth' is neither a URL nor one of"),
        (
            ["fetch", "--bbox", "0,89,1,90", *WHEN],
            "--bbox: no UTM zone covers lon 0.5000, lat 89.5000; they end",
        ),
        (["map", "--bbox", BBOX], "a place needs its days"),
        (["map", "x.tif", "--bbox", BBOX, *WHEN], "takes either SCENES, a place or --dataset"),
        (["map", "--bbox", BBOX, *WHEN, "--name", "images"], "cannot be called 'images'"),
        (["map", "x.tif", "--between", "2024", "2024"], "go with --bbox or --aoi"),
    ],
)
def test_contradictions_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    assert run([*command, "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[-1]
    assert not (tmp_path / "out").exists()


def test_a_place_short_of_clear_dates_says_what_to_do(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fetch", "--bbox", BBOX, *WHEN, "--api", world.api.url, "--dates", "9"]
    assert run([*command, "--out", str(tmp_path / "out")]) == 2
    assert "4 of 9 dates can be had; allow more cloud" in error_line(capsys)
    # The images' folder lies in the maps' own: neither stays empty.
    assert run(["map", *command[1:], "--out", str(tmp_path / "maps")]) == 2
    assert not (tmp_path / "maps").exists()
