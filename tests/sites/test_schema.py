import datetime as dt
from pathlib import Path

import pytest

from swath.errors import SettingsError
from swath.labels.burn import Widening
from swath.labels.source import LabelSettings
from swath.sentinel2 import ImageSettings
from swath.sites.schema import SitesFile, read_sites_file

SITES = """
legend: roads
image: {bands: [B04, B03, B02], encoding: tci}
sites:
  here:
    scenes: [{path: "here/*.tif", exclude: [2020-01-18]}]
    split: train
    labels: roads.gpkg
"""


def read(folder: Path, text: str) -> SitesFile:
    path = folder / "sites.yaml"
    path.write_text(text)
    return read_sites_file(path)


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    settings = read(tmp_path, SITES)
    site = settings.sites["here"]
    assert settings.resolution_m == 10.0
    assert settings.lines.method == "dilate"
    assert (settings.lines.shape, settings.lines.times) == ("square", 1)
    assert site.guard_px == 96
    assert site.bounds is None
    assert site.scenes[0].exclude == (dt.date(2020, 1, 18),)
    assert "Copernicus" in settings.attribution


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    split: train\n", "", "either split .* or regions"),
        (
            "split: train",
            "split: train\n    regions: [{split: test, box: [0, 0, 1, 1]}]",
            "either split .* or regions",
        ),
        ("legend: roads", "legend: roads\nresolution_m: true", "resolution_m: .*a number, got true or false"),
        ("    split: train", "    split: train\n    bounds: [0, 0, true, 1]", "bounds: .*got true or false"),
        ("sites:\n", "sites:\n  HERE: {split: train}\n", "sites HERE and here would share a folder"),
        ("split: train", "split: trian", "sites.here.split"),
        ("split: train", "regions: [{split: test, box: [0.5, 0, 0.4, 1]}]", "fractions 0..1"),
        ("split: train", "regions: [{split: test, box: [0, 0, 1.2, 1]}]", "fractions 0..1"),
        ("B04, B03", "B04, B4", "bands must be distinct names"),
        ("B04, B03", "B04, B04", "bands must be distinct names"),
        ("encoding: tci", "encoding: png", "image.encoding"),
        ("labels: roads.gpkg", "label: roads.gpkg", "label"),
        ("labels: roads.gpkg", "labels: {}", "either path .* or overpass"),
        (
            "labels: roads.gpkg",
            "labels: {path: a.gpkg, overpass: main, date: 2020-01-01}",
            "either path .* or overpass",
        ),
        ("labels: roads.gpkg", "labels: {overpass: main}", "overpass needs date"),
        ("labels: roads.gpkg", "labels: {path: a.osh.pbf, date: 2020-01-01}", "takes as_of"),
        ("labels: roads.gpkg", "labels: {path: a.osh.pbf, as_of: soon}", "labels.as_of"),
        ("labels: roads.gpkg", "labels: {overpass: main, date: 2019-13-04}", "month must be in"),
        ("legend: roads", "widening: {method: width, ring_px: -1}", "widening.ring_px"),
        ("  here:", "  ../here:", "sites"),
        ("legend: roads", "legend: roads\nresolution: 10", "unknown key 'resolution'"),
        ("legend: roads", "legend: roads\nresolution_m: 0", "resolution_m"),
        ('[{path: "here/*.tif", exclude: [2020-01-18]}]', "[]", "scenes"),
        ("legend: roads", "legend: [roads", "not YAML"),
    ],
)
def test_a_broken_sites_file_is_one_clear_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SITES
    with pytest.raises(SettingsError, match=message) as error:
        read(tmp_path, SITES.replace(old, new, 1))
    assert "sites.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_no_site_at_all(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="at least one site"):
        read(tmp_path, "sites: {}")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.yaml: no such file"):
        read_sites_file(tmp_path / "gone.yaml")


def test_labels_may_come_from_a_file_of_a_day_or_a_server(tmp_path: Path) -> None:
    def labels(text: str) -> LabelSettings | None:
        return read(tmp_path, SITES.replace("labels: roads.gpkg", text)).sites["here"].labels

    day = dt.date(2019, 7, 4)
    assert labels("labels: roads.gpkg") == LabelSettings(path="roads.gpkg")
    got = labels("labels: {path: topeka.osh.pbf, as_of: 2019-07-04}")
    assert got == LabelSettings(path="topeka.osh.pbf", as_of=day)
    got = labels("labels: {overpass: main, date: 2019-07-04}")
    assert got == LabelSettings(overpass="main", date=day)


def test_the_ring_goes_with_the_width() -> None:
    assert Widening().ring == 0
    assert Widening(method="width").ring == 1
    assert Widening(method="width", ring_px=0).ring == 0
    assert Widening(ring_px=2).ring == 2


def test_image_settings_know_their_bands() -> None:
    assert ImageSettings().bands == ("B04", "B03", "B02")
    assert ImageSettings(bands=("B8A", "B11"), encoding="reflectance").bands == ("B8A", "B11")
