"""Maps in memory: of arrays, in any sequence, by the jobs that make those of the MAPS folder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swath.mapping.jobs import Codes, FusionJob, Job, PmapJob, SeriesJob
from swath.mapping.predict import DatedImage, Image, Predictor
from swath.tiles import DEFAULT_TILE_PX, Tile


class InMemoryMapper:
    """Maps the images of one place one by one, and fuses their PMaps in any order and number.

    A PMap that was made once serves every sequence its image stands in. The maps are those of
    `map_site`, which fuses PMaps of the same bytes: (bands, nH, nW) uint8, probability
    x 254, 255 = no data.
    """

    def __init__(self, predictor: Predictor, shape: tuple[int, int], tile_px: int = DEFAULT_TILE_PX) -> None:
        """Prepare a place, whose images are of `shape` (height, width) in px."""
        self._predictor, self._shape, self._tile_px = predictor, shape, tile_px

    def pmap(self, image: DatedImage) -> Codes:
        """The PMap of one image; raises what `Predictor.read` does."""
        tiles = self._predictor.plan_pmaps(self._shape, self._tile_px)
        return self._compute(PmapJob(image), tiles)

    def fuse(self, images: Sequence[DatedImage], pmaps: Sequence[Codes]) -> Codes:
        """The fused map of a sequence of images and their PMaps, as the model is to see them.

        Raises:
            ModelError: The model takes another number of dates only.
        """
        self._predictor.model.check_dates(len(images))
        tiles = self._predictor.plan_fusion(self._shape, len(images), self._tile_px)
        if self._predictor.series is not None:
            return self._compute(SeriesJob(tuple(images)), tiles)
        return self._compute(_MemoryFusionJob((), pmaps[0][0].size, tuple(pmaps)), tiles)

    def _compute(self, job: Job, tiles: Sequence[Tile]) -> Codes:
        n = self._predictor.finer
        lc = len(self._predictor.model.spec.legend.classes)
        bands = 1 if lc == 2 else lc  # as of `encode_pmap`
        whole = np.empty((bands, *(n * side for side in self._shape)), np.uint8)
        for tile in tiles:
            data = job.read(self._predictor, tile)
            whole[(..., *tile.core.finer(n).slices)] = job.compute(self._predictor, tile, data)
        return whole


@dataclass(frozen=True, slots=True)
class _MemoryFusionJob(FusionJob):
    """`FusionJob` over PMaps that no file holds."""

    pmaps: tuple[Codes, ...]

    def read(self, predictor: Predictor, tile: Tile) -> Sequence[Image]:
        part = tile.read.finer(predictor.finer).slices
        return [pmap[(..., *part)] for pmap in self.pmaps]
