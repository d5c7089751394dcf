"""Searching a STAC API: all items that touch a site in a span of days."""

import datetime as dt
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from pydantic import BaseModel, JsonValue

from swath.errors import RemoteError, SettingsError, optional_import, reason_of
from swath.grid import Bounds
from swath.retrieval.rawitem import parse_item
from swath.retrieval.stacapi import StacApi
from swath.retrieval.stacitem import StacItem

MAX_ITEMS = 2000
"""More items than this for one site: the dates span too much, or the server repeats itself."""

MAX_SEARCH_S = 600.0
"""A search that takes longer is given up."""

SEARCH_TRIES = 5
"""How often a request of a search that fails is repeated."""

SEARCH_BACKOFF_S = 0.5
"""Wait before a search is repeated; doubled each time."""

PAGE_ITEMS = 100
"""Items a page; all known APIs allow it."""

_MOST_REASON = 200
"""Characters of what a server says that go into an error."""


class _Page(BaseModel):
    features: list[dict[str, JsonValue]]


def search(
    api: StacApi,
    collection: str,
    bounds: Bounds,
    start: dt.date,
    end: dt.date,
    *,
    headers: Mapping[str, str] | None = None,
) -> tuple[tuple[StacItem, ...], tuple[str, ...]]:
    """All items of a collection that touch a box between two days.

    Clouds and tiles are not searched for but looked at afterwards: so that the plan can say why a
    date was left out, and since not every server can filter.

    Args:
        api: The API.
        collection: Which collection.
        bounds: (west, south, east, north) in degrees.
        start: First day.
        end: Last day.
        headers: What the server is shown, where it wants to see something.

    Returns:
        The items by time, then by name (one that the server gives twice is there once), and what
        is wrong with the items that cannot be used.

    Raises:
        RemoteError: The server cannot be reached, refuses, or answers nonsense.
        SettingsError: The server has no such collection.
        MissingExtraError: pystac-client is not installed.
    """
    # What pystac-client warns of, a link that is missing say, is for those who run a server.
    with _told_plainly(api, collection), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pages = _pages(api, collection, bounds, f"{start}T00:00:00Z/{end}T23:59:59Z", headers or {})
        return _collect(pages, api.url, bounds)


def _pages(
    api: StacApi, collection: str, bounds: Bounds, days: str, headers: Mapping[str, str]
) -> Iterator[Mapping[str, object]]:
    """Ask for one page after the other, each when it is wanted."""
    from pystac_client import Client
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry

    retry = Retry(
        SEARCH_TRIES,
        backoff_factor=SEARCH_BACKOFF_S,
        backoff_max=30,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
        # Else the server alone would say how long we wait.
        respect_retry_after_header=False,
    )
    stac_io = StacApiIO(dict(headers), timeout=(10, 60), max_retries=retry)
    client = Client.open(api.url, stac_io=stac_io)
    answer = client.search(
        collections=[collection], bbox=list(bounds), datetime=days, limit=PAGE_ITEMS
    )
    yield from answer.pages_as_dicts()


@contextmanager
def _told_plainly(api: StacApi, collection: str) -> Iterator[None]:
    """Turn what libraries raise over a server into one line."""
    with optional_import("swath fetch", "fetch"):
        import requests
        from pystac import STACError, STACTypeError
        from pystac_client.errors import ClientTypeError
        from pystac_client.exceptions import APIError
    try:
        yield
    except APIError as error:
        if getattr(error, "status_code", None) in (400, 404):
            raise SettingsError(
                f"{api.url}: the search is refused ({_brief(error)}); check `api:` and "
                f"`collection: {collection}`"
            ) from None
        raise RemoteError(f"{api.url}: {_brief(error)}") from None
    except (STACError, STACTypeError, ClientTypeError, requests.RequestException) as error:
        raise RemoteError(f"{api.url}: no STAC API answers there ({_brief(error)})") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RemoteError(f"{api.url}: not the answer of a STAC API ({_brief(error)})") from None


def _brief(error: BaseException) -> str:
    return reason_of(error)[:_MOST_REASON]


def _collect(
    pages: Iterable[Mapping[str, object]], url: str, bounds: Bounds
) -> tuple[tuple[StacItem, ...], tuple[str, ...]]:
    """The items of all pages, and what is wrong with others; bounded in count and time."""
    by_id: dict[str, StacItem] = {}
    broken: list[str] = []
    began, seen = time.monotonic(), 0
    for page in pages:
        features = _Page.model_validate(page).features
        for raw in features:
            try:
                item = parse_item(raw, bounds)
                by_id[item.id] = item
            except RemoteError as error:
                broken.append(str(error))
        seen += len(features)
        if seen > MAX_ITEMS or time.monotonic() - began > MAX_SEARCH_S:
            raise RemoteError(f"{url}: {seen} items came and more would; shorten start..end")
    items = tuple(sorted(by_id.values(), key=lambda item: (item.time, item.id)))
    return items, tuple(broken)
