"""New and vanished roads between maps of days that differ in light, noise and place."""

import datetime as dt
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

import swath
from swath import cli
from swath.errors import DatasetError, InputError, OutputExistsError, SettingsError
from swath.files import write_json
from swath.grid import Grid
from swath.legend import read_legend
from swath.maps.compare import choose_sides
from swath.maps.manifest import Manifest, Output, Settings, write_manifest
from swath.maps.rasters import classify
from swath.maps.roadchange import _together, changed_km, least_rise, odds_rise, road_changes
from swath.maps.sitemaps import SiteMaps, encode_pmap
from swath.maps.vectors import write_vectors
from swath.scenes.raster import write_raster

GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), (160, 200))
EARLY = tuple(dt.date(2018, month, 1) for month in (4, 6, 8))
LATE = tuple(dt.date(2022, month, 1) for month in (4, 6, 8))
OLD_ROADS = [[(20, 5), (40, 195)], [(5, 60), (155, 70)], [(120, 5), (110, 195)]]
OLD_ROADS += [[(145, 5), (135, 195)], [(50, 5), (62, 195)], [(5, 110), (155, 105)], [(5, 25), (155, 22)]]
ADDED, REMOVED = [(75, 10), (85, 190)], [(10, 150), (150, 140)]


def road(roads: list[list[tuple[int, int]]], seed: int) -> NDArray[np.float32]:
    """The probability of road on a day: 30 m wide lines, up to a pixel off, with holes and blobs."""
    generator = np.random.default_rng(seed)
    mask = np.zeros(GRID.shape, bool)
    for (r0, c0), (r1, c1) in roads:
        steps = np.linspace(0, 1, 1000)
        mask[np.rint(r0 + steps * (r1 - r0)).astype(int), np.rint(c0 + steps * (c1 - c0)).astype(int)] = True
    mask = ndimage.binary_dilation(mask, np.ones((3, 3)))
    mask = np.roll(mask, generator.integers(-1, 2, 2), axis=(0, 1))
    field = ndimage.gaussian_filter(generator.normal(size=GRID.shape), 3)
    level = np.where(mask, 0.9, 0.08) + 0.08 * field / field.std()
    soft: NDArray[np.float32] = ndimage.gaussian_filter(np.clip(level, 0.01, 0.99), 0.7).astype(np.float32)
    return soft


def site(folder: Path, days: dict[dt.date, NDArray[np.float32]], cut: float = 0.35) -> SiteMaps:
    """MAPS/<site> of the days' probabilities, fused by their mean."""
    folder.mkdir(parents=True)
    legend = read_legend("roads")
    maps = SiteMaps(folder=folder, site="here", dates=tuple(days), legend=legend, model="m", fusion="mean")
    known = np.ones(GRID.shape, bool)
    for path, p in [
        (maps.fused_path, np.mean(list(days.values()), axis=0)),
        *((maps.pmap_path(date), p) for date, p in days.items()),
    ]:
        codes = encode_pmap(np.stack([1 - p, p]).astype(np.float32), known)
        write_raster(path, codes, GRID, nodata=255, names=["road"])
    classes = classify(encode_pmap(np.stack([1 - p, p]).astype(np.float32), known), 350)
    write_raster(maps.classes_path, classes[None], GRID, nodata=255, names=["class"])
    write_raster(maps.composite_path, np.ones((3, *GRID.shape), np.uint8), GRID, nodata=0, names=list("rgb"))
    write_vectors(maps, cut)
    settings = Settings(tile_px=1024, precision="fp32", orientations=1, device="cpu", max_dates=3)
    output = {"classes.tif": Output(key="", sha256="", threshold=0.35)}
    where = {"crs": GRID.crs, "transform": tuple(GRID.transform)[:6], "shape": GRID.shape}
    manifest = Manifest(run="", model_sha256="", settings=settings, dates={}, outputs=output, **where)
    write_manifest(folder, manifest)
    write_json(maps.item_path, {"properties": maps.fields()})
    return maps


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps before and after a change, after without one, and of all dates."""
    root = tmp_path_factory.mktemp("changes")
    before, after = [*OLD_ROADS, REMOVED], [*OLD_ROADS, ADDED]
    early = {date: road(before, seed) for seed, date in enumerate(EARLY)}
    late = {date: road(after, 10 + seed) for seed, date in enumerate(LATE)}
    site(root / "old" / "here", early)
    site(root / "new" / "here", late)
    site(root / "all" / "here", early | late)
    site(root / "same" / "here", {date: road(before, 20 + seed) for seed, date in enumerate(LATE)})
    cloudy = {**late, LATE[1]: np.full(GRID.shape, 0.02, np.float32)}
    site(root / "cloudy" / "here", cloudy)
    return root


def truth(pixels: list[tuple[int, int]]) -> shapely.LineString:
    return shapely.LineString([(600_005 + 10 * col, 5_329_995 - 10 * row) for row, col in pixels])


def test_ground_without_change_has_none(root: Path, tmp_path: Path) -> None:
    found = swath.changes(root / "old", root / "same", tmp_path / "changes.gpkg")
    km = swath.open_maps(root / "same").roads()["length_m"].sum() / 1e3
    assert sum(changed_km(found).values()) < 0.01 * km


@pytest.mark.parametrize("newer", ["new", "cloudy"])
def test_new_and_vanished_roads_are_found_with_their_dates(root: Path, tmp_path: Path, newer: str) -> None:
    found = swath.changes(root / "old", root / newer, tmp_path / "changes.gpkg")
    for change, pixels, days in (("new", ADDED, LATE), ("vanished", REMOVED, EARLY)):
        rows = found[found["change"] == change]
        line = truth(pixels)
        right = rows.length[rows.distance(line) < 20].sum()
        # Where it crosses other roads, or runs beside one, nothing is new.
        recall, precision = min(1, right / line.length), right / rows.length.sum()
        # A clouded day makes all scores swing more.
        assert 2 * precision * recall / (precision + recall) > (0.8 if newer == "new" else 0.7)
        assert (rows["p_change"].abs() > 0.35).all()
        if newer == "new":
            assert rows["first_seen"].unique().tolist() == [str(days[0])]
            assert rows["last_seen"].unique().tolist() == [str(days[-1])]


def wide(level: float, seed: int) -> NDArray[np.float32]:
    """Ground on which one wide road has a score; nothing else is there."""
    score: NDArray[np.float32] = (
        np.random.default_rng(seed).uniform(0.02, 0.06, GRID.shape).astype(np.float32)
    )
    score[78:82] = level
    return score


def test_a_road_that_leaves_a_trace_has_vanished(tmp_path: Path) -> None:
    old = site(tmp_path / "old" / "here", {date: wide(0.97, seed) for seed, date in enumerate(EARLY)})
    levels = (0.42, 0.99, 0.42)  # a line is still traced, and one day looks as before
    days = {date: wide(level, 9) for level, date in zip(levels, LATE, strict=True)}
    new = site(tmp_path / "new" / "here", days, 0.2)
    assert len(swath.open_maps(new.folder.parent).roads())
    found = road_changes(old, new)
    assert set(found["change"]) == {"vanished"}
    assert found["length_m"].sum() == pytest.approx(1960, abs=60)
    assert found["p_before"].tolist() == pytest.approx([0.97], abs=0.01)
    assert found["p_after"].tolist() == pytest.approx([0.42], abs=0.01)
    assert found["last_seen"].tolist() == [str(EARLY[-1])]


def test_two_hazy_days_of_three_are_needed_to_take_a_road_away(tmp_path: Path) -> None:
    old = site(tmp_path / "old" / "here", {date: wide(0.9, seed) for seed, date in enumerate(EARLY)})
    levels = (0.8, 0.05, 0.75)
    new = site(tmp_path / "new" / "here", {date: wide(v, 9) for v, date in zip(levels, LATE, strict=True)})
    assert len(road_changes(old, new)) == 0


def test_what_roads_swing_by_decides_how_much_is_a_change() -> None:
    rise = np.array([-9.0, 0.0, 0.1, 0.4, 9.0, np.nan], np.float32)  # median 0.1, upper quartile 0.4
    assert least_rise(rise) == pytest.approx(0.1 + 6 * 0.3)
    assert least_rise(rise / 2) == 1.6
    assert least_rise(9 * rise) == least_rise(rise[5:]) == 3.0


def test_what_counts_is_the_usual_score_of_the_road_against_the_upper_one_without_it() -> None:
    nan = np.nan
    has = np.array([[0.9, 0.5, nan], [0.47, 0.5, nan], [0.0, nan, nan]], np.float32)  # 0.47 and 0.5
    lacks = np.array([[0.0, 0.1, 0.1], [0.1, nan, 0.1], [0.0, nan, 0.1]], np.float32)  # 0.05 and 0.1
    expected = [np.log(0.5 / 0.56) - np.log(0.08 / 0.98), np.log(1) - np.log(0.13 / 0.93), nan]
    assert odds_rise(has, lacks) == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_a_date_that_lies_beside_the_others_is_read_beside_them(tmp_path: Path) -> None:
    days = {date: wide(0.9, seed) for seed, date in enumerate(EARLY)}
    days[EARLY[0]][:, 100:] = 0.03  # half of the road is new
    built = {date: np.roll(wide(0.9, 9), 1, axis=0) for date in LATE}
    old, new = site(tmp_path / "old" / "here", days), site(tmp_path / "new" / "here", built)
    assert len(road_changes(old, new)) == 0
    days = dict.fromkeys(EARLY, days[EARLY[0]])
    found = road_changes(site(tmp_path / "half" / "here", days), new)
    assert found["change"].tolist() == ["new"]
    assert found["length_m"].sum() == pytest.approx(980, abs=70)
    assert found["p_after"].tolist() == pytest.approx([0.9], abs=0.01)


def test_a_faint_road_that_stands_alone_is_traced_and_new(tmp_path: Path) -> None:
    old = site(tmp_path / "old" / "here", {date: wide(0.02, seed) for seed, date in enumerate(EARLY)})
    new = site(tmp_path / "new" / "here", {date: wide(0.5, seed) for seed, date in enumerate(LATE)})
    assert len(new.roads()) == 0  # somewhere it would need four times the odds of 0.35: 0.68
    found = swath.changes(old.folder.parent, new.folder.parent, tmp_path / "changes.gpkg")
    assert found["change"].tolist() == ["new"]
    assert found["length_m"].sum() == pytest.approx(1960, abs=60)


def test_a_street_across_does_not_hide_a_new_road(tmp_path: Path) -> None:
    across = wide(0.03, 1)
    across[:, 10::12] = 0.9  # the score along the road is 0.9 within 10 m of a quarter of its points
    old = site(tmp_path / "old" / "here", dict.fromkeys(EARLY, across))
    built = np.maximum(across, wide(0.9, 2))
    new = site(tmp_path / "new" / "here", dict.fromkeys(LATE, built))
    found = road_changes(old, new)
    assert set(found["change"]) == {"new"}
    assert (
        found.union_all()
        .buffer(20)
        .contains(shapely.LineString([(600_200, 5_329_200), (601_800, 5_329_200)]))
    )


def test_a_short_change_counts_with_what_lies_near_it() -> None:
    near, nearer, alone = ((shapely.LineString([(x, 0), (x + 120, 0)]),) for x in (0, 150, 1000))
    assert _together([near, nearer, alone]) == [near, nearer]
    assert _together([alone]) == []
    assert _together([]) == []


def test_two_groups_of_dates_of_one_map(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "changes.gpkg"
    found = swath.changes(
        root / "all", None, out, before="2018-01-01..2018-12-31", after="2022-01-01..2022-12-31"
    )
    km = changed_km(found)
    assert km["new"] == pytest.approx(1.8, abs=0.4)
    assert km["vanished"] == pytest.approx(1.4, abs=0.4)
    stored = gpd.read_file(out, layer="roads")
    assert stored["length_m"].sum() == pytest.approx(found["length_m"].sum())
    assert pyogrio.list_layers(out)[:, 0].tolist() == ["roads"]
    with pytest.raises(OutputExistsError):
        swath.changes(root / "all", None, out, before="2018-04-01", after="2022-04-01")


def test_what_cannot_be_compared(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "changes.gpkg"
    with pytest.raises(SettingsError, match="give a newer map, or dates"):
        swath.changes(root / "all", None, out)
    with pytest.raises(SettingsError, match="got 'soon'"):
        swath.changes(root / "all", None, out, before="soon", after="2022-04-01")
    with pytest.raises(SettingsError, match="must end ahead"):
        swath.changes(root / "all", None, out, before="2018-04-01..2022-04-01", after="2022-04-01")
    with pytest.raises(SettingsError, match="two maps are compared as they are"):
        swath.changes(root / "old", root / "new", out, before="2018-04-01")
    with pytest.raises(DatasetError, match="no map from 2019-01-01 to 2019-12-31"):
        swath.changes(root / "all", None, out, before="2019-01-01..2019-12-31", after="2022-04-01")
    with pytest.raises(DatasetError, match="no date that"):
        swath.changes(root / "old", root / "old", out)
    with pytest.raises(InputError, match="written as a GeoPackage"):
        swath.changes(root / "old", root / "new", tmp_path / "changes.shp")
    assert not out.exists()


def test_dates_that_both_maps_have_are_older(root: Path) -> None:
    old, whole = (swath.open_maps(root / name).only for name in ("old", "all"))
    with choose_sides(old, whole, None, None) as (before, after):
        assert (before.dates, after.dates) == (EARLY, LATE)
        assert changed_km(road_changes(before, after))["new"] > 1


def test_the_command(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "changes.gpkg"
    arguments = ["changes", str(root / "old"), str(root / "new"), "--out", str(out)]
    assert cli.run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["km"]) == {"new", "vanished"}
    assert told["km"]["new"] > 1
    assert cli.run(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
