"""The Overpass client against a stand-in on this machine: answers, faults, manners."""

import datetime as dt
import email.utils
import gzip
import re
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio

from support.overpass_server import Server, answer
from swath.cli import run
from swath.errors import InputError, RemoteError, SettingsError, UnreachableError
from swath.grid import Bounds, Grid
from swath.labels.overpass import FIRST_DAY, SERVERS, Query, fetch, plan_queries
from swath.labels.source import Labelled, LabelSettings, read_labels_source
from swath.legend import read_legend

pytest.importorskip("osmium")

DAY = dt.date(2019, 7, 4)
GRID = Grid.from_lonlat((24.0, 60.0, 24.03, 60.01))
ROADS = read_legend("roads")
SceneWriter = Callable[..., Path]

TOO_BUSY = (
    b'<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE html><html><head><title>OSM3S Response'
    b"</title></head><body><p>The data included in this document is from www.openstreetmap.org.</p>"
    b'<p><strong style="color:#FF0000">Error</strong>: runtime error: open64: 0 Success '
    b"/osm3s_osm_base Dispatcher_Client::request_read_and_idx::timeout. The server is probably too "
    b"busy to handle your request. </p></body></html>"
)
PARSE_ERROR = TOO_BUSY[: TOO_BUSY.index(b"runtime")] + b"line 2: parse error: ';' expected</p>"
TIMED_OUT = 'runtime error: Query timed out in "query" at line 3 after 181 seconds.'
NO_MEMORY = 'runtime error: Query run out of memory in "recurse" at line 4 using about 512 MB of RAM.'


@pytest.fixture
def server(overpass_server: Server) -> Server:
    return overpass_server


class Waits(list[float]):
    """Takes the place of sleeping: the tests do not wait, they look at how long it would be."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def plan(server: Server, box: Bounds = GRID.lonlat_bounds) -> tuple[Query, ...]:
    return plan_queries(server.url, box, ROADS, DAY)


# --- the plan --------------------------------------------------------------------------------


def test_the_question_is_that_of_the_day_and_the_place() -> None:
    (query,) = plan_queries("main", (24.0, 60.0, 24.03, 60.01), ROADS, DAY)
    assert query.server == SERVERS["main"] == "https://overpass-api.de/api/interpreter"
    head, *_, last = query.text.splitlines()
    assert '[date:"2019-07-04T00:00:00Z"]' in head
    assert "[bbox:60.0000000,24.0000000,60.0100000,24.0300000]" in head  # south, west, north, east
    assert 'way["highway"~"^(motorway|motorway_link|trunk|' in query.text
    assert "relation" not in query.text  # no areas in this legend
    assert "(._;>;);" in query.text
    assert last == "out body;"


def test_areas_ask_for_multipolygons_too() -> None:
    (query,) = plan_queries("main", (24.0, 60.0, 24.03, 60.01), read_legend("landcover"), DAY)
    assert 'way["building"];' in query.text  # any value
    assert 'relation["natural"~"^(' in query.text
    assert '["type"="multipolygon"]' in query.text


def test_a_large_box_is_asked_for_in_cells_that_tile_it() -> None:
    box = (2.0, 48.0, 2.6, 48.3)
    queries = plan_queries("main", box, ROADS, DAY)
    assert len(queries) == 3 * 2
    assert len({query.name for query in queries}) == 6
    area = sum((q.cell[2] - q.cell[0]) * (q.cell[3] - q.cell[1]) for q in queries)
    assert area == pytest.approx(0.6 * 0.3)
    assert min(q.cell[0] for q in queries) == 2.0
    assert max(q.cell[3] for q in queries) == pytest.approx(48.3)
    quarters = queries[0].parts(2, 2)
    assert sum((q.cell[2] - q.cell[0]) * (q.cell[3] - q.cell[1]) for q in quarters) == (pytest.approx(0.03))


def test_names_tell_questions_apart() -> None:
    def name(server: str = "main", day: dt.date = DAY, legend: str = "roads") -> str:
        return plan_queries(server, (1, 1, 1.1, 1.1), read_legend(legend), day)[0].name

    assert name() == name()
    names = {name(), name("private.coffee"), name(day=dt.date(2019, 7, 5)), name(legend="water")}
    assert len(names) == 4


@pytest.mark.parametrize(
    ("server", "day", "message"),
    [
        ("nowhere", DAY, "no server 'nowhere'; known are main, private.coffee"),
        ("ftp://example.org/", DAY, "no server"),
        ("file:///etc/passwd", DAY, "no server"),
        ("main", FIRST_DAY - dt.timedelta(1), "2012-09-12 cannot be asked for"),
        ("main", dt.date(2999, 1, 1), "days run from 2012-09-13 to today"),
    ],
)
def test_what_cannot_be_asked(server: str, day: dt.date, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        plan_queries(server, (1, 1, 2, 2), ROADS, day)


# --- answers ---------------------------------------------------------------------------------


def read(server: Server, cache: Path) -> Labelled:
    settings = LabelSettings(overpass=server.url, date=DAY)
    return read_labels_source(settings, ROADS, GRID, Path(), cache=cache)


def test_an_answer_becomes_features_and_is_kept(server: Server, tmp_path: Path) -> None:
    got = read(server, tmp_path / "cache")
    assert got.features["highway"].tolist() == ["primary"]
    left, _, right, _ = got.features.total_bounds
    assert (left, right) == pytest.approx((GRID.bounds[0], GRID.bounds[2]))
    assert got.complete is None
    assert got.attribution == "(c) OpenStreetMap contributors, ODbL 1.0"
    assert got.features.attrs["date"] == "2019-07-04"
    assert got.features.attrs["source"] == server.url
    again = read(server, tmp_path / "cache")
    assert again.features.equals(got.features)
    assert len(server.asked) == 1
    assert server.agents[0].startswith("swath/")
    assert '[date:"2019-07-04T00:00:00Z"]' in server.asked[0]


def test_a_packed_answer_is_unpacked(server: Server, tmp_path: Path) -> None:
    server.will((200, gzip.compress(answer()), {"Content-Encoding": "gzip"}))
    (path,) = fetch(plan(server), tmp_path, wait=Waits())
    assert gzip.decompress(path.read_bytes()) == answer()


def test_cells_are_asked_one_after_the_other_and_merged(server: Server, tmp_path: Path) -> None:
    grid = Grid.from_lonlat((23.98, 59.9, 24.4, 60.1))
    waits = Waits()
    queries = plan(server, grid.lonlat_bounds)
    assert len(queries) > 1
    assert len(fetch(queries, tmp_path / "a", wait=waits)) == len(queries) == len(server.asked)
    assert server.most_at_once == 1
    assert waits == [1.0] * (len(queries) - 1)  # a pause between requests
    settings = LabelSettings(overpass=server.url, date=DAY)
    got = read_labels_source(settings, ROADS, grid, Path(), cache=tmp_path / "a")
    assert len(got.features) == 1  # every cell sent the same way; it counts once


# --- faults ----------------------------------------------------------------------------------


def test_a_busy_server_is_asked_again_after_growing_waits(server: Server, tmp_path: Path) -> None:
    server.will((429, b"rate_limited"), (504, TOO_BUSY), (503, b""), (200, answer()))
    waits = Waits()
    fetch(plan(server), tmp_path, wait=waits)
    assert len(server.asked) == 4
    assert len(set(server.asked)) == 1
    for seconds, middle in zip(waits, (5, 10, 20), strict=True):
        assert 0.8 * middle <= seconds <= 1.2 * middle


def test_a_server_that_says_how_long_is_obeyed(server: Server, tmp_path: Path) -> None:
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=120)
    server.will(
        (429, b"", {"Retry-After": "77"}),
        (429, b"", {"Retry-After": email.utils.format_datetime(until, usegmt=True)}),
        (429, b"", {"Retry-After": "soon"}),
        (200, answer()),
    )
    waits = Waits()
    fetch(plan(server), tmp_path, wait=waits)
    assert waits[0] == 77
    assert 60 < waits[1] <= 120
    assert 16 <= waits[2] <= 24


def test_a_wait_of_an_hour_is_an_error_not_a_nap(server: Server, tmp_path: Path) -> None:
    server.will((429, b"", {"Retry-After": "3600"}))
    waits = Waits()
    with pytest.raises(RemoteError, match=r"HTTP 429 .*asks to wait 3600 s"):
        fetch(plan(server), tmp_path, wait=waits)
    assert (len(server.asked), waits) == (1, [])


@pytest.mark.parametrize(
    ("code", "body", "message"),
    [
        (429, b"rate_limited", "HTTP 429"),
        (504, TOO_BUSY, "HTTP 504"),
        (200, answer("", "runtime error: Dispatcher_Client: too busy"), "too busy"),
        (200, answer()[:-9], "the answer breaks off"),
    ],
)
def test_tries_are_bounded(server: Server, tmp_path: Path, code: int, body: bytes, message: str) -> None:
    server.will((code, body))
    waits = Waits()
    with pytest.raises(RemoteError, match=f"{message}.*; gave up after 6 tries"):
        fetch(plan(server), tmp_path, wait=waits)
    assert len(server.asked) == 6
    assert len(waits) == 5
    assert list(tmp_path.iterdir()) == []  # nothing half-written, nothing wrong kept


def test_a_cut_connection_is_tried_again(server: Server, tmp_path: Path) -> None:
    packed = gzip.compress(answer())
    server.will(
        (200, answer()[:200], {"Content-Length": "5000"}),
        (200, packed[:-20], {"Content-Encoding": "gzip"}),
        (200, b"no gzip", {"Content-Encoding": "gzip"}),
        (200, answer()),
    )
    (path,) = fetch(plan(server), tmp_path, wait=Waits())
    assert gzip.decompress(path.read_bytes()) == answer()
    assert len(server.asked) == 4


def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    waits = Waits()
    for url in ("http://127.0.0.1:9/api", "http://overpass.invalid/"):
        queries = plan_queries(url, GRID.lonlat_bounds, ROADS, DAY)
        with pytest.raises(UnreachableError, match=f"{url} cannot be reached .*no network"):
            fetch(queries, tmp_path, wait=waits)
    assert not waits


@pytest.mark.parametrize(
    ("code", "body", "message"),
    [
        (400, PARSE_ERROR, "HTTP 400 Bad Request: .*parse error: ';' expected"),
        (403, b"", "HTTP 403 Forbidden: no reason"),
        (200, b"<html><body>Maintenance</body></html>", "expected .* XML, got Maintenance"),
        (200, b"", "got nothing"),
        (200, answer("", "runtime error: attic data are not available"), "attic data are not"),
    ],
)
def test_a_refusal_is_not_asked_again(
    server: Server, tmp_path: Path, code: int, body: bytes, message: str
) -> None:
    server.will((code, body))
    with pytest.raises(RemoteError, match=message) as error:
        fetch(plan(server), tmp_path, wait=Waits())
    assert str(error.value).startswith(server.url)
    assert "\n" not in str(error.value)
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("remark", [TIMED_OUT, NO_MEMORY])
def test_a_cell_too_large_is_quartered(server: Server, tmp_path: Path, remark: str) -> None:
    server.will((200, answer("", remark)), (200, answer()))
    answers = fetch(plan(server), tmp_path, wait=Waits())
    assert len(answers) == 4
    boxes = [re.search(r"\[bbox:([^]]*)\]", text) for text in server.asked]
    whole, *quarters = (np.array(box[1].split(","), float) for box in boxes if box)
    assert len(quarters) == 4
    assert np.min(quarters, axis=0)[:2] == pytest.approx(whole[:2])
    assert np.max(quarters, axis=0)[2:] == pytest.approx(whole[2:])
    # The second time not even the large one is asked for.
    assert fetch(plan(server), tmp_path, wait=Waits()) == answers
    assert len(server.asked) == 5


def test_quartering_ends(server: Server, tmp_path: Path) -> None:
    server.will((200, answer("", TIMED_OUT)))
    with pytest.raises(RemoteError, match=r"runs out of time or memory even for a cell of 0\.00"):
        fetch(plan(server), tmp_path, wait=Waits())
    assert len(server.asked) == 4  # the cell, a quarter, a sixteenth, a sixty-fourth


def test_an_answer_of_absurd_size_is_not_kept(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swath.labels.overpass._MOST_BYTES", 100)
    with pytest.raises(RemoteError, match="larger than"):
        fetch(plan(server), tmp_path, wait=Waits())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_fetch_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    queries = plan(server, (23.98, 59.9, 24.4, 60.1))
    server.will((200, answer()), (403, b""))
    with pytest.raises(RemoteError, match="HTTP 403"):
        fetch(queries, tmp_path, wait=Waits())
    server.will((200, answer()))
    assert len(fetch(queries, tmp_path, wait=Waits())) == len(queries)
    assert len(server.asked) == len(queries) + 1


def test_an_entity_bomb_from_a_server_does_no_harm(server: Server, tmp_path: Path) -> None:
    bomb = '<!DOCTYPE osm [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>\n'
    server.will((200, answer('<node id="1" lat="0" lon="0"><tag k="a" v="&b;"/></node>', head=bomb)))
    with pytest.raises(InputError, match="not readable as an OpenStreetMap extract"):
        read(server, tmp_path)


# --- a dataset -------------------------------------------------------------------------------


def write_sites(folder: Path, write_scene: SceneWriter, labels: str) -> Path:
    pixels = np.full((3, *GRID.shape), 700, np.uint16)
    write_scene(folder / "2019-07-04.tif", pixels, GRID, ("B04", "B03", "B02"))
    path = folder / "sites.yaml"
    path.write_text(
        "legend: roads-by-class\nwidening: {method: width}\nimage: {encoding: reflectance}\n"
        "attribution: Copernicus\nsites:\n  town:\n    scenes: [{path: 2019-07-04.tif}]\n"
        f"    split: train\n    labels: {labels}\n"
    )
    return path


def test_a_dataset_from_overpass(
    server: Server, tmp_path: Path, write_scene: SceneWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sites = write_sites(tmp_path, write_scene, f"{{overpass: '{server.url}', date: 2019-07-04}}")
    for name in ("one", "two"):
        assert run(["build", str(sites), "--out", str(tmp_path / name), "--json"]) == 0
    assert len(server.asked) == 1
    assert len(list((tmp_path / "cache" / "swath" / "overpass").iterdir())) == 1
    with rasterio.open(tmp_path / "one" / "town" / "labels.tif") as source:
        labels, tags = source.read(1), source.tags()
    assert tags["LABELS_DATE"] == "2019-07-04"
    assert tags["LABELS_SOURCE"] == server.url
    assert tags["TIFFTAG_COPYRIGHT"] == "(c) OpenStreetMap contributors, ODbL 1.0"
    assert set(np.unique(labels)) == {0, 1, 255}  # road, its ring, and the rest
    # Four lanes of 3.5 m along the width of the grid, which is 1.4 px wide on average.
    assert (labels == 1).sum() == pytest.approx(1.4 * GRID.width, rel=0.25)
    roads = geopandas.read_parquet(tmp_path / "one" / "town" / "roads.parquet")
    assert roads["lanes"].tolist() == ["4"]
    catalog = (tmp_path / "one" / "catalog.json").read_text()
    assert "Copernicus; (c) OpenStreetMap contributors, ODbL 1.0" in catalog


def test_an_answer_that_cannot_be_read_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.will((200, answer('<node id="1" version="1" lat="abc" lon="12.0"/>')), (200, answer()))
    settings = LabelSettings(overpass=server.url, date=DAY)
    with pytest.raises(InputError, match=r"its answer is not readable .*'abc'.*; run again to ask anew"):
        read_labels_source(settings, ROADS, GRID, Path(), cache=tmp_path)
    assert list(tmp_path.iterdir()) == []
    read_labels_source(settings, ROADS, GRID, Path(), cache=tmp_path)
    assert len(server.asked) == 2


def test_a_refusal_is_exit_2_on_the_command_line(
    server: Server,
    tmp_path: Path,
    write_scene: SceneWriter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    server.will((400, PARSE_ERROR))
    sites = write_sites(tmp_path, write_scene, f"{{overpass: '{server.url}', date: 2019-07-04}}")
    assert run(["build", str(sites), "--out", str(tmp_path / "out"), "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip().splitlines()[-1].startswith(f"error: {server.url}: HTTP 400")
    assert not (tmp_path / "out").exists()
