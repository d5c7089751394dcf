"""Files on a server: whole, resumed where they broke off, or piece by piece.

All requests go through `Server`: one place for retries with back-off, limits in count and time,
and what a server may be shown. Addresses in messages never carry their query, which may be secret.
"""

import io
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel

from swath.errors import InputError, RemoteError, optional_import
from swath.retrieval.checksum import find_problem
from swath.retrieval.credentials import TIMEOUT_S, Access
from swath.schema import read_model

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

MOST_BYTES = 8 << 30
"""No file whose size the catalogue does not say may be longer: a whole product has about 1 GiB."""

PIECE = 1 << 16
CHUNK = 1 << 16
CHUNKS_KEPT = 64

_PASSING = {408, 425, 429, 500, 502, 503, 504}


class _BrokenError(Exception):
    """A request failed in a way that may pass. `wait_s`: what the server asks for."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@dataclass(slots=True)
class Server:
    """Makes requests, patiently but not for ever.

    Attributes:
        access: What servers are shown.
        bytes_read: Bytes that have come, for the report.
    """

    access: Access
    bytes_read: int = 0
    _session: "Session" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        with optional_import("swath fetch", "fetch"):
            import requests
        self._session = requests.Session()
        # Without this, requests looks into ~/.netrc on its own.
        self._session.auth = lambda request: request

    @contextmanager
    def get(self, url: str, headers: dict[str, str]) -> "Iterator[Response]":
        """One answer to a GET, status 200 or 206; may raise `_BrokenError`."""
        import requests
        from urllib3.exceptions import HTTPError

        renewed = False
        while True:
            try:
                answer = self._session.get(
                    self.access.sign(url),
                    headers={"Accept-Encoding": "identity", **headers, **self.access.headers(url)},
                    stream=True,
                    timeout=TIMEOUT_S,
                )
            except requests.RequestException as error:
                raise _BrokenError(type(error).__name__) from None
            if answer.status_code not in (401, 403) or renewed or not self.access.renew():
                break
            answer.close()
            renewed = True
        with answer:
            _check_status(answer, url, self.access)
            try:
                yield answer
            except (requests.RequestException, HTTPError, TimeoutError, ConnectionError) as error:
                raise _BrokenError(type(error).__name__) from None

    def pieces(self, answer: "Response", most: int) -> Iterator[bytes]:
        """The body as it comes.

        Args:
            answer: From `get`.
            most: Bytes; more than these are no answer.

        Raises:
            _BrokenError: It only trickles, or is longer.
        """
        began, count = time.monotonic(), 0
        while piece := answer.raw.read1(PIECE):
            count += len(piece)
            self.bytes_read += len(piece)
            if count > most:
                raise _BrokenError(f"more than {most} bytes come")
            yield piece
            spent = time.monotonic() - began
            if spent > SLOW_AFTER_S and count / spent < SLOW_BYTES_S:
                raise _BrokenError(f"only {count / spent:.0f} bytes a second come")

    def read_range(self, url: str, start: int, count: int, tag: str | None) -> "Part":
        """Bytes `start .. start + count` of a file (fewer at its end).

        Args:
            url: The file.
            start: First byte.
            count: How many.
            tag: What `Part.tag` was before: so that a file that changes in between is noticed.

        Raises:
            RemoteError: They cannot be had, or the file has changed.
        """

        def attempt() -> Part:
            with self.get(url, {"Range": f"bytes={start}-{start + count - 1}"}) as answer:
                if answer.status_code != 206:
                    raise RemoteError(
                        f"{shown(url)}: the server does not give parts of files; use "
                        "`access: download`"
                    )
                first, last, size = _content_range(answer, url)
                now = _tag(answer)
                if tag is not None and now != tag:
                    raise RemoteError(f"{shown(url)}: the file has changed while it was read")
                data = b"".join(self.pieces(answer, count))
            if first != start or last != min(start + count, size) - 1:
                raise _BrokenError("another range came than was asked for")
            if len(data) != last - first + 1:
                raise _BrokenError(f"{len(data)} of {last - first + 1} bytes came")
            return Part(data, size, now)

        return retried(attempt, url)

    def download(self, url: str, path: Path, size: int | None, checksum: str | None) -> None:
        """Download a file whole; what is there of it already is kept.

        The bytes go to `path` + `.part`; only a file of the right length and checksum gets its
        name. A part is continued where the server can say that the file is still the same.

        Args:
            url: The file.
            path: Where it goes; its folder exists.
            size: Bytes that it should have, where known.
            checksum: Multihash in hexadecimal digits, where known.

        Raises:
            RemoteError: It cannot be had, or is not what was announced.
        """
        part, note = path.with_name(path.name + ".part"), path.with_name(path.name + ".json")
        for last in (False, True):
            _download_part(self, url, part, note, MOST_BYTES if size is None else size)
            problem = find_problem(part, size, checksum)
            if problem is None:
                part.replace(path)
                note.unlink(missing_ok=True)
                return
            # Broken on its way, or joined of two files: once more, from the beginning.
            part.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
            if last:
                raise RemoteError(f"{shown(url)}: {problem}, twice; the file there may be broken")


class _Version(BaseModel):
    """What is kept beside a part of a download: which version of the file it is of."""

    tag: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a file, its whole size, and what tells this version of it from others."""

    data: bytes
    size: int
    tag: str


class RemoteFile(io.RawIOBase):
    """A file on a server that GDAL can read in: small reads are joined, chunks kept."""

    def __init__(self, server: Server, url: str) -> None:
        super().__init__()
        self._server, self._url = server, url
        self._at = 0
        self._chunks: OrderedDict[int, bytes] = OrderedDict()
        head = server.read_range(url, 0, CHUNK, None)
        self.size, self._tag = head.size, head.tag
        self._chunks[0] = head.data
        self.error: RemoteError | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; see `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; empty at the end, and after an error, which stays in `error`."""
        end = self.size if size < 0 else min(self._at + size, self.size)
        if self._at >= end or self.error is not None:
            return b""
        try:
            data = self._get(self._at, end)
        except RemoteError as error:
            # Raised through GDAL it would be lost: the reader looks here.
            self.error = error
            return b""
        self._at = end
        return data

    def _get(self, start: int, end: int) -> bytes:
        first, last = start // CHUNK, (end - 1) // CHUNK
        lacking = [chunk for chunk in range(first, last + 1) if chunk not in self._chunks]
        if lacking:
            # One request for all from the first to the last that is not here.
            begin, stop = lacking[0] * CHUNK, min((lacking[-1] + 1) * CHUNK, self.size)
            data = self._server.read_range(self._url, begin, stop - begin, self._tag).data
            for place in range(0, len(data), CHUNK):
                self._chunks[(begin + place) // CHUNK] = data[place : place + CHUNK]
        joined = b"".join(self._chunks[chunk] for chunk in range(first, last + 1))
        for chunk in range(first, last + 1):
            self._chunks.move_to_end(chunk)
        while len(self._chunks) > CHUNKS_KEPT:
            self._chunks.popitem(last=False)
        return joined[start - first * CHUNK : end - first * CHUNK]


def retried(attempt: Callable[[], T], url: str) -> T:
    """Make an attempt until it succeeds, at most `TRIES` times, waiting longer each time.

    Args:
        attempt: Raises `_BrokenError` where it may succeed another time.
        url: What to name in an error.

    Raises:
        RemoteError: It never did.
    """
    why, wait_s = "", 0.0
    for number in range(TRIES):
        time.sleep(wait_s)
        try:
            return attempt()
        except _BrokenError as error:
            why, wait_s = str(error), _wait_s(number, error.wait_s, url)
    raise RemoteError(f"{shown(url)}: given up after {TRIES} tries ({why})")


def shown(url: str) -> str:
    """An address as it may be shown: without user, password, query."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _download_part(server: Server, url: str, part: Path, note: Path, most: int) -> None:
    """Fill `part` until the server says that it is complete; any progress renews the patience."""
    fails = 0
    for _ in range(MOST_REQUESTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            _append(server, url, part, note, most)
            return
        except _BrokenError as error:
            after = part.stat().st_size if part.exists() else 0
            fails = 1 if after > before else fails + 1
            if fails >= TRIES:
                raise RemoteError(
                    f"{shown(url)}: given up after {TRIES} tries ({error}); "
                    "run again to go on from here"
                ) from None
            time.sleep(_wait_s(fails - 1, error.wait_s, url))
    raise RemoteError(f"{shown(url)}: it breaks off again and again; run again to go on from here")


def _append(server: Server, url: str, part: Path, note: Path, most: int) -> None:
    """One request for the rest of a file; raises `_BrokenError` where it breaks off."""
    have = part.stat().st_size if part.exists() else 0
    size: int | None
    version = _read_version(note) if have else _Version()
    tag, total = version.tag, version.size
    if have and tag and total == have:
        return
    headers = {}
    if have and tag and total is not None and have < total:
        headers = {"Range": f"bytes={have}-", "If-Range": tag}
    with server.get(url, headers) as answer:
        if answer.status_code == 206:
            first, last, size = _content_range(answer, url)
            if first != have or size != total or last != size - 1:
                part.unlink(missing_ok=True)
                raise _BrokenError("another range came than was asked for")
        else:
            have = 0
            size = _length(answer)
            version = _Version(tag=_strong_tag(answer), size=size)
            note.write_text(version.model_dump_json(), "utf-8")
        with part.open("ab" if have else "wb") as target:
            for piece in server.pieces(answer, most - have):
                target.write(piece)
                have += len(piece)
    if size is not None and have < size:
        raise _BrokenError(f"{have} of {size} bytes came")


def _length(answer: "Response") -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _read_version(note: Path) -> _Version:
    try:
        return read_model(note, _Version)
    except InputError:
        return _Version()


def _check_status(answer: "Response", url: str, access: Access) -> None:
    status = answer.status_code
    if status in (200, 206):
        return
    if status in _PASSING:
        after = answer.headers.get("Retry-After", "")
        raise _BrokenError(f"status {status}", float(after) if after.isdigit() else None)
    if status in (401, 403):
        raise RemoteError(f"{shown(url)}: refused (status {status}); {access.advice(url)}")
    raise RemoteError(f"{shown(url)}: status {status}")


def _wait_s(number: int, asked_s: float | None, url: str) -> float:
    """How long to wait after failure `number`, from 0; a little random, so that clients part."""
    if asked_s is not None and asked_s > LONGEST_WAIT_S:
        raise RemoteError(
            f"{shown(url)}: the server asks to wait {asked_s:.0f} s; run again after that"
        )
    wait_s: float = min(LONGEST_WAIT_S, BACKOFF_S * 2**number) * random.uniform(0.5, 1.0)
    return max(wait_s, asked_s or 0.0)


def _content_range(answer: "Response", url: str) -> tuple[int, int, int]:
    """First byte, last byte, size of the file."""
    text = answer.headers.get("Content-Range", "")
    try:
        span, size = text.removeprefix("bytes ").split("/")
        first, last = span.split("-")
        return int(first), int(last), int(size)
    except ValueError:
        raise RemoteError(f"{shown(url)}: the server gives a part without saying which") from None


def _tag(answer: "Response") -> str:
    """What tells this version of a file from others."""
    return str(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")


def _strong_tag(answer: "Response") -> str | None:
    """A tag that `If-Range` may carry: weak ones do not promise the same bytes."""
    tag = _tag(answer)
    return tag if tag and not tag.startswith("W/") else None
