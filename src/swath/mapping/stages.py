"""All the maps of one site: rasters, vectors and the item that describes them."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from swath.errors import OutputExistsError, Remedy
from swath.grid import Grid
from swath.mapping.jobs import FusionJob, Job, PmapJob, Runner, SeriesJob, running
from swath.mapping.mapplan import VECTORS, SitePlan, plan_series
from swath.mapping.options import DEFAULTS, MapOptions
from swath.mapping.predict import Predictor
from swath.mapping.sources import Series, Source
from swath.mapping.tilestore import TileStore, open_store
from swath.mapping.workfolder import WorkFolder, matches, recover, working
from swath.maps.item import Maker, write_item
from swath.maps.manifest import CLASSES_NAME, MANIFEST_NAME, Threshold
from swath.maps.rasters import (
    classify,
    composite,
    scene_edge,
    with_threshold,
    writing_rasters,
)
from swath.maps.sitemaps import ITEM_NAME, PMAP_NODATA, SiteMaps, read_bytes, read_grid
from swath.maps.vectors import write_vectors
from swath.metrics import STEPS, threshold
from swath.models.trained import WEIGHTS

STRIP_PX = 512
"""Rows of a scene that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class MappedSite:
    """What mapping a site gave.

    Attributes:
        maps: The maps.
        new_files: Names of the files that were made just now; empty if all were there already.
        threshold: Of the foreground's score; None with more than two classes.
        class_share: Class name -> its share of the pixels with data, 0..1.
        seconds: Wall time of all that was done for the site.
        stages: Stage -> its wall time in seconds.
        mpx_per_s: Megapixels of images (pixels x dates) mapped and written a second; 0 if none was.
    """

    maps: SiteMaps
    new_files: tuple[str, ...]
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
    options: MapOptions = DEFAULTS,
) -> MappedSite:
    """Map a series into `out`/<site>; see `map_sites`."""
    (site,) = map_sites(predictor, run, [series], out, options)
    return site


def map_sites(
    predictor: Predictor,
    run: Path,
    wanted: Sequence[Series],
    out: Path,
    options: MapOptions = DEFAULTS,
    reads: Sequence[Path] = (),
) -> tuple[MappedSite, ...]:
    """Map every series into `out`/<site>: of each site all of its files, or none.

    What a run that broke off had finished is taken up; the result has the same bytes as if nothing
    had happened. Other sites in `out` stay as they are. All are planned before the first is mapped.

    Args:
        predictor: The run's model.
        run: The run's folder, which holds the weights.
        wanted: What to map.
        out: MAPS.
        options: How; what concerns the networks is the predictor's.
        reads: Folders that workers read from, apart from `run` and `out`.

    Raises:
        OutputExistsError: A site has other maps already, and neither `overwrite` nor `resume` is
            set.
        SettingsError: A tile size that is not a positive multiple of the model's stride.
        InputError: An image cannot be read.
        BusyError: Another process is mapping a site.
    """
    home = options.workers.locate(out)
    plans = [
        plan_series(predictor, run, series, home / series.site, options.tile_px, options.threshold)
        for series in wanted
    ]
    for plan in plans:
        is_made(plan, options)
    with running(predictor, run, home, options.workers, reads) as runner:
        return tuple(_make_site(plan, predictor, run, runner, options) for plan in plans)


def _make_site(
    plan: SitePlan, predictor: Predictor, run: Path, runner: Runner, options: MapOptions
) -> MappedSite:
    began = time.perf_counter()
    stages = Stages()
    names: list[str] = []
    if not is_made(plan, options):
        with working(plan.maps.folder, anew=options.overwrite) as place:
            fill(place, plan, predictor, runner, stages)
            finish(place, plan, predictor, run)
            names = place.new_files
    return describe(plan.maps, names, plan.grid, stages, began)


def is_made(plan: SitePlan, options: MapOptions) -> bool:
    """Whether the maps of a plan are there already.

    Raises:
        OutputExistsError: Something else is there, and may not be replaced.
    """
    home = plan.maps.folder
    recover(home)
    if options.overwrite or not (home.is_file() or (home.is_dir() and any(home.iterdir()))):
        return False
    if matches(home, plan.keys) and plan.maps.item_path.is_file():
        return True
    if (home / MANIFEST_NAME).is_file():
        if options.resume:
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
    spec = predictor.model.spec
    maker = Maker(spec.name, spec.image.bands, spec.scaling, run / WEIGHTS)
    edge = place.output(CLASSES_NAME).threshold
    write_item(plan.at(place.folder), maker, plan.grid, edge)
    place.commit(plan.manifest, plan.keys, (ITEM_NAME,))


def describe(
    maps: SiteMaps, names: list[str], grid: Grid, stages: Stages, began: float
) -> MappedSite:
    """Sum up what was done since `began` (of `time.perf_counter`): the files `names` were made."""
    new_dates = [date for date in maps.all_dates if maps.pmap_path(date).name in names]
    busy = sum(stages.seconds.get(stage, 0.0) for stage in ("images", "pmaps", "fusion", "write"))
    mapped = grid.window.size * len(new_dates) / 1e6
    return MappedSite(
        maps,
        tuple(names),
        maps.threshold,
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
        cut = threshold(edge) if len(plan.maps.legend.classes) == 2 else None
        tagged = rasters if cut is None else with_threshold(rasters, cut)
        with writing_rasters(place.folder, plan.grid, tagged) as write:
            for window, codes in store.read():
                dated = np.stack([read_bytes(path, window) for path in paths])
                write(window, [codes, classify(codes, edge)[None], composite(dated, dates)])
        for raster in rasters:
            place.record(raster.name, key, cut if raster.name == CLASSES_NAME else None)
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
