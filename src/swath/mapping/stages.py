"""All the maps of one site: rasters, vectors and the item that describes them."""

import datetime as dt
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swath.errors import OutputExistsError, Remedy
from swath.mapping.jobs import FusionJob, Job, PmapJob, Runner, SeriesJob, running
from swath.mapping.mapplan import SitePlan, plan_series
from swath.mapping.options import DEFAULTS, MapOptions
from swath.mapping.predict import DatedImage, Predictor
from swath.mapping.sources import Series
from swath.mapping.tilestore import TileStore, open_store
from swath.mapping.workfolder import WorkFolder, matches, working
from swath.maps.images import image_paths
from swath.maps.item import write_item
from swath.maps.manifest import CLASSES_NAME, MANIFEST_NAME, Threshold
from swath.maps.project import desktop_files
from swath.maps.rasters import (
    Raster,
    fused_layers,
    scene_edge,
    with_threshold,
    writing_rasters,
)
from swath.maps.sitemaps import ITEM_NAME, PMAP_NODATA, SiteMaps, read_bytes, read_codes
from swath.maps.vectors import write_vectors
from swath.metrics.histogram import STEPS, threshold
from swath.models.trained import WEIGHTS
from swath.outfolder import Kind, check_out, clash, recover
from swath.tiles import Tile

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


class Stages:
    """Wall time by stage.

    Attributes:
        began: When all began, of `time.perf_counter`.
        seconds: Stage -> seconds.
    """

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began

    def describe(self, maps: SiteMaps, names: Sequence[str] = ()) -> MappedSite:
        """Sum up what was done for a site: the files `names` were made."""
        new_dates = [date for date in maps.all_dates if maps.pmap_path(date).name in names]
        stages = ("images", "pmaps", "fusion", "write")
        busy = sum(self.seconds.get(stage, 0.0) for stage in stages)
        mapped = maps.grid.window.size / maps.finer**2 * len(new_dates) / 1e6
        return MappedSite(
            maps,
            tuple(names),
            maps.threshold,
            _class_share(maps),
            time.perf_counter() - self.began,
            self.seconds,
            mapped / busy if new_dates else 0.0,
        )


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

    What a run that broke off had finished is taken up; the bytes are the same as if nothing had
    happened. Other sites in `out` stay as they are. All are planned before the first is mapped.

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
    how = (options.tile_px, options.threshold, options.unit_ha)
    plans = [plan_series(predictor, run, series, home / series.site, *how) for series in wanted]
    for plan in plans:
        _is_there(plan, options)
    with running(predictor, run, home, options.workers, reads) as runner:
        return tuple(_map_plan(plan, predictor, run, runner, options) for plan in plans)


def _map_plan(
    plan: SitePlan, predictor: Predictor, run: Path, runner: Runner, options: MapOptions
) -> MappedSite:
    stages = Stages()
    if _is_there(plan, options):
        return stages.describe(plan.maps)
    with working(plan.maps.folder, plan.reads, anew=options.overwrite) as place:
        Making(place, plan, predictor, runner, stages).fill()
        finish(place, plan, predictor, run)
    return stages.describe(plan.maps, place.new_files)


def _is_there(plan: SitePlan, options: MapOptions) -> bool:
    """Whether the maps of a plan are there already; OutputExistsError if others are, to be kept."""
    home = plan.maps.folder
    recover(home)
    if options.overwrite or not (home / MANIFEST_NAME).is_file():
        check_out(home, Kind.MAPS, plan.reads, overwrite=options.overwrite)
        return False
    if matches(home, plan.keys) and plan.maps.item_path.is_file():
        return True
    if why := clash(home, plan.reads):
        raise OutputExistsError(home, f" and {why}", Remedy.ELSEWHERE)
    if not options.resume:
        raise OutputExistsError(
            home,
            ", made from other images, another model or other settings",
            Remedy.OVERWRITE_OR_RESUME,
        )
    return False


def finish(place: WorkFolder, plan: SitePlan, predictor: Predictor, run: Path) -> None:
    """Write the item, and put the finished folder in its place."""
    edge = place.output(CLASSES_NAME).threshold
    maps = plan.at(place.folder)
    write_item(maps, predictor.model.spec, run / WEIGHTS, plan.map_grid, edge)
    mapped = {date: fact.source for date, fact in plan.manifest.dates.items()}
    pictures = [path.name for path in image_paths(plan.maps, mapped).values()]
    place.keep(pictures)
    desktop = desktop_files(maps)
    for name, content in desktop.items():
        (place.folder / name).write_bytes(content)
    place.commit(plan.manifest, plan.keys, (ITEM_NAME, *pictures, *desktop))


@dataclass(frozen=True, slots=True)
class Making:
    """The making of a site's rasters and vectors: where, what, by what and whom, in which time."""

    place: WorkFolder
    plan: SitePlan
    predictor: Predictor
    runner: Runner
    stages: Stages

    def fill(self) -> None:
        """Make the files of the plan that the work folder cannot take over."""
        for date in self.plan.maps.all_dates:
            if not self._reuse(self.plan.pmap(date).name):
                self._make_pmap(date)
        if not self._reuse(*(raster.name for raster in self.plan.fused)):
            self._make_fused()
        vectors = [path.name for path in self.plan.maps.vector_paths]
        if not self._reuse(*vectors):
            with self.stages.time("vectors"):
                edge = self.place.output(CLASSES_NAME).threshold
                write_vectors(self.plan.at(self.place.folder), edge, self.plan.manifest.settings.unit_ha)
                for name in vectors:
                    self.place.record(name, self.plan.keys[name])

    def _reuse(self, *names: str) -> bool:
        return all(self.place.reuse(name, self.plan.keys[name]) for name in names)

    def _make_pmap(self, date: dt.date) -> None:
        plan, raster = self.plan, self.plan.pmap(date)
        tiles = self.predictor.plan_pmaps(plan.grid.shape, plan.manifest.settings.tile_px)
        with self._computed(raster, tiles, [date], "pmaps", lambda ready: PmapJob(*ready)) as store:
            with writing_rasters(self.place.folder, plan.grid, [raster]) as write:
                for window, codes in store.read():
                    write(window, [codes])
            self.place.record(raster.name, plan.keys[raster.name])

    def _make_fused(self) -> None:
        plan, rasters, dates = self.plan, self.plan.fused, self.plan.maps.dates
        settings = plan.manifest.settings
        tiles = self.predictor.plan_fusion(plan.grid.shape, len(dates), settings.tile_px)
        paths = tuple(plan.at(self.place.folder).pmap_path(date) for date in dates)
        whole = self.predictor.series is not None

        def job(ready: tuple[DatedImage, ...]) -> Job:
            return SeriesJob(ready) if whole else FusionJob(paths, plan.map_grid.window.size)

        with self._computed(rasters[0], tiles, dates if whole else (), "fusion", job) as store:
            edge = _edge(settings.threshold, store)
            cut = threshold(edge) if len(plan.maps.legend.classes) == 2 else None
            tagged = rasters if cut is None else with_threshold(rasters, cut)
            with writing_rasters(self.place.folder, plan.grid, tagged) as write:
                for window, codes in store.read():
                    part = window.finer(plan.maps.finer)
                    dated = np.stack([read_codes(path, part) for path in paths])
                    write(window, fused_layers(codes, dated, dates, edge, plan.maps.finer))
            for raster in rasters:
                at = cut if raster.name == CLASSES_NAME else None
                self.place.record(raster.name, plan.keys[raster.name], at)

    @contextmanager
    def _computed(
        self,
        raster: Raster,
        tiles: Sequence[Tile],
        dates: Sequence[dt.date],
        stage: str,
        job: Callable[[tuple[DatedImage, ...]], Job],
    ) -> Iterator[TileStore]:
        """The tiles of a raster, computed from the images of `dates`; the block writes them."""
        key = self.plan.keys[raster.name]
        store = open_store(self.place.tiles, key, raster.planes, tiles, raster.finer)
        scratch = self.place.scratch / key[:32]
        if store.missing():
            with self.stages.time("images"):
                ready = tuple(self.plan.sources[date].prepare(scratch) for date in dates)
            with self.stages.time(stage):
                self.runner(job(ready), store, f"mapping {self.plan.maps.site}: {raster.name}")
        with self.stages.time("write"):
            yield store
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
    for strip in maps.grid.window.strips(STRIP_PX):
        classes = read_bytes(maps.classes_path, strip)
        counts += np.bincount(classes.ravel(), minlength=len(counts))
    known = max(1, int(counts[: len(names)].sum()))
    return {name: int(count) / known for name, count in zip(names, counts, strict=False)}
