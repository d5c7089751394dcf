"""Patches for Lightning: drawn anew for every epoch, the same for the same seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from swath.dataset.index import Patch, Survey, plan_cover, plan_patches
from swath.dataset.patches import PatchDataset, Sample
from swath.legend import IGNORE
from swath.scaling import Scaling
from swath.scenes.raster import OpenRasters
from swath.training.compute import Compute
from swath.training.presets import StageSettings
from swath.training.trainplan import TrainPlan

VALIDATION_PX = 256
"""Side of the validation patches."""

VALIDATION_BATCH = 4
"""Patches of a validation batch."""


@dataclass(frozen=True, slots=True)
class PatchSource:
    """What both stages draw their patches from.

    Attributes:
        plan: What is trained, on which dataset.
        compute: With what; its workers read, its processes share every mini-batch.
        train: Surveys of the training regions.
        validation: Surveys of the validation regions; may be empty.
        scaling: From digital numbers to the network's input.
    """

    plan: TrainPlan
    compute: Compute
    train: tuple[Survey, ...]
    validation: tuple[Survey, ...]
    scaling: Scaling


class Padded(TorchDataset[Sample]):
    """Patches, and after the last one as many as one likes that are ignored everywhere."""

    def __init__(self, patches: PatchDataset) -> None:
        self.patches = patches

    def __getitem__(self, index: int) -> Sample:
        if index < len(self.patches):
            return self.patches[index]
        blank = self.patches[0]
        blank["label"] = torch.full_like(blank["label"], IGNORE)
        return blank


class PatchModule(LightningDataModule):
    """The patches of one stage.

    Args:
        source: Where they come from.
        stage: Settings of the stage.
        dates: T.
        salt: Tells stages apart: each draws its own patches.
    """

    def __init__(self, source: PatchSource, stage: StageSettings, dates: int, salt: int) -> None:
        super().__init__()
        self.source = source
        self.stage = stage
        self.dates = dates
        self.salt = salt
        self.rasters = OpenRasters()

    def _loader(self, dataset: PatchDataset, batch_size: int) -> DataLoader[Sample]:
        """Mini-batches of this process: of each whole one, its run of patches.

        A whole one that comes up short is filled with patches that are ignored everywhere.
        """
        compute = self.source.compute
        processes = compute.processes
        share = -(-batch_size // processes.count)
        batches = [
            list(range(start + share * processes.rank, start + share * (processes.rank + 1)))
            for start in range(0, len(dataset), batch_size)
        ]
        if processes.count == 1:
            batches[-1] = [index for index in batches[-1] if index < len(dataset)]
        return DataLoader(Padded(dataset), batch_sampler=batches, num_workers=compute.workers)

    def train_dataloader(self) -> DataLoader[Sample]:
        """The patches of the current epoch; Lightning asks for them anew every epoch."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        plan = self.source.plan
        settings, seed = plan.settings, (plan.seed, self.salt, epoch)
        patches = plan_patches(
            self.source.train,
            self.stage.batches * self.stage.batch_size,
            self.stage.patch_px,
            self.dates,
            settings.foreground_share,
            np.random.default_rng(seed),
        )
        dataset = PatchDataset(
            plan.dataset,
            patches,
            self.source.scaling,
            settings.jitter,
            settings.clouds,
            settings.missing,
            seed,
            self.rasters,
        )
        return self._loader(dataset, self.stage.batch_size)

    def val_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Patches that cover the validation regions once for each date or run of dates."""
        patches, source = self._cover(), self.source
        if not patches:
            return []
        dataset = PatchDataset(source.plan.dataset, patches, source.scaling, rasters=self.rasters)
        return self._loader(dataset, VALIDATION_BATCH)

    def validation_patches(self, batch: int) -> int:
        """How many patches validation batch number `batch` has, over all processes."""
        return min(VALIDATION_BATCH, len(self._cover()) - batch * VALIDATION_BATCH)

    def _cover(self) -> Sequence[Patch]:
        return plan_cover(self.source.validation, VALIDATION_PX, self.dates)
