"""What mapping will cost, before it starts: from rates measured on a tile of the very scenes."""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swath.errors import InputError
from swath.grid import Window
from swath.mapping.jobs import Codes, FusionJob, Job, PmapJob, SeriesJob
from swath.mapping.mapplan import SitePlan, plan_series
from swath.mapping.options import DEFAULTS, MapOptions
from swath.mapping.predict import DatedImage, Predictor
from swath.mapping.request import Request, run_of
from swath.mapping.sources import Source
from swath.mapping.stages import Stages
from swath.maps.linetable import SHEET_PX, TRACERS
from swath.maps.rasters import fused_layers, writing_rasters
from swath.maps.vectors import write_vectors
from swath.memory import peak_bytes, resident_bytes, return_freed_memory
from swath.models.trained import TrainedModel
from swath.progress import track
from swath.tiles import Tile

LOOK_PX = 256
"""Side of the middle of a tile, where data is looked for: with it, libraries set themselves up."""

SHEET_BYTES = 45
"""Of memory that tracing takes a pixel of a sheet, where roads are dense: as measured."""

SMALL_PX = 640
"""Side of what is prepared beside a whole tile, to tell what a date costs and what a pixel."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What an image pixel costs here: seconds, or bytes on disk.

    Attributes:
        image_s: To bring one date onto the grid.
        image_once_s: What that takes a date, however large it is (its dark levels, say).
        pmap_s: To run the U-Net on one date, its margins included.
        fusion_s: To fuse all dates.
        write_pmap_s: To write the PMap of one date.
        write_fused_s: To write the fused PMap, classes and composite.
        vectors_s: To trace the vectors.
        image_bytes: Of the image of one date, while it is mapped.
        pmap_bytes: Of the PMap of one date.
        fused_bytes: Of all other files.
        tile_mb: Peak memory with the tile, in MB; None where the system does not tell.
        rest_mb: What is still in memory after it.
    """

    image_s: float
    image_once_s: float
    pmap_s: float
    fusion_s: float
    write_pmap_s: float
    write_fused_s: float
    vectors_s: float
    image_bytes: float
    pmap_bytes: float
    fused_bytes: float
    tile_mb: float | None
    rest_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What mapping a site will cost in one process.

    Attributes:
        site: Its name.
        dates: How many.
        shape: (height, width) of the maps in px.
        tiles: How many the scene has; the U-Net maps each once a date, the ConvLSTM once.
        read_mpx: Megapixels that the U-Net sees in all, margins included.
        stages_s: Stage -> seconds.
        memory_mb: Peak memory: `Rates.tile_mb`, or where it is more, that of tracing the sheets of
            lines. Not counted: GDAL's cache.
        disk_mb: What the maps will take.
        temporary_mb: What the work takes besides, at most.
    """

    site: str
    dates: int
    shape: tuple[int, int]
    tiles: int
    read_mpx: float
    stages_s: dict[str, float]
    memory_mb: float | None
    disk_mb: float
    temporary_mb: float

    @property
    def seconds(self) -> float:
        """All stages together."""
        return sum(self.stages_s.values())


def estimate_request(
    request: Request, model: TrainedModel, out: Path, options: MapOptions = DEFAULTS
) -> tuple[Estimate, ...]:
    """What `map_request` would cost: one tile of each site is mapped. Nothing is kept.

    Raises:
        InputError: An image cannot be read, or none has data.
        SettingsError: A tile size that is not a positive multiple of the model's stride.
    """
    predictor = options.predictor(model)
    with request.series(model.spec) as wanted:
        plans = [
            plan_series(predictor, run_of(model), series, out / series.site, options.tile_px)
            for series in wanted
        ]
        return tuple(
            estimate_site(plan, predictor, measure_rates(plan, predictor))
            for plan in track(plans, "mapping a tile")
        )


def estimate_site(plan: SitePlan, predictor: Predictor, rates: Rates) -> Estimate:
    """Scale rates up to a site. Every tile counts as if it had data: an upper bound."""
    dates, pixels = len(plan.maps.dates), plan.grid.window.size
    parts = plan.maps.finer**2  # map pixels of an image pixel
    raster = plan.pmap(plan.maps.dates[0])
    pmap = parts * (raster.planes + len(raster.bands))  # its tiles, and its plain raster
    tiles = predictor.plan_pmaps(plan.grid.shape, plan.manifest.settings.tile_px)
    # A date's beside its image; or those of the three fused rasters.
    temporary = max(rates.image_bytes + pmap, pmap + parts + 3)
    traced = SHEET_BYTES * min(TRACERS * SHEET_PX**2, plan.map_grid.window.size)
    return Estimate(
        site=plan.maps.site,
        dates=dates,
        shape=plan.map_grid.shape,
        tiles=len(tiles),
        read_mpx=dates * sum(tile.read.size for tile in tiles) / 1e6,
        stages_s={
            "images": dates * (rates.image_once_s + pixels * rates.image_s),
            "pmaps": dates * pixels * rates.pmap_s,
            "fusion": pixels * rates.fusion_s,
            "write": pixels * (dates * rates.write_pmap_s + rates.write_fused_s),
            "vectors": pixels * rates.vectors_s,
        },
        memory_mb=None if rates.tile_mb is None else max(rates.tile_mb, rates.rest_mb + traced / 1e6),
        disk_mb=pixels * (dates * rates.pmap_bytes + rates.fused_bytes) / 1e6,
        temporary_mb=pixels * temporary / 1e6,
    )


def measure_rates(plan: SitePlan, predictor: Predictor) -> Rates:
    """Map one tile of the scene near its middle, on one date, and time every stage.

    Raises:
        InputError: No tile has data, or an image cannot be read.
    """
    stages = Stages()
    dates = plan.maps.dates
    with tempfile.TemporaryDirectory(prefix="swath-") as temporary:
        folder = Path(temporary)
        source, chosen = _find_tile(plan, predictor, folder)
        part = chosen.read
        scratch = folder / "scratch"
        grid, whole = plan.grid.crop(chosen.core), chosen.core.relative_to(chosen.core)
        seen, tile = Tile(chosen.kept, part.relative_to(part)), Tile(whole, whole)
        image_s, image_once_s, image = _time_image(source, part, scratch)
        codes, pmap_s = _time_job(PmapJob(image), predictor, seen)
        raster = plan.pmap(source.date)
        with stages.time("write_pmap_s"), writing_rasters(folder, grid, [raster]) as write:
            write(whole, [codes])
        pmap = folder / raster.name
        return_freed_memory()
        fusion: Job = FusionJob((pmap,) * len(dates), plan.map_grid.window.size)
        if predictor.series is not None:
            fusion, tile = SeriesJob((image,) * len(dates)), seen
        fused, fusion_s = _time_job(fusion, predictor, tile)
        with stages.time("write_fused_s"), writing_rasters(folder, grid, plan.fused) as write:
            dated = np.stack([codes] * len(dates))
            write(whole, fused_layers(fused, dated, dates, finer=plan.maps.finer))
        return_freed_memory()
        for date in dates:  # the vectors look at every date's PMap
            if not (other := plan.at(folder).pmap_path(date)).exists():
                shutil.copyfile(pmap, other)
        with stages.time("vectors_s"):
            write_vectors(plan.at(folder))
        stored, pmap_bytes = _bytes(folder), pmap.stat().st_size
        image_bytes = _bytes(scratch)
    return_freed_memory()
    return Rates(
        **{stage: spent / whole.size for stage, spent in stages.seconds.items()},
        pmap_s=pmap_s / whole.size,
        fusion_s=fusion_s / whole.size,
        image_s=image_s,
        image_once_s=image_once_s,
        image_bytes=image_bytes / part.size,
        pmap_bytes=pmap_bytes / whole.size,
        fused_bytes=(stored - len(dates) * pmap_bytes) / whole.size,
        tile_mb=None if (peak := peak_bytes()) is None else peak / 1e6,
        rest_mb=resident_bytes() / 1e6,
    )


def _bytes(folder: Path) -> int:
    """Size of the files of a folder; none if it is not there."""
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())


def _time_image(source: Source, part: Window, scratch: Path) -> tuple[float, float, DatedImage]:
    """Seconds a pixel and seconds a date of making an image ready, and the image of `part`."""
    spent: list[tuple[int, float]] = []
    for side in (SMALL_PX, max(part.height, part.width)):
        window = _middle(part, side)
        shutil.rmtree(scratch, ignore_errors=True)
        began = time.perf_counter()
        image = source.crop(window).prepare(scratch)
        spent.append((window.size, time.perf_counter() - began))
    (few, short), (many, long) = spent
    slope = max(0.0, (long - short) / (many - few)) if many > few else long / many
    return slope, max(0.0, long - slope * many), image


def _find_tile(plan: SitePlan, predictor: Predictor, folder: Path) -> tuple[Source, Tile]:
    """A date, and the tile nearest to the middle that has data on it."""
    tiles = predictor.plan_pmaps(plan.grid.shape, plan.manifest.settings.tile_px)
    row, col = plan.grid.height / 2, plan.grid.width / 2

    def distance(tile: Tile) -> float:
        core = tile.core
        return abs(core.row + core.height / 2 - row) + abs(core.col + core.width / 2 - col)

    for tile in sorted(tiles, key=distance):
        middle = _middle(tile.core)
        for date in reversed(plan.maps.dates):
            source = plan.sources[date]
            try:
                image = source.crop(middle).prepare(folder / f"look-{middle.row}-{middle.col}")
            except InputError:  # the image does not reach so far
                continue
            if image.read(Window(0, 0, middle.height, middle.width)).any():
                return source, tile
    raise InputError(f"the images of {plan.maps.site} have no data")


def _middle(window: Window, side: int = LOOK_PX) -> Window:
    height, width = min(side, window.height), min(side, window.width)
    row = window.row + (window.height - height) // 2
    return Window(row, window.col + (window.width - width) // 2, height, width)


def _time_job(job: Job, predictor: Predictor, tile: Tile) -> tuple[Codes, float]:
    """What a job makes of a tile, and the lower of two times, once the memory it needs is there."""
    spent = []
    for _ in range(3):
        began = time.perf_counter()
        codes = job.compute(predictor, tile, job.read(predictor, tile))
        spent.append(time.perf_counter() - began)
    return codes, min(spent[1:])
