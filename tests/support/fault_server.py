"""A file server on 127.0.0.1 that knows ranges, and fails where it is told to."""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

Fault = Callable[[str, int], str | None]
"""(path, how many requests of it there were before) -> what goes wrong, or None.

`503`, `429`, `404`, `401`: that status; `retry-after`: 503 with `Retry-After: 3600`; `cut`: half of
the body, then the connection is closed; `drop`: closed before an answer; `short`: a body of half
its length that calls itself whole; `flip`: one byte is wrong; `trickle`: ten bytes at a time,
slowly; `nowhere`: sent on to what is no address; `whole`: the range is not heeded; `shifted`: another
range than was asked for.
"""


@dataclass
class Files:
    """What the server has, and what it was asked.

    Attributes:
        root: Folder that is served.
        fault: What goes wrong.
        delay_s: Wait before each answer.
        token: Token that files need; None: none.
        lives: How many requests a token is good for.
        password: What the token server takes.
        api: Address of a STAC API that all requests are passed on to; empty: none.
        requests: (method, path, header `Range`) of each request.
    """

    root: Path
    fault: Fault = lambda path, before: None
    delay_s: float = 0.0
    token: str | None = None
    lives: int = 1_000_000
    password: str = "secret-password"
    api: str = ""
    url: str = ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    used: int = 0
    logins: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, part: str) -> int:
        """How many requests had `part` in their path."""
        return sum(part in path for _, path, _ in self.requests)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is no news here."""


@contextmanager
def serving(root: Path) -> Iterator[Files]:
    """Serve a folder while the block runs; the address is `files.url`."""
    files = Files(root)
    handler = type("Handler", (_Handler,), {"files": files})
    server = _Server(("127.0.0.1", 0), handler)
    files.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    files: Files
    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self._note()
        if fault is not None and fault.isdigit():
            self._send(int(fault), b"")
        elif self.files.api:
            self._pass_on(body)
        elif parse_qs(body.decode()).get("password") == [self.files.password]:
            with self.files.lock:
                self.files.logins += 1
                self.files.token, self.files.used = f"token-{self.files.logins}", 0
            self._send(200, json.dumps({"access_token": self.files.token}).encode())
        else:
            self._send(401, b"{}")

    def do_GET(self) -> None:
        fault = self._note()
        if fault == "nowhere":
            self._send(302, b"", {"Location": "http://[bad"})
        elif fault == "drop":
            self.close_connection = True
        elif fault == "retry-after":
            self._send(503, b"", {"Retry-After": "3600"})
        elif fault is not None and fault.isdigit():
            self._send(int(fault), b"")
        elif self.files.api:
            self._pass_on(None)
        elif not self._allowed():
            self._send(401, b"")
        else:
            self._send_file(fault)

    def _note(self) -> str | None:
        path = urlsplit(self.path).path
        files = self.files
        with files.lock:
            before = files.counts[path]
            files.counts[path] += 1
            files.requests.append((self.command, self.path, self.headers.get("Range", "")))
            files.authorizations.append(self.headers.get("Authorization", ""))
        time.sleep(files.delay_s)
        return files.fault(path, before)

    def _allowed(self) -> bool:
        files = self.files
        if files.token is None:
            return True
        with files.lock:
            files.used += 1
            good = self.headers.get("Authorization") == f"Bearer {files.token}"
            return good and files.used <= files.lives

    def _pass_on(self, body: bytes | None) -> None:
        request = Request(self.files.api + self.path, data=body, method=self.command)
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=10) as answer:
            self._send(answer.status, answer.read(), {"Content-Type": "application/json"})

    def _send_file(self, fault: str | None) -> None:
        path = self.files.root / urlsplit(self.path).path.lstrip("/")
        if not path.is_file():
            return self._send(404, b"")
        data = path.read_bytes()
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        headers = {"ETag": tag, "Accept-Ranges": "bytes"}
        text = self.headers.get("Range", "").removeprefix("bytes=")
        status, whole = 200, len(data)
        if text and self.headers.get("If-Range", tag) == tag and fault != "whole":
            first, _, last = text.partition("-")
            start, end = int(first), min(int(last or whole - 1), whole - 1)
            if fault == "shifted":
                start += 1
            status, data = 206, data[start : end + 1]
            headers["Content-Range"] = f"bytes {start}-{end}/{whole}"
        if fault == "flip" and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if fault == "short":
            data = data[: len(data) // 2]
        return self._send(status, data, headers, fault)

    def _send(
        self,
        status: int,
        data: bytes,
        headers: dict[str, str] | None = None,
        fault: str | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            if fault == "cut":
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
            elif fault == "trickle":
                for place in range(0, 300, 10):
                    self.wfile.write(data[place : place + 10])
                    self.wfile.flush()
                    time.sleep(0.05)
                self.close_connection = True
            else:
                self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
