"""OpenStreetMap that `swath fetch` brings beside the images, so that a build needs no network."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import yaml

from support.fetch_world import World, error_line, fetch, tree
from support.overpass_server import Server, answer
from support.stac_server import SITE
from swath.cli import run
from swath.grid import Grid
from swath.labels import overpass
from swath.labels.osm import read_extract
from swath.legend import read_legend
from swath.retrieval import snapshot
from swath.sites.schema import read_sites_file

pytest.importorskip("osmium")
pytestmark = pytest.mark.usefixtures("loopback_only")

DAY = "2019-07-04"
WEST, SOUTH, EAST, NORTH = SITE
NODES = (
    f'<node id="1" lat="{SOUTH - 0.001}" lon="{WEST - 0.001}"/>'
    f'<node id="2" lat="{NORTH + 0.001}" lon="{EAST + 0.001}"/>'
    f'<node id="3" lat="{SOUTH + 0.002}" lon="{EAST + 0.03}"/>'
)
WAYS = (
    '<way id="7"><nd ref="1"/><nd ref="2"/><tag k="highway" v="primary"/></way>'
    '<way id="8"><nd ref="2"/><nd ref="3"/><tag k="highway" v="secondary"/></way>'
)


@pytest.fixture
def osm(overpass_server: Server) -> Server:
    overpass_server.will((200, answer(NODES + WAYS)))
    return overpass_server


def sites_with(world: World, osm: Server, **more: Any) -> Path:
    path = world.sites(dates=1)
    value = yaml.safe_load(path.read_text())
    value["sites"]["town"]["labels"] = {"overpass": osm.url, "date": DAY}
    path.write_text(yaml.safe_dump(value | more))
    return path


def test_fetch_brings_the_map_and_build_needs_no_network(
    world: World, osm: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites, out = sites_with(world, osm), tmp_path / "out"
    assert fetch(sites, out, "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)["sites"][0]["labels"]
    assert plan == {"server": osm.url, "date": DAY, "requests": 1}
    assert not osm.asked

    assert fetch(sites, out, "--json") == 0
    row = json.loads(capsys.readouterr().out)["sites"][0]["labels"]
    assert row["fetched"]
    assert row["path"] == str(out / "town" / f"osm_{DAY}.osm.pbf")
    assert f'[date:"{DAY}T00:00:00Z"]' in osm.asked[0]
    note = json.loads((out / "town" / f"osm_{DAY}.json").read_text())
    assert note["attribution"].startswith("(c) OpenStreetMap contributors")
    assert (note["sha256"], note["date"]) == (row["sha256"], DAY)

    # What it says of itself: its day, and an extent that reaches a kilometre around the site.
    extract = read_extract(Path(row["path"]), read_legend("roads"), (-180, -90, 180, 90))
    assert str(extract.date) == DAY
    assert extract.extent is not None
    grid = Grid.from_lonlat(SITE)
    west, south, east, north = grid.lonlat_bounds
    left, bottom, right, top = extract.extent
    metre = 1 / 111_320  # of latitude, in degrees; of longitude at 49 degrees 1.52 times as much
    assert south - bottom == pytest.approx(1000 * metre, rel=0.1)
    assert top - north == pytest.approx(1000 * metre, rel=0.1)
    assert west - left == pytest.approx(1520 * metre, rel=0.1)
    assert right - east == pytest.approx(1520 * metre, rel=0.1)

    # The dataset is the one that the server itself would have given, and asks nobody.
    osm.asked.clear()
    for files in (world.api, world.files):
        files.requests.clear()
    assert run(["build", str(out / "sites.yaml"), "--out", str(tmp_path / "one"), "--json"]) == 0
    built = json.loads(capsys.readouterr().out)["sites"][0]
    assert built["labels_date"] == DAY
    assert not osm.asked + world.api.requests + world.files.requests
    # The conditions came with the image: the catalogue's cloud over the whole tile.
    assert built["acquisitions"][0]["cloud_cover"] == 10
    assert built["acquisitions"][0]["masks"] == {"scl": [0, 1, 3, 8, 9, 10]}
    value = yaml.safe_load((out / "sites.yaml").read_text())
    value["sites"]["town"]["labels"] = {"overpass": osm.url, "date": DAY}
    (out / "direct.yaml").write_text(yaml.safe_dump(value))
    assert run(["build", str(out / "direct.yaml"), "--out", str(tmp_path / "two")]) == 0
    assert len(osm.asked) == 1
    one, two = (rasterio.open(tmp_path / name / "town" / "labels.tif") for name in ("one", "two"))
    with one, two:
        np.testing.assert_array_equal(one.read(), two.read())
        assert set(np.unique(one.read())) == {0, 1}
        assert one.tags()["LABELS_DATE"] == DAY
    one_roads, two_roads = (
        geopandas.read_parquet(tmp_path / name / "town" / "roads.parquet") for name in ("one", "two")
    )
    assert one_roads.geometry.geom_equals_exact(two_roads.geometry, 1e-6).all()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_second_run_asks_for_nothing_and_a_damaged_map_comes_again(
    world: World, osm: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites, out = sites_with(world, osm), tmp_path / "out"
    assert fetch(sites, out) == 0
    before = tree(out)
    osm.asked.clear()
    assert fetch(sites, out) == 0
    assert not osm.asked
    assert tree(out) == before
    path = out / "town" / f"osm_{DAY}.osm.pbf"
    path.write_bytes(path.read_bytes()[:-1])
    assert fetch(sites, out) == 0
    assert len(osm.asked) == 1
    assert tree(out) == before
    # Another legend asks for other tags.
    assert fetch(sites_with(world, osm, legend="landcover"), out) == 0
    assert len(osm.asked) == 2
    assert "building" in osm.asked[-1]


def test_a_run_that_was_broken_off_goes_on_and_ends_with_the_same_bytes(
    world: World,
    osm: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Cells of 400 m make several questions of it.
    monkeypatch.setattr(overpass, "_CELL_DEG", 0.02)
    monkeypatch.setattr(overpass, "_PAUSE_S", 0.0)
    monkeypatch.setattr(overpass, "_FIRST_WAIT_S", 0.0)
    sites = sites_with(world, osm)
    assert fetch(sites, tmp_path / "calm") == 0
    questions = list(osm.asked)
    assert len(questions) >= 4
    osm.asked.clear()
    good = (200, answer(NODES + WAYS))
    osm.will(good, (429, b""), good, (504, b""), (400, b"refused"))
    capsys.readouterr()
    assert fetch(sites, tmp_path / "storm") == 2
    assert "HTTP 400" in capsys.readouterr().err.splitlines()[-1]
    assert not list((tmp_path / "storm").rglob("*.pbf"))
    assert list((tmp_path / "storm").rglob("town/*.tif"))
    # Two answers are kept: only the others are asked for.
    osm.asked.clear()
    osm.will(good)
    for files in (world.api, world.files):
        files.requests.clear()
    assert fetch(sites, tmp_path / "storm") == 0
    assert osm.asked == questions[2:]
    assert not world.api.requests + world.files.requests
    assert tree(tmp_path / "storm") == tree(tmp_path / "calm")


def test_answers_that_are_no_map_are_one_line_and_leave_none(
    world: World, osm: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    osm.will((200, answer('<node id="1" lat="x" lon="0"/>' + WAYS)))
    sites, out = sites_with(world, osm), tmp_path / "out"
    assert fetch(sites, out) == 2
    assert "is not readable" in error_line(capsys)
    assert not list(out.rglob("*.pbf"))
    osm.will((200, answer(NODES + WAYS)))
    assert fetch(sites, out) == 0


def test_what_is_asked_is_known_before_anything_is(world: World, osm: Server) -> None:
    settings = read_sites_file(sites_with(world, osm))
    (plan,) = snapshot.plan_snapshots(settings, {"town": Grid.from_lonlat(SITE)}, read_legend("roads"))
    assert (plan.site, plan.server, plan.date) == ("town", osm.url, dt.date(2019, 7, 4))
    assert not osm.asked
    by_file = read_sites_file(world.sites())
    grids = {"town": Grid.from_lonlat(SITE)}
    assert snapshot.plan_snapshots(by_file, grids, read_legend("roads")) == ()
