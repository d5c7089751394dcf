"""What `import swath` gives: the public names, their examples, maps from all that can be given."""

import ast
import doctest
import importlib.util
import inspect
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import swath
from conftest import PROJECT
from mapping.test_resume import DAYS, GRID, draw_day
from support.fetch_world import World
from support.saved_runs import save_mixed_run
from swath.files import sha256
from swath.grid import Grid
from swath.maps.maps import Maps

FUNCTIONS = ("build", "evaluate", "fetch", "load_model", "map_scenes", "open_dataset", "open_maps")
FUNCTIONS += ("changes", "conflate", "export_onnx", "open_crop", "train", "update")
VALUES = ("Dataset", "Grid", "Legend", "MapOptions", "Maps", "SiteMaps", "SwathError")
VALUES += ("Crop", "LabelSettings", "TrainedModel", "Workers")

SQUARE = Grid(GRID.crs, GRID.transform, (96, 96))
NEW_DAY = "2020-01-15"


@pytest.fixture(scope="module")
def api() -> ModuleType:
    """The script that writes docs/api.md."""
    spec = importlib.util.spec_from_file_location("api", PROJECT / "docs" / "api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def land(tiny_world: Path, write_scene: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples read: a sites file, a dataset, images, a run and maps."""
    folder = tmp_path_factory.mktemp("land")
    shutil.copytree(tiny_world.parent, folder, dirs_exist_ok=True)
    for name in ("town", "."):
        for day in DAYS if name == "town" else [NEW_DAY]:
            image = draw_day(day)[:, :96, :96]
            write_scene(folder / name / f"{day}.tif", image, SQUARE, ("B04", "B03", "B02"))
    save_mixed_run(folder / "run", np.stack([draw_day(day) for day in DAYS]), dates=3)
    swath.build(tiny_world, folder / "dataset")
    swath.map_scenes(folder / "town" / "*.tif", folder / "run", out=folder / "maps")
    return folder


# --- the surface ------------------------------------------------------------------------------


def test_the_public_list() -> None:
    assert sorted(swath.__all__) == sorted([*FUNCTIONS, *VALUES, "__version__"])
    assert set(swath.__all__) <= set(dir(swath))
    for name in swath.__all__:
        assert getattr(swath, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        swath.nonsense  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(swath.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(seen) == {*FUNCTIONS, *VALUES}
    for name, module in seen.items():
        there = getattr(importlib.import_module(module or ""), name)
        assert name == "fetch" or getattr(swath, name) is there


def test_importing_swath_is_light() -> None:
    heavy = ("torch", "geopandas", "pandas", "rasterio", "numpy", "xarray", "pydantic")
    code = f"import sys, swath; print([name for name in {heavy} if name in sys.modules])"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "[]\n"


def test_the_page_is_made_from_the_docstrings(api: ModuleType) -> None:
    assert (PROJECT / "docs" / "api.md").read_text("utf-8") == api.page(), "run: make api"


# --- the examples -----------------------------------------------------------------------------


@pytest.fixture
def example_folder(land: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of one's own with the same contents, and settings of a training of seconds."""
    from swath.training.presets import PRESETS, Phase, StageSettings, TrainSettings

    stage = StageSettings(phases=(Phase(learning_rate=1e-3, epochs=1),), batches=2, batch_size=2, patch_px=32)
    monkeypatch.setitem(PRESETS, "demo", TrainSettings(width=4, hidden=4, fcn=stage, rnn=stage))
    shutil.copytree(land, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [*FUNCTIONS, *VALUES])
def test_examples_run(name: str, example_folder: Path, api: ModuleType, world: World) -> None:
    if name == "fetch":
        world.sites().rename(example_folder / "wishes.yaml")
    docstring = inspect.getdoc(getattr(swath, name))
    assert docstring is not None
    example = doctest.DocTestParser().get_doctest(docstring, {}, name, None, 0)
    assert len(example.examples) >= 2
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(example, out=said.append)
    assert result.failed == 0, "".join(said)


@pytest.mark.data
def test_the_example_of_the_readme_maps_a_real_city(
    data_dir: Path, api: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crop").mkdir()
    (tmp_path / "crop" / "rennes").symlink_to(data_dir / "real" / "cities" / "rennes")
    names: dict[str, Any] = {}
    exec(api.example(), names)
    maps = names["maps"]
    assert list(maps) == ["rennes"]
    assert maps.classes().shape == names["road"].shape
    assert 0.2 < (maps.classes() == 1).mean() < 0.6
    assert (tmp_path / "roads.gpkg").is_file()
    assert "<img" in maps._repr_html_()


@pytest.mark.data
def test_the_example_of_the_readme_runs_in_a_fresh_notebook(
    data_dir: Path, api: ModuleType, tmp_path: Path
) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    (tmp_path / "crop").mkdir()
    (tmp_path / "crop" / "rennes").symlink_to(data_dir / "real" / "cities" / "rennes")
    cell = nbformat.v4.new_code_cell(api.example())
    notebook = nbformat.v4.new_notebook(cells=[cell])
    paths = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=paths).execute()
    (shown,) = [o for o in notebook.cells[0].outputs if o.output_type == "execute_result"]
    assert "data:image/png" in shown.data["text/html"]


# --- what is given ----------------------------------------------------------------------------


def pixels(maps: Maps) -> dict[str, str]:
    """The hash of every raster and vector file."""
    site = maps.only
    files = (*site.raster_paths, site.parquet_path, site.gpkg_path)
    return {path.name: sha256(path) for path in files}


@pytest.fixture(scope="module")
def from_files(land: Path) -> Maps:
    return swath.map_scenes(sorted((land / "town").glob("*.tif")), land / "run")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.stack([draw_day(day)[:, :96, :96] for day in DAYS])


def test_an_array_is_mapped_to_the_pixels_of_its_files(
    land: Path, from_files: Maps, images: np.ndarray
) -> None:
    facts: dict[str, Any] = {"grid": SQUARE, "dates": DAYS}
    maps = swath.map_scenes(images, land / "run", **facts)
    assert list(maps) == ["map"]
    assert pixels(maps) == pixels(from_files)
    # A masked array: what is masked has no data, whatever number lies under the mask.
    holes = np.broadcast_to((images == 0).all(axis=1, keepdims=True), images.shape)
    masked = np.ma.MaskedArray(np.where(holes, np.uint8(77), images), holes)
    maps = swath.map_scenes(masked, land / "run", name="town", **facts)
    assert list(maps) == ["town"]
    assert pixels(maps) == pixels(from_files)
    # Days as other libraries have them; bands in another order, named.
    facts["dates"] = np.array(DAYS, "datetime64[ns]")
    maps = swath.map_scenes(images[:, ::-1], land / "run", bands=("B02", "B03", "B04"), **facts)
    assert pixels(maps) == pixels(from_files)


def test_the_sites_of_a_dataset_are_mapped_as_the_command_does(land: Path, tmp_path: Path) -> None:
    dataset = swath.open_dataset(land / "dataset")
    maps = swath.map_scenes(dataset, str(land / "run"), split="test", dates=["2021-10-06"])
    from swath.cli import run

    arguments = ["map", land / "run", "--dataset", land / "dataset", "--date", "2021-10-06"]
    assert run([*map(str, arguments), "--out", str(tmp_path / "maps")]) == 0
    assert list(maps) == ["sim_test"]
    assert pixels(maps) == pixels(swath.open_maps(tmp_path / "maps"))
    assert len(swath.map_scenes(dataset, land / "run")) == 3
    one = swath.map_scenes(dataset, land / "run", sites=["sim_train"])
    assert one.only.site == "sim_train"


def test_temporary_maps_live_as_long_as_what_refers_to_them(
    land: Path, from_files: Maps, images: np.ndarray
) -> None:
    def made() -> Maps:
        return swath.map_scenes(images[:1], land / "run", grid=SQUARE, dates=DAYS[:1])

    site = made()["map"]
    folder = site.folder.parent
    assert site.pmap().shape == (2, 96, 96)
    del site
    assert not folder.exists()
    maps = made()
    longer = swath.update(maps, land / "town" / f"{DAYS[1]}.tif", run=land / "run")
    folder = maps.folder
    del maps
    assert [str(date) for date in longer.dates] == list(DAYS[:2])
    assert longer.only.changes[0].compared_px > 0
    del longer
    assert not folder.exists()


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({}, "give its grid and its dates"),
        ({"grid": SQUARE, "dates": DAYS[:2]}, "3 images, but there are 2 dates"),
        ({"grid": SQUARE, "dates": ["2019-03-11"] * 3}, "two images of one day"),
        ({"grid": SQUARE, "dates": ["March", *DAYS[1:]]}, "not a date"),
        ({"grid": GRID, "dates": DAYS}, "are 96 x 96 px, but their grid is 120 x 100"),
        ({"grid": SQUARE, "dates": DAYS, "bands": ["B04"]}, "3 bands, but the names are B04"),
        ({"grid": SQUARE, "dates": DAYS, "bands": ["B02", "B03", "x"]}, "no band B04"),
        ({"grid": SQUARE, "dates": DAYS, "name": "a/b"}, "name becomes a folder"),
        ({"grid": SQUARE, "dates": DAYS, "split": "test"}, "choose from a dataset"),
    ],
)
def test_arrays_that_do_not_fit(land: Path, images: np.ndarray, facts: dict[str, Any], says: str) -> None:
    with pytest.raises(swath.SwathError, match=says):
        swath.map_scenes(images, land / "run", **facts)


def test_what_contradicts_itself_is_refused(land: Path, images: np.ndarray) -> None:
    run, town = land / "run", land / "town" / "*.tif"
    for scenes, facts, says in (
        (town, {"dates": DAYS}, "dates are for arrays"),
        (town, {"sites": ["x"]}, "choose from a dataset"),
        ([], {}, "no images to map"),
        (swath.open_dataset(land / "dataset"), {"name": "x"}, "a dataset has its own"),
        (images[0], {"grid": SQUARE, "dates": DAYS}, "has the axes"),
        (images.astype(int), {"grid": SQUARE, "dates": DAYS}, "the array is int64; expected"),
    ):
        with pytest.raises(swath.SwathError, match=says):
            swath.map_scenes(scenes, run, **facts)
    with pytest.raises(TypeError, match="colour"):
        swath.map_scenes(town, run, colour="red")  # type: ignore[call-arg]
    for options, says in (({"threshold": 1}, "from 0 to below 1"), ({"orientations": 4}, "1 or 8")):
        with pytest.raises(swath.SwathError, match=says):
            swath.MapOptions(**options)
    model = swath.load_model(run)
    model.folder = None
    with pytest.raises(swath.SwathError, match="lies in memory only"):
        swath.map_scenes(town, model)


# --- how values show themselves ---------------------------------------------------------------


def test_values_show_themselves_in_a_notebook(land: Path, from_files: Maps) -> None:
    dataset = swath.open_dataset(land / "dataset")
    for value in (from_files, from_files.only, dataset, dataset.sites[0]):
        html = value._repr_html_()
        assert "<img" in html
        assert "data:image/png;base64," in html
    assert repr(from_files) == f"Maps({from_files.folder}: town)"
    assert repr(from_files.only) == (
        "SiteMaps(town: 3 dates 2019-03-11..2019-10-07 fused by the ConvLSTM; background, road)"
    )
    assert "\n" not in repr(dataset)
    assert len(repr(swath.load_model(land / "run"))) < 100
