"""Fixtures that all tests share."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from swath.grid import Grid

# Before anything imports torch: small tensors gain nothing from more threads, and on a busy machine
# threads that wait for each other cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure, and a continuous-integration run must be repeatable.
settings.register_profile("swath", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("swath")

PROJECT = Path(__file__).resolve().parents[1]

pytest_plugins = ["support.fetch_world", "support.overpass_server"]
"""Modules whose fixtures all tests may use."""

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from swath.dataset.site import Dataset

SceneWriter = Callable[..., Path]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The development data set: SWATH_TEST_DATA, or ../shared/data beside the project."""
    folder = Path(os.environ.get("SWATH_TEST_DATA") or PROJECT.parent / "shared" / "data")
    if not (folder / "real").is_dir():
        pytest.skip(f"no development data in {folder} (set SWATH_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def write_scene() -> SceneWriter:
    """A function that writes an array as a GeoTIFF; see `_write_scene`."""
    return _write_scene


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sites file of three simulated sites of 96 px with two dates each, one a split."""
    from swath.simulate.world import write_world

    splits = {"sim_train": "train", "sim_validation": "validation", "sim_test": "test"}
    out = tmp_path_factory.mktemp("tiny") / "world"
    return write_world(out, splits, seed=7, size_px=96, dates=2)


@pytest.fixture(scope="session")
def dataset(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> "Dataset":
    """The dataset of `tiny_world`; nobody writes to it."""
    from swath.dataset.build import build_dataset

    return build_dataset(tiny_world, tmp_path_factory.mktemp("tiny") / "dataset")


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Dataset, Dataset]":
    """Two places to learn from first, and three others."""
    import yaml

    from swath.dataset.build import build_dataset
    from swath.simulate.world import write_world

    folder = tmp_path_factory.mktemp("worlds")
    splits = dict.fromkeys(("first", "second", "a", "b", "c"), "train")
    sites_file = write_world(folder / "world", splits, seed=5, size_px=96, dates=2)  # type: ignore[arg-type]
    content = yaml.safe_load(sites_file.read_text("utf-8"))
    datasets = []
    for name, sites in (("before", ("first", "second")), ("after", ("a", "b", "c"))):
        part = content | {"sites": {site: content["sites"][site] for site in sites}}
        file = sites_file.with_name(f"{name}.yaml")
        file.write_text(yaml.safe_dump(part), "utf-8")
        datasets.append(build_dataset(file, folder / name))
    return datasets[0], datasets[1].resplit(["b"], ["c"])


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium of the system, without a screen."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


def _write_scene(
    path: Path,
    array: NDArray[np.generic],
    grid: Grid,
    bands: Sequence[str] | None = None,
    nodata: float | None = 0,
) -> Path:
    """Write (C, H, W) `array` on `grid` as a GeoTIFF with band descriptions `bands`."""
    import rasterio

    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(array),
        dtype=array.dtype,
        nodata=nodata,
        **grid.profile(),
    ) as target:
        target.write(array)
        if bands is not None:
            target.descriptions = tuple(bands)
    return path
