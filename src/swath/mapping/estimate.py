"""What mapping will cost, before it starts: from rates measured on a tile of the very scenes."""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swath.errors import InputError
from swath.grid import Window
from swath.groundsize import pixel_m
from swath.mapping.jobs import Codes, FusionJob, Job, PmapJob, SeriesJob
from swath.mapping.mapplan import SitePlan, plan_series
from swath.mapping.options import DEFAULTS, MapOptions
from swath.mapping.predict import DatedImage, Predictor
from swath.mapping.request import Request, run_of
from swath.mapping.sources import Source
from swath.mapping.stages import Stages
from swath.maps.rasters import fused_layers, writing_rasters
from swath.maps.vectors import write_vectors
from swath.memory import forget_peak, peak_bytes, return_freed_memory
from swath.models.trained import TrainedModel
from swath.progress import track
from swath.scenes.levels import plan_cells
from swath.tiles import Tile

LOOK_PX = 192
"""Side of the middle of a tile, where data is looked for: with it, libraries set themselves up."""

PARTS_PX = (512, 256)
"""Sides of what is mapped to measure, where a whole tile would take too much of the time."""

SHARE = 0.12
"""How much of the time that the map takes may go into measuring."""

SHORT_S = 20.0
"""Maps that take less are estimated from the U-Net's speed alone: measuring more would take too long."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What an image pixel costs here: seconds, or bytes on disk.

    Attributes:
        image_s: To bring one date onto the grid.
        image_once_s: What that takes a date, however large it is (its dark levels, say).
        pmap_s: To run the U-Net on one date; of each pixel that it reads, margins included.
        fusion_s: To fuse all dates.
        write_pmap_s: To write the PMap of one date.
        write_fused_s: To write the fused PMap, classes and composite.
        vectors_s: To trace the vectors.
        image_bytes: Of the image of one date, while it is mapped.
        pmap_bytes: Of the PMap of one date.
        fused_bytes: Of all other files.
        tile_mb: Peak memory with the largest tile, in MB; None where the system does not tell.
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


@dataclass(frozen=True, slots=True)
class Estimate:
    """What mapping a site will cost in one process.

    Attributes:
        site: Its name.
        dates: How many.
        shape: (height, width) of the maps in px.
        pixel_m: Width of such a pixel.
        tiles: How many the scene has; the U-Net maps each once a date, the ConvLSTM once.
        read_mpx: Megapixels that the U-Net sees in all, margins included.
        stages_s: Stage -> seconds.
        memory_mb: Peak memory: `Rates.tile_mb`. Not counted: GDAL's cache, and lines where they
            take more than the networks (about 1.2 GB in all, where roads are dense).
        disk_mb: What the maps will take.
        temporary_mb: What the work takes besides, at most.
    """

    site: str
    dates: int
    shape: tuple[int, int]
    pixel_m: float
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
    """What `map_request` would cost: a part of each site is mapped. Nothing is kept.

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
            for plan in track(plans, "mapping a part")
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
    return Estimate(
        site=plan.maps.site,
        dates=dates,
        shape=plan.map_grid.shape,
        pixel_m=pixel_m(plan.map_grid)[1],
        tiles=len(tiles),
        read_mpx=dates * sum(tile.read.size for tile in tiles) / 1e6,
        stages_s={
            "images": dates * (rates.image_once_s + pixels * rates.image_s),
            "pmaps": dates * sum(tile.read.size for tile in tiles) * rates.pmap_s,
            "fusion": pixels * rates.fusion_s,
            "write": pixels * (dates * rates.write_pmap_s + rates.write_fused_s),
            "vectors": pixels * rates.vectors_s,
        },
        memory_mb=rates.tile_mb,
        disk_mb=pixels * (dates * rates.pmap_bytes + rates.fused_bytes) / 1e6,
        temporary_mb=pixels * temporary / 1e6,
    )


@dataclass(frozen=True, slots=True)
class Look:
    """A date, the tile nearest to the middle that has data on it, and the middle of that, ready to read."""

    source: Source
    tile: Tile
    window: Window
    image: DatedImage
    seconds: float
    warped: bool


def measure_rates(plan: SitePlan, predictor: Predictor) -> Rates:
    """Map a part of the scene near its middle, on one date: as large as `SHARE` of the map's time allows.

    Raises:
        InputError: No tile has data, or an image cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="swath-") as temporary:
        folder = Path(temporary)
        look = _find_tile(plan, predictor, folder)
        rough = _rough_rates(plan, predictor, look)
        whole = estimate_site(plan, predictor, rough).seconds
        if whole < SHORT_S:
            return rough
        pixel_s = 2 * (rough.pmap_s + rough.fusion_s) + rough.image_s + rough.vectors_s
        tiles = [look.tile, *(_alone(_middle(look.tile.core, side)) for side in PARTS_PX)]
        affordable = (t for t in tiles if t.read.size * pixel_s + rough.image_once_s < SHARE * whole)
        chosen = next(affordable, tiles[-1])
        return _rates_of(plan, predictor, look, rough, chosen, folder / "part")


def _rough_rates(plan: SitePlan, predictor: Predictor, look: Look) -> Rates:
    """Rates from the U-Net's speed on a small window; all else in proportion, as with the starter's maps.

    Source: the proportions are those of Rennes and Milan, bands and dates as there, on two cores.
    """
    forget_peak()
    before, pixels = peak_bytes(), look.window.size
    _, seconds = _time_job(PmapJob(look.image), predictor, _alone(look.window.relative_to(look.window)))
    pmap_s, peak = seconds / pixels, peak_bytes()
    spec = predictor.model.spec
    cells = plan_cells(plan.grid.shape, spec.image.encoding)
    parts, dates = plan.maps.finer**2, len(plan.maps.dates)
    return Rates(
        image_s=look.seconds / pixels,
        image_once_s=5e6 * pmap_s if look.warped and cells != (1, 1) else 0.0,
        pmap_s=pmap_s,
        fusion_s=0.06 * parts * dates * pmap_s,
        write_pmap_s=0.06 * parts * pmap_s,
        write_fused_s=0.15 * parts * pmap_s,
        vectors_s=0.8 * parts * pmap_s,
        image_bytes=3.0 * len(spec.image.bands) if look.warped else 0.0,
        pmap_bytes=1.0 * parts * len(plan.pmap(plan.maps.dates[0]).bands),
        fused_bytes=3.0 * parts,
        tile_mb=_tile_mb(plan, predictor, before, peak, pixels),
    )


def _tile_mb(
    plan: SitePlan, predictor: Predictor, before: int | None, peak: int | None, pixels: int
) -> float | None:
    """Peak memory in MB with the largest tile, from what `pixels` took beyond what was there."""
    if before is None or peak is None:
        return None
    tiles = predictor.plan_pmaps(plan.grid.shape, plan.manifest.settings.tile_px)
    return (before + (peak - before) * max(tile.read.size for tile in tiles) / pixels) / 1e6


def _rates_of(
    plan: SitePlan, predictor: Predictor, look: Look, rough: Rates, chosen: Tile, folder: Path
) -> Rates:
    """Map a part of the scene on one date, and time every stage."""
    stages, dates, source = Stages(), plan.maps.dates, look.source
    part, scratch = chosen.read, folder / "scratch"
    folder.mkdir()
    grid, whole = plan.grid.crop(chosen.core), chosen.core.relative_to(chosen.core)
    seen, tile = Tile(chosen.kept, part.relative_to(part)), Tile(whole, whole)
    forget_peak()
    before = peak_bytes()
    with stages.time("image_s"):
        image = source.crop(part).prepare(scratch)
    several = look.warped and plan_cells((part.height, part.width), predictor.model.spec.image.encoding) != (
        1,
        1,
    )
    once = max(0.0, stages.seconds["image_s"] - rough.image_s * part.size) if several else 0.0
    codes, pmap_s = _time_job(PmapJob(image), predictor, seen)
    memory = _tile_mb(plan, predictor, before, peak_bytes(), part.size)
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
    return Rates(
        image_s=(stages.seconds["image_s"] - once) / part.size,
        image_once_s=once or rough.image_once_s,
        pmap_s=pmap_s / part.size,
        fusion_s=fusion_s / whole.size,
        write_pmap_s=stages.seconds["write_pmap_s"] / whole.size,
        write_fused_s=stages.seconds["write_fused_s"] / whole.size,
        vectors_s=stages.seconds["vectors_s"] / whole.size,
        image_bytes=_bytes(scratch) / part.size,
        pmap_bytes=pmap_bytes / whole.size,
        fused_bytes=(stored - len(dates) * pmap_bytes) / whole.size,
        tile_mb=memory,
    )


def _alone(window: Window) -> Tile:
    """A part that is mapped without anything around it."""
    return Tile(window, window)


def _bytes(folder: Path) -> int:
    """Size of the files of a folder; none if it is not there."""
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())


def _find_tile(plan: SitePlan, predictor: Predictor, folder: Path) -> Look:
    """The newest date that has data on the tile nearest to the middle."""
    tiles = predictor.plan_pmaps(plan.grid.shape, plan.manifest.settings.tile_px)
    row, col = plan.grid.height / 2, plan.grid.width / 2

    def distance(tile: Tile) -> float:
        core = tile.core
        return abs(core.row + core.height / 2 - row) + abs(core.col + core.width / 2 - col)

    for tile in sorted(tiles, key=distance):
        middle = _middle(tile.core)
        for date in reversed(plan.maps.dates):
            source, scratch = plan.sources[date], folder / f"look-{middle.row}-{middle.col}"
            began = time.perf_counter()
            try:
                image = source.crop(middle).prepare(scratch)
            except InputError:  # the image does not reach so far
                continue
            seconds = time.perf_counter() - began
            if image.read(Window(0, 0, middle.height, middle.width)).any():
                return Look(source, tile, middle, image, seconds, scratch.is_dir())
    raise InputError(f"the images of {plan.maps.site} have no data")


def _middle(window: Window, side: int = LOOK_PX) -> Window:
    height, width = min(side, window.height), min(side, window.width)
    row = window.row + (window.height - height) // 2
    return Window(row, window.col + (window.width - width) // 2, height, width)


def _time_job(job: Job, predictor: Predictor, tile: Tile) -> tuple[Codes, float]:
    """What a job makes of a tile, and its time once the memory that it needs is there."""
    for _ in range(2):
        began = time.perf_counter()
        codes = job.compute(predictor, tile, job.read(predictor, tile))
    return codes, time.perf_counter() - began
