import numpy as np
import pytest
from pydantic import ValidationError

from swath.scaling import Scaling


def test_scales_each_band_by_its_own_numbers() -> None:
    scaling = Scaling(offset=(100.0, 10.0), scale=(50.0, 2.0))
    image = np.array([[[150, 100]], [[10, 16]]], np.uint16)
    assert scaling.apply(image).tolist() == [[[1.0, 0.0]], [[0.0, 3.0]]]
    assert scaling.apply(image).dtype == np.float32


def test_no_data_becomes_zero_in_every_band() -> None:
    scaling = Scaling(offset=(100.0, 10.0), scale=(50.0, 2.0))
    image = np.array([[[0, 0]], [[0, 12]]], np.uint16)
    # The second pixel has data in its second band alone: a measurement is at least 1.
    assert scaling.apply(image).tolist() == [[[0.0, 0.0]], [[0.0, 1.0]]]


def test_leading_axes_are_kept() -> None:
    scaling = Scaling(offset=(1.0,), scale=(2.0,))
    assert scaling.apply(np.ones((4, 3, 1, 5, 6), np.uint8)).shape == (4, 3, 1, 5, 6)


def test_from_moments_gives_mean_0_and_deviation_1() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(1, 4000, (2, 30, 40)).astype(np.uint16)
    flat = image.reshape(2, -1).astype(np.float64)
    scaling = Scaling.from_moments(np.full(2, flat.shape[1]), flat.sum(1), (flat**2).sum(1))
    scaled = scaling.apply(image)
    np.testing.assert_allclose(scaled.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std((1, 2)), 1, atol=1e-5)


def test_from_moments_survives_a_constant_band() -> None:
    scaling = Scaling.from_moments(np.array([4.0]), np.array([20.0]), np.array([100.0]))
    assert scaling.apply(np.full((1, 2, 2), 5, np.uint8)).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


def test_round_trips_through_json_and_cannot_be_changed() -> None:
    scaling = Scaling(offset=(1.5,), scale=(2.0,))
    assert Scaling.model_validate_json(scaling.model_dump_json()) == scaling
    with pytest.raises(ValidationError):
        scaling.offset = (2.0,)  # type: ignore[misc]
