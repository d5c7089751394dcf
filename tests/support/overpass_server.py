"""A stand-in for an Overpass server on 127.0.0.1, with answers as real ones were recorded."""

import http.server
import threading
import urllib.parse
from collections.abc import Iterator

import pytest

NODES = (
    '  <node id="1" lat="60.0040000" lon="23.9900000"/>\n'
    '  <node id="2" lat="60.0040000" lon="24.0100000"/>\n'
    '  <node id="3" lat="60.0060000" lon="24.0400000"/>\n'
)
WAYS = (
    '  <way id="7">\n    <nd ref="1"/>\n    <nd ref="2"/>\n    <nd ref="3"/>\n'
    '    <tag k="highway" v="primary"/>\n    <tag k="lanes" v="4"/>\n  </way>\n'
)


def answer(body: str = NODES + WAYS, remark: str = "", head: str = "") -> bytes:
    """What an interpreter of Overpass 0.7 sends for out:xml."""
    remark = f"<remark> {remark} </remark>\n" if remark else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{head}'
        '<osm version="0.6" generator="Overpass API 0.7.62.5 1bd436f1">\n'
        "<note>The data included in this document is from www.openstreetmap.org. The data is made "
        'available under ODbL.</note>\n<meta osm_base="2019-07-04T00:00:00Z"/>\n\n'
        f"{body}\n{remark}</osm>\n"
    ).encode()


class Server(http.server.ThreadingHTTPServer):
    """Answers the n-th request with the n-th of `answers`, and with the last ever after."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, bytes, dict[str, str]]] = [(200, answer(), {})]
        self.asked: list[str] = []
        self.agents: list[str] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api/interpreter"

    def will(self, *answers: tuple[int, bytes] | tuple[int, bytes, dict[str, str]]) -> None:
        self.answers = [(a[0], a[1], a[2] if len(a) > 2 else {}) for a in answers]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        with self.server.lock:
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
            number = len(self.server.asked)
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.server.asked.append(urllib.parse.parse_qs(form)["data"][0])
            self.server.agents.append(self.headers["User-Agent"])
        code, body, headers = self.server.answers[min(number, len(self.server.answers) - 1)]
        self.send_response(code)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)
        with self.server.lock:
            self.server.at_once -= 1

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def overpass_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    stand_in = Server()
    thread = threading.Thread(target=stand_in.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield stand_in
    stand_in.shutdown()
    thread.join()
    stand_in.server_close()
