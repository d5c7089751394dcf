"""Pictures of the images that maps were made from, beside the maps: what one compares them with."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.grid import Grid
from swath.mapping.predict import DatedImage
from swath.mapping.sources import Series
from swath.maps.images import image_paths
from swath.maps.manifest import read_manifest
from swath.maps.rasters import Raster, writing_rasters
from swath.maps.sitemaps import SiteMaps
from swath.models.spec import ModelSpec
from swath.outfolder import mark_more
from swath.sentinel2 import TCI_BANDS, valid_mask

STRIP_PX = 512
"""Rows that are in memory at a time."""

STRETCH = (0.5, 99.0)
"""Percentiles of a band that become black and white."""


def write_images(maps: SiteMaps, series: Series, spec: ModelSpec, scratch: Path) -> None:
    """Write `image_<date>.tif` of every date of a series, in true colour, where it is not there yet.

    Bytes: 1..255 from dark to bright, 0 = no data; each band of each date is stretched by itself. A
    model without the bands of the True Colour Image gives none.

    Args:
        maps: Made from the series, and from others before.
        series: The images.
        spec: Of the model, whose bands the images have.
        scratch: A folder on the same disk for files that are not finished.
    """
    bands = shown_bands(spec)
    if not bands:
        return
    there = image_paths(maps)
    mapped = read_manifest(maps.folder).dates
    for source in series.sources:
        if source.date not in mapped or source.date in there:
            continue
        image = source.prepare(scratch / "images")
        facts = mapped[source.date]
        path = write_picture(image, series.grid, bands, facts.attribution, facts.source, scratch)
        mark_more(maps.folder, [path.name])
        path.replace(maps.folder / path.name)


def shown_bands(spec: ModelSpec) -> tuple[int, ...]:
    """Where red, green and blue stand in a model's images; none where it lacks one."""
    if not set(TCI_BANDS) <= set(spec.image.bands):
        return ()
    return tuple(spec.image.bands.index(name) for name in TCI_BANDS)


def write_picture(
    image: DatedImage, grid: Grid, bands: Sequence[int], attribution: str, source: str, folder: Path
) -> Path:
    """Write one date's picture into a folder.

    Args:
        image: The image.
        grid: Of it.
        bands: Which of its bands are red, green and blue.
        attribution: Of its makers.
        source: Its hash.
        folder: Where the picture goes.
    """
    raster = _raster(image.date, attribution, source)
    low, high = _stretch(image, grid, bands)
    with writing_rasters(folder, grid, [raster]) as write:
        for strip in grid.window.strips(STRIP_PX):
            pixels = image.read(strip)
            share = (pixels[list(bands)] - low) / np.maximum(high - low, 1)
            shown = np.where(valid_mask(pixels), 1 + 254 * np.clip(share, 0, 1), 0)
            write(strip, [np.rint(shown).astype(np.uint8)])
    return folder / raster.name


def _raster(date: dt.date, attribution: str, source: str) -> Raster:
    tags = {"TIFFTAG_COPYRIGHT": attribution, "DATE": str(date), "SOURCE": source}
    return Raster(f"image_{date}.tif", ("red", "green", "blue"), 0, "AVERAGE", tags, rgb=True)


def _stretch(
    image: DatedImage, grid: Grid, bands: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What becomes black and white, (3, 1, 1) each."""
    counts = np.zeros((len(bands), 65536), np.int64)
    for strip in grid.window.strips(STRIP_PX):
        pixels = image.read(strip)
        known = valid_mask(pixels)
        for row, band in enumerate(bands):
            counts[row] += np.bincount(pixels[band][known], minlength=counts.shape[1])
    shares = np.cumsum(counts, axis=1) / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ends = [(shares < percent / 100).sum(axis=1).astype(np.float32) for percent in STRETCH]
    low, high = (end[:, None, None] for end in ends)
    return low, high
