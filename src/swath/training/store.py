"""Finished first stages by what decided them, so that none is trained twice."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.files import replacing_folder
from swath.training.fit import COST, SCORES, WEIGHTS


@dataclass(frozen=True, slots=True)
class StageStore:
    """A folder of finished first stages, one subfolder each.

    Attributes:
        folder: Where they are; made when the first is kept.
    """

    folder: Path

    def place(self, decided_by: dict[str, Any]) -> Path:
        """Where the stage that these values decide is, or would be.

        Args:
            decided_by: Settings, data, seed and all else that decides the weights; JSON values.
        """
        text = json.dumps(decided_by, sort_keys=True)
        return self.folder / hashlib.sha256(text.encode()).hexdigest()[:16]

    def holds_any(self) -> bool:
        """Whether any stage is kept."""
        return any(self.folder.glob("[!.]*"))

    def lend(self, decided_by: dict[str, Any], stage: Path) -> None:
        """Copy a kept stage to `stage`, unless that has begun or none is kept."""
        place = self.place(decided_by)
        if place.is_dir() and not stage.exists():
            with replacing_folder(stage, overwrite=False) as folder:
                shutil.copytree(place, folder, dirs_exist_ok=True)

    def keep(self, decided_by: dict[str, Any], stage: Path) -> None:
        """Keep the finished stage of folder `stage` (weights, scores and cost; no logs)."""
        place = self.place(decided_by)
        if place.is_dir():
            return
        with replacing_folder(place, overwrite=False) as folder:
            for name in (WEIGHTS, SCORES, COST):
                shutil.copy2(stage / name, folder / name)
