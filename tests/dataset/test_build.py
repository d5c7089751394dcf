import datetime as dt
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
import yaml
from shapely import LineString, box

from conftest import PROJECT
from swath.audit.check import check_site
from swath.cli import run
from swath.dataset.build import build_dataset, class_shares, told_overlaps
from swath.dataset.catalog import read_dataset
from swath.dataset.site import Dataset, Region, Site, read_image, read_labels
from swath.errors import DatasetError, InputError, OutputExistsError, SettingsError
from swath.files import read_json, sha256
from swath.grid import Grid, Window
from swath.labels.features import read_features
from swath.sites.schema import SplitName, read_sites_file

WriteScene = Callable[..., Path]

GRID = Grid.from_bounds((600_000, 5_330_000, 600_500, 5_330_400), "EPSG:32630")  # 40 x 50 px
LEFT, _, _, TOP = GRID.bounds
EXAMPLES = PROJECT / "examples"

SITES = """
image: {bands: [B04, B03, B02], encoding: reflectance}
attribution: made by hand
sites:
  town:
    scenes: [{path: "town/*.tif"}]
    labels: roads.geojson
    split: train
  village:
    scenes: [{path: "town/2020-02-01.tif"}]
    bounds: [-1.655, 48.1159, -1.651, 48.1181]
    labels: roads.geojson
    split: test
"""


def at(row: float, col: float) -> tuple[float, float]:
    return LEFT + 10 * col, TOP - 10 * row


def patch(row: float, col: float, row_end: float, col_end: float) -> object:
    return box(*at(row_end, col), *at(row, col_end))


def write_vectors(path: Path, **columns: list[object]) -> None:
    geopandas.GeoDataFrame(columns, crs=GRID.crs).to_crs("EPSG:4326").to_file(path)


@pytest.fixture
def world(tmp_path: Path, write_scene: WriteScene) -> Path:
    """A sites file with two dates of a town: the second lacks a strip, both lack a corner."""
    for day, hole in (("2020-02-01", slice(0, 3)), ("2020-01-01", slice(0, 9))):
        image = np.random.default_rng(3).integers(1, 3000, (4, *GRID.shape)).astype(np.uint16)
        image[:, hole, :20] = 0
        write_scene(tmp_path / "town" / f"{day}.tif", image, GRID, ("B02", "B03", "B04", "B08"))
    write_vectors(
        tmp_path / "roads.geojson",
        highway=["primary", "footway"],
        geometry=[
            LineString([at(20.5, 0.5), at(20.5, 49.5)]),
            LineString([at(30.5, 0.5), at(30.5, 49.5)]),
        ],
    )
    (tmp_path / "sites.yaml").write_text(SITES)
    return tmp_path / "sites.yaml"


@pytest.fixture
def dataset(world: Path) -> Dataset:
    return build_dataset(world, world.parent / "out")


def change(sites: Path, old: str, new: str) -> Path:
    text = sites.read_text()
    assert old in text
    sites.write_text(text.replace(old, new, 1))
    return sites


# --- building --------------------------------------------------------------------------------


def test_folder_has_what_the_contract_says(dataset: Dataset) -> None:
    names = {str(p.relative_to(dataset.root)) for p in dataset.root.rglob("*") if p.is_file()}
    images = {"town/2020-01-01", "town/2020-02-01", "village/2020-02-01"}
    assert {name for name in names if name.endswith(".tif")} == {
        *(f"{image}.tif" for image in images),
        "town/labels.tif",
        "village/labels.tif",
    }
    assert {"catalog.json", "town/roads.parquet", "village/roads.parquet"} <= names
    assert not [p for p in dataset.root.parent.iterdir() if p.name.startswith(".tmp")]


def test_images_lie_on_the_grid_with_named_bands(dataset: Dataset) -> None:
    town = dataset.site("town")
    assert town.grid == GRID
    assert town.dates == (dt.date(2020, 1, 1), dt.date(2020, 2, 1))
    with rasterio.open(town.acquisitions[0].path) as source:
        assert source.descriptions == ("B04", "B03", "B02")
        assert (source.nodata, source.dtypes[0]) == (0, "uint16")
        assert source.block_shapes[0] == (256, 256)
        assert Grid(source.crs.to_wkt(), source.transform, source.shape) == GRID
    image = read_image(town.acquisitions[0])
    expected = np.random.default_rng(3).integers(1, 3000, (4, *GRID.shape))[[2, 1, 0]]
    expected[:, :9, :20] = 0
    np.testing.assert_array_equal(image, expected)


def test_labels_are_burnt_widened_and_ignored_where_no_date_has_data(dataset: Dataset) -> None:
    town = dataset.site("town")
    expected = np.zeros(GRID.shape, np.uint8)
    expected[19:22] = 1  # the primary road, 3 px wide; the footway is not in the legend
    expected[:3, :20] = 255  # rows 3..8 have data on the later date
    np.testing.assert_array_equal(read_labels(town), expected)
    shares, ignored = class_shares(read_labels(town), dataset.legend)
    assert shares == pytest.approx({"background": 1 - 150 / 1940, "road": 150 / 1940})
    assert ignored == 60 / 2000
    with rasterio.open(town.labels) as source:
        assert source.nodata == 255
        assert source.colormap(1)[1][:3] == dataset.legend.classes[1].rgb
    assert town.roads is not None
    roads = geopandas.read_parquet(town.roads)
    assert list(roads.columns) == ["class_id", *dataset.legend.keys, "geometry"]
    assert roads.crs.to_epsg() == 32630


def test_coverage_and_ignore_polygons(world: Path) -> None:
    write_vectors(world.parent / "cover.geojson", geometry=[patch(0, 0, 40, 25)])
    write_vectors(world.parent / "ignore.geojson", geometry=[patch(30, 0, 40, 10)])
    change(world, "split: train", "split: train\n    coverage: cover.geojson")
    change(world, "split: train", "split: train\n    ignore: ignore.geojson")
    labels = read_labels(build_dataset(world, world.parent / "out").site("town"))
    expected = np.zeros(GRID.shape, bool)
    expected[:, 25:] = True
    expected[30:, :10] = True
    expected[:3, :20] = True
    np.testing.assert_array_equal(labels == 255, expected)


def test_tci_of_reflectance(world: Path) -> None:
    reflectance = read_image(build_dataset(world, world.parent / "a").sites[0].acquisitions[0])
    change(world, "encoding: reflectance", "encoding: tci")
    dataset = build_dataset(world, world.parent / "b")
    tci = read_image(dataset.sites[0].acquisitions[0])
    assert tci.dtype == np.uint8
    expected = np.clip(np.rint(1 + 254 * (reflectance / 3558)), 1, 255) * (reflectance > 0)
    assert np.abs(tci.astype(int) - expected).max() <= 1  # float32 in the product, float64 here
    with rasterio.open(dataset.sites[0].acquisitions[0].path) as source:
        assert source.colorinterp[0].name == "red"


def test_other_image_settings_stand_in_for_the_file_s(world: Path) -> None:
    given = build_dataset(world, world.parent / "a", bands=("B04", "B02"), encoding="standardised")
    change(world, "encoding: reflectance", "encoding: standardised")
    change(world, "bands: [B04, B03, B02]", "bands: [B04, B02]")
    written = build_dataset(world, world.parent / "b")
    assert given.image == written.image
    for one, other in zip(given.sites, written.sites, strict=True):
        assert [a.sha256 for a in one.acquisitions] == [a.sha256 for a in other.acquisitions]
    with pytest.raises(InputError, match=r"distinct names of .*; got B99"):
        build_dataset(world, world.parent / "c", bands=("B99",))
    assert not (world.parent / "c").exists()


def test_one_date_only_builds(dataset: Dataset) -> None:
    village = dataset.site("village")
    assert village.dates == (dt.date(2020, 2, 1),)
    assert 20 < village.grid.height < 40


def test_the_same_input_gives_the_same_bytes(world: Path) -> None:
    first = build_dataset(world, world.parent / "a")
    second = build_dataset(world, world.parent / "b")
    for one, other in zip(first.sites, second.sites, strict=True):
        assert one.labels_sha256 == other.labels_sha256 == sha256(one.labels)
        assert [a.sha256 for a in one.acquisitions] == [a.sha256 for a in other.acquisitions]
        assert one.acquisitions[0].sha256 == sha256(one.acquisitions[0].path)


def test_existing_output_is_kept_unless_told(world: Path, dataset: Dataset) -> None:
    with pytest.raises(OutputExistsError, match="exists already"):
        build_dataset(world, dataset.root)
    change(world, "made by hand", "made anew")
    assert build_dataset(world, dataset.root, overwrite=True).attribution == "made anew"


def test_a_failure_leaves_the_old_dataset_and_nothing_new(world: Path, dataset: Dataset) -> None:
    write_vectors(
        world.parent / "far.geojson", highway=["primary"], geometry=[patch(900, 0, 950, 9).exterior]
    )
    change(world, "labels: roads.geojson\n    split: test", "labels: far.geojson\n    split: test")
    with pytest.raises(InputError, match="labels do not overlap the image"):
        build_dataset(world, dataset.root, overwrite=True)
    with pytest.raises(InputError, match="labels do not overlap the image"):
        build_dataset(world, world.parent / "new")
    assert read_dataset(dataset.root) == dataset
    assert not (world.parent / "new").exists()
    assert not [p for p in world.parent.iterdir() if p.name.startswith(".tmp")]


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("town/*.tif", "none/*.tif", InputError, "no file matches"),
        ("labels: roads", "labels: gone", InputError, r"gone.geojson: no such file .*'town'"),
        ("split: train", "split: train\n    coverage: gone.gpkg", InputError, "no such file"),
        ("B04, B03", "B04, B11", InputError, "no band B11; the file has B02, B03, B04, B08"),
        ("image:", "legend: rails\nimage:", SettingsError, "no legend 'rails'"),
        ("-1.655, 48.1159, -1.651", "-2.655, 48.1159, -2.651", InputError, "does not meet"),
    ],
)
def test_bad_input_is_one_clear_line(
    world: Path, old: str, new: str, error: type[Exception], message: str
) -> None:
    change(world, old, new)
    with pytest.raises(error, match=message) as caught:
        build_dataset(world, world.parent / "out")
    assert "\n" not in str(caught.value)
    assert not (world.parent / "out").exists()


def test_a_coverage_elsewhere(world: Path) -> None:
    write_vectors(world.parent / "cover.geojson", geometry=[patch(900, 0, 950, 25)])
    change(world, "split: train", "split: train\n    coverage: cover.geojson")
    with pytest.raises(InputError, match="coverage does not overlap the image"):
        build_dataset(world, world.parent / "out")


def test_a_place_without_any_road_is_built(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """True negatives: the file has no feature at all, or the user says that it is complete."""
    (world.parent / "none.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    change(world, "labels: roads.geojson\n    split: test", "labels: none.geojson\n    split: test")
    write_vectors(
        world.parent / "far.geojson", highway=["primary"], geometry=[LineString([at(900, 0), at(901, 9)])]
    )
    write_vectors(world.parent / "cover.geojson", geometry=[patch(-9, -9, 60, 60)])
    change(world, "labels: roads.geojson\n    split: train", "labels: far.geojson\n    split: train")
    change(world, "split: train", "split: train\n    coverage: cover.geojson")
    dataset = build_dataset(world, world.parent / "out")
    assert capsys.readouterr().err.count("its labels have nothing of the legend there") == 2
    for site in dataset.sites:
        labels = read_labels(site)
        assert (labels[labels != 255] == 0).all()
        assert site.roads is not None
        assert read_features(site.roads, dataset.legend, site.grid).empty
        assert check_site(site, dataset.legend).shift is None


def test_nothing_labelled_is_left(world: Path) -> None:
    write_vectors(world.parent / "ignore.geojson", geometry=[patch(-5, -5, 50, 60)])
    change(world, "split: train", "split: train\n    ignore: ignore.geojson")
    with pytest.raises(InputError, match="no pixel is left"):
        build_dataset(world, world.parent / "out")


# --- the catalog -----------------------------------------------------------------------------


def test_catalog_is_self_contained_stac(dataset: Dataset) -> None:
    for path in dataset.root.rglob("*.json"):
        for link in read_json(path)["links"]:
            assert link["href"].startswith("."), f"{path}: {link}"
    catalog = pystac.Catalog.from_file(str(dataset.root / "catalog.json"))
    assert [child.id for child in catalog.get_children()] == ["town", "village"]
    items = list(catalog.get_items(recursive=True))
    assert [item.id for item in items] == [
        "town_2020-01-01",
        "town_2020-02-01",
        "village_2020-02-01",
    ]
    first = items[0]
    assert first.datetime == dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    assert first.properties["proj:code"] == "EPSG:32630"
    assert first.properties["proj:shape"] == [40, 50]
    assert first.properties["proj:transform"] == [10, 0, 600_000, 0, -10, 5_330_400]
    image = first.assets["image"]
    assert [band["eo:common_name"] for band in image.extra_fields["bands"]] == [
        "red",
        "green",
        "blue",
    ]
    assert (image.extra_fields["nodata"], image.extra_fields["data_type"]) == (0, "uint16")
    # A multihash: 0x12 = SHA-256, 0x20 bytes.
    acquisition = dataset.site("town").acquisitions[0]
    assert image.extra_fields["file:checksum"] == "1220" + acquisition.sha256
    assert image.href == "./2020-01-01.tif"
    west, south, east, north = GRID.lonlat_bounds
    assert first.bbox == pytest.approx([west, south, east, north])
    classes = first.assets["labels"].extra_fields["classification:classes"]
    assert [c["name"] for c in classes] == ["background", "road"]


def test_reading_needs_nothing_but_the_folder(world: Path, dataset: Dataset) -> None:
    moved = world.parent / "elsewhere" / "data"
    moved.parent.mkdir()
    shutil.move(dataset.root, moved)
    again = read_dataset(moved)
    assert again.legend == dataset.legend
    assert again.image == read_sites_file(world).image
    assert again.attribution == "made by hand"
    for one, other in zip(again.sites, dataset.sites, strict=True):
        assert (one.name, one.grid, one.regions) == (other.name, other.grid, other.regions)
        assert one.dates == other.dates
    assert (read_labels(again.site("town")) == 1).sum() == 150


def test_broken_datasets_are_one_clear_line(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match=r"holds no catalog\.json; make a dataset with"):
        read_dataset(dataset.root / "town")
    catalog = dataset.root / "catalog.json"
    text = catalog.read_text()
    lacking = json.loads(text)
    del lacking["swath:image"]
    foreign = {k: v for k, v in lacking.items() if not k.startswith("swath:")}
    odd = json.loads(text)
    odd["swath:legend"]["classes"][1]["color"] = "red"
    cases = [
        (text[: len(text) // 2], "not readable as JSON"),
        (json.dumps(lacking), "swath:image: Field required"),
        (json.dumps(foreign), "not a dataset of this version"),
        (json.dumps(odd), "classes.1.color"),
        ("[]", "not a STAC file"),
    ]
    for broken, message in cases:
        catalog.write_text(broken)
        with pytest.raises(DatasetError, match=message) as error:
            read_dataset(dataset.root)
        assert "\n" not in str(error.value)
    catalog.write_text(text)
    collection = dataset.root / "town" / "collection.json"
    whole = collection.read_text()
    older = json.loads(whole)
    del older["swath:labels_date"]
    collection.write_text(json.dumps(older))
    with pytest.raises(DatasetError, match="swath:labels_date: Field required; build it again"):
        read_dataset(dataset.root)
    collection.write_text(whole)
    dataset.site("village").labels.unlink()
    with pytest.raises(DatasetError, match=r"labels\.tif: the catalog names this file"):
        read_dataset(dataset.root)


# --- values ----------------------------------------------------------------------------------


def test_sites_splits_and_dates(dataset: Dataset) -> None:
    town, village = dataset.sites
    assert town.splits == ("train",)
    assert town.windows("train") == (GRID.window,)
    assert town.windows("test") == ()
    assert dataset.in_split("test") == (village,)
    assert town.acquisition(dt.date(2020, 2, 1)) == town.acquisitions[1]
    with pytest.raises(DatasetError, match="no acquisition of 2021-01-01; it has 2020-01-01, 2020"):
        town.acquisition(dt.date(2021, 1, 1))
    with pytest.raises(DatasetError, match="no site 'city'; its sites are town, village"):
        dataset.site("city")


def test_resplit_by_whole_sites(dataset: Dataset) -> None:
    again = dataset.resplit(validation=["village"], test=["town"])
    assert [site.splits for site in again.sites] == [("test",), ("validation",)]
    assert again.site("town").windows("test") == (GRID.window,)
    assert dataset.resplit([], []).in_split("train") == dataset.resplit([], []).sites
    with pytest.raises(DatasetError, match="no site 'city'"):
        dataset.resplit(["city"], [])
    with pytest.raises(DatasetError, match="one split only"):
        dataset.resplit(["town"], ["town"])


def test_windows_may_reach_outside(dataset: Dataset) -> None:
    town = dataset.site("town")
    window = Window(35, -4, 10, 12)
    image, labels = read_image(town.acquisitions[1], window), read_labels(town, window)
    assert image.shape == (3, 10, 12)
    np.testing.assert_array_equal(image[:, :5, 4:], read_image(town.acquisitions[1])[:, 35:, :8])
    assert not image[:, 5:].any()
    assert not image[:, :, :4].any()
    assert (labels[5:] == 255).all()
    assert (labels[:5, 4:] == 0).all()


# --- the command -----------------------------------------------------------------------------


def test_build_command_prints_one_json_object(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = world.parent / "out"
    assert run(["build", str(world), "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["dataset"] == str(out)
    town, village = printed["sites"]
    # The files say nothing of clouds and sun, the labels nothing of their day.
    sky = {"cloud_cover": None, "sun_azimuth_deg": None, "sun_elevation_deg": None}
    assert town == {
        "name": "town",
        "shape": [40, 50],
        "crs": "EPSG:32630",
        "finer": 1,
        "dates": ["2020-01-01", "2020-02-01"],
        "acquisitions": [{"date": day, **sky, "masks": {}} for day in town["dates"]],
        "labels_date": None,
        "splits": ["train"],
        "class_share": pytest.approx({"background": 1 - 150 / 1940, "road": 150 / 1940}),
        "ignore_share": 60 / 2000,
    }
    assert village["splits"] == ["test"]


def test_build_command_for_people(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = world.parent / "out"
    assert run(["build", str(world), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "town: 50 x 40 px in EPSG:32630, train; dates 2020-01-01, 2020-02-01;" in printed
    assert "road 7.7%" in printed
    assert "ignored 3.0%" in printed

    assert run(["build", str(world), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "exists already" in captured.err
    assert run(["build", str(world), "--out", str(out), "--overwrite"]) == 0


# --- real data and the examples --------------------------------------------------------------


@pytest.mark.parametrize("name", ["cities", "boadella"])
def test_examples_can_be_read(name: str) -> None:
    assert read_sites_file(EXAMPLES / f"{name}.yaml").sites


def example(name: str, data_dir: Path, folder: Path) -> Path:
    """A copy of an example whose paths lead to the data."""
    text = (EXAMPLES / f"{name}.yaml").read_text()
    assert "../../shared/data/" in text
    sites = folder / f"{name}.yaml"
    sites.write_text(text.replace("../../shared/data/", f"{data_dir.resolve()}/"))
    return sites


@pytest.mark.data
def test_real_cities(data_dir: Path, tmp_path: Path) -> None:
    sites = example("cities", data_dir, tmp_path)
    settings = yaml.safe_load(sites.read_text())
    assert len(settings["sites"]) == 8
    some = ("rennes", "norcia", "bercy")  # each in another UTM zone
    settings["sites"] = {name: settings["sites"][name] for name in some}
    sites.write_text(yaml.safe_dump(settings, sort_keys=False))
    dataset = build_dataset(sites, tmp_path / "out")
    assert [site.splits for site in dataset.sites] == [("test",), ("train",), ("train",)]
    zones = ["EPSG:32630", "EPSG:32633", "EPSG:32631"]
    assert [site.grid.crs for site in dataset.sites] == zones
    for site in dataset.sites:
        assert len(site.dates) == 2
        assert site.grid.resolution == (10.0, 10.0)
        labels = read_labels(site)
        assert labels.shape == site.grid.shape
        shares, ignored = class_shares(labels, dataset.legend)
        # Dense towns: a fifth to a half of the labelled pixels is road after the dilation.
        assert 0.15 < shares["road"] < 0.5, site.name
        assert ignored < 0.75, site.name
        for acquisition in site.acquisitions:
            image = read_image(acquisition)
            assert image.dtype == np.uint8
            # Never darkened towards the edge of the data: no valid pixel near 0.
            assert np.percentile(image[image > 0], 1) > 25, site.name


@pytest.mark.data
def test_real_reservoir_is_split_inside(data_dir: Path, tmp_path: Path) -> None:
    sites = example("boadella", data_dir, tmp_path)
    # Whatever the example shows the network: here all of 10 m, from signed 16-bit numbers.
    image = "image: {bands: [B04, B03, B02, B08], encoding: reflectance}"
    sites.write_text(re.sub(r"image: \{.*\}", image, sites.read_text()))
    dataset = build_dataset(sites, tmp_path / "out")
    (site,) = dataset.sites
    assert len(site.dates) == 10
    assert site.splits == ("train", "test")
    labels = read_labels(site)
    water = {split: int((labels[site.windows(split)[0].slices] == 1).sum()) for split in site.splits}
    # As the comment in the example says.
    assert water == {"train": 10_809, "test": 7_271}
    for acquisition in site.acquisitions:
        pixels = read_image(acquisition)
        assert (pixels.dtype, len(pixels)) == (np.uint16, 4)
        assert (pixels > 0).any(axis=0).mean() > 0.98


def test_splits_that_overlap_on_the_ground_are_told(dataset: Dataset) -> None:
    first = dataset.sites[0]
    window, grid = first.regions[0].window, first.grid

    def site(name: str, split: SplitName, rows: int) -> Site:
        moved = grid.crop(window.shift(rows, 0))
        return replace(first, name=name, grid=moved, regions=(Region(split, moved.window),))

    here, beside = site("a", "train", 0), site("b", "test", window.height)
    assert told_overlaps([here, beside, site("c", "train", 1)]).startswith("b (test) and c (train) overlap")
    assert told_overlaps([here, beside]) == ""  # edge to edge
    assert told_overlaps([here, site("c", "train", 1)]) == ""  # the same split
