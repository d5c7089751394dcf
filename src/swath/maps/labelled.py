"""Arrays with named axes and coordinates: the maps as an xarray Dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from swath.errors import MissingExtraError
from swath.grid import Grid

if TYPE_CHECKING:
    import xarray as xr

GRID_MAPPING = "spatial_ref"
"""The coordinate that says what `x` and `y` are, as rioxarray and GDAL call it."""

Variable = tuple[tuple[str, ...], object, dict[str, object]]
"""Names of the axes, values, attributes: as xarray takes them."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One array of a dataset.

    Attributes:
        axes: Name of every axis; the last two are `y` and `x`.
        pixels: Its values.
        notes: Its attributes.
    """

    axes: tuple[str, ...]
    pixels: NDArray[np.generic]
    notes: Mapping[str, object]


def labelled(
    layers: Mapping[str, Layer], axes: Mapping[str, object], grid: Grid, notes: Mapping[str, str]
) -> "xr.Dataset":
    """Layers on a grid as an xarray Dataset that rioxarray and GDAL can place.

    Args:
        layers: Name -> layer.
        axes: Name of a further axis -> its coordinates.
        grid: Where the pixels lie.
        notes: Attributes of the dataset.

    Raises:
        MissingExtraError: xarray is not installed.
    """
    try:
        import xarray as xr
    except ModuleNotFoundError:
        raise MissingExtraError("to_xarray", "xarray", "xarray") from None
    dataset = xr.Dataset(
        {name: (layer.axes, layer.pixels, dict(layer.notes)) for name, layer in layers.items()},
        coordinates(grid)
        | {name: ((name,), np.asarray(values), {}) for name, values in axes.items()},
        dict(notes),
    )
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
