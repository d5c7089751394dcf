"""Files that are whole or absent: writing under a temporary name, hashes, JSON."""

import hashlib
import json
import math
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, SupportsFloat

from swath.errors import InputError, OutputExistsError


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


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from None


class TemporaryFolder:
    """A folder (`path`) that goes when nothing refers to this value any more, or Python ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="swath-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
