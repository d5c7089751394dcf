"""Finished first stages by what decided them, so that none is trained twice."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from swath.files import replacing_folder
from swath.keys import Decided
from swath.training.fit import COST, SCORES, WEIGHTS


@dataclass(frozen=True, slots=True)
class StageStore:
    """A folder of finished first stages, one subfolder each.

    Attributes:
        folder: Where they are; made when the first is kept.
    """

    folder: Path

    def place(self, decided: Decided) -> Path:
        """Where the stage that these values decide is, or would be."""
        return self.folder / decided.key[:16]

    def holds_any(self) -> bool:
        """Whether any stage is kept."""
        return any(self.folder.glob("[!.]*"))

    def lend(self, decided: Decided, stage: Path) -> None:
        """Copy a kept stage to `stage`, unless that has begun or none is kept."""
        place = self.place(decided)
        if place.is_dir() and not stage.exists():
            with replacing_folder(stage, overwrite=False) as folder:
                shutil.copytree(place, folder, dirs_exist_ok=True)

    def keep(self, decided: Decided, stage: Path) -> None:
        """Keep the finished stage of folder `stage` (weights, scores and cost; no logs)."""
        place = self.place(decided)
        if place.is_dir():
            return
        with replacing_folder(place, overwrite=False) as folder:
            for name in (WEIGHTS, SCORES, COST):
                shutil.copy2(stage / name, folder / name)
