"""The Grid: where pixels lie on the Earth. Scenes and labels meet only here.

Pure values: nothing in this file reads or writes a file.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self, TypeVar

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info
from pyproj.exceptions import CRSError, ProjError

from swath.errors import GridError

_METRES_PER_DEGREE = 111_195.0
"""Of latitude, on a sphere of 6371 km."""

FARTHEST = 1e9
"""No coordinate of the Earth is larger, in degrees or metres."""

MOST_SIDE_PX = 2**20
MOST_PX = 2**32
"""Pixels of a grid: 656 km square at 10 m."""

MOST_WKT = 100_000
"""Characters of a coordinate system's description."""

LONLAT = "EPSG:4326"
"""Longitude and latitude in degrees on WGS 84."""

Finer = Literal[1, 2, 4]
"""How many map pixels there are to the side of an image pixel."""

A = TypeVar("A", bound=np.generic)

Bounds = tuple[float, float, float, float]
"""(left, bottom, right, top), in the units of the CRS it belongs to. In degrees, right is above 180
where a box crosses the 180th meridian."""

_TRUE = 0.01
"""Share by which metres may be off: UTM's are by 0.002 in a neighbouring zone, Web Mercator's by 0.5."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels: rows `row .. row + height`, columns `col .. col + width`.

    Row 0 is the northernmost, column 0 the westernmost. A window may reach outside its grid
    (negative origin): `intersect` cuts it.
    """

    row: int
    col: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 0 or self.width < 0:
            raise GridError(f"a window's sides must be 0 or more, got {self.width} x {self.height}")

    @property
    def row_end(self) -> int:
        """First row below the window."""
        return self.row + self.height

    @property
    def col_end(self) -> int:
        """First column right of the window."""
        return self.col + self.width

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices, for indexing the last two axes of an array."""
        return slice(self.row, self.row_end), slice(self.col, self.col_end)

    def intersect(self, other: "Window") -> "Window":
        """The pixels in both windows; of size 0 where they do not meet."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = max(0, min(self.row_end, other.row_end) - row)
        width = max(0, min(self.col_end, other.col_end) - col)
        return Window(row, col, height, width)

    def contains(self, other: "Window") -> bool:
        """Whether every pixel of `other` is in this window."""
        return self.intersect(other) == other

    def grow(self, margin: int) -> "Window":
        """The window with `margin` more pixels on every side (fewer if negative)."""
        height, width = (max(0, side + 2 * margin) for side in (self.height, self.width))
        return Window(self.row - margin, self.col - margin, height, width)

    def shift(self, rows: int, cols: int) -> "Window":
        """The same size, `rows` further down and `cols` further right."""
        return Window(self.row + rows, self.col + cols, self.height, self.width)

    def finer(self, n: int) -> "Window":
        """The same ground in pixels of an n-th of the side; see `Grid.finer`."""
        return Window(n * self.row, n * self.col, n * self.height, n * self.width)

    def coarser(self, n: int) -> "Window":
        """The pixels, of n times the side, that the window has a part in; undoes `finer`."""
        row, col = self.row // n, self.col // n
        return Window(row, col, -(-self.row_end // n) - row, -(-self.col_end // n) - col)

    def relative_to(self, other: "Window") -> "Window":
        """This window, counted from the origin of `other`."""
        return self.shift(-other.row, -other.col)

    def strips(self, rows: int) -> "Iterator[Window]":
        """The window from top to bottom, at most `rows` rows at a time."""
        for row in range(self.row, self.row_end, rows):
            yield Window(row, self.col, min(rows, self.row_end - row), self.width)


@dataclass(frozen=True, slots=True)
class Grid:
    """A north-up raster of square or rectangular pixels: CRS, affine transform, shape.

    Example:
        >>> import swath
        >>> grid = swath.Grid.from_lonlat((-1.70, 48.10, -1.69, 48.11))
        >>> grid.crs, grid.shape, grid.resolution
        ('EPSG:32630', (113, 78), (10.0, 10.0))

    Attributes:
        crs: `"EPSG:32630"` where the system has a code, else WKT. Always normalised, so that equal
            grids compare equal.
        transform: Maps (column, row) to (x, y) of a pixel's upper left corner.
        shape: (height, width) in pixels.
    """

    crs: str
    transform: Affine
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "crs", normalise_crs(self.crs))
        if min(self.shape) < 1:
            raise GridError(f"a grid needs at least one pixel, got {self.shape[1]} x {self.shape[0]}")
        check_size(*self.shape)
        if not all(abs(number) <= FARTHEST for number in self.transform):
            expected = f"a grid's transform must be numbers up to {FARTHEST:g}, got"
        elif not (self.transform.is_rectilinear and self.transform.e < 0 < self.transform.a):
            expected = "a grid must be north-up (a > 0, e < 0, no rotation), got transform"
        else:
            return
        raise GridError(f"{expected} ({', '.join(f'{n:.6g}' for n in tuple(self.transform)[:6])})")

    @classmethod
    def from_bounds(cls, bounds: Bounds, crs: str, resolution_m: float = 10.0) -> Self:
        """The smallest grid that covers `bounds`, snapped to multiples of the resolution.

        Snapping makes grids of one CRS, projected in metres, share their pixel corners, as the
        Sentinel-2 tiles do.

        Raises:
            GridError: Bounds that are empty or upside down.
        """
        left, bottom, right, top = bounds
        if not (left < right and bottom < top):
            raise GridError(f"bounds must be (left, bottom, right, top), got {bounds}")
        # A thousandth of a pixel of slack: 500000.0000001 is meant as 500000.
        size = resolution_m
        if not (size > 0 and all(math.isfinite(side / size) for side in (*bounds, 1.0, size))):
            raise GridError(f"bounds and pixel size must be finite, that above 0, got {bounds} and {size}")
        west, south = (math.floor(side / size + 1e-3) for side in (left, bottom))
        east, north = (math.ceil(side / size - 1e-3) for side in (right, top))
        check_size(north - south, east - west)
        transform = Affine(size, 0.0, west * size, 0.0, -size, north * size)
        return cls(crs, transform, (max(1, north - south), max(1, east - west)))

    @classmethod
    def from_lonlat(cls, bounds: Bounds, crs: str | None = None, resolution_m: float = 10.0) -> Self:
        """The grid that covers (west, south, east, north) in degrees.

        Args:
            bounds: In degrees; across the 180th meridian, east is below west or above 180.
            crs: A projected system in metres; None for the UTM zone of the centre.
            resolution_m: Pixel size.

        Raises:
            GridError: Bounds outside the Earth or empty.
        """
        west, south, east, north = bounds
        around = east + 360 if east < west else east
        widest = 180 if east < west else 360
        if not (-180 <= west < around <= min(west + widest, 360) and -90 <= south < north <= 90):
            raise GridError(f"bounds must be (west, south, east, north) in degrees, got {bounds}")
        target = crs or utm_crs((west + around) / 2, (south + north) / 2)
        box = (west, south, around, north)
        return cls.from_bounds(transform_bounds(box, LONLAT, target), target, resolution_m)

    @property
    def height(self) -> int:
        """Rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.shape[1]

    @property
    def window(self) -> Window:
        """The whole grid as a window."""
        return Window(0, 0, self.height, self.width)

    @property
    def resolution(self) -> tuple[float, float]:
        """(x, y) size of a pixel in units of the CRS, both positive."""
        return self.transform.a, -self.transform.e

    @property
    def bounds(self) -> Bounds:
        """(left, bottom, right, top) in units of the CRS."""
        t = self.transform
        return t.c, t.f + self.height * t.e, t.c + self.width * t.a, t.f

    @property
    def lonlat_bounds(self) -> Bounds:
        """(west, south, east, north) in degrees: the box around the grid; west is -180..180."""
        return turned(transform_bounds(self.bounds, self.crs, LONLAT), 0.0)

    @property
    def bbox(self) -> Bounds:
        """`lonlat_bounds` as GeoJSON has them: across the 180th meridian, east is below west."""
        return geojson_bbox(self.lonlat_bounds)

    @property
    def lonlat_text(self) -> str:
        """Where it lies in degrees, for a message: `1.2000..1.3000 E, 48.1000..48.2000 N`."""
        west, south, east, north = self.lonlat_bounds
        return f"{west:.4f}..{east:.4f} E, {south:.4f}..{north:.4f} N"

    def crop(self, window: Window) -> "Grid":
        """The grid of a window of this one; the window may reach outside."""
        t = self.transform
        left, top = t.c + window.col * t.a, t.f + window.row * t.e
        transform = Affine(t.a, 0.0, left, 0.0, t.e, top)
        return Grid(self.crs, transform, (window.height, window.width))

    def finer(self, n: int) -> "Grid":
        """The same ground in pixels of an n-th of the side: n x n of them to one of this grid.

        Raises:
            GridError: n is below 1.
        """
        if n < 1:
            raise GridError(f"a grid can be 1, 2, 3, ... times as fine, got {n}")
        t = self.transform
        transform = Affine(t.a / n, 0.0, t.c, 0.0, t.e / n, t.f)
        return Grid(self.crs, transform, (n * self.height, n * self.width))

    def moved(self, east_m: float, north_m: float) -> "Grid":
        """The same pixels, said to lie `east_m` further east and `north_m` further north.

        In a system in degrees, metres are converted at the grid's centre, on a sphere: what is
        meant are metres or tens of them, for which that is right to better than 1 %.
        """
        t = self.transform
        if CRS.from_user_input(self.crs).is_geographic:
            middle = math.radians(t.f + self.height / 2 * t.e)
            north_m /= _METRES_PER_DEGREE
            east_m /= _METRES_PER_DEGREE * math.cos(middle)
        transform = Affine(t.a, 0.0, t.c + east_m, 0.0, t.e, t.f + north_m)
        return Grid(self.crs, transform, self.shape)

    def profile(self) -> dict[str, object]:
        """The georeference as rasterio keywords: crs, transform, height, width."""
        return {"crs": self.crs, "transform": self.transform, "height": self.height, "width": self.width}

    @property
    def size_text(self) -> str:
        """Width x height for people, as GDAL has it: `352 x 295 px`."""
        return f"{self.width} x {self.height} px"


def refine(array: NDArray[A], n: int) -> NDArray[A]:
    """(..., H, W) values of a grid on `Grid.finer(n)`: each stands in n x n pixels."""
    return array if n == 1 else array.repeat(n, axis=-2).repeat(n, axis=-1)


def check_size(height: int, width: int) -> None:
    """Raise `GridError` for a grid that no machine holds."""
    if max(height, width) > MOST_SIDE_PX or height * width > MOST_PX:
        raise GridError(
            f"a grid of {width:.3g} x {height:.3g} pixels; expected at most {MOST_SIDE_PX} a side and "
            f"{MOST_PX} in all: check the bounds, the pixel size and the coordinate system"
        )


def normalise_crs(crs: object) -> str:
    """`EPSG:n` where a coordinate system, as pyproj takes it, has such a code; else its WKT.

    Raises:
        GridError: It is no coordinate system.
    """
    if isinstance(crs, str) and len(crs) > MOST_WKT:
        raise GridError(f"not a coordinate reference system: {len(crs)} characters")
    try:
        system = CRS.from_user_input(crs)
    except (CRSError, ValueError) as error:
        raise GridError(
            f"not a coordinate reference system: {str(crs)[:200]!r} ({str(error)[:300]})"
        ) from None
    authority = system.to_authority()
    return ":".join(authority) if authority else str(system.to_wkt())


def is_metric(crs: str) -> bool:
    """Whether a coordinate system is projected, in metres."""
    system = CRS.from_user_input(crs)
    return bool(system.is_projected and system.axis_info[0].unit_name == "metre")


def true_metres(crs: str, lon: float, lat: float) -> float:
    """How long 1 m of a system that `is_metric` is on the ground, in the direction that is most off."""
    step_m = 100.0
    x, y, *_ = transform_bounds((lon, lat, lon, lat), LONLAT, crs)
    back = Transformer.from_crs(crs, LONLAT, always_xy=True)
    ends = [(x + step_m, y), (x, y + step_m), (x + step_m * 0.6, y + step_m * 0.8)]
    lons, lats = back.transform([x, *(end[0] for end in ends)], [y, *(end[1] for end in ends)])
    geod = Geod(ellps="WGS84")
    lengths: list[float] = [
        geod.inv(lons[0], lats[0], *end)[2] / step_m for end in zip(lons[1:], lats[1:], strict=True)
    ]
    return max(lengths, key=lambda length: abs(length - 1))


def has_true_metres(crs: str, lon: float, lat: float) -> bool:
    """Whether a system is projected, in metres that are metres on the ground at a place."""
    return is_metric(crs) and abs(true_metres(crs, lon, lat) - 1) < _TRUE


def utm_crs(lon: float, lat: float) -> str:
    """The WGS 84 UTM zone of a point in degrees, for example `EPSG:32630`.

    Raises:
        GridError: UTM does not cover the point (near the poles).
    """
    lon = (lon + 180) % 360 - 180
    area = AreaOfInterest(lon, lat, lon, lat)
    zones = query_utm_crs_info(datum_name="WGS 84", area_of_interest=area)
    if not zones:
        raise GridError(f"no UTM zone covers lon {lon:.4f}, lat {lat:.4f}; they end at 84 N and 80 S")
    return f"{zones[0].auth_name}:{zones[0].code}"


def transform_bounds(bounds: Bounds, source: str, target: str) -> Bounds:
    """The box in the CRS `target` around a box in `source`: its edges bend on the way.

    Raises:
        GridError: The box cannot be expressed in `target`.
    """
    try:
        transformer = Transformer.from_crs(source, target, always_xy=True)
        left, bottom, right, top = transformer.transform_bounds(*bounds, densify_pts=21)
    except ProjError:
        names = (CRS.from_user_input(crs).name for crs in (source, target))
        what = f"nobody knows how {' and '.join(names)} lie to each other; georeference it"
        raise GridError(what) from None
    if not all(math.isfinite(value) for value in (left, bottom, right, top)):
        here, there = (CRS.from_user_input(crs).name for crs in (source, target))
        raise GridError(f"the bounds {bounds} in {here} lie outside {there}")
    if right < left:  # degrees, across the 180th meridian
        right += 360
    return left, bottom, right, top


def turned(bounds: Bounds, lon: float) -> Bounds:
    """A box in degrees, moved by whole turns until its west is within half a turn of `lon`."""
    west, south, east, north = bounds
    turn = 360 * math.floor((west - lon + 180) / 360)
    return west - turn, south, east - turn, north


def lonlat_parts(bounds: Bounds) -> tuple[Bounds, ...]:
    """A box in degrees as boxes within -180..180: two where it crosses the 180th meridian."""
    west, south, east, north = bounds
    west, _, east, _ = turned((west, south, east + 360 if east < west else east, north), 0.0)
    if east <= 180:
        return ((west, south, east, north),)
    return (west, south, 180.0, north), (-180.0, south, east - 360, north)


def geojson_bbox(bounds: Bounds) -> Bounds:
    """A box in degrees as GeoJSON has it: across the 180th meridian, east is below west."""
    west, south, east, north = bounds
    return west, south, east - 360 if east > 180 else east, north
