"""The patch index: plans are values, patches stay in their region, roads are sampled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.dataset.index import plan_cover, plan_patches, survey_labels
from swath.errors import DatasetError
from swath.grid import Window

WHOLE = Window(0, 0, 96, 128)


def survey(region=WHOLE, dates=3, site="a", road=slice(40, 43)):
    labels = np.zeros((region.height, region.width), np.uint8)
    labels[road] = 1
    return survey_labels(site, region, dates, labels)


def plan(surveys, count=50, px=32, dates=2, share=0.5, seed=0):
    return plan_patches(surveys, count, px, dates, share, np.random.default_rng(seed))


def test_survey_by_hand():
    """32 x 48 px are 2 x 3 cells; one ignored cell, one cell with road."""
    labels = np.zeros((32, 48), np.uint8)
    labels[:16, :16] = 255
    labels[20, 40] = 1
    found = survey_labels("a", Window(100, 200, 32, 48), 2, labels)
    assert found.pixels == 32 * 48 - 256
    assert [108, 208] not in found.labelled.tolist()
    assert len(found.labelled) == 5
    assert [cells.tolist() for cells in found.foreground] == [[[124, 240]]]


def test_rare_classes_are_drawn_as_often_as_common_ones():
    """Class 0 is everywhere, class 2 in one cell of 48; class 3 is not there, and 255 is no class."""
    labels = np.zeros((96, 128), np.uint8)
    labels[:, 64:] = 1
    labels[4, 4] = 2
    labels[90:] = 255
    surveyed = survey_labels("a", WHOLE, 2, labels, classes=(0, 1, 2, 3))
    assert [len(cells) for cells in surveyed.foreground] == [24, 24, 1]
    patches = plan([surveyed], count=900, px=16, share=1.0)
    near = sum(patch.window.row < 16 and patch.window.col < 16 for patch in patches)
    assert 0.3 < near / 900 < 0.45


@settings(max_examples=60)
@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(10, 150),
    st.integers(10, 150),
    st.sampled_from([16, 33, 64, 200]),
    st.integers(0, 100),
)
def test_patches_stay_inside_their_region_where_they_fit(row, col, height, width, px, seed):
    region = Window(row, col, height, width)
    labels = np.random.default_rng(seed).integers(0, 2, (height, width)).astype(np.uint8)
    for patch in plan([survey_labels("a", region, 3, labels)], 5, px, seed=seed):
        assert patch.window.height == patch.window.width == px
        seen = patch.window.intersect(region)
        assert (seen.height, seen.width) == (min(px, height), min(px, width))
        assert patch.region == region
        assert list(patch.dates) == sorted(set(patch.dates))
        assert len(patch.dates) == 2


def test_same_seed_same_plan():
    assert plan([survey()], seed=5) == plan([survey()], seed=5)
    assert plan([survey()], seed=5) != plan([survey()], seed=6)


def test_every_symmetry_and_every_choice_of_dates_occurs():
    patches = plan([survey()], 400)
    assert {p.symmetry for p in patches} == set(range(8))
    assert {p.dates for p in patches} == {(0, 1), (0, 2), (1, 2)}


def test_foreground_share_steers_towards_roads():
    """One short road in a large empty site: without steering few patches meet it."""
    labels = np.zeros((512, 512), np.uint8)
    labels[100:110, 100:110] = 1
    surveys = [survey_labels("a", Window(0, 0, 512, 512), 2, labels)]
    road = Window(100, 100, 10, 10)

    def hits(share):
        return sum(p.window.intersect(road).size > 0 for p in plan(surveys, 300, 32, share=share))

    assert hits(1.0) > 200
    assert hits(0.0) < 30


def test_regions_are_drawn_by_labelled_pixels():
    small, large = survey(site="s"), survey(Window(0, 0, 288, 128), site="l")
    patches = plan([small, large], 1000)
    assert sum(p.site == "l" for p in patches) == pytest.approx(750, abs=50)


def test_too_few_dates_is_one_clear_error():
    with pytest.raises(DatasetError, match="'a' has 3 acquisition"):
        plan([survey()], dates=4)


def test_nothing_labelled_is_one_clear_error():
    labels = np.full((32, 32), 255, np.uint8)
    with pytest.raises(DatasetError, match="no labelled pixel"):
        plan([survey_labels("a", Window(0, 0, 32, 32), 3, labels)])


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 5), st.integers(1, 5))
def test_cover_counts_every_pixel_once_a_run(height, width, have, dates):
    region = Window(7, 3, height, width)
    found = survey(region, dates=have, road=slice(0, 0))
    patches = plan_cover([found], 32, dates)
    assert len({p.dates for p in patches}) == have // dates
    assert sum(p.window.intersect(region).size for p in patches) == region.size * (have // dates)
    used = [date for run in {p.dates for p in patches} for date in run]
    assert len(used) == len(set(used))
