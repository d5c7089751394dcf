"""One cell of a comparison: train, map the validation and test sites, score the test sites."""

import dataclasses
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from swath.errors import DivergedError, Remedy, SettingsError
from swath.evaluation.candidate import Candidate
from swath.files import read_json, write_json
from swath.lab.baselines.settings import PixelSettings
from swath.lab.comparison.cells import Cell
from swath.lab.comparison.pretraining import pretrain
from swath.lab.comparison.result import (
    RECORD,
    CellRecord,
    RunRecord,
    chosen_on_validation,
    mean_of_runs,
    shared_candidates,
    sites_of_run,
    write_samples,
)
from swath.lab.comparison.scoring import ScoredUnit
from swath.lab.comparison.stagestore import StageStore
from swath.mapping.predict import Predictor
from swath.mapping.sources import Series, site_series
from swath.mapping.stages import map_site
from swath.maps.sitemaps import read_maps
from swath.models.trained import load_model
from swath.training.compute import Compute
from swath.training.fit import COST
from swath.training.runfolder import difference_to_run


@dataclass(frozen=True, slots=True)
class CellFolders:
    """Where a cell works.

    Attributes:
        home: Gets `run` (the model; none of a classical method), `maps`, and in the end
            `samples.npz` and `cell.json`.
        store: First stages that other cells have trained.
        pretrained: Folder of what models are trained on before, shared by all cells.
    """

    home: Path
    store: StageStore
    pretrained: Path

    @property
    def run(self) -> Path:
        """Of its training."""
        return self.home / "run"

    @property
    def maps(self) -> Path:
        """Of its maps."""
        return self.home / "maps"


def finished(folder: Path, cell: Cell) -> bool:
    """Whether the cell is done.

    Raises:
        SettingsError: It is, but with other settings or data, or by other code.
    """
    if not (folder / RECORD).is_file():
        return False
    changed = cell.decided.difference(read_json(folder / RECORD)["decided_by"])
    if changed in ("what", "version", "trainer"):
        raise SettingsError(
            f"{folder} was made by another version of the code, which would give other scores; "
            "remove that folder to make it anew",
            Remedy.OTHER_OUT,
        )
    if changed is not None:
        raise SettingsError(
            f"{folder} was made with other {changed}; remove that folder to make it anew",
            Remedy.OTHER_OUT,
        )
    return True


def run_cell(cell: Cell, folders: CellFolders, compute: Compute) -> None:
    """Train, map and score; go on where an earlier attempt stopped.

    Args:
        cell: What to do.
        folders: Where.
        compute: With what.

    Raises:
        DatasetError: A test site without a labelled pixel.
    """
    shutil.rmtree(folders.maps, ignore_errors=True)
    if cell.model.network is None:
        effort = _map_pixels(cell, folders)
    else:
        effort = _map_network(cell, folders, compute)
    seconds = dict(effort.seconds)
    with _timed(seconds, "score"):
        scored = [_score(cell, home) for home in _homes(cell, folders.maps)]
    units = [units for _, units in scored]
    candidates = shared_candidates(cell, units)
    write_samples(folders.home, cell, units, candidates)
    record = CellRecord(
        decided_by=cell.decided.json(),
        candidate=scored[0][0],
        dates=cell.dates,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        parameters=effort.parameters,
        diverged=effort.diverged,
        sites=mean_of_runs(cell, units, candidates),
        candidates=list(map(str, candidates)),
        chosen=chosen_on_validation(cell, units),
        runs=_run_records(cell, units),
    )
    write_json(folders.home / RECORD, record.model_dump(mode="json", exclude_defaults=True))
    for log in folders.run.glob(f"*/{COST}"):
        shutil.rmtree(log.parent)


def _run_records(cell: Cell, scored: Sequence[Sequence[ScoredUnit]]) -> tuple[RunRecord, ...]:
    """Each run by itself; none where there is only one."""
    runs = cell.runs()
    if len(runs) == 1:
        return ()
    return tuple(
        RunRecord(
            dates={site: [str(day) for day in days] for site, days in run.items()},
            sites=sites_of_run(cell, units),
        )
        for run, units in zip(runs, scored, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Effort:
    """What making the maps took; see `CellRecord`."""

    seconds: dict[str, float]
    parameters: int
    diverged: bool


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - began


def _map_network(cell: Cell, folders: CellFolders, compute: Compute) -> _Effort:
    plan, before = cell.plan, cell.model.pretraining
    seconds: dict[str, float] = {}
    if before is not None:
        title = f"{cell.model.name} pretraining"
        start, seconds["pretraining"] = pretrain(
            before, plan.stage, cell.seed, folders.pretrained, compute, title
        )
        plan = dataclasses.replace(plan, start=start)
    if difference_to_run(folders.run, plan) is not None:
        shutil.rmtree(folders.run)  # begun with other settings and never finished
    with suppress(DivergedError):  # it has left its last good weights, and is counted
        folders.store.train(plan, folders.run, compute, cell.name)
    model = load_model(folders.run)
    costs = {path.parent.name: read_json(path) for path in sorted(folders.run.glob(f"*/{COST}"))}
    seconds |= {name: float(cost["seconds"]) for name, cost in costs.items()}
    with _timed(seconds, "map"):
        predictor = Predictor(model, compute.device, "auto")
        for series, home in _held_out(cell, folders.maps):
            map_site(predictor, folders.run, series, home)
    parameters = sum(int(cost["parameters"]) for cost in costs.values())
    diverged = any(None in scores.values() for scores in model.spec.scores.values())
    return _Effort(seconds, parameters, diverged)


def _map_pixels(cell: Cell, folders: CellFolders) -> _Effort:
    from swath.lab.baselines.classify import fit, map_pixels  # needs scikit-learn

    assert isinstance(cell.model.settings, PixelSettings)
    seconds: dict[str, float] = {}
    with _timed(seconds, "fit"):
        model = fit(cell.dataset, cell.model.settings, cell.dates, cell.seed)
    with _timed(seconds, "map"):
        for series, home in _held_out(cell, folders.maps):
            map_pixels(model, series, home)
    return _Effort(seconds, 0, diverged=False)


def _homes(cell: Cell, maps: Path) -> tuple[Path, ...]:
    """Where the maps of each run go."""
    count = len(cell.runs())
    return (maps,) if count == 1 else tuple(maps / f"run-{at + 1}" for at in range(count))


def _held_out(cell: Cell, maps: Path) -> Iterator[tuple[Series, Path]]:
    """The series of the validation and test sites, and where their maps go."""
    for run, home in zip(cell.runs(), _homes(cell, maps), strict=True):
        for name, days in run.items():
            yield site_series(cell.dataset.site(name), cell.dataset, cell.dates, days), home


def _score(cell: Cell, maps: Path) -> tuple[Candidate, Sequence[ScoredUnit]]:
    """The candidate that is the cell's model, and what is measured of one run."""
    site_maps = read_maps(maps)
    candidate = Candidate.FUSED if site_maps[0].fusion != "mean" else Candidate.MEAN
    return candidate, cell.scoring.score(site_maps, cell.dataset)
