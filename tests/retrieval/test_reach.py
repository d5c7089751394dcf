"""APIs that fail, and machines without a network: told at once, and the next one is asked."""

import datetime as dt
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fault_server import serving
from support.fetch_world import BEST, World, error_line, fetch, tree
from support.stac_server import SITE
from swath.cli import run
from swath.errors import UnreachableError
from swath.retrieval import connection, remote, stacapi
from swath.retrieval import search as search_module
from swath.retrieval.credentials import Access, Credentials

pytestmark = pytest.mark.usefixtures("loopback_only")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "SEARCH_BACKOFF_S", 0.0)


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No name but this machine's is known, as without a network; those that were asked for."""
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def lookup(host: str, *more: Any, **others: Any) -> Any:
        if host in ("127.0.0.1", "localhost"):
            return resolve(host, *more, **others)
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes every connection and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for each in taken:
            each.close()


@pytest.mark.parametrize("fault", ["refused", "500", "silent", "nonsense", "unknown name"])
def test_where_one_api_fails_the_next_is_asked_and_that_is_said(
    world: World,
    silent: str,
    no_names: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    monkeypatch.setattr(search_module, "TIMEOUT_S", (1, 0.3))
    assert fetch(world.sites(), tmp_path / "calm") == 0
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a").write_text("<html>")
    with serving(tmp_path / "pages") as other:
        if fault == "500":
            other.fault = lambda path, before: "500"
        bad, why = {
            "refused": (f"http://127.0.0.1:{free_port()}", "cannot be reached (nothing listens there)"),
            "500": (other.url, "too many 500 error responses"),
            "silent": (silent, "no answer within"),
            "nonsense": (f"{other.url}/a", "no STAC API answers there"),
            "unknown name": ("http://stac.example", "its name is unknown here: no network?"),
        }[fault]
        capsys.readouterr()
        assert fetch(world.sites(api=[bad, world.api.url]), tmp_path / "out", "--json") == 0
        # Whoever was asked, and failed, stays out of what is read.
        shown = capsys.readouterr()
        (line,) = [line for line in shown.err.splitlines() if line.strip()]
        assert line.startswith(f"{bad} fails, {world.api.url} is asked instead: ")
        assert why in line
        plan = json.loads(shown.out)["sites"][0]
        assert plan["api"] == world.api.url
        assert [pick["date"] for pick in plan["picks"]] == BEST
        # The plan knows which API has its items.
        world.api.requests.clear()
        other.requests.clear()
        assert fetch(world.sites(api=[bad, world.api.url]), tmp_path / "out", "--json") == 0
        assert not world.api.requests + other.requests
    calm, out = tree(tmp_path / "calm"), tree(tmp_path / "out")
    assert all(calm[name] == out[name] for name in calm if name.endswith(".tif"))


def test_an_api_whose_files_are_gone_fails_as_well(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(world.folder) as other:
        other.api = world.api.api
        # What the first one's items name is not there any more.
        world.files.fault = lambda path, before: None if other.requests else "404"
        sites = world.sites(api=[world.api.url, other.url])
        assert fetch(sites, tmp_path / "out", "--json") == 0
        assert "fails, " + other.url in capsys.readouterr().err


def test_without_a_network_one_line_says_so_at_once(
    no_names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    west, south, east, north = SITE
    command = ["fetch", "--bbox", f"{west},{south},{east},{north}", "--between", "2022", "2022"]
    began = time.monotonic()
    assert run([*command, "--out", str(tmp_path / "out")]) == 2
    assert time.monotonic() - began < 5
    told, error = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert told.startswith("earth-search fails, planetary-computer is asked instead: ")
    apis = stacapi.KNOWN_APIS
    first, second = (apis[name].url.split("/")[2] for name in ("earth-search", "planetary-computer"))
    why = "cannot be reached (its name is unknown here: no network?)"
    assert error == f"error: {first} {why}; {second} {why}; connect this machine, or give files that lie here"
    assert no_names == [first, second]  # each once
    assert not list((tmp_path / "out").rglob("*.tif"))


def test_a_download_that_finds_no_network_is_not_tried_again(
    world: World, no_names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    out = tmp_path / "out"
    world.files.fault = lambda path, before: "404" if "visual" in path else None
    assert fetch(world.sites(), out) == 2  # the plan is there, no image is
    plan = (out / "plan.json").read_text()
    (out / "plan.json").write_text(plan.replace(world.files.url, "http://files.example"))
    monkeypatch.setattr(remote, "BACKOFF_S", 60)
    capsys.readouterr()
    assert fetch(world.sites(), out) == 2
    assert error_line(capsys) == (
        "error: files.example cannot be reached (its name is unknown here: no network?)"
    )


def test_a_network_that_goes_away_in_the_middle_may_come_back(no_names: list[str]) -> None:
    server = remote.Server(Access(Credentials(), stacapi.StacApi("http://127.0.0.1"), "c"))
    with pytest.raises(UnreachableError), server.get("http://files.example/a.tif", {}):
        pass
    server.bytes_read = 1
    with pytest.raises(remote.BrokenError), server.get("http://files.example/a.tif", {}):
        pass


def test_connecting_is_given_up_soon() -> None:
    assert connection.TIMEOUT_S[0] <= 5
    assert connection.repeated(3, 1.0).connect == 0
    assert dt.timedelta(seconds=connection.TIMEOUT_S[1]) <= dt.timedelta(minutes=1)
