"""Files that are whole or absent: writing under a temporary name, hashes, JSON."""

import hashlib
import json
import math
import shutil
import stat
import tempfile
import uuid
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, SupportsFloat

from swath.errors import InputError, OutputExistsError

MOST_TEXT = 64 << 20
"""Bytes of a text file that is read whole."""

MOST_DEPTH = 64
"""How deep lists and tables may be nested in each other."""

MOST_DIGITS = 20
"""Of a whole number in a file: enough for 64 bits."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of `path` to write; put it in place only when all went well.

    The temporary name keeps the suffix, so that format drivers recognise it. A crash leaves at
    most a `.tmp-*` file and never a half-written file under the final name. The folder is made if
    need be.
    """
    temporary = _sibling(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder to fill; rename it to `path` only when all went well.

    Raises:
        OutputExistsError: `path` exists, is not empty, and `overwrite` is False.
    """
    check_free(path, overwrite=overwrite)
    temporary = _sibling(path)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sibling(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.parent / f".tmp-{uuid.uuid4().hex[:8]}-{path.name}"


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise `OutputExistsError` if `path` is a file, or a folder that is not empty, to be kept."""
    if overwrite:
        return
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise OutputExistsError(path)


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_hash(path: Path) -> str:
    """Hex SHA-256 of a file, or of a folder: of the names and bytes of all files in it.

    Raises:
        InputError: There is no such file or folder.
    """
    if path.is_file():
        return sha256(path)
    if not path.is_dir():
        raise InputError(f"{path}: no such file")
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented UTF-8 JSON, whole or not at all."""
    with replacing(path) as temporary:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def finite(value: SupportsFloat | None) -> float | None:
    """A number as JSON can hold it: None where it is not finite, or none."""
    return None if value is None or not math.isfinite(value) else float(value)


def check_file(path: Path) -> None:
    """Check that a path is a file: no folder, and nothing that never ends (a pipe, a device).

    Raises:
        InputError: It is something else, or not there.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a NUL in the name
        raise InputError(f"{path}: no such file") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise InputError(f"{path}: {kind}; expected a file")


def read_text(path: Path, most: int = MOST_TEXT) -> str:
    """Read a text file of at most `most` bytes.

    Raises:
        InputError: It is missing, no file, longer, or not UTF-8.
    """
    check_file(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
        if len(content) > most:
            raise InputError(f"{path}: more than {most >> 20} MiB of text; expected less")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def read_json(path: Path) -> Any:
    """Read a JSON file: each key once, finite numbers, nested at most `MOST_DEPTH` deep.

    Raises:
        InputError: The file is missing or is not such JSON.
    """
    text = read_text(path)
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_number,
            parse_int=parse_whole,
            parse_float=_parse_real,
            object_pairs_hook=_unique,
        )
        _check_depth(value)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise InputError(f"{path}: not readable as JSON ({reason})") from None
    return value


def _refuse_number(text: str) -> float:
    raise ValueError(f"{text[:20]} is no finite number")


def parse_whole(text: str) -> int:
    """A whole number of at most `MOST_DIGITS` digits; else `ValueError`."""
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits; expected at most {MOST_DIGITS}")
    return int(text)


def _parse_real(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_number(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {key[:80]!r} stands twice")
    return content


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise ValueError(f"nested more than {MOST_DEPTH} deep")


class TemporaryFolder:
    """A folder (`path`) that goes when nothing refers to this value any more, or Python ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="swath-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
