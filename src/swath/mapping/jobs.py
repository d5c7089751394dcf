"""The two computations of a map, tile by tile: in this process, or in several."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from swath.errors import WorkerError
from swath.mapping.maps import decode_pmap, encode_pmap, read_bytes
from swath.mapping.predict import DatedImage, Predictor
from swath.mapping.tiles import Tile
from swath.mapping.tilestore import TileStore
from swath.models.device import Precision
from swath.models.trained import load_model
from swath.progress import console, track
from swath.sentinel2 import valid_mask

Codes = NDArray[np.uint8]

TRIES = 3
"""How often worker processes may die before the job is given up."""


class Job(Protocol):
    """What is computed for every tile: reading apart from computing, so that they overlap."""

    def read(self, predictor: Predictor, tile: Tile) -> Any:
        """What the tile is computed from."""

    def compute(self, predictor: Predictor, tile: Tile, data: Any) -> Codes:
        """(lc, h, w) uint8 of the tile's core, as stored: probability x 254, 255 = no data."""


@dataclass(frozen=True, slots=True)
class PmapJob:
    """The PMap of one date.

    Attributes:
        image: The date.
    """

    image: DatedImage

    def read(self, predictor: Predictor, tile: Tile) -> Any:
        """The pixels that the U-Net sees."""
        return predictor.read(self.image, tile.read)

    def compute(self, predictor: Predictor, tile: Tile, data: Any) -> Codes:
        """One pass of the U-Net."""
        return encode_pmap(*predictor.pmap(data, tile.kept))


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

    def read(self, predictor: Predictor, tile: Tile) -> Codes:
        """(T, lc, H, W) uint8, as stored."""
        return np.stack([read_bytes(path, tile.read) for path in self.paths])

    def compute(self, predictor: Predictor, tile: Tile, data: Any) -> Codes:
        """One pass of the ConvLSTM."""
        pmaps, valid = decode_pmap(data)
        fused = predictor.fuse(pmaps, valid, tile.kept, self.scene_px)
        seen = valid[(..., *tile.kept.slices)].any(axis=0)
        return encode_pmap(fused, np.asarray(seen))


@dataclass(frozen=True, slots=True)
class SeriesJob:
    """The map of a network for whole series, from the images themselves.

    Attributes:
        images: The dates, oldest first.
    """

    images: tuple[DatedImage, ...]

    def read(self, predictor: Predictor, tile: Tile) -> Any:
        """The pixels of every date that the network sees."""
        return [predictor.read(image, tile.read) for image in self.images]

    def compute(self, predictor: Predictor, tile: Tile, data: Any) -> Codes:
        """One pass of the network."""
        seen = np.any([valid_mask(pixels)[tile.kept.slices] for pixels in data], axis=0)
        if not seen.any():
            lc = len(predictor.model.spec.legend.classes)
            return encode_pmap(np.zeros((lc, *seen.shape), np.float32), seen)
        return encode_pmap(predictor.map_series(data, tile.kept), seen)


Runner = Callable[[Job, TileStore, str], None]
"""(job, store, label): computes the tiles that the store lacks; the label is for the bar."""


@contextmanager
def running(predictor: Predictor, run: Path, workers: int = 1) -> Iterator[Runner]:
    """Give a function that runs jobs.

    The maps have the same bytes however many processes make them: each tile is computed as a whole
    by one of them.

    Args:
        predictor: The run's model.
        run: The run's folder, which workers load the model from.
        workers: Processes; 1 = this one.

    Yields:
        The runner. It raises `WorkerError` if workers die again and again, and what the job raises.
    """
    if workers == 1:
        yield lambda job, store, label: _run_here(predictor, job, store, label)
        return
    crew = _Crew(predictor, run, workers)
    try:
        yield crew.run
    finally:
        crew.stop()


def _run_here(predictor: Predictor, job: Job, store: TileStore, label: str) -> None:
    """One thread reads the next tile and one writes the last while this one computes."""
    tiles = store.missing()
    if not tiles:
        return
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        coming: Future[Any] = reader.submit(job.read, predictor, tiles[0])
        going: Future[None] | None = None
        for at, tile in enumerate(track(tiles, label)):
            data = coming.result()
            if at + 1 < len(tiles):
                coming = reader.submit(job.read, predictor, tiles[at + 1])
            codes = job.compute(predictor, tile, data)
            if going is not None:
                going.result()
            going = writer.submit(store.write, tile.core, codes)
        assert going is not None
        going.result()


class _Crew:
    """Worker processes with a model each; those that die are replaced, a few times."""

    def __init__(self, predictor: Predictor, run: Path, workers: int) -> None:
        threads = max(1, torch.get_num_threads() // workers)
        self._workers = workers
        self._start = (run, predictor.device.type, predictor.precision, threads)
        self._pool: ProcessPoolExecutor | None = None

    def run(self, job: Job, store: TileStore, label: str) -> None:
        for _ in range(TRIES):
            tiles = store.missing()
            try:
                self._run_once(job, store, tiles, label)
            except BrokenProcessPool:
                self.stop()
                console.print("a worker process died; its tiles are computed again", style="yellow")
            else:
                return
        raise WorkerError(
            f"worker processes died {TRIES} times, perhaps for lack of memory; take fewer "
            "--workers or a smaller --tile. The same command goes on where this one stopped"
        )

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _run_once(self, job: Job, store: TileStore, tiles: Sequence[Tile], label: str) -> None:
        if not tiles:
            return
        if self._pool is None:
            # Forking a process with threads, as torch's, can hang it.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self._workers, context, initializer=_start_worker, initargs=self._start
            )
        futures = [self._pool.submit(_work, job, store, tile) for tile in tiles]
        try:
            for future in track(as_completed(futures), label, len(futures)):
                future.result()
        finally:
            for future in futures:
                future.cancel()


_predictor: Predictor | None = None
"""Of a worker process."""


def _start_worker(run: Path, device: str, precision: Precision, threads: int) -> None:
    global _predictor
    torch.set_num_threads(threads)
    _predictor = Predictor(load_model(run), device, precision)


def _work(job: Job, store: TileStore, tile: Tile) -> None:
    assert _predictor is not None
    store.write(tile.core, job.compute(_predictor, tile, job.read(_predictor, tile)))
