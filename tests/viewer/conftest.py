"""Maps of a small town, made by the program, and what is shown of them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from scipy.ndimage import gaussian_filter

from support.saved_runs import save_mixed_run
from swath.cli import run as swath
from swath.grid import Grid
from swath.maps.sitemaps import SiteMaps, read_maps

GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), (530, 540))
"""More than a tile of the page, and no multiple of one."""

BANDS = ("B04", "B03", "B02")
DAYS = ("2019-03-11", "2019-07-04", "2020-10-07")


@pytest.fixture(scope="session")
def town(write_scene: Any, tmp_path_factory: pytest.TempPathFactory) -> SiteMaps:
    """Maps of one town with its page; only decisions are written to them."""
    folder = tmp_path_factory.mktemp("town")
    generator = np.random.default_rng(3)
    rows, cols = np.mgrid[: GRID.height, : GRID.width]
    streets = np.where((rows % 60 < 5) | (cols % 90 < 5), 60, 0)
    fields = gaussian_filter(generator.normal(60, 300, (len(DAYS), 3, *GRID.shape)), (0, 0, 12, 12))
    images = np.clip(fields, 1, 160) + streets
    images[0, :, :40, :40] = 0  # without data on the first day
    paths = [
        write_scene(
            folder / "in" / "town" / f"{day}.tif", image.astype(np.uint8), GRID, ("B04", "B03", "B02")
        )
        for day, image in zip(DAYS, images, strict=True)
    ]
    save_mixed_run(folder / "run", images.astype(np.uint8)[:, :, :64, :64], dates=3)
    arguments = ["map", folder / "run", *paths, "--out", folder / "maps", "--precision", "fp32"]
    assert swath(list(map(str, arguments))) == 0
    return read_maps(folder / "maps")[0]


@pytest.fixture(scope="session")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with lines of OpenStreetMap and ranked candidates, in degrees."""
    folder = tmp_path_factory.mktemp("beside")
    left, bottom, _, top = GRID.bounds
    lines = [
        shapely.LineString([(left + 100, y), (left + 900, y)]) for y in (top - 500, top - 900, bottom + 700)
    ]
    table = {"rank": [2, 1, 3], "confidence": [0.5, 0.9, 0.25], "length_m": [800.0, 800.0, 800.0]}
    candidates = gpd.GeoDataFrame(table, geometry=lines, crs=GRID.crs).to_crs(4326)
    candidates.to_file(folder / "candidates.gpkg", layer="candidates")
    roads = gpd.GeoDataFrame({"highway": ["primary"] * 3}, geometry=lines, crs=GRID.crs)
    roads.to_crs(4326).to_file(folder / "osm.geojson")
    return folder


@contextmanager
def serving(*arguments: object, errors: IO[bytes] | None = None) -> Iterator[str]:
    """`swath view` in a process of its own: the address of its page. What it complains of: into `errors`."""
    command = [sys.executable, "-m", "swath", "view", *map(str, arguments), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def address(town: SiteMaps, beside: Path) -> Iterator[str]:
    with serving(town.folder.parent, "--with", beside) as url:
        yield url
