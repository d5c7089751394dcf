"""Arrays with named axes and coordinates: the maps as an xarray Dataset."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from pyproj import CRS

from swath.extras import optional_import
from swath.grid import Grid

if TYPE_CHECKING:
    import xarray as xr

GRID_MAPPING = "spatial_ref"
"""The coordinate that says what `x` and `y` are, as rioxarray and GDAL call it."""

Variable = tuple[tuple[str, ...], object, dict[str, object]]
"""Names of the axes, values, attributes: as xarray takes them."""


def labelled(
    layers: Mapping[str, Variable], axes: Mapping[str, object], grid: Grid, notes: Mapping[str, str]
) -> "xr.Dataset":
    """Layers on a grid as an xarray Dataset that rioxarray and GDAL can place.

    Args:
        layers: By name; their last two axes are `y` and `x`.
        axes: Name of a further axis -> its coordinates.
        grid: Where the pixels lie.
        notes: Attributes of the dataset.

    Raises:
        MissingExtraError: xarray is not installed.
    """
    with optional_import("to_xarray", "xarray"):
        import xarray as xr
    places = coordinates(grid)
    for name, values in axes.items():
        places[name] = ((name,), np.asarray(values), {})
    dataset = xr.Dataset(layers, places, notes)
    for name in layers:
        # Not an attribute: there it would stand in the way of to_netcdf.
        dataset[name].encoding["grid_mapping"] = GRID_MAPPING
    return dataset


def coordinates(grid: Grid) -> dict[str, Variable]:
    """A grid as coordinates: `x` and `y` of the pixels' centres, and `spatial_ref`.

    Source: the CF conventions, section 5.6 (grid mappings); `spatial_ref` and `GeoTransform` are
    what GDAL adds to them.
    """
    system = CRS.from_user_input(grid.crs)
    left, _, _, top = grid.bounds
    x_size, y_size = grid.resolution
    about = {axis["axis"]: dict(axis) for axis in system.cs_to_cf()}
    mapping = system.to_cf() | {
        "spatial_ref": system.to_wkt(),
        "GeoTransform": " ".join(str(float(number)) for number in grid.transform.to_gdal()),
    }
    return {
        "x": (("x",), left + (np.arange(grid.width) + 0.5) * x_size, about["X"]),
        "y": (("y",), top - (np.arange(grid.height) + 0.5) * y_size, about["Y"]),
        GRID_MAPPING: ((), 0, dict(mapping)),
    }
