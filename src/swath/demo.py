"""A real town mapped with the weights that come with swath, then the whole way on a simulated world.

Every step reads the files that the step before has written, with the functions that the commands
use. What is measured on the simulated world says that the program works, not how well it maps real places.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from swath.conflation.conflate import conflate_site
from swath.conflation.tasks import CANDIDATES, write_conflation
from swath.dataset.build import build_dataset
from swath.errors import OutputExistsError, Remedy
from swath.evaluation.evaluate import evaluate
from swath.evaluation.report import Report
from swath.extras import need_extras
from swath.labels.source import LabelSettings
from swath.mapping.options import MapOptions
from swath.mapping.request import Request, map_request, map_scenes
from swath.maps.sitemaps import read_maps
from swath.maps.vectors import line_km
from swath.models.starter import STARTER
from swath.models.trained import load_model
from swath.outfolder import Kind, check_out, replacing_folder
from swath.progress import console, tell
from swath.report.folder import write_report
from swath.simulate.world import write_world
from swath.sites.crop import Crop, open_crop
from swath.sites.schema import SplitName
from swath.training.presets import TrainSettings, preset
from swath.viewer.page import write_page
from swath.viewer.publish import PAGE_NAME, publish

STEPS = 6

SIMULATED = "simulated"
"""Folder of the simulated world, beside the town's."""

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
class TownResult:
    """A real town beside OpenStreetMap, as `map_town` leaves it.

    Attributes:
        town: What was mapped.
        maps: MAPS.
        candidates: Folder with the lines to check, as `swath conflate` writes it.
        page: The map as a page, with the lines to check.
        roads_km: Roads of the map.
        both_km: Roads of OpenStreetMap that the map has, too.
        osm_only_km: Those that it has not.
        map_only_km: Roads of the map where OpenStreetMap has nothing: the candidates.
        seconds: Wall time.
    """

    town: Crop
    maps: Path
    candidates: Path
    page: Path
    roads_km: float
    both_km: float
    osm_only_km: float
    map_only_km: float
    seconds: float


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo left in its folder, as the commands leave it.

    Attributes:
        town: The real town.
        sites_file: The simulated world as a user would have it.
        dataset: DATASET.
        run: RUN.
        maps: MAPS.
        page: The report as a page.
        report: What it holds.
        seconds: Wall time of all steps.
    """

    town: TownResult
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
    """Map a real town, then go the whole way on a simulated world.

    Args:
        out: Folder for the town (see `map_town`) and for `simulated`, with `world`, `dataset`, `run`,
            `maps` and `report`.
        seed: Of the world, the training and the intervals; the same seed gives the same scores.
        device: `auto`, `cpu` or `cuda`.
        overwrite: Whether a demo that is there may be replaced; it stands until the new one is whole.
        plan: How large the world is; None for the full demo of a few minutes.

    Raises:
        MissingExtraError: A package of the extras `train` or `report` is not installed.
        OutputExistsError: `out` holds something and may not be overwritten.
    """
    need_extras("swath demo", "train", "report")
    plan, began, made = plan or DemoPlan(), time.perf_counter(), out / SIMULATED
    _check_place(out)
    check_out(made, Kind.DEMO, overwrite=overwrite)
    _headline(1, "map a real town with the starter weights", out / open_crop().name)
    town = map_town(out, device=device, overwrite=overwrite)
    for line in town_lines(town):
        tell(f"  {line}")
    try:
        with replacing_folder(made, Kind.DEMO, overwrite=overwrite) as folder:
            sites_file, report = _simulate(folder, made, plan, seed, device, town.page)
    except KeyboardInterrupt:
        tell(f"kept: the map of the real town ({town.page}); of the simulated world nothing")
        raise
    return DemoResult(
        town,
        made / "world" / sites_file.name,
        made / "dataset",
        made / "run",
        made / "maps",
        made / "report" / "report.html",
        report,
        time.perf_counter() - began,
    )


def _simulate(
    folder: Path, made: Path, plan: DemoPlan, seed: int, device: str, town: Path
) -> tuple[Path, Report]:
    """The whole way on the simulated world, in `folder`, which will be `made`: its sites file and scores."""
    from swath.training.compute import Compute
    from swath.training.train import train
    from swath.training.trainplan import TrainPlan

    world, data, run, maps = (folder / name for name in ("world", "dataset", "run", "maps"))
    _headline(2, f"invent {len(plan.splits)} towns, with {plan.dates} images each", made / "world")
    tell(f"  {made} is there when the last step is done")
    sites_file = write_world(world, plan.splits, seed=seed, size_px=plan.size_px, dates=plan.dates)
    _headline(3, "build a dataset: images and road labels on one grid a town", made / "dataset")
    dataset = build_dataset(sites_file, data)
    _headline(4, "train: a network for one image, then one that joins the dates", made / "run")
    tell(f"  some minutes; the map of the real town is ready: Ctrl-C ends here and keeps it ({town})")
    train(TrainPlan(dataset, plan.settings, seed=seed), run, Compute(device))
    _headline(5, "map all towns with what was trained", made / "maps")
    map_scenes(dataset, run, out=maps, options=MapOptions(device))
    _headline(6, "score the maps, beside simple rules that need no training", made / "report")
    evaluation = evaluate(maps, dataset, seed=seed)
    places = {"maps": str(made / "maps"), "dataset": str(made / "dataset")}
    report = evaluation.report.model_copy(update=places)
    write_report(replace(evaluation, report=report), folder / "report")
    return sites_file, report


def map_town(
    out: Path, town: Crop | None = None, *, device: str = "auto", overwrite: bool = False
) -> TownResult:
    """Map a town with the starter weights, lay the map beside OpenStreetMap, and write a page of both.

    Args:
        out: Where a folder with the town's name goes: `maps`, `candidates` and the page, `index.html`.
        town: Which; None: the real crop that comes with swath.
        device: `auto`, `cpu` or `cuda`.
        overwrite: Whether such a folder may be replaced.

    Raises:
        OutputExistsError: The folder is there and may not be replaced.
    """
    town = town or open_crop()
    began = time.perf_counter()
    home, reads = out / town.name, (*town.scenes, town.roads)
    with replacing_folder(home, Kind.DEMO, reads, overwrite=overwrite) as folder:
        maps, candidates = folder / "maps", folder / "candidates"
        model, request = load_model(STARTER), Request(town.scenes, town.name)
        map_request(request, model, maps, MapOptions(device))
        publish(maps, request, model.spec)
        (site,) = read_maps(maps)
        found = conflate_site(site, LabelSettings(path=str(town.roads)))
        write_conflation(found, site, candidates, reads)
        write_page([maps], folder / PAGE_NAME, [candidates / CANDIDATES])
        roads_km = sum(line_km(site).values())
    parts = (found.both, found.osm_only, found.map_only)
    both_km, osm_only_km, map_only_km = (float(frame["length_m"].sum()) / 1e3 for frame in parts)
    return TownResult(
        town,
        home / "maps",
        home / "candidates",
        home / PAGE_NAME,
        roads_km,
        both_km,
        osm_only_km,
        map_only_km,
        time.perf_counter() - began,
    )


def town_lines(result: TownResult) -> tuple[str, ...]:
    """What a newcomer should know of a mapped town, a line each."""
    days = " and ".join(path.stem for path in result.town.scenes)
    agree = 100 * result.both_km / (result.both_km + result.osm_only_km)
    return (
        f"{result.town.name.capitalize()}, images of {days}: {result.roads_km:.0f} km of road found",
        f"of OpenStreetMap's roads, the map has {agree:.0f} %",
        f"{result.map_only_km:.0f} km are on the map alone: new roads, yards, or errors; a list to check",
        "the weights learnt from this town: it shows what you get, not how good it is elsewhere",
        f"look at it in a browser: {result.page}",
    )


def _check_place(out: Path) -> None:
    """Raise `OutputExistsError` if a folder holds something that no demo wrote."""
    ours = {open_crop().name, SIMULATED}
    others = [path.name for path in out.iterdir() if path.name not in ours] if out.is_dir() else []
    if foreign := [name for name in others if not name.startswith(".")]:
        why = f" and holds {min(foreign)}, which swath demo did not write"
        raise OutputExistsError(out, why, Remedy.ELSEWHERE)


def _headline(step: int, what: str, folder: Path) -> None:
    console.print(f"step {step}/{STEPS}: {what} -> {folder}", style="bold", highlight=False, soft_wrap=True)
