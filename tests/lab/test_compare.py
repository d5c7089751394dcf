"""`swath lab compare` on a small really built dataset: the leaderboard, resuming, bad input."""

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from support.class_worlds import of_three_classes
from swath.cli import run
from swath.dataset.build import build_dataset
from swath.dataset.catalog import read_dataset
from swath.dataset.catalogfile import write_catalog
from swath.dataset.site import Dataset, read_labels
from swath.errors import DatasetError
from swath.evaluation.candidate import Candidate
from swath.lab.comparison import cost
from swath.lab.comparison.board import Board
from swath.lab.comparison.board_write import board_text
from swath.lab.comparison.comparisonfile import check_apart, read_comparison
from swath.lab.comparison.result import read_result
from swath.lab.comparison.scoring import ONE_CLASS
from swath.lab.comparison.tally import Tally, make_board, nested_resample, paired, spread
from swath.training.budget import StageRates

STAGE = {
    "phases": [{"learning_rate": 0.003, "epochs": 1}],
    "batches": 2,
    "batch_size": 2,
    "patch_px": 32,
}
SETTINGS: dict[str, Any] = {"width": 2, "hidden": 2, "fcn": STAGE, "rnn": STAGE}
CONTROLS = {"one date", "mean", "median", "vote", "max"}
TRIVIAL = {"all-background", "all-road", "shifted mean (50 px)"}
TIMES = ("minutes",)


def content(dataset: Dataset) -> dict[str, Any]:
    """Two models that share their U-Net, two folds, two seeds."""
    return {
        "dataset": str(dataset.root),
        "models": [
            {"name": "narrow", "settings": SETTINGS},
            {"name": "wider", "settings": SETTINGS | {"hidden": 3}},
        ],
        "folds": [
            {"test": ["sim_test"], "validation": ["sim_validation"]},
            {"name": "other", "test": ["sim_validation"], "validation": ["sim_train"]},
        ],
        "seeds": [0, 1],
    }


def write(folder: Path, value: dict[str, Any]) -> Path:
    path = folder / "comparison.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


def compare(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code = run(["lab", "compare", *(str(a) for a in arguments), "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def without_times(board: dict[str, Any]) -> dict[str, Any]:
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in board["rows"]]
    return {"rows": rows, "paired": board["paired"]}


@pytest.fixture(scope="module")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison that nothing disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    assert run(["lab", "compare", str(write(folder, content(dataset))), "--out", str(folder / "out")]) == 0
    return folder / "out"


def board_of(out: Path) -> dict[str, Any]:
    board: dict[str, Any] = json.loads((out / "leaderboard.json").read_text())
    return board


def test_every_row_with_every_score(finished: Path) -> None:
    board = board_of(finished)
    assert {row["name"] for row in board["rows"]} == {"narrow", "wider"} | CONTROLS | TRIVIAL
    assert board["cells"] == {"finished": 8, "planned": 8}
    assert board["sites"] == ["sim_test", "sim_validation"]
    for row in board["rows"]:
        assert set(row["sites"]) == {"sim_test", "sim_validation"}
        assert list(row["scores"]) == list(ONE_CLASS)
        for score, found in row["scores"].items():
            low, high = found["ci"]
            assert low <= high
            by_site = [site[score] for site in row["sites"].values()]
            assert found["mean"] == pytest.approx(np.mean(by_site), abs=1e-12)
            assert found["sd"] >= 0
    assert {"leaderboard.md", "leaderboard.png"} <= {path.name for path in finished.iterdir()}
    text = (finished / "leaderboard.md").read_text()
    assert "Unfinished" not in text
    assert "| **wider** | narrow | baseline |" in text


def test_a_model_may_see_other_images_of_the_same_sites(
    tiny_world: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = yaml.safe_load(tiny_world.read_text("utf-8"))
    other = tiny_world.with_name("other.yaml")
    sites["image"] = {"bands": ["B04"], "encoding": "tci"}
    other.write_text(yaml.safe_dump(sites), "utf-8")
    red = build_dataset(other, tmp_path / "red")
    value = content(dataset)
    value["models"][1] = {"name": "red", "settings": SETTINGS, "dataset": str(red.root)}
    found = read_comparison(write(tmp_path, value))
    jobs = list(found.jobs())
    assert [[cell.model.name for cell in job] for job in jobs] == [["narrow"], ["red"]] * 4
    assert {len(cell.dataset.image.bands) for cell in jobs[1]} == {1}
    # Other labels cannot be compared.
    sites["widening"] = {"method": "dilate", "times": 2}
    other.write_text(yaml.safe_dump(sites), "utf-8")
    wide = build_dataset(other, tmp_path / "wide")
    value["models"][1]["dataset"] = str(wide.root)
    capsys.readouterr()
    assert run(["lab", "compare", str(write(tmp_path, value)), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "model red: site 'sim_test'" in said
    assert "other labels" in said


def test_a_map_without_roads_scores_what_it_must(finished: Path, dataset: Dataset) -> None:
    """Its accuracy is the share of background, its IoU 0; all road is the other way round."""
    labels = read_labels(dataset.site("sim_test"))
    share = float((labels[labels != 255] == 1).mean())
    rows = {row["name"]: row for row in board_of(finished)["rows"]}
    nothing, everything = (rows[f"all-{n}"]["sites"]["sim_test"] for n in ("background", "road"))
    assert (nothing["iou"], nothing["accuracy"]) == (0, pytest.approx(1 - share))
    assert (everything["iou"], everything["accuracy"]) == (pytest.approx(share),) * 2


def test_one_unet_for_the_models_that_share_it(finished: Path) -> None:
    assert len(list(finished.glob("stages/*/seed-*/*/*/weights.safetensors"))) == 4
    narrow, wider = (finished / f"cells/{name}/other/seed-1" for name in ("narrow", "wider"))
    before, after = (json.loads((f / "cell.json").read_text()) for f in (narrow, wider))
    # The same U-Net, so the same maps of single dates and the same controls from them.
    for name in ("dates", "mean", "vote"):
        assert before["sites"]["sim_validation"][name] == after["sites"]["sim_validation"][name]
    assert before["parameters"] < after["parameters"]
    assert before["seconds"]["fcn"] == after["seconds"]["fcn"]


def test_a_finished_comparison_is_not_redone(
    finished: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stamps = {p: p.stat().st_mtime_ns for p in finished.glob("cells/*/*/*/cell.json")}
    board = board_of(finished)
    result = compare(capsys, write(tmp_path, content(dataset)), "--out", finished)
    assert result["estimate"]["done"] == 8
    assert result["estimate"]["total_minutes"] == 0
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert board_of(finished) == board


def test_killed_and_resumed_by_two_workers_it_ends_the_same(
    finished: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, content(dataset) | {"seeds": [0]})
    out = tmp_path / "out"
    command = [sys.executable, "-m", "swath", "lab", "compare", str(file), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not list(out.glob("cells/*/*/*/cell.json")) and time.monotonic() < deadline:
        assert process.poll() is None, "ended before its first cell"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = {p: p.stat().st_mtime_ns for p in out.glob("cells/*/*/*/cell.json")}
    assert 1 <= len(done) < 4
    result = compare(capsys, file, "--out", out, "--workers", 2)
    assert result["estimate"]["done"] == len(done)
    assert {p: p.stat().st_mtime_ns for p in done} == done
    comparison = read_comparison(file)
    cells = comparison.cells()
    results = {cell.name: read_result(finished / "cells" / cell.name) for cell in cells}
    undisturbed = make_board(comparison, cells, results).as_json()
    assert without_times(board_of(out)) == without_times(undisturbed)


def test_dry_run_writes_nothing_and_says_the_time(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    file = write(tmp_path, content(dataset))
    found = compare(capsys, file, "--out", out, "--workers", 2, "--dry-run")["estimate"]
    assert (found["cells"], found["done"], len(found["cell_minutes"])) == (8, 0, 8)
    assert 0 < found["wall_minutes"] <= found["total_minutes"]
    assert not out.exists()


def test_a_first_stage_that_models_share_is_counted_once(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    # An hour a step: two steps of the U-Net and two of the ConvLSTM.
    monkeypatch.setattr(cost, "measure_stage", lambda *_: StageRates(3600.0, 0.0, 0.0, 1))
    file = write(tmp_path, content(dataset))
    found = compare(capsys, file, "--out", tmp_path / "out", "--dry-run")["estimate"]
    assert set(found["cell_minutes"].values()) == {120, 240}
    assert found["cell_minutes"]["narrow/other/seed-0"] == 240
    assert found["cell_minutes"]["wider/other/seed-0"] == 120
    assert found["total_minutes"] == 4 * (240 + 120)


def test_a_board_of_some_cells_says_so(finished: Path, dataset: Dataset, tmp_path: Path) -> None:
    comparison = read_comparison(write(tmp_path, content(dataset)))
    cells = [cell for cell in comparison.cells() if cell.seed == 0]
    results = {cell.name: read_result(finished / "cells" / cell.name) for cell in cells}
    board = make_board(comparison, cells, results)
    assert all(row.scores["pr_auc"].sd is None for row in board.rows)
    assert "4 of 8 cells" in board_text(board)


def test_other_networks_and_classical_methods_stand_in_one_board(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two networks per date without fusion, one for whole series, a forest; same scores for all.

    Only the first two have PMaps of dates and bring controls; the others are held against those of
    the first.
    """
    value = content(dataset) | {
        "seeds": [0],
        "folds": [{"test": ["sim_test"], "validation": ["sim_validation"]}],
        "models": [
            {"name": "deep", "stage": "fcn", "settings": SETTINGS | {"model": "deeplab-convlstm"}},
            {"name": "seg", "stage": "fcn", "settings": SETTINGS | {"model": "segnet-convlstm"}},
            {"name": "u-tae", "settings": SETTINGS | {"model": "u-tae"}},
            {"name": "forest", "method": "random-forest", "settings": {"pixels": 200}},
        ],
    }
    out = tmp_path / "out"
    # A run that was begun with other settings and never finished is in nobody's way.
    begun = out / "cells/deep/sim_test/seed-0/run"
    begun.mkdir(parents=True)
    (begun / "run.json").write_text('{"seed": 9}')
    board = compare(capsys, write(tmp_path, value), "--out", out)
    models = {"deep", "seg", "u-tae", "forest"}
    controls = {f"{name} of {leader}" for name in CONTROLS for leader in ("deep", "seg")}
    assert {row["name"] for row in board["rows"]} == models | controls | TRIVIAL
    rows = {row["name"]: row for row in board["rows"]}
    assert rows["deep"]["scores"]["iou"]["mean"] == rows["mean of deep"]["scores"]["iou"]["mean"]
    assert rows["forest"]["parameters"] is None
    ranked = {name: row["scores"]["pr_auc"]["mean"] for name, row in rows.items()}
    assert ranked["forest"] > ranked["all-road"]
    against = {(row["model"], row["role"]): row["minus"] for row in board["paired"]}
    assert {key[0] for key in against if key[1] == "best control"} == models
    fusions = {f"{name} of deep" for name in ("mean", "median", "vote", "max")}
    assert {against[name, "best control"] for name in models - {"seg"}} <= fusions
    # The maps of a cell are maps like others: their report names the model as it is.
    maps = out / "cells/u-tae/sim_test/seed-0/maps"
    arguments = ["--dataset", str(dataset.root), "--out", str(tmp_path / "report"), "--json"]
    assert run(["evaluate", str(maps), *arguments]) == 0
    capsys.readouterr()
    report = json.loads((tmp_path / "report/report.json").read_text())
    assert {"fused", "dates"} <= {row["model"] for row in report["rows"]}
    names = report["names"]["road"]
    assert (names["fused"], names["dates"]) == ("U-TAE", "U-TAE, one date")
    assert not any("U-NET" in name for name in names.values())
    page = (tmp_path / "report/report.html").read_text("utf-8")
    assert "What U-TAE adds" in page
    assert "U-NET" not in re.sub(r"base64,[A-Za-z0-9+/=]*", "", page)


def changed(value: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    result = inner = copy.deepcopy(value)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return result


@pytest.mark.parametrize(
    ("path", "to", "says"),
    [
        (("models", 1, "name"), "narrow", "model 'narrow' stands there twice"),
        (("models", 0, "name"), "a/b", "models.0.name"),
        (("models", 0, "settings"), {"widht": 3}, "unknown key 'widht'"),
        (("models", 0, "settings"), {"dates": 9}, "2 dates"),
        (("models", 0, "preset"), "worst", "preset"),
        (("models", 0, "settings"), {"model": "u-net"}, "known models are unet-convlstm"),
        (("models", 0, "method"), "oracle", "random-forest"),
        (("models", 1), {"name": "x", "method": "knn", "preset": "best"}, "no preset"),
        (("models", 1), {"name": "x", "stage": "fcn", "settings": {"model": "u-tae"}}, "one stage"),
        (("folds", 0, "test"), ["nowhere"], "nowhere"),
        (("folds", 1, "test"), ["sim_test"], "test site 'sim_test' stands there twice"),
        (("folds", 0, "validation"), ["sim_train", "sim_validation"], "no site to train on"),
        (("seeds",), [], "seeds"),
        (("baseline",), "none", "baseline 'none' is none of the models"),
        (("class_name",), "river", "its classes are road"),
        (("dataset",), "nowhere", "nowhere"),
    ],
)
def test_bad_files_get_one_line(
    dataset: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    path: tuple[Any, ...],
    to: Any,
    says: str,
) -> None:
    file = write(tmp_path, changed(content(dataset), *path, to=to))
    assert run(["lab", "compare", str(file), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not (tmp_path / "out").exists()


def test_other_settings_for_a_finished_cell_are_refused(
    finished: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, changed(content(dataset), "models", 0, "settings", "jitter", to=0.9))
    assert run(["lab", "compare", str(file), "--out", str(finished)]) == 2
    assert "made with other settings" in capsys.readouterr().err


def test_sites_that_share_ground_are_not_told_apart(dataset: Dataset, tmp_path: Path) -> None:
    cell = read_comparison(write(tmp_path, content(dataset))).cells()[0]
    train = dataset.site("sim_train")
    over = replace(dataset.site("sim_test"), grid=train.grid)
    sites = tuple(over if site.name == "sim_test" else site for site in cell.dataset.sites)
    held_out = replace(over, regions=cell.dataset.site("sim_test").regions)
    sites = tuple(held_out if site.name == "sim_test" else site for site in sites)
    shared = replace(cell, dataset=replace(cell.dataset, sites=sites))
    with pytest.raises(DatasetError, match="'sim_train', which trains, lies over it"):
        check_apart(shared, tmp_path)
    check_apart(cell, tmp_path)
    # Beside it, two pixels apart: boxes in degrees around both would overlap, since the grid is turned.
    beside = train.grid.crop(train.grid.window.shift(0, train.grid.width + 2))
    near = replace(held_out, grid=beside)
    sites = tuple(near if site.name == "sim_test" else site for site in sites)
    check_apart(replace(cell, dataset=replace(cell.dataset, sites=sites)), tmp_path)


def test_all_orientations_take_eight_times_as_long_to_map(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    # Nothing but mapping costs anything.
    monkeypatch.setattr(cost, "measure_stage", lambda *_: StageRates(0.0, 0.0, 3600.0, 1))

    def minutes(orientations: int) -> float:
        value = content(dataset)
        value["models"] = [
            {"name": "one", "stage": "fcn", "settings": SETTINGS | {"orientations": orientations}}
        ]
        file = write(tmp_path, value)
        found = compare(capsys, file, "--out", tmp_path / "out", "--dry-run")["estimate"]
        return float(found["total_minutes"])

    assert minutes(8) == pytest.approx(8 * minutes(1))


def test_maps_from_all_orientations_have_controls_of_their_own(dataset: Dataset, tmp_path: Path) -> None:
    value = changed(content(dataset), "models", 1, "settings", to=SETTINGS | {"orientations": 1})
    eight, one = read_comparison(write(tmp_path, value)).models
    assert one.group == eight.group  # one U-Net
    assert one.controls != eight.controls


def test_the_means_by_hand() -> None:
    """Two cities, two seeds: 0.1 and 0.3 in A, 0.5 and 0.9 in B; the other row 0.1 lower."""
    zeros = np.zeros((4, len(ONE_CLASS)), np.float32)
    ours = Tally("ours", "model", "", Candidate.FUSED)
    theirs = Tally("theirs", "control", "", Candidate.MEAN)
    for (site, seed), value in {("A", 0): 0.1, ("A", 1): 0.3, ("B", 0): 0.5, ("B", 1): 0.9}.items():
        ours.values[site, seed] = dict.fromkeys(ONE_CLASS, value)
        theirs.values[site, seed] = dict.fromkeys(ONE_CLASS, value - 0.1)
        ours.samples[site, seed] = zeros + np.float32(value)
    found = spread(ours, "pr_auc", 0)
    assert found.mean == pytest.approx(0.45)
    # Seed 0: (0.1 + 0.5) / 2 = 0.3; seed 1: 0.6; sd of the two: 0.3 / sqrt(2).
    assert found.sd == pytest.approx(0.3 / np.sqrt(2))
    assert found.ci == pytest.approx((0.45, 0.45))
    gain = paired(ours, theirs, ["iou"], "baseline").scores["iou"]
    assert gain.difference == pytest.approx(0.1)
    assert gain.ci == pytest.approx((0.1, 0.1))
    assert gain.sites == pytest.approx({"A": 0.1, "B": 0.1})


def test_a_city_without_a_class_does_not_count_for_it() -> None:
    """IoU 0.2 and 0.4 in A, none in B, which has no label of the class; then none anywhere."""
    ours, theirs = (Tally(name, "model", "", Candidate.FUSED) for name in ("ours", "theirs"))
    for (site, seed), value in {("A", 0): 0.2, ("A", 1): 0.4, ("B", 0): np.nan, ("B", 1): np.nan}.items():
        ours.values[site, seed] = {"iou_water": value, "iou_snow": np.nan}
        theirs.values[site, seed] = {"iou_water": value - 0.1, "iou_snow": np.nan}
        ours.samples[site, seed] = np.full((4, 2), value, np.float32)
    found = spread(ours, "iou_water", 0)
    assert found.mean == pytest.approx(0.3)
    assert found.ci == pytest.approx((0.3, 0.3))
    gain = paired(ours, theirs, ["iou_water", "iou_snow"], "one date").scores
    assert (gain["iou_water"].difference, list(gain["iou_water"].sites)) == (pytest.approx(0.1), ["A"])
    assert (spread(ours, "iou_snow", 1).mean, gain["iou_snow"].difference) == (None, None)


def test_maps_of_many_classes_are_scored_as_maps(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One decision a pixel: the board agrees with `swath evaluate` of a cell's maps, and with counting."""
    root = tmp_path / "three"
    shutil.copytree(dataset.root, root)
    three = of_three_classes(read_dataset(root), tmp_path / "labels")
    for site in three.sites:
        shutil.copy(site.labels, root / site.name / "labels.tif")
    sites = tuple(replace(site, labels=root / site.name / "labels.tif") for site in three.sites)
    write_catalog(replace(three, sites=sites))
    value = content(dataset) | {
        "dataset": str(root),
        "seeds": [0],
        "folds": [{"test": ["sim_test"], "validation": ["sim_validation"]}],
        "models": [
            {"name": "unet", "stage": "fcn", "settings": SETTINGS},
            {"name": "forest", "method": "random-forest", "settings": {"pixels": 200}},
        ],
    }
    out = tmp_path / "out"
    board = compare(capsys, write(tmp_path, value), "--out", out)
    assert board["class"] is None
    rows = {row["name"]: row["scores"] for row in board["rows"]}
    assert set(rows) == {"unet", "forest", *CONTROLS, "commonest class", "shifted mean (50 px)"}
    arguments = ["--dataset", str(root), "--out", str(tmp_path / "report"), "--json"]
    assert run(["evaluate", str(out / "cells/forest/sim_test/seed-0/maps"), *arguments]) == 0
    report = json.loads((tmp_path / "report/report.json").read_text())
    (whole,) = (
        row
        for row in report["class_maps"]
        if (row["model"], row["split"], row["site"]) == ("fused", "test", "sim_test")
    )
    forest = rows["forest"]
    assert forest["accuracy"]["mean"] == pytest.approx(whole["accuracy"])
    assert forest["mean_iou"]["mean"] == pytest.approx(whole["mean_iou"])
    assert forest["iou_water"]["mean"] == pytest.approx(whole["classes"]["water"]["iou"])
    counts = np.bincount(read_labels(three.site("sim_test")).ravel(), minlength=256)[:3]
    assert rows["commonest class"]["accuracy"]["mean"] == pytest.approx(counts.max() / counts.sum())
    assert {pair["role"] for pair in board["paired"]} == {"one date", "best control", "baseline"}
    assert "overall accuracy" in (out / "leaderboard.md").read_text()


def test_nested_resampling_has_the_spread_that_theory_gives() -> None:
    """With one member a group it is the plain bootstrap of the mean: variance s^2 / n."""
    values = np.array([0.0, 1.0, 2.0, 3.0, 6.0])
    plain = nested_resample([values[i : i + 1] for i in range(5)], 40_000, 3)
    assert plain.mean() == pytest.approx(values.mean(), abs=0.02)
    assert plain.var() == pytest.approx(values.var() / 5, rel=0.03)
    # One group: only its members vary.
    inner = nested_resample([values], 40_000, 3)
    assert inner.var() == pytest.approx(values.var() / 5, rel=0.03)
    # Both: the variance between groups over their number, plus the mean variance inside, over both.
    groups = [np.array([0.0, 2.0]), np.array([4.0, 4.0]), np.array([5.0, 9.0])]
    between = np.var([g.mean() for g in groups]) / 3
    inside = np.mean([g.var() / 2 for g in groups]) / 3
    assert nested_resample(groups, 40_000, 3).var() == pytest.approx(between + inside, rel=0.03)


def test_a_board_is_only_values(finished: Path) -> None:
    board = Board.model_validate(board_of(finished))
    assert board.as_json() == board_of(finished)
    means = [row.scores["pr_auc"].mean or 0.0 for row in board.rows]
    assert means == sorted(means, reverse=True)
    roles = {(pair.model, pair.role) for pair in board.paired}
    assert roles == {
        ("narrow", "one date"),
        ("narrow", "best control"),
        ("wider", "one date"),
        ("wider", "best control"),
        ("wider", "baseline"),
    }
    assert {pair.chosen_on for pair in board.paired} == {"validation", None}
