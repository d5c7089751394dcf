"""JPEG 2000 images of Sentinel-2: looked at before anything is allocated, then decoded once.

A codestream that was cut is refused, because GDAL decodes what is left of one in several threads
without an error.
"""

import os
import re
import struct
import warnings
from collections.abc import Iterator

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from swath.errors import InputError, reason_of
from swath.grid import Grid
from swath.scenes.safe_xml import every, parse_xml, text_of

_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
_CODESTREAM = b"\xff\x4f\xff\x51"
"""Markers SOC and SIZ: every codestream starts with them."""
_END = b"\xff\xd9"
"""Marker EOC, which cannot occur inside a codestream's data."""

# Source: ISO/IEC 15444-1, A.5.1 (SIZ) and I.4 (boxes).
_SIZ = struct.Struct(">HHIIIIIIIIH")
_MAX_TILES = 65535
_MAX_DEPTH = 4
"""Boxes in boxes; the GML of a product is in the second."""

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W), or (H, W, components)."""


def decode(data: bytes, grid: Grid, components: int, source: str) -> Pixels:
    """Decode a whole JP2 file, with threads: (H, W) or (H, W, 3), uint8 or uint16.

    By imagecodecs where the extra `jp2` is installed, else by GDAL in one thread: with several, the
    GDAL in rasterio's wheels returns damaged images without an error. The decoder gets the
    codestream alone, none of the boxes around it.

    The image must have as many `components` and lie where the product's metadata put its `grid`: so
    says its shape and, if it has one, its own georeference (GML box).

    Raises:
        InputError: The image is damaged, or is not what the metadata says.
    """
    stream, gml = _parts(data, source)
    _check_header(stream, grid, components, source)
    for text in gml:
        _check_place(text, grid, source)
    try:
        pixels = _decode(bytes(stream))
    # imagecodecs.Jpeg2kError is a RuntimeError.
    except (RuntimeError, ValueError, RasterioError) as error:
        raise _damaged(source, reason_of(error)) from None
    shape = grid.shape if components == 1 else (*grid.shape, components)
    if pixels.shape != shape or pixels.dtype not in (np.uint8, np.uint16):
        raise _damaged(source, f"it decodes to {pixels.shape} {pixels.dtype}")
    return pixels


def decoder_name() -> str:
    """`imagecodecs` where the extra `jp2` is installed, else `gdal`."""
    try:
        import imagecodecs
    except ImportError:
        return "gdal"
    return "imagecodecs" if imagecodecs.JPEG2K.available else "gdal"


def _decode(stream: bytes) -> Pixels:
    if decoder_name() == "imagecodecs":
        import imagecodecs

        pixels: Pixels = imagecodecs.jpeg2k_decode(stream, numthreads=usable_threads())
        return pixels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a codestream has none
        with (
            rasterio.Env(GDAL_NUM_THREADS="1"),
            MemoryFile(stream) as memory,
            memory.open(driver="JP2OpenJPEG") as image,
        ):
            bands: Pixels = image.read()
    return bands[0] if len(bands) == 1 else np.moveaxis(bands, 0, -1)


def usable_threads() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_header(stream: memoryview, grid: Grid, components: int, source: str) -> None:
    """Raise `InputError` unless a codestream declares an image that fits."""
    try:
        _, _, right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, count = (
            _SIZ.unpack_from(stream, len(_CODESTREAM))
        )
        kinds = [
            struct.unpack_from(">BBB", stream, len(_CODESTREAM) + _SIZ.size + 3 * index)
            for index in range(min(count, 4))
        ]
    except struct.error:
        raise _damaged(source, "its header breaks off") from None
    if count not in (1, 3) or any(kind[1:] != (1, 1) or kind[0] > 15 for kind in kinds):
        raise InputError(
            f"{source}: an image with {count} components; expected 1 or 3 of full resolution, "
            "unsigned, of at most 16 bit"
        )
    if not (left < right and top < bottom and tile_width and tile_height):
        raise _damaged(source, "its header declares no pixels")
    across, down = -(-(right - tile_left) // tile_width), -(-(bottom - tile_top) // tile_height)
    if not (tile_left <= left and tile_top <= top and across * down <= _MAX_TILES):
        raise _damaged(source, "its header declares impossible tiles")
    height, width = bottom - top, right - left
    if (height, width) != grid.shape or count != components:
        raise InputError(
            f"{source}: the image has {width} x {height} px in {count} bands; the product's "
            f"metadata say {grid.size_text} in {components}"
        )


def _check_place(gml: bytes, grid: Grid, source: str) -> None:
    """Raise `InputError` where an image's own georeference (GML) contradicts the metadata's."""
    try:
        root = parse_xml(gml.strip(b"\0 \r\n\t"), source)  # writers end the text with a zero
        x, y = (float(number) for number in text_of(root, "origin//{*}pos").split())
        vectors = [(vector.text or "").split() for vector in every(root, "offsetVector")]
        (dx, across), (up, dy) = [(float(first), float(second)) for first, second in vectors]
        name = every(root, "origin//{*}Point")[0].get("srsName", "")
    except (InputError, IndexError, ValueError):
        return  # no georeference that can be read: the metadata's holds
    crs = re.search(r"EPSG:(?:[^:]*:)?(\d+)$", name)
    here = grid.transform
    # GML tells the centre of the first pixel; who took it for the corner is half a pixel off.
    left, top = x - dx / 2, y - dy / 2
    same = (
        (dx, across, up, dy) == (here.a, 0, 0, here.e)
        and abs(left - here.c) < here.a
        and abs(top - here.f) < here.a
        and (crs is None or f"EPSG:{crs[1]}" == grid.crs)
    )
    if not same:
        raise InputError(
            f"{source}: the image says that it lies at ({left:.0f}, {top:.0f}) in "
            f"EPSG:{crs[1] if crs else '?'}, in pixels of {dx:g} x {dy:g} m; the product's "
            f"metadata say ({here.c:.0f}, {here.f:.0f}) in {grid.crs}, {here.a:g} x {here.e:g} m; "
            "get the product again"
        )


def _parts(data: bytes, source: str) -> tuple[memoryview, list[bytes]]:
    """The codestream, complete to its last marker, and what GML stands beside it."""
    view = memoryview(data)
    if not data.startswith((_CODESTREAM, _SIGNATURE)):
        raise InputError(f"{source}: no JPEG 2000 image; get the product again")
    boxes = [(b"jp2c", view)] if data.startswith(_CODESTREAM) else list(_boxes(view))
    stream = next((content for kind, content in boxes if kind == b"jp2c"), view[:0])
    if stream[:4] != _CODESTREAM or stream[-2:] != _END:
        raise _damaged(source, "it breaks off before its end")
    gml = [bytes(content) for kind, content in boxes if kind == b"xml "]
    return stream, [text for text in gml if b"RectifiedGrid" in text]


def _boxes(view: memoryview, depth: int = 0) -> Iterator[tuple[bytes, memoryview]]:
    """The whole boxes of a file, and those inside of associations (`asoc`), by kind."""
    start = 0
    while start + 8 <= len(view):
        length, kind = struct.unpack_from(">I4s", view, start)
        head = 8
        if length == 1 and start + 16 <= len(view):
            (length,) = struct.unpack_from(">Q", view, start + 8)
            head = 16
        elif length == 0:  # up to the end of the file
            length = len(view) - start
        if length < head or start + length > len(view):
            return
        content = view[start + head : start + length]
        yield kind, content
        if kind == b"asoc" and depth < _MAX_DEPTH:
            yield from _boxes(content, depth + 1)
        start += length


def _damaged(source: str, reason: str) -> InputError:
    return InputError(f"{source}: the image is damaged ({reason}); get the product again")
