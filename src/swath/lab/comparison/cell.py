"""One cell of a comparison: train, map the validation and test sites, score the test sites."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.errors import DatasetError, SettingsError
from swath.evaluation.candidate import UNTRAINED, Candidate, CandidateOrDate
from swath.evaluation.evaluate import score_class
from swath.evaluation.evidence import Rule
from swath.evaluation.measurement import POOLED, RESAMPLES, Measurement, Unit
from swath.evaluation.truth import truths_of_dataset
from swath.files import read_json, replacing, write_json
from swath.lab.comparison.cells import Cell
from swath.lab.comparison.pretraining import pretrain
from swath.mapping.predict import Predictor
from swath.mapping.sources import Series, site_series
from swath.mapping.stages import map_site
from swath.maps.sitemaps import read_maps
from swath.models.trained import load_model
from swath.training.fit import COST
from swath.training.presets import TrainSettings
from swath.training.runfolder import RUN_FILE, plan_run
from swath.training.store import StageStore
from swath.training.train import train

RECORD = "cell.json"
SAMPLES = "samples.npz"

SCORES: dict[str, tuple[str, Rule]] = {
    "pr_auc": ("pr_auc", "half"),
    "line_f1_2": ("line_f1_2", "validation"),
    "iou": ("iou", "validation"),
    "iou_scene": ("iou", "scene"),
    "iou_half": ("iou", "half"),
    "ece": ("ece", "half"),
    "accuracy": ("accuracy", "half"),
}
"""Score of the leaderboard -> (score of the report, threshold rule; 0.5 without validation)."""

Values = dict[str, float]
"""Score of the leaderboard -> value; NaN where it is not defined."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished cell found.

    Attributes:
        own: The candidate that is the cell's model: the fused map, or the mean of the dates.
        sites: Test site -> candidate -> scores.
        samples: Test site -> candidate -> (resamples, scores of `SCORES`) over resampled blocks of
            the site; NaN where there are none. Empty if they were not read.
        chosen: Control -> PR-AUC on the validation sites; empty without any.
        seconds: Step -> wall time; a shared first stage counts in every cell that uses it.
        parameters: Trained weights of all networks; 0 for a classical method.
        diverged: Whether a training ended in numbers that are not finite.
    """

    own: str
    sites: dict[str, dict[str, Values]]
    samples: dict[str, dict[str, NDArray[np.float32]]]
    chosen: dict[str, float]
    seconds: dict[str, float]
    parameters: int
    diverged: bool

    @property
    def minutes(self) -> float:
        """Wall time of the training."""
        return sum(self.seconds[step] for step in self.seconds if step not in ("map", "score")) / 60


def finished(folder: Path, cell: Cell) -> bool:
    """Whether the cell is done.

    Raises:
        SettingsError: It is, but with other settings or data.
    """
    if not (folder / RECORD).is_file():
        return False
    before = read_json(folder / RECORD)["decided_by"]
    now = cell.decided_by
    changed = [key for key in {**now, **before} if before.get(key) != now.get(key)]
    if changed:
        raise SettingsError(
            f"{folder} was made with other {' and '.join(changed)}; choose another --out, or "
            "remove that folder to make it anew"
        )
    return True


def run_cell(
    cell: Cell, folder: Path, store: StageStore, pretrained: Path, device: str = "auto"
) -> None:
    """Train, map and score; go on where an earlier attempt stopped.

    The folder gets `run` (the model; none of a classical method), `maps`, and in the end
    `samples.npz` and `cell.json`.

    Args:
        cell: What to do.
        folder: Of the cell.
        store: First stages that other cells have trained.
        pretrained: Folder of what models are trained on before, shared by all cells.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        DatasetError: A test site without a labelled pixel.
    """
    maps = folder / "maps"
    shutil.rmtree(maps, ignore_errors=True)
    if cell.model.network is None:
        made = _map_pixels(cell, maps)
    else:
        made = _map_network(cell, cell.model.network, folder, store, pretrained, device)
    seconds = dict(made.seconds)
    runs = cell.runs()
    with _timed(seconds, "score"):
        scored = [_score(cell, home) for home in _homes(cell, maps)]
    record = {
        "decided_by": cell.decided_by,
        "own": scored[0][0],
        "dates": cell.dates,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "parameters": made.parameters,
        "diverged": made.diverged,
        **_combined(cell, [units for _, units in scored], folder),
    }
    if len(runs) > 1:
        record["runs"] = [
            {
                "dates": {site: [str(day) for day in days] for site, days in run.items()},
                "sites": _of_test_sites(cell, units),
            }
            for run, (_, units) in zip(runs, scored, strict=True)
        ]
    write_json(folder / RECORD, record)
    for log in (folder / "run").glob(f"*/{COST}"):
        shutil.rmtree(log.parent)


@dataclass(frozen=True, slots=True)
class _Made:
    """What making the maps took; see `Result`."""

    seconds: dict[str, float]
    parameters: int
    diverged: bool


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - began


def _map_network(
    cell: Cell,
    settings: TrainSettings,
    folder: Path,
    store: StageStore,
    pretrained: Path,
    device: str,
) -> _Made:
    run, maps = folder / "run", folder / "maps"
    start, before = None, cell.model.pretraining
    seconds: dict[str, float] = {}
    if before is not None:
        title = f"{cell.model.name} pretraining"
        start, seconds["pretraining"] = pretrain(
            before, cell.model.stage, cell.seed, pretrained, device, title
        )
    plan = plan_run(cell.dataset, settings, cell.seed, start)
    if (run / RUN_FILE).is_file() and read_json(run / RUN_FILE) != plan:
        shutil.rmtree(run)  # begun with other settings and never finished
    train(
        cell.dataset,
        run,
        settings,
        stage=cell.model.stage,
        seed=cell.seed,
        device=device,
        resume=True,
        overwrite=True,
        store=store,
        start=start,
        title=cell.name,
    )
    model = load_model(run)
    costs = {path.parent.name: read_json(path) for path in sorted(run.glob(f"*/{COST}"))}
    seconds |= {name: float(cost["seconds"]) for name, cost in costs.items()}
    with _timed(seconds, "map"):
        predictor = Predictor(model, device, "auto")
        for series, home in _held_out(cell, maps):
            map_site(predictor, run, series, home)
    # Cross-fitted networks are trained too, but not part of the model.
    parameters = sum(c["parameters"] for name, c in costs.items() if name in model.spec.scores)
    diverged = any(None in scores.values() for scores in model.spec.scores.values())
    return _Made(seconds, parameters, diverged)


def _map_pixels(cell: Cell, maps: Path) -> _Made:
    from swath.lab.baselines.classify import fit, map_pixels
    from swath.lab.baselines.methods import PixelSettings

    assert isinstance(cell.model.settings, PixelSettings)
    seconds: dict[str, float] = {}
    with _timed(seconds, "fit"):
        model = fit(cell.dataset, cell.model.settings, cell.dates, cell.seed)
    with _timed(seconds, "map"):
        for series, home in _held_out(cell, maps):
            map_pixels(model, series, home)
    return _Made(seconds, 0, diverged=False)


def _homes(cell: Cell, maps: Path) -> tuple[Path, ...]:
    """Where the maps of each run go."""
    count = len(cell.runs())
    return (maps,) if count == 1 else tuple(maps / f"run-{at + 1}" for at in range(count))


def _held_out(cell: Cell, maps: Path) -> Iterator[tuple[Series, Path]]:
    """The series of the validation and test sites, and where their maps go."""
    for run, home in zip(cell.runs(), _homes(cell, maps), strict=True):
        for name, days in run.items():
            yield site_series(cell.dataset.site(name), cell.dataset, cell.dates, days), home


def _score(cell: Cell, maps: Path) -> tuple[Candidate, Sequence[Unit]]:
    """The candidate that is the cell's model, and what is measured of one run."""
    site_maps = read_maps(maps)
    pairs = list(zip(site_maps, truths_of_dataset(site_maps, cell.dataset), strict=True))
    own = Candidate.FUSED if site_maps[0].fusion != "mean" else Candidate.MEAN
    # The same seed in all cells: so all models are scored on the same draws of blocks.
    return own, score_class(pairs, cell.target, seed=0).units


def _candidates(cell: Cell, units: Sequence[Unit]) -> list[CandidateOrDate]:
    """What all test sites have. They differ in dates, so single ones are no rows; their mean is."""
    test = {unit.site: unit for unit in units if unit.split == "test"}
    empty = [site for site in cell.test if site not in test]
    if empty:
        raise DatasetError(f"test site {empty[0]!r} has no labelled pixel under its map")
    return [
        model
        for (model, rule) in test[cell.test[0]].measured
        if rule == "half" and all((model, rule) in test[site].measured for site in cell.test)
    ]


def _of_test_sites(cell: Cell, units: Sequence[Unit]) -> dict[str, dict[str, dict[str, Any]]]:
    """Test site -> candidate -> scores, as JSON."""
    test = {unit.site: unit for unit in units if unit.split == "test"}
    return {
        site: {
            str(candidate): {
                score: _plain(value)
                for score, (value, _) in _read_unit(test[site], candidate).items()
            }
            for candidate in _candidates(cell, units)
        }
        for site in cell.test
    }


def _combined(cell: Cell, runs: Sequence[Sequence[Unit]], folder: Path) -> dict[str, Any]:
    """The part of the record that holds scores, means over runs; the samples lie beside it."""
    # Runs of several dates have other single dates: only what all of them have is a row.
    every = [_candidates(cell, units) for units in runs]
    candidates = [name for name in every[0] if all(name in names for names in every)]
    by_run = [_of_test_sites(cell, units) for units in runs]
    values = {
        site: {str(name): _mean([run[site][str(name)] for run in by_run]) for name in candidates}
        for site in cell.test
    }
    samples = np.full((len(cell.test), len(candidates), RESAMPLES, len(SCORES)), np.nan, np.float32)
    for i, site in enumerate(cell.test):
        for j, name in enumerate(candidates):
            samples[i, j] = np.mean([_samples(units, site, name) for units in runs], axis=0)
    with replacing(folder / SAMPLES) as temporary:
        np.savez_compressed(temporary, samples=samples)
    return {"sites": values, "candidates": list(map(str, candidates)), "chosen": _chosen(runs)}


def _samples(units: Sequence[Unit], site: str, candidate: CandidateOrDate) -> NDArray[np.float32]:
    """(resamples, scores) of a candidate on a test site; NaN where there are none."""
    (unit,) = (unit for unit in units if (unit.split, unit.site) == ("test", site))
    samples = np.full((RESAMPLES, len(SCORES)), np.nan, np.float32)
    for k, (_, drawn) in enumerate(_read_unit(unit, candidate).values()):
        if drawn is not None:
            samples[:, k] = drawn
    return samples


def _chosen(runs: Sequence[Sequence[Unit]]) -> dict[str, float]:
    """Control -> PR-AUC on the validation sites, mean over runs; empty without any."""
    found: dict[str, list[float]] = {}
    for units in runs:
        for unit in units:
            if (unit.split, unit.site) != ("validation", POOLED):
                continue
            if unit.measured[Candidate.MEAN, "half"].positives:
                for name in UNTRAINED:
                    pr_auc = unit.measured[name, "half"].values["pr_auc"]
                    found.setdefault(name, []).append(pr_auc)
    return {name: float(np.mean(values)) for name, values in found.items()}


def _mean(runs: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    """Score -> mean over runs; None where a run does not define it."""
    return {
        score: None
        if any(run[score] is None for run in runs)
        else float(np.mean([run[score] for run in runs if run[score] is not None]))
        for score in runs[0]
    }


def _plain(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else value


def _read_unit(
    unit: Unit, candidate: CandidateOrDate
) -> dict[str, tuple[float | None, NDArray[np.float64] | None]]:
    """Score of the leaderboard -> its value and its samples."""
    result = {}
    for name, (score, rule) in SCORES.items():
        measured: Measurement | None = unit.measured.get((candidate, rule))
        measured = measured or unit.measured[candidate, "half"]
        drawn = None if measured.samples is None else measured.samples.get(score)
        result[name] = (measured.values.get(score), drawn)
    return result


def read_result(folder: Path) -> Result:
    """Read a finished cell.

    Raises:
        InputError: The cell's record is missing or unreadable.
    """
    record = read_json(folder / RECORD)
    with np.load(folder / SAMPLES, allow_pickle=False) as stored:
        samples = stored["samples"]
    sites = {
        site: {
            candidate: {k: np.nan if v is None else v for k, v in scores.items()}
            for candidate, scores in candidates.items()
        }
        for site, candidates in record["sites"].items()
    }
    return Result(
        record["own"],
        sites,
        {
            site: dict(zip(record["candidates"], samples[i], strict=True))
            for i, site in enumerate(sites)
        },
        record["chosen"],
        record["seconds"],
        record["parameters"],
        record["diverged"],
    )
