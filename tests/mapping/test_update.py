"""`swath update`: a date more gives the maps that `swath map` would have made of all dates."""

import datetime as dt
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from mapping.test_resume import GRID, digests, draw_day, go, write_days
from support.saved_runs import save_mixed_run, save_run
from swath.cli import run as swath
from swath.errors import DatasetError
from swath.evaluation.evaluate import evaluate_labels
from swath.files import read_json, write_json
from swath.grid import Window
from swath.labels.source import LabelSettings
from swath.mapping.jobs import PmapJob
from swath.maps.sitemaps import read_bytes, read_maps

DAYS = ("2019-03-11", "2019-07-04", "2019-10-07", "2020-01-15")
MADE = ["pmap.tif", "classes.tif", "composite.tif", "roads.gpkg", "roads.parquet"]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "run"
    save_mixed_run(folder, np.stack([draw_day(day) for day in DAYS[:3]]), dates=3)
    return folder


@pytest.fixture(scope="module")
def days(write_scene: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_days(write_scene, tmp_path_factory.mktemp("scenes") / "town", DAYS)


@pytest.fixture
def map_days(run_folder: Path, days: list[Path]) -> Any:
    def call(out: Path, *numbers: int) -> Path:
        scenes = [str(days[number]) for number in numbers]
        options = ["--tile", "64", "--precision", "fp32", "--out", str(out)]
        assert swath(["map", str(run_folder), *scenes, *options]) == 0
        return out

    return call


def update(maps: Path, scene: Path, *options: str) -> int:
    return swath(["update", str(maps), str(scene), *options])


def outputs(files: dict[str, str]) -> dict[str, str]:
    """Without the page, and what is written with it after the maps."""
    page = ("index.html", ".qml", ".qgz")
    shown = {name for name in files if name.endswith(page) or "/image_" in name or name.startswith(".page")}
    return {name: files[name] for name in files.keys() - shown}


def test_adding_dates_one_by_one_equals_mapping_them_together(
    map_days: Any, days: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    passes: list[dt.date] = []
    compute = PmapJob.compute

    def counting(job: Any, *arguments: Any) -> Any:
        passes.append(job.image.date)
        return compute(job, *arguments)

    monkeypatch.setattr(PmapJob, "compute", counting)
    grown = map_days(tmp_path / "grown", 0)
    tiles = len(passes)
    for number in (1, 2, 3):
        passes.clear()
        capsys.readouterr()
        assert update(grown, days[number], "--json") == 0
        (site,) = json.loads(capsys.readouterr().out)["sites"]
        assert site["added"] == DAYS[number]
        assert site["made"] == [f"pmap_{DAYS[number]}.tif", *MADE, "changes.tif"]
        # One pass of the U-Net, over the new date only.
        assert passes == [dt.date.fromisoformat(DAYS[number])] * tiles
    maps = read_maps(grown)[0]
    assert [str(date) for date in maps.earlier] == [DAYS[0]]
    assert [str(date) for date in maps.dates] == list(DAYS[1:])
    assert [str(change.date) for change in maps.changes] == list(DAYS[1:])
    # T stays 3, as the model was trained: the newest three are fused.
    together = digests(map_days(tmp_path / "together", 1, 2, 3) / "town")
    alone = digests(grown / "town")
    different = {"item.json", "manifest.json", "site.qgz"}
    assert {name: alone[name] for name in together if name not in different} == {
        name: together[name] for name in together if name not in different
    }
    more = [f"pmap_{DAYS[0]}", f"image_{DAYS[0]}", "changes"]
    assert set(alone) - set(together) == {f"{stem}.{kind}" for stem in more for kind in ("tif", "qml")}
    assert "2019-2020" in maps.attribution


def test_a_date_is_seen_in_as_many_orientations_as_the_others(
    run_folder: Path, days: list[Path], tmp_path: Path
) -> None:
    def made(name: str, scenes: list[Path], *options: str) -> dict[str, str]:
        paths = map(str, (*scenes, "--name", "town", "--precision", "fp32", "--out"))
        assert swath(["map", str(run_folder), *paths, str(tmp_path / name), *options]) == 0
        return digests(tmp_path / name / "town")

    made("grown", days[:1], "--orientations", "8")
    assert update(tmp_path / "grown", days[1]) == 0
    grown = digests(tmp_path / "grown" / "town")
    # Workers make their own predictor: it must look as often.
    eight = made("eight", days[:2], "--orientations", "8", "--workers", "2")
    once = made("once", days[:2])
    for name in ("pmap.tif", *(f"pmap_{day}.tif" for day in DAYS[:2])):
        assert grown[name] == eight[name] != once[name]
    arguments = ["map", str(run_folder), str(days[0]), "--out", str(tmp_path / "four")]
    assert swath([*arguments, "--orientations", "4"]) == 2
    assert not (tmp_path / "four").exists()


def test_a_later_old_date_takes_its_place(
    map_days: Any, days: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = map_days(tmp_path / "late", 0, 2)
    assert update(late, days[1]) == 0
    expected = digests(map_days(tmp_path / "together", 0, 1, 2) / "town")
    found = digests(late / "town")
    described = {"item.json", "manifest.json", "site.qgz"}
    assert {name for name in expected if found[name] != expected[name]} == described
    # Older than all that is fused: it joins the series of dates, and the map stays.
    capsys.readouterr()
    full = map_days(tmp_path / "full", 1, 2, 3)
    before = digests(full / "town")
    assert update(full, days[0], "--json") == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    (site,) = report["sites"]
    assert site["made"] == [f"pmap_{DAYS[0]}.tif"]
    assert (site["earlier"], site["changes"]) == ([DAYS[0]], [])
    after = digests(full / "town")
    same = [*MADE, *(f"pmap_{day}.tif" for day in DAYS[1:])]
    assert [after[name] for name in same] == [before[name] for name in same]


def test_the_change_layer(map_days: Any, days: list[Path], tmp_path: Path) -> None:
    out = map_days(tmp_path / "maps", 0)
    history = [read_bytes(out / "town" / "classes.tif")[0]]
    for number in (1, 2):
        assert update(out, days[number]) == 0
        history.append(read_bytes(out / "town" / "classes.tif")[0])
    date = np.full(GRID.shape, 65535)
    before = np.full(GRID.shape, 65535)
    counts = []
    for number in (1, 2):
        old, new = history[number - 1 : number + 1]
        both = (old != 255) & (new != 255)
        changed = both & (old != new)
        date[changed] = (dt.date.fromisoformat(DAYS[number]) - dt.date(1970, 1, 1)).days
        before[changed] = old[changed]
        gained = {"background": int((changed & (new == 0)).sum())}
        gained["road"] = int((changed & (new == 1)).sum())
        counts.append((int(both.sum()), int(changed.sum()), gained))
    assert min(count[1] for count in counts) > 0  # else nothing is tested
    maps = read_maps(out)[0]
    with rasterio.open(maps.changes_path) as source:
        assert source.descriptions == ("date", "before")
        assert (source.dtypes, source.nodata) == (("uint16", "uint16"), 65535)
        layer = source.read()
    np.testing.assert_array_equal(layer[0], date)
    np.testing.assert_array_equal(layer[1], before)
    told = [(c.compared_px, c.changed_px, c.gained_px) for c in maps.changes]
    assert told == counts
    assert all(sum(c.lost_px.values()) == c.changed_px for c in maps.changes)
    assets = read_json(maps.item_path)["assets"]
    assert assets["changes"]["href"] == "./changes.tif"
    assert {f"pmap_{day}" for day in DAYS[:3]} <= set(assets)


def test_the_same_image_again_changes_nothing(
    map_days: Any, days: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = map_days(tmp_path / "maps", 0, 1)
    before = digests(out)
    capsys.readouterr()
    assert update(out, days[1], "--json") == 0
    result = json.loads(capsys.readouterr().out)["sites"][0]
    assert (result["made"], result["added"], result["changes"]) == ([], None, [])
    assert digests(out) == before


def test_kills_while_updating_lose_nothing(map_days: Any, days: list[Path], tmp_path: Path) -> None:
    start = map_days(tmp_path / "start", 0, 1)
    shutil.copytree(start, tmp_path / "whole")
    began = time.monotonic()
    assert update(tmp_path / "whole", days[2]) == 0
    takes = time.monotonic() - began
    expected = digests(tmp_path / "whole")
    before = digests(start)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mapping.test_resume", "swath.viewer.publish", "swath.cli.update"])
    moments = random.Random(5)
    killed = tmp_path / "killed"
    shutil.copytree(start, killed)
    for _ in range(5):
        process = context.Process(target=go, args=(["update", str(killed), str(days[2])],))
        process.start()
        process.join(moments.uniform(0, 0.7) * takes)
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
        # What is to be seen is the old maps or the new ones; or, had it been killed between two
        # renames, the old ones await the next run.
        now = {k: v for k, v in outputs(digests(killed)).items() if not k.startswith(".work")}
        aside = {k.removeprefix(".old-"): v for k, v in now.items()}
        assert now in (outputs(before), outputs(expected)) or aside == outputs(before)
    assert update(killed, days[2]) == 0
    assert digests(killed) == expected


def test_what_cannot_be_added(
    map_days: Any, days: list[Path], run_folder: Path, write_scene: Any, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = map_days(tmp_path / "maps", 0, 1)
    before = digests(out)
    capsys.readouterr()

    def complaint(scene: Path, *options: str, maps: Path = out) -> str:
        assert update(maps, scene, *options) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        return lines[0]

    other = tmp_path / "other" / days[1].name
    image = np.full((3, *GRID.shape), 77, np.uint8)
    write_scene(other, image, GRID, ("B04", "B03", "B02"))
    assert "has a map of 2019-07-04 from another image" in complaint(other)
    far = GRID.crop(Window(0, 900, 40, 40))
    away = write_scene(tmp_path / "2021-01-01.tif", image[:, :40, :40], far, ("B04", "B03", "B02"))
    assert "does not meet the grid of any site" in complaint(away)
    assert "no site 'nowhere'" in complaint(days[2], "--site", "nowhere")
    assert "holds no maps" in complaint(days[2], maps=tmp_path / "other")

    # The model: moved, replaced, and given where it is now.
    moved = tmp_path / "moved"
    shutil.copytree(run_folder, moved)
    manifest = read_json(out / "town" / "manifest.json")
    write_json(out / "town" / "manifest.json", manifest | {"run": "../../gone"})
    assert "say with --run where it is now" in complaint(days[2])
    save_run(tmp_path / "another", {}, dates=3, sizes={"width": 8})
    assert "holds another model" in complaint(days[2], "--run", str(tmp_path / "another"))
    outputs = {name: value for name, value in manifest["outputs"].items() if name != "classes.tif"}
    write_json(out / "town" / "manifest.json", manifest | {"outputs": outputs})
    assert "classes.tif: the manifest beside it does not name it; map the site again" in complaint(days[2])
    write_json(out / "town" / "manifest.json", manifest)
    assert digests(out) == before

    first = out / "town" / f"pmap_{DAYS[0]}.tif"
    content = first.read_bytes()
    first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "a file differs from what swath wrote" in complaint(days[2])
    with pytest.raises(DatasetError, match=f"{first}: a file differs"):
        evaluate_labels(out, LabelSettings(path="labels.tif"))
    first.write_bytes(b"rubbish")
    assert "not readable" in complaint(days[2])
    first.write_bytes(content)
    (out / "town" / "manifest.json").unlink()
    assert "manifest.json: no such file; map the site again" in complaint(days[2])
    shutil.rmtree(out)
    map_days(out, 0, 1)
    assert update(out, days[2], "--run", str(moved)) == 0
    assert (out / "town" / read_json(out / "town" / "manifest.json")["run"]).resolve() == moved


def test_a_model_that_means_something_else_now_adds_nothing(
    map_days: Any, run_folder: Path, days: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same weights, but another scaling in model.json: old and new dates would not be alike."""
    maps, edited = map_days(tmp_path / "maps", 0), tmp_path / "edited"
    shutil.copytree(run_folder, edited)
    spec = read_json(edited / "model.json")
    spec["scores"] = {"fcn": {"loss": 0.5}}  # which decides no pixel
    write_json(edited / "model.json", spec)
    before = digests(maps)
    wide = [2 * value for value in spec["scaling"]["scale"]]
    for other in (
        {"scaling": spec["scaling"] | {"scale": wide}},
        {"image": spec["image"] | {"least_spread": 99.0}},
    ):
        write_json(edited / "model.json", spec | other)
        assert update(maps, days[1], "--run", str(edited)) == 2
        line = capsys.readouterr().err
        assert "model.json was changed" in line
        assert "swath map --resume" in line
        assert digests(maps) == before
