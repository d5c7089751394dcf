"""The live page's server: ranges, and nothing but the maps, whatever is asked."""

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import geopandas as gpd
import pytest
import shapely

from swath.cli import run as swath
from swath.maps.sitemaps import SiteMaps
from swath.viewer.decisions import COLUMNS, LAYER, NAME, read_decisions
from viewer.conftest import GRID, serving

JSON = "application/json"


@pytest.fixture(scope="module")
def port(address: str) -> int:
    return urlsplit(address).port or 0


@pytest.fixture
def ask(port: int) -> Iterator["Ask"]:
    with Ask(port) as asker:
        yield asker


class Ask:
    """Requests as they are written, without a client that mends them."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def __call__(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body, named)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


def test_ranges_are_the_bytes_of_the_files(ask: Ask, town: SiteMaps) -> None:
    content = town.fused_path.read_bytes()
    size = len(content)
    assert ask("/maps/0/pmap.tif", Range="bytes=10-109") == (206, content[10:110])
    assert ask("/maps/0/pmap.tif", Range=f"bytes={size - 5}-") == (206, content[-5:])
    assert ask("/maps/0/pmap.tif", Range="bytes=-7") == (206, content[-7:])
    assert ask("/maps/0/pmap.tif") == (200, content)


@pytest.mark.parametrize(
    "wanted", ["bytes=5-1", "bytes=-", "bytes=a-b", "apples", f"bytes={10**30}-", "bytes=" + "0-1," * 2000]
)
def test_absurd_ranges_are_refused(ask: Ask, wanted: str) -> None:
    status, _ = ask("/maps/0/pmap.tif", Range=wanted)
    assert status in (200, 206, 400, 416, 431)


@pytest.mark.parametrize(
    "path",
    [
        "/maps/0/../../run/model.json",
        "/maps/0/..%2f..%2frun%2fmodel.json",
        "/maps/0/%2e%2e/%2e%2e/run/model.json",
        "/maps/0//etc/passwd",
        "/maps/0/..\\..\\run\\model.json",
        "/maps/0/%00",
        "/maps/7/pmap.tif",
        "/maps/-1/pmap.tif",
        "/lines/0/99",
        "/lines/99999999999999999999/0",
        "/nothing",
    ],
)
def test_nothing_else_is_given_away(ask: Ask, path: str) -> None:
    status, body = ask(path)
    assert status == 404
    assert b"unet" not in body


def test_a_link_out_of_the_maps_is_not_followed(ask: Ask, town: SiteMaps) -> None:
    link = town.folder / "link.tif"
    link.symlink_to("/etc/passwd")
    try:
        assert ask("/maps/0/link.tif")[0] == 404
    finally:
        link.unlink()


def test_lines_by_box(ask: Ask) -> None:
    left, _, right, top = GRID.bounds
    everything = json.loads(ask("/lines/0/1")[1])
    assert len(everything["features"]) == 3
    upper = json.loads(ask(f"/lines/0/1?bbox={left},{top - 600},{right},{top}")[1])
    (feature,) = upper["features"]
    assert (feature["properties"]["rank"], feature["id"]) == (2, "1")  # a GeoPackage counts from 1
    assert feature["geometry"]["coordinates"][0] == pytest.approx([left + 100, top - 500], abs=0.2)
    for box in ("1,2", "a,b,c,d", "nan,nan,nan,nan", "5,5,1,1", "-1e400,0,1e400,1"):
        assert ask(f"/lines/0/1?bbox={box}")[0] == 400
    assert ask("/lines/0/1?bbox=-1e308,-1e308,1e308,1e308")[0] in (200, 400, 404)


def test_lines_by_order(ask: Ask) -> None:
    def ranks(query: str) -> list[int]:
        return [f["properties"]["rank"] for f in json.loads(ask(f"/lines/0/1?{query}")[1])["features"]]

    assert ranks("sort=confidence&falling=1&most=2") == [1, 2]
    assert ranks("sort=rank&column=confidence&low=0.3") == [1, 2]
    assert ranks("feature=3") == [3]
    assert ranks("feature=999") == []
    for wrong in ("most=0", "most=99999", "most=x", "column=rank&low=x"):
        assert ask(f"/lines/0/1?sort=rank&{wrong}")[0] == 400
    assert ask("/lines/0/1?feature=1.5")[0] == 400
    for wrong in ("sort=nothing", "sort=rank&column=geometry", "sort=rank%22%3B%20DROP"):
        assert ask(f"/lines/0/1?{wrong}")[0] == 404


def test_other_hosts_and_forms_are_refused(ask: Ask, port: int, town: SiteMaps) -> None:
    # What a foreign page makes the browser send: by another name for this machine, or as a form.
    assert ask("/", Host="evil.example")[0] == 400
    decision = {"key": "k", "site": "town", "overlay": "candidates", "feature": "0", "verdict": "accept"}
    body = json.dumps(decision).encode()
    kept = town.folder.parent / "decisions.gpkg"
    before = kept.read_bytes() if kept.exists() else None
    assert ask("/decisions", "POST", body, Content_Type="text/plain")[0] == 415
    assert ask("/decisions", "GET")[0] == 405
    for wrong in ({"site": "elsewhere"}, {"overlay": "x"}, {"feature": "999"}):
        changed = json.dumps(decision | wrong).encode()
        assert ask("/decisions", "POST", changed, Content_Type="application/json")[0] == 404
    for wrong in ({"verdict": "perhaps"}, {"feature": "../x"}, {"more": 1}, {"note": "x" * 3000}):
        changed = json.dumps(decision | wrong).encode()
        assert ask("/decisions", "POST", changed, Content_Type="application/json")[0] == 400
    assert ask("/decisions", "POST", b"{", Content_Type="application/json")[0] == 400
    assert ask("/decisions", "POST", b"x" * 20_000, Content_Type="application/json")[0] == 413
    assert (kept.read_bytes() if kept.exists() else None) == before


def test_slow_clients_keep_nobody_waiting(port: int, town: SiteMaps) -> None:
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    for client in slow:
        client.sendall(b"GET /maps/0/pmap.tif HTTP/1.1\r\nHost: 127")
    began = time.monotonic()
    with Ask(port) as ask:
        assert ask("/maps/0/pmap.tif", Range="bytes=0-9")[0] == 206
    assert time.monotonic() - began < 5
    for client in slow:
        client.close()


def test_fifty_clients_get_what_they_ask_for(port: int, town: SiteMaps) -> None:
    content = town.fused_path.read_bytes()
    faults: list[object] = []

    def client(number: int) -> None:
        with Ask(port) as ask:
            for turn in range(5):
                start = (number * 997 + turn * 131) % (len(content) - 100)
                answer = ask("/maps/0/pmap.tif", Range=f"bytes={start}-{start + 99}")
                if answer != (206, content[start : start + 100]):
                    faults.append(answer[0])

    threads = [threading.Thread(target=client, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_bad_input_is_one_line(town: SiteMaps, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = str(town.folder.parent)
    (tmp_path / "text.geojson").write_text("no vectors")
    spoilt = tmp_path / "spoilt"
    shutil.copytree(maps, spoilt)
    (spoilt / NAME).unlink(missing_ok=True)
    (spoilt / NAME).symlink_to(tmp_path / "text.geojson")
    nowhere = tmp_path / "nowhere.parquet"
    site = (
        'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
    )
    gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(1, 2)], crs=site).to_parquet(nowhere)
    lost = tmp_path / "lost"
    shutil.copytree(maps, lost)
    table = dict.fromkeys(COLUMNS, "a")
    gpd.GeoDataFrame([table] * 2, geometry=[shapely.Point(1, 2), None], crs=4326).to_file(
        lost / NAME, layer=LAYER
    )
    for arguments, named in (
        (["view", maps, "--with", str(nowhere)], nowhere),
        (["view", str(lost)], lost / NAME),
    ):
        assert swath(arguments) == 2
        complaint = capsys.readouterr().err
        assert complaint.startswith(f"error: {named}: not readable")
        assert complaint.count("\n") == 1
    for arguments in (
        ["view", str(tmp_path)],
        ["view", maps, "--with", str(tmp_path / "nothing")],
        ["view", maps, "--with", str(tmp_path / "text.geojson")],
        ["view", maps, "--host", "203.0.113.7", "--port", "1"],
        ["view", maps, "--host", ""],
        ["view", maps, "--host", "üü..x"],
        ["view", str(spoilt)],
        ["report", maps, "--out", maps + "/index.html"],
        ["report", str(tmp_path), "--out", str(tmp_path / "page.html")],
        ["show", str(tmp_path / "text.geojson")],
        ["show", str(tmp_path / "nothing.tif")],
    ):
        assert swath(arguments) == 2
        complaint = capsys.readouterr().err.strip()
        assert complaint.startswith("error: ")
        assert "\n" not in complaint
    assert not (tmp_path / "page.html").exists()


def test_two_servers_keep_all_decisions(town: SiteMaps, tmp_path: Path) -> None:
    maps, lines, said = tmp_path / "maps", tmp_path / "lines.geojson", tmp_path / "said"
    shutil.copytree(town.folder.parent, maps)
    (maps / NAME).unlink(missing_ok=True)
    left, _, _, top = GRID.bounds
    ends = [shapely.LineString([(left + 50, top - y), (left + 900, top - y)]) for y in range(50, 2450, 100)]
    gpd.GeoDataFrame({"rank": range(24)}, geometry=ends, crs=GRID.crs).to_crs(4326).to_file(lines)
    answers: list[int] = []

    def decide(url: str, feature: object) -> None:
        decision = {"key": f"k{feature}", "site": "town", "overlay": "lines", "feature": str(feature)}
        with Ask(urlsplit(url).port or 0) as ask:
            answers.append(ask("/decisions", "POST", json.dumps(decision).encode(), Content_Type=JSON)[0])

    with said.open("wb") as errors, ExitStack() as stack:
        urls = [stack.enter_context(serving(maps, "--with", lines, errors=errors)) for _ in range(2)]
        clicks = [threading.Thread(target=decide, args=(urls[at % 2], at)) for at in range(24)]
        for click in clicks:
            click.start()
        for click in clicks:
            click.join()
        assert answers == [204] * 24
        assert sorted(read_decisions(maps)["key"]) == sorted(f"k{at}" for at in range(24))
        # What is no file of decisions stays as it is; maps that went are not made anew.
        (maps / NAME).write_text("mine")
        decide(urls[0], 0)
        assert (maps / NAME).read_text() == "mine"
        shutil.rmtree(maps)
        decide(urls[0], 0)
        assert answers[24:] == [503, 503]
        with Ask(urlsplit(urls[0]).port or 0) as ask:
            assert [ask(path)[0] for path in ("/lines/0/0", "/maps/0/pmap.tif")] == [404, 404]
        assert not maps.exists()
    assert said.read_text() == ""


def test_rude_requests_are_refused_and_leave_a_line_at_most(
    town: SiteMaps, beside: Path, tmp_path: Path
) -> None:
    head = b"POST /decisions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    rude = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"\x16\x03\x01 what?\r\n\r\n",
        head + b"Content-Length: 9000\r\n\r\n" + b"[" * 9000,
    )
    with (
        (tmp_path / "said").open("wb") as errors,
        serving(town.folder.parent, "--with", beside, errors=errors) as url,
    ):
        port = urlsplit(url).port or 0
        for request in rude:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(request)
                assert client.recv(100).startswith(b"HTTP/1.1 400")
        with socket.create_connection(("127.0.0.1", port)) as client:  # which goes in the middle
            client.sendall(head + b'Content-Length: 9000\r\n\r\n{"key"')
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:  # and one that breaks off
            client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n")
            client.recv(100)
        with Ask(port) as ask:
            assert ask(f"/lines/0/1?feature={'9' * 30}")[0] == 400
            assert ask(f"/lines/0/{'9' * 5000}")[0] == 404
            for feature in ("1e3", "9" * 30, "1\n", "\u0661"):
                decision = {"key": "k", "site": "town", "overlay": "candidates", "feature": feature}
                body = json.dumps(decision).encode()
                assert ask("/decisions", "POST", body, Content_Type=JSON)[0] == 400
    said = (tmp_path / "said").read_text()
    assert [line for line in said.splitlines() if not line.startswith("a request failed: ")] == []


def test_two_folders_are_one_page(town: SiteMaps, tmp_path: Path) -> None:
    maps = town.folder.parent
    other = tmp_path / "other"
    shutil.copytree(maps, other)
    with serving(maps, other) as url, Ask(urlsplit(url).port or 0) as ask:
        status, page = ask("/")
        assert ask("/maps/1/pmap.tif")[0] == 200
    assert status == 200
    assert b'"name": "other/town"' in page
    assert swath(["report", str(maps), str(maps), "--out", str(tmp_path / "twice.html")]) == 2


def test_a_second_interrupt_is_quiet(town: SiteMaps) -> None:
    command = [sys.executable, "-m", "swath", "view", str(town.folder.parent), "--no-browser"]
    # Whoever runs the tests in the background has made their children deaf to it.
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, preexec_fn=hear, **pipes) as process:
        assert process.stdout is not None
        assert "Ctrl-C ends it" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[1] == "interrupted\n"
    assert process.returncode == 130
