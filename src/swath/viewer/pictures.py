"""A site's rasters as pictures inside the page: their numbers, in levels of tiles, at most so many pixels."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue
from rasterio.enums import Resampling

from swath.grid import Window
from swath.picture import png
from swath.scenes.raster import open_raster, rasterio_window
from swath.viewer.layer import TILE_PX, Layer, change_days, day_label

Pixels = NDArray[np.generic]

PLANE_BYTES = 0.9
"""Of a picture per pixel and plane, as base64 and with its smaller levels: as measured on cities."""


@dataclass(frozen=True, slots=True)
class Level:
    """A raster at one size, in pixels."""

    width: int
    height: int


def plan_factors(layers: Sequence[Layer], most_bytes: int) -> list[int]:
    """How many pixels of each raster become one, along a side, so that all of them take so many bytes.

    The heaviest is halved first: so a page of a town holds all pixels.
    """
    factors = [1] * len(layers)
    sizes = [PLANE_BYTES * _planes(layer) * math.prod(layer.sizes[0]) for layer in layers]
    while sizes and sum(sizes) > most_bytes:
        heaviest = max(range(len(sizes)), key=sizes.__getitem__)
        factors[heaviest] *= 2
        sizes[heaviest] /= 4
    return factors


def plan_levels(layer: Layer, factor: int) -> tuple[Level, ...]:
    """The sizes at which a raster is embedded, from fine to coarse: up to three, halved each time.

    A town has one or two, a whole scene three.
    """
    width, height = layer.sizes[0]
    levels = []
    for by in (factor, 2 * factor, 4 * factor):
        levels.append(Level(-(-width // by), -(-height // by)))
        if max(levels[-1].width, levels[-1].height) <= 2 * TILE_PX:
            break
    return tuple(levels)


def embed(layer: Layer, factor: int) -> dict[str, JsonValue]:
    """A layer with its pixels, as the page's content has it.

    Numbers stay what they are in the file; where they are shown smaller, they are means, of classes
    and dates the nearest. Days of change become their place in the list `values`, from 1.

    Args:
        layer: What is embedded.
        factor: Pixels of the file along a side of one of the finest level.
    """
    days = change_days(layer) if layer.kind == "dates" else []
    levels: list[JsonValue] = [_level(layer, level, days) for level in plan_levels(layer, factor)]
    fields: dict[str, JsonValue] = {**layer.fields(), "levels": levels}
    if layer.kind == "dates":
        fields["values"] = list(range(1, len(days) + 1))
        fields["labels"] = [day_label(day) for day in days]
    return fields


def _planes(layer: Layer) -> float:
    """How much a layer weighs: a plane a band; classes are flat."""
    return {"classes": 0.2, "dates": 0.2}.get(layer.kind, len(layer.bands))


def _level(layer: Layer, level: Level, days: list[int]) -> dict[str, JsonValue]:
    """The size of a level and its tiles, row by row, of every plane: PNG files as base64."""
    pixels = _read(layer, level)
    if layer.kind == "dates":
        pixels = np.searchsorted(days, pixels) + 1
        pixels = np.where(pixels > len(days), 0, pixels)
    codes = pixels.astype(np.uint8)
    planes = [codes] if layer.kind == "colours" else [codes[band : band + 1] for band in range(len(codes))]
    whole = Window(0, 0, level.height, level.width)
    tiles = [
        Window(row, col, TILE_PX, TILE_PX).intersect(whole)
        for row in range(0, level.height, TILE_PX)
        for col in range(0, level.width, TILE_PX)
    ]
    coded: list[JsonValue] = [
        [base64.b64encode(png(plane[(..., *tile.slices)])).decode() for tile in tiles] for plane in planes
    ]
    return {"width": level.width, "height": level.height, "planes": coded}


def _read(layer: Layer, level: Level) -> Pixels:
    way = Resampling.average if layer.kind in ("probability", "colours") else Resampling.nearest
    with open_raster(layer.path) as source:
        pixels: Pixels = source.read(
            layer.bands,
            window=rasterio_window(Window(0, 0, *source.shape)),
            out_shape=(len(layer.bands), level.height, level.width),
            resampling=way,
        )
    return pixels
