"""The sea: OpenStreetMap draws its edge only, with the land on the left and the water on the right.

Source: https://wiki.openstreetmap.org/wiki/Tag:natural%3Dcoastline
"""

import numpy as np
import shapely
from numpy.typing import NDArray

from swath.grid import Bounds

_ASIDE_M = 0.5
"""How far beside the middle of a piece of coast it is looked which face lies there."""

_SURE = 0.9
"""Share of its coast that must call a face sea: coasts have small errors, gaps make large ones."""


def find_sea(coast: NDArray[np.object_], box: Bounds) -> NDArray[np.object_]:
    """The sea inside a box.

    The coast cuts the box into faces. A face is sea where nearly all coast around it has it on its
    right. Where a coast ends inside the box, both sides are one face, and nothing is told of it.

    Args:
        coast: Lines, in their own direction, in metres.
        box: (left, bottom, right, top) in the same system.

    Returns:
        Polygons inside the box; none where no coast crosses or rings in it.
    """
    lines = shapely.get_parts(coast)
    lines = lines[shapely.get_dimensions(lines) == 1]
    outline = shapely.box(*box)
    lines = lines[shapely.intersects(lines, outline)]
    if not len(lines):
        return np.array([], object)
    noded = shapely.union_all([*lines, shapely.boundary(outline)])
    faces = shapely.get_parts(shapely.polygonize([noded]))
    faces = faces[shapely.covers(outline, shapely.point_on_surface(faces))]
    sea, land = (_coast_of(faces, lines, side) for side in (1.0, -1.0))
    told = sea + land
    seas: NDArray[np.object_] = faces[(told > 0) & (sea >= _SURE * told)]
    return seas


def _coast_of(faces: NDArray[np.object_], lines: NDArray[np.object_], side: float) -> NDArray[np.float64]:
    """Length of coast that has a face on its right (`side` 1) or left (-1), by face."""
    points, of_line = shapely.get_coordinates(lines, return_index=True)
    start, end = points[:-1], points[1:]
    length = np.hypot(*(end - start).T)
    real = (of_line[:-1] == of_line[1:]) & (length > 0)
    start, end, length = start[real], end[real], length[real]
    along = (end - start) / length[:, None]
    # Right of (x, y) is (y, -x).
    aside = (start + end) / 2 + side * _ASIDE_M * np.column_stack([along[:, 1], -along[:, 0]])
    piece, face = shapely.STRtree(faces).query(shapely.points(aside), predicate="within")
    return np.asarray(np.bincount(face, length[piece], len(faces)), np.float64)
