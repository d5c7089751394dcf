"""`swath fetch` against a STAC API and a file server on 127.0.0.1."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml

from support.fault_server import serving
from support.fetch_world import BEST, DAYS, Shape, World, error_line, fetch, start, tree
from support.stac_server import (
    SITE,
    TILE,
    Shot,
    copernicus_item,
    earth_search_item,
    planetary_item,
    reflectance,
    scl,
    visual,
)
from swath.locks import locked
from swath.retrieval import remote
from swath.retrieval import search as search_module
from swath.retrieval.stacitem import parse_item
from swath.retrieval.wholefile import find_problem, parse_multihash

pytestmark = pytest.mark.usefixtures("loopback_only")


# --- the plan -----------------------------------------------------------------------------------
def test_dry_run_explains_every_date_and_leaves_nothing(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(search_module, "PAGE_ITEMS", 2)  # three pages
    out = tmp_path / "out"
    assert fetch(world.sites(), out, "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)["sites"][0]
    assert [pick["date"] for pick in plan["picks"]] == BEST
    # 10 January to 15 May: 125 days; to 12 September: 120; around the year: 120.
    assert "120 days of the year from the next" in plan["picks"][0]["why"]
    assert plan["source"] == "visual"
    why = {rejection["date"]: rejection["why"] for rejection in plan["rejections"]}
    # Half of a square; of the box around it in UTM a little less.
    assert 45 < float(why["2022-02-09"].split("%")[0]) < 51
    assert why["2022-02-09"].endswith("of the site is not clear (max_cloud 5 %)")
    assert "farther apart in the year or are clearer" in why["2022-05-10"]
    assert "95 % of the tile is cloud" in why["2022-10-02"]
    assert len(why) + len(plan["picks"]) == len(DAYS)
    assert not out.exists()
    # The clouds were counted on the scene classification, of no image was anything read.
    assert world.files.asked("SCL.tif") > 0
    assert world.files.asked("visual.tif") == 0

    assert fetch(world.sites(), out, "--dry-run") == 0
    text = capsys.readouterr().out
    assert "take 2022-05-15" in text
    assert "not  2022-02-09" in text


def test_too_few_clear_dates_is_one_line_and_fetches_nothing(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert fetch(world.sites(dates=6), out) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: site 'town': 4 of 6 dates can be had; allow more cloud")
    assert not list(out.rglob("*.tif"))
    assert fetch(world.sites(dates=6), out, "--dry-run") == 0
    assert "short: 4 of 6 dates can be had" in capsys.readouterr().out


def test_wishes_take_the_nearest_clear_date(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = world.sites(wishes=["2022-05-12", "2022-09-12"], within_days=5)
    assert fetch(sites, tmp_path / "out", "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)["sites"][0]
    # 10 May is two days off, 15 May three.
    assert [pick["date"] for pick in plan["picks"]] == ["2022-05-10", "2022-09-12"]
    assert "-2 days from the wish" in plan["picks"][0]["why"]
    assert "as wished" in plan["picks"][1]["why"]

    assert fetch(world.sites(wishes=["2022-02-09"]), tmp_path / "out") == 2
    assert "0 of 1 wishes can be met (not: 2022-02-09)" in capsys.readouterr().err


# --- the images ---------------------------------------------------------------------------------
def test_fetched_windows_hold_the_very_pixels_and_build_reads_them(
    world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote, "CHUNK", 2048)  # the files are small
    out = tmp_path / "out"
    assert fetch(world.sites(), out, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["fetched"], result["kept"]) == (3, 0)
    names = {"sites.yaml", "plan.json"}
    names |= {f"town/{day}.{kind}" for day in BEST for kind in ("tif", "json")}
    assert set(tree(out)) == names

    for day in BEST:
        with rasterio.open(out / "town" / f"{day}.tif") as source:
            image = source.read()
            col, row = (round(v) for v in ~TILE.transform @ source.transform @ (0, 0))
            assert source.descriptions == ("B04", "B03", "B02")
        whole = visual(dt.date.fromisoformat(day))
        # 1 km at 10 m, a rotated box around it, and a margin for resampling: not the whole tile.
        assert 100 <= image.shape[1] <= 120
        assert 100 <= image.shape[2] <= 120
        np.testing.assert_array_equal(image, whole[:, row : row + image.shape[1], col : col + image.shape[2]])
    # No file was read whole.
    picked = [f"S2B_31UDQ_{day.replace('-', '')}_0_L2A" for day in BEST]
    sizes = sum((world.folder / name / "visual.tif").stat().st_size for name in picked)
    assert 0 < result["bytes"] < 0.8 * sizes

    from swath.dataset.build import build_dataset

    line = {"type": "LineString", "coordinates": [[SITE[0], SITE[1]], [SITE[2], SITE[3]]]}
    feature = {"type": "Feature", "properties": {"highway": "primary"}, "geometry": line}
    roads = {"type": "FeatureCollection", "features": [feature]}
    (world.folder / "roads.geojson").write_text(json.dumps(roads))
    dataset = build_dataset(out / "sites.yaml", tmp_path / "dataset")
    assert [str(date) for date in dataset.sites[0].dates] == BEST
    assert dataset.sites[0].grid.shape == pytest.approx((102, 102), abs=3)


def test_second_run_asks_nobody(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert fetch(world.sites(), out) == 0
    before = tree(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    for files in (world.api, world.files):
        files.requests.clear()
    capsys.readouterr()
    assert fetch(world.sites(), out, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["fetched"], result["kept"], result["bytes"]) == (0, 3, 0)
    assert not world.api.requests
    assert not world.files.requests
    assert tree(out) == before
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}

    # A damaged image, and one without its note, come again; the third is left alone.
    image = out / "town" / f"{BEST[0]}.tif"
    image.write_bytes(image.read_bytes()[:-1])
    (out / "town" / f"{BEST[1]}.json").unlink()
    assert fetch(world.sites(), out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["fetched"] == 2
    assert tree(out) == before

    # A sites file that someone has changed is not written over.
    sites = out / "sites.yaml"
    sites.write_text(sites.read_text() + "attribution: mine\n")
    assert fetch(world.sites(dates=2), out) == 0
    assert "was changed by hand" in capsys.readouterr().out
    assert sites.read_text().endswith("attribution: mine\n")


def test_clouds_become_no_data_unless_told_otherwise(world: World, tmp_path: Path) -> None:
    day = dt.date(2022, 2, 9)  # cloud over the northern half of the site
    wish = {"wishes": [str(day)], "max_cloud": 60}
    for mask, share in (("scl", 0.4), ("none", 0.0)):
        out = tmp_path / mask
        assert fetch(world.sites(mask=mask, **wish), out) == 0
        with rasterio.open(out / "town" / f"{day}.tif") as source:
            image = source.read()
            col, row = (round(v) for v in ~TILE.transform @ source.transform @ (0, 0))
        cloud = np.kron(scl(0.5) == 9, np.ones((2, 2), bool))
        cloud = cloud[row : row + image.shape[1], col : col + image.shape[2]]
        assert cloud.mean() > 0.4
        assert (image == 0).all(axis=0).mean() >= share
        np.testing.assert_array_equal((image == 0).all(axis=0), cloud & (mask == "scl"))


@pytest.mark.parametrize(
    ("shape", "shot", "added", "why"),
    [
        # The flag says applied, and it is; the bands still declare -0.1.
        (earth_search_item, {"stored": 0, "applied": True}, 0, "applied already"),
        # Not applied, and declared.
        (earth_search_item, {"stored": 1000, "applied": False}, -1000, "declared"),
        # The flag lies: it says not applied, the pixels say it is.
        (earth_search_item, {"stored": 0, "applied": False}, 0, "would be below 0"),
        # Before baseline 04.00 there was none, whatever the bands declare.
        (copernicus_item, {"stored": 0, "baseline": "02.14"}, 0, "baseline 02.14 has no offset"),
        (copernicus_item, {"stored": 1000, "baseline": "05.11"}, -1000, "declared"),
        # Nothing is declared: the baseline says it.
        (planetary_item, {"stored": 1000, "baseline": "05.09"}, -1000, "baseline 05.09 has it"),
        (planetary_item, {"stored": 0, "baseline": "03.01"}, 0, "baseline 03.01 has no offset"),
    ],
)
def test_reflectance_is_right_whatever_the_catalogue_says(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    shape: Shape,
    shot: dict[str, Any],
    added: int,
    why: str,
) -> None:
    day = dt.date(2022, 6, 1)
    driver = "JP2" if shape is copernicus_item else "COG"
    for world in start(tmp_path / "world", [Shot(day, **shot)], shape, driver):
        sites = world.sites(source="bands", wishes=[str(day)])
        assert fetch(sites, tmp_path / "out", "--json") == 0
    pick = json.loads(capsys.readouterr().out)["sites"][0]["picks"][0]
    (offset,) = pick["offsets"]
    assert offset["dn"] == added
    assert why in offset["why"]
    with rasterio.open(tmp_path / "out" / "town" / f"{day}.tif") as source:
        image = source.read()
        col, row = (round(v) for v in ~TILE.transform @ source.transform @ (0, 0))
    truth = np.stack([reflectance(day, band) for band in ("B04", "B03", "B02")])
    window = truth[:, row : row + image.shape[1], col : col + image.shape[2]]
    np.testing.assert_array_equal(image, window)


def test_a_second_fetch_into_the_same_folder_is_one_line(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with locked(out):
        assert fetch(world.sites(), out) == 2
    assert f"another swath is at work in {out}; wait for it" in error_line(capsys)
    assert list(out.iterdir()) == []
    assert not world.api.requests
    assert fetch(world.sites(), out) == 0


# --- bad input ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fetch_settings", "message"),
    [
        ({"api": "earth-serch"}, "neither a URL nor one of earth-search"),
        ({"api": "ftp://127.0.0.1"}, "neither a URL nor one of"),
        ({"api": "http://127.0.0.1:1"}, "127.0.0.1:1"),
        ({"collection": "no-such"}, "0 of 3 dates can be had"),
        ({"start": "2022-12-31", "end": "2022-01-01"}, "is after end"),
        ({"dates": 0}, "dates"),
        ({"max_clouds": 3}, "unknown key"),
        ({"mgrs_tile": "99"}, "mgrs_tile"),
        ({"mgrs_tile": "31UDP"}, "0 of 3 dates can be had"),
        ({"start": None}, "needs start and end, or wishes"),
    ],
)
def test_bad_settings_are_one_line(
    world: World,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fetch_settings: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setattr(search_module, "SEARCH_BACKOFF_S", 0.0)
    assert fetch(world.sites(**fetch_settings), tmp_path / "out") == 2
    error = error_line(capsys)
    assert error.startswith("error: ")
    assert message in error
    assert not list((tmp_path / "out").rglob("*.tif"))


def test_sites_without_bounds_and_an_out_that_is_a_file(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = world.sites()
    text = yaml.safe_load(sites.read_text())
    del text["sites"]["town"]["bounds"]
    sites.write_text(yaml.safe_dump(text))
    assert fetch(sites, tmp_path / "out") == 2
    assert "site 'town' needs bounds" in capsys.readouterr().err
    (tmp_path / "file").write_text("x")
    assert fetch(world.sites(), tmp_path / "file") == 2
    assert "expected a folder" in capsys.readouterr().err


def test_a_page_that_is_no_stac_api_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name, content in (("a", "<html>"), ("b", "{}"), ("c", '{"type": "Catalog"}')):
        (root / name).write_text(content)
        with serving(root) as files:
            world = World(files, files, tmp_path)
            sites = world.sites(api=f"{files.url}/{name}")
            assert fetch(sites, tmp_path / "out") == 2
        assert error_line(capsys).startswith(f"error: {files.url}/{name}: ")


# --- values -------------------------------------------------------------------------------------
def test_multihash() -> None:
    # From the multihash specification: sha1 and sha2-256 of "multihash".
    sha1 = "111488c2f11fb2ce392acb5b2986e640211c4690073e"
    sha2 = "12209cbc07c3f991725836a3aa2a581ca2029198aa420b9d99bc0e131d9f3e2cbe47"
    assert parse_multihash(sha1) == ("sha1", sha1[4:])
    assert parse_multihash(sha2) == ("sha256", sha2[4:])
    # md5 is code 0xd5, which takes two bytes: d5 01.
    assert parse_multihash("d50110" + "ab" * 16) == ("md5", "ab" * 16)
    for text in ("", "zz", "12", "1220abcd", "99" + "20" + "00" * 32, "d5"):
        assert parse_multihash(text)[0] is None


def test_find_problem(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"multihash")
    sha2 = "12209cbc07c3f991725836a3aa2a581ca2029198aa420b9d99bc0e131d9f3e2cbe47"
    assert find_problem(path, 9, sha2) is None
    assert find_problem(path, None, None) is None
    assert find_problem(path, 8, sha2) == "9 bytes came, the catalogue says 8"
    assert "its sha256 is not" in str(find_problem(path, 9, sha2[:-1] + "8"))


def test_items_of_three_catalogues_say_the_same(tmp_path: Path) -> None:
    shot = Shot(dt.date(2022, 6, 1), baseline="05.09")
    for shape in (earth_search_item, copernicus_item, planetary_item):
        item = parse_item(shape(shot, "http://127.0.0.1", {}), SITE)
        assert (item.date, item.mgrs_tile, item.baseline) == (shot.date, "31UDQ", "05.09")
        assert set(item.assets) == {"B02", "B03", "B04", "B08", "visual", "SCL"}
        assert item.cover == pytest.approx(1)
        assert all(asset.href.startswith("http://") for asset in item.assets.values())
