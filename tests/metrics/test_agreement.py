"""Scores of maps of many classes against matrices that were worked by hand or published."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import cohen_kappa_score, f1_score, jaccard_score

from swath.metrics.agreement import block_matrices, class_scores, map_scores, stratified_areas
from swath.metrics.histogram import plan_blocks

# Three classes, 20 labelled pixels: rows are labels, columns the map.
HAND = np.array([[6, 2, 0], [1, 7, 0], [1, 1, 2]])

# Olofsson et al. 2014, section 5: deforestation, forest gain, stable forest, stable non-forest. There
# a row is a class of the map; here one of the labels.
OLOFSSON = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]).T
OLOFSSON_PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])


def test_a_matrix_worked_by_hand() -> None:
    whole, each = map_scores(HAND), class_scores(HAND)
    np.testing.assert_allclose(each["users_accuracy"], [6 / 8, 7 / 10, 2 / 2])
    np.testing.assert_allclose(each["producers_accuracy"], [6 / 8, 7 / 8, 2 / 4])
    np.testing.assert_allclose(each["iou"], [6 / 10, 7 / 11, 2 / 4])
    np.testing.assert_allclose(each["f1"], [12 / 16, 14 / 18, 4 / 6])
    assert whole["accuracy"] == pytest.approx(15 / 20)
    assert whole["mean_iou"] == pytest.approx((6 / 10 + 7 / 11 + 2 / 4) / 3)
    assert whole["mean_f1"] == pytest.approx((12 / 16 + 14 / 18 + 4 / 6) / 3)
    # Chance: (8 x 8 + 8 x 10 + 4 x 2) / 400 = 0.38.
    assert whole["kappa"] == pytest.approx((0.75 - 0.38) / 0.62)


def test_a_class_that_the_labels_lack_is_in_no_mean() -> None:
    counts = np.array([[5, 0, 1], [0, 4, 0], [0, 0, 0]])
    assert class_scores(counts)["iou"][2] == 0
    assert map_scores(counts)["mean_iou"] == pytest.approx((5 / 6 + 1) / 2)
    assert np.isnan(class_scores(counts)["producers_accuracy"][2])
    assert all(np.isnan(value) for value in map_scores(np.zeros((3, 3))).values())
    assert map_scores(np.array([[9, 0], [0, 0]]))["kappa"] == 0


@given(arrays(np.uint8, (2, 40), elements=st.integers(0, 3)))
def test_scores_agree_with_scikit_learn(both: np.ndarray) -> None:  # type: ignore[type-arg]
    labels, mapped = both
    matrix = np.bincount(labels * 4 + mapped, minlength=16).reshape(4, 4)
    present = sorted(set(labels.tolist()))
    whole = map_scores(matrix)
    options = {"labels": present, "average": "macro", "zero_division": 0}
    assert whole["mean_iou"] == pytest.approx(jaccard_score(labels, mapped, **options))
    assert whole["mean_f1"] == pytest.approx(f1_score(labels, mapped, **options))
    if len(set(both.ravel().tolist())) > 1:
        assert whole["kappa"] == pytest.approx(cohen_kappa_score(labels, mapped), abs=1e-12)


def test_areas_are_those_of_the_published_example() -> None:
    areas = stratified_areas(OLOFSSON, OLOFSSON_PIXELS)
    # 21,158 ha of deforestation, give or take 6,158 ha, at 0.09 ha a pixel.
    assert areas.pixels[0] * 0.09 == pytest.approx(21_158, abs=1)
    low, high = areas.bounds
    assert (high - low)[0] / 2 * 0.09 == pytest.approx(6_158, abs=1)
    assert areas.pixels.sum() == pytest.approx(10_000_000)


def test_areas_of_a_perfect_map_are_its_own_and_unknown_ones_are_not_told() -> None:
    mapped = np.array([100, 50, 0])
    areas = stratified_areas(np.diag([10, 5, 0]), mapped)
    np.testing.assert_array_equal(areas.pixels, mapped)
    np.testing.assert_array_equal(areas.error, 0)
    assert np.isnan(stratified_areas(np.diag([10, 5, 0]), np.array([100, 50, 1])).pixels).all()
    single = stratified_areas(np.diag([10, 1, 0]), mapped)
    np.testing.assert_array_equal(single.pixels, mapped)
    assert np.isnan(single.error).all()


def test_blocks_count_their_own_pixels() -> None:
    generator = np.random.default_rng(0)
    labels, mapped = generator.integers(0, 3, (2, 70, 90)).astype(np.uint8)
    scored = generator.random((70, 90)) < 0.5
    scored[:32, 32:64] = False  # a block without a pixel
    blocks = plan_blocks(scored, 32)
    counts = block_matrices(labels, mapped, scored, blocks, 3)
    assert counts.shape == (8, 3, 3)
    part = scored[:32, :32]
    plain = np.bincount((labels[:32, :32] * 3 + mapped[:32, :32])[part], minlength=9).reshape(3, 3)
    np.testing.assert_array_equal(counts[0], plain)
    assert counts.sum() == scored.sum()
