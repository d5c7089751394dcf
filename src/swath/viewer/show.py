"""One file as a small picture: a PNG, or blocks of colour in the terminal."""

from pathlib import Path

import numpy as np
import pandas as pd
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from rich.segment import Segment
from rich.style import Style

from swath.errors import GridError, InputError
from swath.files import write_bytes
from swath.grid import check_size
from swath.labels.osm import HISTORY_SUFFIXES, OSM_SUFFIXES
from swath.maps.sitemaps import PMAP_NODATA, PMAP_SCALE
from swath.maps.styles import LINE_RAMP, RAMP
from swath.picture import picture_of, png, ramp_color
from swath.scenes.raster import open_raster
from swath.sentinel2 import TCI_BANDS
from swath.viewer.overlay import SUFFIXES, open_vectors

Picture = NDArray[np.uint8]
"""(4, h, w): red, green, blue and alpha."""


def picture(path: Path, side_px: int) -> Picture:
    """What a file shows, at most so many pixels wide or high.

    Probabilities get their ramp, classes their own colours, other rasters their first three bands, or
    their first; vectors their lines and areas, coloured by probability where they have one.

    Raises:
        InputError: It is neither a raster nor a vector file, or has more pixels than any machine holds.
    """
    if path.suffix.lower() in SUFFIXES:
        return _vectors(path, side_px)
    if path.name.lower().endswith((*OSM_SUFFIXES, *HISTORY_SUFFIXES)):
        raise InputError(f"{path}: an extract of OpenStreetMap; expected GeoTIFF, or {', '.join(SUFFIXES)}")
    with open_raster(path) as source:
        try:
            check_size(*source.shape)
        except GridError as error:
            raise InputError(f"{path}: {error}") from None
        if "PROBABILITY" in source.tags() and source.nodata == PMAP_NODATA:
            return _coloured(_bytes(source, side_px, Resampling.average), _probability_table())
        if source.count == 1 and source.colorinterp[0].name == "palette":
            table = np.array([source.colormap(1)[number] for number in range(256)], np.uint8)
            return _coloured(_bytes(source, side_px, Resampling.nearest), table)
        return picture_of(source, side_px, TCI_BANDS)


def write_picture(path: Path, shown: Picture) -> None:
    """Write a picture as PNG."""
    write_bytes(path, png(shown))


def blocks(shown: Picture) -> list[Segment]:
    """A picture for a terminal of 24-bit colours: two pixels a character, one above the other."""
    alpha = shown[3:] / 255
    pixels = np.rint(shown[:3] * alpha).astype(int)
    pixels = np.pad(pixels, ((0, 0), (0, pixels.shape[1] % 2), (0, 0)))
    segments = []
    for row in range(0, pixels.shape[1], 2):
        for top, bottom in zip(pixels[:, row].T, pixels[:, row + 1].T, strict=True):
            ink, ground = ("#{:02x}{:02x}{:02x}".format(*color) for color in (top, bottom))
            segments.append(Segment("▀", Style(color=ink, bgcolor=ground)))
        segments.append(Segment.line())
    return segments


def _bytes(source: DatasetReader, side_px: int, way: Resampling) -> NDArray[np.uint8]:
    """(h, w): the band of the first class of interest: of two classes or one the first, else the second."""
    scale = max(1.0, max(source.shape) / side_px)
    shape = tuple(max(1, round(size / scale)) for size in source.shape)
    codes = source.read(2 if source.count > 2 else 1, out_shape=shape, resampling=way)
    # Others may have made other numbers of them.
    whole: NDArray[np.uint8] = np.clip(np.nan_to_num(codes, nan=PMAP_NODATA), 0, PMAP_NODATA).astype(np.uint8)
    return whole


def _coloured(codes: NDArray[np.uint8], table: NDArray[np.uint8]) -> Picture:
    colors: Picture = np.moveaxis(table[codes], -1, 0)
    return colors


def _probability_table() -> NDArray[np.uint8]:
    table = np.array([(*ramp_color(RAMP, code / PMAP_SCALE), 255) for code in range(256)], np.uint8)
    table[PMAP_NODATA] = 0
    return table


def _vectors(path: Path, side_px: int) -> Picture:
    frame = open_vectors(path)
    if frame.empty:
        raise InputError(f"{path} has no features to show")
    left, bottom, right, top = frame.total_bounds
    size = max(right - left, top - bottom) / side_px or 1.0
    width, height = (max(1, round(span / size)) for span in (right - left, top - bottom))
    given = frame["p_mean"] if "p_mean" in frame else pd.Series(1.0, frame.index)
    shares = pd.to_numeric(given, errors="coerce").fillna(1.0).clip(0, 1).to_numpy(float)
    burnt = rasterize(
        zip(frame.geometry, 1 + np.rint(shares * 254).astype(int), strict=True),
        (height, width),
        transform=Affine(size, 0, left, 0, -size, top),
        all_touched=True,
        dtype="uint8",
    )
    table = np.array([(*ramp_color(LINE_RAMP, (code - 1) / 254), 255) for code in range(256)], np.uint8)
    table[0] = 0
    return _coloured(burnt, table)
