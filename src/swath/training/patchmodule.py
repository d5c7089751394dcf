"""Patches for Lightning: drawn anew for every epoch, the same for the same seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from swath.dataset.index import Survey, plan_cover, plan_patches
from swath.dataset.patches import PatchDataset, Sample
from swath.dataset.site import Dataset
from swath.scaling import Scaling
from swath.scenes.raster import OpenRasters
from swath.training.presets import StageSettings, TrainSettings

VALIDATION_PX = 256
"""Side of the validation patches."""


@dataclass(frozen=True, slots=True)
class PatchSource:
    """What both stages draw their patches from.

    Attributes:
        dataset: The images and labels.
        train: Surveys of the training regions.
        validation: Surveys of the validation regions; may be empty.
        scaling: From digital numbers to the network's input.
        settings: Of the run.
        seed: Of the run.
        workers: Processes that read patches; 0 reads in the main process.
    """

    dataset: Dataset
    train: tuple[Survey, ...]
    validation: tuple[Survey, ...]
    scaling: Scaling
    settings: TrainSettings
    seed: int
    workers: int


class PatchModule(LightningDataModule):
    """The patches of one stage.

    Args:
        source: Where they come from.
        stage: Settings of the stage.
        dates: T.
        salt: Tells stages and folds apart: each draws its own patches.
        leave_out: Training sites that this network must not see.
    """

    def __init__(
        self,
        source: PatchSource,
        stage: StageSettings,
        dates: int,
        salt: int,
        leave_out: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.source = source
        self.stage = stage
        self.dates = dates
        self.salt = salt
        self.rasters = OpenRasters()
        self.surveys = tuple(s for s in source.train if s.site not in leave_out)

    def _loader(self, dataset: PatchDataset, batch_size: int) -> DataLoader[Sample]:
        return DataLoader(dataset, batch_size=batch_size, num_workers=self.source.workers)

    def train_dataloader(self) -> DataLoader[Sample]:
        """The patches of the current epoch; Lightning asks for them anew every epoch."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        seed = (self.source.seed, self.salt, epoch)
        patches = plan_patches(
            self.surveys,
            self.stage.batches * self.stage.batch_size,
            self.stage.patch_px,
            self.dates,
            self.source.settings.foreground_share,
            np.random.default_rng(seed),
        )
        dataset = PatchDataset(
            self.source.dataset,
            patches,
            self.source.scaling,
            self.source.settings.jitter,
            seed,
            self.rasters,
        )
        return self._loader(dataset, self.stage.batch_size)

    def val_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Patches that cover the validation regions once for each date or run of dates."""
        patches = plan_cover(self.source.validation, VALIDATION_PX, self.dates)
        if not patches:
            return []
        dataset = PatchDataset(
            self.source.dataset, patches, self.source.scaling, rasters=self.rasters
        )
        return self._loader(dataset, 4)
