"""Maps of images in any sequence, in memory: what a model says of a changed or reordered series."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.mapping.jobs import FusionJob, Job, PmapJob, SeriesJob
from swath.mapping.predict import DatedImage, Predictor
from swath.tiles import DEFAULT_TILE_PX, Tile

Codes = NDArray[np.uint8]
"""(lc, H, W) probability x 254, 255 = no data: a PMap as `swath map` stores it."""


class SequenceMapper:
    """Maps the images of one scene one by one, and fuses their PMaps in any order and number.

    A PMap that was made once serves every sequence its image stands in. The maps are those of
    `swath map`, which stores the PMaps it fuses in the same bytes.
    """

    def __init__(self, predictor: Predictor, shape: tuple[int, int]) -> None:
        """Prepare a scene.

        Args:
            predictor: The model.
            shape: (height, width) of the scene in px.
        """
        self._predictor, self._shape = predictor, shape

    def pmap(self, image: DatedImage) -> Codes:
        """The PMap of one image.

        Raises:
            ModelError: The image has not the model's number of bands.
            InputError: It cannot be read.
        """
        tiles = self._predictor.plan_pmaps(self._shape, DEFAULT_TILE_PX)
        return self._compute(PmapJob(image), tiles)

    def fuse(self, images: Sequence[DatedImage], pmaps: Sequence[Codes]) -> Codes:
        """The fused map of a sequence.

        Args:
            images: At least one, in the order in which the model is to see them.
            pmaps: Their PMaps.

        Raises:
            ModelError: The model takes another number of dates only.
        """
        self._predictor.model.check_dates(len(images))
        if self._predictor.series is not None:
            job: Job = SeriesJob(tuple(images))
            return self._compute(job, self._predictor.plan(self._shape, len(images)))
        height, width = self._shape
        job = _MemoryFusionJob((), height * width, np.stack(pmaps))
        return self._compute(job, self._predictor.plan_fusion(self._shape, len(images)))

    def _compute(self, job: Job, tiles: Sequence[Tile]) -> Codes:
        lc = len(self._predictor.model.spec.legend.classes)
        whole = np.empty((lc, *self._shape), np.uint8)
        for tile in tiles:
            data = job.read(self._predictor, tile)
            whole[(..., *tile.core.slices)] = job.compute(self._predictor, tile, data)
        return whole


@dataclass(frozen=True, slots=True)
class _MemoryFusionJob(FusionJob):
    """`FusionJob` over PMaps that no file holds: (T, lc, H, W) uint8."""

    pmaps: NDArray[np.uint8]

    def read(self, predictor: Predictor, tile: Tile) -> Codes:
        part: Codes = self.pmaps[(..., *tile.read.slices)]
        return part
