"""The live page's server: ranges, and nothing but the maps, whatever is asked."""

import http.client
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest

from swath.cli import run as swath
from swath.maps.sitemaps import SiteMaps
from viewer.conftest import GRID, serving


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
    for arguments in (
        ["view", str(tmp_path)],
        ["view", maps, "--with", str(tmp_path / "nothing")],
        ["view", maps, "--with", str(tmp_path / "text.geojson")],
        ["view", maps, "--host", "203.0.113.7", "--port", "1"],
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
