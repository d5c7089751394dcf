"""Sites across tiles, zones and the 180th meridian: joined, and right to the pixel."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from shapely.geometry import box

from support.fetch_world import World, error_line, fetch
from support.saved_runs import save_run
from support.tile_world import Tile, around, noise, tiles_served, waves
from swath.cli import run
from swath.grid import Bounds, Grid
from swath.maps.maps import open_maps
from swath.retrieval.overflight import find_overflights
from swath.retrieval.stacitem import StacItem, parse_item
from swath.sites.series import plan_grid

pytestmark = pytest.mark.usefixtures("loopback_only")

DAY = dt.date(2022, 6, 1)
ROAD = {"type": "Feature", "properties": {"highway": "primary"}, "geometry": None}


def sites_file(world: World, bounds: Bounds, **wanted: Any) -> Path:
    path = world.folder / "SITES.yaml"
    fetch = {"api": world.api.url, "collection": "sentinel-2-l2a", "wishes": [str(DAY)]} | wanted
    site = {"bounds": list(bounds), "split": "train", "labels": "roads.geojson"}
    path.write_text(yaml.safe_dump({"fetch": fetch, "sites": {"town": site}}))
    west, south, east, north = bounds
    ends = [[west, south], [east + (360 if east < west else 0), north]]
    line = ROAD | {"geometry": {"type": "LineString", "coordinates": ends}}
    (world.folder / "roads.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [line]}))
    return path


def image_of(path: Path) -> tuple[np.ndarray[Any, Any], Grid]:
    with rasterio.open(path) as source:
        return source.read(), Grid(source.crs.to_wkt(), source.transform, source.shape)


def offset_of(outer: Grid, inner: Grid) -> tuple[int, int]:
    """Row and column of the corner of one grid on another of the same pixels."""
    col, row = ~outer.transform @ inner.transform @ (0, 0)
    assert (row, col) == pytest.approx((round(row), round(col)), abs=1e-6)
    return round(row), round(col)


# --- across tiles -----------------------------------------------------------------------------
GROUND = Grid.from_bounds((447_000, 5_410_000, 451_000, 5_412_000), "EPSG:32631")  # 200 x 400 px
WEST = Grid.from_bounds((447_000, 5_410_000, 449_400, 5_412_000), "EPSG:32631")  # columns 0..240
EAST = Grid.from_bounds((448_600, 5_410_000, 451_000, 5_412_000), "EPSG:32631")  # columns 160..400


def test_tiles_of_one_zone_are_joined_without_being_resampled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    west, east = noise(WEST, 1), noise(EAST, 2)
    west[:, 150:, 200:] = 0  # the flight's edge: the other tile goes on
    cloudy, clear = np.full((2, 100, 120), 4, np.uint8)
    cloudy[40:50, 85:95] = 9  # rows 80..100, columns 170..190: in both tiles, clouded in this one alone
    site = around(GROUND, 50)  # 100 x 300 px: 190 columns of the west, 190 of the east
    tiles = [Tile("31UDQ", WEST, west, cloudy), Tile("31UEQ", EAST, east, clear)]
    with tiles_served(tmp_path / "world", tiles, DAY) as world:
        assert fetch(sites_file(world, site), tmp_path / "out", "--json") == 0
        # A second run has nothing to do.
        plan = json.loads(capsys.readouterr().out)["sites"][0]
        assert fetch(sites_file(world, site), tmp_path / "out", "--json") == 0
        assert json.loads(capsys.readouterr().out)["fetched"] == 0
        # Neither tile covers it alone.
        assert fetch(sites_file(world, site, mgrs_tile="31UDQ"), tmp_path / "alone") == 2
    (pick,) = plan["picks"]
    assert {item["mgrs_tile"] for item in pick["items"]} == {"31UDQ", "31UEQ"}
    assert pick["cover"] == pytest.approx(1)
    first = pick["items"][0]["mgrs_tile"]
    image, grid = image_of(tmp_path / "out" / "town" / f"{DAY}.tif")
    assert grid.crs == "EPSG:32631"

    expected = np.zeros((3, *GROUND.shape), np.uint8)
    masked = west.copy()
    masked[:, 80:100, 170:190] = 0
    if first == "31UDQ":
        expected[:, :, 160:] = east
        seen = (west != 0).any(axis=0)
        expected[:, :, :240][:, seen] = masked[:, seen]
        # 20 x 20 of some 100 x 300 pixels.
        assert pick["clear"] == pytest.approx(1 - 400 / 30_000, abs=0.002)
    else:
        expected[:, :, :240] = masked
        expected[:, :, 160:] = east
        assert pick["clear"] == 1
    row, col = offset_of(GROUND, grid)
    np.testing.assert_array_equal(image, expected[:, row : row + grid.height, col : col + grid.width])


def test_of_a_pixel_that_two_have_the_larger_part_counts(tmp_path: Path) -> None:
    west, east = np.full((3, *WEST.shape), 50, np.uint8), np.full((3, *EAST.shape), 200, np.uint8)
    # Columns 20..300 of the ground: 220 of the west, 140 of the east.
    site = GROUND.crop(GROUND.window.grow(-20)).crop(Grid(WEST.crs, WEST.transform, (160, 280)).window)
    tiles = [Tile("31UEQ", EAST, east), Tile("31UDQ", WEST, west)]
    with tiles_served(tmp_path / "world", tiles, DAY) as world:
        assert fetch(sites_file(world, site.lonlat_bounds), tmp_path / "out") == 0
        # The dataset is what was fetched, pixel by pixel.
        built = ["build", str(tmp_path / "out" / "sites.yaml"), "--out", str(tmp_path / "dataset")]
        assert run(built) == 0
    image, grid = image_of(tmp_path / "out" / "town" / f"{DAY}.tif")
    _, col = offset_of(GROUND, grid)
    assert (image[:, :, : 240 - col] == 50).all()
    assert (image[:, :, 240 - col :] == 200).all()
    data, inner = image_of(tmp_path / "dataset" / "town" / f"{DAY}.tif")
    row, col = offset_of(grid, inner)
    np.testing.assert_array_equal(data, image[:, row : row + inner.height, col : col + inner.width])


# --- across zones -----------------------------------------------------------------------------
def assert_shows_the_ground(path: Path, bounds: Bounds) -> Grid:
    """Every pixel inside a box shows what lies there."""
    image, grid = image_of(path)
    site = plan_grid((), bounds=bounds)
    row, col = offset_of(grid, site)
    inside = image[:, row : row + site.height, col : col + site.width]
    assert inside.shape == (3, *site.shape)
    truth = waves(grid)[:, row : row + site.height, col : col + site.width]
    # Stored numbers are rounded before and after the one resampling.
    assert np.abs(inside - truth).max() <= 1.2
    return grid


def test_zones_are_joined_in_the_zone_of_the_centre(tmp_path: Path) -> None:
    site = (5.985, 48.900, 6.011, 48.910)  # the 6th meridian parts zones 31 and 32
    west = Grid.from_lonlat((5.970, 48.89, 6.003, 48.92), "EPSG:32631", 20)
    east = Grid.from_lonlat((5.995, 48.89, 6.030, 48.92), "EPSG:32632", 20)
    tiles = [
        Tile(name, fine, np.rint(waves(fine)).astype(np.uint8))
        for name, fine in (("31UGQ", west.finer(2)), ("32ULV", east.finer(2)))
    ]
    with tiles_served(tmp_path / "world", tiles, DAY) as world:
        assert fetch(sites_file(world, site), tmp_path / "out") == 0
        assert run(["build", str(tmp_path / "out" / "sites.yaml"), "--out", str(tmp_path / "dataset")]) == 0
    grid = assert_shows_the_ground(tmp_path / "out" / "town" / f"{DAY}.tif", site)
    assert grid.crs == "EPSG:32631"
    # The western tile covers more and is in this zone: its pixels are the very ones that were stored.
    image, _ = image_of(tmp_path / "out" / "town" / f"{DAY}.tif")
    stored = tiles[0]
    row, col = offset_of(stored.grid, grid)
    width = stored.grid.width - col
    np.testing.assert_array_equal(image[:, :, :width], stored.image[:, row : row + grid.height, col:])
    assert_shows_the_ground(tmp_path / "dataset" / "town" / f"{DAY}.tif", site)


# --- across the 180th meridian ----------------------------------------------------------------
FIJI = (179.985, -17.010, -179.987, -17.000)


def fiji_tiles() -> list[Tile]:
    """A tile on either side, whose outlines reach across: one as they are often written, one cut."""
    west = Grid.from_lonlat((179.970, -17.03, 180.003, -16.98), "EPSG:32760", 20).finer(2)
    east = Grid.from_lonlat((179.995, -17.03, 180.030, -16.98), "EPSG:32701", 20).finer(2)
    uncut = [[179.970, -17.03], [-179.997, -17.03], [-179.997, -16.98], [179.970, -16.98], [179.970, -17.03]]
    cut = [box(179.995, -17.03, 180, -16.98), box(-180, -17.03, -179.970, -16.98)]
    rings = [[[list(at) for at in part.exterior.coords]] for part in cut]
    outlines = (
        {"type": "Polygon", "coordinates": [uncut]},
        {"type": "MultiPolygon", "coordinates": rings},
    )
    return [
        Tile(name, grid, np.rint(waves(grid)).astype(np.uint8), time="22:14:00", outline=outline)
        for name, grid, outline in zip(("60KYF", "01KAB"), (west, east), outlines, strict=True)
    ]


def test_a_place_across_the_180th_meridian_is_fetched_and_mapped_by_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_run(tmp_path / "run", {})
    other = dt.date(2022, 9, 9)
    with tiles_served(tmp_path / "world", fiji_tiles(), DAY, other) as world:
        command = [
            *("map", str(tmp_path / "run"), "--bbox", ",".join(map(str, FIJI)), "--dates", "2"),
            *("--between", "2022-05", "2022-09", "--api", world.api.url, "--name", "fiji"),
            *("--out", str(tmp_path / "maps"), "--json"),
        ]
        assert run(command) == 0
        shown = capsys.readouterr()
        assert "images: " + str(tmp_path / "maps" / "images") in shown.err
        result = json.loads(shown.out)
        assert result["sites"][0]["dates"] == [str(DAY), str(other)]
        assert Path(result["page"]).is_file()
        for day in (DAY, other):
            assert_shows_the_ground(tmp_path / "maps" / "images" / "fiji" / f"{day}.tif", FIJI)
        # The map lies on the place itself, all of it with data.
        maps = open_maps(tmp_path / "maps").only
        assert maps.grid == plan_grid((), bounds=FIJI)
        # Once more: nothing is asked, nothing is made.
        for server in (world.api, world.files):
            server.requests.clear()
        assert run(command) == 0
        assert json.loads(capsys.readouterr().out)["sites"][0]["made"] == []
        assert not world.api.requests + world.files.requests


def test_outlines_are_measured_across_the_180th_meridian() -> None:
    raw = {"id": "x", "properties": {"datetime": "2022-06-01T22:14:00Z"}, "assets": {}}
    west, east = (parse_item(raw | {"geometry": tile.outline}, FIJI) for tile in fiji_tiles())
    # Of 0.028 degrees 0.018 and 0.018.
    assert west.cover == pytest.approx(18 / 28)
    assert east.cover == pytest.approx(18 / 28)
    (flight,) = find_overflights([west, east], rank)
    assert flight.cover == pytest.approx(1)


# --- what belongs together --------------------------------------------------------------------
def rank(item: StacItem) -> tuple[int, str, tuple[int, int], str]:
    return 0, item.mgrs_tile or "", (0, 0), item.id


def piece(name: str, part: Any, time: str = "10:56:00", **more: Any) -> StacItem:
    when = dt.datetime.fromisoformat(f"2022-06-01T{time}+00:00")
    values = {"id": name, "collection": "c", "time": when, "mgrs_tile": name, "cloud": 10.0, "assets": {}}
    return StacItem(**values | {"part": part, "platform": "sentinel-2b"} | more)


def test_only_one_flight_is_joined() -> None:
    left, right = box(0, 0, 0.6, 1), box(0.5, 0, 1, 1)
    together = find_overflights([piece("a", left), piece("b", right, "10:56:14")], rank)
    assert [(flight.id, flight.cover) for flight in together] == [("a + b", pytest.approx(1))]
    for other in ({"time": "12:36:00"}, {"platform": "sentinel-2a"}):
        assert len(find_overflights([piece("a", left), piece("b", right, **other)], rank)) == 2


def test_what_adds_nothing_is_left_out() -> None:
    whole = piece("a", box(0, 0, 1, 1))
    assert find_overflights([piece("b", box(0, 0, 0.5, 1)), whole], rank)[0].items == (whole,)
    # The same tile in another version, with an outline of its own: no second piece of it.
    new, old = piece("new", box(0, 0, 0.9, 1)), piece("old", box(0, 0, 0.905, 1))
    (flight,) = find_overflights([new, old.model_copy(update={"mgrs_tile": "new"})], rank)
    assert len(flight.items) == 1
    # A tile that came in two pieces.
    rest = piece("rest", box(0.85, 0, 1, 1)).model_copy(update={"mgrs_tile": "new"})
    (flight,) = find_overflights([new, rest], rank)
    assert flight.items == (new, rest)


def test_clouds_of_tiles_count_as_far_as_they_cover_the_site() -> None:
    large, small = piece("a", box(0, 0, 0.75, 1), cloud=10.0), piece("b", box(0.75, 0, 1, 1), cloud=90.0)
    (flight,) = find_overflights([large, small], rank)
    assert flight.cloud == pytest.approx(0.75 * 10 + 0.25 * 90)


def test_tiles_that_leave_a_gap_are_refused_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near = Grid.from_bounds((447_000, 5_410_000, 448_400, 5_412_000), "EPSG:32631")
    tiles = [Tile("31UDQ", near, noise(near, 1)), Tile("31UEQ", EAST, noise(EAST, 2))]
    with tiles_served(tmp_path / "world", tiles, DAY) as world:
        sites = sites_file(world, around(GROUND, 50))
        assert fetch(sites, tmp_path / "out", "--dry-run", "--json") == 0
        (rejection,) = json.loads(capsys.readouterr().out)["sites"][0]["rejections"]
        # But for 20 of some 300 columns.
        assert rejection["why"].startswith(("they cover 93.", "they cover 94."))
        assert fetch(sites, tmp_path / "out") == 2
        assert "0 of 1 wishes can be met" in error_line(capsys)
