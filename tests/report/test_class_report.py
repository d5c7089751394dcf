"""The report on maps of many classes: one table, one page with the matrix."""

from pathlib import Path

import pyogrio
import pytest

from support.class_worlds import map_classes, of_three_classes
from swath.dataset.site import Dataset
from swath.evaluation.evaluate import Evaluation, evaluate
from swath.report.folder import write_report
from swath.report.table import report_text


@pytest.fixture(scope="module")
def evaluation(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    folder = tmp_path_factory.mktemp("three")
    three = of_three_classes(dataset, folder / "labels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swath.evaluation.errorareas.LEAST_PX", 1)  # these maps are wrong in single pixels
        return evaluate(map_classes(folder / "maps", three), three)


def test_there_is_one_table_and_one_headline(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    (text,) = report_text(evaluation.report)
    lines = text.splitlines()
    assert "test: U-NET + ConvLSTM: overall accuracy" in text
    for name in ("field", "road", "water", "mean IoU", "kappa", "overall accuracy %"):
        assert sum(f"│ {name} " in line for line in lines) == 1
    for name in ("U-NET", "vote", "shifted mean", "commonest"):
        assert name in text
    assert max(map(len, lines)) <= 120


def test_the_page_draws_the_matrix(evaluation: Evaluation, tmp_path: Path) -> None:
    page = write_report(evaluation, tmp_path / "report")
    html = page.read_text("utf-8")
    for words in ("Confusion matrix", "producer", "What U-NET + ConvLSTM adds", "stratified estimator"):
        assert words in html
    matrix = evaluation.report.class_map(evaluation.report.headline_model, "test")
    assert matrix is not None
    assert all(f">{count}</td>" in html for line in matrix.matrix for count in line)
    drawn = {path.name for path in (tmp_path / "report" / "figures").iterdir()}
    assert {"matrix_test.png", "sim_test_classes.png", "sim_test_errors.png", "sim_test_sure.png"} <= drawn
    errors = tmp_path / "report" / "errors" / "sim_test.gpkg"
    assert pyogrio.list_layers(errors)[:, 0].tolist()[-1] == "wrong"
    assert "click one to go there" in html
