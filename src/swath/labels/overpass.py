"""OpenStreetMap of a day from an Overpass server: planned, asked for politely, kept.

One request at a time, with a pause between them; a server that is busy (429, 5xx) is asked again
after growing waits, and one that says how long to wait is obeyed. Answers are kept under the hash
of what was asked: OpenStreetMap of a day past does not change, so nothing is asked for twice.
"""

import datetime as dt
import email.utils
import errno
import gzip
import hashlib
import http.client
import json
import math
import os
import random
import re
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from swath.errors import RemoteError, SettingsError, UnreachableError, reason_of
from swath.files import replacing
from swath.grid import Bounds, lonlat_parts
from swath.legend import Legend
from swath.names import check_no_secret, is_address
from swath.progress import console
from swath.version import __version__

SERVERS = {
    "main": "https://overpass-api.de/api/interpreter",
    "private.coffee": "https://overpass.private.coffee/api/interpreter",
}
FIRST_DAY = dt.date(2012, 9, 13)
"""Overpass keeps no state before the licence of OpenStreetMap changed."""

_CELL_DEG = 0.26
"""Side of what is asked for at once: a large town answers in some tens of seconds."""
_MOST_SPLITS = 3
"""How often a cell is quartered when the server finds it too large."""
_TRIES = 6
_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 300.0
_PAUSE_S = 1.0
_TIMEOUT_S = 180
_MOST_BYTES = 2 << 30
_BUSY = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Query:
    """One question to a server: features of some tags, in a cell, on a day."""

    server: str
    cell: Bounds
    date: dt.date
    tags: tuple[tuple[str, tuple[str, ...]], ...]
    areas: bool

    @property
    def text(self) -> str:
        """The question in Overpass's language; it asks for ways and areas with all their nodes."""
        west, south, east, north = self.cell
        wanted = []
        for key, values in self.tags:
            any_of = "^(" + "|".join(map(re.escape, values)) + ")$"
            quoted = [json.dumps(text, ensure_ascii=False) for text in (key, any_of)]
            test = f"[{quoted[0] if '*' in values else '~'.join(quoted)}]"
            wanted.append(f"  way{test};")
            if self.areas:
                wanted.append(f'  relation{test}["type"="multipolygon"];')
        settings = (
            f'[out:xml][timeout:{_TIMEOUT_S}][maxsize:536870912][date:"{self.date}T00:00:00Z"]'
            f"[bbox:{south:.7f},{west:.7f},{north:.7f},{east:.7f}];"
        )
        return "\n".join((settings, "(", *wanted, ");", "(._;>;);", "out body;"))

    @property
    def name(self) -> str:
        """Name of the file that keeps the answer."""
        asked = f"{self.server}\n{self.text}".encode()
        return f"{self.date}-{hashlib.sha256(asked).hexdigest()[:24]}.osm.gz"

    def parts(self, columns: int, rows: int) -> tuple["Query", ...]:
        """The same question for equal parts of the cell, row by row from the south-west."""
        west, south, east, north = self.cell
        width, height = (east - west) / columns, (north - south) / rows
        corners = [
            (west + column * width, south + row * height) for row in range(rows) for column in range(columns)
        ]
        return tuple(replace(self, cell=(x, y, x + width, y + height)) for x, y in corners)


def plan_queries(server: str, box: Bounds, legend: Legend, date: dt.date) -> tuple[Query, ...]:
    """What has to be asked to get the features of a legend in a box: pure, asks nothing.

    Args:
        server: A name of `SERVERS`, or the URL of an interpreter.
        box: (west, south, east, north) in degrees.
        legend: Whose tags are asked for.
        date: The day, at 0:00 UTC.

    Raises:
        SettingsError: An unknown server, or a day that no server can know.
    """
    url = SERVERS.get(server, server)
    check_no_secret(url, "overpass")
    if not is_address(url):
        raise SettingsError(
            f"overpass: no server {server!r}; known are {', '.join(SERVERS)}, anything else must "
            "be the http(s) URL of an interpreter"
        )
    if not FIRST_DAY <= date <= dt.datetime.now(dt.UTC).date():
        raise SettingsError(f"overpass: {date} cannot be asked for; days run from {FIRST_DAY} to today")
    areas = any(c.geometry == "area" for c in legend.tagged)
    queries: list[Query] = []
    for part in lonlat_parts(box):
        west, south, east, north = part
        columns = max(1, math.ceil((east - west) / _CELL_DEG))
        rows = max(1, math.ceil((north - south) / _CELL_DEG))
        queries += Query(url, part, date, tuple(legend.wanted.items()), areas).parts(columns, rows)
    return tuple(queries)


def fetch(
    queries: tuple[Query, ...],
    cache: Path | None = None,
    *,
    wait: Callable[[float], object] = time.sleep,
) -> list[Path]:
    """Get the answers to queries, from the cache or from the server, one after the other.

    Args:
        queries: What `plan_queries` made.
        cache: Folder that keeps the answers; by default `swath/overpass` in XDG_CACHE_HOME or
            ~/.cache.
        wait: Called with seconds to pass.

    Returns:
        One `.osm.gz` an answer; a query that the server found too large has four or more.

    Raises:
        RemoteError: The server refuses the query, does not recover, or sends no OpenStreetMap data.
        UnreachableError: There is no server, or no network.
    """
    if cache is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        cache = Path(home) / "swath" / "overpass"
    answers = []
    left = [(query, 0) for query in reversed(queries)]
    asked = False
    while left:
        query, splits = left.pop()
        path = cache / query.name
        if path.is_file():
            answers.append(path)
            continue
        quarters = query.parts(2, 2)
        if not any((cache / quarter.name).is_file() for quarter in quarters):
            if asked:
                wait(_PAUSE_S)
            asked = True
            if _ask(query, path, wait):
                answers.append(path)
                continue
        if splits == _MOST_SPLITS:
            raise RemoteError(
                f"{query.server}: the server runs out of time or memory even for a cell of "
                f"{query.cell[2] - query.cell[0]:.3f} degrees; take another server or an extract"
            )
        left += [(quarter, splits + 1) for quarter in reversed(quarters)]
    return answers


def _ask(query: Query, path: Path, wait: Callable[[float], object]) -> bool:
    """Ask once and again until there is an answer, and keep it; False: the cell is too large."""
    reason = ""
    for attempt in range(_TRIES):
        seconds = min(_FIRST_WAIT_S * 2**attempt * random.uniform(0.8, 1.2), _LONGEST_WAIT_S)
        try:
            with replacing(path) as temporary:
                _receive_or_tell(query, temporary)
            return True
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            with error:
                page = _text_of(error.read(1 << 16))
            if error.code not in _BUSY:
                raise RemoteError(f"{query.server}: {reason}: {page or 'no reason'}") from None
            seconds = max(seconds, _retry_after(error.headers.get("Retry-After")))
        except _TooLargeError:
            return False
        except (_BusyError, http.client.HTTPException, zlib.error, EOFError, OSError) as error:
            if getattr(error, "filename", None) or getattr(error, "errno", 0) == errno.ENOSPC:
                raise  # the cache's disk, not the server
            reason = reason_of(getattr(error, "reason", error))
        if seconds > _LONGEST_WAIT_S:
            raise RemoteError(f"{query.server}: {reason}, and asks to wait {seconds:.0f} s; try again then")
        if attempt < _TRIES - 1:
            news = f"overpass: {reason}; asking again in {seconds:.0f} s"
            console.print(news, markup=False, highlight=False)
            wait(seconds)
    raise RemoteError(f"{query.server}: {reason}; gave up after {_TRIES} tries")


class _BusyError(Exception):
    """An answer that breaks off, or says that there is no time for one."""


class _TooLargeError(Exception):
    """The server ran out of time or memory."""


def _receive_or_tell(query: Query, path: Path) -> None:
    """As `_receive`; what the line or the server broke is no error of the file that is written."""
    try:
        _receive(query, path)
    except urllib.error.HTTPError:
        raise
    except (urllib.error.URLError, gzip.BadGzipFile, ConnectionError, TimeoutError) as error:
        cause = getattr(error, "reason", None)
        if isinstance(cause, socket.gaierror | ConnectionRefusedError):  # waiting brings no network
            why = reason_of(cause)
            raise UnreachableError(f"{query.server} cannot be reached ({why}): no network?") from None
        raise _BusyError(reason_of(getattr(error, "reason", error))) from None


def _receive(query: Query, path: Path) -> None:
    """Ask once and write the answer, compressed."""
    request = urllib.request.Request(  # the scheme was checked when the query was planned
        query.server,
        data=urllib.parse.urlencode({"data": query.text}).encode(),
        headers={"User-Agent": f"swath/{__version__}", "Accept-Encoding": "gzip"},
    )
    first, last, size = b"", b"", 0
    with (
        urllib.request.urlopen(request, timeout=_TIMEOUT_S + 30) as response,
        path.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as target,
    ):
        packed = response.headers.get("Content-Encoding", "").lower() == "gzip"
        source = gzip.GzipFile(fileobj=response) if packed else response
        while piece := source.read(1 << 20):
            size += len(piece)
            if size > _MOST_BYTES:
                raise RemoteError(f"{query.server}: the answer is larger than 2 GiB; not kept")
            first = (first + piece)[:4096] if len(first) < 4096 else first
            last = (last + piece)[-4096:]
            target.write(piece)
    if b"<osm" not in first:
        raise RemoteError(f"{query.server}: expected OpenStreetMap XML, got {_text_of(first) or 'nothing'}")
    if not last.rstrip().endswith(b"</osm>"):
        raise _BusyError("the answer breaks off")
    if remark := re.search(rb"<remark>(.*?)</remark>", last, re.DOTALL):
        text = _text_of(remark[1])
        if "timed out" in text or "out of memory" in text:
            raise _TooLargeError
        if "too busy" in text or "Dispatcher" in text:
            raise _BusyError(text)
        raise RemoteError(f"{query.server}: {text}")


def _text_of(body: bytes) -> str:
    """What a page of the server says, as a short line."""
    text = body.decode("utf-8", "replace")
    text = re.sub(r"<(head|style|script)\b.*?</\1>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:300]


def _retry_after(value: str | None) -> float:
    """Seconds to wait: a number or a date; 0 where the server says nothing that is understood."""
    if not value:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        return 0.0
    return max(0.0, (until - dt.datetime.now(dt.UTC)).total_seconds())
