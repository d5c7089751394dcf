"""What the pictures and the page beside maps will cost, before anything is mapped."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swath.errors import InputError
from swath.grid import Window
from swath.mapping.estimate import Estimate
from swath.mapping.request import Request
from swath.mapping.sources import Series
from swath.models.spec import ModelSpec
from swath.picture import png
from swath.scenes.raster import read_raster
from swath.viewer.images import shown_bands, write_picture
from swath.viewer.page import MOST_LINES, RASTER_BYTES, render
from swath.viewer.pictures import PLANE_BYTES

SAMPLE_PX = 1024
"""Side of the picture that is made to measure."""

LINE_BYTES = 350
"""Of a line in the page, as measured on cities."""

LINES_PX = 0.003
"""Lines a pixel of a map of a dense city."""


@dataclass(frozen=True, slots=True)
class PageCost:
    """What the pictures of all dates and the page will take.

    Attributes:
        seconds: To make them.
        disk_mb: What they take.
        temporary_mb: What the largest picture takes besides while it is made.
    """

    seconds: float
    disk_mb: float
    temporary_mb: float


def estimate_page(request: Request, spec: ModelSpec, costs: Sequence[Estimate]) -> PageCost:
    """Scale up what one piece of a picture takes: an upper bound, as of maps with roads everywhere.

    Args:
        request: What would be mapped.
        spec: Of the model.
        costs: Of the same maps.

    Raises:
        InputError: An image cannot be read.
    """
    seconds = pictures = planes = lines = largest = 0.0
    foreground = len(spec.legend.foreground)
    with request.series(spec) as wanted:
        for series, cost in zip(wanted, costs, strict=True):
            pixels, dates = series.grid.window.size, len(series.sources)
            mapped = cost.shape[0] * cost.shape[1]
            picture_s, picture_bytes, plane_s = _measure(series, spec)
            drawn = dates * pixels if shown_bands(spec) else 0
            seconds += drawn * picture_s
            pictures += drawn * picture_bytes
            largest = max(largest, 3.0 * drawn / dates)
            site = 3 * (drawn + pixels) + mapped * (foreground * (dates + 1) + 0.2)
            seconds += min(site, RASTER_BYTES / PLANE_BYTES) * plane_s
            planes += site
            lines += min(LINES_PX * mapped, MOST_LINES)
    page = min(PLANE_BYTES * planes, RASTER_BYTES) + LINE_BYTES * lines + len(render("", {}, live=False))
    return PageCost(seconds, (pictures + page) / 1e6, largest / 1e6)


def _measure(series: Series, spec: ModelSpec) -> tuple[float, float, float]:
    """Seconds and bytes a pixel of a picture, and seconds a pixel and plane of the page.

    Zeros where no image reaches the middle: then there is little to draw.
    """
    grid = series.grid
    row, col = (max(0, (size - SAMPLE_PX) // 2) for size in grid.shape)
    window = Window(row, col, SAMPLE_PX, SAMPLE_PX).intersect(grid.window)
    bands = shown_bands(spec) or (0,)
    for source in reversed(series.sources):
        with tempfile.TemporaryDirectory(prefix="swath-") as temporary:
            folder = Path(temporary)
            try:
                image = source.crop(window).prepare(folder)
            except InputError:  # the image does not reach so far
                continue
            began = time.perf_counter()
            path = write_picture(image, grid.crop(window), [*bands, *bands, *bands][:3], "", "", folder)
            written = time.perf_counter()
            png(read_raster(path)[:1])
            coded = time.perf_counter() - written
            size = path.stat().st_size
        return (written - began) / window.size, size / window.size, coded / window.size
    return 0.0, 0.0, 0.0
