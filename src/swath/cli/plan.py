"""`swath plan`: what `swath map` would cost."""

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli import map as map_
from swath.cli.options import DeviceOption, JsonOption
from swath.cli.output import counted, emit, time_text

if TYPE_CHECKING:
    from swath.mapping.estimate import Estimate


def command(
    paths: map_.PathsArgument = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the maps would go: is there room?")] = None,
    name: map_.NameOption = None,
    bands: map_.BandsOption = None,
    mask: map_.MaskOption = None,
    level: map_.LevelOption = None,
    dataset: map_.DatasetOption = None,
    split: map_.SplitOption = "test",
    site: map_.SiteOption = None,
    date: map_.DateOption = None,
    device: DeviceOption = "auto",
    precision: map_.PrecisionOption = "auto",
    orientations: map_.OrientationsOption = None,
    tile: map_.TileOption = 1024,
    page: map_.PageOption = True,
    as_json: JsonOption = False,
) -> None:
    """Say what `swath map` with these arguments would take: tiles, time, memory, disk.

    A part of each site is mapped to measure how fast this machine is: a tenth of the time at most,
    but for maps that take seconds. Nothing is kept.
    """
    arguments = map_.Arguments(paths or [], name, bands, mask, level, dataset, split, site, date)
    arguments.check("swath plan")

    from swath.mapping.estimate import estimate_request
    from swath.mapping.options import MapOptions
    from swath.viewer.cost import PageCost, estimate_page

    _, model = map_.load_run(arguments.run)
    options = MapOptions(device, precision, map_.read_orientations(orientations), tile)
    folder = out or Path()
    request = arguments.request(options.workers)
    costs = estimate_request(request, model, folder, options)
    pages = estimate_page(request, model.spec, costs) if page else PageCost(0, 0, 0)
    free, disk = _free_mb(folder), sum(cost.disk_mb for cost in costs) + pages.disk_mb
    temporary = max(pages.temporary_mb, *(cost.temporary_mb for cost in costs))
    total = {
        "page_s": round(pages.seconds, 3),
        "page_mb": round(pages.disk_mb, 1),
        "seconds": round(sum(cost.seconds for cost in costs) + pages.seconds, 3),
        "disk_mb": round(disk, 1),
        "temporary_mb": round(temporary, 1),
        "free_mb": round(free, 1),
    }
    lines = [_line(cost) for cost in costs]
    if page:
        lines.append(f"pictures and page: {time_text(pages.seconds)}, {pages.disk_mb:.0f} MB on disk")
    if (need := disk + temporary) > free:
        lines.append(f"not enough room in {folder}: {need:.0f} MB are needed, {free:.0f} MB free")
    emit({"sites": [_report(cost) for cost in costs], **total}, as_json, lines)


def _free_mb(folder: Path) -> float:
    """Free space where a folder is, or will be."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free / 1e6


def _report(cost: "Estimate") -> dict[str, object]:
    rounded: dict[str, object] = {
        field: round(value, 1) if isinstance(value, float) else value
        for field, value in dataclasses.asdict(cost).items()
    }
    stages = {stage: round(seconds, 3) for stage, seconds in cost.stages_s.items()}
    return rounded | {"stages_s": stages, "seconds": round(cost.seconds, 3)}


def _line(cost: "Estimate") -> str:
    memory = "" if cost.memory_mb is None else f"{cost.memory_mb:.0f} MB of memory, "
    height, width = cost.shape
    return (
        f"{cost.site}: {counted(cost.dates, 'date')} of {width} x {height} map pixels "
        f"of {cost.pixel_m:.3g} m, in {counted(cost.tiles, 'tile')}: {time_text(cost.seconds)}, {memory}"
        f"{cost.disk_mb:.0f} MB on disk and {cost.temporary_mb:.0f} MB more while it runs"
    )
