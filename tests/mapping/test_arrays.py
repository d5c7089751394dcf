"""Images in memory: arrays with named axes are read as xarray and rioxarray write them."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from mapping.test_resume import DAYS, GRID, draw_day
from support.saved_runs import save_mixed_run
from swath.errors import InputError
from swath.grid import Grid
from swath.mapping.arrays import LabelledArray, Stack, band_names
from swath.mapping.request import map_scenes
from swath.maps.labelled import coordinates
from swath.scenes.scene import read_scene

BANDS = ("B04", "B03", "B02")


@dataclass
class Named:
    """As much of xarray's DataArray as is read."""

    data: Any
    dims: tuple[Hashable, ...] = ()
    coords: Mapping[Hashable, Any] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)
    encoding: Mapping[str, Any] = field(default_factory=dict)

    def transpose(self, *dims: Hashable) -> "Named":
        order = [self.dims.index(name) for name in dims]
        return Named(self.data.transpose(order), dims, self.coords, self.attrs, self.encoding)


def named(grid: Grid = GRID, **changes: Any) -> Named:
    """The drawn days as rioxarray would give them."""
    coords = {
        name: Named(np.asarray(values), dims, attrs=attrs)
        for name, (dims, values, attrs) in coordinates(grid).items()
    }
    coords["time"] = Named(np.array(DAYS, "datetime64[ns]"), ("time",))
    coords["band"] = Named(np.array(BANDS), ("band",))
    images = np.stack([draw_day(day) for day in DAYS])
    return Named(images, ("time", "band", "y", "x"), coords | changes.pop("coords", {}), **changes)


def test_a_labelled_array_is_known_by_its_axes() -> None:
    array = named()
    assert isinstance(array, LabelledArray)
    assert not isinstance(array.data, LabelledArray)
    stack = Stack.of_labelled(array, band_names(array))
    assert stack.grid == GRID
    assert [str(date) for date in stack.dates] == list(DAYS)
    assert stack.bands == BANDS
    assert (stack.nodata, stack.scale, stack.offset) == (0, 1, 0)
    turned = array.transpose("x", "band", "time", "y")
    np.testing.assert_array_equal(Stack.of_labelled(turned, BANDS).pixels, array.data)


def test_rows_from_south_to_north_are_turned() -> None:
    array = named()
    south = Named(array.coords["y"].data[::-1], ("y",))
    upside = Named(array.data[:, :, ::-1], array.dims, dict(array.coords) | {"y": south})
    stack = Stack.of_labelled(upside, BANDS)
    assert stack.grid == GRID
    np.testing.assert_array_equal(stack.pixels, array.data)


def test_the_crs_is_found_where_the_array_says(tmp_path: Path) -> None:
    place = named().coords["spatial_ref"]
    for where in ({"attrs": {"grid_mapping": "crs"}}, {"encoding": {"grid_mapping": "crs"}}):
        array = named(coords={"crs": place, "spatial_ref": Named(0)}, **where)
        assert Stack.of_labelled(array, BANDS).grid == GRID
    with pytest.raises(InputError, match="no coordinate system: no coordinate 'spatial_ref'"):
        Stack.of_labelled(named(coords={"spatial_ref": Named(0)}), BANDS)


def test_a_cut_array_lies_where_its_coordinates_say() -> None:
    # GeoTransform is of the whole image still, as it is in rioxarray after a selection.
    array = named()
    part = {name: Named(array.coords[name].data[10:40], (name,)) for name in ("x", "y")}
    cut = Named(array.data[..., 10:40, 10:40], array.dims, dict(array.coords) | part)
    transform = Affine(10, 0, 600_100, 0, -10, 5_329_900)
    assert Stack.of_labelled(cut, BANDS).grid == Grid(GRID.crs, transform, (30, 30))
    one = {name: Named(array.coords[name].data[10:11], (name,)) for name in ("x", "y")}
    cut = Named(array.data[..., 10:11, 10:11], array.dims, dict(array.coords) | one)
    assert Stack.of_labelled(cut, BANDS).grid == Grid(GRID.crs, transform, (1, 1))


def test_bands_are_named_by_a_coordinate_or_by_descriptions() -> None:
    numbers = {"band": Named(np.array([1, 2, 3]), ("band",))}
    assert band_names(named()) == BANDS
    assert band_names(named(coords=numbers)) == ()
    assert band_names(named(coords=numbers, attrs={"long_name": BANDS})) == BANDS
    assert band_names(named(coords=numbers, attrs={"long_name": "reflectance"})) == ()


def test_what_the_numbers_mean_is_written_with_them(tmp_path: Path) -> None:
    attrs = {"_FillValue": np.uint8(255), "scale_factor": 0.0001, "add_offset": -0.1}
    array = named(attrs=attrs)
    path = Stack.of_labelled(array, BANDS).write(tmp_path)[0]
    with rasterio.open(path) as source:
        assert source.nodata == 255
        assert source.scales == (0.0001,) * 3
        assert source.offsets == (-0.1,) * 3
    decoded = named(encoding=attrs | {"_FillValue": np.nan})
    assert Stack.of_labelled(decoded, BANDS).scale == 1


def test_four_bands_of_bytes_have_no_alpha(tmp_path: Path) -> None:
    image = np.full((1, 4, *GRID.shape), 9, np.uint8)
    stack = Stack.of_numpy(image, GRID, DAYS[:1], (*BANDS, "B08"))
    (path,) = stack.write(tmp_path)
    with rasterio.open(path) as source:
        assert "alpha" not in [color.name for color in source.colorinterp]
    assert read_scene(path).bands == (*BANDS, "B08")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dims": ("time", "band", "lat", "lon")}, "has the axes time, band, y, x, got time"),
        ({"coords": {"x": Named(np.geomspace(1, 9, 120), ("x",))}}, "not evenly spaced along x"),
    ],
)
def test_arrays_that_cannot_be_placed(change: dict[str, Any], says: str) -> None:
    array = named(coords=change.get("coords", {}))
    array.dims = change.get("dims", array.dims)
    with pytest.raises(InputError, match=says):
        Stack.of_labelled(array, BANDS)


def test_an_array_of_xarray_gives_the_pixels_of_its_files(tmp_path: Path, write_scene: Any) -> None:
    xarray = pytest.importorskip("xarray")
    images = np.stack([draw_day(day) for day in DAYS])
    save_mixed_run(tmp_path / "run", images, dates=3)
    plain = named()
    coords = {name: (c.dims, c.data, dict(c.attrs)) for name, c in plain.coords.items()}
    array = xarray.DataArray(images, coords, plain.dims)
    for day, image in zip(DAYS, images, strict=True):
        write_scene(tmp_path / "map" / f"{day}.tif", image, GRID, BANDS)
    mapped = map_scenes(array, tmp_path / "run")
    filed = map_scenes(tmp_path / "map" / "*.tif", tmp_path / "run")
    for path, other in zip(mapped.only.raster_paths, filed.only.raster_paths, strict=True):
        assert path.read_bytes() == other.read_bytes()
    dataset = mapped.to_xarray()
    assert set(dataset.data_vars) == {"pmap", "pmaps", "classes"}
    assert dataset["pmaps"].dims == ("time", "class", "y", "x")
    assert dataset["pmap"].encoding["grid_mapping"] == "spatial_ref"
    np.testing.assert_array_equal(dataset["classes"], mapped.classes())
    np.testing.assert_array_equal(dataset["pmap"], mapped.pmap().filled())
    assert dataset["pmap"].sel({"class": "road"}).dtype == np.float32
