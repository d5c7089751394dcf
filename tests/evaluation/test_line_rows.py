"""The scores of lines in reports: those of the vectors, where they are scored, beside chance."""

from pathlib import Path

import geopandas as gpd
import pytest

from support.drawn_maps import map_all
from swath.dataset.site import Dataset
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


def test_reports_show_lines_first(evaluation: Evaluation, tmp_path: Path) -> None:
    first = report_text(evaluation.report)[0]
    assert "Lines against lines" in first
    assert "road, test, by chance" in first
    page = write_report(evaluation, tmp_path / "report").read_text("utf-8")
    assert page.index("<h2>Lines</h2>") < page.index("The paper's table")
