"""Models that can do without some of their bands."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from support.saved_runs import save_run
from swath.errors import InputError
from swath.grid import Grid
from swath.mapping.options import MapOptions
from swath.mapping.request import map_scenes
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings

IMAGE = ImageSettings(bands=("B04", "B03", "B02", "B08"), encoding="reflectance", optional=("B08",))
EXACT = MapOptions(precision="fp32")
GRID = Grid.from_bounds((500_000, 4_800_000, 500_640, 4_800_480), "EPSG:32631")


@pytest.fixture
def place(tmp_path, write_scene):
    """A run that can do without B08, and two dates, of which the second lacks it."""
    model = save_run(
        tmp_path / "run", {}, image=IMAGE, scaling=Scaling(offset=(900.0,) * 4, scale=(300.0,) * 4)
    )
    rng = np.random.default_rng(0)
    images = rng.integers(300, 1500, (2, 4, *GRID.shape), dtype=np.uint16)
    images[:, :, :9, :7] = 0
    write_scene(tmp_path / "2020-06-01.tif", images[0], GRID, IMAGE.bands)
    write_scene(tmp_path / "2020-06-02.tif", images[1, :3], GRID, IMAGE.bands[:3])
    return tmp_path, model, images


def test_a_date_without_an_optional_band_is_mapped_at_its_mean(place):
    folder, model, images = place
    maps = map_scenes(sorted(folder.glob("*.tif")), folder / "run", out=folder / "maps", options=EXACT).only
    scaled = model.spec.scaling.apply(images)
    scaled[1, 3] = 0
    known = torch.from_numpy((images != 0).any(axis=1))
    with torch.inference_mode():
        pmaps = torch.sigmoid(model.fcn(torch.from_numpy(scaled), known)).numpy()
    for date, pmap in zip(maps.dates, pmaps, strict=True):
        shares = pmap[1] / pmap.sum(axis=0)
        np.testing.assert_allclose(maps.pmap(date)[1].filled(0), shares * known[0].numpy(), atol=0.003)


def test_a_band_that_is_not_optional_must_be_there(place, write_scene):
    folder, _, images = place
    path = write_scene(folder / "2020-06-03.tif", images[0, :2], GRID, IMAGE.bands[:2])
    with pytest.raises(InputError, match="no band B02; the file has B04, B03"):
        map_scenes([path], folder / "run", out=folder / "maps")


def test_optional_bands_are_some_of_the_bands():
    assert IMAGE.required == ("B04", "B03", "B02")
    for optional in (("B11",), IMAGE.bands):
        with pytest.raises(ValidationError, match="optional must be some of the bands"):
            ImageSettings(bands=IMAGE.bands, optional=optional)
