"""Finished first stages by what decided them, so that no two cells train the same."""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from swath.errors import BusyError, OutputExistsError
from swath.keys import Decided
from swath.models.registry import WholeSeries, architecture
from swath.models.trained import TrainedModel
from swath.outfolder import Kind, replacing_folder
from swath.training.compute import HERE, Compute
from swath.training.fit import COST, SCORES, WEIGHTS
from swath.training.presets import TrainSettings
from swath.training.runfolder import open_run
from swath.training.train import train
from swath.training.trainplan import TrainPlan, decided_by_data

_OF_FUSION = {"model", "rnn", "hidden", "layers", "dates", "orientations", "clouds"}
"""Settings that no network for one image depends on; of the model, its class is what counts."""


@dataclass(frozen=True, slots=True)
class StageStore:
    """A folder of finished first stages, one subfolder each; made when the first is kept."""

    folder: Path

    def holds_any(self) -> bool:
        """Whether any stage is kept."""
        return any(self.folder.glob("[!.]*"))

    def train(self, plan: TrainPlan, out: Path, compute: Compute = HERE, title: str = "") -> TrainedModel:
        """Train a run, or go on with it; its first stage is taken from here, or kept here.

        Args:
            plan: What to train.
            out: The run's folder.
            compute: Where.
            title: How its lines on stderr start.
        """
        stage, place = out / "fcn", self.folder / decided_first_stage(plan, compute).key[:16]
        with open_run(out, plan, resume=True, overwrite=False):
            if place.is_dir() and not stage.exists():
                with replacing_folder(stage, Kind.STAGE, overwrite=False) as folder:
                    shutil.copytree(place, folder, dirs_exist_ok=True)
        # A comparison shows what a fusion gives, however bad, and the mean beside it.
        model = train(plan, out, compute, resume=True, title=title, fallback=False)
        if not plan.whole_series and not place.is_dir():
            with (
                suppress(OutputExistsError, BusyError),  # another cell keeps the same
                replacing_folder(place, Kind.STAGE, overwrite=False) as folder,
            ):
                for name in (WEIGHTS, SCORES, COST):  # no logs
                    shutil.copy2(stage / name, folder / name)
        return model


def decided_first_stage(plan: TrainPlan, compute: Compute) -> Decided:
    """What decides the network for one image."""
    fields: dict[str, JsonValue] = {
        "settings": settings_of_first_stage(plan.settings),
        "seed": plan.seed,
        **decided_by_data(plan.dataset),
        "start": plan.start.hashes.get("fcn") if plan.start else None,
        "device": compute.where.type,
        "precision": compute.exactness,
    }
    return Decided("first stage", plan.decided.version, fields)


def settings_of_first_stage(settings: TrainSettings) -> dict[str, JsonValue]:
    """What decides stage 1, as JSON: two runs that agree in it train the same network.

    All but what is known to matter to the fusion alone, so that a new setting counts too. A
    model of whole series has one stage only, and all settings decide it.
    """
    known = architecture(settings.model)
    if isinstance(known, WholeSeries):
        return settings.model_dump(mode="json")
    first = settings.model_dump(mode="json", exclude=_OF_FUSION)
    return {"network": known.fcn.__qualname__, **first}
