"""One image of a flight: its items joined, where a site lies across tiles, zones or the 180th meridian.

An image of one item keeps the item's own pixels, which are resampled once, when a dataset is built.
Several are joined on the pixels of the site's grid. Items of its zone are copied onto them, for the
tiles of a zone share their pixel corners; items of another zone are resampled by cubic convolution,
as scenes are. Of a pixel that several items have, the first counts, in the order of the flight.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import reproject

from swath.errors import RemoteError
from swath.grid import Grid, Window
from swath.retrieval.download import ItemImage, Order, drop_files, read_classes, read_item
from swath.retrieval.offset import Offset
from swath.retrieval.overflight import Overflight
from swath.retrieval.remote import Server
from swath.scenes.raster import SAME_PX, warp_band, write_raster
from swath.sentinel2 import NODATA, SCL_INVALID

SNOW = 11
"""Snow or ice in the scene classification: valid, but no road is seen under it."""

OVERVIEW_PX = 512
"""Clouds over a site are counted on at most so many pixels a side."""

SCL_M = 20.0
"""Pixel size of the scene classification."""

MARGIN_PX = 4
"""Pixels around a site that a joined image has, too: what a further resampling looks at."""


def measure_clear(server: Server, orders: Sequence[Order], cache: Path) -> float:
    """Share 0..1 of a site that is clear, by the scene classifications of the items of a flight.

    Clear is what is neither cloud, cirrus, shadow, snow, defective nor no data.

    Raises:
        RemoteError: A file cannot be had, or is not what it should be.
    """
    place = _overview(orders[0].grid)
    classes = np.zeros(place.shape, np.uint8)
    for order in orders:
        read = read_classes(server, order, place, cache)
        if read is None:
            continue
        (values, grid), warped = read, np.zeros(place.shape, np.uint8)
        reproject(
            values,
            warped,
            src_transform=grid.transform,
            src_crs=grid.crs,
            src_nodata=0,
            dst_transform=place.transform,
            dst_crs=place.crs,
            dst_nodata=0,
            resampling=Resampling.nearest,
        )
        classes = np.where(classes == 0, warped, classes)
    return float(1 - np.isin(classes, (*SCL_INVALID, SNOW)).mean())


def fetch_image(server: Server, orders: Sequence[Order], path: Path, cache: Path) -> tuple[Offset, ...]:
    """Bring a flight's image of a site to a GeoTIFF, whole or not at all.

    Args:
        server: Where requests go through.
        orders: What is to be made, an item each, in the order in which they count.
        path: uint8 (`visual`) or uint16 reflectance x 10000 (`bands`), 0 = no data.
        cache: Folder for files that are downloaded whole; what is used up is removed.

    Returns:
        Of each item how stored numbers became reflectance.

    Raises:
        RemoteError: A file cannot be had, or is not what it should be.
    """
    offsets = []
    first, several = orders[0], len(orders) > 1
    grid = first.grid.crop(first.grid.window.grow(MARGIN_PX))
    image: NDArray[np.generic] | None = None
    seen = np.zeros(grid.shape, bool)
    for order in orders:
        part = read_item(server, order, cache)
        if part is None:
            offsets.append(Offset(None, "its image does not meet the site, its footprint does"))
            continue
        offsets.append(part.offset)
        if not several:
            image, grid = part.image, part.grid
            break
        if image is None:
            image = np.zeros((len(part.image), *grid.shape), part.image.dtype)
        _lay(part, grid, image, seen)
    name = " + ".join(order.item.id for order in orders)
    if image is None or not (image != NODATA).any():
        raise RemoteError(f"{name}: no clear pixel with data lies inside the site")
    write_raster(path, image, grid, nodata=NODATA, names=first.bands, tags=_tags(orders))
    for order in orders:
        drop_files(order, cache)
    return tuple(offsets)


def _lay(part: ItemImage, grid: Grid, image: NDArray[np.generic], seen: NDArray[np.bool_]) -> None:
    """Lay an item's pixels into an image on `grid` wherever no earlier one has been `seen`."""
    place = _same_corners(part.grid, grid)
    if place is None:
        rows, cols = grid.window.slices
        values, there = _warped(part, grid)
    else:
        inside = place.intersect(grid.window)
        rows, cols = inside.slices
        own_rows, own_cols = inside.relative_to(place).slices
        values, there = part.image[:, own_rows, own_cols], part.seen[own_rows, own_cols]
    fresh = there & ~seen[rows, cols]
    image[:, rows, cols][:, fresh] = values[:, fresh]
    seen[rows, cols] |= there


def _same_corners(part: Grid, grid: Grid) -> Window | None:
    """Where on `grid` the pixels of `part` lie; None if they are not pixels of it."""
    if part.crs != grid.crs or part.resolution != grid.resolution:
        return None
    x_size, y_size = grid.resolution
    row, col = (grid.bounds[3] - part.bounds[3]) / y_size, (part.bounds[0] - grid.bounds[0]) / x_size
    window = Window(round(row), round(col), *part.shape)
    return window if max(abs(row - window.row), abs(col - window.col)) < SAME_PX else None


def _warped(part: ItemImage, grid: Grid) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """An item's pixels brought onto `grid`, and where it has any."""
    masked = ~(part.image != NODATA).any(axis=0)
    top = 255 if part.image.dtype == np.uint8 else 65535
    values = np.zeros((len(part.image), *grid.shape), part.image.dtype)
    for band, layer in enumerate(part.image):
        stored = np.where(masked, np.nan, layer).astype(np.float32)
        warped = warp_band(stored, part.grid, grid)
        numbers = np.clip(np.rint(np.nan_to_num(warped, nan=NODATA)), 1, top)
        values[band] = np.where(np.isnan(warped), NODATA, numbers)
    there = warp_band(np.where(part.seen, 1, np.nan).astype(np.float32), part.grid, grid)
    return values, ~np.isnan(there)


def _overview(grid: Grid) -> Grid:
    """A grid in pixels as coarse as clouds are counted on."""
    coarser = max(1, round(SCL_M / grid.resolution[0]), math.ceil(max(grid.shape) / OVERVIEW_PX))
    shape = (math.ceil(grid.height / coarser), math.ceil(grid.width / coarser))
    scale = Affine.scale(grid.width / shape[1], grid.height / shape[0])
    return Grid(grid.crs, grid.transform @ scale, shape)


def _tags(orders: Sequence[Order]) -> dict[str, str]:
    """What the image says of itself; `swath.scenes.scene` reads it back."""
    flight = Overflight(tuple(order.item for order in orders), 1.0)
    lead = flight.items[0]
    known = {
        "CLOUD_COVER": flight.cloud,
        "SUN_AZIMUTH_DEG": lead.sun_azimuth_deg,
        "SUN_ELEVATION_DEG": lead.sun_elevation_deg,
    }
    tags = {key: f"{value:.6g}" for key, value in known.items() if value is not None}
    if all("SCL" in order.assets for order in orders):
        tags["SCL_INVALID"] = " ".join(map(str, SCL_INVALID))
    return tags | {"ACQUISITION_DATE": str(flight.date), "STAC_ITEM": flight.id}
