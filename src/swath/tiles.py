"""Tiles: which pixels a network reads, and which of its output are kept. Pure values."""

import math
from dataclasses import dataclass

from swath.errors import SettingsError
from swath.grid import Window

DEFAULT_TILE_PX = 1024
"""Side of a tile's core: 1.4 times the pixels of the scene are computed, in about 1 GB."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One step of a map.

    Attributes:
        core: The pixels that this tile gives to the map. The cores of a plan part the scene.
        read: What the network must see for that: the core and a margin, inside the scene.
    """

    core: Window
    read: Window

    @property
    def kept(self) -> Window:
        """The core, counted from the origin of `read`."""
        return self.core.relative_to(self.read)


def plan_tiles(
    shape: tuple[int, int],
    tile_px: int,
    margin_px: int,
    stride_px: int,
    area: Window | None = None,
) -> tuple[Tile, ...]:
    """Part a scene into tiles whose maps, put together, are the map of the whole scene.

    A network with poolings maps a window as it maps the scene if the window starts at a multiple of
    its stride, reaches as far as the network sees, and ends where the scene ends or else at a
    multiple of the stride: only then do both pad alike. So cores start at multiples of
    the stride, and the margin is rounded up to one. Cores are of about equal size, which wastes
    less on margins than a strip of full tiles with a narrow rest.

    Args:
        shape: (height, width) of the scene in px.
        tile_px: Largest side of a core, a multiple of `stride_px`.
        margin_px: How far the network sees (its receptive radius).
        stride_px: Stride of the network.
        area: The wanted part of the scene, its origin at multiples of the stride; None: all.

    Raises:
        SettingsError: A tile size that is not a positive multiple of the stride.

    Source: section 1.6 (tiles of 2048 px that overlap by 512 px); differs: the overlap is what the
    networks need, 96 px on each side, so nothing is computed twice without need or seen at a seam.
    """
    if tile_px < stride_px or tile_px % stride_px:
        raise SettingsError(
            f"a tile's side must be a positive multiple of the network's stride, {stride_px} px; "
            f"got {tile_px} (the default is {DEFAULT_TILE_PX})"
        )
    scene = Window(0, 0, *shape)
    wanted = scene if area is None else area
    margin = math.ceil(margin_px / stride_px) * stride_px
    rows = _cut(wanted.row, wanted.height, tile_px, stride_px)
    cols = _cut(wanted.col, wanted.width, tile_px, stride_px)
    cores = (Window(row, col, height, width) for row, height in rows for col, width in cols)
    return tuple(Tile(core, core.grow(margin).intersect(scene)) for core in cores)


def _cut(start: int, length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Part `length` px into (start, length) pieces of about equal size, at most `size`."""
    pieces = math.ceil(length / size)
    step = math.ceil(length / pieces / stride) * stride
    return [(start + at, min(step, length - at)) for at in range(0, length, step)]
