"""`swath fetch` where servers fail, cut, lie and stall, and where it is killed."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.fetch_world import BEST, DAYS, World, error_line, fetch, first_times, start, tree
from support.stac_server import (
    Shot,
    copernicus_item,
)
from swath.retrieval import remote

pytestmark = pytest.mark.usefixtures("loopback_only")


# --- a server that fails ------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["503", "429", "cut", "drop", "shifted", "trickle"])
def test_windows_survive_passing_faults(
    world: World, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SLOW_AFTER_S", 0.3)
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
        ("nowhere", "given up after 6 tries (sent to what is no address)"),
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


def test_truncated_cog_is_refused(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


# --- killed -------------------------------------------------------------------------------------
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
import swath.retrieval.fetchfolder, swath.retrieval.remote
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


def test_files_of_others_are_not_fetched_over(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    assert fetch(world.sites(), tmp_path / "calm") == 0
    image = next((tmp_path / "calm").glob("*/*.tif")).relative_to(tmp_path / "calm")
    (out / image).parent.mkdir(parents=True)
    (out / image).write_text("years of work")
    capsys.readouterr()
    assert fetch(world.sites(), out) == 2
    assert f"{out / image} exists already" in error_line(capsys)
    assert (out / image).read_text() == "years of work"
