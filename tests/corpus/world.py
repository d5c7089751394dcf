"""A small world in which every command has what it needs: each case spoils one thing of a copy of it."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TRAIN = ["train", "dataset", "--out", "out", "--settings", "settings.yaml", "--preset", "demo"]
BUILD = ["build", "sites.yaml", "--out", "out"]
MAP = ["map", "run", "2019-03-11.tif", "2019-07-04.tif", "--out", "out", "--tile", "64"]
MAP_DATASET = ["map", "run", "--dataset", "dataset", "--split", "all", "--out", "out", "--tile", "64"]
UPDATE = ["update", "maps", "2020-01-15.tif"]
CHECK = ["labels", "check", "dataset", "--out", "out"]
EVALUATE = ["evaluate", "maps", "--dataset", "dataset", "--out", "out"]
EVALUATE_LABELS = ["evaluate", "maps", "--labels", "labels.tif", "--out", "out"]
REPORT = ["report", "maps", "--out", "out.html"]
CONFLATE = ["conflate", "maps", "roads.geojson", "--out", "out"]
SIMULATE = ["simulate", "roads.geojson", "--out", "out"]
SHOW = ["show", "FILE", "--out", "out.png"]
INSPECT = ["inspect", "2019-03-11.tif"]
PLAN = ["plan", "run", "2019-03-11.tif", "--tile", "64"]
COMPARE = ["lab", "compare", "comparison.yaml", "--out", "out"]
FETCH = ["fetch", "sites.yaml", "--out", "out", "--dry-run"]

Spoil = Callable[[Path, str], None]
"""What spoils a folder; the text is the address of a server that nobody may ask."""


@dataclass(frozen=True, slots=True)
class Case:
    """A command that must end in one line; named by its kind."""

    name: str
    arguments: list[str]
    spoil: Spoil = lambda folder, url: None


def make_world(folder: Path) -> None:
    """Fill an empty folder with inputs, a dataset, a run and maps that all commands can use."""
    import geopandas
    from shapely import box

    from support.saved_runs import save_run
    from swath.cli import run
    from swath.dataset.catalog import read_dataset
    from swath.simulate.world import write_world

    sites_file = write_world(
        folder / "world", {"town": "train", "village": "test"}, seed=3, size_px=64, dates=3
    )
    content = yaml.safe_load(sites_file.read_text("utf-8"))
    town = content["sites"]["town"]
    scenes = sorted(path for entry in town["scenes"] for path in sites_file.parent.glob(entry["path"]))
    for path, day in zip(scenes, ("2019-03-11", "2019-07-04", "2020-01-15"), strict=True):
        shutil.copyfile(path, folder / f"{day}.tif")
    labels = town["labels"]
    labels = labels if isinstance(labels, str) else labels["path"]
    roads = geopandas.read_file(sites_file.parent / labels)
    roads.to_crs(4326).to_file(folder / "roads.geojson", driver="GeoJSON")
    roads.to_crs(4326).to_file(folder / "roads.gpkg", driver="GPKG", layer="roads")
    west, south, east, north = roads.to_crs(4326).total_bounds
    square = geopandas.GeoSeries([box(west - 1, south - 1, east + 1, north + 1)], crs=4326)
    square.to_file(folder / "square.geojson", driver="GeoJSON")
    site: dict[str, Any] = {
        "scenes": [{"path": "2019-03-11.tif"}, {"path": "2019-07-04.tif"}],
        "labels": "roads.geojson",
        "split": "train",
    }
    write_yaml(folder / "sites.yaml", {"sites": {"town": site}})
    stage = {"phases": [{"learning_rate": 0.001, "epochs": 1}], "batches": 1, "batch_size": 1, "patch_px": 32}
    write_yaml(folder / "settings.yaml", {"width": 4, "hidden": 4, "fcn": stage, "rnn": stage})
    write_yaml(
        folder / "comparison.yaml", {"dataset": "dataset", "models": [{"name": "a", "preset": "demo"}]}
    )
    assert run(["build", str(sites_file), "--out", str(folder / "dataset")]) == 0
    save_run(folder / "run", {"train": ["town"], "validation": [], "test": ["village"]})
    os.chdir(folder)
    assert run([*MAP[:-4], "--out", "maps", "--name", "town", "--tile", "64", "--precision", "fp32"]) == 0
    shutil.copyfile(read_dataset(folder / "dataset").site("town").labels, folder / "labels.tif")
    shutil.rmtree(folder / "world")


def write_yaml(path: Path, value: object) -> None:
    """Replace a file; the file that it was a link to stays."""
    write(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def write(path: Path, content: str | bytes) -> None:
    """Replace a file; the file that it was a link to stays."""
    remove(path)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


def remove(path: Path) -> None:
    """Take a file or folder away."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def change_json(path: Path, change: Callable[[Any], object]) -> None:
    """Change the value of a JSON file."""
    value = json.loads(path.read_text("utf-8"))
    change(value)
    write(path, json.dumps(value))


def put(value: Any, keys: str, new: object) -> None:
    """Set what `a.b.0` names in nested tables and lists."""
    *above, last = keys.split("/")
    for key in above:
        value = value[int(key)] if isinstance(value, list) else value.setdefault(key, {})
    value[int(last) if isinstance(value, list) else last] = new
