"""Images that lie in memory, on their way into the files that scenes are."""

import datetime as dt
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray

from swath.errors import InputError
from swath.grid import Grid
from swath.maps.labelled import GRID_MAPPING
from swath.scenes.checked import writing_checked
from swath.scenes.scene import DTYPES
from swath.sentinel2 import NODATA

AXES = ("time", "band", "y", "x")
"""Of an array with named axes, in the order in which they are written."""

EVEN = 1e-3
"""Share of a step by which the steps between the pixels' centres may differ."""

Date = dt.date | np.datetime64 | str
"""A day, or a time on it; as text, YYYY-MM-DD."""


@runtime_checkable
class LabelledArray(Protocol):
    """An array with named axes, as xarray's `DataArray` is."""

    dims: tuple[Hashable, ...]
    coords: Mapping[Hashable, "LabelledArray"]
    attrs: Mapping[str, object]
    encoding: Mapping[str, object]
    data: NDArray[np.generic]

    def transpose(self, *dims: Hashable) -> "LabelledArray":
        """The same with its axes in another order."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """A series of images in memory.

    Attributes:
        pixels: (T, C, H, W) uint8 (a True Colour Image), or uint16, int16 or float32 (reflectance x
            10000); masked or lazy arrays are read one date at a time.
        grid: Where the pixels lie.
        dates: Day of every image.
        bands: Name of every band.
        nodata: The number of pixels without data, beside those that are 0 in all bands, NaN or
            masked.
        scale: Number x scale + offset is reflectance, where that is not (1, 0).
        offset: See `scale`.

    Raises:
        InputError: Grid, dates or bands do not fit the array, or its numbers are none that images
            have.
    """

    pixels: NDArray[np.generic]
    grid: Grid
    dates: tuple[dt.date, ...]
    bands: tuple[str, ...]
    nodata: float = NODATA
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        dates, bands, *shape = self.pixels.shape
        if tuple(shape) != self.grid.shape:
            raise InputError(
                f"the images are {shape[1]} x {shape[0]} px, but their grid is {self.grid.size_text}"
            )
        if dates != len(self.dates):
            raise InputError(f"the array has {dates} images, but there are {len(self.dates)} dates")
        if len(set(self.dates)) != dates:
            raise InputError(f"two images of one day: {', '.join(map(str, self.dates))}")
        if bands != len(self.bands):
            raise InputError(
                f"the array has {bands} bands, but the names are {', '.join(self.bands)}; name "
                "its bands in their order"
            )
        if self.pixels.dtype.name not in (*DTYPES, "float64"):
            raise InputError(
                f"the array is {self.pixels.dtype}; expected a uint8 True Colour Image, or "
                "reflectance x 10000 as uint16, int16 or float32"
            )

    @classmethod
    def of_numpy(
        cls,
        pixels: NDArray[np.generic],
        grid: Grid | None,
        dates: Sequence[Date],
        bands: Sequence[str],
    ) -> Self:
        """Images as a plain array, or a masked one; their grid and dates must be given."""
        if pixels.ndim != 4:
            raise InputError(
                f"an array of images has the axes (dates, bands, rows, columns), got {pixels.shape}"
            )
        if grid is None or not len(dates):
            raise InputError("an array does not say where and when it was taken; give its grid and its dates")
        return cls(pixels, grid, as_dates(dates), tuple(bands))

    @classmethod
    def of_labelled(cls, array: LabelledArray, bands: Sequence[str]) -> Self:
        """Images with the axes `time`, `band`, `y` and `x`, as rioxarray has them.

        The CRS stands in the attributes of the coordinate `spatial_ref` (or another that the array
        names as its grid mapping).

        Raises:
            InputError: An axis or the CRS is missing, or pixels that are not evenly spaced.
        """
        if set(array.dims) != set(AXES):
            raise InputError(
                f"an array of images has the axes {', '.join(AXES)}, got {', '.join(map(str, array.dims))}"
            )
        ordered = array.transpose(*AXES)
        pixels = ordered.data
        grid, flipped = _grid(ordered)
        notes = {**ordered.encoding, **ordered.attrs}  # what was read from a file is encoding
        fill = _number(notes.get("_FillValue"), NODATA)
        return cls(
            pixels[:, :, ::-1] if flipped else pixels,
            grid,
            as_dates(list(_coordinate(ordered, "time").data)),
            tuple(bands),
            NODATA if np.isnan(fill) else fill,
            _number(ordered.attrs.get("scale_factor"), 1.0),
            _number(ordered.attrs.get("add_offset"), 0.0),
        )

    def write(self, folder: Path) -> list[Path]:
        """Write every image as a plain GeoTIFF, named by its date; only one is in memory."""
        kind = "float32" if self.pixels.dtype == np.float64 else self.pixels.dtype.name
        profile = self.grid.profile() | {
            "driver": "GTiff",
            "count": len(self.bands),
            "dtype": kind,
            # A 0 that a file declares would be no data in one band, too.
            "nodata": None if self.nodata == NODATA else self.nodata,
            "photometric": "MINISBLACK",  # else the fourth of four bands would be taken for alpha
            "bigtiff": "if_safer",
        }
        paths = []
        for date, image in zip(self.dates, self.pixels, strict=True):
            path = folder / f"{date}.tif"
            with writing_checked(path, profile) as target:
                target.write(_filled(image).astype(kind))
                target.file.descriptions = self.bands
                target.file.scales = [self.scale] * len(self.bands)
                target.file.offsets = [self.offset] * len(self.bands)
            paths.append(path)
        return paths


def as_dates(days: Sequence[Date]) -> tuple[dt.date, ...]:
    """Days as dates.

    Raises:
        InputError: A text that is no date.
    """
    try:
        return tuple(np.asarray(day, "datetime64[D]").item() for day in days)
    except ValueError as error:
        raise InputError(f"not a date as YYYY-MM-DD: {error}") from None


def band_names(array: LabelledArray) -> tuple[str, ...]:
    """What an array calls its bands: its coordinate `band`, or `long_name` as of rioxarray."""
    if "band" in array.coords:
        names = np.atleast_1d(array.coords["band"].data).tolist()
        if all(isinstance(name, str) for name in names):
            return tuple(names)
    described = array.attrs.get("long_name", ())
    return tuple(map(str, described)) if isinstance(described, tuple | list) else ()


def _filled(image: ArrayLike) -> NDArray[np.generic]:
    """(C, H, W), a pixel that is masked in any band 0 in all."""
    if not isinstance(image, np.ma.MaskedArray):
        return np.asarray(image)
    masked = np.ma.getmaskarray(image).any(axis=0)
    pixels: NDArray[np.generic] = np.where(masked, NODATA, image.data).astype(image.dtype)
    return pixels


def _grid(array: LabelledArray) -> tuple[Grid, bool]:
    """The grid of an array, and whether its rows go from south to north."""
    name = str(array.encoding.get("grid_mapping") or array.attrs.get("grid_mapping") or "")
    place = array.coords.get(name or GRID_MAPPING)
    notes = {} if place is None else place.attrs
    crs = notes.get("crs_wkt") or notes.get("spatial_ref")
    if not crs:
        raise InputError(
            f"the array has no coordinate system: no coordinate {name or GRID_MAPPING!r} with "
            "`crs_wkt` in its attributes (rioxarray's `rio.write_crs` sets it)"
        )
    x, y = (np.asarray(_coordinate(array, axis).data, np.float64) for axis in ("x", "y"))
    written = str(notes.get("GeoTransform", "")).split()
    sizes = (float(written[1]), float(written[5])) if len(written) == 6 else (None, None)
    x_size, y_size = _step(x, "x", sizes[0]), _step(y, "y", sizes[1])
    flipped = y_size > 0
    top = (y[-1] if flipped else y[0]) + abs(y_size) / 2
    transform = Affine(x_size, 0.0, float(x[0] - x_size / 2), 0.0, -abs(y_size), float(top))
    return Grid(str(crs), transform, (len(y), len(x))), flipped


def _step(centres: NDArray[np.float64], axis: str, written: float | None) -> float:
    """How far apart the pixels' centres are; as written, where there is one only."""
    if len(centres) < 2:
        if written is None:
            raise InputError(f"the array has one pixel along {axis} and does not say how large")
        return written
    steps = np.diff(centres)
    step = float((centres[-1] - centres[0]) / (len(centres) - 1))
    if np.abs(steps - step).max() > EVEN * abs(step):
        raise InputError(f"the pixels of the array are not evenly spaced along {axis}")
    return step


def _coordinate(array: LabelledArray, name: str) -> LabelledArray:
    if name not in array.coords:
        raise InputError(f"the array has no coordinate {name!r}")
    return array.coords[name]


def _number(value: object, default: float) -> float:
    """A number of the attributes, which may be one of NumPy's."""
    return default if value is None else float(np.asarray(value).item())
