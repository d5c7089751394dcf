"""A server cannot have swath read a file of this machine."""

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from swath.errors import RemoteError
from swath.retrieval.credentials import Access, Credentials
from swath.retrieval.search import search
from swath.retrieval.stacapi import StacApi

Serve = Callable[[dict[str, object]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that answers every request with one JSON value, and gives the server's address."""
    pytest.importorskip("pystac_client")
    servers = []

    def start(value: dict[str, object]) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("rel", ["search", "next"])
def test_a_local_path_is_no_address(tmp_path: Path, serve: Serve, rel: str, scheme: str) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"features": [{"id": "treasure"}], "links": []}')
    links = [{"rel": rel, "href": f"{scheme}{secret}", "type": "application/geo+json"}]
    conforms = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
    catalog = {
        "type": "Catalog",
        "id": "x",
        "stac_version": "1.0.0",
        "description": "x",
        "conformsTo": conforms,
    }
    url = serve({**catalog, "links": links, "features": [{"id": "a"}]})
    access = Access(Credentials(), StacApi(url), "x")
    try:
        items, broken = search(access, (0, 0, 1, 1), dt.date(2020, 1, 1), dt.date(2020, 1, 2))
    except RemoteError as error:
        items, broken = (), (str(error),)
    # What it may do is have itself asked once more, at an address of its own.
    assert not items
    assert all("treasure" not in text for text in broken)
