"""How large the pixels and the units of a grid are on the ground, in metres."""

import math

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from swath.grid import Grid

METRES_PER_DEGREE = 111_195.0
"""Of latitude, on a sphere of 6371 km."""


def pixel_m(grid: Grid) -> tuple[float, float]:
    """Height and width of a pixel; in a system in degrees those in the middle of the grid."""
    (east, north), (width, height) = metres_per_unit(grid), grid.resolution
    return float(height * north), float(width * east)


def metres_per_unit(grid: Grid) -> NDArray[np.float64]:
    """(2,) metres to a unit of the grid's system, east and north."""
    system = CRS.from_user_input(grid.crs)
    if not system.is_geographic:
        return np.full(2, float(system.axis_info[0].unit_conversion_factor))
    middle = math.radians(grid.transform.f + grid.height / 2 * grid.transform.e)
    return METRES_PER_DEGREE * np.array([math.cos(middle), 1.0])
