"""The symmetries form the group they should, and a patch stays aligned with its label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.dataset.augment import BLACK_WHITE, SYMMETRIES, cloud_a_date, jitter, transform

symmetries = st.integers(0, SYMMETRIES - 1)


@given(symmetries, st.integers(1, 6), st.integers(1, 6))
def test_each_is_undone_by_another(symmetry, height, width):
    """Flips undo themselves, a turn needs the opposite turn."""
    array = np.arange(2 * height * width).reshape(2, height, width)
    back = transform(transform(array, symmetry), symmetry if symmetry >= 4 else -symmetry % 4)
    np.testing.assert_array_equal(back, array)


def test_the_eight_differ():
    array = np.arange(9).reshape(3, 3)
    assert len({transform(array, s).tobytes() for s in range(SYMMETRIES)}) == 8


def test_quarter_turn_and_flip_by_hand():
    array = np.array([[1, 2], [3, 4]])
    np.testing.assert_array_equal(transform(array, 1), [[2, 4], [1, 3]])
    np.testing.assert_array_equal(transform(array, 4), [[2, 1], [4, 3]])


@given(symmetries)
def test_images_and_label_stay_aligned(symmetry):
    """The same element on a (T, C, H, W) series and its (H, W) label moves the same pixels."""
    label = np.random.default_rng(0).integers(0, 9, (5, 7))
    series = np.stack([np.stack([label, label * 10])] * 3)
    turned = transform(series, symmetry)
    for date in turned:
        np.testing.assert_array_equal(date[0], transform(label, symmetry))
        np.testing.assert_array_equal(date[1], transform(label, symmetry) * 10)


def test_jitter_is_affine_and_keeps_no_data():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(3, 4, 8, 8)).astype(np.float32)
    valid = rng.random((3, 8, 8)) > 0.3
    image *= valid[:, None]
    changed = jitter(image, valid, 0.2, np.random.default_rng(1))
    assert changed.dtype == np.float32
    assert not changed[~np.broadcast_to(valid[:, None], image.shape)].any()
    gains = set()
    for before, after, use in zip(
        image.reshape(12, 8, 8), changed.reshape(12, 8, 8), np.repeat(valid, 4, axis=0), strict=True
    ):
        gain, offset = np.polyfit(before[use], after[use], 1)
        np.testing.assert_allclose(before[use] * gain + offset, after[use], atol=1e-4)
        assert gain > 0
        gains.add(round(float(gain), 4))
    assert len(gains) == 12  # every band of every date has its own


def test_no_jitter_returns_the_image_itself():
    image = np.ones((1, 3, 4, 4), np.float32)
    same = jitter(image, np.ones((1, 4, 4), bool), 0.0, np.random.default_rng(0))
    assert same is image


@pytest.mark.parametrize("strength", [0.1, 0.4])
def test_jitter_has_the_strength_it_says(strength):
    """The offset's standard deviation is sqrt(1 + 1/4) of the strength (shared + own part)."""
    image = np.zeros((4000, 1, 1, 1), np.float32)
    changed = jitter(image, np.ones((4000, 1, 1), bool), strength, np.random.default_rng(0))
    assert changed.std() == pytest.approx(strength * 1.25**0.5, rel=0.05)


def series(dates=3, dtype=np.uint16):
    top = 200 if dtype == np.uint8 else 3000
    images = np.random.default_rng(0).integers(1, top, (dates, 4, 64, 48)).astype(dtype)
    images[:, :, :8] = 0
    return images


@pytest.mark.parametrize("encoding", ["tci", "dos", "standardised"])
@given(seed=st.integers(0, 200))
def test_a_cloud_hides_a_part_of_one_date(encoding, seed):
    dtype = np.uint8 if encoding == "tci" else np.uint16
    black, white = BLACK_WHITE[encoding]
    images = series(dtype=dtype)
    if encoding == "standardised":
        images = np.where(images > 0, images + np.uint16(black), 0).astype(dtype)
    clouded = cloud_a_date(images, encoding, 1.0, np.random.default_rng(seed))
    assert clouded.dtype == dtype
    np.testing.assert_array_equal(clouded == 0, images == 0)
    changed = [not np.array_equal(a, b) for a, b in zip(clouded, images, strict=True)]
    assert sum(changed) == 1
    # Neither brighter than cloud nor, in the shadow, darker than a third of the light.
    (date,) = np.flatnonzero(changed)
    known = images[date] > 0
    assert clouded.max() <= white
    least = np.floor(black + (images[date] - black) * 0.35)
    assert (clouded[date] >= least)[known].all()


def test_clouds_fall_on_the_share_that_was_asked_for():
    images = series()
    rng = np.random.default_rng(1)
    count = sum(cloud_a_date(images, "dos", 0.3, rng) is not images for _ in range(400))
    assert 90 <= count <= 150  # binomial(400, 0.3): 120 +- 9


def test_a_single_date_is_never_clouded():
    images = series(dates=1)
    assert cloud_a_date(images, "dos", 1.0, np.random.default_rng(0)) is images
