"""All the maps of one site: rasters, vectors and the item that describes them."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from swath.errors import OutputExistsError, Remedy
from swath.grid import Grid
from swath.mapping.jobs import FusionJob, Job, PmapJob, Runner, SeriesJob, running
from swath.mapping.mapplan import VECTORS, SitePlan, plan_series
from swath.mapping.predict import Predictor
from swath.mapping.sources import Series, Source
from swath.mapping.tilestore import TileStore, open_store
from swath.mapping.workfolder import WorkFolder, matches, recover, working
from swath.maps.item import read_threshold, write_item
from swath.maps.manifest import MANIFEST_NAME, Threshold
from swath.maps.rasters import (
    classify,
    composite,
    scene_edge,
    with_threshold,
    writing_rasters,
)
from swath.maps.sitemaps import ITEM_NAME, PMAP_NODATA, SiteMaps, read_bytes, read_grid
from swath.maps.vectors import write_vectors
from swath.metrics import STEPS
from swath.models.trained import WEIGHTS
from swath.tiles import DEFAULT_TILE_PX
from swath.workers import HERE, Workers

STRIP_PX = 512
"""Rows of a scene that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class MappedSite:
    """What mapping a site gave.

    Attributes:
        maps: The maps.
        made: Names of the files that were made now; empty if all were there already.
        threshold: Of the foreground's score; None with more than two classes.
        class_share: Class name -> its share of the pixels with data, 0..1.
        seconds: Wall time of all that was done for the site.
        stages: Stage -> its wall time in seconds.
        mpx_per_s: Megapixels of images (pixels x dates) mapped and written a second; 0 if none was.
    """

    maps: SiteMaps
    made: tuple[str, ...]
    threshold: float | None
    class_share: dict[str, float]
    seconds: float
    stages: dict[str, float]
    mpx_per_s: float


@dataclass(slots=True)
class Stages:
    """Wall time by stage.

    Attributes:
        seconds: Stage -> seconds.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began


def map_site(
    predictor: Predictor,
    run: Path,
    series: Series,
    out: Path,
    *,
    tile_px: int = DEFAULT_TILE_PX,
    overwrite: bool = False,
    resume: bool = False,
    workers: Workers = HERE,
    threshold: Threshold = "scene",
) -> MappedSite:
    """Map a series into `out`/<site>: all of its files, or none.

    What a run that broke off had finished is taken up; the result has the same bytes as if nothing
    had happened. Other sites in `out` stay as they are.

    Args:
        predictor: The run's model.
        run: The run's folder, which holds the weights.
        series: What to map.
        out: MAPS.
        tile_px: Largest side of a tile.
        overwrite: Whether maps of this site may be replaced; all is computed anew.
        resume: Whether maps of this site may be replaced where they were made from something
            else; what depends on nothing that differs is kept.
        workers: Who runs the networks.
        threshold: Of the classes, see `swath.maps.manifest.Settings`.

    Raises:
        OutputExistsError: The site has other maps already, and neither flag is set.
        SettingsError: A tile size that is not a positive multiple of the model's stride.
        InputError: An image cannot be read.
        BusyError: Another process is mapping this site.
    """
    out = workers.locate(out)
    plan = plan_series(predictor, run, series, out / series.site, tile_px, threshold)
    with running(predictor, run, out, workers) as runner:
        return make_site(plan, predictor, run, runner, overwrite=overwrite, resume=resume)


def make_site(
    plan: SitePlan,
    predictor: Predictor,
    run: Path,
    runner: Runner,
    *,
    overwrite: bool = False,
    resume: bool = False,
) -> MappedSite:
    """Make what a plan says; see `map_site`, which plans and makes.

    Args:
        plan: Of `plan_series`.
        predictor: The run's model.
        run: The run's folder.
        runner: Runs the networks.
        overwrite: As of `map_site`.
        resume: As of `map_site`.
    """
    began = time.perf_counter()
    stages = Stages()
    made: list[str] = []
    if not is_made(plan, overwrite=overwrite, resume=resume):
        with working(plan.maps.folder, anew=overwrite) as place:
            fill(place, plan, predictor, runner, stages)
            finish(place, plan, predictor, run)
            made = place.made
    return describe(plan.maps, made, plan.grid, stages, began)


def is_made(plan: SitePlan, *, overwrite: bool = False, resume: bool = False) -> bool:
    """Whether the maps of a plan are there already.

    Raises:
        OutputExistsError: Something else is there, and may not be replaced.
    """
    home = plan.maps.folder
    recover(home)
    if overwrite or not (home.is_file() or (home.is_dir() and any(home.iterdir()))):
        return False
    if matches(home, plan.keys) and plan.maps.item_path.is_file():
        return True
    if (home / MANIFEST_NAME).is_file():
        if resume:
            return False
        raise OutputExistsError(
            home,
            ", made from other images, another model or other settings",
            Remedy.OVERWRITE_OR_RESUME,
        )
    raise OutputExistsError(home)


def fill(
    place: WorkFolder, plan: SitePlan, predictor: Predictor, runner: Runner, stages: Stages
) -> None:
    """Make the rasters and vectors of a plan that the work folder cannot take over.

    Args:
        place: Where.
        plan: What.
        predictor: The model.
        runner: Runs the networks.
        stages: Gets the times.
    """
    for date in plan.maps.all_dates:
        name = plan.pmap(date).name
        if not place.reuse(name, plan.keys[name]):
            _make_pmap(place, plan, plan.sources[date], predictor, runner, stages)
    fused = [raster.name for raster in plan.fused]
    if not all(place.reuse(name, plan.keys[name]) for name in fused):
        _make_fused(place, plan, predictor, runner, stages)
    if not all(place.reuse(name, plan.keys[name]) for name in VECTORS):
        with stages.time("vectors"):
            write_vectors(plan.at(place.folder))
            for name in VECTORS:
                place.record(name, plan.keys[name])


def finish(place: WorkFolder, plan: SitePlan, predictor: Predictor, run: Path) -> None:
    """Write the item, and put the finished folder in its place."""
    maps = plan.at(place.folder)
    write_item(maps, predictor.model.spec, run / WEIGHTS, plan.grid)
    place.commit(plan.manifest, plan.keys, (ITEM_NAME,))


def describe(
    maps: SiteMaps, made: list[str], grid: Grid, stages: Stages, began: float
) -> MappedSite:
    """Sum up what was done since `began` (of `time.perf_counter`)."""
    new_dates = [date for date in maps.all_dates if maps.pmap_path(date).name in made]
    busy = sum(stages.seconds.get(stage, 0.0) for stage in ("images", "pmaps", "fusion", "write"))
    mapped = grid.window.size * len(new_dates) / 1e6
    return MappedSite(
        maps,
        tuple(made),
        read_threshold(maps),
        _class_share(maps),
        time.perf_counter() - began,
        stages.seconds,
        mapped / busy if new_dates else 0.0,
    )


def _make_pmap(
    place: WorkFolder,
    plan: SitePlan,
    source: Source,
    predictor: Predictor,
    runner: Runner,
    stages: Stages,
) -> None:
    raster = plan.pmap(source.date)
    key = plan.keys[raster.name]
    tiles = predictor.plan_pmaps(plan.grid.shape, plan.manifest.settings.tile_px)
    store = open_store(place.tiles, key, len(raster.bands), tiles)
    scratch = place.scratch / key[:32]
    if store.missing():
        with stages.time("images"):
            image = source.prepare(scratch)
        with stages.time("pmaps"):
            runner(PmapJob(image), store, f"mapping {plan.maps.site} {source.date}")
    with stages.time("write"):
        with writing_rasters(place.folder, plan.grid, [raster]) as write:
            for window, codes in store.read():
                write(window, [codes])
        place.record(raster.name, key)
    shutil.rmtree(store.folder)
    shutil.rmtree(scratch, ignore_errors=True)


def _make_fused(
    place: WorkFolder, plan: SitePlan, predictor: Predictor, runner: Runner, stages: Stages
) -> None:
    dates, rasters = plan.maps.dates, plan.fused
    key = plan.keys[rasters[0].name]
    tile_px = plan.manifest.settings.tile_px
    tiles = predictor.plan_fusion(plan.grid.shape, len(dates), tile_px)
    store = open_store(place.tiles, key, len(rasters[0].bands), tiles)
    maps = plan.at(place.folder)
    paths = tuple(maps.pmap_path(date) for date in dates)
    scratch = place.scratch / key[:32]
    job: Job = FusionJob(paths, plan.grid.window.size)
    if predictor.series is not None and store.missing():
        with stages.time("images"):
            job = SeriesJob(tuple(plan.sources[date].prepare(scratch) for date in dates))
    with stages.time("fusion"):
        runner(job, store, f"fusing {plan.maps.site}")
    with stages.time("write"):
        edge = _edge(plan.manifest.settings.threshold, store)
        named = with_threshold(rasters, edge) if len(plan.maps.legend.classes) == 2 else rasters
        with writing_rasters(place.folder, plan.grid, named) as write:
            for window, codes in store.read():
                dated = np.stack([read_bytes(path, window) for path in paths])
                write(window, [codes, classify(codes, edge)[None], composite(dated, dates)])
        for raster in rasters:
            place.record(raster.name, key)
    shutil.rmtree(store.folder)
    shutil.rmtree(scratch, ignore_errors=True)


def _edge(wanted: Threshold, store: TileStore) -> int:
    """The edge of a threshold; the scene's is found in the finished tiles."""
    if wanted == "scene":
        return scene_edge(codes for _, codes in store.read())
    return round(wanted * STEPS)


def _class_share(maps: SiteMaps) -> dict[str, float]:
    names = maps.legend.names
    counts = np.zeros(PMAP_NODATA + 1, np.int64)
    for strip in read_grid(maps.classes_path).window.strips(STRIP_PX):
        classes = read_bytes(maps.classes_path, strip)
        counts += np.bincount(classes.ravel(), minlength=len(counts))
    known = max(1, int(counts[: len(names)].sum()))
    return {name: int(count) / known for name, count in zip(names, counts, strict=False)}
