"""A user's mask: what it hides is no data, and ignored where no date is left."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from scipy import ndimage

from conftest import SceneWriter
from support.label_worlds import GRID, SIDE, UTM, write_label_world
from swath.dataset.build import build_dataset
from swath.dataset.site import read_image, read_labels
from swath.errors import InputError
from swath.grid import Grid
from swath.labels.burn import burn_mask
from swath.legend import IGNORE


def test_masked_pixels_become_no_data_and_are_ignored_where_no_date_is_left(
    tmp_path: Path, write_scene: SceneWriter
) -> None:
    sites = write_label_world(
        tmp_path / "in",
        write_scene,
        scenes=[{"path": "2020-*.tif", "mask": "masks/{date}.tif"}],
    )
    for date, rows, value in (("2020-03-01", slice(0, 100), 1), ("2020-08-01", slice(50, 150), 9)):
        cloud = np.zeros((1, SIDE, SIDE), np.uint8)
        cloud[0, rows, :40] = value
        write_scene(tmp_path / "in" / "masks" / f"{date}.tif", cloud, GRID, nodata=None)
    dataset = build_dataset(sites, tmp_path / "out")
    first, second = (read_image(a) for a in dataset.sites[0].acquisitions)
    assert (first[:, :100, :40] == 0).all()
    assert (second[:, 50:150, :40] == 0).all()
    assert (first[:, 100:] > 0).all()
    assert (second[:, :50] > 0).all()
    labels = read_labels(dataset.sites[0])
    assert (labels[50:100, :40] == IGNORE).all()
    assert (labels != IGNORE).sum() == SIDE * SIDE - 50 * 40


def test_a_coarse_mask_in_another_system_masks_all_that_it_touches(
    tmp_path: Path, write_scene: SceneWriter
) -> None:
    west, south, east, north = GRID.lonlat_bounds
    step = 0.004  # 0.3 to 0.4 km
    shape = (int((north - south) / step) + 2, int((east - west) / step) + 2)
    coarse = Grid("EPSG:4326", Affine(step, 0, west, 0, -step, north), shape)
    cloud = np.zeros((1, *shape), np.float32)
    cloud[0, 2, 3] = np.nan  # not 0: not to be used
    write_scene(tmp_path / "in" / "cloud.tif", cloud, coarse, nodata=None)
    sites = write_label_world(
        tmp_path / "in", write_scene, scenes=[{"path": "2020-03-01.tif", "mask": "cloud.tif"}]
    )
    dataset = build_dataset(sites, tmp_path / "out")
    hidden = (read_image(dataset.sites[0].acquisitions[0]) == 0).all(axis=0)
    left, top = west + 3 * step, north - 2 * step
    cell = geopandas.GeoSeries([shapely.box(left, top - step, left + step, top)], crs="EPSG:4326")
    inside = burn_mask(cell.to_crs(UTM), GRID)
    assert inside.sum() > 500
    assert hidden[inside].all()
    assert not (hidden & ~ndimage.binary_dilation(inside, iterations=2)).any()


def test_a_mask_that_is_missing_or_elsewhere_is_one_clear_error(
    tmp_path: Path, write_scene: SceneWriter
) -> None:
    sites = write_label_world(
        tmp_path / "in", write_scene, scenes=[{"path": "2020-03-01.tif", "mask": "cloud.tif"}]
    )
    with pytest.raises(InputError, match=r"cloud\.tif: no such file"):
        build_dataset(sites, tmp_path / "out")
    away = Grid(UTM, Affine(10, 0, 100_000, 0, -10, 1_000_000), (8, 8))
    write_scene(tmp_path / "in" / "cloud.tif", np.zeros((1, 8, 8), np.uint8), away, nodata=None)
    with pytest.raises(InputError, match="does not overlap"):
        build_dataset(sites, tmp_path / "out")
    (tmp_path / "in" / "cloud.tif").unlink()
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open(
            tmp_path / "in" / "cloud.tif",
            "w",
            driver="GTiff",
            count=1,
            dtype="uint8",
            width=8,
            height=8,
        ) as target,
    ):
        target.write(np.zeros((1, 8, 8), np.uint8))
    with pytest.raises(InputError, match="no coordinate system"):
        build_dataset(sites, tmp_path / "out")
    assert not (tmp_path / "out").exists()
