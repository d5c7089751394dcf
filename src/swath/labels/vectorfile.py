"""Vector files as GDAL may open them: of the format that their names say, and of themselves alone.

GDAL opens a file by what is in it, whatever its name, and many of its formats name other files or
servers that are then read: so a file's first bytes are looked at before GDAL does.
"""

import json
import mmap
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.errors import GEOSException

from swath.errors import GridError, InputError, reason_of
from swath.files import check_file

_GEOPACKAGE = (b"GPKG", b"GP10", b"GP11")
_SHAPE_PARTS = (".shx", ".dbf", ".prj", ".cpg", ".sbn", ".sbx", ".qix")

# A value, not a key: an address that a GeoJSON's coordinate system is fetched from has such a type.
_FETCHED = re.compile(rb'"(?:link|url)"(?!\s*:)|\\u00[2-7]', re.IGNORECASE)

_DAMAGED = (LookupError, TypeError, AttributeError)
"""What comes of a file whose description of itself is wrong."""

_REFUSALS = (RuntimeError, GEOSException, GridError, ValueError, OSError, *_DAMAGED)
"""Pyogrio's and PROJ's are RuntimeErrors."""

_PIPELINE = re.compile(rb"gdal_streamed_alg", re.IGNORECASE)
"""What makes a JSON file a list of steps for GDAL."""


@contextmanager
def reading_vectors(path: Path) -> Iterator[None]:
    """A block that reads a vector file: what libraries raise over it is one line, and they do not warn.

    Raises:
        InputError: It is no file, or of another format than its suffix says, names other files, or
            cannot be read.
    """
    check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if path.suffix.lower() in _STARTS:
                _check_format(path)
            yield
    except UnicodeEncodeError:
        raise InputError(f"{path}: a name that is not UTF-8; rename the file or folder") from None
    except _REFUSALS as error:
        kind = f"{type(error).__name__}: " if isinstance(error, _DAMAGED) else ""
        raise InputError(f"{path}: not readable as vector features ({kind}{reason_of(error)})") from None


def placed(shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
    """(N,) whether geometries lie somewhere: they are there, not empty, and all coordinates are numbers."""
    points, owners = shapely.get_coordinates(shapes, return_index=True)
    lost = np.bincount(owners[~np.isfinite(points).all(axis=1)], minlength=len(shapes)) > 0
    found: NDArray[np.bool_] = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes) | lost)
    return found


def _check_format(path: Path) -> None:
    """Raise `ValueError` for a file of another format than its suffix says, or with something to fetch."""
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
