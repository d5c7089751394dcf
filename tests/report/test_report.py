"""The report as files: JSON, HTML, figures, the command, and what is refused."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.markup import escape
from rich.table import Table

from support.drawn_maps import draw_pmaps, map_all, row, write_maps
from swath.dataset.site import Dataset, Site, read_labels
from swath.errors import DatasetError, GridError, InputError, OutputExistsError
from swath.evaluation.candidate import Candidate
from swath.evaluation.evaluate import Evaluation, evaluate, evaluate_labels
from swath.files import sha256
from swath.grid import Window
from swath.labels.source import LabelSettings
from swath.legend import IGNORE, Legend
from swath.report.folder import check_report, write_report
from swath.report.table import paper_table, table_text
from swath.report.text import plain
from swath.scenes.raster import write_raster


@pytest.fixture(scope="module")
def maps(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return map_all(tmp_path_factory.mktemp("maps") / "maps", dataset)


@pytest.fixture(scope="module")
def evaluation(dataset: Dataset, maps: Path) -> Evaluation:
    return evaluate(maps, dataset)


@pytest.fixture(scope="module")
def folder(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report as `swath evaluate` leaves it."""
    out = tmp_path_factory.mktemp("report") / "report"
    assert write_report(evaluation, out) == out / "report.html"
    return out


def test_the_report_is_strict_json_and_what_was_returned(evaluation: Evaluation, folder: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in report.json")

    text = (folder / "report.json").read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=refuse)
    assert content == evaluation.report.as_json()
    assert {"created", "version", "dataset", "maps", "stands_on", "seed"} <= set(content)
    assert content["stands_on"].endswith("3 sites, T = 3")


def test_a_label_file_alone(dataset: Dataset, maps: Path, tmp_path: Path) -> None:
    site = _moved(dataset.site("sim_test"))
    folder = tmp_path / "maps"
    labels = read_labels(dataset.site("sim_test"))
    pmaps = draw_pmaps(labels, 0.2, 3)
    write_maps(folder, site.name, site.grid, pmaps, pmaps[0], dataset.legend)
    path = tmp_path / "labels.tif"
    write_raster(path, labels[None], site.grid, nodata=IGNORE, names=["class"])
    report = evaluate_labels(folder, LabelSettings(path=str(path))).report
    assert {r.split for r in report.rows} == {"all"}
    assert {r.threshold_rule for r in report.rows} == {"half", "scene"}
    mean = row(report, Candidate.MEAN, "all")
    assert mean.pixels == (labels != IGNORE).sum()
    assert mean.line_f1 is not None
    assert mean.line_f1[2] is not None
    assert mean.line_f1[2] > 0.5
    with pytest.raises(GridError, match="no mapped site lies on its grid"):
        evaluate_labels(maps, LabelSettings(path=str(path)))


def test_labels_without_the_class_are_told(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mask of 0 and 255, as many have it: 255 is ignored, so no road is left."""
    site = _moved(dataset.site("sim_test"))
    labels = read_labels(dataset.site("sim_test"))
    pmaps = draw_pmaps(labels, 0.2, 3)
    write_maps(tmp_path / "maps", site.name, site.grid, pmaps, pmaps[0], dataset.legend)
    path = tmp_path / "labels.tif"
    for mask in (np.where(labels == 1, IGNORE, 0), np.zeros_like(labels)):
        write_raster(path, mask[None].astype(np.uint8), site.grid, nodata=IGNORE, names=["class"])
        report = evaluate_labels(tmp_path / "maps", LabelSettings(path=str(path))).report
        assert "no pixel of class road; labels are 0 = background, 1 = road" in capsys.readouterr().err
        assert row(report, Candidate.MEAN, "all").accuracy > 0.5


def _moved(site: Site) -> Site:
    grid = site.grid
    return replace(site, grid=grid.crop(Window(7, 7, *grid.shape)))


def test_a_label_file_with_unknown_classes_is_refused(dataset: Dataset, maps: Path, tmp_path: Path) -> None:
    site = _moved(dataset.site("sim_test"))
    labels = read_labels(dataset.site("sim_test"))
    pmaps = draw_pmaps(labels, 0.2, 3)
    write_maps(tmp_path / "maps", site.name, site.grid, pmaps, pmaps[0], dataset.legend)
    labels[0, 0] = 7
    path = tmp_path / "labels.tif"
    write_raster(path, labels[None], site.grid, nodata=IGNORE, names=["class"])
    with pytest.raises(InputError, match="label 7 is no class"):
        evaluate_labels(tmp_path / "maps", LabelSettings(path=str(path)))
    wide = tmp_path / "wide.tif"
    write_raster(wide, labels[None].astype(np.uint16), site.grid, nodata=255, names=["class"])
    with pytest.raises(InputError, match="one band of uint8"):
        evaluate_labels(tmp_path / "maps", LabelSettings(path=str(wide)))


def test_maps_that_do_not_fit_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    site = dataset.site("sim_test")
    pmaps = draw_pmaps(read_labels(site), 0.2, 3)
    write_maps(tmp_path / "moved", site.name, _moved(site).grid, pmaps, pmaps[0], dataset.legend)
    with pytest.raises(GridError, match="map the dataset itself"):
        evaluate(tmp_path / "moved", dataset)
    write_maps(tmp_path / "named", "elsewhere", site.grid, pmaps, pmaps[0], dataset.legend)
    with pytest.raises(DatasetError, match="no site 'elsewhere'"):
        evaluate(tmp_path / "named", dataset)
    with pytest.raises(DatasetError, match="run swath map first"):
        evaluate(tmp_path, dataset)
    names = [{**c.model_dump(), "name": f"other {c.id}"} for c in dataset.legend.classes]
    legend = Legend.model_validate({"name": "other", "classes": names})
    write_maps(tmp_path / "classes", site.name, site.grid, pmaps, pmaps[0], legend)
    with pytest.raises(InputError, match="same classes"):
        evaluate(tmp_path / "classes", dataset)
    unlabelled = tmp_path / "ignored.tif"
    blank = np.full((1, *site.grid.shape), IGNORE, np.uint8)
    write_raster(unlabelled, blank, site.grid, nodata=IGNORE, names=["class"])
    changed = replace(dataset, sites=(replace(site, labels=unlabelled),))
    with pytest.raises(DatasetError, match="was changed since the dataset was built"):
        evaluate(tmp_path / "moved", changed)
    empty = replace(dataset, sites=(replace(site, labels=unlabelled, labels_sha256=sha256(unlabelled)),))
    with pytest.raises(DatasetError, match="no labelled pixel"):
        evaluate(map_all(tmp_path / "maps", dataset, only=[site.name]), empty)


def test_an_existing_report_is_kept_unless_told(evaluation: Evaluation, folder: Path) -> None:
    before = (folder / "report.json").read_bytes()
    with pytest.raises(OutputExistsError):
        write_report(evaluation, folder)
    with pytest.raises(OutputExistsError):
        check_report(folder, overwrite=False)
    check_report(folder, overwrite=True)
    assert (folder / "report.json").read_bytes() == before


def test_the_html_stands_alone(folder: Path) -> None:
    html = (folder / "report.html").read_text(encoding="utf-8")
    (inner,) = re.findall(r'srcdoc="([^"]*)"', html)
    assert "default-src &#39;none&#39;" in inner
    html = html.replace(inner, "")
    references = re.findall(r"""(?:src|href|url|action|data)\s*[=(]\s*["']?([^"')\s>]*)""", html)
    assert references
    assert all(reference.startswith(("data:image/png;base64,", "#")) for reference in references)
    for forbidden in ("http:", "https:", "//cdn", "@import", "<script", "<link"):
        assert forbidden not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", html)
    for expected in ("U-NET + ConvLSTM", "all-background", "PR-AUC", "What U-NET + ConvLSTM adds"):
        assert expected in html


def test_the_html_escapes_what_comes_from_files(dataset: Dataset, tmp_path: Path) -> None:
    hostile = replace(dataset, attribution="<script>alert(1)</script>")
    maps = map_all(tmp_path / "maps", hostile, only=["sim_test"])
    page = write_report(evaluate(maps, hostile), tmp_path / "report")
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;alert" in html


def test_the_figures_of_the_paper(folder: Path) -> None:
    pngs = sorted((folder / "figures").glob("*.png"))
    kinds = ("image_label", "dilation", "composite", "fused", "truth", "errors")
    splits = ("train", "validation", "test")
    expected = {f"sim_{split}_{kind}.png" for split in splits for kind in kinds}
    assert {png.name for png in pngs} == expected | {f"curves_{s}_road.png" for s in splits}
    assert all(png.read_bytes().startswith(b"\x89PNG") for png in pngs)


def test_the_papers_table(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    report = evaluation.report
    table = report.table()
    assert [r.name for r in table] == [
        *("U-NET", "U-NET + ConvLSTM", "mean", "median", "vote", "max"),
        *("shifted mean (50 px)", "all-background", "all-road"),
    ]
    test = row(report, Candidate.FUSED, "test")
    assert table[1].scores["test"] == test
    assert paper_table(report).row_count == len(table)
    text = table_text(report)
    assert test.accuracy is not None
    assert f"{100 * test.accuracy:.1f}" in text
    assert "training" in text
    assert [line.split("│")[1].strip() for line in text.splitlines() if "│" in line] == [
        r.name for r in table
    ]


def test_a_notebook_shows_the_papers_table(evaluation: Evaluation) -> None:
    html = evaluation.report._repr_html_()
    (row,) = (row for row in evaluation.report.table() if row.model == "fused")
    scores = row.scores["test"]
    assert scores is not None
    assert f"<th>{row.name}</th>" in html
    assert f"<td>{scores.iou:.3f}</td>" in html
    assert evaluation.report.stands_on in html


def test_scores_are_written_where_nothing_can_be_drawn(dataset: Dataset, tmp_path: Path) -> None:
    """The command in a process of its own, in which neither package can be imported."""
    maps = map_all(tmp_path / "maps", dataset, only=["sim_test"])
    code = (
        "import sys\n"
        "sys.modules |= {'matplotlib': None, 'jinja2': None}\n"
        "from swath.cli import run\n"
        f"sys.exit(run(['evaluate', {str(maps)!r}, '--dataset', {str(dataset.root)!r}, '--out', 'report']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "all-background" in done.stdout
    assert "needs the package 'jinja2'" in done.stdout
    assert "pip install 'swath[report]'" in done.stdout
    assert done.stdout.endswith(f"report: {Path('report') / 'report.json'}\n")
    written = {path.relative_to(tmp_path / "report").as_posix() for path in (tmp_path / "report").rglob("*")}
    assert written == {"report.json", ".swath"}  # drawn maps have no lines, so no errors of lines
    assert json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))["rows"]


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
    assert result["summary"][0]["model"] == "dates"
    assert result["summary"][0]["name"] == "U-NET"

    labels = str(dataset.site("sim_test").labels)
    assert run([*arguments, "--labels", labels, "--overwrite"]) == 0
    text = capsys.readouterr().out
    assert "U-NET + ConvLSTM" in text
    assert "report.html" in text

    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: give what to score against: either --dataset or --labels\n"


def test_tables_become_lists_where_the_terminal_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(title="Scores", caption=escape("of two [towns]"))
    for head in ("model", "training\naccuracy", "\nIoU"):
        table.add_column(head)
    table.add_row("all-background", "87.9", "0.000")
    monkeypatch.setenv("COLUMNS", "60")
    assert "┃" in plain(table, 120)
    monkeypatch.setenv("COLUMNS", "24")
    assert plain(table, 120).splitlines() == [
        "Scores",
        "all-background: training",
        "  accuracy 87.9, IoU",
        "  0.000",
        "of two [towns]",
    ]
