"""The controls, on numbers small enough to check by eye."""

import numpy as np
import pytest

from swath.models.fusion import FUSIONS


def series(*dates):
    """One pixel, two classes: (T, 2, 1, 1) from (background, road) pairs."""
    return np.array(dates, np.float32).reshape(len(dates), 2, 1, 1)


THREE = series((0.9, 0.2), (0.4, 0.7), (0.8, 0.3))
ALL = np.ones((3, 1, 1), bool)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean", (0.7, 0.4)),
        ("median", (0.8, 0.3)),
        ("vote", (2 / 3, 1 / 3)),
        ("max", (0.4, 0.7)),
    ],
)
def test_by_hand(name, expected):
    np.testing.assert_allclose(FUSIONS[name](THREE, ALL).ravel(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean", (0.85, 0.25)),
        ("median", (0.85, 0.25)),
        ("vote", (1.0, 0.0)),
        ("max", (0.8, 0.3)),
    ],
)
def test_dates_without_data_do_not_count(name, expected):
    valid = np.array([True, False, True]).reshape(3, 1, 1)
    np.testing.assert_allclose(FUSIONS[name](THREE, valid).ravel(), expected, atol=1e-6)


@pytest.mark.parametrize("name", FUSIONS)
def test_no_date_no_value(name):
    assert np.isnan(FUSIONS[name](THREE, ~ALL)).all()


@pytest.mark.parametrize("name", FUSIONS)
def test_one_date_keeps_its_decision(name):
    rng = np.random.default_rng(0)
    pmap = rng.random((1, 2, 20, 20), np.float32)
    fused = FUSIONS[name](pmap, np.ones((1, 20, 20), bool))
    assert (fused.argmax(axis=0) == pmap[0].argmax(axis=0)).all()


@pytest.mark.parametrize("name", ["mean", "median", "vote", "max"])
def test_equals_numpy_where_all_dates_are_valid(name):
    rng = np.random.default_rng(1)
    pmaps = rng.random((4, 2, 8, 8), np.float32)
    fused = FUSIONS[name](pmaps, np.ones((4, 8, 8), bool))
    expected = {
        "mean": pmaps.mean(axis=0)[1],
        "median": np.median(pmaps, axis=0)[1],
        "vote": (pmaps[:, 1] > pmaps[:, 0]).mean(axis=0),
        "max": pmaps[:, 1].max(axis=0),
    }[name]
    np.testing.assert_allclose(fused[1], expected, atol=1e-6)
