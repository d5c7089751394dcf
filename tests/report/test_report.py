"""The report as files: JSON, HTML, figures, the command, and what is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.drawn_maps import draw_pmaps, map_all, row, score, write_maps
from swath.dataset.build import build_dataset
from swath.dataset.site import Dataset, Site, read_labels
from swath.errors import DatasetError, GridError, InputError, MissingExtraError, OutputExistsError
from swath.grid import Window
from swath.legend import IGNORE, Legend
from swath.report import report as report_module
from swath.report.report import Report, evaluate, evaluate_labels
from swath.report.table import paper_table, table_text
from swath.scenes.raster import write_raster


@pytest.fixture(scope="module")
def dataset(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return build_dataset(tiny_world, tmp_path_factory.mktemp("data") / "dataset")


@pytest.fixture(scope="module")
def maps(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return map_all(tmp_path_factory.mktemp("maps") / "maps", dataset)


@pytest.fixture(scope="module")
def report(dataset: Dataset, maps: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return evaluate(maps, dataset, tmp_path_factory.mktemp("report") / "report")


def test_the_report_is_strict_json_and_what_was_returned(report: Report) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in report.json")

    text = (report.folder / "report.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse) == report.content
    assert {"created", "version", "dataset", "maps", "stands_on", "seed"} <= set(report.content)
    assert report.content["stands_on"].endswith("3 sites, T = 3")


def test_a_label_file_alone(dataset: Dataset, maps: Path, tmp_path: Path) -> None:
    site = _moved(dataset.site("sim_test"))
    folder = tmp_path / "maps"
    labels = read_labels(dataset.site("sim_test"))
    pmaps = draw_pmaps(labels, 0.2, 3)
    write_maps(folder, site.name, site.grid, pmaps, pmaps[0], dataset.legend)
    path = tmp_path / "labels.tif"
    write_raster(path, labels[None], site.grid, nodata=IGNORE, names=["class"])
    report = evaluate_labels(folder, path, tmp_path / "report")
    assert {r["split"] for r in report.rows} == {"all"}
    assert {r["threshold_rule"] for r in report.rows} == {"half", "scene"}
    assert row(report, "mean", "all")["pixels"] == (labels != IGNORE).sum()
    assert row(report, "mean", "all")["line_f1"]["2"] > 0.5
    with pytest.raises(GridError, match="no mapped site lies on its grid"):
        evaluate_labels(maps, path, tmp_path / "other")


def _moved(site: Site) -> Site:
    grid = site.grid
    return replace(site, grid=grid.crop(Window(7, 7, *grid.shape)))


def test_a_label_file_with_unknown_classes_is_refused(
    dataset: Dataset, maps: Path, tmp_path: Path
) -> None:
    site = _moved(dataset.site("sim_test"))
    labels = read_labels(dataset.site("sim_test"))
    pmaps = draw_pmaps(labels, 0.2, 3)
    write_maps(tmp_path / "maps", site.name, site.grid, pmaps, pmaps[0], dataset.legend)
    labels[0, 0] = 7
    path = tmp_path / "labels.tif"
    write_raster(path, labels[None], site.grid, nodata=IGNORE, names=["class"])
    with pytest.raises(InputError, match="label 7 is no class"):
        evaluate_labels(tmp_path / "maps", path, tmp_path / "report")
    wide = tmp_path / "wide.tif"
    write_raster(wide, labels[None].astype(np.uint16), site.grid, nodata=255, names=["class"])
    with pytest.raises(InputError, match="one band of uint8"):
        evaluate_labels(tmp_path / "maps", wide, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_maps_that_do_not_fit_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    site = dataset.site("sim_test")
    pmaps = draw_pmaps(read_labels(site), 0.2, 3)
    write_maps(tmp_path / "moved", site.name, _moved(site).grid, pmaps, pmaps[0], dataset.legend)
    with pytest.raises(GridError, match="map the dataset itself"):
        score(tmp_path / "moved", dataset, tmp_path / "report")
    write_maps(tmp_path / "named", "elsewhere", site.grid, pmaps, pmaps[0], dataset.legend)
    with pytest.raises(DatasetError, match="no site 'elsewhere'"):
        score(tmp_path / "named", dataset, tmp_path / "report")
    with pytest.raises(DatasetError, match="run swath map first"):
        score(tmp_path, dataset, tmp_path / "report")
    names = [{**c.model_dump(), "name": f"other {c.id}"} for c in dataset.legend.classes]
    legend = Legend.model_validate({"name": "other", "classes": names})
    write_maps(tmp_path / "classes", site.name, site.grid, pmaps, pmaps[0], legend)
    with pytest.raises(InputError, match="same classes"):
        score(tmp_path / "classes", dataset, tmp_path / "report")
    unlabelled = tmp_path / "ignored.tif"
    blank = np.full((1, *site.grid.shape), IGNORE, np.uint8)
    write_raster(unlabelled, blank, site.grid, nodata=IGNORE, names=["class"])
    empty = replace(dataset, sites=(replace(site, labels=unlabelled),))
    with pytest.raises(DatasetError, match="no labelled pixel"):
        score(map_all(tmp_path / "maps", dataset, only=[site.name]), empty, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_an_existing_report_is_kept_unless_told(
    dataset: Dataset, maps: Path, report: Report
) -> None:
    before = (report.folder / "report.json").read_bytes()
    with pytest.raises(OutputExistsError):
        evaluate(maps, dataset, report.folder)
    assert (report.folder / "report.json").read_bytes() == before


def test_the_html_stands_alone(report: Report) -> None:
    html = (report.folder / "report.html").read_text(encoding="utf-8")
    references = re.findall(r"""(?:src|href|url|action|data)\s*[=(]\s*["']?([^"')\s>]*)""", html)
    assert references
    assert all(reference.startswith("data:image/png;base64,") for reference in references)
    for forbidden in ("http:", "https:", "//cdn", "@import", "<script", "<link", "<iframe"):
        assert forbidden not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", html)
    for expected in ("U-NET + ConvLSTM", "all-background", "PR-AUC", "What U-NET + ConvLSTM adds"):
        assert expected in html


def test_the_html_escapes_what_comes_from_files(dataset: Dataset, tmp_path: Path) -> None:
    hostile = replace(dataset, attribution="<script>alert(1)</script>")
    folder = map_all(tmp_path / "maps", hostile, only=["sim_test"])
    report = evaluate(folder, hostile, tmp_path / "report")
    html = (report.folder / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_the_figures_of_the_paper(report: Report) -> None:
    pngs = sorted((report.folder / "figures").glob("*.png"))
    kinds = ("image_label", "dilation", "composite", "fused", "truth", "errors")
    splits = ("train", "validation", "test")
    expected = {f"sim_{split}_{kind}.png" for split in splits for kind in kinds}
    assert {png.name for png in pngs} == expected | {f"curves_{s}_road.png" for s in splits}
    assert all(png.read_bytes().startswith(b"\x89PNG") for png in pngs)


def test_the_papers_table(report: Report) -> None:
    table = report.table()
    assert [r["model"] for r in table] == [
        *("U-NET", "U-NET + ConvLSTM", "mean", "median", "vote", "max"),
        *("shifted mean (50 px)", "all-background", "all-road"),
    ]
    test = row(report, "U-NET + ConvLSTM", "test")
    assert table[1]["test"] == {"accuracy": test["accuracy"], "iou": test["iou"]}
    assert paper_table(report).row_count == len(table)
    text = table_text(report)
    assert f"{100 * test['accuracy']:.1f}" in text
    assert "training" in text


def test_a_missing_extra_is_named_before_any_work(
    dataset: Dataset, maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"swath\[report\]"):
        evaluate(maps, dataset, tmp_path / "report")


def test_the_command(dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from swath.cli import run

    maps = map_all(tmp_path / "maps", dataset, only=["sim_test"])
    out = tmp_path / "report"
    arguments = ["evaluate", str(maps), "--out", str(out)]
    assert run([*arguments, "--dataset", str(dataset.root), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    content = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert result["report"] == str(out)
    assert result["rows"] == len(content["rows"])
    assert result["summary"][0]["model"] == "U-NET"

    labels = str(dataset.site("sim_test").labels)
    assert run([*arguments, "--labels", labels, "--overwrite"]) == 0
    text = capsys.readouterr().out
    assert "U-NET + ConvLSTM" in text
    assert "report.html" in text

    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: give what to score against: either --dataset or --labels\n"
