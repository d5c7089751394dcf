"""Small pictures and cards by which values show themselves in a notebook."""

import base64
import html
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile

SIDE_PX = 256
"""Longest side of a picture."""

STRETCH = (2, 98)
"""Percentiles of what is not 8-bit that become black and white."""


def thumbnail(path: Path, side_px: int = SIDE_PX, rgb: Sequence[str] = ()) -> NDArray[np.uint8] | None:
    """A raster as a small picture: its first three bands, or its first; 0 in all = no data.

    Args:
        path: Of the raster.
        side_px: Longest side of the picture.
        rgb: Names of the bands to show instead, where it has all of them.

    Returns:
        (4, h, w) uint8: red, green, blue and alpha; None where the file cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            source = rasterio.open(path.absolute(), driver="GTiff")
        with source:
            return picture_of(source, side_px, rgb)
    except (RasterioError, OSError):
        return None


def picture_of(source: DatasetReader, side_px: int, rgb: Sequence[str] = ()) -> NDArray[np.uint8]:
    """The same of a raster that is open; raises what rasterio does where it breaks off."""
    scale = max(1.0, max(source.shape) / side_px)
    shape = tuple(max(1, round(size / scale)) for size in source.shape)
    bands = [1, 2, 3] if source.count >= 3 else [1]
    if rgb and set(rgb) <= set(source.descriptions):
        bands = [source.descriptions.index(name) + 1 for name in rgb]
    return _colors(source.read(bands, out_shape=(len(bands), *shape)))


def _colors(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(1 or 3, h, w), 0 = no data -> (4, h, w) uint8."""
    with np.errstate(over="ignore"):
        shown = np.nan_to_num(np.real(pixels).astype(np.float32), posinf=0, neginf=0)
    known = (shown != 0).any(axis=0)
    if pixels.dtype != np.uint8 and known.any():
        low, high = np.percentile(shown[:, known], STRETCH)
        shown = (shown - low) / max(high - low, 1e-6) * 255
    rgb = np.broadcast_to(np.clip(shown, 0, 255), (3, *known.shape))
    return np.concatenate([rgb, 255.0 * known[None]]).astype(np.uint8)


def png(image: NDArray[np.uint8]) -> bytes:
    """A (bands, h, w) uint8 image as a PNG file; 1 band, or 3 or 4 as red, green, blue, alpha."""
    count, height, width = image.shape
    with rasterio.Env(), MemoryFile() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        profile = {"driver": "PNG", "count": count, "height": height, "width": width, "dtype": "uint8"}
        with memory.open(**profile, software="swath") as target:
            target.write(image)
        data: bytes = memory.read()
    return data


def card(title: str, facts: Mapping[str, str], image: NDArray[np.uint8] | None = None) -> str:
    """A piece of HTML that says what a value is; facts without a text are left out.

    Args:
        title: Its head.
        facts: Name -> text, a row each.
        image: As `png` takes it.
    """
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for name, text in facts.items()
        if text
    )
    picture = ""
    if image is not None:
        data = base64.b64encode(png(image)).decode()
        picture = f"<img alt='{html.escape(title)}' src='data:image/png;base64,{data}'>"
    return f"<div><strong>{html.escape(title)}</strong><table>{rows}</table>{picture}</div>"


def ramp_color(ramp: Sequence[str], share: float) -> tuple[int, int, int]:
    """The colour (red, green, blue) at `share`, 0..1, along a ramp of colours `#rrggbb`."""
    at = min(max(share, 0.0), 1.0) * (len(ramp) - 1)
    low = min(int(at), len(ramp) - 2)
    ends = [[int(color[digit : digit + 2], 16) for digit in (1, 3, 5)] for color in ramp[low : low + 2]]
    red, green, blue = (round(a + (b - a) * (at - low)) for a, b in zip(*ends, strict=True))
    return red, green, blue


def hex_color(rgb: tuple[int, int, int]) -> str:
    """A colour as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)
