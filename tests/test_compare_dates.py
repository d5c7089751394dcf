"""`swath compare` over numbers of dates: the dataset's own splits, and all runs of T dates."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from swath.cli import run
from swath.comparison.plan import OWN_SPLITS, read_comparison
from swath.dataset.build import build_dataset
from swath.dataset.site import Dataset
from swath.simulate.site import write_world

STAGE = {
    "phases": [{"learning_rate": 0.003, "epochs": 1}],
    "batches": 1,
    "batch_size": 1,
    "patch_px": 32,
}
SETTINGS: dict[str, Any] = {"width": 2, "hidden": 2, "fcn": STAGE, "rnn": STAGE}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """One site of three dates, its north for training, its south for testing."""
    out = tmp_path_factory.mktemp("dates")
    sites = write_world(out / "world", {"place": "train"}, seed=5, size_px=128, dates=3)
    value = yaml.safe_load(sites.read_text("utf-8"))
    del value["sites"]["place"]["split"]
    value["sites"]["place"] |= {
        "guard_px": 16,
        "regions": [
            {"split": "train", "box": [0.0, 0.0, 1.0, 0.5]},
            {"split": "test", "box": [0.0, 0.5, 1.0, 1.0]},
        ],
    }
    sites.write_text(yaml.safe_dump(value), "utf-8")
    return build_dataset(sites, out / "dataset")


def write(folder: Path, dataset: Dataset, **more: Any) -> Path:
    models = [{"name": f"T{t}", "settings": SETTINGS | {"dates": t}} for t in (1, 2, 3)]
    path = folder / "comparison.yaml"
    path.write_text(yaml.safe_dump({"dataset": str(dataset.root), "models": models} | more))
    return path


def test_the_runs_of_every_length(dataset: Dataset, tmp_path: Path) -> None:
    first, second, third = dataset.site("place").dates
    found = read_comparison(write(tmp_path, dataset, series="all"))
    one, two, three = found.cells()
    assert {cell.fold for cell in found.cells()} == {OWN_SPLITS}
    assert one.test == ("place",)
    assert [r["place"] for r in one.runs()] == [(first,), (second,), (third,)]
    # The oldest date follows the newest, so that each is in two runs; always oldest first.
    around = [(first, second), (second, third), (first, third)]
    assert [r["place"] for r in two.runs()] == around
    assert [r["place"] for r in three.runs()] == [(first, second, third)]
    assert one.decided_by["series"] == "all"
    # Without asking, the most recent dates, and nothing new decides a cell.
    last = read_comparison(write(tmp_path, dataset)).cells()
    assert [cell.runs() for cell in last[:2]] == [
        ({"place": (third,)},),
        ({"place": (second, third)},),
    ]
    assert not {"series", "until"} & set(last[0].decided_by)


def test_no_later_date_is_mapped(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = dataset.site("place").dates
    file = write(tmp_path, dataset, until=third - dt.timedelta(1))
    assert run(["compare", str(file), "--out", str(tmp_path / "out")]) == 2
    assert "'place' has 2 dates to map, a series of 3" in capsys.readouterr().err
    models = [{"name": "T2", "settings": SETTINGS | {"dates": 2}}]
    file = write(tmp_path, dataset, until=second, models=models)
    (cell,) = read_comparison(file).cells()
    assert cell.runs() == ({"place": (first, second)},)


def test_scores_over_dates_are_means_over_runs(dataset: Dataset, tmp_path: Path) -> None:
    file = write(tmp_path, dataset, series="all")
    out = tmp_path / "out"
    assert run(["compare", str(file), "--out", str(out)]) == 0
    record = json.loads((out / f"cells/T2/{OWN_SPLITS}/seed-0/cell.json").read_text())
    assert len(record["runs"]) == 3
    for candidate, scores in record["sites"]["place"].items():
        by_run = [r["sites"]["place"][candidate]["pr_auc"] for r in record["runs"]]
        assert scores["pr_auc"] == pytest.approx(np.mean(by_run))
    board = json.loads((out / "leaderboard.json").read_text())
    rows = {row["name"]: row for row in board["rows"]}
    # Every T has its own controls, for its maps differ; and its own U-Net is the same.
    for t in (1, 2, 3):
        assert rows[f"T{t}"]["dates"] == rows[f"mean of T{t}"]["dates"] == t
        assert rows[f"vote of T{t}"]["candidate"] == "vote"
    assert len(list(out.glob("stages/*/*/*/*/weights.safetensors"))) == 1
    # Every date is in as many runs as any other, so a single date scores the same whatever T is.
    for t in (2, 3):
        assert rows[f"one date of T{t}"]["pr_auc"]["mean"] == pytest.approx(
            rows["one date of T1"]["pr_auc"]["mean"]
        )
    # The mean of one date is itself.
    assert rows["mean of T1"]["pr_auc"] == rows["one date of T1"]["pr_auc"]
    assert (out / "dates.png").stat().st_size > 1000
