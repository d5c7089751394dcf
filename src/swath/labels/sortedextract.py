"""OpenStreetMap files as editors and servers leave them, in the order that ways are read in.

Nodes may stand after their ways, relations first; what an editor has drawn anew has ids below 0; and
what it has deleted is still there, marked. A sorted copy holds what exists, under ids above 0.
"""

import bz2
import gzip
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast
from xml.parsers import expat

if TYPE_CHECKING:  # an extra
    from osmium.io import Header
    from osmium.osm import Node, Relation, Way

    Entity = Node | Way | Relation

_PBF = ".pbf"
_KINDS = "nwr"
"""Nodes, ways, relations: in this order they are sorted."""

_NEW_ID = 2**42
"""From here on ids are given to what an editor has drawn: above all that OpenStreetMap has."""

_DELETE = re.compile(rb"\baction\s*=\s*['\"]delete['\"]")
_CHUNK = 2**20


@contextmanager
def sorted_extract(path: Path) -> Iterator[Path]:
    """An extract that can be read in one go: itself, or a sorted copy that goes with the block.

    Raises:
        RuntimeError: It cannot be read; see `swath.labels.osm.reading_errors`.
        ValueError: The same.
    """
    deleted = _deleted(path)
    if not deleted and _is_sorted(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        living, ordered = Path(folder) / "living.osm.pbf", Path(folder) / "sorted.osm.pbf"
        _write_living(path, living, deleted)
        merge_extracts([living], ordered)
        yield ordered


def merge_extracts(paths: list[Path], target: Path, header: "Header | None" = None) -> None:
    """Write the objects of several extracts sorted, each once, to a new `.osm.pbf`.

    Raises:
        RuntimeError: An extract cannot be read; see `swath.labels.osm.reading_errors`.
    """
    import osmium

    reader = osmium.MergeInputReader()
    for path in paths:
        reader.add_file(str(path))
    with osmium.SimpleWriter(str(target), header=header or osmium.io.Header()) as writer:
        reader.apply(writer)


def _is_sorted(path: Path) -> bool:
    """Whether all objects are alive and stand in order, under ids above 0."""
    import osmium

    source = osmium.FileProcessor(path)
    # What osmium and its kin have sorted is a whole country, perhaps: the first id says enough.
    told = path.suffix == _PBF and source.header.get("sorting") == "Type_then_ID"
    last = (0, 0)
    for entity in cast("Iterable[Entity]", source):
        here = (_KINDS.index(entity.type_str()), entity.id)
        if entity.id < 0 or here <= last or entity.deleted:
            return False
        if told:
            return True
        last = here
    return True


def _write_living(path: Path, target: Path, deleted: frozenset[tuple[str, int]]) -> None:
    """Write what exists of an extract, under ids above 0, in the order in which it stands."""
    import osmium
    from osmium.osm import Node, Way

    with osmium.SimpleWriter(str(target)) as writer:
        for entity in cast("Iterable[Entity]", osmium.FileProcessor(path)):
            if entity.deleted or (entity.type_str(), entity.id) in deleted:
                continue
            number = _positive(entity.id)
            if isinstance(entity, Node):
                writer.add(entity.replace(id=number))
            elif isinstance(entity, Way):
                writer.add(entity.replace(id=number, nodes=[_positive(node.ref) for node in entity.nodes]))
            else:
                parts = [(m.type, _positive(m.ref), m.role) for m in entity.members]
                writer.add(entity.replace(id=number, members=parts))


def _positive(number: int) -> int:
    if not -_NEW_ID < number < _NEW_ID:
        raise ValueError(f"the id {number} is none that an object can have")
    return number if number >= 0 else _NEW_ID - number


def _deleted(path: Path) -> frozenset[tuple[str, int]]:
    """Kind and id of what an editor has marked as deleted, which osmium does not look at."""
    if path.suffix == _PBF:
        return frozenset()
    packed = {".gz": gzip.GzipFile, ".bz2": bz2.BZ2File}.get(path.suffix)
    try:
        with path.open("rb") if packed is None else packed(path) as stream:
            return _marked(stream) if _has_mark(stream) else frozenset()
    except (EOFError, OSError, zlib.error, expat.ExpatError) as error:
        raise ValueError(str(error)) from None


def _has_mark(stream: IO[bytes]) -> bool:
    """Whether the mark stands anywhere: nearly all files have none, and this is fast."""
    tail = b""
    while chunk := stream.read(_CHUNK):
        if _DELETE.search(tail + chunk):
            stream.seek(0)
            return True
        tail = chunk[-64:]
    return False


def _marked(stream: IO[bytes]) -> frozenset[tuple[str, int]]:
    marked: set[tuple[str, int]] = set()

    def begin(name: str, attributes: dict[str, str]) -> None:
        if attributes.get("action") == "delete" and name in ("node", "way", "relation"):
            marked.add((name[0], int(attributes.get("id", "0"))))

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EntityDeclHandler = _refuse_entities
    parser.ParseFile(stream)
    return frozenset(marked)


def _refuse_entities(*_: object) -> None:
    raise ValueError("it declares entities")
