"""Lines of drawn maps: what a person would draw there."""

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from swath.grid import Window
from swath.maps.chains import Chains, join_links
from swath.maps.faces import face_of_sides
from swath.maps.graph import Graph, pixel_links, tidy
from swath.maps.lines import SIMPLIFY_PX, Lines, SheetScores, simplified, trace_sheet
from swath.maps.linetable import half_width
from swath.tiles import Tile

Stroke = tuple[Sequence[tuple[float, float]], float]
"""Columns and rows that a road runs through, in pixels, and its width in pixels."""


def drawn(*strokes: Stroke, shape: tuple[int, int] = (100, 120), score: float = 0.9) -> NDArray[np.float32]:
    """A score map of roads, soft at their edges as those of networks are."""
    rows, cols = np.indices(shape)
    pixels = shapely.points(cols.ravel(), rows.ravel())
    mask = np.zeros(shape, np.float32)
    for places, width in strokes:
        mask += (shapely.distance(shapely.LineString(places), pixels) <= width / 2).reshape(shape)
    soft: NDArray[np.float32] = ndimage.gaussian_filter(np.minimum(mask, 1), 0.7) * score
    return soft


def traced(
    score: NDArray[np.float32], pixel_m: float = 10.0, known: NDArray[np.bool_] | None = None
) -> Lines:
    everywhere = np.ones(score.shape, bool) if known is None else known
    whole = Window(0, 0, *score.shape)
    return trace_sheet(
        SheetScores(score, everywhere, 0.3, (pixel_m, pixel_m)), Tile(whole, whole), whole
    ).lines


@pytest.mark.parametrize("pixel_m", [5.0, 10.0])
def test_a_road_is_one_line_along_its_middle(pixel_m: float) -> None:
    road = [(15, 20), (60, 35), (100, 80)]
    (line,) = traced(drawn((road, 3)), pixel_m)
    assert shapely.hausdorff_distance(shapely.LineString(road).buffer(1), line) < 4
    assert line.length == pytest.approx(shapely.LineString(road).length, abs=5)


def test_a_wide_road_is_one_line_and_two_roads_are_two() -> None:
    assert len(traced(drawn(([(15, 50), (105, 50)], 6)))) == 1
    near = drawn(([(15, 47), (105, 47)], 3), ([(15, 53), (105, 53)], 3))
    assert len(traced(near)) == 2


def test_junctions_meet_in_one_point() -> None:
    lines = traced(drawn(([(15, 40), (105, 60)], 3), ([(60, 10), (60, 90)], 3)))
    ends = [place for line in lines for place in (line.coords[0], line.coords[-1])]
    assert len(lines) == 4
    assert max(ends.count(place) for place in ends) == 4


def test_bumps_crumbs_and_weak_things_give_no_lines() -> None:
    road = ([(15, 50), (105, 50)], 3)
    bump, crumb = ([(60, 50), (60, 47)], 2), ([(30, 20), (34, 20)], 2)
    assert len(traced(drawn(road, bump, crumb))) == 1
    weak = drawn(road) + drawn(([(15, 20), (105, 20)], 3), score=0.4)
    assert len(traced(weak)) == 1


def test_gaps_are_closed_where_the_map_supports_it() -> None:
    halves = drawn(([(15, 50), (57, 50)], 3), ([(63, 50), (105, 50)], 3))
    assert len(traced(halves)) == 2
    supported = np.maximum(halves, drawn(([(15, 50), (105, 50)], 3), score=0.3))
    assert len(traced(supported)) == 1


def test_a_hole_in_a_road_is_no_loop_but_a_block_is() -> None:
    road = drawn(([(15, 50), (105, 50)], 5))
    road[49:52, 58:62] = 0
    assert len(traced(road)) == 1
    square = [(30, 20), (60, 20), (60, 50), (30, 50), (30, 20)]
    (ring,) = traced(drawn((square, 3)))
    assert ring.is_ring
    assert shapely.Polygon(ring).area == pytest.approx(900, rel=0.1)


def test_nothing_lies_along_the_edge_of_the_data() -> None:
    score = drawn(([(0, 0), (119, 0)], 3), ([(60, 0), (60, 99)], 3), ([(0, 62), (119, 62)], 3))
    known = np.ones(score.shape, bool)
    known[60:] = False
    (line,) = traced(np.where(known, score, 0), known=known)
    assert all(abs(x - 60) < 0.6 for x, _ in line.coords)
    assert [round(y) for y in sorted(y for _, y in line.coords)][:: len(line.coords) - 1] == [2, 55]


def test_nothing_gives_no_line() -> None:
    assert len(traced(np.zeros((30, 30), np.float32))) == 0
    assert len(traced(np.ones((30, 30), np.float32))) == 0


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.4, 0.7]))
def test_links_are_joined_as_geos_joins_them(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((25, 20)) < share
    links = tidy(pixel_links(mask, *mask.shape), mask.size)
    chains = join_links(links)
    assert len(chains.of_link) == len(links)
    if len(links):
        places = np.stack(np.divmod(np.arange(mask.size), mask.shape[1])[::-1], axis=1).astype(float)
        ours = shapely.linestrings(places[chains.points], indices=chains.owner)
        merged = shapely.line_merge(shapely.multilinestrings(shapely.linestrings(places[links])))
        assert steps(shapely.get_parts(merged)) == steps(ours)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.7]))
def test_pixels_are_linked_where_they_touch_but_not_round_a_corner(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((7, 6)) < share
    expected = set()
    for (row, col), (down, across) in product(np.argwhere(mask), ((0, 1), (1, 0), (1, 1), (1, -1))):
        to_row, to_col = row + down, col + across
        if not (0 <= to_col < 6 and to_row < 7 and mask[to_row, to_col]):
            continue
        beyond = (row >= 6 and not down) or (col >= 5 and not across)
        corner = down and across and (mask[row, to_col] or mask[to_row, col])
        if not (beyond or corner):
            expected.add((row * 6 + col, to_row * 6 + to_col))
    assert set(map(tuple, pixel_links(mask, 6, 5).tolist())) == expected


@given(st.integers(0, 2**32 - 1), st.sampled_from([(5.0, 5.0), (9.9, 10.1)]))
def testhalf_widths_are_the_distance_to_what_is_outside(seed: int, pixel_m: tuple[float, float]) -> None:
    draw = np.random.default_rng(seed)
    inside = ndimage.gaussian_filter(draw.normal(size=(70, 60)), draw.uniform(1, 9)) > draw.normal(0, 0.02)
    inside[0, 0] = False
    at = draw.random(inside.shape) < 0.3
    expected = np.where(at, ndimage.distance_transform_edt(inside, sampling=pixel_m), 0)
    np.testing.assert_allclose(half_width(inside, at, pixel_m), expected, rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 1.0]))
def test_lines_are_simplified_as_those_that_must_not_cross_themselves(seed: int, spread: float) -> None:
    draw = np.random.default_rng(seed)
    owner = np.repeat(np.arange(40), draw.integers(2, 12, 40))
    pixels = np.stack([np.arange(len(owner)), np.zeros(len(owner))], axis=1) + draw.normal(
        0, spread, (len(owner), 2)
    )
    none = np.zeros(0, np.int64)
    chains = Chains(np.arange(len(owner)), owner, none, none.astype(bool))
    lines = shapely.linestrings(pixels, indices=owner)
    assert simplified(pixels, chains).tolist() == shapely.simplify(lines, SIMPLIFY_PX).tolist()


def steps(lines: Lines) -> list[list[tuple[object, ...]]]:
    """Each line as its two-point links, whatever its direction and, of a ring, its start."""
    return sorted(sorted(tuple(sorted(pair)) for pair in pairwise(line.coords)) for line in lines)


@given(st.integers(0, 2**32 - 1))
def test_faces_are_those_of_geos(seed: int) -> None:
    mask = np.random.default_rng(seed).random((12, 12)) < 0.6
    links = tidy(pixel_links(mask, *mask.shape), mask.size)
    places = np.stack(np.divmod(np.arange(mask.size), 12)[::-1], axis=1).astype(float)
    graph = Graph(places, links, np.zeros(len(places), bool), np.ones(len(places)))
    if not len(links):
        return
    source, target = np.concatenate([links, links[:, ::-1]]).T
    cross = places[source, 0] * places[target, 1] - places[target, 0] * places[source, 1]
    area = np.bincount(face_of_sides(graph).ravel(), weights=cross / 2)
    polygons = shapely.get_parts(shapely.polygonize(shapely.linestrings(places[links])))
    assert (area > 1e-9).sum() == len(polygons)
    # Parts that lie in a face without touching its outline are holes of polygons alone.
    assert area[area > 1e-9].sum() >= shapely.area(polygons).sum() - 1e-6
