"""`swath fetch` against a STAC API and a file server on 127.0.0.1, both of which may misbehave."""

import datetime as dt
import json
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml

from fault_server import Files, serving
from stac_server import (
    SITE,
    TILE,
    Shot,
    copernicus_item,
    earth_search_item,
    planetary_item,
    reflectance,
    scl,
    stac_api,
    visual,
    write_files,
)
from swath import cli
from swath.fetch import remote
from swath.fetch import stac as stac_module
from swath.fetch.checksum import find_problem, parse_multihash
from swath.fetch.stac import Preset, parse_item

# Spring, summer, autumn and winter; two are clouded over the site, one over the whole tile.
DAYS = {
    dt.date(2022, 1, 10): Shot(dt.date(2022, 1, 10)),
    dt.date(2022, 2, 9): Shot(dt.date(2022, 2, 9), cloud=0.5),
    dt.date(2022, 5, 10): Shot(dt.date(2022, 5, 10), cloud=0.02),
    dt.date(2022, 5, 15): Shot(dt.date(2022, 5, 15), tile_cloud=45),
    dt.date(2022, 9, 12): Shot(dt.date(2022, 9, 12)),
    dt.date(2022, 10, 2): Shot(dt.date(2022, 10, 2), tile_cloud=95),
}
BEST = ["2022-01-10", "2022-05-15", "2022-09-12"]


@dataclass
class World:
    """A catalogue and its files: `api` and `files` are servers on 127.0.0.1."""

    api: Files
    files: Files
    folder: Path

    def sites(self, **fetch: Any) -> Path:
        """A new sites file with one site."""
        path = self.folder / "SITES.yaml"
        fetch = {"api": self.api.url, "collection": "sentinel-2-l2a"} | fetch
        if "wishes" not in fetch:
            fetch = {"start": "2022-01-01", "end": "2022-12-31"} | fetch
        site = {"bounds": list(SITE), "split": "train", "labels": "roads.geojson"}
        path.write_text(yaml.safe_dump({"fetch": fetch, "sites": {"town": site}}))
        return path


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may talk to anything but this machine; nor wait long."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] != "127.0.0.1":
            raise AssertionError(f"a test talks to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(remote, "BACKOFF_S", 0.01)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("TOKEN", "USER", "PASSWORD", "TOKEN_URL", "HOSTS", "CREDENTIALS"):
        monkeypatch.delenv(f"SWATH_FETCH_{name}", raising=False)


Shape = Callable[[Shot, str, dict[str, Path]], dict[str, Any]]


def start(
    folder: Path, shots: Sequence[Shot], shape: Shape, driver: str = "COG"
) -> Iterator[World]:
    folder.mkdir(exist_ok=True)
    with serving(folder) as files, serving(folder) as api:
        items = []
        for shot in shots:
            images = write_files(folder / f"raw-{shot.date}-{shot.baseline}", shot, driver)
            items.append(shape(shot, files.url, images))
        with stac_api(items, folder, api.url) as address:
            api.api = address
            yield World(api, files, folder)


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("earth-search")
    yield from start(folder, list(DAYS.values()), earth_search_item)


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    yield shared_world
    for files in (shared_world.api, shared_world.files):
        files.fault = lambda path, before: None
        files.delay_s, files.token, files.lives = 0.0, None, 1_000_000
        files.counts.clear()
        files.requests.clear()
        files.authorizations.clear()


def fetch(sites: Path, out: Path, *more: str) -> int:
    return cli.run(["fetch", str(sites), "--out", str(out), *more])


def error_line(capture: Any) -> str:
    """The one line on stderr (a progress bar leaves empty ones)."""
    (line,) = [line for line in capture.readouterr().err.splitlines() if line.strip()]
    return str(line)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under a folder and its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- the plan --------------------------------------------------------------------------------


def test_dry_run_explains_every_date_and_leaves_nothing(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(stac_module, "PAGE_ITEMS", 2)  # three pages
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


# --- the images ------------------------------------------------------------------------------


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
        np.testing.assert_array_equal(
            image, whole[:, row : row + image.shape[1], col : col + image.shape[2]]
        )
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


def test_second_run_asks_nobody(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    assert pick["offset"]["dn"] == added
    assert why in pick["offset"]["why"]
    with rasterio.open(tmp_path / "out" / "town" / f"{day}.tif") as source:
        image = source.read()
        col, row = (round(v) for v in ~TILE.transform @ source.transform @ (0, 0))
    truth = np.stack([reflectance(day, band) for band in ("B04", "B03", "B02")])
    window = truth[:, row : row + image.shape[1], col : col + image.shape[2]]
    np.testing.assert_array_equal(image, window)


# --- a server that fails ---------------------------------------------------------------------


def first_times(kind: str, times: int = 2) -> Callable[[str, int], str | None]:
    return lambda path, before: kind if before < times else None


@pytest.mark.parametrize("kind", ["503", "429", "cut", "drop", "shifted"])
def test_windows_survive_passing_faults(world: World, tmp_path: Path, kind: str) -> None:
    assert fetch(world.sites(), tmp_path / "calm") == 0
    world.files.counts.clear()
    world.files.fault = first_times(kind)
    world.api.fault = first_times("503", 1) if kind == "503" else world.api.fault
    assert fetch(world.sites(), tmp_path / "storm") == 0
    assert tree(tmp_path / "storm") == tree(tmp_path / "calm")


@pytest.mark.parametrize("kind", ["503", "cut", "drop", "flip", "short", "trickle", "cut+shifted"])
def test_downloads_survive_passing_faults_and_are_resumed(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SLOW_AFTER_S", 0.3)
    day = dt.date(2022, 6, 1)
    for world in start(tmp_path / "world", [Shot(day)], copernicus_item, "JP2"):
        sites = world.sites(wishes=[str(day)])
        assert fetch(sites, tmp_path / "calm") == 0
        calm = [request for request in world.files.requests if "visual" in request[1]]
        assert len(calm) == 1
        world.files.counts.clear()
        world.files.requests.clear()
        faults = dict(enumerate(kind.split("+")))
        world.files.fault = lambda path, before, faults=faults: faults.get(before)
        assert fetch(sites, tmp_path / "storm") == 0
        assert tree(tmp_path / "storm") == tree(tmp_path / "calm")
        ranges = [span for _, path, span in world.files.requests if "visual" in path]
        assert len(ranges) == 1 + len(faults)
        if kind == "cut":  # goes on where it broke off
            size = next(world.folder.glob("S2B*/visual.jp2")).stat().st_size
            assert ranges[1] == f"bytes={size // 2}-"
        if kind == "trickle":  # given up long before 300 bytes had come
            assert 0 < int(ranges[1].strip("bytes=-")) < 200
        if kind in ("flip", "short", "cut+shifted"):  # what came is wrong: once more, whole
            assert ranges[-1] == ""


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("503", "given up after 6 tries (status 503)"),
        ("404", "status 404"),
        ("drop", "given up after 6 tries"),
        ("whole", "does not give parts of files; use `access: download`"),
        ("retry-after", "the server asks to wait 3600 s"),
        ("401", "refused (status 401); set SWATH_FETCH_TOKEN"),
    ],
)
def test_lasting_faults_are_one_line_and_leave_no_image(
    world: World, tmp_path: Path, fault: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.files.fault = lambda path, before: fault if "visual" in path else None
    assert fetch(world.sites(), tmp_path / "out") == 2
    error = error_line(capsys)
    assert error.startswith("error: http://127.0.0.1:")
    assert message in error
    assert not list((tmp_path / "out").rglob("*.tif"))
    assert len(world.files.requests) < 60
    # The same command, when the server is well again, needs no new search.
    world.files.fault = lambda path, before: None
    world.api.requests.clear()
    assert fetch(world.sites(), tmp_path / "out") == 0
    assert not world.api.requests


def test_wrong_checksum_and_truncated_files_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = dt.date(2022, 6, 1)
    for world in start(tmp_path / "world", [Shot(day)], copernicus_item, "JP2"):
        sites = world.sites(wishes=[str(day)])
        path = next(world.folder.glob("S2B*/visual.jp2"))
        data = path.read_bytes()
        for broken, message in (
            (
                data[:-1] + bytes([data[-1] ^ 1]),
                "its sha3_256 is not what the catalogue says, twice",
            ),
            (data[: len(data) // 2], "bytes came, the catalogue says"),
        ):
            path.write_bytes(broken)
            assert fetch(sites, tmp_path / "out") == 2
            assert message in capsys.readouterr().err
            assert not list((tmp_path / "out").rglob("*.tif"))
        path.write_bytes(data)
        assert fetch(sites, tmp_path / "out") == 0


def test_truncated_cog_is_refused(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = world.folder / "S2B_31UDQ_20220515_0_L2A" / "visual.tif"
    data = path.read_bytes()
    try:
        path.write_bytes(data[: len(data) // 2])
        assert fetch(world.sites(), tmp_path / "out") == 2
    finally:
        path.write_bytes(data)
    assert "visual.tif: not readable as a GeoTIFF" in capsys.readouterr().err
    assert not (tmp_path / "out" / "town" / "2022-05-15.tif").exists()
    assert (tmp_path / "out" / "town" / "2022-01-10.tif").exists()


def test_one_unreadable_date_costs_that_date_only(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.files.fault = lambda path, before: "404" if "20220515" in path else None
    assert fetch(world.sites(), tmp_path / "out", "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)["sites"][0]
    assert [pick["date"] for pick in plan["picks"]] == ["2022-01-10", "2022-05-10", "2022-09-12"]
    why = {rejection["date"]: rejection["why"] for rejection in plan["rejections"]}
    assert "its clouds cannot be read" in why["2022-05-15"]


# --- secrets ---------------------------------------------------------------------------------


def needs_login(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWATH_FETCH_USER", "someone")
    monkeypatch.setenv("SWATH_FETCH_PASSWORD", world.files.password)
    monkeypatch.setenv("SWATH_FETCH_TOKEN_URL", f"{world.files.url}/token")
    monkeypatch.setenv("SWATH_FETCH_HOSTS", "127.0.0.1")
    world.files.token = "none yet"


def test_expired_tokens_are_renewed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    needs_login(world, monkeypatch)
    world.files.lives = 4  # requests
    assert fetch(world.sites(), tmp_path / "out", "--json") == 0
    assert world.files.logins > 2
    secret = ("token-", world.files.password)
    shown = capfd.readouterr()
    assert not any(word in shown.out + shown.err for word in secret)
    assert not any(word.encode() in data for data in tree(tmp_path).values() for word in secret)


def test_wrong_password_is_one_line_without_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    needs_login(world, monkeypatch)
    monkeypatch.setenv("SWATH_FETCH_PASSWORD", "wrong-password")
    assert fetch(world.sites(), tmp_path / "out") == 2
    error = capfd.readouterr().err
    assert "gives no token (status 401); check user and password" in error
    assert "wrong-password" not in error


def test_tokens_go_to_named_hosts_only(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWATH_FETCH_TOKEN", "my-token")
    assert fetch(world.sites(), tmp_path / "out") == 0
    assert not any(world.files.authorizations + world.api.authorizations)

    world.files.token = "my-token"
    monkeypatch.setenv("SWATH_FETCH_HOSTS", "127.0.0.1")
    assert fetch(world.sites(), tmp_path / "again") == 0
    assert "Bearer my-token" in world.files.authorizations
    assert "Bearer my-token" in world.api.authorizations


def test_credentials_file_must_be_private(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "credentials.yaml"
    file.write_text("token: my-token\nhosts: 127.0.0.1\n")
    file.chmod(0o640)
    out = tmp_path / "out"
    assert fetch(world.sites(), out, "--credentials", str(file)) == 2
    error = capsys.readouterr().err
    assert f"(mode 640); run: chmod 600 {file}" in error
    assert "my-token" not in error
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    world.files.token = "my-token"
    assert fetch(world.sites(), out, "--credentials", str(file)) == 0

    file.write_text("tokn: my-token\n")
    assert fetch(world.sites(), out, "--credentials", str(file)) == 2
    assert "unknown key 'tokn'" in capsys.readouterr().err
    file.write_text("password: [my-token]\n")
    assert fetch(world.sites(), out, "--credentials", str(file)) == 2
    assert "my-token" not in error_line(capsys)
    file.write_text("password: 'my-token\n")
    assert fetch(world.sites(), out, "--credentials", str(file)) == 2
    assert "my-token" not in error_line(capsys)
    assert fetch(world.sites(), out, "--credentials", str(tmp_path / "none")) == 2


def test_storage_tokens_are_appended_and_kept_out_of_sight(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    (world.folder / "sas.json").write_text(json.dumps({"token": "sig=secret-sas"}))
    preset = Preset(world.api.url, sas_url=f"{world.files.url}/sas.json", sas_hosts=("127.0.0.1",))
    monkeypatch.setitem(stac_module.PRESETS, "planetary-computer", preset)
    sites = world.sites(api="planetary-computer")
    world.files.fault = lambda path, before: "404" if "20220912/visual" in path else None
    assert fetch(sites, tmp_path / "out") == 0
    assert world.files.asked("visual.tif?sig=secret-sas") > 0
    assert world.files.asked("sas.json") == 1
    assert not any(b"secret-sas" in data for data in tree(tmp_path / "out").values())
    world.files.fault = lambda path, before: "404" if "visual" in path else None
    assert fetch(sites, tmp_path / "again") == 2
    assert "secret-sas" not in capfd.readouterr().err


# --- bad input -------------------------------------------------------------------------------


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
    monkeypatch.setattr(stac_module, "SEARCH_BACKOFF_S", 0.0)
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


def test_a_page_that_is_no_stac_api_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name, content in (("a", "<html>"), ("b", "{}"), ("c", '{"type": "Catalog"}')):
        (root / name).write_text(content)
        with serving(root) as files:
            world = World(files, files, tmp_path)
            sites = world.sites(api=f"{files.url}/{name}")
            assert fetch(sites, tmp_path / "out") == 2
        assert error_line(capsys).startswith(f"error: {files.url}/{name}: ")


# --- killed ----------------------------------------------------------------------------------

KILLER = """
import os, random, signal, socket, sys, time, traceback
sites, out, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
connect = socket.socket.connect
def guarded(self, address):
    assert not isinstance(address, tuple) or address[0] == "127.0.0.1", address
    connect(self, address)
socket.socket.connect = guarded
# All that a run imports, so that the moments fall into its work.
import pystac_client, rasterio, requests
from swath import cli
import swath.fetch.fetch, swath.fetch.handover, swath.fetch.remote
def run(out, kill_after):
    child = os.fork()
    if child == 0:
        try:
            os._exit(cli.run(["fetch", sites, "--out", out]))
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(99)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return status
began = time.monotonic()
assert run(out + "-calm", None) == 0
whole = time.monotonic() - began
moments = random.Random(seed)
killed = 0
for number in range(10):
    folder = f"{out}-{number}"
    killed += run(folder, moments.uniform(0.05, 0.95) * whole) == signal.SIGKILL
    assert run(folder, None) == 0, number
print(killed)
"""


def test_killed_at_ten_moments_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    shots = [DAYS[dt.date.fromisoformat(day)] for day in BEST]
    for world in start(tmp_path / "world", shots, copernicus_item, "JP2"):
        world.files.delay_s = 0.01
        sites = world.sites(source="bands")
        out = tmp_path / "out"
        done = subprocess.run(
            [sys.executable, "-c", KILLER, str(sites), str(out), "7"],
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    calm = tree(tmp_path / "out-calm")
    assert len(calm) == 8
    # A run that ended before its moment proves nothing; most must have been killed at work.
    assert int(done.stdout.split()[-1]) >= 7
    for number in range(10):
        assert tree(tmp_path / f"out-{number}") == calm, number


# --- values ----------------------------------------------------------------------------------


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
