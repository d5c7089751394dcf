"""Scores of lines, against networks worked by hand."""

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from swath.metrics.linematch import CHANCE_SHIFT_M, cut_lines, line_counts, line_scores, moved, sample_lines
from swath.metrics.linenetwork import Faults, apls, count_faults


def lines(*places: list[tuple[float, float]]) -> NDArray[np.object_]:
    return np.array([shapely.LineString(line) for line in places], dtype=object)


ROAD = lines([(0, 0), (1000, 0)])


def test_samples_stand_for_equal_pieces() -> None:
    points, weight, owner = sample_lines(lines([(0, 0), (10, 0)], [(0, 0), (0, 1)]))
    assert points[:4].tolist() == [[1.25, 0], [3.75, 0], [6.25, 0], [8.75, 0]]
    assert weight.tolist() == [2.5, 2.5, 2.5, 2.5, 1]
    assert owner.tolist() == [0, 0, 0, 0, 1]


def test_a_road_beside_its_place_is_right_within_its_distance() -> None:
    scores = line_scores(line_counts(moved(ROAD, (0, 7)), ROAD))
    assert scores["f1"].tolist() == [0, 1, 1]
    assert scores["quality"].tolist() == [0, 1, 1]


def test_half_a_road_and_as_much_that_is_none() -> None:
    mapped = lines([(0, 0), (500, 0)], [(0, 300), (500, 300)])
    counts = line_counts(mapped, ROAD)
    assert counts[1].tolist() == pytest.approx([1000, 500, 1000, 510])  # 10 m more, beyond its end
    scores = line_scores(counts)
    assert scores["completeness"][1] == pytest.approx(0.51)
    assert scores["correctness"][1] == pytest.approx(0.5)
    assert scores["quality"][1] == pytest.approx(500 / 1490)


def test_only_what_is_scored_counts_but_matches_beyond_it() -> None:
    west = line_counts(moved(ROAD, (0, 7)), ROAD, lambda points: points[:, 0] < 200)
    assert west[1].tolist() == pytest.approx([200, 200, 200, 200])
    (part,) = cut_lines(ROAD, lambda points: points[:, 0] < 200)
    assert part.length == pytest.approx(200, abs=5)


def test_nothing_against_something() -> None:
    none = np.zeros(0, object)
    assert line_scores(line_counts(none, ROAD))["f1"].tolist() == [0, 0, 0]
    assert np.isnan(line_scores(line_counts(none, none))["f1"]).all()
    assert np.isnan(apls(none, ROAD))
    assert line_scores(line_counts(moved(ROAD), ROAD))["f1"].max() == 0
    assert CHANCE_SHIFT_M == (230, 170)


def test_routes_of_equal_networks_are_equal() -> None:
    cross = lines([(0, 0), (400, 0)], [(200, -200), (200, 200)])
    assert apls(cross, cross) == pytest.approx(1)
    assert apls(cross, moved(cross, (5, 5))) > 0.9


def test_a_missing_link_costs_the_routes_over_it() -> None:
    """A road of 400 m with places every 100 m, of which the middle 100 m are missing in the map.

    The map's pieces reach to 150 m and from 250 m: all five places are found, that at 200 m not. Of the
    20 ordered pairs of places (every place is a source), 0-100 and 300-400 agree both ways: 4 of 20. The
    map's own places (0, 75, 150 and 250, 325, 400) have 12 pairs with a way, all of which agree.
    """
    road = lines([(0, 0), (400, 0)])
    mapped = lines([(0, 0), (150, 0)], [(250, 0), (400, 0)])
    assert apls(road, mapped, spacing_m=100) == pytest.approx(2 * 0.2 * 1 / 1.2, abs=0.01)


def test_a_way_round_costs_its_length() -> None:
    """Of a square of 100 m a side is missing, with places at corners and middles of sides.

    From the truth's 8 places one, in the middle of the missing side, is not found. Of the rest, a chain of
    6 steps of 50 m in the map, a ring of 8 in the truth: steps apart in the map k = 1..6, in the truth
    min(k, 8 - k). Pairs k <= 4 agree; the 2 with k = 5 (3 in the truth) score 1 - 2/3, the one with
    k = 6 (2) scores 0. So of 28 pairs 18 + 2/3 are right. All 21 of the map: 18 + 2 (1 - 2/5) + (1 - 4/6).
    """
    square = lines([(0, 0), (100, 0)], [(100, 0), (100, 100)], [(100, 100), (0, 100)], [(0, 100), (0, 0)])
    mapped = square[:3]
    there, back = (18 + 2 / 3) / 28, (18 + 1.2 + 1 / 3) / 21
    # Lines that merely follow each other are one: the square is one ring, so places lie by its length.
    assert apls(square, mapped, spacing_m=50) == pytest.approx(2 * there * back / (there + back), abs=0.01)


def test_faults_are_counted() -> None:
    street = [(0.0, 0.0), (1000.0, 0.0)]
    stub = [(500.0, 0.0), (500.0, 20.0)]
    block = [(100.0, 0.0), (100.0, 60.0), (160.0, 60.0), (160.0, 0.0)]  # 3,600 m2
    thin = [(200.0, 0.0), (200.0, 40.0), (240.0, 40.0), (240.0, 0.0)]  # 1,600 m2, outline 160 m
    loop = [(300.0, 0.0), (300.0, 20.0), (320.0, 20.0), (320.0, 0.0)]  # outline 80 m
    assert count_faults(lines(street)) == Faults(0, 0, 0, 1)
    assert count_faults(lines(street, stub, block, thin, loop)) == Faults(1, 1, 2, 12)
    assert count_faults(np.zeros(0, object)) == Faults(0, 0, 0, 0)
