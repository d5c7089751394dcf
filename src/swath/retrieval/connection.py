"""Connections to servers: how long one waits for them, and whether there is a network at all."""

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from swath.errors import UnreachableError, reason_of
from swath.extras import optional_import

if TYPE_CHECKING:  # an extra
    from requests import Session
    from urllib3 import Retry

TIMEOUT_S = (5, 60)
"""To connect, and between two pieces of an answer."""


def repeated(times: int, wait_s: float) -> "Retry":
    """How often, and after which wait, a request is repeated that is small and answered whole.

    One that finds no server at all is not: where there is no network, waiting brings none.
    """
    with optional_import("swath fetch", "fetch"):
        from urllib3 import Retry
    return Retry(
        times,
        connect=0,
        backoff_factor=wait_s,
        backoff_max=30,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
        # Else the server alone would say how long we wait.
        respect_retry_after_header=False,
    )


def new_session(retries: "Retry | int" = 0) -> "Session":
    """A session that shows servers nothing of its own accord."""
    with optional_import("swath fetch", "fetch"):
        import requests
    session = requests.Session()
    # Without this, requests looks into ~/.netrc.
    session.auth = lambda request: request
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retries))
    return session


def check_reached(error: BaseException, url: str) -> None:
    """Check that what a library raises over a request is not that there was no server to ask.

    Raises:
        UnreachableError: It is.
    """
    if why := _why_unreached(error):
        host = urlsplit(url).netloc.rpartition("@")[2]
        raise UnreachableError(f"{host} cannot be reached ({why})") from None


def short_reason(error: BaseException) -> str:
    """What a library raises over a request that got no good answer, without its own words around it."""
    from urllib3.exceptions import ReadTimeoutError, ResponseError

    for cause in _causes(error):
        if isinstance(cause, ResponseError):
            return str(cause)
        if isinstance(cause, ReadTimeoutError | TimeoutError):
            return f"no answer within {TIMEOUT_S[1]} s"
    return reason_of(error)


def _why_unreached(error: BaseException) -> str | None:
    """Why no connection came about; None where one did."""
    from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ProxyError

    causes = list(_causes(error))

    def is_due_to(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if is_due_to(NameResolutionError, socket.gaierror):
        return "its name is unknown here: no network?"
    if is_due_to(ProxyError):
        return "the proxy does not answer: no network?"
    if is_due_to(ConnectionRefusedError):
        return "nothing listens there"
    if is_due_to(NewConnectionError):
        return "no network?"
    if is_due_to(ConnectTimeoutError):
        return f"no answer within {TIMEOUT_S[0]} s: no network?"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it was made of, as libraries nest them."""
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        cause = todo.pop()
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            todo += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
