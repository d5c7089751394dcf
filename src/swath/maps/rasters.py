"""Writing the rasters of a MAPS folder, tile by tile, as Cloud-Optimised GeoTIFFs."""

import datetime as dt
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from numpy.typing import NDArray

from swath.grid import Grid, Window
from swath.legend import Legend
from swath.maps.manifest import CLASSES_NAME
from swath.maps.sitemaps import PMAP_NODATA, PMAP_SCALE, class_codes, decode_pmap
from swath.metrics.histogram import BINS, HALF, class_score, score_bins, selected
from swath.metrics.scores import expected_edge
from swath.scenes.checked import CheckedRaster, copy_checked, writing_checked
from swath.scenes.raster import RGB, rasterio_window, tiff_profile

COMPOSITE_NODATA = 0
"""In the composite, 1..255 stand for probabilities 0..1."""

CHANGES_NODATA = 65535
"""In the change layer: the class never changed."""

DEFLATE_LEVEL = 1
"""With the predictor, PMaps are smaller than at GDAL's 6 without, in two thirds of the time."""

CACHE_BYTES = 32_000_000
"""Of GDAL's cache: left alone, it takes a twentieth of the machine's memory. More gains little."""

Write = Callable[[Window, Sequence[NDArray[np.generic]]], None]
"""Where, and what: (bands, h, w) for each raster."""


@dataclass(frozen=True, slots=True)
class Raster:
    """What one raster of a MAPS folder is.

    Attributes:
        name: File name.
        bands: A description a band.
        nodata: Value of pixels without data.
        overviews: How GDAL makes the smaller versions: `AVERAGE` or `NEAREST`.
        tags: GeoTIFF tags.
        dtype: Type of its numbers.
        colors: Colour table (value -> red, green, blue, alpha), if any.
        rgb: Whether the bands are to be shown as red, green, blue.
        scale: What a number times this stands for, as GDAL says it; None: itself.
        finer: Its pixels to the side of one of the grid that it is written on.
    """

    name: str
    bands: tuple[str, ...]
    nodata: int
    overviews: Literal["AVERAGE", "NEAREST"]
    tags: dict[str, str]
    dtype: Literal["uint8", "uint16"] = "uint8"
    colors: dict[int, tuple[int, int, int, int]] | None = None
    rgb: bool = False
    scale: float | None = None
    finer: int = 1

    @property
    def planes(self) -> int:
        """Bands of the pixels that are written to it; of a PMap of two classes see `with_rest`."""
        return 1 if self.scale and len(self.bands) == 2 else len(self.bands)


def pmap_bands(legend: Legend) -> tuple[str, ...]:
    """The bands of a PMap's file: a class each; of two classes the class of interest comes first."""
    return legend.names[::-1] if len(legend.classes) == 2 else legend.names


def with_rest(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bytes of a PMap's file, from those of `encode_pmap`: of two classes the other follows.

    Args:
        codes: (bands, h, w) uint8; of two classes the second alone.

    Returns:
        (lc, h, w) uint8; of two classes the second, and what it leaves of 1: 254 - value.
    """
    if len(codes) > 1:
        return codes
    rest = np.where(codes == PMAP_NODATA, codes, np.uint8(PMAP_SCALE) - codes)
    return np.concatenate([codes, rest])


def pmap_raster(date: dt.date | None, legend: Legend, attribution: str, finer: int = 1) -> Raster:
    """The PMap of a date; None: the fused one. It is `finer` times as fine as the images."""
    name, day = ("pmap.tif", {}) if date is None else (f"pmap_{date}.tif", {"DATE": str(date)})
    tags = {"TIFFTAG_COPYRIGHT": attribution, "PROBABILITY": "value / 254; 255 = no data", **day}
    return Raster(
        name,
        pmap_bands(legend),
        PMAP_NODATA,
        "AVERAGE",
        tags,
        scale=1 / PMAP_SCALE,
        finer=finer,
    )


def fused_rasters(
    dates: Sequence[dt.date], legend: Legend, attribution: str, finer: int = 1
) -> tuple[Raster, ...]:
    """What a series gives: fused PMap and classes, `finer` times as fine as the images; composite."""
    source = {"TIFFTAG_COPYRIGHT": attribution}
    names = {f"CLASS_{c.id}": c.name for c in legend.classes}
    colors = {c.id: (*c.rgb, 255) for c in legend.classes} | {PMAP_NODATA: (0, 0, 0, 0)}
    target = legend.foreground[0].name
    shown = tuple(f"{target} {' and '.join(map(str, d))}" for d in composite_dates(dates))
    scale = {"PROBABILITY": "(value - 1) / 254; 0 = no data"}
    return (
        pmap_raster(None, legend, attribution, finer),
        Raster(
            CLASSES_NAME,
            ("class",),
            PMAP_NODATA,
            "NEAREST",
            {**source, **names},
            colors=colors,
            finer=finer,
        ),
        Raster("composite.tif", shown, COMPOSITE_NODATA, "AVERAGE", {**source, **scale}, rgb=True),
    )


def with_threshold(rasters: Sequence[Raster], threshold: float) -> tuple[Raster, ...]:
    """The same rasters; a tag of the classes, for people, tells their threshold."""
    tag = {"THRESHOLD": f"{threshold:g}"}
    return tuple(
        replace(raster, tags=raster.tags | tag) if raster.name == CLASSES_NAME else raster
        for raster in rasters
    )


def changes_raster(legend: Legend, attribution: str) -> Raster:
    """Where and when the class last changed, and from which."""
    tags = {
        "TIFFTAG_COPYRIGHT": attribution,
        "CHANGES": "date: days since 1970-01-01 of the date whose addition changed the class; "
        "before: the class before it; 65535 = the class never changed",
        **{f"CLASS_{c.id}": c.name for c in legend.classes},
    }
    bands = ("date", "before")
    return Raster("changes.tif", bands, CHANGES_NODATA, "NEAREST", tags, dtype="uint16")


def composite_dates(dates: Sequence[dt.date]) -> tuple[tuple[dt.date, ...], ...]:
    """The days that red, green and blue of the composite show.

    Three dates give a colour each; of more, the first, the middle and the last are shown. With two,
    blue is their mean, so that agreement is grey as with three; one date is grey all over.

    Source: section 1.6 (red, green, blue = day 1, 2, 3); follows for T = 3.
    """
    if len(dates) == 1:
        return ((dates[0],),) * 3
    if len(dates) == 2:
        return (dates[0],), (dates[1],), (dates[0], dates[1])
    return (dates[0],), (dates[len(dates) // 2],), (dates[-1],)


def composite(pmaps: NDArray[np.uint8], dates: Sequence[dt.date], finer: int = 1) -> NDArray[np.uint8]:
    """Three days as red, green and blue: the probability of the first foreground class.

    A day without data at a pixel takes the mean of the others, so that it adds no colour: a
    colour always means that days which saw the pixel disagree.

    Args:
        pmaps: (T, bands, nh, nw) uint8 as stored: probability x 254, 255 = no data.
        dates: The series, oldest first.
        finer: n; an image pixel shows the mean of its n x n map pixels.

    Returns:
        (3, h, w) uint8: 1 + probability x 254; 0 where none of the shown days has data.
    """
    foreground = _coarse(class_codes(pmaps, 1), finer)
    shown = composite_dates(dates)
    channels = [mean_code(foreground[[dates.index(day) for day in days]]) for days in shown]
    stack = np.stack(channels)
    gap = stack == PMAP_NODATA
    if gap.any():
        stack = np.where(gap, mean_code(stack)[None], stack)
    # 255 wraps around to 0: no data here, too.
    codes: NDArray[np.uint8] = stack + np.uint8(1)
    return codes


def _coarse(codes: NDArray[np.uint8], finer: int) -> NDArray[np.uint8]:
    """(T, nh, nw) -> (T, h, w) means; the parts of a pixel all have data, or none has."""
    if finer == 1:
        return codes
    count, height, width = codes.shape
    parts = codes.reshape(count, height // finer, finer, width // finer, finer)
    means: NDArray[np.uint8] = np.rint(parts.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
    return means


def mean_code(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, ..., h, w) stored probabilities -> (..., h, w) their rounded mean; 255 where none has data."""
    if len(codes) == 1:
        only: NDArray[np.uint8] = codes[0]
        return only
    valid = codes != PMAP_NODATA
    count = valid.sum(axis=0)
    total = np.where(valid, codes, 0).sum(axis=0, dtype=np.float32)
    mean = np.rint(total / np.maximum(count, 1))
    return np.where(count > 0, mean, PMAP_NODATA).astype(np.uint8)


def classify(fused: NDArray[np.uint8], edge: int = HALF) -> NDArray[np.uint8]:
    """The classes of a fused PMap, from its bytes: so that they can be made again from the file.

    Args:
        fused: (bands, h, w) uint8 as stored.
        edge: With two classes, of the threshold of the foreground's score, see `swath.metrics`;
            with more the likeliest wins.

    Returns:
        (h, w) uint8 ids; 255 where there is no data.
    """
    if len(fused) == 1:
        ids = selected(foreground_bins(fused), edge).astype(np.uint8)
    else:
        best, ids = fused[0], np.zeros(fused.shape[1:], np.uint8)
        for number in range(1, len(fused)):  # five times as fast as argmax over this axis
            ids = np.where(fused[number] > best, np.uint8(number), ids)
            best = np.maximum(best, fused[number])
    return np.where(fused[0] == PMAP_NODATA, np.uint8(PMAP_NODATA), ids)


def foreground_bins(codes: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """(1, h, w) uint8 as stored -> (h, w) bins of the foreground's score; 0 without data."""
    bins: NDArray[np.uint16] = _bin_table()[codes[0]]
    return bins


@functools.cache
def _bin_table() -> NDArray[np.uint16]:
    """(256,): the bin of each stored probability."""
    codes = np.arange(256, dtype=np.uint8)
    pmap, _ = decode_pmap(codes[None, None])
    return np.where(codes == PMAP_NODATA, 0, score_bins(class_score(pmap, 1))[0])


def scene_edge(parts: Iterable[NDArray[np.uint8]]) -> int:
    """The edge at which a scene's own scores lead one to expect the highest IoU.

    See `swath.metrics.scores.expected_edge`; `HALF` for more than two classes, where it is not used.

    Args:
        parts: (bands, h, w) uint8 as stored, all of the scene's.
    """
    pixels = np.zeros(BINS, np.int64)
    for codes in parts:
        if len(codes) != 1:
            return HALF
        known = codes[0] != PMAP_NODATA
        pixels += np.bincount(foreground_bins(codes)[known], minlength=BINS)
    return expected_edge(pixels)


def fused_layers(
    fused: NDArray[np.uint8],
    pmaps: NDArray[np.uint8],
    dates: Sequence[dt.date],
    edge: int = HALF,
    finer: int = 1,
) -> list[NDArray[np.uint8]]:
    """The pixels of `fused_rasters`, in their order.

    Args:
        fused: (bands, h, w) uint8 as stored.
        pmaps: (T, bands, h, w) uint8 as stored, of the dates that were fused.
        dates: The series, oldest first.
        edge: As of `classify`.
        finer: As of `composite`.
    """
    return [fused, classify(fused, edge)[None], composite(pmaps, dates, finer)]


@contextmanager
def writing_rasters(folder: Path, grid: Grid, rasters: Sequence[Raster]) -> Iterator[Write]:
    """Write rasters piece by piece; at the end they become Cloud-Optimised GeoTIFFs.

    Until then the pieces are in plain GeoTIFFs, `.part-*`, since an optimised file can only be
    written once all its pixels are known. `folder` should be a temporary one: an error leaves
    it half-filled.

    What is never written reads as no data.

    Args:
        folder: Where they go.
        grid: Of the windows. A raster that is finer lies on as much finer a grid.
        rasters: What is written, in the order of the layers.
    """
    parts = [folder / f".part-{raster.name}" for raster in rasters]
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES):
        with ExitStack() as stack:
            files = [
                stack.enter_context(_writing(part, grid, raster))
                for part, raster in zip(parts, rasters, strict=True)
            ]

            def write(window: Window, layers: Sequence[NDArray[np.generic]]) -> None:
                for file, raster, layer in zip(files, rasters, layers, strict=True):
                    if len(layer) < len(raster.bands):
                        layer = with_rest(layer.astype(np.uint8, copy=False))
                    file.write(layer, rasterio_window(window.finer(raster.finer)))

            yield write
        for part, raster in zip(parts, rasters, strict=True):
            final = folder / raster.name
            final.unlink(missing_ok=True)  # else a hard-linked older file would be overwritten
            # To compress GDAL's file of overviews for the while takes as long as to make them. (On how that
            # lies on the disk it depends which pixels it takes for odd sizes where it takes one of four.)
            with rasterio.Env(**{"COG_TMP_COMPRESSION": "NONE"} if raster.overviews == "AVERAGE" else {}):
                copy_checked(
                    part,
                    final,
                    driver="COG",
                    compress="DEFLATE",
                    level=DEFLATE_LEVEL,
                    # Neighbouring probabilities differ little; those of a colour table are no numbers.
                    predictor="NO" if raster.colors else "YES",
                    overview_resampling=raster.overviews,
                    statistics="YES" if raster.scale else "NO",
                )
            part.unlink()


@contextmanager
def _writing(path: Path, grid: Grid, raster: Raster) -> Iterator[CheckedRaster]:
    """A plain GeoTIFF to write the pieces to; its blocks fit the cores of the default tiles."""
    grid = grid.finer(raster.finer)
    profile = tiff_profile(grid, len(raster.bands), raster.dtype, raster.nodata, sparse=True)
    with writing_checked(path, profile, path.with_name(raster.name)) as checked:
        checked.file.descriptions = raster.bands
        checked.file.update_tags(**raster.tags)
        if raster.scale:
            checked.file.scales, checked.file.offsets = [[n] * len(raster.bands) for n in (raster.scale, 0.0)]
        if raster.colors:
            checked.file.write_colormap(1, raster.colors)
        if raster.rgb:
            checked.file.colorinterp = RGB
        yield checked
