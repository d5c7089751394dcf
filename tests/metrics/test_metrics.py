"""Scores against numbers worked by hand, scikit-learn, and plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.morphology import skeletonize
from sklearn import metrics as sklearn_metrics

from swath.evaluation.evidence import count_evidence
from swath.grid import refine
from swath.metrics.bootstrap import block_weights, interval, resample
from swath.metrics.histogram import (
    BINS,
    HALF,
    block_histogram,
    class_score,
    confusion,
    plan_blocks,
    score_bins,
    selected,
)
from swath.metrics.scores import (
    average_precision,
    best_edge,
    calibration_curve,
    calibration_error,
    matrix_scores,
)
from swath.metrics.tolerance import DISTANCES, centre_line, match_counts, near, tolerant_f1


def _scores(*matrix: float) -> dict[str, float]:
    return {name: float(v) for name, v in matrix_scores(np.array(matrix)).items()}


def _counts(score: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(2, `BINS`) pixels of a row of scores."""
    scored = np.ones((1, len(score)), bool)
    blocks = plan_blocks(scored, len(score))
    return block_histogram(score_bins(score)[None], truth[None], scored, blocks)[0]


def test_scores_of_a_confusion_matrix_by_hand() -> None:
    # TN 50, FP 10, FN 15, TP 25.
    scores = _scores(50, 10, 15, 25)
    assert scores["accuracy"] == pytest.approx(0.75)
    assert scores["iou"] == pytest.approx(25 / 50)
    assert scores["f1"] == pytest.approx(50 / 75)
    assert scores["precision"] == pytest.approx(25 / 35)
    assert scores["recall"] == pytest.approx(25 / 40)
    # (25 * 50 - 10 * 15) / sqrt(35 * 40 * 60 * 65) = 1100 / 2336.66...
    assert scores["mcc"] == pytest.approx(1100 / math.sqrt(35 * 40 * 60 * 65))


def test_scores_of_the_empty_map() -> None:
    nothing_mapped = _scores(90, 0, 10, 0)
    assert nothing_mapped["accuracy"] == 0.9
    assert nothing_mapped["iou"] == 0.0
    assert nothing_mapped["f1"] == 0.0
    assert nothing_mapped["recall"] == 0.0
    assert np.isnan(nothing_mapped["precision"])
    assert nothing_mapped["mcc"] == 0.0
    no_pixel = _scores(0, 0, 0, 0)
    assert np.isnan(no_pixel["mcc"])
    assert np.isnan(no_pixel["accuracy"])


@given(arrays(np.int64, 4, elements=st.integers(0, 10**9)))
def test_scores_agree_with_each_other(matrix: np.ndarray) -> None:
    scores = _scores(*matrix.astype(np.float64))
    if matrix[1:].sum() == 0:
        assert np.isnan(scores["iou"])
        return
    overlap = scores["iou"]
    assert 0 <= overlap <= 1
    assert scores["f1"] == pytest.approx(2 * overlap / (1 + overlap))
    assert -1 - 1e-9 <= scores["mcc"] <= 1 + 1e-9


def test_half_is_the_larger_probability_and_ties_are_background() -> None:
    codes = np.arange(255, dtype=np.float32) / np.float32(254)
    background, road = (grid.ravel() for grid in np.meshgrid(codes, codes))
    pmap = np.stack([background, road])[:, None]
    predicted = selected(score_bins(class_score(pmap, 1)), HALF)
    np.testing.assert_array_equal(predicted[0], road > background)


def test_score_bins_at_their_edges() -> None:
    score = np.array([0.0, 1e-9, 0.001, 0.0011, 0.5, np.nextafter(0.5, 1), 0.9999, 1.0])
    assert score_bins(score).tolist() == [0, 1, 1, 2, 500, 501, 1000, 1001]


def test_class_score_of_unknown_pixels_is_zero() -> None:
    pmap = np.array([[[np.nan, 0.0, 0.2]], [[np.nan, 0.0, 0.6]]], np.float32)
    np.testing.assert_allclose(class_score(pmap, 1), [[0.0, 0.0, 0.75]], rtol=1e-6)


def _random_case(seed: int, size: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.random(size) < 0.2
    score = np.clip(generator.normal(0.35 + 0.2 * truth, 0.2), 0, 1)
    return score, truth


def test_average_precision_agrees_with_scikit_learn() -> None:
    score, truth = _random_case(1)
    got = float(average_precision(_counts(score, truth)))
    binned = score_bins(score)
    # Exactly that of the binned scores; within a thousandth of that of the scores themselves.
    assert got == pytest.approx(sklearn_metrics.average_precision_score(truth, binned), abs=1e-12)
    assert got == pytest.approx(sklearn_metrics.average_precision_score(truth, score), abs=1e-3)


def test_average_precision_of_a_constant_is_the_share_of_positives() -> None:
    truth = np.arange(50) < 10
    for constant in (0.0, 0.3, 1.0):
        counts = _counts(np.full(50, constant), truth)
        assert float(average_precision(counts)) == pytest.approx(0.2)
    no_truth = _counts(np.full(50, 0.3), np.zeros(50, bool))
    assert np.isnan(average_precision(no_truth))


@pytest.mark.parametrize("edge", [0, 250, 500, 731, 999])
def test_confusion_from_the_histogram_agrees_with_scikit_learn(edge: int) -> None:
    score, truth = _random_case(2)
    matrix = confusion(_counts(score, truth), edge)
    predicted = score > edge / 1000
    expected = sklearn_metrics.confusion_matrix(truth, predicted, labels=[False, True]).ravel()
    np.testing.assert_array_equal(matrix, expected)
    assert _scores(*matrix)["mcc"] == pytest.approx(
        sklearn_metrics.matthews_corrcoef(truth, predicted), abs=1e-12
    )


def test_calibration_error_by_hand() -> None:
    # Three pixels of score 1, two of them positive, and one of score 0 that is positive:
    # 3/4 * |1 - 2/3| + 1/4 * |0 - 1| = 1/2.
    counts = _counts(np.array([1.0, 1.0, 1.0, 0.0]), np.array([True, True, False, True]))
    assert float(calibration_error(counts)) == pytest.approx(0.5)
    said, true, number = calibration_curve(counts)
    assert number.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert (said[0], true[0], said[9]) == (0.0, 1.0, 1.0)
    assert true[9] == pytest.approx(2 / 3)
    assert np.isnan(said[1])


def test_calibration_error_agrees_with_a_plain_loop() -> None:
    score, truth = _random_case(3)
    interval = np.clip(np.ceil(score * 10).astype(int) - 1, 0, 9)
    expected = sum(
        np.mean(interval == i) * abs(score[interval == i].mean() - truth[interval == i].mean())
        for i in range(10)
    )
    got = float(calibration_error(_counts(score, truth)))
    assert got == pytest.approx(expected, abs=5e-4)


def test_best_edge_maximises_iou() -> None:
    score, truth = _random_case(4)
    counts = _counts(score, truth)
    values = [_scores(*confusion(counts, edge))["iou"] for edge in range(1000)]
    assert values[best_edge(counts)] == max(values)


def test_best_edge_of_equals_is_nearest_to_half() -> None:
    # A vote of three dates: every threshold from 0.334 to 0.666 gives the same map.
    votes = np.array([0.0, 1 / 3, 2 / 3, 1.0])
    assert best_edge(_counts(votes, votes > 0.5)) == HALF
    assert best_edge(_counts(np.zeros(4), votes > 0.5)) == HALF


@given(st.integers(1, 23), st.integers(1, 23), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_block_histograms_agree_with_plain_loops(height: int, width: int, px: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    bins = score_bins(generator.random((height, width)))
    positive = generator.random((height, width)) < 0.3
    scored = generator.random((height, width)) < 0.3
    blocks = plan_blocks(scored, px)
    counts = block_histogram(bins, positive, scored, blocks)

    expected: dict[tuple[int, int], np.ndarray] = {}
    for row, col in np.argwhere(scored):
        block = expected.setdefault((row // px, col // px), np.zeros((2, BINS), int))
        block[int(positive[row, col]), bins[row, col]] += 1
    assert len(counts) == blocks.number == len(expected)
    for got, key in zip(counts, sorted(expected), strict=True):
        np.testing.assert_array_equal(got, expected[key])
    np.testing.assert_array_equal(blocks.count(scored), counts.sum(axis=(1, 2)))


def _mask(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


ALL = np.ones((5, 5), bool)
ONE_BLOCK = plan_blocks(ALL, 5)


def test_relaxed_f1_of_drawn_masks() -> None:
    label = _mask(".#...", ".#...", ".#...", ".#...", ".#...")
    found = _mask("..#..", "..#..", "....#", ".....", ".....")
    counts = match_counts(found, label, ALL, ONE_BLOCK)[0]
    # 1 px: two of three found pixels touch the label; label rows 0 and 1 have one beside them.
    # 2 px: as 1 px for precision (row 2 is 3 px off); label row 2 is sqrt(2) from (1, 2), row 3
    # is sqrt(5) away, more than 2.
    # 3 px: everything found is near; label rows 0-3 (sqrt(5) = 2.2); row 4 is sqrt(10) = 3.2 off.
    assert counts.tolist() == [[3, 2, 5, 2], [3, 2, 5, 3], [3, 3, 5, 4]]
    assert float(tolerant_f1(counts[0])) == pytest.approx(2 * (2 / 3) * 0.4 / (2 / 3 + 0.4))


def test_relaxed_f1_of_nothing() -> None:
    nothing = np.zeros((5, 5), bool)
    label = _mask("#....", ".....", ".....", ".....", ".....")
    missed = match_counts(nothing, label, ALL, ONE_BLOCK)[0, 0]
    invented = match_counts(label, nothing, ALL, ONE_BLOCK)[0, 0]
    neither = match_counts(nothing, nothing, ALL, ONE_BLOCK)[0, 0]
    assert float(tolerant_f1(missed)) == 0.0
    assert float(tolerant_f1(invented)) == 0.0
    assert np.isnan(tolerant_f1(neither))


@pytest.mark.parametrize("distance", DISTANCES)
def test_near_is_a_cut_distance_transform(distance: int) -> None:
    mask = np.random.default_rng(5).random((40, 31)) < 0.02
    expected = ndimage.distance_transform_edt(~mask) <= distance
    np.testing.assert_array_equal(near(mask, distance), expected)


@pytest.mark.parametrize(("shift", "expected"), [(0, [1, 1, 1]), (1, [1, 1, 1]), (2, [0, 1, 1])])
def test_line_f1_of_a_shifted_road(shift: int, expected: list[int]) -> None:
    line = np.zeros((32, 32), bool)
    line[15] = True
    road = np.zeros_like(line)
    road[14 + shift : 17 + shift] = True  # three pixels wide, its middle `shift` below the line
    scored = np.ones_like(line)
    blocks = plan_blocks(scored, 16)
    counts = match_counts(centre_line(road), line, scored, blocks).sum(axis=0)
    assert counts[0, 2] == 32
    np.testing.assert_allclose(tolerant_f1(counts), expected, atol=0.05)


def test_thinning_in_tiles_is_thinning_at_once() -> None:
    generator = np.random.default_rng(8)
    seeds = np.zeros((600, 290), bool)
    seeds[generator.integers(0, 600, 12)] = True
    seeds[:, generator.integers(0, 290, 6)] = True
    seeds |= generator.random(seeds.shape) < 0.002
    roads = ndimage.binary_dilation(seeds, np.ones((5, 5)))
    np.testing.assert_array_equal(centre_line(roads), skeletonize(roads))


def test_what_is_road_all_over_has_no_line() -> None:
    assert not centre_line(np.ones((300, 300), bool)).any()


def test_a_ring_of_ignore_does_not_split_a_road() -> None:
    # A road five pixels wide over a label of one, with a pixel of ignore on either side.
    predicted = np.zeros((9, 30), bool)
    predicted[2:7] = True
    scored = np.ones_like(predicted)
    scored[[3, 5]] = False
    skeleton = centre_line(predicted, scored)
    assert skeleton[4, 5:25].all()
    assert not skeleton[[2, 3, 5, 6], 5:25].any()


@given(st.integers(0, 2**32 - 1))
def test_what_the_map_shows_on_unscored_pixels_changes_nothing(seed: int) -> None:
    generator = np.random.default_rng(seed)
    scored = ndimage.binary_opening(generator.random((24, 24)) < 0.9, np.ones((2, 2)))
    truth = generator.random((24, 24)) < 0.2
    found = ndimage.binary_dilation(generator.random((24, 24)) < 0.05, np.ones((3, 3)))
    other = np.where(scored, found, generator.random((24, 24)) < 0.5)
    blocks = plan_blocks(scored, 8)
    plain, spoilt = (
        count_evidence(
            mapped.astype(np.uint16) * (BINS - 1), truth, truth, scored, blocks, {"half": HALF}
        ).matches["half"]
        for mapped in (found, other)
    )
    np.testing.assert_array_equal(plain.relaxed, spoilt.relaxed)
    np.testing.assert_array_equal(plain.line, spoilt.line)


def test_bootstrap_is_repeatable_and_keeps_the_number_of_blocks() -> None:
    weights = block_weights(7, 100, 42)
    np.testing.assert_array_equal(weights, block_weights(7, 100, 42))
    assert (weights != block_weights(7, 100, 43)).any()
    assert (weights.sum(axis=1) == 7).all()


def test_resampling_in_pieces_is_the_plain_sum() -> None:
    generator = np.random.default_rng(6)
    counts = generator.integers(0, 2**31, (2500, 3, 2))  # more than two pieces
    weights = block_weights(2500, 4, 0)
    expected = np.einsum("rb,bij->rij", weights, counts)
    np.testing.assert_array_equal(resample(weights, counts), expected)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # Accuracy of maps whose blocks are right with probability 0.8; 95 % intervals from 60 blocks.
    generator = np.random.default_rng(7)
    covered = 0
    for trial in range(200):
        right = generator.binomial(100, generator.beta(8, 2, size=60))
        matrices = np.stack([right, 0 * right, 100 - right, 0 * right], axis=1)
        weights = block_weights(60, 200, trial)
        bounds = interval(matrix_scores(resample(weights, matrices))["accuracy"])
        assert bounds is not None
        covered += bounds[0] <= 0.8 <= bounds[1]
    assert 0.88 <= covered / 200 <= 0.99


def test_interval_needs_samples() -> None:
    assert interval(np.full(10, np.nan)) is None
    assert interval(np.array([0.5] * 6 + [np.nan] * 4)) == (0.5, 0.5)


def test_tolerances_are_those_of_the_image():
    """A line two image pixels off counts within 2 px on the image's grid as on one twice as fine."""
    true, mapped = np.zeros((2, 40, 40), bool)
    true[10], mapped[12] = True, True
    near = []
    for finer in (1, 2):
        lines = [refine(mask, finer) for mask in (mapped, true)]
        scored = np.ones_like(lines[0])
        counts = match_counts(*lines, scored, plan_blocks(scored, 64), finer)[0]
        near.append((counts[:, 1] / counts[:, 0]).tolist())
    assert near[0] == near[1] == [0, 1, 1]
