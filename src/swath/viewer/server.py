"""The live page: a small server for this machine, which gives maps away by HTTP range requests."""

import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pydantic import JsonValue, ValidationError

from swath.errors import SettingsError, SwathError, reason_of
from swath.extras import optional_import
from swath.grid import Bounds
from swath.progress import tell
from swath.validation import first_problem
from swath.viewer.decisions import NAME, Decision, keep_decision, read_decisions
from swath.viewer.overlay import MOST_RANKED, Order, Overlay, geojson
from swath.viewer.page import page_content, render
from swath.viewer.place import Exhibition, Place, dates_of, read_exhibition

with optional_import("swath view", "view"):
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = "127.0.0.1"

LONGEST_BODY = 10_000
"""Bytes of a decision that is sent here."""

Number = TypeVar("Number", int, float)

IDLE_S = 15
"""A connection that says nothing for so long is closed."""


class Gallery:
    """The application: the page, the files of its maps, its vectors, and the decisions.

    Args:
        folders: MAPS.
        beside: As `read_exhibition` takes it.
    """

    def __init__(self, folders: Sequence[Path], beside: Sequence[Path] = ()) -> None:
        self.shown: Exhibition = read_exhibition(folders, beside)
        self.folders = tuple(folders)
        for folder in folders:
            read_decisions(folder)  # what cannot be kept on is said at once
        self._sites = [self._site(number, place) for number, place in enumerate(self.shown.places)]

    def application(self, hosts: Sequence[str]) -> Starlette:
        """The ASGI application, for requests that name one of `hosts`."""
        files = []
        for number, place in enumerate(self.shown.places):
            content = StaticFiles(directory=place.maps.folder)
            content.config_checked = True  # maps that were taken away are not found, no failure of ours
            files.append(Mount(f"/maps/{number}", content))
        routes = [
            Route("/", self.page),
            Route("/lines/{place}/{overlay}", self.lines),
            Route("/decisions", self.decide, methods=["POST"]),
            *files,
        ]
        middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))]
        refusals = dict.fromkeys((SwathError, OSError, ClientDisconnect), _refuse)
        return Starlette(routes=routes, middleware=middleware, exception_handlers=refusals)

    async def page(self, _: Request) -> Response:
        """The page, with addresses in the place of pixels and features."""
        return HTMLResponse(await run_in_threadpool(self._render))

    def _render(self) -> str:
        decided = [read_decisions(folder) for folder in self.folders]
        decisions: list[JsonValue] = [
            {"key": row.key, "verdict": row.verdict, "note": row.note}
            for frame in decided
            for row in frame.itertuples()
        ]
        content = page_content(self.shown, self._sites, live=True, decisions=decisions, kept_in=NAME)
        return render(self.shown.title, content, live=True)

    def _site(self, number: int, place: Place) -> dict[str, JsonValue]:
        layers: list[JsonValue] = [
            {
                **layer.fields(),
                **dates_of(layer),
                "levels": [{"width": width, "height": height} for width, height in layer.sizes],
                "href": f"maps/{number}/{quote(layer.path.name)}",
            }
            for layer in place.layers
        ]
        overlays: list[JsonValue] = [
            {**overlay.fields(), "href": f"lines/{number}/{at}"} for at, overlay in enumerate(place.overlays)
        ]
        return {**place.fields(), "layers": layers, "overlays": overlays}

    async def lines(self, request: Request) -> Response:
        """The features of an overlay as GeoJSON: all, or those that cross `bbox`.

        With `feature` the one of that number. With `sort` the first in that column's order: `falling`,
        `most`, and within `low` and `high` of another `column`.
        """
        place = self._place(_index(request.path_params["place"]))
        overlay = self._overlay(place, _index(request.path_params["overlay"]))
        query = request.query_params
        box = _bounds(query.get("bbox"))
        try:
            grid = place.maps.grid
            if "feature" in query:
                frame = await run_in_threadpool(overlay.one, grid, _number(query["feature"], int))
            elif "sort" in query:
                frame = await run_in_threadpool(overlay.first, grid, _order(query), box)
            else:
                frame = await run_in_threadpool(overlay.read, grid, box)
            content = await run_in_threadpool(geojson, frame, place.maps.grid.resolution[0] / 100)
        except SwathError as error:
            raise HTTPException(404, str(error)) from None
        return JSONResponse(content)

    async def decide(self, request: Request) -> Response:
        """Keep a decision on a feature of an overlay."""
        # A foreign page can send forms and text, but not JSON, without being asked first.
        if request.headers.get("content-type") != "application/json":
            raise HTTPException(415, "a decision is JSON")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_BODY:
                raise HTTPException(413, "a decision is short")
        try:
            decision = Decision.model_validate_json(body)
        except ValidationError as error:
            raise HTTPException(400, first_problem(error)) from None
        await run_in_threadpool(self._keep, decision)
        return Response(status_code=204)

    def _keep(self, decision: Decision) -> None:
        names = [place.name for place in self.shown.places]
        place = self._place(names.index(decision.site) if decision.site in names else -1)
        overlay = next((o for o in place.overlays if o.id == decision.overlay), None)
        if overlay is None:
            raise HTTPException(404, "no such layer")
        frame = overlay.read(place.maps.grid)
        feature = frame[frame.index == int(decision.feature)]
        if feature.empty:
            raise HTTPException(404, "no such feature")
        keep_decision(place.maps.folder.parent, decision, feature)

    def _place(self, number: int) -> Place:
        if not 0 <= number < len(self.shown.places):
            raise HTTPException(404, "no such site")
        return self.shown.places[number]

    def _overlay(self, place: Place, number: int) -> Overlay:
        if not 0 <= number < len(place.overlays):
            raise HTTPException(404, "no such layer")
        return place.overlays[number]


def _in_a_line(app: ASGIApp) -> ASGIApp:
    """An application whose failures, such as of a request that is broken off midway, are a line each."""

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            tell(f"a request failed: {type(error).__name__}: {reason_of(error)}")

    return told


async def _refuse(_: Request, error: Exception) -> Response:
    """What is wrong with files is said to the page; who went away hears nothing."""
    return PlainTextResponse(reason_of(error), 400 if isinstance(error, ClientDisconnect) else 503)


def _order(query: Mapping[str, str]) -> Order:
    most = _number(query.get("most", "500"), int)
    if not 0 < most <= MOST_RANKED:
        raise HTTPException(400, f"most is 1 to {MOST_RANKED}")
    low, high = (_number(query.get(name, end), float) for name, end in (("low", "-inf"), ("high", "inf")))
    return Order(query["sort"], query.get("falling") == "1", most, query.get("column"), low, high)


def _index(text: str) -> int:
    """A number in an address; -1 where it is none, or longer than there can be."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else -1


def _number(text: str, kind: Callable[[str], Number]) -> Number:
    try:
        value = kind(text)
        if isinstance(value, int) and abs(value) >= 2**63:
            raise ValueError
        return value
    except ValueError:
        raise HTTPException(400, f"{text[:50]!r} is no number") from None


def _bounds(text: str | None) -> Bounds | None:
    if text is None:
        return None
    try:
        left, bottom, right, top = map(float, text.split(","))
    except ValueError:
        raise HTTPException(400, "bbox is left,bottom,right,top") from None
    if not (left < right and bottom < top and abs(left + right + bottom + top) < 1e9):
        raise HTTPException(400, "bbox is left,bottom,right,top")
    return left, bottom, right, top


def serve(
    gallery: Gallery, host: str = LOOPBACK, port: int = 0, ready: Callable[[str], None] | None = None
) -> None:
    """Serve a page until it is interrupted.

    Args:
        gallery: What is shown.
        host: The address to listen at; any but a loopback one lets others on the network look.
        port: 0: any that is free.
        ready: Is told the page's address when it can be opened.

    Raises:
        SettingsError: There is no such address here, or the port is taken.
    """
    if not host:  # the system would take it for all addresses
        raise SettingsError("the host is empty; expected a name or an address of this machine")
    open_to_all = host in ("0.0.0.0", "::")
    local = host in (LOOPBACK, "localhost", "::1")
    hosts = ["*"] if open_to_all or not local else [LOOPBACK, "localhost", "[::1]", "::1"]
    config = uvicorn.Config(
        _in_a_line(gallery.application(hosts)),
        http="h11",  # refuses what has two hosts
        ws="none",
        lifespan="off",  # there is none; a second Ctrl-C would be told of as its failure
        log_level="critical",  # what fails is told by `_in_a_line`
        access_log=False,
        timeout_keep_alive=IDLE_S,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        host.encode("idna")  # else left open where it cannot be
        listening = socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or reason_of(error)
        raise SettingsError(
            f"cannot listen at {host}, port {port} ({why}); choose another port or host"
        ) from None
    shown = LOOPBACK if open_to_all else f"[{host}]" if ":" in host else host
    if ready is not None:
        address = f"http://{shown}:{listening.getsockname()[1]}/"
        threading.Timer(0.3, ready, [address]).start()
    with listening:
        uvicorn.Server(config).run(sockets=[listening])
