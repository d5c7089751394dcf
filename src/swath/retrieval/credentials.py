"""What a user may show to a server, and to which server. Never printed, never written.

Everything comes from the environment or from a file that only its owner can read; nothing from the
sites file, which people pass on: a stranger's sites file must not be able to send a token anywhere.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict, SecretStr, model_validator

from swath.errors import RemoteError, SettingsError
from swath.retrieval.connection import TIMEOUT_S, check_reached, new_session, repeated
from swath.retrieval.stacapi import StacApi
from swath.validation import Frozen, read_yaml

_VARIABLES = {
    "token": "SWATH_FETCH_TOKEN",
    "username": "SWATH_FETCH_USER",
    "password": "SWATH_FETCH_PASSWORD",
    "token_url": "SWATH_FETCH_TOKEN_URL",
    "client_id": "SWATH_FETCH_CLIENT_ID",
    "hosts": "SWATH_FETCH_HOSTS",
}
"""Environment variable of each entry."""


def _hosts(value: object) -> object:
    """A list of hosts; as one text they have commas between."""
    if isinstance(value, str):
        return tuple(host.strip() for host in value.split(",") if host.strip())
    return value


class Credentials(Frozen):
    """What the user may show, as the environment or a file gives it.

    Attributes:
        token: A bearer token.
        username: With `password`: a token is asked for, and again when it runs out.
        password: See `username`.
        token_url: See `StacApi`, of which this and what follows take the place.
        client_id: Of the public client there.
        hosts: Hosts that may see the token.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    token: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    token_url: str | None = None
    client_id: str | None = None
    hosts: Annotated[tuple[str, ...], BeforeValidator(_hosts)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        return self


def read_credentials(file: Path | None = None) -> Credentials:
    """Read the credentials: a YAML file, else the one that the environment names, else variables.

    Raises:
        SettingsError: The file is missing, not private, or breaks the format.
    """
    if file is None and (named := os.environ.get("SWATH_FETCH_CREDENTIALS")):
        file = Path(named)
    if file is not None:
        _check_private(file)
        return read_yaml(file, Credentials)
    values = {key: os.environ[name] for key, name in _VARIABLES.items() if os.environ.get(name)}
    try:
        return Credentials.model_validate(values)
    except ValueError:
        raise SettingsError("SWATH_FETCH_USER and SWATH_FETCH_PASSWORD belong together") from None


def _check_private(path: Path) -> None:
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
            f"{path}: others may read or write these credentials (mode {mode:03o}); run: chmod 600 {path}"
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise SettingsError(f"{path}: these credentials belong to another user")


@dataclass(slots=True)
class Access:
    """Gives requests for files of a collection what lets them in; renews what has run out."""

    credentials: Credentials
    api: StacApi
    collection: str
    _token: str | None = field(default=None, repr=False)
    _sas: str | None = field(default=None, repr=False)

    def headers(self, url: str) -> dict[str, str]:
        """Headers for a request; a token only for the hosts that may see it."""
        credentials = self.credentials
        if not self._trusted(url):
            return {}
        if credentials.token is not None:
            token = credentials.token.get_secret_value()
        elif credentials.username is not None:
            token = self._token = self._token or self._log_in()
        else:
            return {}
        return {"Authorization": f"Bearer {token}"}

    def sign(self, url: str) -> str:
        """The address with the storage token appended, where the API has such tokens."""
        host = urlsplit(url).hostname or ""
        if self.api.sas_url is None or not host.endswith(self.api.sas_hosts):
            return url
        if self._sas is None:
            address = self.api.sas_url.format(collection=self.collection)
            self._sas = _ask("GET", address, "token")
        return f"{url}{'&' if urlsplit(url).query else '?'}{self._sas}"

    def renew(self) -> bool:
        """Forget what has run out; True if a new one can be had."""
        had = self._token is not None or self._sas is not None
        self._token = self._sas = None
        return had

    def advice(self, url: str) -> str:
        """What to do when a server refuses, without saying what it was shown."""
        if self.credentials.token is None and self.credentials.username is None:
            return (
                "set SWATH_FETCH_TOKEN, or SWATH_FETCH_USER and SWATH_FETCH_PASSWORD, or "
                "SWATH_FETCH_CREDENTIALS"
            )
        if not self._trusted(url):
            host = urlsplit(url).hostname
            return f"{host} is not among the hosts that may see your token; see SWATH_FETCH_HOSTS"
        return "your token or password is wrong, or has run out"

    def _trusted(self, url: str) -> bool:
        hosts = self.credentials.hosts or self.api.hosts
        return _private(url) and urlsplit(url).hostname in hosts

    def _log_in(self) -> str:
        url = self.credentials.token_url or self.api.token_url
        if url is None:
            raise SettingsError("no address where a password becomes a token: set SWATH_FETCH_TOKEN_URL")
        if not _private(url):
            raise SettingsError("SWATH_FETCH_TOKEN_URL must start with https://")
        secret = self.credentials.password
        form = {
            "grant_type": "password",
            "client_id": self.credentials.client_id or self.api.client_id,
            "username": self.credentials.username,
            "password": secret.get_secret_value() if secret else "",
        }
        return _ask("POST", url, "access_token", form)


def _private(url: str) -> bool:
    """Whether nobody on the way can read what is sent there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost", "::1")


def _ask(method: str, url: str, key: str, form: dict[str, str | None] | None = None) -> str:
    """The token under `key` in the JSON answer of a token server."""
    gives_none = f"{urlsplit(url).hostname} gives no token"
    try:
        # A redirect of a login is refused: the password must not travel on.
        with new_session(repeated(2, 1.0)) as session:
            answer = session.request(method, url, data=form, timeout=TIMEOUT_S, allow_redirects=False)
        value = answer.json() if answer.status_code == 200 else None
    # What requests raises is an OSError, and a ValueError where it is about JSON.
    except (OSError, ValueError) as error:
        check_reached(error, url)
        message = f"{gives_none}: it cannot be reached, or answers nonsense"
        raise RemoteError(message) from None
    if answer.status_code != 200:
        raise RemoteError(f"{gives_none} (status {answer.status_code}); check user and password")
    token = value.get(key) if isinstance(value, dict) else None
    if not isinstance(token, str) or not token:
        raise RemoteError(f"{gives_none}: no {key!r} in its answer")
    return token
