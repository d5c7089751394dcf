"""Datasets from class codes: a raster in degrees and sparse points, through build, check and training."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine
from pyproj import Transformer
from shapely import Point

from support.tiny_training import TINY
from swath.audit.check import check_labels
from swath.dataset.build import build_dataset
from swath.dataset.site import Dataset, read_labels
from swath.errors import SettingsError
from swath.evaluation.truth import truth_of_site
from swath.legend import IGNORE
from swath.training.train import train
from swath.training.trainplan import TrainPlan

KINDS = """
legend: landcover
columns: [kind]
classes: {forest: [wood], water: [lake], other: [yard], ignore: [unknown]}
"""


def rebuilt(world: Path, folder: Path, labels: dict[str, object], **more: object) -> Dataset:
    """The sites of a world with other labels and the legend `landcover`."""
    content = yaml.safe_load(world.read_text("utf-8")) | {"legend": "landcover"}
    for name, site in content["sites"].items():
        site["labels"] = {key: str(value).format(name) for key, value in labels.items()}
        site["scenes"] = [{"path": str(world.parent / name / "*.tif")}]
        site |= more
    path = folder / "sites.yaml"
    path.write_text(yaml.safe_dump(content), "utf-8")
    return build_dataset(path, folder / "dataset")


@pytest.fixture(scope="module")
def of_points(dataset: Dataset, tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Sixty points a site, each a pixel."""
    folder = tmp_path_factory.mktemp("points")
    (folder / "kinds.yaml").write_text(KINDS)
    generator = np.random.default_rng(0)
    for site in dataset.sites:
        left, bottom, right, top = site.grid.bounds
        points = [Point(*xy) for xy in generator.uniform((left, bottom), (right, top), (60, 2))]
        kinds = generator.choice(["wood", "lake", "yard", "unknown"], 60)
        frame = gpd.GeoDataFrame({"kind": kinds}, geometry=points, crs=site.grid.crs)
        frame.to_file(folder / f"{site.name}.gpkg")
    return rebuilt(tiny_world, folder, {"path": "{}.gpkg", "crosswalk": "kinds.yaml"})


def test_points_are_labels_and_all_else_is_ignored(of_points: Dataset) -> None:
    site = of_points.sites[0]
    labels = read_labels(site)
    points = gpd.read_file(of_points.root.parent / f"{site.name}.gpkg")
    ids = {name: number for number, name in enumerate(of_points.legend.names)}
    expected = {"wood": ids["forest"], "lake": ids["water"], "yard": ids["other"], "unknown": IGNORE}
    left, _, _, top = site.grid.bounds
    for kind, point in zip(points["kind"], points.geometry, strict=True):
        row, col = int((top - point.y) // 10), int((point.x - left) // 10)
        alike = points.geometry.apply(
            lambda p, row=row, col=col: (top - p.y) // 10 == row and (p.x - left) // 10 == col
        )
        if alike.sum() == 1:
            assert labels[row, col] == expected[kind]
    assert (labels != IGNORE).sum() <= (points["kind"] != "unknown").sum()


def test_sparse_labels_are_checked_and_trained_on(of_points: Dataset, tmp_path: Path) -> None:
    checks = check_labels(of_points)
    assert all(check.ignore_share > 0.9 for check in checks)
    model = train(TrainPlan(of_points, TINY, seed=1), tmp_path / "run")
    scores = model.spec.scores["rnn"]
    assert scores["loss"] is not None
    site = of_points.in_split("test")[0]
    truth = truth_of_site(site, of_points, {}, "maps")
    assert set(np.unique(truth.read_labels())) <= {0, 2, 3, IGNORE}


def test_a_class_raster_becomes_labels_and_moves_with_them(
    dataset: Dataset, tiny_world: Path, tmp_path: Path
) -> None:
    for site in dataset.sites:
        west, south, east, north = site.grid.lonlat_bounds
        size = 1e-4
        rows, cols = round((north - south) / size) + 20, round((east - west) / size) + 20
        values = np.random.default_rng(1).choice(np.array([10, 40, 80, 50], np.uint8), (rows, cols))
        transform = Affine(size, 0, west - 10 * size, 0, -size, north + 10 * size)
        with rasterio.open(
            tmp_path / f"{site.name}.tif",
            "w",
            driver="GTiff",
            count=1,
            dtype="uint8",
            nodata=0,
            crs="EPSG:4326",
            transform=transform,
            height=rows,
            width=cols,
        ) as file:
            file.write(values, 1)
    built = rebuilt(tiny_world, tmp_path, {"path": "{}.tif", "crosswalk": "worldcover"}, shift_m=[30, -20])
    site = built.sites[0]
    assert site.roads is None
    assert "WorldCover" in built.attribution
    labels = read_labels(site)
    with rasterio.open(tmp_path / f"{site.name}.tif") as file:
        values, there = file.read(1), file.transform
    # What lies 30 m west and 20 m north of a pixel has come to it.
    x, y = site.grid.transform @ (40.5 - 3, 30.5 - 2)
    lonlat = Transformer.from_crs(site.grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    col, row = ~there @ lonlat
    names = built.legend.names
    expected = {
        10: names.index("forest"),
        40: names.index("low_vegetation"),
        80: names.index("water"),
        50: IGNORE,
    }
    assert labels[30, 40] == expected[values[int(row), int(col)]]
    assert {*np.unique(labels)} == set(expected.values())
    assert len(check_labels(built)) == 3


def test_a_crosswalk_of_another_legend_is_refused_before_anything_is_read(
    tiny_world: Path, tmp_path: Path
) -> None:
    content = yaml.safe_load(tiny_world.read_text("utf-8"))
    for name, site in content["sites"].items():
        site["labels"] = {"path": f"{name}/roads.geojson", "crosswalk": "corine"}
    path = tiny_world.with_name("coded.yaml")
    path.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(SettingsError, match="is for the legend 'landcover'"):
        build_dataset(path, tmp_path / "dataset")
    path.unlink()
