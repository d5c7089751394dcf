"""The scores of lines in reports: those of the vectors, where they are scored, beside chance."""

from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
import shapely
from pyproj import Transformer

from support.drawn_maps import map_all
from swath.dataset.site import Dataset
from swath.evaluation.errorlines import Outcome, longest_missed, write_error_lines
from swath.evaluation.evaluate import Evaluation, evaluate
from swath.evaluation.lines import LineModel
from swath.maps.sitemaps import read_maps
from swath.report.folder import write_report
from swath.report.table import report_text


@pytest.fixture(scope="module")
def evaluation(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Maps whose lines are the true ones, 7 m too far north; of the validation site none."""
    root = map_all(tmp_path_factory.mktemp("maps") / "maps", dataset)
    for maps in read_maps(root):
        roads = dataset.site(maps.site).roads
        if maps.site == "sim_validation" or roads is None:
            continue
        lines = gpd.read_parquet(roads).translate(0, 7)
        frame = gpd.GeoDataFrame({"class": "road"}, index=lines.index, geometry=lines)
        frame.to_parquet(maps.parquet_path)
    return evaluate(root, dataset)


def test_lines_are_scored_in_metres(evaluation: Evaluation) -> None:
    rows = {(row.split, row.site, row.model): row for row in evaluation.report.lines}
    places = {(split, site) for split in ("train", "test") for site in ("all", f"sim_{split}")}
    assert set(rows) == {(*place, model) for place in places for model in LineModel}
    for place in places:
        row, chance = rows[*place, LineModel.MAP], rows[*place, LineModel.CHANCE]
        assert row.true_km == pytest.approx(row.mapped_km, rel=0.1)
        assert (row.f1[5] or 0) < 0.6
        assert (row.f1[10] or 0) > 0.97
        assert (row.apls or 0) > 0.8
        assert (chance.f1[10] or 0) < 0.5


def test_errors_are_the_lines_that_make_the_scores(evaluation: Evaluation, tmp_path: Path) -> None:
    rows = {row.site: row for row in evaluation.report.lines if row.model == LineModel.MAP}
    assert set(evaluation.errors) == {"sim_train", "sim_test"}
    for site, errors in evaluation.errors.items():
        row = rows[site]
        km = {outcome: frame["length_m"].sum() / 1e3 for outcome, frame in errors.items()}
        # A piece ends within 5 m of where it should.
        assert km[Outcome.FOUND] == pytest.approx(row.true_km * (row.completeness[10] or 0), rel=0.03)
        assert km[Outcome.FOUND] + km[Outcome.MISSED] == pytest.approx(row.true_km, rel=0.03)
        assert km[Outcome.FALSE] == pytest.approx(row.mapped_km * (1 - (row.correctness[10] or 0)), abs=0.1)
        for frame in errors.values():
            assert frame.crs == read_maps(Path(evaluation.report.maps))[0].grid.crs
            assert frame.geometry.length.to_numpy() == pytest.approx(frame["length_m"].to_numpy())
    for line in evaluation.report.missed:
        missed = evaluation.errors[line.site][Outcome.MISSED]
        assert line.length_m == missed["length_m"].max()
    write_error_lines(tmp_path / "town.gpkg", evaluation.errors["sim_test"])
    assert {name for name, _ in pyogrio.list_layers(tmp_path / "town.gpkg")} == {"found", "missed", "false"}
    found = gpd.read_file(tmp_path / "town.gpkg", layer="found")
    assert set(found["split"]) == {"test"}
    assert set(found["class"]) == {"road"}


def test_the_longest_missed_line_has_its_place() -> None:
    crs = "EPSG:32630"
    road = shapely.LineString([(600_000, 5_330_000), (600_200, 5_330_000)])
    missed = gpd.GeoDataFrame(
        {"class": ["road", "road"], "split": ["test", "test"], "length_m": [200.0, 50.0]},
        geometry=[road, shapely.affinity.scale(road, 0.25)],
        crs=crs,
    )
    (line,) = longest_missed("town", {Outcome.MISSED: missed})
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(600_100, 5_330_000)
    assert (line.length_m, line.site, line.class_name) == (200.0, "town", "road")
    assert (line.lon, line.lat) == pytest.approx((lon, lat), abs=1e-5)


def test_reports_show_lines_first(evaluation: Evaluation, tmp_path: Path) -> None:
    first = report_text(evaluation.report)[0]
    assert "Lines against lines" in first
    assert "road, test, by chance" in first
    page = write_report(evaluation, tmp_path / "report").read_text("utf-8")
    assert page.index("<h3>Lines</h3>") < page.index("The paper's table")
