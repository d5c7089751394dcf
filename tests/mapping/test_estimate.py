"""`swath plan`: what it counts is what is done; what it measures is scaled rightly."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapping.test_resume import DAYS, GRID, draw_day, write_days
from support.saved_runs import save_mixed_run
from swath.cli import run as swath
from swath.errors import InputError
from swath.mapping import estimate
from swath.mapping.estimate import Rates, estimate_site, measure_rates
from swath.mapping.jobs import PmapJob
from swath.mapping.mapplan import SitePlan, plan_series
from swath.mapping.predict import Predictor
from swath.mapping.sources import join_attributions, scene_series
from swath.models.trained import load_model
from swath.sentinel2 import ImageSettings


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "run"
    save_mixed_run(folder, np.stack([draw_day(day) for day in DAYS]), dates=3)
    return folder


@pytest.fixture(scope="module")
def scenes(write_scene: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_days(write_scene, tmp_path_factory.mktemp("scenes") / "town")


def planned(run: Path, scenes: list[Path], tile_px: int) -> tuple[SitePlan, Predictor]:
    predictor = Predictor(load_model(run), "cpu")
    series = scene_series("town", scenes, None, ImageSettings())
    return plan_series(predictor, run, series, Path("maps/town"), tile_px), predictor


def test_rates_are_scaled_to_the_scene(run_folder: Path, scenes: list[Path]) -> None:
    plan, predictor = planned(run_folder, scenes, 64)
    rates = Rates(
        image_s=1, image_once_s=7, pmap_s=10, fusion_s=100,
        write_pmap_s=1000, write_fused_s=1e4, vectors_s=1e5,
        image_bytes=3, pmap_bytes=5, fused_bytes=7, tile_mb=900,
    )  # fmt: skip
    cost = estimate_site(plan, predictor, rates)
    # 100 x 120 px in tiles of 64: 112 rows are not needed, so 4 tiles, all of which see 96 px
    # around them, that is the whole scene.
    pixels = 100 * 120
    assert (cost.tiles, cost.dates, cost.shape) == (4, 3, (100, 120))
    assert cost.read_mpx == pytest.approx(3 * 4 * pixels / 1e6)
    assert cost.stages_s == {
        "images": 3 * (7 + pixels),
        "pmaps": 3 * 4 * pixels * 10,
        "fusion": 100 * pixels,
        "write": pixels * (3 * 1000 + 10_000),
        "vectors": 1e5 * pixels,
    }
    assert cost.disk_mb == pytest.approx(pixels * (3 * 5 + 7) / 1e6)
    assert cost.temporary_mb == pytest.approx(pixels * 7 / 1e6)  # 3 + 4 bytes of the fused rasters
    assert cost.memory_mb == 900  # of a tile, however many there are


def test_the_pixels_counted_are_the_pixels_read(
    run_folder: Path, scenes: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    arguments = [str(run_folder), *map(str, scenes), "--tile", "48", "--precision", "fp32"]
    assert swath(["plan", *arguments, "--json", "--out", str(tmp_path / "maps")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(tmp_path.iterdir()) == []
    (site,) = result["sites"]
    read: list[int] = []
    compute = PmapJob.compute

    def counting(job: Any, predictor: Any, tile: Any, data: Any) -> Any:
        read.append(tile.read.size)
        assert data[0].shape[-2:] == (tile.read.height, tile.read.width)
        return compute(job, predictor, tile, data)

    monkeypatch.setattr(PmapJob, "compute", counting)
    assert swath(["map", *arguments, "--out", str(tmp_path / "maps")]) == 0
    assert site["read_mpx"] == round(sum(read) / 1e6, 1)
    assert site["tiles"] * site["dates"] == len(read)
    assert site["seconds"] == pytest.approx(sum(site["stages_s"].values()), abs=0.01)
    assert all(seconds > 0 for seconds in site["stages_s"].values())
    assert result["seconds"] == pytest.approx(site["seconds"] + result["page_s"], abs=0.01)
    town = tmp_path / "maps" / "town"
    shown = [*town.glob("image_*.tif"), tmp_path / "maps" / "index.html"]
    assert len(shown) == 4
    real = sum(path.stat().st_size for path in shown) / 1e6
    assert result["page_mb"] == pytest.approx(real, rel=0.15)
    assert swath(["plan", *arguments, "--json", "--no-page"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["page_mb"] == 0
    assert 100 < site["memory_mb"] < 3000
    assert result["free_mb"] > 0


def test_disk_of_a_scene_of_one_tile(
    run_folder: Path, scenes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tile that is measured is the whole scene: the sizes must come out right.
    monkeypatch.setattr(estimate, "SHORT_S", 0.0)
    monkeypatch.setattr(estimate, "SHARE", 1e9)
    plan, predictor = planned(run_folder, scenes[:1], 256)
    cost = estimate_site(plan, predictor, measure_rates(plan, predictor))
    arguments = ["map", str(run_folder), str(scenes[0]), "--out", str(tmp_path), "--tile", "256"]
    assert swath([*arguments, "--precision", "fp32", "--no-page"]) == 0
    maps = {".tif", ".gpkg", ".parquet"}
    real = sum(p.stat().st_size for p in (tmp_path / "town").iterdir() if p.suffix in maps)
    assert cost.disk_mb == pytest.approx(real / 1e6, rel=0.02)


@pytest.mark.parametrize(
    ("short_s", "share", "reads_px"),
    [
        (20.0, 0.12, [64 * 64]),  # a map of a second: the look at the middle is all
        (0.0, 1e-9, [64 * 64, 64 * 64]),  # no part is cheap enough: the smallest
        (0.0, 1e9, [64 * 64, 100 * 120]),  # a whole tile, with its margins
    ],
)
def test_no_more_is_mapped_than_the_time_of_the_map_allows(
    short_s: float,
    share: float,
    reads_px: list[int],
    run_folder: Path,
    scenes: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []
    pmap = Predictor.pmap
    monkeypatch.setattr(
        Predictor, "pmap", lambda self, pixels, kept: read.append(pixels[0].size) or pmap(self, pixels, kept)
    )
    monkeypatch.setattr(estimate, "SHORT_S", short_s)
    monkeypatch.setattr(estimate, "SHARE", share)
    plan, predictor = planned(run_folder, scenes, 64)
    rates = measure_rates(plan, predictor)
    assert read == [px for px in reads_px for _ in range(2)]  # the first time is not counted
    assert all(value is None or value >= 0 for value in dataclasses.astuple(rates))


def test_a_tile_with_data_is_looked_for(run_folder: Path, write_scene: Any, tmp_path: Path) -> None:
    image = np.zeros((3, *GRID.shape), np.uint8)
    path = write_scene(tmp_path / "2019-03-11.tif", image, GRID, ("B04", "B03", "B02"))
    plan, predictor = planned(run_folder, [path], 32)
    with pytest.raises(InputError, match="the images of town have no data"):
        measure_rates(plan, predictor)
    image[:, 90:, 110:] = 100
    write_scene(path, image, GRID, ("B04", "B03", "B02"))
    assert measure_rates(plan, predictor).pmap_s > 0


def test_what_plan_refuses(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert swath(["plan", str(run_folder)]) == 2
    assert "swath plan: nothing to map with" in capsys.readouterr().err
    assert swath(["plan", str(run_folder), "nothing_2019-01-01.tif"]) == 2
    assert "no such file" in capsys.readouterr().err


def test_attributions_are_joined() -> None:
    copernicus = "Contains modified Copernicus Sentinel data"
    assert join_attributions([f"{copernicus} 2019"]) == f"{copernicus} 2019"
    years = [f"{copernicus} {year}" for year in ("2019", "2017-2018", "2019")]
    assert join_attributions(years) == f"{copernicus} 2017-2019"
    assert join_attributions(["(c) me", f"{copernicus} 2019", "(c) me"]) == (f"(c) me; {copernicus} 2019")
