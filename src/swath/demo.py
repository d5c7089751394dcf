"""The whole way on a small simulated world: simulate, build, train, map, evaluate.

Every step reads the files that the step before has written, with the functions that the commands
use. What is measured here says that the program works, not how well it maps real places.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from swath.dataset.build import build_dataset
from swath.errors import MissingExtraError
from swath.evaluation.evaluate import evaluate
from swath.evaluation.report import Report
from swath.mapping.options import MapOptions
from swath.mapping.request import map_scenes
from swath.outfolder import Kind, replacing_folder
from swath.progress import console
from swath.report.folder import write_report
from swath.simulate.world import write_world
from swath.sites.schema import SplitName
from swath.training.presets import TrainSettings, preset

SPLITS: dict[str, SplitName] = {
    "sim_1": "train",
    "sim_2": "train",
    "sim_3": "train",
    "sim_4": "validation",
    "sim_5": "test",
}
"""The towns; their names say in every table that they are simulated."""


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """How large the demo is: towns with their splits, side and dates of each; and the training."""

    splits: Mapping[str, SplitName] = field(default_factory=lambda: dict(SPLITS))
    size_px: int = 512
    dates: int = 3
    settings: TrainSettings = field(default_factory=lambda: preset("demo"))


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo left in its folder, as the commands leave it.

    Attributes:
        sites_file: The simulated world as a user would have it.
        dataset: DATASET.
        run: RUN.
        maps: MAPS.
        page: The report as a page.
        report: What it holds.
        seconds: Wall time of all steps.
    """

    sites_file: Path
    dataset: Path
    run: Path
    maps: Path
    page: Path
    report: Report
    seconds: float


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    plan: DemoPlan | None = None,
) -> DemoResult:
    """Go the whole way on a simulated world.

    Args:
        out: Folder for `world`, `dataset`, `run`, `maps` and `report`.
        seed: Of the world, the training and the intervals; the same seed gives the same scores.
        device: `auto`, `cpu` or `cuda`.
        overwrite: Whether a demo that is there may be replaced; it stands until the new one is whole.
        plan: How large; None for the full demo of a few minutes.

    Raises:
        MissingExtraError: A package of the extras `train` or `report` is not installed.
        OutputExistsError: `out` holds something and may not be overwritten.
    """
    for module in ("pytorch_lightning", "jinja2", "matplotlib"):
        if find_spec(module) is None:
            raise MissingExtraError("swath demo", module, "all")
    from swath.training.compute import Compute
    from swath.training.train import train
    from swath.training.trainplan import TrainPlan

    plan = plan or DemoPlan()
    began = time.perf_counter()
    with replacing_folder(out, Kind.DEMO, overwrite=overwrite) as folder:
        world, data, run, maps = (folder / name for name in ("world", "dataset", "run", "maps"))
        _headline(1, f"simulate {len(plan.splits)} towns, {plan.dates} dates each", out / "world")
        sites_file = write_world(world, plan.splits, seed=seed, size_px=plan.size_px, dates=plan.dates)
        _headline(2, "build the dataset: images and labels on one grid a town", out / "dataset")
        dataset = build_dataset(sites_file, data)
        _headline(3, "train the U-Net, then the ConvLSTM on its probability maps", out / "run")
        train(TrainPlan(dataset, plan.settings, seed=seed), run, Compute(device))
        _headline(4, "map all towns", out / "maps")
        map_scenes(dataset, run, out=maps, options=MapOptions(device))
        _headline(5, "evaluate the maps beside the controls", out / "report")
        evaluation = evaluate(maps, dataset, seed=seed)
        places = {"maps": str(out / "maps"), "dataset": str(out / "dataset")}
        report = evaluation.report.model_copy(update=places)
        write_report(replace(evaluation, report=report), folder / "report")
    seconds = time.perf_counter() - began
    page = out / "report" / "report.html"
    sites_file = out / "world" / sites_file.name
    return DemoResult(sites_file, out / "dataset", out / "run", out / "maps", page, report, seconds)


def _headline(step: int, what: str, folder: Path) -> None:
    console.print(f"step {step}/5: {what} -> {folder}", style="bold", highlight=False, soft_wrap=True)
