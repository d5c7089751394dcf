"""Which dates are chosen, and what is said about it: from values alone."""

import datetime as dt
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from swath.errors import RemoteError, SettingsError
from swath.retrieval.offset import apply_offset, check_offset, decide_offset, parse_baseline
from swath.retrieval.overflight import Overflight
from swath.retrieval.selection import STEP_DAYS, YEAR_DAYS, choose, days_apart, farthest, sift
from swath.retrieval.stacapi import find_api
from swath.retrieval.stacitem import StacAsset, StacItem, parse_item
from swath.sites.schema import FetchSettings

BANDS = ("B04", "B03", "B02")
YEAR = FetchSettings(start=dt.date(2022, 1, 1), end=dt.date(2022, 12, 31), source="visual")
NAMES = ("visual", "SCL", *BANDS)


def item(day: str, **more: Any) -> StacItem:
    assets = {name: StacAsset(href=f"http://127.0.0.1/{name}.tif") for name in NAMES}
    values = {
        "id": f"S2_{day}",
        "collection": "c",
        "time": dt.datetime.fromisoformat(f"{day}T10:00:00+00:00"),
        "mgrs_tile": "31UDQ",
        "cloud": 10.0,
        "baseline": "05.09",
        "assets": assets,
    }
    return StacItem(**(values | more))


def flight(day: str) -> Overflight:
    return Overflight((item(day),), 1.0)


def all_clear(items: list[Overflight]) -> dict[str, float]:
    return {item.id: 1.0 for item in items}


# --- how far apart ---------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, YEAR_DAYS - 1), st.integers(0, 10)), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_the_farthest_and_clearest_set_is_found(points: list[tuple[int, int]], count: int) -> None:
    count = min(count, len(points))
    days, weights = [day for day, _ in points], [weight / 10 for _, weight in points]
    widest = YEAR_DAYS // count // STEP_DAYS if count > 1 else 0

    def score(chosen: tuple[int, ...]) -> tuple[int, float]:
        pairs = itertools.combinations([days[index] for index in chosen], 2)
        gaps = [min(abs(a - b), YEAR_DAYS - abs(a - b)) for a, b in pairs]
        steps = min(widest, min(gaps) // STEP_DAYS) if gaps else 0
        return steps, round(sum(weights[index] for index in chosen), 6)

    # Against all sets there are.
    best = max(score(chosen) for chosen in itertools.combinations(range(len(days)), count))
    gap, chosen = farthest(days, weights, count)
    assert len(set(chosen)) == count
    assert score(chosen) == best
    assert gap == best[0] * STEP_DAYS
    assert farthest(days, weights, count) == (gap, chosen)


def test_the_year_is_a_circle() -> None:
    assert days_apart(dt.date(2021, 12, 31), dt.date(2022, 1, 1)) == 1
    assert days_apart(dt.date(2019, 1, 1), dt.date(2022, 7, 2)) == 182
    assert days_apart(dt.date(2020, 12, 31), dt.date(2021, 12, 31)) == 0  # a leap year
    items = [flight(day) for day in ("2022-01-05", "2022-06-28", "2022-12-21")]
    choice = choose(items, all_clear(items), YEAR.model_copy(update={"dates": 2}))
    # January and December are neighbours: June goes with either (174 and 176 days, the same in
    # steps of ten), and of equals with the earlier.
    assert [str(pick.date) for pick in choice.picks] == ["2022-01-05", "2022-06-28"]


def test_a_day_more_is_not_bought_with_a_cloud_but_a_season_is() -> None:
    wanted = YEAR.model_copy(update={"dates": 2})
    items = [flight(day) for day in ("2022-01-05", "2022-06-28", "2022-07-01")]
    clear = {"S2_2022-01-05": 1.0, "S2_2022-06-28": 1.0, "S2_2022-07-01": 0.96}
    assert str(choose(items, clear, wanted).picks[1].date) == "2022-06-28"
    items = [flight(day) for day in ("2022-01-05", "2022-03-01", "2022-07-04")]
    clear = {"S2_2022-01-05": 1.0, "S2_2022-03-01": 1.0, "S2_2022-07-04": 0.96}
    choice = choose(items, clear, wanted)
    assert str(choice.picks[1].date) == "2022-07-04"
    # 5 January is day 4, 4 July day 184.
    assert choice.picks[0].why == ("100.0% clear, 180 days of the year from the next (no choice keeps 190)")
    assert choice.rejections[0].why.startswith("100.0% clear, but others lie farther apart")


def test_short_of_dates() -> None:
    items = [flight("2022-01-05"), flight("2022-07-01")]
    choice = choose(items, {"S2_2022-01-05": 1.0, "S2_2022-07-01": 0.5}, YEAR)
    assert len(choice.picks) == 1
    assert choice.missing == ("1 of 3 dates can be had",)
    assert choice.rejections[0].why == "50.0% of the site is not clear (max_cloud 5 %)"
    assert choose([], {}, YEAR).missing == ("0 of 3 dates can be had",)


def test_wishes_do_not_take_each_others_date() -> None:
    wishes = (dt.date(2022, 5, 10), dt.date(2022, 5, 12))
    wanted = YEAR.model_copy(update={"wishes": wishes, "within_days": 5})
    items = [flight("2022-05-11"), flight("2022-05-14")]
    choice = choose(items, all_clear(items), wanted)
    assert [str(pick.date) for pick in choice.picks] == ["2022-05-11", "2022-05-14"]
    assert choice.missing == ()
    choice = choose(items[:1], all_clear(items), wanted)
    assert choice.missing == ("1 of 2 wishes can be met (not: shared)",)


# --- what is not looked at -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "settings", "why"),
    [
        ({"mgrs_tile": "32UAA"}, {"mgrs_tile": "31UDQ"}, "tile 32UAA, wanted is 31UDQ"),
        ({"part": box(0, 0, 0.5, 1)}, {}, "it covers 50.0% of the site"),
        ({"cloud": 80.0}, {}, "80 % of the tile is cloud"),
        ({"cloud": None}, {"clear_by": "tile"}, "it says nothing about clouds"),
        ({"assets": {}}, {}, "it has no true-colour image"),
        ({"assets": {}}, {"source": "bands"}, "it has no band B04, B03, B02"),
        ({"baseline": None}, {"source": "bands"}, "give `offset_dn`"),
        ({}, {"wishes": (dt.date(2022, 3, 1),)}, "no wish lies within 5 days"),
    ],
)
def test_items_are_left_out_with_a_reason(more: dict[str, Any], settings: dict[str, Any], why: str) -> None:
    kept, out = sift([item("2022-05-01", **more)], YEAR.model_copy(update=settings), BANDS)
    assert not kept
    assert why in out[0].why


def test_an_item_without_known_offset_is_taken_when_the_user_gives_one() -> None:
    wanted = YEAR.model_copy(update={"source": "bands", "offset_dn": 0})
    kept, _ = sift([item("2022-05-01", baseline=None)], wanted, BANDS)
    assert len(kept) == 1


def test_of_one_day_the_usual_tile_and_the_newest_baseline_are_taken() -> None:
    items = [
        item("2022-05-01", id="a", mgrs_tile="31UDP", baseline="05.10"),
        item("2022-05-01", id="b", baseline="04.00"),
        item("2022-05-01", id="c", baseline="05.09"),
        item("2022-06-01", id="d"),
    ]
    kept, out = sift(items, YEAR, BANDS)
    assert [flight.id for flight in kept] == ["c", "d"]
    assert {rejection.id: rejection.why for rejection in out} == {
        "a": "c of the same day is taken",
        "b": "c of the same day is taken",
    }
    assert sift(items[::-1], YEAR, BANDS) == (kept, out)


# --- offsets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("baseline", "declared", "applied", "dn", "doubted"),
    [
        ("05.09", -1000, True, 0, True),
        ("05.09", 0, True, 0, False),
        ("05.09", -1000, False, -1000, False),
        ("02.14", -1000, None, 0, True),
        ("02.14", None, None, 0, False),
        ("04.00", None, None, -1000, True),
        ("04.00", 0, None, 0, True),
        (None, -1000, None, -1000, True),
        (None, None, None, None, False),
        ("unknown", None, False, None, False),
    ],
)
def test_decide_offset(
    baseline: str | None, declared: int | None, applied: bool | None, dn: int | None, doubted: bool
) -> None:
    offset = decide_offset(baseline, declared, applied)
    assert offset.dn == dn
    assert bool(offset.doubt) == doubted
    assert offset.why


def test_parse_baseline() -> None:
    assert parse_baseline("05.09") == (5, 9)
    assert parse_baseline("N0510") == (5, 10)
    assert parse_baseline("2.14") == (2, 14)
    assert parse_baseline("00.01") == (0, 1)
    assert [parse_baseline(text) for text in ("", None, "five", "5.9.1")] == [None] * 4


def test_pixels_overrule_metadata_only_when_they_are_clear() -> None:
    said = decide_offset("05.09", -1000, False)
    # 6 % of the pixels below 1000 would be negative; 4 % might be.
    pixels = np.full(100, 1500, np.uint16)
    pixels[:4] = 900
    assert check_offset(said, pixels) == said
    pixels[:6] = 900
    assert check_offset(said, pixels).dn == 0
    assert "6% of the pixels would be below 0" in check_offset(said, pixels).why
    applied = decide_offset("05.09", 0, True)
    assert check_offset(applied, pixels) == applied
    pixels[:] = 1500
    assert check_offset(applied, pixels).dn == 0
    assert "may not have been applied" in check_offset(applied, pixels).doubt
    assert check_offset(said, np.zeros(9, np.uint16)) == said


def test_apply_offset() -> None:
    stored = np.array([0, 1, 999, 1000, 1001, 11000, 65535], np.uint16)
    expected = [0, 1, 1, 1, 1, 10000, 65535]
    assert apply_offset(stored, 1e-4, -1000).tolist() == expected
    # Another quantification: 1/20000.
    assert apply_offset(np.array([2000], np.uint16), 5e-5, -100).tolist() == [900]


# --- items as catalogues give them -----------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"properties": {}, "assets": {}},
        {"properties": {"datetime": "yesterday"}, "assets": {}},
        {"properties": {"datetime": "2022-05-01T00:00:00Z"}, "assets": {"red": {}}},
        {"properties": {"datetime": "2022-05-01T00:00:00Z"}, "assets": {"red": "x"}},
        {"properties": None, "assets": None},
        {
            "properties": {"datetime": "2022-05-01T00:00:00Z"},
            "assets": {},
            "geometry": {"type": "Polygon", "coordinates": [[["a", 1]]]},
        },
    ],
)
def test_nonsense_is_no_item(raw: dict[str, Any]) -> None:
    with pytest.raises(RemoteError, match="is no Sentinel-2 item"):
        parse_item(raw, (0, 0, 1, 1))


def test_footprint_covers_part_of_the_site() -> None:
    ring = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
    raw = {
        "id": "S2A_MSIL2A_20220501T105629_N0400_R094_T01KAA_20220501T130000",
        "properties": {"datetime": "2022-05-01T23:30:00-02:00", "eo:cloud_cover": "x"},
        "assets": {},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    found = parse_item(raw, (0.5, 0, 1.5, 1))
    assert found.cover == pytest.approx(0.5)
    assert (found.mgrs_tile, found.baseline, found.cloud) == ("1KAA", "04.00", None)
    assert found.date == dt.date(2022, 5, 2)  # in UTC


def test_find_api() -> None:
    assert find_api("earth-search").url.startswith("https://")
    assert find_api("http://127.0.0.1:8080/").url == "http://127.0.0.1:8080"
    with pytest.raises(SettingsError, match="neither a URL nor one of"):
        find_api("eart-search")


def test_a_site_says_only_what_differs() -> None:
    site = FetchSettings(wishes=(dt.date(2019, 3, 11),), mgrs_tile="15SUD")
    merged = YEAR.merged(site)
    assert (merged.start, merged.source, merged.mgrs_tile) == (YEAR.start, "visual", "15SUD")
    assert merged.wishes == site.wishes
    assert YEAR.merged(None) is YEAR
