"""Files on a server, piece by piece; `swath.retrieval.wholefile` brings whole ones.

All requests go through `Server`: one place for retries with back-off, limits in count and time,
and what a server may be shown. Addresses in messages never carry their query, which may be secret.
"""

import io
import random
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from swath.errors import RemoteError
from swath.retrieval.connection import TIMEOUT_S, check_reached, new_session
from swath.retrieval.credentials import Access

if TYPE_CHECKING:  # an extra
    from requests import Response, Session

T = TypeVar("T")

TRIES = 6
"""How often in a row a request may fail before it is given up."""

BACKOFF_S = 0.5
"""Wait before the second try; doubled for each further one."""

LONGEST_WAIT_S = 60.0
"""No wait is longer; a server that asks for more is given up."""

SLOW_AFTER_S = 30.0
SLOW_BYTES_S = 2048.0
"""An answer that after so long has come at less than so many bytes a second counts as broken."""

MOST_REQUESTS = 100
"""For one file, however much each of them brings."""

PIECE = 1 << 16
CHUNK = 1 << 16
CHUNKS_KEPT = 64

_PASSING = {408, 425, 429, 500, 502, 503, 504}


class BrokenError(Exception):
    """A request failed in a way that may pass. `wait_s`: what the server asks for."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a file, its whole size, and what tells this version of it from others."""

    data: bytes
    size: int
    tag: str


@dataclass(slots=True)
class Server:
    """Makes requests, patiently but not for ever, and counts the bytes that come."""

    access: Access
    bytes_read: int = 0
    _session: "Session" = field(default_factory=new_session, repr=False)

    @contextmanager
    def get(self, url: str, headers: dict[str, str]) -> "Iterator[Response]":
        """One answer to a GET, status 200 or 206; may raise `BrokenError`."""
        import requests
        from urllib3.exceptions import HTTPError

        try:
            answer = self._ask(url, headers)
            if answer.status_code in (401, 403) and self.access.renew():
                answer.close()
                answer = self._ask(url, headers)
            with answer:
                _check_status(answer, url, self.access)
                yield answer
        except (requests.RequestException, HTTPError, TimeoutError, ConnectionError) as error:
            # A network that was there may come back; one that never was will not.
            if not self.bytes_read:
                check_reached(error, url)
            raise BrokenError(type(error).__name__) from None

    def _ask(self, url: str, headers: dict[str, str]) -> "Response":
        try:
            return self._session.get(
                self.access.sign(url),
                headers={"Accept-Encoding": "identity", **headers, **self.access.headers(url)},
                stream=True,
                timeout=TIMEOUT_S,
            )
        except ValueError as error:
            if isinstance(error, OSError):  # as are those of requests
                raise
            raise BrokenError("sent to what is no address") from None

    def pieces(self, answer: "Response", most: int) -> Iterator[bytes]:
        """The body as it comes; `BrokenError` if it only trickles, or exceeds `most` bytes."""
        began, count = time.monotonic(), 0
        while piece := answer.raw.read1(PIECE):
            count += len(piece)
            self.bytes_read += len(piece)
            if count > most:
                raise BrokenError(f"more than {most} bytes come")
            yield piece
            spent = time.monotonic() - began
            if spent > SLOW_AFTER_S and count / spent < SLOW_BYTES_S:
                raise BrokenError(f"only {count / spent:.0f} bytes a second come")

    def read_range(self, url: str, start: int, count: int, tag: str | None) -> Part:
        """Bytes `start .. start + count` of a file (fewer at its end).

        Raises:
            RemoteError: They cannot be had, or its `Part.tag` is not `tag` any more.
        """

        def attempt() -> Part:
            with self.get(url, {"Range": f"bytes={start}-{start + count - 1}"}) as answer:
                if answer.status_code != 206:
                    raise RemoteError(
                        f"{shown(url)}: the server does not give parts of files; use `access: download`"
                    )
                first, last, size = content_range(answer, url)
                now = version_tag(answer)
                if tag is not None and now != tag:
                    raise RemoteError(f"{shown(url)}: the file has changed while it was read")
                data = b"".join(self.pieces(answer, count))
            if first != start or last != min(start + count, size) - 1:
                raise BrokenError("another range came than was asked for")
            if len(data) != last - first + 1:
                raise BrokenError(f"{len(data)} of {last - first + 1} bytes came")
            return Part(data, size, now)

        return patiently(attempt, url)


class RemoteFile(io.RawIOBase):
    """A file on a server that GDAL can read in: small reads are joined, chunks kept.

    What goes wrong stays in `error`: raised through GDAL it would be lost.
    """

    def __init__(self, server: Server, url: str) -> None:
        super().__init__()
        self._server, self._url = server, url
        self._at = 0
        head = server.read_range(url, 0, CHUNK, None)
        self.size, self._tag = head.size, head.tag
        self._chunks: OrderedDict[int, bytes] = OrderedDict({0: head.data})
        self.error: RemoteError | None = None

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; see `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; empty at the end, and after an error."""
        end = self.size if size < 0 else min(self._at + size, self.size)
        if self._at >= end or self.error is not None:
            return b""
        try:
            data = self._get(self._at, end)
        except RemoteError as error:
            self.error = error
            return b""
        self._at = end
        return data

    def _get(self, start: int, end: int) -> bytes:
        needed = range(start // CHUNK, (end - 1) // CHUNK + 1)
        lacking = [chunk for chunk in needed if chunk not in self._chunks]
        if lacking:
            # One request for all from the first to the last that is not here.
            begin, stop = lacking[0] * CHUNK, min((lacking[-1] + 1) * CHUNK, self.size)
            data = self._server.read_range(self._url, begin, stop - begin, self._tag).data
            for place in range(0, len(data), CHUNK):
                self._chunks[(begin + place) // CHUNK] = data[place : place + CHUNK]
        joined = b"".join(self._chunks[chunk] for chunk in needed)
        for chunk in needed:
            self._chunks.move_to_end(chunk)
        while len(self._chunks) > CHUNKS_KEPT:
            self._chunks.popitem(last=False)
        return joined[start - needed[0] * CHUNK : end - needed[0] * CHUNK]


def patiently(attempt: Callable[[], T], url: str, have: Callable[[], int] = lambda: 0) -> T:
    """Make an attempt until it raises no `BrokenError`, waiting longer each time.

    Args:
        attempt: What to do.
        url: What to name in an error.
        have: Bytes that have come so far; each that comes renews the patience.

    Raises:
        RemoteError: It failed `TRIES` times in a row, or the server asks to wait too long.
    """
    fails = 0
    for _ in range(MOST_REQUESTS):
        before = have()
        try:
            return attempt()
        except BrokenError as error:
            fails = 1 if have() > before else fails + 1
            why, asked_s = str(error), error.wait_s
        if fails == TRIES:
            raise RemoteError(f"{shown(url)}: given up after {TRIES} tries ({why}); run again to go on")
        if asked_s > LONGEST_WAIT_S:
            raise RemoteError(f"{shown(url)}: the server asks to wait {asked_s:.0f} s; run again after that")
        wait_s = min(LONGEST_WAIT_S, BACKOFF_S * 2 ** (fails - 1))
        # A little random, so that clients part.
        time.sleep(max(asked_s, wait_s * random.uniform(0.5, 1.0)))
    raise RemoteError(f"{shown(url)}: it breaks off again and again; run again to go on")


def shown(url: str) -> str:
    """An address as it may be shown: without user, password, query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "what is no address"
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def content_range(answer: "Response", url: str) -> tuple[int, int, int]:
    """First byte, last byte, size of the file."""
    text = answer.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", text)
    if match is None:
        raise RemoteError(f"{shown(url)}: the server gives a part without saying which")
    return int(match[1]), int(match[2]), int(match[3])


def header_number(answer: "Response", name: str) -> int | None:
    """A whole number that a header holds, if it does."""
    text = answer.headers.get(name, "")
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def version_tag(answer: "Response") -> str:
    """What tells this version of a file from others."""
    return str(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")


def _check_status(answer: "Response", url: str, access: Access) -> None:
    status = answer.status_code
    if status in (200, 206):
        return
    if status in _PASSING:
        raise BrokenError(f"status {status}", header_number(answer, "Retry-After") or 0.0)
    if status in (401, 403):
        raise RemoteError(f"{shown(url)}: refused (status {status}); {access.advice(url)}")
    raise RemoteError(f"{shown(url)}: status {status}")
