"""The files of a Sentinel-2 product: in a folder, or inside its zip, which is never unpacked.

Names in an archive and sizes that it declares are not trusted: nothing is ever written under such a
name, and nothing larger than a product can hold is read.
"""

import hashlib
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from swath.errors import InputError, reason_of
from swath.scenes.safe_xml import every, parse_xml, text_of

MAX_FILES = 20_000
"""An old product of a whole swath has some 15 tiles of about 100 files."""

MANIFEST = "manifest.safe"
MAX_MANIFEST = 16 * 2**20
"""Bytes; that of a whole old product has less than one million."""

_HASHES = {"MD5": "md5", "SHA3-256": "sha3_256"}
"""Checksums of manifests: MD5 in older products, SHA3-256 in those of today."""

_METADATA = re.compile(r"(?:MTD_MSIL(?:1C|2A)|S2[A-Z]_(?:OPER|USER)_MTD_SAFL(?:1C|2A)[^/]*)\.xml", re.ASCII)
"""The product's own metadata file, in the naming of today and in that before December 2016."""


@dataclass(frozen=True, slots=True)
class ProductFiles:
    """Where the files of one product are.

    Attributes:
        path: What the user named.
        root: The product's folder, or the zip file.
        prefix: What stands before a product's names inside the zip (`NAME.SAFE/`, or nothing).
        metadata: Name of the product's metadata file.
        sizes: Bytes by name; names start at the product's root and are parted by `/`.
        granule: Name of the granule that the user chose; None: the only one.
    """

    path: Path
    root: Path
    prefix: str
    metadata: str
    sizes: Mapping[str, int]
    granule: str | None

    def read(self, name: str, limit: int) -> bytes:
        """Read one of `sizes`; an image is held against the zip's or the manifest's checksum.

        Raises:
            InputError: It has more than `limit` bytes, cannot be read, or its checksum is wrong.
        """
        size = self.sizes[name]
        if size > limit:
            raise InputError(
                f"{self.path}: {name} has {size} bytes; no such file of a product has more than "
                f"{limit}, so it will not be read"
            )
        try:
            if self.root.is_dir():
                with (self.root / name).open("rb") as plain:
                    data = plain.read(limit)
                self._check(name, data)
                return data
            with zipfile.ZipFile(self.root) as archive, archive.open(self.prefix + name) as packed:
                return packed.read(limit)
        # RuntimeError: encrypted, or of an unknown compression.
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            advice = "" if isinstance(error, RuntimeError) else "; get the product again"
            raise InputError(f"{self.path}: {name} cannot be read ({reason_of(error)}){advice}") from None

    def _check(self, name: str, data: bytes) -> None:
        """Raise `InputError` unless an image is what the manifest says, where there is one."""
        path = self.root / MANIFEST
        if not name.endswith(".jp2") or not path.is_file():
            return
        with path.open("rb") as stream:
            text = stream.read(MAX_MANIFEST)
        for entry in every(parse_xml(text, f"{self.path}: {MANIFEST}"), "byteStream"):
            place = entry.find(".//{*}fileLocation")
            if place is None or place.get("href", "").removeprefix("./") != name:
                continue
            checksum = entry.find(".//{*}checksum")
            kind = "" if checksum is None else checksum.get("checksumName", "")
            expected = text_of(entry, "checksum").lower()
            if kind in _HASHES and hashlib.new(_HASHES[kind], data).hexdigest() != expected:
                raise InputError(
                    f"{self.path}: the {kind} of {name} is not what {MANIFEST} says; get the product again"
                )
            return


def is_product(path: Path) -> bool:
    """Whether a path is meant as a product and not as an image: a folder, a zip, or `.SAFE`.

    A path may also name a product's metadata file, or one granule of a product: the granule's
    folder, or `PRODUCT.zip/GRANULE/NAME`.
    """
    return (
        path.suffix.lower() in (".safe", ".zip")
        or path.is_dir()
        or _METADATA.fullmatch(path.name) is not None
        or _zip_above(path) is not None
    )


def find_files(path: Path) -> ProductFiles:
    """List the files of the product that a path names; see `is_product`.

    Raises:
        InputError: Nothing is there, it is no product or several, or a name in the zip is unsafe.
    """
    archive = path if path.suffix.lower() == ".zip" else _zip_above(path)
    if archive is not None and archive.is_file():
        return _in_zip(path, archive)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    folder = path.parent if path.is_file() else path
    if _product_metadata(folder) is None and folder.parent.name == "GRANULE":
        return _in_folder(path, folder.parent.parent, folder.name)
    return _in_folder(path, folder, None)


def _zip_above(path: Path) -> Path | None:
    """The zip file that a path points into."""
    return next((p for p in path.parents if p.suffix.lower() == ".zip" and p.is_file()), None)


def _product_metadata(folder: Path) -> str | None:
    names = [file.name for file in folder.glob("*.xml") if _METADATA.fullmatch(file.name)]
    return names[0] if len(names) == 1 else None


def _in_folder(path: Path, root: Path, granule: str | None) -> ProductFiles:
    metadata = _product_metadata(root)
    if metadata is None:
        raise InputError(
            f"{path}: no Sentinel-2 product; expected a .SAFE folder with one MTD_MSIL1C.xml or "
            "MTD_MSIL2A.xml"
        )
    sizes = {metadata: (root / metadata).stat().st_size}
    # Only what the reader may need: a folder may hold anything beside it.
    for pattern in ("GRANULE/*/*.xml", "GRANULE/*/IMG_DATA/*.jp2", "GRANULE/*/IMG_DATA/R*m/*.jp2"):
        for file in root.glob(pattern):
            if file.is_file():
                sizes[file.relative_to(root).as_posix()] = file.stat().st_size
            if len(sizes) > MAX_FILES:
                raise InputError(f"{path}: more than {MAX_FILES} files; no product has so many")
    return ProductFiles(path, root, "", metadata, sizes, granule)


def _in_zip(path: Path, archive: Path) -> ProductFiles:
    try:
        with zipfile.ZipFile(archive) as content:
            sizes = {e.filename: e.file_size for e in content.infolist() if not e.is_dir()}
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"{archive}: not readable as a zip ({reason_of(error)})") from None
    if len(sizes) > MAX_FILES:
        raise InputError(f"{archive}: {len(sizes)} files; no product has more than {MAX_FILES}")
    for name in sizes:
        _check_name(name, archive)
    heads = [PurePosixPath(name) for name in sizes if name.count("/") <= 1]
    metadata = [head for head in heads if _METADATA.fullmatch(head.name)]
    if len(metadata) != 1:
        raise InputError(
            f"{archive}: expected the zip of one Sentinel-2 product, with one MTD_MSIL1C.xml or "
            f"MTD_MSIL2A.xml; found {len(metadata)}"
        )
    name = metadata[0].name
    prefix = str(metadata[0]).removesuffix(name)
    inside = {n.removeprefix(prefix): size for n, size in sizes.items() if n.startswith(prefix)}
    granule = None if path == archive else path.name
    return ProductFiles(path, archive, prefix, name, inside, granule)


def _check_name(name: str, archive: Path) -> None:
    """Raise `InputError` for a name that would lead out of the product."""
    parts = name.split("/")
    if ".." in parts or "" in parts or "\\" in name or ":" in parts[0] or "\0" in name:
        raise InputError(f"{archive}: unsafe name in the zip: {name[:80]!r}; do not use this file")
