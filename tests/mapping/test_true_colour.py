"""A True Colour Image for a model that learnt from standardised reflectance."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer

from swath.grid import Grid
from swath.mapping.options import MapOptions
from swath.mapping.request import map_scenes
from swath.models.starter import STARTER
from swath.models.trained import SPEC
from swath.scenes.scene import read_scene
from swath.scenes.warp import read_on_grid
from swath.sentinel2 import ImageSettings

RGB = ("B04", "B03", "B02")
PLACES = {"rennes/2017-06-21.tif": "EPSG:32630", "montpellier/2017-10-30.tif": "EPSG:32631"}
ONCE = MapOptions(precision="fp32", orientations=1)


@pytest.mark.parametrize(("place", "crs"), PLACES.items())
def test_pmaps_of_real_cities_are_those_of_their_reflectance(
    data_dir: Path, write_scene: Callable[..., Path], tmp_path: Path, place: str, crs: str
) -> None:
    """2.56 km of each city at 10 m; the 8-bit image is made with ESA's fixed stretch."""
    run = shutil.copytree(STARTER, tmp_path / "run")
    spec = json.loads((run / SPEC).read_text())
    spec["image"]["optional"] = ["B08"]
    (run / SPEC).write_text(json.dumps(spec))
    scene = read_scene(data_dir / "real/cities" / place)
    west, south, east, north = scene.grid.lonlat_bounds
    to_crs = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x, y = (round(v, -1) for v in to_crs.transform((west + east) / 2, (south + north) / 2))
    grid = Grid.from_bounds((x - 1280, y - 1280, x + 1280, y + 1280), crs)
    pmaps = []
    for encoding in ("reflectance", "tci"):
        image = read_on_grid(scene, grid, ImageSettings(bands=RGB, encoding=encoding))
        path = write_scene(tmp_path / encoding / f"{scene.date}.tif", image, grid, RGB)
        maps = map_scenes([path], run, out=tmp_path / f"maps-{encoding}", options=ONCE).only
        pmaps.append(maps.pmap(scene.date)[1].filled(np.nan))
    real, shown = pmaps
    assert real.std() > 0.1
    assert np.abs(real - shown).mean() < 0.02
    assert np.corrcoef(real.ravel(), shown.ravel())[0, 1] > 0.99
