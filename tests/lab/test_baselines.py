"""Classical classifiers of pixels: what they learn, how they are corrected, what they map."""

from pathlib import Path

import numpy as np
import pystac
import pytest
from scipy.stats import multivariate_normal

from swath.dataset.patches import measure_scaling
from swath.dataset.site import Dataset, read_image, read_labels
from swath.errors import DatasetError, ModelError
from swath.lab.baselines.classify import PixelModel, _prior, fit, map_pixels
from swath.lab.baselines.methods import METHODS
from swath.lab.baselines.sample import PixelSample, draw_sample, stack_dates
from swath.lab.baselines.settings import PixelSettings
from swath.legend import read_legend
from swath.mapping.sources import site_series
from swath.maps.sitemaps import read_maps, read_pmap
from swath.scaling import Scaling


def gaussians(number: int, road_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two bands on two dates, all of deviation 1; roads lie 1.5 higher in each: 3 apart."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(number) < road_share).astype(np.uint8)
    rows = rng.standard_normal((number, 4)) + 1.5 * labels[:, None]
    return rows.astype(np.float32), labels


def fitted(method: str, share: float) -> PixelModel:
    """A classifier that was shown as many roads as background, where roads are `share`."""
    rows, labels = gaussians(2000, 0.5, seed=0)
    sample = PixelSample(rows, labels, np.array([1 - share, share]))
    classifier = METHODS[method](0)  # type: ignore[index]
    classifier.fit(rows, labels)
    return PixelModel(
        PixelSettings(method=method),  # type: ignore[arg-type]
        2,
        Scaling(offset=(0.0, 0.0), scale=(1.0, 1.0)),
        read_legend("roads"),
        {},
        "",
        classifier,
        _prior(sample, classifier.classes_),
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_comes_near_the_best_possible(method: str) -> None:
    """Bayes' error of two Gaussians 3 deviations apart with equal priors is 6.7 %."""
    model = fitted(method, 0.5)
    rows, labels = gaussians(2500, 0.5, seed=1)
    pmap = model.predict(rows.T.reshape(2, 2, 50, 50))
    assert pmap.shape == (2, 50, 50)
    np.testing.assert_allclose(pmap.sum(axis=0), 1, atol=1e-5)
    wrong = (pmap.argmax(axis=0).ravel() != labels).mean()
    assert 0.05 < wrong < 0.09


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_know_how_rare_roads_are(method: str) -> None:
    """Fitted on halves, mapping where one pixel in ten is road: their mean must say a tenth."""
    model = fitted(method, 0.1)
    rows, _ = gaussians(10_000, 0.1, seed=2)
    said = model.predict(rows.T.reshape(2, 2, 100, 100))[1].mean()
    assert said == pytest.approx(0.1, abs=0.02)


def test_maximum_likelihood_is_the_gaussian_formula() -> None:
    rows, labels = gaussians(2000, 0.5, seed=0)
    model = fitted("maximum-likelihood", 0.5)
    images = gaussians(100, 0.5, seed=3)[0].T.reshape(2, 2, 10, 10)
    # Priors cancel: the sample's are divided out, and both classes are as frequent.
    zero, one = (
        multivariate_normal(rows[labels == c].mean(axis=0), np.cov(rows[labels == c].T)).pdf(
            stack_dates(images)
        )
        for c in (0, 1)
    )
    np.testing.assert_allclose(model.predict(images)[1].ravel(), one / (zero + one), atol=2e-3)


def test_a_row_is_a_pixel_of_all_dates() -> None:
    images = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    rows = stack_dates(images)
    assert rows.shape == (20, 6)
    assert rows[7].tolist() == images[:, :, 1, 2].ravel().tolist()


def test_the_sample_is_balanced_repeatable_and_of_training_pixels(dataset: Dataset) -> None:
    scaling = measure_scaling(dataset)
    sample = draw_sample(dataset, scaling, 2, 200, seed=0)
    assert np.bincount(sample.labels).tolist() == [200, 200]
    site = dataset.site("sim_train")
    labels = read_labels(site)
    assert sample.share[1] == pytest.approx((labels[labels != 255] == 1).mean())
    images = np.stack([read_image(a) for a in site.acquisitions])
    known = {row.tobytes() for row in stack_dates(scaling.apply(images))}
    assert all(row.tobytes() in known for row in sample.features)
    again = draw_sample(dataset, scaling, 2, 200, seed=0)
    assert np.array_equal(again.features, sample.features)
    # All of a class that has fewer than were asked for, each once.
    everything = draw_sample(dataset, scaling, 2, 10**6, seed=1)
    assert len(everything.labels) == (labels != 255).sum()


def test_no_training_site_is_told(dataset: Dataset) -> None:
    scaling = measure_scaling(dataset)
    held_out = dataset.resplit(["sim_train", "sim_validation", "sim_test"], [])
    with pytest.raises(DatasetError, match="a classifier needs two"):
        draw_sample(held_out, scaling, 2, 9, 0)


def test_the_maps_are_those_of_the_contract(dataset: Dataset, tmp_path: Path) -> None:
    model = fit(dataset, PixelSettings(method="logistic-regression", pixels=500), 2, seed=0)
    site = dataset.site("sim_test")
    map_pixels(model, site_series(site, dataset, 2, ()), tmp_path)
    (maps,) = read_maps(tmp_path)
    assert (maps.model, maps.fusion, maps.threshold) == ("logistic-regression", "series", 0.5)
    images = np.stack([read_image(a) for a in site.acquisitions])
    scaled = model.scaling.apply(images)
    fused, valid = read_pmap(maps.fused_path)
    assert valid.all()
    np.testing.assert_allclose(fused, model.predict(scaled), atol=0.5 / 254 + 1e-6)
    one, _ = read_pmap(maps.pmap_path(maps.dates[1]))
    repeated = model.predict(np.stack([scaled[1], scaled[1]]))
    np.testing.assert_allclose(one, repeated, atol=0.5 / 254 + 1e-6)
    item = pystac.Item.from_file(str(maps.item_path))
    assert {path.name for path in maps.raster_paths} <= set(item.assets)
    with pytest.raises(ModelError, match="was fitted on 2 dates"):
        map_pixels(model, site_series(site, dataset, 1, ()), tmp_path / "one")
