"""Whole files from a server: resumed where they broke off, and what their catalogue announced."""

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from swath.errors import InputError, RemoteError
from swath.files import write_text
from swath.retrieval.remote import (
    BrokenError,
    Server,
    content_range,
    header_number,
    patiently,
    shown,
    version_tag,
)
from swath.validation import read_model

MOST_BYTES = 8 << 30
"""No file whose size the catalogue does not say may be longer: a whole product has about 1 GiB."""

_HASHES = {"1114": "sha1", "1220": "sha256", "1340": "sha512", "1620": "sha3_256", "d50110": "md5"}
"""How a multihash begins (https://github.com/multiformats/multicodec): code and length."""


class _Version(BaseModel):
    """What is kept beside a part of a download: which version of the file it is of."""

    tag: str | None = None
    size: int | None = None


def download(server: Server, url: str, path: Path, size: int | None, checksum: str | None) -> None:
    """Download a file whole, to `path`; what is there of it already is kept.

    The bytes go to `path` + `.part`; only a file of the right length and checksum gets its
    name. A part is continued where the server can say that the file is still the same.

    Raises:
        RemoteError: It cannot be had, or is not what was announced.
    """
    part, note = path.with_name(path.name + ".part"), path.with_name(path.name + ".json")
    most = MOST_BYTES if size is None else size
    # Broken on its way, or joined of two files: once more, from the beginning.
    for _ in range(2):
        patiently(lambda: _append(server, url, part, note, most), url, have=lambda: _length_of(part))
        problem = find_problem(part, size, checksum)
        if problem is None:
            part.replace(path)
            note.unlink(missing_ok=True)
            return
        part.unlink()
        note.unlink(missing_ok=True)
    raise RemoteError(f"{shown(url)}: {problem}, twice; the file there may be broken")


def find_problem(path: Path, size: int | None, checksum: str | None) -> str | None:
    """What is wrong with a downloaded file, in words; None if nothing is.

    Args:
        path: The file.
        size: Bytes that it should have, where known.
        checksum: Multihash in hexadecimal digits; one that swath does not know says nothing.
    """
    got = path.stat().st_size
    if size is not None and got != size:
        return f"{got} bytes came, the catalogue says {size}"
    name, expected = parse_multihash(checksum or "")
    if name is not None:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, name)
        if digest.hexdigest() != expected:
            return f"its {name} is not what the catalogue says"
    return None


def parse_multihash(text: str) -> tuple[str | None, str]:
    """The hash's name, as hashlib has it, and the digest in hexadecimal digits.

    None for the name where swath does not know the hash, or the text is no multihash.
    """
    for start, name in _HASHES.items():
        digits = 2 * int(start[-2:], 16)
        if re.fullmatch(f"{start}[0-9a-f]{{{digits}}}", text):
            return name, text.removeprefix(start)
    return None, ""


def _length_of(part: Path) -> int:
    """Bytes that are there."""
    return part.stat().st_size if part.exists() else 0


def _append(server: Server, url: str, part: Path, note: Path, most: int) -> None:
    """One request for the rest of a file; raises `BrokenError` where it breaks off."""
    have = _length_of(part)
    version = _Version()
    if have:
        with suppress(InputError):
            version = read_model(note, _Version)
    size = version.size
    headers = {}
    if version.tag and size is not None:
        if have == size:
            return
        if have < size:
            headers = {"Range": f"bytes={have}-", "If-Range": version.tag}
    with server.get(url, headers) as answer:
        if answer.status_code == 206:
            if content_range(answer, url) != (have, (size or 0) - 1, size):
                part.unlink(missing_ok=True)
                raise BrokenError("another range came than was asked for")
        else:
            have, size, tag = 0, header_number(answer, "Content-Length"), version_tag(answer)
            # `If-Range` takes no weak tag: it does not promise the same bytes.
            version = _Version(tag=None if tag.startswith("W/") else tag, size=size)
            write_text(note, version.model_dump_json())
        with part.open("ab" if have else "wb") as target:
            for piece in server.pieces(answer, most - have):
                target.write(piece)
                have += len(piece)
    if size is not None and have < size:
        raise BrokenError(f"{have} of {size} bytes came")
