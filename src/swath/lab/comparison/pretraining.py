"""Training on other data first: once a seed and settings, whatever the fold."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapely import box

from swath.dataset.site import Dataset
from swath.errors import DatasetError, SettingsError
from swath.files import read_json
from swath.locks import locked
from swath.models.registry import WholeSeries, architecture
from swath.models.trained import SPEC
from swath.training.fit import COST
from swath.training.presets import TrainSettings
from swath.training.runfolder import StageName, plan_run, series_length
from swath.training.start import Start, difference, parts, read_start
from swath.training.store import StageStore
from swath.training.train import train


@dataclass(frozen=True, slots=True)
class Pretraining:
    """What a model is trained on before it sees its fold.

    Attributes:
        dataset: All its sites train; none is held out.
        settings: Of this first training.
    """

    dataset: Dataset
    settings: TrainSettings

    def decided_by(self, stage: StageName, seed: int) -> dict[str, Any]:
        """Everything that decides its weights, as JSON."""
        return {"stage": stage, **plan_run(self.dataset, self.settings, seed)}

    @property
    def first_stage(self) -> list[Any]:
        """What decides the weights of its first stage, but the seed, as JSON."""
        return [str(self.dataset.root), self.settings.of_first_stage()]

    def folder(self, root: Path, stage: StageName, seed: int) -> Path:
        """Where its run is, or would be."""
        text = json.dumps(self.decided_by(stage, seed), sort_keys=True)
        return root / f"seed-{seed}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def check(self, dataset: Dataset, settings: TrainSettings, dates: int) -> None:
        """Check that its weights will fit a training, and that it sees none of that one's places.

        Args:
            dataset: Of the training.
            settings: Of the training.
            dates: Of the training's series.

        Raises:
            SettingsError: Another architecture, other bands, encoding, classes or dates.
            DatasetError: A site of one lies over a site of the other.
        """
        found = parts(
            self.settings.model,
            self.dataset.image,
            self.dataset.legend,
            self.settings.model_dump(),
        )
        wanted = parts(settings.model, dataset.image, dataset.legend, settings.model_dump())
        if isinstance(architecture(settings.model), WholeSeries):
            # Some of these networks have a weight a date.
            found["length of series"] = series_length(self.dataset, self.settings)
            wanted["length of series"] = dates
        if said := difference(found, wanted):
            raise SettingsError(f"pretrain: {self.dataset.root} does not fit: {said}")
        for other in self.dataset.sites:
            for site in dataset.sites:
                if box(*other.grid.lonlat_bounds).intersects(box(*site.grid.lonlat_bounds)):
                    raise DatasetError(
                        f"pretrain: site {other.name!r} of {self.dataset.root} lies over "
                        f"{site.name!r} of the comparison, so a held-out place would be learnt"
                    )


def pretrain(
    wanted: Pretraining, stage: StageName, seed: int, root: Path, device: str, title: str
) -> tuple[Start, float]:
    """Train on the other data, or take what another cell has trained.

    Args:
        wanted: What to train.
        stage: `fcn` or `all`.
        seed: Of the training.
        root: Folder of all pretrainings of a comparison. Cells at work at the same time wait for
            one another here.
        device: `auto`, `cpu` or `cuda`.
        title: How its lines on stderr start.

    Returns:
        The weights; and the seconds that their training took, whoever did it.
    """
    run = wanted.folder(root, stage, seed)
    with _alone(run.with_suffix(".lock")):
        if not (run / SPEC).is_file():
            train(
                wanted.dataset,
                run,
                wanted.settings,
                stage=stage,
                seed=seed,
                device=device,
                resume=True,
                overwrite=True,
                store=StageStore(root / "stages"),
                title=title,
            )
    seconds = sum(read_json(path)["seconds"] for path in run.glob(f"*/{COST}"))
    return read_start(run), float(seconds)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process is inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with locked(path, wait=True):
        yield
