"""A catalogue, its files and a sites file for the tests of `swath fetch`, all on 127.0.0.1."""

import datetime as dt
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.fault_server import Files, serving
from support.stac_server import SITE, Shot, earth_search_item, stac_api, write_files
from swath import cli
from swath.retrieval import remote

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


@pytest.fixture
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


def start(folder: Path, shots: Sequence[Shot], shape: Shape, driver: str = "COG") -> Iterator[World]:
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
def world(shared_world: World, loopback_only: None) -> Iterator[World]:
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
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def first_times(kind: str, times: int = 2) -> Callable[[str, int], str | None]:
    return lambda path, before: kind if before < times else None
