"""Searching a STAC API: all items that touch a site in a span of days."""

import datetime as dt
import itertools
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from swath.errors import RemoteError, SettingsError, printable, reason_of
from swath.extras import optional_import
from swath.grid import Bounds, lonlat_parts
from swath.retrieval.connection import TIMEOUT_S, check_reached, repeated, short_reason
from swath.retrieval.credentials import Access
from swath.retrieval.stacapi import StacApi
from swath.retrieval.stacitem import StacItem, parse_item

MAX_ITEMS = 2000
"""More items than this for one site: the dates span too much, or the server repeats itself."""

MAX_SEARCH_S = 600.0
"""A search that takes longer is given up."""

SEARCH_TRIES = 3
"""How often a request of a search that fails is repeated."""

SEARCH_BACKOFF_S = 0.5
"""Wait before a search is repeated; doubled each time."""

PAGE_ITEMS = 100
"""Items a page; all known APIs allow it."""

_MOST_REASON = 200
"""Characters of what a server says that go into an error."""


def search(
    access: Access, bounds: Bounds, start: dt.date, end: dt.date
) -> tuple[tuple[StacItem, ...], tuple[str, ...]]:
    """All items of a collection that touch a box, in degrees, from the first day to the last.

    Clouds and tiles are not searched for but looked at afterwards: so that the plan can say why a
    date was left out, and since not every server can filter. On either side of the 180th meridian
    the search is one of its own: servers differ in what they make of a box across it.

    Returns:
        The items by time, then by name (one that the server gives twice is there once), and what
        is wrong with the items that cannot be used.

    Raises:
        UnreachableError: There is no server, or no network.
        RemoteError: The server refuses, or answers nonsense.
        SettingsError: The server has no such collection.
        MissingExtraError: pystac-client is not installed.
    """
    with optional_import("swath fetch", "fetch"):
        from pystac import Link
        from pystac.link import HREF
        from pystac_client import Client
        from pystac_client.stac_api_io import StacApiIO

    # What pystac-client warns of, a link that is missing say, is for those who run a server.
    class WebOnly(StacApiIO):
        """What a server names is asked for from servers: pystac-client reads all else as local files."""

        def read_text(self, source: HREF, *args: Any, **kwargs: Any) -> str:
            href = source.href if isinstance(source, Link) else str(source)
            if urlsplit(href).scheme not in ("http", "https"):
                raise ValueError(f"it names {printable(href)[:100]!r}, which is no address of a server")
            return super().read_text(source, *args, **kwargs)

    api, collection = access.api, access.collection
    with _told_plainly(api, collection), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        retry = repeated(SEARCH_TRIES, SEARCH_BACKOFF_S)
        stac_io = WebOnly(access.headers(api.url), timeout=TIMEOUT_S, max_retries=retry)
        # Given again: `open` sets it anew, to none at all if it is not.
        client = Client.open(api.url, stac_io=stac_io, timeout=TIMEOUT_S)
        days = f"{start}T00:00:00Z/{end}T23:59:59Z"
        searches = [
            client.search(collections=[collection], bbox=list(part), datetime=days, limit=PAGE_ITEMS)
            for part in lonlat_parts(bounds)
        ]
        pages = itertools.chain.from_iterable(search.pages_as_dicts() for search in searches)
        return _collect(pages, api.url, bounds)


@contextmanager
def _told_plainly(api: StacApi, collection: str) -> Iterator[None]:
    """Turn what libraries raise over a server into one line."""
    from pystac import STACError, STACTypeError
    from pystac_client.errors import ClientTypeError
    from pystac_client.exceptions import APIError
    from requests import RequestException

    nonsense = (
        STACError,
        STACTypeError,
        ClientTypeError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    )
    try:
        yield
    except APIError as error:
        check_reached(error, api.url)
        brief = short_reason(error)[:_MOST_REASON]
        if getattr(error, "status_code", None) in (400, 404):
            raise SettingsError(
                f"{api.url}: the search is refused ({brief}); check `api:` and `collection: {collection}`"
            ) from None
        raise RemoteError(f"{api.url}: {brief}") from None
    except (RequestException, ValueError, *nonsense) as error:
        check_reached(error, api.url)
        brief = reason_of(error)[:_MOST_REASON]
        raise RemoteError(f"{api.url}: no STAC API answers there ({brief})") from None


def _collect(
    pages: Iterable[Mapping[str, Any]], url: str, bounds: Bounds
) -> tuple[tuple[StacItem, ...], tuple[str, ...]]:
    """The items of all pages, and what is wrong with others; bounded in count and time."""
    by_id: dict[str, StacItem] = {}
    broken: dict[str, None] = {}
    began, seen = time.monotonic(), 0
    for page in pages:
        for raw in page["features"]:
            try:
                item = parse_item(raw, bounds)
                by_id[item.id] = item
            except RemoteError as error:
                broken[str(error)] = None
        seen += len(page["features"])
        if seen > MAX_ITEMS or time.monotonic() - began > MAX_SEARCH_S:
            raise RemoteError(f"{url}: {seen} items came and more would; shorten start..end")
    items = tuple(sorted(by_id.values(), key=lambda item: (item.time, item.id)))
    return items, tuple(broken)
