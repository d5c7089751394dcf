"""Names and places that come out of files: what may become part of a path, a table or a message."""

import re
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints

from swath.errors import InputError, SettingsError, printable

SITE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
"""Names that become folders."""

SiteName = Annotated[str, StringConstraints(pattern=rf"^{SITE_NAME.pattern}$")]

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}$")]
"""Name of a file that swath made, without a folder."""

MOST_NAME = 80
"""Characters of a name that people see: more do not fit a table, a legend or a layer."""

_CLASS_NAME = re.compile(r"\w[\w ,.:;/()&+'%-]*")
_RESERVED_LAYER = re.compile(r"(gpkg|rtree|sqlite)_", re.IGNORECASE)
_RESERVED_COLUMNS = {"geometry", "class_id", "fid", "_dimension"}


def check_class_name(name: str) -> str:
    """A class's name, which becomes a layer, a column of tables and a title; else `ValueError`."""
    if not _CLASS_NAME.fullmatch(name) or len(name) > MOST_NAME or name != name.strip():
        raise ValueError(
            f"a class's name is up to {MOST_NAME} letters, digits, blanks and , . : ; / ( ) & + ' % _ -, "
            "with a letter or digit first"
        )
    if _RESERVED_LAYER.match(name):
        raise ValueError("names that begin with gpkg_, rtree_ or sqlite_ belong to the database of vectors")
    return name


def check_tag_key(key: str) -> str:
    """An OSM key, which becomes a column of tables; else `ValueError`."""
    if not key or len(key) > 255 or not key.isprintable():
        raise ValueError("a tag's key is 1..255 printable characters")
    if key.lower() in _RESERVED_COLUMNS:
        raise ValueError(f"{key!r} is a column of swath's own, no tag")
    return key


def check_text(text: str) -> str:
    """Free text that is shown on one line, at most 4000 characters; else `ValueError`."""
    if len(text) > 4000 or printable(text) != text:
        raise ValueError("expected up to 4000 printable characters on one line")
    return text


ClassName = Annotated[str, AfterValidator(check_class_name)]
TagKey = Annotated[str, AfterValidator(check_tag_key)]
Line = Annotated[str, AfterValidator(check_text)]


def slug(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^\w.,+-]", "_", name).strip(".")


def place_inside(root: Path, folder: Path, href: str) -> Path:
    """The file that a catalogue in `folder` names: relative, and inside of `root`.

    Raises:
        InputError: The place is a URL, absolute, or leads out of `root`, by `..` or by a link.
    """
    parts = PurePosixPath(href).parts
    plain = parts and not href.startswith("/") and re.fullmatch(r"[^\\:\0-\x1f]{1,1000}", href)
    path = folder.joinpath(*parts) if plain else folder
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link that leads to itself
        inside = False
    if not plain or not inside:
        raise InputError(
            f"{folder}: the catalogue names {printable(href)[:100]!r}; expected a file inside of {root}, by "
            "its relative path"
        )
    return path


def check_own(*paths: Path) -> None:
    """Check that what swath fills and empties is no link to somewhere else; paths may be absent.

    Raises:
        InputError: One is a symbolic link.
    """
    for path in paths:
        if path.is_symlink():
            raise InputError(f"{path} is a link to another place, which swath leaves alone; remove the link")


def is_address(text: str) -> bool:
    """Whether a text is the address of a server: http or https, and a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket that is not closed, a port that is no number
        return False


def check_no_secret(address: str, what: str) -> None:
    """Check that an address that a file names holds nothing that may be secret.

    Files are passed on, and addresses are printed: a user, a password or a query is refused, and
    not repeated.

    Raises:
        SettingsError: It has one of them.
    """
    if "@" in address or "?" in address:
        raise SettingsError(
            f"{what}: an address with a user, a password or a query (?...), which may be secret and "
            "would be passed on with the file; give it without, credentials come from elsewhere"
        )
