"""What a user may show to a server, and to which server. Never printed, never written.

Everything comes from the environment or from a file that only its owner can read; nothing from the
sites file, which people pass on: a stranger's sites file must not be able to send a token anywhere.
"""

import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, SecretStr, model_validator

from swath.errors import RemoteError, SettingsError, optional_import
from swath.retrieval.stacapi import StacApi
from swath.schema import Frozen, read_yaml

VARIABLES = {
    "token": "SWATH_FETCH_TOKEN",
    "username": "SWATH_FETCH_USER",
    "password": "SWATH_FETCH_PASSWORD",
    "token_url": "SWATH_FETCH_TOKEN_URL",
    "client_id": "SWATH_FETCH_CLIENT_ID",
    "hosts": "SWATH_FETCH_HOSTS",
}
"""Environment variable of each entry."""

FILE_VARIABLE = "SWATH_FETCH_CREDENTIALS"
"""Environment variable with the path of a credentials file."""

TIMEOUT_S = (10, 60)
"""To connect, and between two pieces of an answer."""


class Credentials(Frozen):
    """What the user may show, as the environment or a file gives it.

    Attributes:
        token: A bearer token.
        username: With `password`: a token is asked for, and again when it runs out.
        password: See `username`.
        token_url: Where tokens are given; None: as the API has it.
        client_id: Of the public client there; None: as the API has it.
        hosts: Hosts that may see the token; empty: as the API has it.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    token: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    token_url: str | None = None
    client_id: str | None = None
    hosts: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get("hosts"), str):
            hosts = tuple(host.strip() for host in value["hosts"].split(",") if host.strip())
            return {**value, "hosts": hosts}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        return self


def read_credentials(file: Path | None = None) -> Credentials:
    """Read the credentials: a file, else the environment.

    Args:
        file: A YAML file; None: as `SWATH_FETCH_CREDENTIALS` says, else single variables.

    Raises:
        SettingsError: The file is missing, not private, or breaks the format.
    """
    named = file or (Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None)
    if named is not None:
        check_private(named)
        return read_yaml(named, Credentials)
    values = {key: os.environ[name] for key, name in VARIABLES.items() if os.environ.get(name)}
    try:
        return Credentials.model_validate(values)
    except ValueError:
        raise SettingsError(
            f"set both {VARIABLES['username']} and {VARIABLES['password']}, or neither"
        ) from None


def check_private(path: Path) -> None:
    """Raise `SettingsError` unless `path` is a file that only its owner may read and write."""
    try:
        status = path.stat()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or 'cannot be read'}") from None
    if not stat.S_ISREG(status.st_mode):
        raise SettingsError(f"{path}: credentials must be in a plain file")
    if os.name != "posix":
        return
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise SettingsError(
            f"{path}: others may read or write these credentials (mode {mode:03o}); "
            f"run: chmod 600 {path}"
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise SettingsError(f"{path}: these credentials belong to another user")


@dataclass(slots=True)
class Access:
    """Gives requests what they need to be let in, and renews it when it has run out.

    Attributes:
        credentials: What the user may show.
        api: The API; says where tokens come from.
        collection: Which collection's files are wanted.
    """

    credentials: Credentials
    api: StacApi
    collection: str
    _token: str | None = field(default=None, repr=False)
    _sas: str | None = field(default=None, repr=False)
    _sas_until: float = field(default=0.0, repr=False)

    def headers(self, url: str) -> dict[str, str]:
        """Headers for a request; a token only for the hosts that may see it."""
        if not self._trusted(url):
            return {}
        if self.credentials.token is not None:
            return {"Authorization": f"Bearer {self.credentials.token.get_secret_value()}"}
        if self.credentials.username is not None:
            self._token = self._token or self._log_in()
            return {"Authorization": f"Bearer {self._token}"}
        return {}

    def sign(self, url: str) -> str:
        """The address with the storage token appended, where the API has such tokens."""
        host = urlsplit(url).hostname or ""
        if self.api.sas_url is None or not host.endswith(self.api.sas_hosts):
            return url
        if self._sas is None or time.monotonic() > self._sas_until:
            answer = _ask("GET", self.api.sas_url.format(collection=self.collection))
            self._sas = _text(answer, "token", self.api.sas_url)
            # They live for about an hour; half of that is always safe, and renew() mends the rest.
            self._sas_until = time.monotonic() + 1800
        return f"{url}{'&' if urlsplit(url).query else '?'}{self._sas}"

    def renew(self) -> bool:
        """Forget what has run out; True if a new one can be had."""
        had = self._token is not None or self._sas is not None
        self._token = self._sas = None
        return had

    def advice(self, url: str) -> str:
        """What to do when a server refuses, without saying what it was shown."""
        host = urlsplit(url).hostname
        if self.credentials.token is None and self.credentials.username is None:
            return (
                f"set {VARIABLES['token']}, or {VARIABLES['username']} and "
                f"{VARIABLES['password']}, or {FILE_VARIABLE}"
            )
        if not self._trusted(url):
            return (
                f"{host} is not among the hosts that may see your token; see {VARIABLES['hosts']}"
            )
        return "your token or password is wrong, or has run out"

    def _trusted(self, url: str) -> bool:
        hosts = self.credentials.hosts or self.api.hosts
        return _private(url) and urlsplit(url).hostname in hosts

    def _log_in(self) -> str:
        url = self.credentials.token_url or self.api.token_url
        if url is None:
            raise SettingsError(
                f"no address where a password becomes a token: set {VARIABLES['token_url']}"
            )
        if not _private(url):
            raise SettingsError(f"{VARIABLES['token_url']} must start with https://")
        secret = self.credentials.password
        form = {
            "grant_type": "password",
            "client_id": self.credentials.client_id or self.api.client_id,
            "username": self.credentials.username,
            "password": secret.get_secret_value() if secret else "",
        }
        return _text(_ask("POST", url, form), "access_token", url)


def _private(url: str) -> bool:
    """Whether nobody on the way can read what is sent there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost", "::1")


def _ask(method: str, url: str, form: dict[str, str | None] | None = None) -> object:
    """The JSON answer of a token server, tried three times."""
    with optional_import("swath fetch", "fetch"):
        import requests
    host = urlsplit(url).hostname
    for attempt in range(3):
        if attempt:
            time.sleep(attempt)
        try:
            # A redirect of a login is refused: the password must not travel on.
            answer = requests.request(
                method, url, data=form, timeout=TIMEOUT_S, allow_redirects=False
            )
        except requests.RequestException:
            continue
        if answer.status_code >= 500 or answer.status_code == 429:
            continue
        if answer.status_code != 200:
            raise RemoteError(
                f"{host} gives no token (status {answer.status_code}); check user and password"
            )
        try:
            value: object = answer.json()
            return value
        except ValueError:
            break
    raise RemoteError(f"{host} gives no token: it cannot be reached, or answers nonsense")


def _text(answer: object, key: str, url: str) -> str:
    value = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value:
        raise RemoteError(f"{urlsplit(url).hostname} gives no token: no {key!r} in its answer")
    return value
