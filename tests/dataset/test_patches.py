"""Patches as read: aligned, confined to their region, scaled; on a really built dataset."""

from dataclasses import replace

import numpy as np
import pytest

from swath.dataset.augment import transform
from swath.dataset.build import build_dataset
from swath.dataset.index import Patch
from swath.dataset.patches import PatchDataset, measure_scaling, survey_split
from swath.dataset.site import Region, read_image, read_labels
from swath.errors import DatasetError
from swath.grid import Window
from swath.scaling import Scaling

IDENTITY = Scaling(offset=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0))


def turned_back(array, symmetry):
    """Flips undo themselves, a turn needs the opposite turn."""
    return transform(array, symmetry if symmetry >= 4 else -symmetry % 4)


@pytest.fixture(scope="module")
def dataset(tiny_world, tmp_path_factory):
    return build_dataset(tiny_world, tmp_path_factory.mktemp("patches") / "dataset")


@pytest.fixture(scope="module")
def finer(tiny_world, tmp_path_factory):
    return build_dataset(tiny_world, tmp_path_factory.mktemp("patches") / "finer", finer=2)


def read(dataset, patch, **options):
    sample = PatchDataset(dataset, [patch], IDENTITY, **options)[0]
    return sample["image"].numpy(), sample["valid"].numpy(), sample["label"].numpy()


@pytest.mark.parametrize("symmetry", range(8))
def test_a_patch_is_its_window_turned(dataset, symmetry):
    site = dataset.sites[0]
    window = Window(10, 20, 32, 32)
    image, valid, label = read(dataset, Patch(site.name, window, site.grid.window, (0, 1), symmetry))
    back = turned_back(image, symmetry)
    for date in (0, 1):
        np.testing.assert_array_equal(back[date], read_image(site.acquisitions[date], window))
    np.testing.assert_array_equal(turned_back(label, symmetry), read_labels(site, window))
    assert valid.all()


@pytest.mark.parametrize("symmetry", range(8))
def test_finer_labels_are_turned_with_their_image(finer, symmetry):
    site = finer.sites[0]
    window = Window(10, 20, 32, 24)
    image, _, label = read(finer, Patch(site.name, window, Window(0, 0, 40, 96), (0,), symmetry))
    back = turned_back(label, symmetry)
    inside = Window(10, 20, 30, 24)
    np.testing.assert_array_equal(back[:60], read_labels(site, inside.finer(2)))
    assert (back[60:] == 255).all()  # beyond the region, as in the image
    shown = turned_back(image[0], symmetry)
    np.testing.assert_array_equal(shown[:, :30], read_image(site.acquisitions[0], inside))
    assert not shown[:, 30:].any()


def test_patches_of_finer_labels_are_drawn_in_image_pixels(dataset, finer):
    """Cells of the coarse labels: their centres lie in the image, their roads where the others do."""
    (coarse,), (fine,) = (survey_split(d, "train") for d in (dataset, finer))
    np.testing.assert_array_equal(coarse.labelled, fine.labelled)
    assert coarse.pixels == fine.pixels
    centres = {tuple(cell) for cell in np.concatenate(coarse.foreground)}
    assert {tuple(cell) for cell in np.concatenate(fine.foreground)} <= centres  # narrower lines


def test_nothing_outside_the_region_is_seen(dataset):
    """A patch that hangs over its region shows no data and ignore there: no test pixel leaks."""
    site = dataset.sites[0]
    region = Window(0, 0, 96, 40)
    image, valid, label = read(dataset, Patch(site.name, Window(0, 8, 64, 64), region, (0,), 0))
    inside = slice(0, 32)
    np.testing.assert_array_equal(
        image[0, :, :, inside], read_image(site.acquisitions[0], Window(0, 8, 64, 32))
    )
    assert not image[..., 32:].any()
    assert not valid[..., 32:].any()
    assert (label[:, 32:] == 255).all()
    assert (label[:, inside] != 255).any()


def test_train_patches_never_touch_test_pixels(dataset):
    """Regions of one site: every pixel that training patches show lies in the training region."""
    from swath.dataset.index import plan_patches

    site = dataset.sites[0]
    regions = (Region("train", Window(0, 0, 96, 30)), Region("test", Window(0, 60, 96, 36)))
    split = replace(dataset, sites=(replace(site, regions=regions),))
    patches = plan_patches(survey_split(split, "train"), 40, 48, 1, 0.5, np.random.default_rng(0))
    for patch, sample in zip(patches, PatchDataset(split, patches, IDENTITY), strict=False):
        valid = turned_back(sample["valid"].numpy()[0], patch.symmetry)
        cols = np.flatnonzero(valid.any(axis=0)) + patch.window.col
        assert cols.max() < 30
        assert not set(cols) & set(range(60, 96))


def test_scaling_is_mean_and_deviation_of_the_training_pixels(dataset):
    site = dataset.in_split("train")[0]
    values = np.concatenate([read_image(a).reshape(3, -1).astype(float) for a in site.acquisitions], axis=1)
    scaling = measure_scaling(dataset)
    np.testing.assert_allclose(scaling.offset, values.mean(axis=1))
    np.testing.assert_allclose(scaling.scale, values.std(axis=1))


def test_jitter_depends_on_seed_and_number_only(dataset):
    site = dataset.sites[0]
    patch = Patch(site.name, Window(0, 0, 32, 32), site.grid.window, (0, 1), 0)
    first = read(dataset, patch, jitter_strength=0.2, seed=(1, 2))[0]
    np.testing.assert_array_equal(first, read(dataset, patch, jitter_strength=0.2, seed=(1, 2))[0])
    assert (first != read(dataset, patch, jitter_strength=0.2, seed=(1, 3))[0]).any()


def test_a_split_without_sites_is_one_clear_error(dataset):
    empty = dataset.resplit(validation=[], test=[])
    with pytest.raises(DatasetError, match="no site in split 'test'"):
        survey_split(empty, "test")


def test_clouds_hide_what_no_mask_tells(dataset):
    site = dataset.sites[0]
    patch = Patch(site.name, Window(0, 0, 32, 32), site.grid.window, (0, 1), 0)
    clear, valid, _ = read(dataset, patch)
    clouded, as_valid, _ = read(dataset, patch, clouds=1.0)
    np.testing.assert_array_equal(as_valid, valid)
    assert sum(not np.array_equal(a, b) for a, b in zip(clear, clouded, strict=True)) == 1


def test_optional_bands_are_left_out_of_some_dates(dataset):
    image = dataset.image.model_copy(update={"optional": dataset.image.bands[2:]})
    lacking = replace(dataset, image=image)
    site = dataset.sites[0]
    patches = [Patch(site.name, Window(0, 0, 32, 32), site.grid.window, (0, 1), 0)] * 100
    shown = [s["image"] for s in PatchDataset(lacking, patches, IDENTITY, 0.1, missing=0.3)]
    without = np.mean([[not date[2].any() for date in series] for series in shown])
    assert 0.15 < without < 0.45
    assert all(date[:2].any() for series in shown for date in series)
