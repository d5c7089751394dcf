"""A class map as polygons that cover it: holes kept, borders shared, no gap and no overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio import features
from scipy import ndimage
from skimage import measure

from swath.grid import Grid
from swath.maps.sitemaps import PMAP_NODATA

Ids = TypeVar("Ids", np.uint8, np.uint16)

SIMPLIFY_PX = 1.0
"""Corners that stand out less than this from a smoother border are cut."""


PASSES = 8
"""How often small areas are merged at most: some have no neighbour that is large before others have."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Polygons that cover a class map.

    Attributes:
        polygons: (n,) shapely Polygons in the CRS of the map.
        ids: (n,) int64, what each was in the map.
    """

    polygons: NDArray[np.object_]
    ids: NDArray[np.int64]


def merge_small(ids: NDArray[Ids], least_px: int, nodata: int = PMAP_NODATA) -> NDArray[Ids]:
    """Give areas of fewer than `least_px` pixels to what surrounds them.

    Args:
        ids: (H, W) uint8 or uint16.
        least_px: The minimum mapping unit; 1 or less leaves all as it is. Where no area is larger,
            as on an islet in no data, all stay.
        nodata: The id that takes nothing and gives nothing.
    """
    for _ in range(PASSES):
        merged = merge_once(ids, least_px, nodata)
        if merged is ids:
            break
        ids = merged
    return ids


def merge_reach_px(least_px: int) -> int:
    """How far a pixel acts on another in one pass of `merge_once`, in pixels.

    Whether an area counts as small, and whether the one beside it does, is seen within `least_px` - 1
    steps of each.
    """
    return max(0, 2 * least_px - 1)


def merge_once(ids: NDArray[Ids], least_px: int, nodata: int = PMAP_NODATA) -> NDArray[Ids]:
    """One pass of `merge_small`; the very array where nothing changes.

    A small area becomes the id that has most of its border, among areas that are not small; of two
    with as much, the lower. So what it becomes depends on nothing farther away than
    `merge_reach_px`, and pieces of a map can be merged one by one.
    """
    known = ids != nodata
    if least_px <= 1 or not known.any():
        return ids
    areas, number = measure.label(ids, background=-1, connectivity=1, return_num=True)  # type: ignore[no-untyped-call]
    areas = areas.astype(np.int32, copy=False)
    small = np.bincount(areas.ravel(), minlength=number + 1) < least_px
    here = small[areas] & known
    if not here.any():
        return ids
    takes = known & ~here
    owners, offers = [], []
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        for inner, outer in ((one, other), (other, one)):
            meet = here[inner] & takes[outer]
            owners.append(areas[inner][meet])
            offers.append(ids[outer][meet])
    span = int(ids.max()) + 1
    pairs, sides = np.unique(
        np.concatenate(owners).astype(np.int64) * span + np.concatenate(offers), return_counts=True
    )
    if not len(pairs):
        return ids
    # The last of each owner, by sides and then by the lower id, is what it becomes.
    owner, offer = np.divmod(pairs, span)
    order = np.lexsort((-offer, sides, owner))
    last = order[np.append(np.diff(owner[order]) > 0, True)]
    becomes = np.full(number + 1, -1, np.int64)
    becomes[owner[last]] = offer[last]
    merged = ids.copy()
    given = here & (becomes[areas] >= 0)
    merged[given] = becomes[areas[given]].astype(ids.dtype)
    return merged


def cover(ids: NDArray[np.unsignedinteger], grid: Grid, nodata: int = PMAP_NODATA) -> Coverage:
    """Outline the areas of a class map, with borders as smooth as both sides share them.

    Pixels are of one area where they meet at a side. The outer edge, towards no data and at the end
    of the map, stays as it is: so pieces of a map fit together.

    Args:
        ids: (H, W) uint8 or uint16.
        grid: Where they lie.
        nodata: The id that gets no polygon.
    """
    shapes = list(features.shapes(ids, mask=ids != nodata, connectivity=4))
    values = np.array([value for _, value in shapes], np.int64)
    if not shapes:
        return Coverage(np.empty(0, object), values)
    noded = _with_junctions([outline["coordinates"] for outline, _ in shapes], _junctions(ids))
    smooth = shapely.coverage_simplify(noded, SIMPLIFY_PX, simplify_boundary=False)
    (x_size, y_size), (left, _, _, top) = grid.resolution, grid.bounds
    placed = shapely.transform(smooth, lambda xy: xy * [x_size, -y_size] + [left, top])
    return Coverage(placed, values)


def _junctions(ids: NDArray[np.unsignedinteger]) -> NDArray[np.bool_]:
    """(H + 1, W + 1) bool, True at the corners of pixels where three borders or more meet."""
    wide = np.pad(ids.astype(np.int32), 1, constant_values=-1)
    across = (wide[:, 1:] != wide[:, :-1]).astype(np.uint8)  # sides that stand upright
    down = (wide[1:] != wide[:-1]).astype(np.uint8)
    meeting = across[1:] + across[:-1] + down[:, 1:] + down[:, :-1]
    return np.asarray(meeting >= 3)


def _with_junctions(
    outlines: Sequence[Sequence[Sequence[tuple[float, float]]]], junctions: NDArray[np.bool_]
) -> NDArray[np.object_]:
    """Polygons in pixels, with a vertex wherever a neighbour's border ends on one of their sides.

    GDAL leaves out vertices in the middle of a straight side; but borders are only shared where both
    sides have the same vertices. An outline is its rings, the shell first.
    """
    rings = [ring for outline in outlines for ring in outline]
    polygon = np.repeat(np.arange(len(outlines)), [len(outline) for outline in outlines])
    xy = np.array(list(chain.from_iterable(rings)), np.int64)
    ring = np.repeat(np.arange(len(rings)), [len(vertices) for vertices in rings])
    inside = ring[1:] == ring[:-1]  # the side from a vertex to the next
    start, end = xy[:-1][inside], xy[1:][inside]
    parts, owners, order = [xy], [ring], [np.arange(len(xy), dtype=np.float64)]
    first = np.flatnonzero(inside)
    rows, cols = np.nonzero(junctions)
    for fixed, moving, lines, places in ((1, 0, rows, cols), (0, 1, cols, rows)):
        side = np.flatnonzero(start[:, fixed] == end[:, fixed])
        scale = max(junctions.shape) + 1
        keys = np.sort(lines.astype(np.int64) * scale + places)
        line = start[side, fixed] * scale
        low, high = np.sort(np.stack([start[side, moving], end[side, moving]]), axis=0)
        begin, stop = np.searchsorted(keys, line + low, "right"), np.searchsorted(keys, line + high, "left")
        count = np.maximum(stop - begin, 0)
        which = np.repeat(np.arange(len(side)), count)
        step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        place = keys[np.repeat(begin, count) + step] % scale
        added = np.empty((len(which), 2), np.int64)
        added[:, fixed], added[:, moving] = start[side[which], fixed], place
        along = np.abs(place - start[side[which], moving]) / scale
        parts.append(added)
        owners.append(ring[first[side[which]]])
        order.append(first[side[which]] + along)
    at = np.argsort(np.concatenate(order), kind="stable")
    vertices = np.concatenate(parts)[at].astype(np.float64)
    noded = shapely.linearrings(vertices, indices=np.concatenate(owners)[at])
    starts = np.flatnonzero(np.diff(polygon, prepend=-1))
    ends = np.append(starts[1:], len(noded))
    solid: NDArray[np.object_] = shapely.polygons(noded[starts])
    for with_holes in np.flatnonzero(ends - starts > 1):
        first, end = starts[with_holes], ends[with_holes]
        solid[with_holes] = shapely.Polygon(noded[first], noded[first + 1 : end])
    return solid


def three_wide(codes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(H, W) bool, True where a square of 3 x 3 pixels of one and the same code lies over the pixel."""
    core = ndimage.minimum_filter(codes, 3) == ndimage.maximum_filter(codes, 3)
    wide: NDArray[np.bool_] = ndimage.binary_dilation(core, np.ones((3, 3), bool))
    return wide
