"""Writing the rasters of a MAPS folder, tile by tile, as Cloud-Optimised GeoTIFFs."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.io import DatasetWriter

from swath.grid import Grid
from swath.legend import Legend
from swath.mapping.maps import PMAP_NODATA, encode_pmap
from swath.mapping.predict import Prediction
from swath.scenes.raster import BLOCK_PX, RGB, rasterio_window

COMPOSITE_NODATA = 0
"""In the composite, 1..255 stand for probabilities 0..1."""


@dataclass(frozen=True, slots=True)
class Raster:
    """What one raster of a MAPS folder is.

    Attributes:
        name: File name.
        bands: A description a band.
        nodata: Value of pixels without data.
        overviews: How GDAL makes the smaller versions: `AVERAGE` or `NEAREST`.
        tags: GeoTIFF tags.
    """

    name: str
    bands: tuple[str, ...]
    nodata: int
    overviews: str
    tags: dict[str, str]


def plan_rasters(dates: Sequence[dt.date], legend: Legend, attribution: str) -> tuple[Raster, ...]:
    """The rasters of a site: a PMap a date, fused PMap, classes, composite (in this order)."""
    source = {"TIFFTAG_COPYRIGHT": attribution}
    names = {f"CLASS_{c.id}": c.name for c in legend.classes}
    scale = {"PROBABILITY": "value / 254; 255 = no data"}
    dated = tuple(
        Raster(
            f"pmap_{date}.tif",
            legend.names,
            PMAP_NODATA,
            "AVERAGE",
            {**source, **scale, "DATE": str(date)},
        )
        for date in dates
    )
    shown = composite_dates(dates)
    target = legend.foreground[0].name
    return (
        *dated,
        Raster("pmap.tif", legend.names, PMAP_NODATA, "AVERAGE", {**source, **scale}),
        Raster("classes.tif", ("class",), PMAP_NODATA, "NEAREST", {**source, **names}),
        Raster(
            "composite.tif",
            tuple(f"{target} {' and '.join(map(str, days))}" for days in shown),
            COMPOSITE_NODATA,
            "AVERAGE",
            {**source, "PROBABILITY": "(value - 1) / 254; 0 = no data"},
        ),
    )


def composite_dates(dates: Sequence[dt.date]) -> tuple[tuple[dt.date, ...], ...]:
    """The days that red, green and blue of the composite show.

    Three dates give a colour each; of more, the first, the middle and the last are shown. With two,
    blue is their mean, so that agreement is grey as with three; one date is grey all over.

    Args:
        dates: The series, oldest first, at least one.

    Source: section 1.6 (red, green, blue = day 1, 2, 3); follows for T = 3.
    """
    if len(dates) == 1:
        return ((dates[0],),) * 3
    if len(dates) == 2:
        return (dates[0],), (dates[1],), (dates[0], dates[1])
    return (dates[0],), (dates[len(dates) // 2],), (dates[-1],)


def composite(pmaps: NDArray[np.uint8], dates: Sequence[dt.date]) -> NDArray[np.uint8]:
    """Three days as red, green and blue: the probability of the first foreground class.

    A day without data at a pixel takes the mean of the others, so that it adds no colour: a
    colour always means that days which saw the pixel disagree.

    Args:
        pmaps: (T, lc, h, w) uint8 as stored: probability x 254, 255 = no data.
        dates: The series, oldest first.

    Returns:
        (3, h, w) uint8: 1 + probability x 254; 0 where none of the shown days has data.
    """
    foreground = pmaps[:, 1]
    shown = composite_dates(dates)
    channels = [_mean_code(foreground[[dates.index(day) for day in days]]) for days in shown]
    stack = np.stack(channels)
    gap = stack == PMAP_NODATA
    filled = np.where(gap, _mean_code(stack)[None], stack)
    return np.where(filled == PMAP_NODATA, COMPOSITE_NODATA, filled + np.uint8(1)).astype(np.uint8)


def _mean_code(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, h, w) stored probabilities -> (h, w) their rounded mean; 255 where none has data."""
    valid = codes != PMAP_NODATA
    count = valid.sum(axis=0)
    total = np.where(valid, codes, 0).sum(axis=0, dtype=np.float32)
    mean = np.rint(total / np.maximum(count, 1))
    return np.where(count > 0, mean, PMAP_NODATA).astype(np.uint8)


class MapWriter:
    """The rasters of one site while they are being written; see `writing_maps`."""

    def __init__(
        self, files: Sequence[DatasetWriter], dates: Sequence[dt.date], legend: Legend
    ) -> None:
        self._files = files
        self._dates = dates
        self._counts = np.zeros(len(legend.classes), np.int64)

    def write(self, prediction: Prediction) -> None:
        """Write the maps of one tile.

        The class map and the composite come from the bytes of the PMaps, so that they can be made
        again from the files.
        """
        dated = np.stack(
            [
                encode_pmap(pmap, valid)
                for pmap, valid in zip(prediction.pmaps, prediction.valid, strict=True)
            ]
        )
        valid = np.asarray(prediction.valid.any(axis=0))
        fused = encode_pmap(prediction.fused, valid)
        classes = np.where(valid, fused.argmax(axis=0), PMAP_NODATA).astype(np.uint8)
        self._counts += np.bincount(classes[valid], minlength=len(self._counts))
        layers = [*dated, fused, classes[None], composite(dated, self._dates)]
        box = rasterio_window(prediction.core)
        for file, layer in zip(self._files, layers, strict=True):
            file.write(layer, window=box)

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """(lc,) number of pixels of each class so far."""
        return self._counts


@contextmanager
def writing_maps(
    folder: Path, grid: Grid, dates: Sequence[dt.date], legend: Legend, attribution: str
) -> Iterator[MapWriter]:
    """Write a site's rasters tile by tile; at the end they become Cloud-Optimised GeoTIFFs.

    Until then the tiles are in plain GeoTIFFs, `.part-*`, since an optimised file can only be
    written once all its pixels are known. `folder` should be a temporary one: an error leaves
    it half-filled.

    Args:
        folder: An existing folder.
        grid: Of the maps.
        dates: The series, oldest first.
        legend: The classes.
        attribution: Who made the data.
    """
    rasters = plan_rasters(dates, legend, attribution)
    parts = [folder / f".part-{raster.name}" for raster in rasters]
    with ExitStack() as stack:
        files = [
            stack.enter_context(rasterio.open(part, "w", **_profile(grid, raster)))
            for part, raster in zip(parts, rasters, strict=True)
        ]
        for file, raster in zip(files, rasters, strict=True):
            file.descriptions = raster.bands
            file.update_tags(**raster.tags)
        colors = {c.id: (*c.rgb, 255) for c in legend.classes}
        files[-2].write_colormap(1, colors | {PMAP_NODATA: (0, 0, 0, 0)})
        files[-1].colorinterp = RGB
        yield MapWriter(files, dates, legend)
    for part, raster in zip(parts, rasters, strict=True):
        rasterio.shutil.copy(
            part,
            folder / raster.name,
            driver="COG",
            compress="DEFLATE",
            overview_resampling=raster.overviews,
        )
        part.unlink()


def _profile(grid: Grid, raster: Raster) -> dict[str, object]:
    # The blocks fit the cores of the default tiles; a block never written reads as no data.
    return grid.profile() | {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": len(raster.bands),
        "nodata": raster.nodata,
        "tiled": True,
        "blockxsize": BLOCK_PX,
        "blockysize": BLOCK_PX,
        "sparse_ok": True,
        "bigtiff": "if_safer",
    }
