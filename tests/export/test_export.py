"""Exported networks: what they compute, what they say of themselves, and what is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import onnx
import onnxruntime
import pystac
import pytest
import rasterio
import torch
from shapely import LineString

import swath
from conftest import PROJECT, SceneWriter
from mapping.test_resume import DAYS, GRID, draw_day
from support.saved_runs import save_mixed_run, save_run
from swath.cli import run
from swath.errors import ModelError, OutputExistsError
from swath.export.desktop import plan_tile
from swath.export.export import graphs_of, onnx_of
from swath.export.onnxfile import check
from swath.files import sha256
from swath.legend import read_legend
from swath.models.registry import ARCHITECTURES, TwoStages
from swath.models.trained import TrainedModel, load_model
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings

ROUNDING = 1e-5
"""float32: what two orders of the same sums may differ by."""


def spread_run(folder: Path, **changes: Any) -> TrainedModel:
    """A run whose model finds all classes in the drawn days."""
    return save_mixed_run(folder, np.stack([draw_day(day) for day in DAYS]), dates=3, **changes)


@pytest.fixture(scope="module")
def land(write_scene: SceneWriter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, its export, and a dataset with two dates of a town."""
    folder = tmp_path_factory.mktemp("land")
    spread_run(folder / "run", temperature=1.3)
    for day in DAYS[:2]:
        write_scene(folder / "town" / f"{day}.tif", draw_day(day), GRID, ("B04", "B03", "B02"))
    left, bottom, right, top = GRID.bounds
    street = gpd.GeoSeries([LineString([(left, bottom), (right, top)])], crs=GRID.crs)
    gpd.GeoDataFrame({"highway": ["primary"]}, geometry=street).to_file(folder / "roads.gpkg")
    site = "{scenes: [{path: 'town/*.tif'}], labels: roads.gpkg, split: test}"
    (folder / "sites.yaml").write_text(f"sites: {{town: {site}}}\n")
    swath.build(folder / "sites.yaml", folder / "dataset")
    swath.export_onnx(folder / "run", folder / "exported")
    return folder


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


# --- what the files compute -------------------------------------------------------------------


def test_the_snippet_of_the_docs_makes_swaths_own_map(land: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the PMaps between, which swath rounds to 254 steps, as it does the fused one."""
    page = (PROJECT / "docs" / "export.md").read_text("utf-8")
    snippet = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    assert len(snippet.strip().splitlines()) <= 12
    monkeypatch.chdir(land)
    names: dict[str, Any] = {}
    exec(snippet, names)
    exact = swath.MapOptions(precision="fp32")
    maps = swath.map_scenes(swath.open_dataset("dataset"), "run", out="maps", options=exact)
    with rasterio.open(maps.only.fused_path) as file:
        stored = file.read(1)
    known = stored != 255
    assert np.array_equal(known, np.isfinite(names["road"]))
    apart = np.abs(stored[known] / 254 - names["road"][known])
    assert apart.mean() < 1 / 254
    assert apart.max() < 0.03  # on real images 0.022
    assert stored[known].std() > 10


def test_every_axis_is_open_that_may_be(land: Path) -> None:
    unet, fusion = (session(land / "exported" / name) for name in ("unet.onnx", "fusion.onnx"))
    assert [value.shape for value in unet.get_inputs()] == [["batch", 3, "height", "width"]]
    pmaps, known = fusion.get_inputs()
    assert pmaps.shape == ["batch", "dates", 2, "height", "width"]
    assert known.shape == ["batch", "dates", "height", "width"]
    assert fusion.get_outputs()[0].shape == ["batch", 2, "height", "width"]


@pytest.mark.parametrize("name", [n for n, known in ARCHITECTURES.items() if isinstance(known, TwoStages)])
@pytest.mark.parametrize("legend", ["roads", "landcover"])
def test_every_fusion_of_the_registry(name: str, legend: str, tmp_path: Path) -> None:
    model = save_run(tmp_path, {}, name=name, legend=read_legend(legend), temperature=0.8)
    content, difference = onnx_of("fusion.onnx", graphs_of(model)["fusion.onnx"], model)
    assert difference < ROUNDING
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)


@pytest.mark.parametrize(("finer", "orientations"), [(2, 1), (1, 8)])
def test_finer_maps_and_all_orientations(finer: int, orientations: int, tmp_path: Path) -> None:
    image = ImageSettings(bands=("B04", "B03", "B02", "B08"), encoding="standardised", optional=("B08",))
    model = save_run(
        tmp_path,
        {},
        image=image,
        scaling=Scaling(offset=(10_000.0,) * 4, scale=(1_000.0,) * 4),
        finer=finer,
        orientations=orientations,
    )
    graphs = graphs_of(model)
    for name in ("unet.onnx", "qgis.onnx") if finer > 1 else ("unet.onnx",):
        assert onnx_of(name, graphs[name], model)[1] < ROUNDING


def test_a_file_that_computes_something_else_is_refused(land: Path) -> None:
    content = (land / "exported" / "fusion.onnx").read_bytes()
    pmaps = np.full((1, 2, 2, 5, 5), 0.5, np.float32)
    inputs = {"pmaps": pmaps, "known": np.ones((1, 2, 5, 5), bool)}
    (right,) = onnxruntime.InferenceSession(content).run(None, inputs)
    assert check("fusion.onnx", content, [(inputs, (right,))]) == 0
    for wrong in (right + np.float32(2e-4), np.full_like(right, np.nan)):
        with pytest.raises(
            ModelError, match=r"fusion.onnx would give other numbers than PyTorch: for pmaps \("
        ):
            check("fusion.onnx", content, [(inputs, (wrong,))])


# --- for QGIS ---------------------------------------------------------------------------------


def test_what_deepness_reads(land: Path) -> None:
    """One input and one output in square tiles of fixed size, and its properties as JSON."""
    deepness = session(land / "exported" / "qgis.onnx")
    (tile,), (classes,) = deepness.get_inputs(), deepness.get_outputs()
    assert tile.shape == [1, 3, 640, 640]
    assert classes.shape == [1, 1, 640, 640]
    told = deepness.get_modelmeta().custom_metadata_map
    read = {key: json.loads(value) for key, value in told.items() if not key.startswith("swath:")}
    assert read == {
        "model_type": "Segmentor",
        "class_names": {"0": "background", "1": "road"},
        "resolution": 1000,
        "tile_size": 640,
        "tiles_overlap": 30,
        "seg_thresh": 0.5,
        "seg_small_segment": 0,
    }
    assert told["swath:weights_sha256"] == sha256(land / "run" / "model.safetensors")


def test_its_tiles_fit_together() -> None:
    """30 % of 640 px: 96 on each side, where the U-Net sees 92; the step is 448 = 28 x 16."""
    assert plan_tile(92, 16) == (640, 30)
    for radius in (1, 60, 93, 107, 150):
        side, percent = plan_tile(radius, 16)
        overlap = side * percent // 100
        assert overlap * 100 == side * percent
        assert overlap >= 2 * radius
        assert (side - overlap) % 16 == 0
    with pytest.raises(ModelError, match="too far for tiles of 2048 px"):
        plan_tile(1100, 16)


# --- what stands beside them ------------------------------------------------------------------


def test_card_and_item_say_what_the_files_are(land: Path) -> None:
    folder = land / "exported"
    card = (folder / "README.md").read_text("utf-8")
    for part in ("B04, B03, B02", "| B04 | 100 | 50 |", "(c) OpenStreetMap contributors", "temperature 1.3"):
        assert part in card
    item = pystac.Item.from_file(str(folder / "item.json"))
    assert list(item.assets) == ["unet", "fusion", "qgis"]
    for name, asset in item.assets.items():
        assert asset.extra_fields["file:checksum"] == "1220" + sha256(folder / f"{name}.onnx")
        assert asset.roles == ["mlm:model"]
    assert item.properties["mlm:framework"] == "ONNX"
    assert item.properties["mlm:input"][0]["input"]["shape"] == [-1, 3, -1, -1]


def test_a_model_without_a_fusion_has_no_file_of_it(land: Path) -> None:
    model = load_model(land / "run")
    assert list(graphs_of(replace(model, fusion=None))) == ["unet.onnx", "qgis.onnx"]


# --- what is refused --------------------------------------------------------------------------


def test_a_model_of_whole_series_is_refused(tmp_path: Path) -> None:
    from models.test_architectures import build

    with pytest.raises(ModelError, match="'feature-mean' maps whole series by one network"):
        swath.export_onnx(build("feature-mean"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command(land: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = land / "exported"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    with pytest.raises(OutputExistsError):
        swath.export_onnx(land / "run", folder)
    assert run(["export", str(land / "run"), "--format", "onnx", "--out", str(folder)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert run(["export", str(land / "nowhere"), "--out", str(land / "other")]) == 2
    assert run(["export", str(land / "run"), "--format", "tflite", "--out", str(land / "other")]) == 2
    capsys.readouterr()
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert not (land / "other").exists()
    assert run(["export", str(land / "run"), "--out", str(folder), "--overwrite", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["differences"].keys() == {"unet.onnx", "fusion.onnx", "qgis.onnx"}
    assert max(report["differences"].values()) < ROUNDING
    assert torch.is_grad_enabled()
