"""From a mask to the lines along its middle, in pixels."""

import numpy as np
import shapely
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from swath.grid import Window

SPUR_PX = 3.0
"""Dead ends shorter than this are bumps on the edge of a road, not streets."""

STRIP_PX = 512
"""Rows whose links are in memory at a time."""

STUB_PX = 0.25
"""Length of a mark on a pixel: two of them are shorter than any link."""

Lines = NDArray[np.object_]
"""shapely LineStrings."""


def trace_lines(mask: NDArray[np.bool_], kept: Window | None = None) -> Lines:
    """Trace the skeleton of a mask.

    Every junction and dead end is an end of lines; a closed loop is one ring. A spot whose skeleton
    is one pixel gives no line.

    Args:
        mask: (H, W) bool.
        kept: The part to be traced; what lies around it only shapes the skeleton. Lines end at the
            first pixel beyond its lower and right edge, where those of the next part begin, and
            links between such pixels are left to that part. None: all.

    Returns:
        (n,) LineStrings through pixel centres, as (column, row) from the origin of `kept`,
        integers; a vertex a pixel.

    Source: the skeleton is that of Zhang and Suen; GEOS joins its pixels to lines.
    """
    skeleton: NDArray[np.bool_] = skeletonize(mask)  # type: ignore[no-untyped-call]
    part = kept or Window(0, 0, *mask.shape)
    skeleton = skeleton[part.row : part.row_end + 1, part.col : part.col_end + 1]
    # Strip by strip, so that the two-point links of a whole scene are never all in memory.
    strips = [_trace_strip(skeleton, top, part) for top in range(0, len(skeleton), STRIP_PX)]
    return _without_spurs(_merge(np.concatenate(strips)))


def _trace_strip(skeleton: NDArray[np.bool_], top: int, part: Window) -> Lines:
    """Lines of the links from row `top` on to row `top + STRIP_PX`, cut at both rows.

    On these two rows the strip does not know all the links of a pixel: what looks like the
    middle of a line may be a junction. Two stubs on each keep GEOS from joining lines there.
    """
    links = _links(skeleton[top : top + STRIP_PX + 1], top, part)
    edges = [row for row in (top, top + STRIP_PX) if 0 < row < len(skeleton)]
    held = np.array([(col, row) for row in edges for col in np.flatnonzero(skeleton[row])])
    if not len(held):
        return _merge(links)
    stubs = [np.stack([held, held + np.array((side, 0.0))], axis=1) for side in (-STUB_PX, STUB_PX)]
    merged = _merge(np.concatenate([links, shapely.linestrings(np.concatenate(stubs))]))
    links_only: Lines = merged[shapely.length(merged) > 2 * STUB_PX]
    return links_only


def _links(skeleton: NDArray[np.bool_], top: int, part: Window) -> Lines:
    """Two-point lines between neighbouring skeleton pixels of a strip and the row below it.

    A diagonal is left out where a way round the corner exists: else each turn would be a triangle.
    Links within the last row belong to the next strip, those beyond the part to the next part.
    """
    body, below = skeleton[:STRIP_PX], skeleton[1:]
    across = body[:, :-1] & body[:, 1:]
    upper = body[: len(below)]
    down = upper & below
    corner_left, corner_right = upper[:, :-1], upper[:, 1:]
    below_left, below_right = below[:, :-1], below[:, 1:]
    fall = corner_left & below_right & ~(corner_right | below_left)
    rise = corner_right & below_left & ~(corner_left | below_right)
    ends = []
    for found, first, second in (
        (across, (0, 0), (0, 1)),
        (down, (0, 0), (1, 0)),
        (fall, (0, 0), (1, 1)),
        (rise, (0, 1), (1, 0)),
    ):
        at = np.argwhere(found) + np.array((top, 0))
        pair = np.stack([at + np.array(first), at + np.array(second)], axis=1)
        ends.append(pair[..., ::-1].astype(np.float64))
    together = np.concatenate(ends)
    beyond = np.all(together >= np.array((part.width, part.height)), axis=1)  # in x, in y
    lines: Lines = shapely.linestrings(together[~np.any(beyond, axis=1)])
    return lines


def _merge(lines: Lines) -> Lines:
    """Join lines wherever exactly two end."""
    merged: Lines = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(lines)))
    return merged


def _without_spurs(lines: Lines) -> Lines:
    """Take out short dead ends that hang on other lines, and join what they had parted."""
    if not len(lines):
        return lines
    ends = np.stack([shapely.get_point(lines, at) for at in (0, -1)], axis=1)
    places = shapely.get_coordinates(ends.ravel())
    _, inverse, counts = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    degree = np.sort(counts[inverse.ravel()].reshape(-1, 2), axis=1)
    spur = (degree[:, 0] == 1) & (degree[:, 1] > 2) & (shapely.length(lines) < SPUR_PX)
    return _merge(lines[~spur])
