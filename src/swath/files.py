"""Files that are whole or absent: written beside their place, synced, read back; hashes, JSON."""

import errno
import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
import uuid
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, SupportsFloat

from swath.errors import InputError, OutputError, reason_of

_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}

_WRITERS = {"pyogrio", "rasterio", "pyarrow", "sqlite3"}
"""Libraries whose errors do not always say which file it was."""

_LEAST_FREE = 1 << 20
"""Bytes: with fewer, a disk is called full."""

MOST_TEXT = 64 << 20
"""Bytes of a text file that is read whole."""

MOST_DEPTH = 64
"""How deep lists and tables may be nested in each other."""

MOST_DIGITS = 20
"""Of a whole number in a file: enough for 64 bits."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of `path` to write; put it in place only when all went well.

    The temporary name keeps the suffix, so that format drivers recognise it. It reaches the disk
    before it gets its name. A crash leaves at most a `.tmp-*` file and never a half-written file
    under the final name. The folder is made if need be.

    Raises:
        OutputError: The system refuses, as with a full disk. Whoever reads a file in the block must
            say by a `SwathError` that it cannot be read.
    """
    temporary = path.parent / f".tmp-{uuid.uuid4().hex[:8]}-{path.name}"
    with _blamed(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _blamed(path, temporary):
            yield temporary
            sync(temporary)
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def _blamed(path: Path, temporary: Path) -> Iterator[None]:
    """Errors of the system in the block are said of the output `path`, unless they name another file."""
    try:
        yield
    except OSError as error:
        named = error.filename
        if isinstance(named, str | os.PathLike) and Path(named) not in (temporary, path, *path.parents):
            raise
        raise OutputError(path, error.strerror or reason_of(error)) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _WRITERS:
            raise
        raise OutputError(path, reason_of(error)) from None


@contextmanager
def refusals_blamed(path: Path) -> Iterator[None]:
    """Errors that only writing can have, in the block, say that the output `path` cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_WRITING:
            raise
        raise OutputError(path, error.strerror or reason_of(error)) from None


def unwritten(path: Path) -> OutputError:
    """The error that a file is not what was written to it, with the likely reason."""
    with suppress(OSError):
        if shutil.disk_usage(path.parent).free < _LEAST_FREE:
            return OutputError(path, "no space left on device")
    with suppress(ImportError):  # a system without such limits
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if most != resource.RLIM_INFINITY:
            return OutputError(path, f"files may have {most:,} bytes here, and it needs more")
    return OutputError(path, "what was read back is not what was written; is the disk full, or failing?")


def sync(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, are on the disk.

    Raises:
        OSError: They cannot get there.
    """
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all: it is read back before it gets its name.

    Raises:
        OutputError: It cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        sync(temporary)
        if temporary.read_bytes() != content:
            raise unwritten(path)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_bytes` does."""
    write_bytes(path, text.encode())


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
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: {os.strerror(errno.EACCES)}")


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
