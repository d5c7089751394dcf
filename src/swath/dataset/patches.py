"""Reading patches as tensors: the bridge from files to training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from swath.dataset.augment import cloud_a_date, jitter, transform
from swath.dataset.index import Patch, Survey, survey_labels
from swath.dataset.site import Dataset, read_coarse_labels, read_image
from swath.errors import DatasetError
from swath.legend import IGNORE
from swath.scaling import Scaling
from swath.scenes.raster import OpenRasters
from swath.sentinel2 import NODATA, valid_mask
from swath.sites.schema import SplitName

STRIP_PX = 1024
"""Rows that are read at once when a whole region is gone through."""


class Sample(TypedDict):
    """A patch, or a batch of them with one more axis in front.

    image: (T, C, H, W) float32 scaled, 0 = no data. valid: (T, H, W) bool. label: (nH, nW) int64,
    255 = ignore; n = 1, or more where the labels are finer than the images.
    """

    image: Tensor
    valid: Tensor
    label: Tensor


@dataclass(eq=False, repr=False)
class PatchDataset(TorchDataset[Sample]):
    """Patches of a dataset, read one by one, in order.

    Attributes:
        scaling: From digital numbers to the network's input.
        jitter_strength: See `augment.jitter`; 0 for none.
        clouds: Share of the series with a clouded date; see `augment.cloud_a_date`.
        missing: Share of the dates that are shown without the bands that an image may lack.
        seed: Patch number i draws its jitter from (seed, i), whichever worker reads it.
        rasters: The dataset's files, where they stay open for more than these patches.
    """

    dataset: Dataset
    patches: Sequence[Patch]
    scaling: Scaling
    jitter_strength: float = 0.0
    clouds: float = 0.0
    missing: float = 0.0
    seed: tuple[int, ...] = (0,)
    rasters: OpenRasters = field(default_factory=OpenRasters)

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> Sample:
        patch = self.patches[index]
        site = self.dataset.site(patch.site)
        paths = [site.acquisitions[date].path for date in patch.dates]
        images = np.stack([self._inside(path, patch, NODATA) for path in paths])
        label = transform(self._inside(site.labels, patch, IGNORE, site.finer)[0], patch.symmetry)
        images = transform(images, patch.symmetry)
        valid = valid_mask(images)
        rng = np.random.default_rng((*self.seed, index))
        images = cloud_a_date(images, self.dataset.image.encoding, self.clouds, rng)
        scaled = jitter(self.scaling.apply(images), valid, self.jitter_strength, rng)
        lacking = images == NODATA
        if self.missing:
            lacking[rng.random(len(images)) < self.missing] |= self._optional
        scaled = np.where(lacking, np.float32(0), scaled)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(scaled)),
            "valid": torch.from_numpy(np.ascontiguousarray(valid)),
            "label": torch.from_numpy(label.astype(np.int64)),
        }

    @property
    def _optional(self) -> NDArray[np.bool_]:
        """(C, 1, 1): which bands an image may lack."""
        image = self.dataset.image
        return np.isin(image.bands, image.optional)[:, None, None]

    def _inside(self, path: Path, patch: Patch, fill: int, finer: int = 1) -> NDArray[np.generic]:
        """A patch (C, nh, nw) of a file; `fill` beyond the patch's region."""
        window = patch.window.finer(finer)
        seen = window.intersect(patch.region.finer(finer))
        part = self.rasters.read(path, seen, fill=fill)
        whole = np.full((len(part), window.height, window.width), fill, part.dtype)
        whole[(slice(None), *seen.relative_to(window).slices)] = part
        return whole


def survey_split(dataset: Dataset, split: SplitName) -> tuple[Survey, ...]:
    """Go once through the labels of a split; see `Survey`.

    Raises:
        DatasetError: No site belongs to the split.
    """
    mapped = [c.id for c in dataset.legend.tagged]
    surveys = tuple(
        survey_labels(site.name, window, len(site.acquisitions), read_coarse_labels(site, window), mapped)
        for site in dataset.in_split(split)
        for window in site.windows(split)
    )
    if not surveys:
        raise DatasetError(f"{dataset.root} has no site in split {split!r}; name one in the sites file")
    return surveys


def measure_scaling(dataset: Dataset) -> Scaling:
    """Mean and standard deviation of each band over the training regions, all dates.

    Reads in strips, so memory stays bounded whatever the scene's size.

    Raises:
        DatasetError: No training site, or none with data.
    """
    bands = len(dataset.image.bands)
    count, total, squares = np.zeros((3, bands))
    for site in dataset.in_split("train"):
        for region in site.windows("train"):
            for strip in region.strips(STRIP_PX):
                for acquisition in site.acquisitions:
                    image = read_image(acquisition, strip)
                    values = image.reshape(bands, -1).astype(np.float64)
                    count += (values != NODATA).sum(axis=1)
                    total += values.sum(axis=1)
                    squares += (values**2).sum(axis=1)
    if not count.all():
        raise DatasetError(
            f"{dataset.root} has no training pixel with data in "
            f"{', '.join(np.array(dataset.image.bands)[count == 0])}"
        )
    return Scaling.from_moments(count, total, squares)
