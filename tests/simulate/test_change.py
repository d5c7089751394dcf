"""Roads that come and go between the dates of a series, and the days of such a series."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from shapely.geometry import LineString

from swath import cli
from swath.simulate.change import add_changes
from swath.simulate.climate import draw_climate
from swath.simulate.day import Day, plan_series
from swath.simulate.landscape import add_landscapes, empty_layout, open_sea
from swath.simulate.layout import Layout, exists
from swath.simulate.parameters import Parameters
from swath.simulate.scenery import ALWAYS
from swath.simulate.series import at_date, dated_roads, simulate_series


def lanes(size_px: int, seed: int) -> Layout:
    """A net of lanes 160 m apart."""
    empty = empty_layout(open_sea(size_px), seed)
    left, bottom, right, top = empty.grid.bounds
    xs, ys = np.arange(left + 80, right, 160), np.arange(bottom + 80, top, 160)
    lines = [LineString([(x, bottom), (x, top)]) for x in xs]
    lines += [LineString([(left, y), (right, y)]) for y in ys]
    table = {"kind": "road", "width_m": 6.0, "paved": True, "highway": ["residential"] * len(lines)}
    return replace(empty, lines=gpd.GeoDataFrame(table, geometry=lines, crs=empty.grid.crs))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), dates=st.integers(2, 16))
def test_changes_happen_inside_the_series_and_nothing_else_moves(seed: int, dates: int) -> None:
    layout = lanes(160, seed)
    lines = add_changes(layout, dates).lines
    came, went = lines["since"] > 0, lines["until"] < ALWAYS
    assert (came | went).any()
    assert not (came & went).any()
    assert lines.loc[came, "since"].between(1, dates - 1).all()
    assert lines.loc[went, "until"].between(1, dates - 1).all()
    # What was drawn is still there, whole: cut into pieces at most; only new roads are added.
    gone = shapely.union_all(layout.lines.geometry.values).difference(
        shapely.union_all(lines.geometry.values).buffer(0.01)
    )
    assert gone.length == pytest.approx(0, abs=0.1)
    assert set(lines["kind"]) == {"road"}


def test_one_date_and_no_roads_change_no_line() -> None:
    layout = lanes(96, 1)
    for changed in (add_changes(layout, 1), add_changes(layout, 6, roads=False)):
        assert (changed.lines["since"] == 0).all()
        assert (changed.lines["until"] == ALWAYS).all()
        assert changed.lines.geometry.geom_equals(layout.lines.geometry).all()


def test_the_images_show_a_road_from_its_first_date_on() -> None:
    layout = add_landscapes(empty_layout(open_sea(64), 5), ("canopy",), 4)
    left, bottom, right, _ = layout.grid.bounds
    lines = [LineString([(left, y), (right, y)]) for y in (bottom + 160, bottom + 480)]
    table = {"kind": "road", "width_m": 20.0, "paved": True, "highway": ["primary"] * 2}
    table |= {"since": [2, 0], "until": [ALWAYS, 3]}
    layout = replace(layout, lines=gpd.GeoDataFrame(table, geometry=lines, crs=layout.grid.crs))
    start = dt.date(2021, 6, 1)
    days = [Day(start + dt.timedelta(days=at), 45.0, seed=at) for at in range(4)]
    series = simulate_series(layout, days, ["B04"])
    assert series.images.shape == (4, 1, 64, 64)
    masks = [
        rasterize([line.buffer(8)], (64, 64), transform=layout.grid.transform).astype(bool) for line in lines
    ]
    wood = ~(rasterize([line.buffer(60) for line in lines], (64, 64), transform=layout.grid.transform) > 0)
    bright = [
        [image[0, mask].mean() / image[0, wood].mean() > 1.3 for mask in masks] for image in series.images
    ]
    assert bright == [[False, True], [False, True], [True, True], [True, False]]
    roads = dated_roads(series.layout, days)
    assert roads["from"].fillna("").tolist() == ["2021-06-03", ""]
    assert roads["until"].fillna("").tolist() == ["", "2021-06-04"]
    assert len(at_date(series.layout, 3).lines) == 1
    assert exists(layout.lines, 2).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), count=st.integers(1, 16), latitude=st.sampled_from([-40.0, 0.0, 45.0, 62.0])
)
def test_a_series_has_its_dates_in_order(seed: int, count: int, latitude: float) -> None:
    values = Parameters()
    days = plan_series(count, draw_climate(latitude, seed), values, seed)
    dates = [day.date for day in days]
    assert len(dates) == count
    assert dates == sorted(set(dates))
    assert min(day.sun[0] for day in days) >= np.deg2rad(values.light.lowest_sun_deg)
    assert all(0 <= day.cloud < 0.6 and 0 < day.aerosol <= 1.5 for day in days)


def test_series_have_haze_cloud_and_uneven_gaps() -> None:
    series = [plan_series(8, draw_climate(45, seed), Parameters(), seed) for seed in range(20)]
    days = [day for one in series for day in one]
    assert 0.1 < np.mean([day.cloud > 0 for day in days]) < 0.4
    assert 0.05 < np.mean([day.aerosol > 0.3 for day in days]) < 0.35
    gaps = [np.diff([day.date.toordinal() for day in one]) for one in series]
    assert np.median([gap.max() / gap.min() for gap in gaps]) > 3


def test_the_command_makes_a_changing_place_of_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "place"
    bounds = "-21.000,45.000,-20.985,45.010"
    arguments = ["simulate", "--out", str(out), "--bounds", bounds, "--seed", "4", "--dates", "4", "--json"]
    assert cli.run([*arguments, "--landscape", "tidal,lane", "--change"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["attribution"] == "simulated imagery, no real place"
    assert [p.stem for p in sorted(out.glob("*.tif"))] == result["dates"]
    roads, changes = (gpd.read_file(out / "roads.gpkg", layer=layer) for layer in ("roads", "changes"))
    assert list(roads.columns) == ["highway", "width_m", "from", "until", "geometry"]
    assert 0 < len(changes) <= len(roads)
    dated = {*changes["from"].dropna(), *changes["until"].dropna()}
    assert dated <= set(result["dates"][1:])
    # Labels and truth show the newest date.
    truth = gpd.read_parquet(out / "truth.parquet")
    assert truth["highway"].notna().sum() == roads["until"].isna().sum()
    assert cli.run(["build", str(out / "sites.yaml"), "--out", str(tmp_path / "dataset")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "neither a file nor a landscape"), (["--landscape", "moon"], "no landscape 'moon'")],
)
def test_what_cannot_be_made_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    out = tmp_path / "out"
    assert cli.run(["simulate", "--out", str(out), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()
