"""Labels, models and maps finer than the images, from the sites file to the report."""

import json

import numpy as np
import pytest
import rasterio

from support.tiny_training import TINY
from swath.audit.check import check_labels
from swath.cli import run as swath
from swath.dataset.build import build_dataset
from swath.dataset.catalog import read_dataset
from swath.dataset.site import read_coarse_labels, read_labels
from swath.errors import ModelError, SettingsError
from swath.grid import Grid, Window
from swath.mapping.update import update
from swath.maps.manifest import read_manifest
from swath.maps.maps import open_maps
from swath.maps.sitemaps import read_bytes, read_pmap
from swath.models.trained import load_model
from swath.training.start import Start
from swath.training.train import train
from swath.training.trainplan import TrainPlan


@pytest.fixture(scope="module")
def finer_dataset(tiny_world, tmp_path_factory):
    out = tmp_path_factory.mktemp("finer") / "dataset"
    assert swath(["build", str(tiny_world), "--out", str(out), "--finer", "2"]) == 0
    return read_dataset(out)


@pytest.fixture(scope="module")
def run_folder(finer_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finer") / "run"
    train(TrainPlan(finer_dataset, TINY), folder)
    return folder


@pytest.fixture(scope="module")
def maps_folder(finer_dataset, run_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("finer") / "maps"
    arguments = ["map", run_folder, "--dataset", finer_dataset.root, "--split", "all", "--out", out]
    assert swath([*map(str, arguments), "--tile", "48"]) == 0
    return out


def test_the_labels_lie_on_the_finer_grid(finer_dataset):
    site = finer_dataset.sites[0]
    assert (finer_dataset.finer, site.grid.resolution, site.map_grid.resolution) == (2, (10, 10), (5, 5))
    assert site.map_grid.bounds == site.grid.bounds
    with rasterio.open(site.labels) as labels:
        assert (labels.shape, labels.transform) == (site.map_grid.shape, site.map_grid.transform)
    coarse, fine = read_coarse_labels(site, site.grid.window), read_labels(site)
    assert ((coarse == 1) == (fine.reshape(96, 2, 96, 2) == 1).any(axis=(1, 3))).all()
    beyond = read_coarse_labels(site, Window(-1, -2, 3, 4))
    assert (beyond[0] == 255).all()
    np.testing.assert_array_equal(beyond[1:, 2:], coarse[:2, :2])


def test_a_model_maps_as_finely_as_its_labels(run_folder):
    model = load_model(run_folder)
    assert (model.spec.finer, model.fcn.finer, model.fcn.receptive_radius) == (2, 2, 93)


def test_the_maps_lie_on_the_labels_grid_and_the_composite_on_the_images(finer_dataset, maps_folder):
    for site in finer_dataset.sites:
        maps = open_maps(maps_folder)[site.name]
        assert (maps.finer, maps.grid) == (2, site.map_grid)
        assert maps.pmap().shape == (2, *site.map_grid.shape)
        assert maps.classes().shape == site.map_grid.shape
        manifest = read_manifest(maps.folder)
        assert (manifest.grid, manifest.finer) == (site.grid, 2)
        item = json.loads(maps.item_path.read_text())
        assert item["properties"]["proj:shape"] == list(site.map_grid.shape)
        composite = read_bytes(maps.composite_path)
        assert composite.shape == (3, *site.grid.shape)
        first, _ = read_pmap(maps.pmap_path(maps.dates[0]))
        mean = first[1].reshape(96, 2, 96, 2).mean(axis=(1, 3))
        np.testing.assert_allclose((composite[0] - 1.0) / 254, mean, atol=0.5 / 254 + 1e-6)


def test_the_parts_of_a_pixel_may_differ(maps_folder):
    pmap = next(iter(open_maps(maps_folder).values())).pmap()[1]
    assert (pmap[::2, ::2] != pmap[1::2, 1::2]).any()


def test_finer_maps_are_scored_against_finer_labels(finer_dataset, dataset, maps_folder, tmp_path, capsys):
    arguments = ["evaluate", maps_folder, "--dataset", finer_dataset.root, "--out", tmp_path / "report"]
    assert swath([*map(str, arguments), "--json"]) == 0
    rows = json.loads((tmp_path / "report/report.json").read_text())["rows"]
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    capsys.readouterr()
    arguments[3:] = [dataset.root, "--out", tmp_path / "other"]
    assert swath(list(map(str, arguments))) == 2
    assert "1 x 1 pixels to one of the image, the maps 2 x 2" in capsys.readouterr().err


def test_an_added_date_gives_the_maps_of_all_dates(finer_dataset, run_folder, tmp_path):
    site = finer_dataset.sites[0]
    paths = [str(a.path) for a in site.acquisitions]
    for name, given in (("all", paths), ("one", paths[:1])):
        arguments = ["map", str(run_folder), *given, "--out", str(tmp_path / name)]
        assert swath([*arguments, "--tile", "48", "--threshold", "0.4"]) == 0
    added = update(tmp_path / "one", paths[1]).only
    expected = open_maps(tmp_path / "all").only
    assert added.dates == expected.dates
    for path, other in ((added.fused_path, expected.fused_path), (added.classes_path, expected.classes_path)):
        np.testing.assert_array_equal(read_bytes(path), read_bytes(other))
    with rasterio.open(added.changes_path) as changes:
        assert changes.shape == site.map_grid.shape


def test_the_plan_counts_map_pixels(finer_dataset, run_folder, capsys):
    data = ["--dataset", str(finer_dataset.root), "--split", "test"]
    assert swath(["plan", str(run_folder), *data, "--tile", "48", "--json"]) == 0
    (site,) = json.loads(capsys.readouterr().out)["sites"]
    assert site["shape"] == [192, 192]


def test_the_labels_are_checked_in_image_pixels(dataset, finer_dataset):
    coarse, fine = check_labels(dataset), check_labels(finer_dataset)
    for one, other in zip(coarse, fine, strict=True):
        # The same vectors on the same images fit in the same places.
        np.testing.assert_array_equal(other.correlation, one.correlation)
        assert other.foreground_share < one.foreground_share  # 15 m, not 30 m


def test_a_run_on_other_labels_cannot_begin_with_these_weights(dataset, run_folder):
    with pytest.raises(SettingsError, match=r"has .* `finer: 1`, that run .* `finer: 2`; build"):
        TrainPlan(dataset, TINY, start=Start(load_model(run_folder))).check()


def test_what_cannot_map_so_finely_says_so(finer_dataset):
    import swath.lab.networks  # noqa: F401

    for name in ("segnet-convlstm", "feature-mean"):
        settings = TINY.model_copy(update={"model": name})
        with pytest.raises(ModelError, match="maps at most 1 x 1 pixels"):
            TrainPlan(finer_dataset, settings).check()


def test_a_line_lies_in_the_parts_of_pixels_that_it_runs_through(tmp_path, write_scene):
    """A road 5 m wide along y = 4,799,982.5: the fourth row of 5 m, the lower half of image row 1."""
    import geopandas
    import shapely

    grid = Grid.from_bounds((500_000, 4_799_900, 500_100, 4_800_000), "EPSG:32631")
    for day in (1, 2):
        image = np.full((3, *grid.shape), 99, np.uint8)
        image[:, 5:7] = 0  # two image rows without data
        write_scene(tmp_path / f"2020-06-0{day}.tif", image, grid, ["B04", "B03", "B02"])
    road = shapely.LineString([(499_000, 4_799_982.5), (501_000, 4_799_982.5)])
    frame = geopandas.GeoDataFrame({"highway": ["residential"]}, geometry=[road], crs=grid.crs)
    frame.to_file(tmp_path / "roads.gpkg")
    sites = tmp_path / "sites.yaml"
    sites.write_text(
        "finer: 2\nwidening: {method: width, width_m: 5, ring_px: 0}\n"
        "sites: {here: {scenes: [{path: '*.tif'}], labels: roads.gpkg, split: train, crs: 'EPSG:32631'}}\n"
    )
    labels = read_labels(build_dataset(sites, tmp_path / "dataset").sites[0])
    expected = np.zeros((20, 20), np.uint8)
    expected[3] = 1
    expected[10:14] = 255
    np.testing.assert_array_equal(labels, expected)
