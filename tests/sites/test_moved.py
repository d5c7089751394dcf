"""A sites file for another folder: every path leads to the same file."""

from pathlib import Path

import yaml

from swath.sites.moved import move_sites
from swath.sites.schema import SitesFile

SITES = """
legend: own.yaml
sites:
  town:
    scenes:
    - {path: "town/*.tif", mask: "masks/{date}.tif"}
    - {path: /far/2020-01-01.tif, mask: ukis-csmask, level: L1C}
    labels: roads.gpkg
    coverage: ../cover.gpkg
    ignore: ignore.gpkg
    split: train
  village:
    labels: {overpass: main, date: 2020-01-01}
    split: test
"""


def test_relative_paths_are_led_from_the_new_folder(tmp_path: Path) -> None:
    settings = SitesFile.model_validate(yaml.safe_load(SITES))
    moved = move_sites(settings, tmp_path / "world", tmp_path / "out" / "here")
    assert moved.legend == "../../world/own.yaml"
    town, village = moved.sites["town"], moved.sites["village"]
    assert [(scene.path, scene.mask) for scene in town.scenes] == [
        ("../../world/town/*.tif", "../../world/masks/{date}.tif"),
        ("/far/2020-01-01.tif", "ukis-csmask"),
    ]
    assert town.labels is not None
    assert town.labels.path == "../../world/roads.gpkg"
    assert (town.coverage, town.ignore) == ("../../cover.gpkg", "../../world/ignore.gpkg")
    assert village.labels == settings.sites["village"].labels
    assert move_sites(moved, tmp_path / "out" / "here", tmp_path / "world") == settings


def test_what_is_not_set_stays_unset(tmp_path: Path) -> None:
    settings = SitesFile.model_validate(yaml.safe_load(SITES))
    moved = move_sites(settings, tmp_path, tmp_path)
    assert moved.model_dump(exclude_unset=True)["sites"]["village"].keys() == {"labels", "split"}
    shipped = SitesFile.model_validate({"sites": {"a": {"split": "train"}}})
    assert move_sites(shipped, tmp_path, tmp_path / "out").legend == "roads"
