"""Vector files as GDAL may open them: of the format that their names say, and of themselves alone.

GDAL opens a file by what is in it, whatever its name, and many of its formats name other files or
servers that are then read: so a file's first bytes are looked at before GDAL does.
"""

import json
import mmap
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swath.files import check_file

_GEOPACKAGE = (b"GPKG", b"GP10", b"GP11")
_SHAPE_PARTS = (".shx", ".dbf", ".prj", ".cpg", ".sbn", ".sbx", ".qix")

# A value, not a key: an address that a GeoJSON's coordinate system is fetched from has such a type.
_FETCHED = re.compile(rb'"(?:link|url)"(?!\s*:)|\\u00[2-7]', re.IGNORECASE)

_PIPELINE = re.compile(rb"gdal_streamed_alg", re.IGNORECASE)
"""What makes a JSON file a list of steps for GDAL."""


def check_vector_file(path: Path) -> None:
    """Check that a file is what its suffix says, and names no other.

    Raises:
        InputError: It is no file.
        ValueError: It is of another format, or says that something is to be fetched.
    """
    check_file(path)
    suffix = path.suffix.lower()
    with path.open("rb") as stream:
        start = stream.read(1024)
    if not _STARTS[suffix](start):
        raise ValueError(f"what is in it is no {suffix} file")
    if suffix == ".shp":
        for part in _SHAPE_PARTS:
            for beside in (path.with_suffix(part), path.with_suffix(part.upper())):
                if beside.exists():
                    check_file(beside)
    if suffix in (".geojson", ".json"):
        _check_json(path)


def _is_geopackage(start: bytes) -> bool:
    return start.startswith(b"SQLite format 3\0") and start[68:72] in _GEOPACKAGE


def _is_json(start: bytes) -> bool:
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


_STARTS: dict[str, Callable[[bytes], bool]] = {
    ".gpkg": _is_geopackage,
    ".fgb": lambda start: start.startswith(b"fgb"),
    ".shp": lambda start: start.startswith(b"\x00\x00\x27\x0a"),
    ".geojson": _is_json,
    ".json": _is_json,
}


def _check_json(path: Path) -> None:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if _PIPELINE.search(content):
            raise ValueError("a list of steps for GDAL is no GeoJSON")
        suspect = _FETCHED.search(content) is not None
    if suspect:
        try:
            json.loads(path.read_text("utf-8-sig"), object_pairs_hook=_check_system)
        except RecursionError:
            raise ValueError("nested too deep") from None


def _check_system(pairs: list[tuple[str, Any]]) -> "dict[str, Any] | _Link":
    """A table of a GeoJSON file, whose coordinate system must be named, not fetched."""
    link = False
    for key, value in pairs:
        if value == "gdal_streamed_alg" or (key.lower() == "crs" and isinstance(value, _Link)):
            raise ValueError("its coordinate system is a link to be fetched; name it")
        link = link or (key.lower() == "type" and str(value).lower() in ("link", "url"))
    return _Link() if link else dict(pairs)


class _Link:
    """What a table of such a type becomes; of a feature's properties it means nothing."""
