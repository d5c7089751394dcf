"""Maps survive kills: the next run finishes what is missing, with the same bytes."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from support.saved_runs import save_mixed_run
from swath.cli import run as swath
from swath.errors import BusyError, OutputExistsError
from swath.files import sha256
from swath.grid import Grid, Window
from swath.mapping import jobs, workfolder
from swath.mapping.options import MapOptions
from swath.mapping.predict import Predictor
from swath.mapping.sources import Series, scene_series
from swath.mapping.stages import MappedSite, map_site
from swath.mapping.tilestore import open_store
from swath.mapping.workfolder import working
from swath.maps.manifest import FORMAT, Output, read_manifest
from swath.maps.sitemaps import read_maps
from swath.models.trained import load_model, save_model
from swath.outfolder import MARK
from swath.sentinel2 import ImageSettings
from swath.tiles import plan_tiles
from swath.workers import Workers

GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), (100, 120))
DAYS = ("2019-03-11", "2019-07-04", "2019-10-07")
KEPT_TILES = ".work-town/tiles/*/*_*.npy"


def draw_day(day: str) -> NDArray[np.uint8]:
    """A True Colour Image with blobs and a hole, and without data on the last day's right."""
    generator = np.random.default_rng(int(day.replace("-", "")))
    blobs = gaussian_filter(generator.normal(size=(3, *GRID.shape)), (0, 3, 3))
    image = np.clip(110 + 45 * blobs / blobs.std(), 1, 255).astype(np.uint8)
    image[:, 20:40, 30:50] = 0
    if day == DAYS[-1]:
        image[:, :, 90:] = 0
    return image


def write_days(write_scene: Any, folder: Path, days: tuple[str, ...] = DAYS) -> list[Path]:
    bands = ("B04", "B03", "B02")
    return [write_scene(folder / f"{day}.tif", draw_day(day), GRID, bands) for day in days]


def digests(folder: Path) -> dict[str, str]:
    """The bytes of all files, hidden ones too; of the marks, which list these, none."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MARK)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def go(arguments: list[str]) -> None:
    """Run a command in a process of its own."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.exit(swath(arguments))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "run"
    save_mixed_run(folder, np.stack([draw_day(day) for day in DAYS]), dates=3)
    return folder


@pytest.fixture(scope="module")
def scenes(write_scene: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_days(write_scene, tmp_path_factory.mktemp("scenes") / "town")


Command = Callable[[Path], list[str]]


@pytest.fixture(scope="module")
def command(run_folder: Path, scenes: list[Path]) -> Command:
    def arguments(out: Path) -> list[str]:
        # The model's path is written down relative to the maps: all `out` lie side by side.
        options = ["--out", str(out), "--tile", "32", "--precision", "fp32", "--no-page"]
        return ["map", str(run_folder), *map(str, scenes), *options]

    return arguments


@pytest.fixture(scope="module")
def undisturbed(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    assert swath(command(out)) == 0
    return out


def load(run_folder: Path, scenes: list[Path]) -> tuple[Predictor, Series]:
    predictor = Predictor(load_model(run_folder), "cpu")
    return predictor, scene_series("town", scenes, None, ImageSettings())


def test_twenty_kills_lose_nothing(
    command: Command, undisturbed: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Children of a server that has imported everything start in no time.
    context = multiprocessing.get_context("forkserver")
    modules = ["mapping.test_resume", "swath.mapping.stages", "swath.cli.map", "swath.viewer.publish"]
    context.set_forkserver_preload(modules)

    def start(out: Path) -> Any:
        process = context.Process(target=go, args=(command(out),))
        process.start()
        return process

    whole = start(tmp_path_factory.mktemp("first"))
    whole.join()
    began = time.monotonic()
    whole = start(tmp_path_factory.mktemp("timed"))
    whole.join()
    assert whole.exitcode == 0
    takes = time.monotonic() - began
    expected = digests(undisturbed)
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    kills, tiles_kept, finished = 0, 0, 0
    out = tmp_path_factory.mktemp("killed")
    while kills < 20:
        process = start(out)
        latest = time.monotonic() + moments.uniform(0.1, 0.9) * takes
        # Every other time as soon as a tile is kept, which may be for some milliseconds only.
        while time.monotonic() < latest and process.exitcode is None:
            if kills % 2 and any(out.glob(KEPT_TILES)):
                break
            time.sleep(0.001)
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        if process.exitcode == -signal.SIGKILL:
            kills += 1
            # Nobody ever sees half of a map.
            assert not (out / "town").exists() or len(read_maps(out)) == 1
            tiles_kept += len(list(out.glob(KEPT_TILES)))
            continue
        assert process.exitcode == 0, f"seed {seed}"
        assert digests(out) == expected, f"seed {seed}"
        finished += 1
        out = tmp_path_factory.mktemp("killed")
    process = start(out)
    process.join()
    assert process.exitcode == 0
    assert digests(out) == expected, f"seed {seed}"
    assert tiles_kept > 0, f"{takes:.2f} s, finished {finished} times"
    assert finished < 20


def test_what_is_finished_is_not_computed_again(
    run_folder: Path, scenes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, series = load(run_folder, scenes)
    passes: list[Window] = []
    compute = jobs.PmapJob.compute

    def counting(job: Any, own: Any, tile: Any, data: Any) -> Any:
        passes.append(tile.core)
        if len(passes) == 6:
            raise KeyboardInterrupt
        return compute(job, own, tile, data)

    monkeypatch.setattr(jobs.PmapJob, "compute", counting)
    tiles = len(predictor.plan_pmaps(series.grid.shape, 64))
    assert tiles == 4
    with pytest.raises(KeyboardInterrupt):
        map_site(predictor, run_folder, series, tmp_path, MapOptions(tile_px=64))
    done = map_site(predictor, run_folder, series, tmp_path, MapOptions(tile_px=64))
    # The tile at which it broke off is the only one that is computed twice.
    assert len(passes) == 3 * tiles + 1
    assert "pmap_2019-03-11.tif" not in done.new_files
    assert "pmap_2019-07-04.tif" in done.new_files


def again(run: Path, scenes: list[Path], out: Path, **options: Any) -> MappedSite:
    predictor, series = load(run, scenes)
    return map_site(predictor, run, series, out, MapOptions(tile_px=32, **options))


DATED = [f"pmap_{day}.tif" for day in DAYS]
FUSED = ["pmap.tif", "classes.tif", "composite.tif", "roads.gpkg", "roads.parquet"]


def test_just_what_depends_on_a_change_is_redone(
    write_scene: Any, run_folder: Path, undisturbed: Path, tmp_path: Path
) -> None:
    paths = write_days(write_scene, tmp_path / "in" / "town")
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    out = tmp_path / "maps"
    assert list(again(run, paths, out).new_files) == [*DATED, *FUSED]
    before = digests(out)
    assert again(run, paths, out).new_files == ()
    for path in paths:
        path.touch()
    assert again(run, paths, out).new_files == ()
    assert digests(out) == before

    # Other pixels on one day.
    write_scene(paths[1], np.full((3, *GRID.shape), 99, np.uint8), GRID, ("B04", "B03", "B02"))
    with pytest.raises(OutputExistsError, match="made from other images"):
        again(run, paths, out)
    assert digests(out) == before
    assert list(again(run, paths, out, resume=True).new_files) == [DATED[1], *FUSED]
    assert digests(out)["town/" + DATED[0]] == before["town/" + DATED[0]]

    # One day less, then another fusion network, then another U-Net; vectors follow the fused map.
    assert list(again(run, paths[:2], out, resume=True).new_files) == FUSED
    assert sorted(path.name for path in (out / "town").glob("pmap_*.tif")) == DATED[:2]
    model = load_model(run)
    assert model.fusion is not None
    for network, redone in ((model.fusion, FUSED), (model.fcn, [*DATED[:2], *FUSED])):
        network.head.bias.data += 0.3  # type: ignore[union-attr, operator]
        save_model(run, model)
        assert list(again(run, paths[:2], out, resume=True).new_files) == redone

    # A file that was damaged, though its inputs are the same.
    (out / "town" / "classes.tif").write_bytes(b"rubbish")
    assert list(again(run, paths[:2], out, resume=True).new_files) == FUSED[:3]
    # A setting; and all anew.
    predictor, series = load(run, paths[:2])
    made = map_site(predictor, run, series, out, MapOptions(tile_px=64, resume=True)).new_files
    assert list(made) == [*DATED[:2], *FUSED]
    made = map_site(predictor, run, series, out, MapOptions(tile_px=64, overwrite=True)).new_files
    assert list(made) == [*DATED[:2], *FUSED]


def test_redoing_one_file_leaves_the_old_maps_whole(
    run_folder: Path, scenes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Files that are taken over are hard links to those in place: they must not be written to.
    again(run_folder, scenes, tmp_path)
    (tmp_path / "town" / "classes.tif").write_bytes(b"rubbish")
    before = digests(tmp_path)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("swath.mapping.stages.write_item", fail)
    with pytest.raises(KeyboardInterrupt):
        again(run_folder, scenes, tmp_path, resume=True)
    now = {name: value for name, value in digests(tmp_path).items() if name.startswith("town")}
    assert now == before


@pytest.mark.parametrize("step", range(4))
def test_a_crash_while_folders_are_exchanged(
    step: int, run_folder: Path, scenes: list[Path], undisturbed: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "maps"
    shutil.copytree(undisturbed, out)
    predictor, series = load(run_folder, scenes[:2])
    done: list[str] = []

    def crashing(function: Any, name: str) -> Any:
        def call(path: Path, *arguments: Any, **options: Any) -> Any:
            if name == "rmtree" and not path.name.startswith(".old"):
                return function(path, *arguments, **options)
            if len(done) == step:
                raise KeyboardInterrupt
            done.append(name)
            return function(path, *arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(workfolder, "write_manifest", crashing(workfolder.write_manifest, "manifest"))
        patch.setattr(Path, "rename", crashing(Path.rename, "rename"))
        patch.setattr(shutil, "rmtree", crashing(shutil.rmtree, "rmtree"))
        with pytest.raises(KeyboardInterrupt):
            map_site(predictor, run_folder, series, out, MapOptions(tile_px=32, resume=True))
    assert done == ["manifest", "rename", "rename"][:step]
    finished = map_site(predictor, run_folder, series, out, MapOptions(tile_px=32, resume=True))
    assert finished.new_files == ()  # all of it had been made before the crash
    assert sorted(path.name for path in out.iterdir()) == ["town"]
    assert read_maps(out)[0].dates == series.dates


def test_workers_give_the_same_bytes(
    command: Command, undisturbed: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("workers")
    assert swath([*command(out), "--workers", "2"]) == 0
    assert digests(out) == digests(undisturbed)


@dataclass(frozen=True)
class Mortal:
    """A job whose worker is killed at a tile, `deaths` times."""

    folder: Path
    deaths: int

    def read(self, predictor: Predictor, tile: Any) -> Any:
        dead = len(list(self.folder.iterdir()))
        if tile.core.row == 32 and dead < self.deaths:
            (self.folder / str(dead)).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def compute(self, predictor: Predictor, tile: Any, data: Any) -> NDArray[np.uint8]:
        return np.full((2, tile.core.height, tile.core.width), tile.core.row, np.uint8)


def test_a_worker_that_is_killed_is_replaced(run_folder: Path, tmp_path: Path) -> None:
    predictor = Predictor(load_model(run_folder), "cpu")
    store = open_store(tmp_path / "tiles", "0" * 64, 2, plan_tiles((64, 32), 32, 0, 16))
    store.write(store.tiles[0].core, np.full((2, 32, 32), 7, np.uint8))
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    with jobs.running(predictor, run_folder, tmp_path, Workers(2)) as runner:
        runner(Mortal(deaths, 1), store, "test")
    assert len(list(deaths.iterdir())) == 1
    assert [int(codes[0, 0, 0]) for _, codes in store.read()] == [7, 32]


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with (
        working(tmp_path / "x", (), anew=False),
        pytest.raises(BusyError, match="another swath"),
        working(tmp_path / "x", (), anew=False),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_tile_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    store = open_store(tmp_path, "0" * 64, 2, plan_tiles((32, 64), 32, 0, 16))
    for tile in store.tiles:
        store.write(tile.core, np.zeros((2, 32, 32), np.uint8))
    assert store.missing() == ()
    path = store.folder / "0_32.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert store.missing() == (store.tiles[1],)
    path.write_bytes(b"")
    assert store.missing() == (store.tiles[1],)
    store.write(store.tiles[1].core, np.zeros((2, 32, 16), np.uint8))
    assert store.missing() == (store.tiles[1],)


def test_the_manifest_names_all_files_by_hash(undisturbed: Path, run_folder: Path) -> None:
    home = undisturbed / "town"
    manifest = read_manifest(home)
    assert set(manifest.outputs) == set(DATED) | set(FUSED)
    for name, output in manifest.outputs.items():
        known = {"key": output.key, "sha256": sha256(home / name), "threshold": output.threshold}
        assert output == Output(**known)
        assert (output.threshold is not None) == (name == "classes.tif")
    assert len({manifest.outputs[name].key for name in (*DATED, "pmap.tif")}) == 4
    assert (home / manifest.run).resolve() == run_folder.resolve()
    assert [str(day) for day in manifest.dates] == list(DAYS)
    # A version that this program does not know is no reason to guess.
    content = json.loads((home / "manifest.json").read_text())
    assert content["format"] == FORMAT
