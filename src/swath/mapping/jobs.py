"""The two computations of a map, tile by tile: in this process, or by workers."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from swath.errors import ModelError
from swath.mapping.predict import DatedImage, Image, Predictor
from swath.mapping.tilestore import TileStore
from swath.maps.sitemaps import decode_pmap, encode_pmap, read_codes
from swath.memory import return_freed_memory
from swath.models.device import Precision
from swath.models.orientations import Orientations
from swath.models.trained import load_model, tell_fallback, weights_hash
from swath.progress import track
from swath.sentinel2 import valid_mask
from swath.tiles import Tile
from swath.workers import HERE, Workers, open_crew

Codes = NDArray[np.uint8]


class Job(Protocol):
    """What is computed for every tile: reading apart from computing, so that they overlap."""

    def read(self, predictor: Predictor, tile: Tile) -> Sequence[Image]:
        """What the tile is computed from, an array a date."""

    def compute(self, predictor: Predictor, tile: Tile, data: Sequence[Image]) -> Codes:
        """(bands, nh, nw) uint8 of the tile's core, as stored: probability x 254, 255 = no data."""


@dataclass(frozen=True, slots=True)
class PmapJob:
    """The PMap of one date."""

    image: DatedImage

    def read(self, predictor: Predictor, tile: Tile) -> Sequence[Image]:
        """The image."""
        return [predictor.read(self.image, tile.read)]

    def compute(self, predictor: Predictor, tile: Tile, data: Sequence[Image]) -> Codes:
        """One pass of the U-Net."""
        (pixels,) = data
        return encode_pmap(*predictor.pmap(pixels, tile.kept))


@dataclass(frozen=True, slots=True)
class FusionJob:
    """The fused PMap of a series.

    It starts from the *stored* PMaps, so that it does not matter when they were made: a date added
    later gives the same map as all dates together.

    Attributes:
        paths: The PMaps' files, oldest first.
        scene_px: Pixels of the whole map.
    """

    paths: tuple[Path, ...]
    scene_px: int

    def read(self, predictor: Predictor, tile: Tile) -> Sequence[Image]:
        """The PMaps (bands, nH, nW) uint8, as stored."""
        return [read_codes(path, tile.read.finer(predictor.finer)) for path in self.paths]

    def compute(self, predictor: Predictor, tile: Tile, data: Sequence[Image]) -> Codes:
        """One pass of the fusion."""
        pmaps, valid = decode_pmap(np.stack(data).astype(np.uint8, copy=False))
        kept = tile.kept.finer(predictor.finer)
        fused = predictor.fuse(pmaps, valid, kept, self.scene_px)
        seen = valid[(..., *kept.slices)].any(axis=0)
        return encode_pmap(fused, np.asarray(seen))


@dataclass(frozen=True, slots=True)
class SeriesJob:
    """The map of a network for whole series, from the images themselves, oldest first."""

    images: tuple[DatedImage, ...]

    def read(self, predictor: Predictor, tile: Tile) -> Sequence[Image]:
        """The images."""
        return [predictor.read(image, tile.read) for image in self.images]

    def compute(self, predictor: Predictor, tile: Tile, data: Sequence[Image]) -> Codes:
        """One pass of the network."""
        seen = np.any([valid_mask(pixels)[tile.kept.slices] for pixels in data], axis=0)
        if not seen.any():
            lc = len(predictor.model.spec.legend.classes)
            return encode_pmap(np.zeros((lc, *seen.shape), np.float32), seen)
        return encode_pmap(predictor.map_series(data, tile.kept), seen)


Runner = Callable[[Job, TileStore, str], None]
"""(job, store, label): computes the tiles that the store lacks; the label is for the bar."""


@contextmanager
def running(
    predictor: Predictor, run: Path, out: Path, workers: Workers = HERE, reads: Sequence[Path] = ()
) -> Iterator[Runner]:
    """Give a function that runs jobs; `WorkerError` comes if workers die again and again.

    The maps have the same bytes whoever makes them: one process computes a tile as a whole.

    Args:
        predictor: The run's model.
        run: The run's folder, which workers load the model from.
        out: MAPS, below which jobs write.
        workers: Who computes.
        reads: Where jobs read, apart from `run` and `out`.
    """
    tell_fallback(predictor.model.spec)
    if workers.alone:
        yield lambda job, store, label: _run_here(predictor, job, store, label)
        return
    threads = max(1, torch.get_num_threads() // workers.processes) if not workers.scheduler else 1
    home = workers.locate(run)
    how = predictor.device.type, predictor.precision, predictor.orientations
    load = partial(_load, home, weights_hash(run), threads, *how)
    with open_crew(workers, out, [home, *reads], threads=threads) as crew:

        def run_there(job: Job, store: TileStore, label: str) -> None:
            tiles = sorted(store.missing(), key=_size)
            for _ in track(crew.run(partial(_work, load, job, store), tiles), label, len(tiles)):
                pass

        yield run_there


def _run_here(predictor: Predictor, job: Job, store: TileStore, label: str) -> None:
    """One thread reads the next tile and one writes the last while this one computes.

    The largest tiles come first, and what one size left is given back before the next: so the
    memory is that of the largest tile, however many there are.
    """
    tiles = sorted(store.missing(), key=_size)
    if not tiles:
        return
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        coming: Future[Sequence[Image]] = reader.submit(job.read, predictor, tiles[0])
        going: Future[None] | None = None
        for at, tile in enumerate(track(tiles, label)):
            if at == 0 or _size(tile) != _size(tiles[at - 1]):
                return_freed_memory()
            data = coming.result()
            if at + 1 < len(tiles):
                coming = reader.submit(job.read, predictor, tiles[at + 1])
            codes = job.compute(predictor, tile, data)
            if going is not None:
                going.result()
            going = writer.submit(store.write, tile.core, codes)
        assert going is not None
        going.result()
    return_freed_memory()


def _size(tile: Tile) -> tuple[int, int, int]:
    """Orders tiles by the pixels that they read, most first; tiles of one shape are equal."""
    return -tile.read.size, tile.read.height, tile.read.width


@lru_cache(maxsize=1)
def _load(
    run: Path,
    digest: str,
    threads: int,
    device: str,
    precision: Precision,
    orientations: Orientations,
) -> Predictor:
    """The predictor of a worker process, kept for its next tiles."""
    torch.set_num_threads(threads)
    if weights_hash(run) != digest:
        raise ModelError(f"{run} holds another model on a worker than on this machine")
    return Predictor(load_model(run), device, precision, orientations)


@lru_cache(maxsize=1)
def _make_room(size: tuple[int, int, int]) -> None:
    """Give back what tiles of another size left; nothing for those of one size in a row."""
    return_freed_memory()


def _work(load: Callable[[], Predictor], job: Job, store: TileStore, tile: Tile) -> None:
    predictor = load()
    _make_room(_size(tile))
    store.write(tile.core, job.compute(predictor, tile, job.read(predictor, tile)))
