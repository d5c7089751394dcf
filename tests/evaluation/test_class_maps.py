"""Maps of many classes are scored by one decision a pixel."""

import json
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from shapely import Point

from support.class_worlds import LEGEND, map_classes, of_three_classes
from support.drawn_maps import DATES
from swath.dataset.site import Dataset, read_labels
from swath.errors import GridError, InputError
from swath.evaluation.candidate import UNTRAINED, Candidate
from swath.evaluation.decisions import decide, read_decisions
from swath.evaluation.evaluate import evaluate, evaluate_labels
from swath.evaluation.report import Report
from swath.labels.source import LabelSettings
from swath.legend import IGNORE
from swath.maps.sitemaps import read_maps
from swath.models.fusion import FUSIONS


@pytest.fixture(scope="module")
def three(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return of_three_classes(dataset, tmp_path_factory.mktemp("three"))


@pytest.fixture(scope="module")
def maps(three: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return map_classes(tmp_path_factory.mktemp("maps") / "maps", three)


@pytest.fixture(scope="module")
def report(three: Dataset, maps: Path) -> Report:
    return evaluate(maps, three).report


def test_the_matrix_is_that_of_the_class_map(three: Dataset, maps: Path, report: Report) -> None:
    labels = read_labels(three.site("sim_test"))
    (site,) = (m for m in read_maps(maps) if m.site == "sim_test")
    known = labels != IGNORE
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (labels[known], site.classes()[known]), 1)
    row = report.class_map(Candidate.FUSED, "test")
    assert row is not None
    np.testing.assert_array_equal(row.matrix, expected)
    assert row.pixels == known.sum()
    assert row.accuracy == pytest.approx((labels == site.classes())[known].mean())
    low, high = row.ci["accuracy"] or (1, 0)
    assert low <= row.accuracy <= high
    assert report.classes == LEGEND.names
    assert report.rows == report.paired == ()
    # Mapped is the whole site, not only its labelled part.
    assert sum(of.mapped_ha for of in row.classes.values()) == pytest.approx(labels.size / 100)
    assert row.classes["water"].area_ha == pytest.approx((labels == 2).sum() / 100, rel=0.3)


def test_all_candidates_are_there_and_the_fused_map_gains(report: Report) -> None:
    models = {row.model for row in report.class_maps if row.site == "all"}
    controls = {*UNTRAINED, Candidate.SHIFTED, Candidate.COMMONEST}
    assert models == {*DATES, Candidate.DATES, Candidate.FUSED, *controls}
    assert {gain.role for gain in report.gains} == {"dates", "mean", "best control"}
    for gain in report.gains:
        assert gain.difference["accuracy"] > 0
        assert set(gain.ci) == {"accuracy", "mean_iou", *LEGEND.names}
    assert {g.chosen_on for g in report.gains if g.role == "best control"} == {"validation"}
    dates = report.class_map(Candidate.DATES, "test")
    days = [report.class_map(day, "test") for day in DATES]
    assert dates is not None
    np.testing.assert_array_equal(dates.matrix, np.sum([day.matrix for day in days if day], axis=0))


def test_the_commonest_class_has_its_share(three: Dataset, report: Report) -> None:
    labels = read_labels(three.site("sim_test"))
    counts = np.bincount(labels[labels != IGNORE], minlength=3)
    row = report.class_map(Candidate.COMMONEST, "test")
    assert row is not None
    assert row.accuracy == pytest.approx(counts.max() / counts.sum())
    assert row.kappa == 0
    assert row.mean_iou == pytest.approx(counts.max() / counts.sum() / 3)


def test_controls_decide_as_their_fusions_do(maps: Path) -> None:
    site = read_maps(maps)[0]
    pmaps = np.stack([site.pmap(day).filled() for day in site.dates])
    decisions = dict(read_decisions(site))
    for name in ("mean", "median", "vote"):
        fused = FUSIONS[name](pmaps, np.ones(pmaps[:, 0].shape, bool))
        np.testing.assert_array_equal(decisions[Candidate(name)].classes, fused.argmax(axis=0))
    # Class 0 is a class as the others, not what is left.
    np.testing.assert_array_equal(decisions[Candidate.MAX].classes, pmaps.max(axis=0).argmax(axis=0))
    shifted, mean = decisions[Candidate.SHIFTED].classes, decisions[Candidate.MEAN].classes
    np.testing.assert_array_equal(shifted[50:, 50:], mean[:-50, :-50])


def test_the_likeliest_class_and_how_sure_it_is() -> None:
    pmap = np.array([[0.2, 0.5, np.nan], [0.6, 0.5, np.nan], [0.2, 0.0, np.nan]])[:, None]
    classes, bins = decide(pmap)
    assert classes.tolist() == [[1, 0, 0]]
    assert bins.tolist() == [[600, 500, 0]]


def test_a_model_that_takes_the_mean_has_no_fused_row(three: Dataset, tmp_path: Path) -> None:
    report = evaluate(map_classes(tmp_path / "maps", three, fusion="mean"), three).report
    assert Candidate.FUSED not in {row.model for row in report.class_maps}
    assert report.gains == ()
    assert report.headline_model == Candidate.MEAN


def test_it_is_the_same_when_it_is_read_back(report: Report) -> None:
    assert Report.model_validate(json.loads(json.dumps(report.as_json(), allow_nan=False))) == report
    (first, *_), n = report.summary(), len(report.class_columns("test"))
    assert len(report.summary()) == n
    assert first["split"] == "test"


def test_points_score_a_map_that_no_dataset_holds(three: Dataset, tmp_path: Path) -> None:
    site = three.site("sim_test")
    alone = replace(three, sites=(site,))
    folder = map_classes(tmp_path / "maps", alone)
    left, _, _, top = site.grid.bounds
    pixels = [(30, 10), (80, 80), (50, 95), (25, 60)]
    points = [Point(left + 10 * col + 5, top - 10 * row - 5) for row, col in pixels]
    classes = read_maps(folder)[0].classes()
    found = [LEGEND.names[classes[row, col]] for row, col in pixels]
    names = [*found[:3], next(name for name in LEGEND.names if name != found[3])]
    frame = gpd.GeoDataFrame({"land": names}, geometry=points, crs=site.grid.crs)
    frame.to_file(tmp_path / "points.gpkg")
    settings = LabelSettings(path=str(tmp_path / "points.gpkg"), column="land")
    report = evaluate_labels(folder, settings).report
    row = report.class_map(Candidate.FUSED, "all")
    assert row is not None
    assert (row.pixels, row.accuracy) == (4, 0.75)
    with pytest.raises(InputError, match="expected the codes in a column kind"):
        evaluate_labels(folder, settings.model_copy(update={"column": "kind"}))
    both = map_classes(tmp_path / "both", three)
    with pytest.raises(GridError, match="belong to one site"):
        evaluate_labels(both, settings)
