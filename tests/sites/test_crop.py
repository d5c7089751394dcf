"""The real crop that comes with swath: small, whole, attributed, and made as its README says."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

import swath
from swath.sites.crop import CROP

PROJECT = Path(__file__).parents[2]


def test_it_is_small_and_says_whose_it_is() -> None:
    size = sum(path.stat().st_size for path in CROP.rglob("*") if path.is_file())
    assert size < 1_500_000
    card = (CROP / "README.md").read_text("utf-8")
    for text in (
        "contains modified Copernicus Sentinel data 2015-2017",
        "(c) OpenStreetMap contributors",
        "Open Database Licence",
        "starter weights learnt from this place",
    ):
        assert text in card
    attribution = swath.open_crop().attribution
    assert "Copernicus Sentinel data 2015-2017" in attribution
    assert "(c) OpenStreetMap contributors, ODbL 1.0" in attribution


def test_scenes_have_the_bands_that_the_starter_reads_and_no_gap() -> None:
    town = swath.open_crop()
    assert town.name == "rennes"
    assert [path.stem for path in town.scenes] == ["2015-08-21", "2017-06-21"]
    for path in town.scenes:
        with rasterio.open(path) as scene:
            assert scene.descriptions == ("B02", "B03", "B04", "B08")
            assert (scene.read() > 0).all()


def test_lines_are_as_many_as_the_card_says_and_have_a_class_each() -> None:
    features = json.loads(swath.open_crop().roads.read_text("utf-8"))["features"]
    assert f"{len(features):,} lines" in (CROP / "README.md").read_text("utf-8")
    assert all(feature["properties"]["highway"] for feature in features)


def test_it_builds_with_a_region_for_each_split(tmp_path: Path) -> None:
    dataset = swath.build(swath.open_crop().sites_file, tmp_path / "dataset")
    (site,) = dataset.sites
    assert set(site.splits) == {"train", "validation", "test"}
    assert len(site.acquisitions) == 2


@pytest.mark.data
def test_the_script_makes_the_same_again(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = data_dir / "real" / "cities" / "rennes"
    monkeypatch.setattr(sys, "argv", ["crop.py", str(source), str(tmp_path)])
    runpy.run_path(str(PROJECT / "examples" / "lab" / "crop.py"))
    town = swath.open_crop()
    assert (tmp_path / "roads.geojson").read_bytes() == town.roads.read_bytes()
    for path in town.scenes:
        with rasterio.open(path) as shipped, rasterio.open(tmp_path / path.name) as made:
            assert shipped.transform == made.transform
            np.testing.assert_array_equal(shipped.read(), made.read())
