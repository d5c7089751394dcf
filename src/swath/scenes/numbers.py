"""The numbers of an image file: which of them are measurements, and in what unit they are."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from swath.errors import InputError
from swath.grid import Window
from swath.scenes.levels import LEAST_PIXELS, plan_samples
from swath.scenes.raster import Pixels, open_raster, rasterio_window
from swath.sentinel2 import NODATA, QUANTIFICATION, SATURATED

LOWEST = -2000.0
"""Reflectance x 10000: no correction for the atmosphere errs by more, and fill values lie below."""

BRIGHTEST = 3.0
"""No reflectance is higher as a share of 1; as x 10000 the brightest band of darkest water is."""

EIGHT_BIT = 255.0
"""In reflectance x 10000 some band of land is brighter; per cent and 8-bit stretches are not."""

MOST_PERCENT = 95
"""A unit is judged by what so many per cent of the pixels are below: outliers say nothing."""


def read_valid(source: DatasetReader, indexes: Sequence[int], where: RasterioWindow) -> NDArray[np.bool_]:
    """(h, w) bool: the pixels of a window that hold a measurement in the bands `indexes`.

    That is: not 0 in all bands of the file, not left out by its mask or alpha band, and in each
    wanted band neither the declared no-data value (0 counts as one in reflectance only: a True
    Colour Image may be 0 in a band of dark water) nor a number that no reflectance can be (NaN,
    infinite, below `LOWEST`, from 65535 up, the largest of its type).
    """
    seen = np.zeros((int(where.height), int(where.width)), bool)
    valid = np.ones_like(seen)
    for index, color in enumerate(source.colorinterp, start=1):
        if color == ColorInterp.alpha:
            continue
        values = source.read(index, window=where)
        finite = np.isfinite(values)
        seen |= (values != NODATA) & finite
        if index not in indexes:
            continue
        nodata = source.nodatavals[index - 1]
        if nodata is not None and (nodata != NODATA or values.dtype != np.uint8):
            valid &= values != nodata
        if values.dtype != np.uint8:
            valid &= finite & _possible(values, source, index)
    if MaskFlags.per_dataset in source.mask_flag_enums[0]:
        valid &= source.dataset_mask(window=where) != 0
    return valid & seen


def reflectance(values: NDArray[np.float32], source: DatasetReader, index: int) -> NDArray[np.float32]:
    """Reflectance x 10000 of stored numbers, with the scale and offset that the file declares."""
    scale, offset = source.scales[index - 1], source.offsets[index - 1]
    if (scale, offset) == (1.0, 0.0):
        return values
    with np.errstate(over="ignore", invalid="ignore"):  # fill values
        return (values * np.float32(scale) + np.float32(offset)) * np.float32(QUANTIFICATION)


def check_unit(path: Path, indexes: Sequence[int], whose: Path) -> None:
    """Raise `InputError` unless numbers without a declared scale are reflectance x 10000.

    Judged by samples of the whole file, since a part may be water, and by its brightest band. The
    error names the file `whose` numbers they are.
    """
    if problem := _unit_problem(path, tuple(indexes), path.stat().st_mtime_ns):
        raise InputError(
            f"{whose}: {problem}; expected reflectance x 10000, which is higher on land; multiply it, or "
            "declare the file's scale and offset (GDAL's, rasterio's: 0.0001 and 0 are x 10000)"
        )


@lru_cache(maxsize=64)  # a map reads a file piece by piece
def _unit_problem(path: Path, indexes: tuple[int, ...], changed_ns: int) -> str:
    """What is wrong with the unit of a file that was `changed_ns`; empty if nothing is."""
    with open_raster(path) as source:
        return _judge(source, indexes)


def _possible(values: Pixels, source: DatasetReader, index: int) -> NDArray[np.bool_]:
    """Where stored numbers may be a reflectance."""
    numbers = reflectance(values.astype(np.float32), source, index)
    possible: NDArray[np.bool_] = (numbers > LOWEST) & (numbers < SATURATED)
    if np.issubdtype(values.dtype, np.integer):
        possible &= values != np.iinfo(values.dtype).max
    return possible


def has_scale(source: DatasetReader) -> bool:
    """Whether a file declares how its numbers become reflectance."""
    return any(both != (1.0, 0.0) for both in zip(source.scales, source.offsets, strict=True))


def _judge(source: DatasetReader, indexes: Sequence[int]) -> str:
    if (scale := min(source.scales[index - 1] for index in indexes)) <= 0:
        return f"it declares the scale {scale:g}, by which what is brighter is a lower number"
    brightest = np.concatenate(
        [_brightest(source, indexes, w) for w in plan_samples(Window(0, 0, source.height, source.width))]
    )
    if not brightest.size:
        return ""
    half, most = np.percentile(brightest, (50, MOST_PERCENT))
    if half < BRIGHTEST:
        return f"half of its pixels are at most {half:.3g} in every band"
    if not has_scale(source) and len(brightest) >= LEAST_PIXELS and most <= EIGHT_BIT:
        return f"{MOST_PERCENT} % of its pixels are at most {most:.3g} in every band"
    return ""


def _brightest(source: DatasetReader, indexes: Sequence[int], window: Window) -> NDArray[np.float32]:
    """(n,) reflectance x 10000 of the brightest of some bands, of the pixels with data."""
    where = rasterio_window(window)
    valid = read_valid(source, indexes, where)
    bands = [
        reflectance(source.read(index, window=where)[valid].astype(np.float32), source, index)
        for index in indexes
    ]
    brightest: NDArray[np.float32] = np.max(bands, axis=0)
    return brightest
