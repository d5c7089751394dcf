"""Finished tiles of a raster that is being made: a file each, so that no crash loses one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.files import replacing
from swath.grid import Window
from swath.tiles import Tile


@dataclass(frozen=True, slots=True)
class TileStore:
    """The tiles of one raster in a folder, which is named by the raster's key.

    A tile's file appears whole, by renaming. So the files that are there are the journal: the next
    run computes what is missing, and several processes can write at the same time.

    Attributes:
        folder: Where they lie.
        bands: Of the raster.
        tiles: All that the raster is made of.
        finer: n, its pixels to the side of one that tiles are counted in.
    """

    folder: Path
    bands: int
    tiles: tuple[Tile, ...]
    finer: int = 1

    def missing(self) -> tuple[Tile, ...]:
        """The tiles that are still to be made."""
        return tuple(tile for tile in self.tiles if not self._has(tile))

    def write(self, core: Window, codes: NDArray[np.uint8]) -> None:
        """Store a tile's (bands, nh, nw) uint8."""
        with replacing(self._path(core)) as temporary:
            np.save(temporary, codes)

    def read(self) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        """All tiles, in the order of the plan: core and (bands, nh, nw) uint8."""
        for tile in self.tiles:
            yield tile.core, np.load(self._path(tile.core), allow_pickle=False)

    def _path(self, core: Window) -> Path:
        return self.folder / f"{core.row}_{core.col}.npy"

    def _has(self, tile: Tile) -> bool:
        """Whether the tile's file is there and sound (a power cut may leave it cut short)."""
        try:
            codes = np.load(self._path(tile.core), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return False
        core = tile.core.finer(self.finer)
        shape = (self.bands, core.height, core.width)
        return bool(codes.shape == shape and codes.dtype == np.uint8)


def open_store(home: Path, key: str, bands: int, tiles: Sequence[Tile], finer: int = 1) -> TileStore:
    """The store of a raster, in `home`; it may hold tiles from a run that broke off."""
    folder = home / key[:32]
    folder.mkdir(parents=True, exist_ok=True)
    return TileStore(folder, bands, tuple(tiles), finer)
