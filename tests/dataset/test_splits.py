"""Rectangles of one site in different splits, and the strip between them."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.dataset.site import Region
from swath.dataset.splits import plan_regions
from swath.errors import SettingsError
from swath.grid import Window
from swath.sites.schema import RegionSettings


def region(split: str, *sides: float) -> RegionSettings:
    return RegionSettings.model_validate({"split": split, "box": sides})


def test_boxes_edge_to_edge_lose_half_the_strip_each() -> None:
    boxes = [region("train", 0, 0, 0.5, 1), region("test", 0.5, 0, 1, 1)]
    assert plan_regions(boxes, (100, 400), 96, "x") == (
        Region("train", Window(0, 0, 100, 152)),
        Region("test", Window(0, 248, 100, 152)),
    )
    # An odd strip: one pixel more from the second; none: none.
    odd = plan_regions(boxes, (100, 400), 5, "x")
    assert (odd[0].window.col_end, odd[1].window.col) == (198, 203)
    assert plan_regions(boxes, (100, 400), 0, "x")[0].window == Window(0, 0, 100, 200)


def test_boxes_far_enough_stay_as_they_are() -> None:
    boxes = [region("train", 0, 0, 0.4, 1), region("test", 0.7, 0, 1, 1)]
    windows = [r.window for r in plan_regions(boxes, (100, 400), 96, "x")]
    assert windows == [Window(0, 0, 100, 160), Window(0, 280, 100, 120)]


def test_three_boxes_lose_as_much_as_two() -> None:
    # The test box faces two others on one side: half a strip, once.
    boxes = [
        region("validation", 0, 0, 0.5, 0.5),
        region("train", 0.5, 0, 1, 0.5),
        region("test", 0, 0.5, 1, 1),
    ]
    for order in ([0, 1, 2], [2, 1, 0]):
        got = {r.split: r.window for r in plan_regions([boxes[k] for k in order], (400, 400), 40, "x")}
        assert got == {
            "validation": Window(0, 0, 180, 180),
            "train": Window(0, 220, 180, 180),
            "test": Window(220, 0, 180, 400),
        }


def test_one_split_may_touch_itself() -> None:
    boxes = [region("train", 0, 0, 0.5, 1), region("train", 0.5, 0, 1, 1)]
    assert plan_regions(boxes, (50, 100), 96, "x")[1].window == Window(0, 50, 50, 50)


def test_regions_refused() -> None:
    across = [region("train", 0, 0, 0.6, 1), region("test", 0.5, 0, 1, 1)]
    with pytest.raises(SettingsError, match=r"'x': .* 1 \(train\) and 2 \(test\) overlap by 10 px"):
        plan_regions(across, (100, 100), 8, "x")
    thin = [region("train", 0, 0, 0.9, 1), region("test", 0.9, 0, 1, 1)]
    with pytest.raises(SettingsError, match=r"nothing is left of region 2 \(test\) \(10 x 100 px\)"):
        plan_regions(thin, (100, 100), 96, "x")


def sides() -> st.SearchStrategy[tuple[float, float]]:
    pairs = st.lists(st.integers(0, 20), min_size=2, max_size=2, unique=True)
    return pairs.map(lambda pair: (min(pair) / 20, max(pair) / 20))


splits = st.sampled_from(["train", "validation", "test"])


@given(st.lists(st.tuples(splits, sides(), sides()), min_size=1, max_size=4), st.integers(0, 30))
def test_different_splits_are_never_nearer_than_the_guard(
    raw: list[tuple[str, tuple[float, float], tuple[float, float]]], guard: int
) -> None:
    boxes = [region(split, left, top, right, bottom) for split, (left, right), (top, bottom) in raw]
    whole = boxes_as_given(boxes)
    if any(a.window.intersect(b.window).size for a, b in combinations(whole, 2)):
        with pytest.raises(SettingsError, match="overlap by"):
            plan_regions(boxes, (200, 300), guard, "x")
        return
    try:
        regions = plan_regions(boxes, (200, 300), guard, "x")
    except SettingsError:  # nothing was left of one; see test_regions_refused
        return
    for before, after in zip(whole, regions, strict=True):
        assert before.window.contains(after.window)
    for a, b in combinations(regions, 2):
        assert not a.window.intersect(b.window).size
        if a.split != b.split:
            assert not a.window.grow(guard).intersect(b.window).size


def boxes_as_given(boxes: list[RegionSettings]) -> list[Region]:
    return [plan_regions([one], (200, 300), 0, "x")[0] for one in boxes]
