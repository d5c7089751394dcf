"""Training on other data first: once a seed and settings, whatever the fold."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue
from shapely import box

from swath.dataset.site import Dataset
from swath.errors import DatasetError, SettingsError
from swath.files import read_json
from swath.keys import Decided
from swath.lab.comparison.stagestore import StageStore, settings_of_first_stage
from swath.locks import locked
from swath.models.registry import WholeSeries, architecture
from swath.models.trained import SPEC, load_model
from swath.training.compute import Compute
from swath.training.fit import COST
from swath.training.presets import TrainSettings
from swath.training.start import Start, difference, weights_meaning
from swath.training.trainplan import StageName, TrainPlan, series_length


@dataclass(frozen=True, slots=True)
class Pretraining:
    """What a model is trained on before it sees its fold.

    Attributes:
        dataset: All its sites train; none is held out.
        settings: Of this first training.
    """

    dataset: Dataset
    settings: TrainSettings

    def plan(self, stage: StageName, seed: int) -> TrainPlan:
        """The training."""
        return TrainPlan(self.dataset, self.settings, stage, seed)

    def decided(self, stage: StageName, seed: int) -> Decided:
        """Everything that decides its weights."""
        run = self.plan(stage, seed).decided
        return Decided("pretraining", run.version, {"stage": stage, **run.fields})

    @property
    def first_stage(self) -> dict[str, JsonValue]:
        """What decides the weights of its first stage, but the seed, as JSON."""
        return {
            "dataset": str(self.dataset.root),
            "settings": settings_of_first_stage(self.settings),
        }

    def folder(self, root: Path, stage: StageName, seed: int) -> Path:
        """Where its run is, or would be."""
        return root / f"seed-{seed}-{self.decided(stage, seed).key[:16]}"

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
        offered = weights_meaning(
            self.settings.model,
            self.dataset.image,
            self.dataset.legend,
            self.settings.model_dump(),
        )
        wanted = weights_meaning(settings.model, dataset.image, dataset.legend, settings.model_dump())
        if isinstance(architecture(settings.model), WholeSeries):
            # Some of these networks have a weight a date.
            offered = _of_length(offered, series_length(self.dataset, self.settings.dates))
            wanted = _of_length(wanted, dates)
        if unlike := difference(offered, wanted):
            raise SettingsError(f"pretrain: {self.dataset.root} does not fit: {unlike}")
        for other in self.dataset.sites:
            for site in dataset.sites:
                if box(*other.grid.lonlat_bounds).intersects(box(*site.grid.lonlat_bounds)):
                    raise DatasetError(
                        f"pretrain: site {other.name!r} of {self.dataset.root} lies over "
                        f"{site.name!r} of the comparison, so a held-out place would be learnt"
                    )


def _of_length(meaning: Decided, dates: int) -> Decided:
    """The same weights, of a network for series of that many dates."""
    return replace(meaning, fields={**meaning.fields, "length of series": dates})


def pretrain(
    pretraining: Pretraining, stage: StageName, seed: int, root: Path, compute: Compute, title: str
) -> tuple[Start, float]:
    """Train on the other data, or take what another cell has trained.

    Args:
        pretraining: What to train.
        stage: `fcn` or `all`.
        seed: Of the training.
        root: Folder of all pretrainings of a comparison. Cells at work at the same time wait for
            one another here.
        compute: Where.
        title: How its lines on stderr start.

    Returns:
        The weights; and the seconds that their training took, whoever did it.
    """
    run = pretraining.folder(root, stage, seed)
    with _alone(run.with_suffix(".lock")):
        if not (run / SPEC).is_file():
            store = StageStore(root / "stages")
            store.train(pretraining.plan(stage, seed), run, compute, title)
    seconds = sum(read_json(path)["seconds"] for path in run.glob(f"*/{COST}"))
    return Start(load_model(run)), float(seconds)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process is inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with locked(path, wait=True):
        yield
