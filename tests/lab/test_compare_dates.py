"""`swath lab compare` over numbers of dates: the dataset's own splits, and all runs of T dates."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from swath.cli import run
from swath.dataset.build import build_dataset
from swath.dataset.site import Dataset, Region
from swath.errors import DatasetError, SettingsError
from swath.lab.comparison import cells
from swath.lab.comparison.cell import finished
from swath.lab.comparison.comparisonfile import OWN_SPLITS, read_comparison
from swath.lab.comparison.result import RECORD
from swath.simulate.world import write_world
from swath.training.presets import PRESETS
from swath.training.trainplan import decided_by_data

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
    assert one.decided.fields["series"] == "all"
    # Without asking, the most recent dates, and nothing new decides a cell.
    last = read_comparison(write(tmp_path, dataset)).cells()
    assert [cell.runs() for cell in last[:2]] == [
        ({"place": (third,)},),
        ({"place": (second, third)},),
    ]
    assert not {"series", "until"} & set(last[0].decided.fields)


def test_other_parts_of_a_site_are_another_plan(dataset: Dataset, tmp_path: Path) -> None:
    (cell, *_) = read_comparison(write(tmp_path, dataset)).cells()
    place = dataset.site("place")
    swapped = tuple(
        replace(region, split="test" if region.split == "train" else "train") for region in place.regions
    )
    other = replace(dataset, sites=(replace(place, regions=swapped),))
    assert replace(cell, dataset=other).decided.key != cell.decided.key
    assert "regions" in decided_by_data(dataset)
    assert "regions" not in decided_by_data(dataset.resplit([], ["place"]))


def test_what_no_longer_decides_a_cell_is_a_difference_too(dataset: Dataset, tmp_path: Path) -> None:
    (cell, *_) = read_comparison(write(tmp_path, dataset, series="all")).cells()
    (tmp_path / RECORD).write_text(json.dumps({"decided_by": cell.decided.json()}))
    assert finished(tmp_path, cell)
    with pytest.raises(SettingsError, match="made with other series"):
        finished(tmp_path, replace(cell, series="last"))


def test_a_cell_of_earlier_code_is_told(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell, *_) = read_comparison(write(tmp_path, dataset)).cells()
    (tmp_path / RECORD).write_text(json.dumps({"decided_by": cell.decided.json()}))
    for version in ("CELL", "TRAINER"):
        with monkeypatch.context() as patch:
            patch.setattr(cells, version, 99)
            with pytest.raises(SettingsError, match="made by another version of the code"):
                finished(tmp_path, cell)
    # So is one of the time before versions.
    (tmp_path / RECORD).write_text(json.dumps({"decided_by": dict(cell.decided.fields)}))
    with pytest.raises(SettingsError, match="made by another version of the code"):
        finished(tmp_path, cell)


def test_a_series_too_short_for_a_network_of_one_length_is_told_beforehand(
    dataset: Dataset, tmp_path: Path
) -> None:
    place = dataset.site("place")
    one_date = replace(
        place,
        name="short",
        acquisitions=place.acquisitions[:1],
        regions=(Region("test", place.grid.window),),
    )
    (cell, *_) = read_comparison(write(tmp_path, dataset)).cells()
    both = replace(dataset, sites=(place, one_date))
    settings = PRESETS["demo"].model_copy(update={"dates": 3})
    for name, refused in (("early-fusion", True), ("u-tae", False), ("unet-convlstm", False)):
        model = replace(cell.model, settings=settings.model_copy(update={"model": name}))
        asked = replace(cell, model=model, dataset=both)
        assert model.takes_one_length == refused
        if refused:
            with pytest.raises(DatasetError, match="'short' has 1 dates to map, a series of 3"):
                asked.runs()
        else:
            assert asked.runs()[0]["short"] == (place.dates[0],)


def test_no_later_date_is_mapped(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = dataset.site("place").dates
    file = write(tmp_path, dataset, until=third - dt.timedelta(1))
    assert run(["lab", "compare", str(file), "--out", str(tmp_path / "out")]) == 2
    assert "'place' has 2 dates to map, a series of 3" in capsys.readouterr().err
    models = [{"name": "T2", "settings": SETTINGS | {"dates": 2}}]
    file = write(tmp_path, dataset, until=second, models=models)
    (cell,) = read_comparison(file).cells()
    assert cell.runs() == ({"place": (first, second)},)


def test_scores_over_dates_are_means_over_runs(dataset: Dataset, tmp_path: Path) -> None:
    file = write(tmp_path, dataset, series="all")
    out = tmp_path / "out"
    assert run(["lab", "compare", str(file), "--out", str(out)]) == 0
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
        assert rows[f"one date of T{t}"]["scores"]["pr_auc"]["mean"] == pytest.approx(
            rows["one date of T1"]["scores"]["pr_auc"]["mean"]
        )
    # The mean of one date is itself.
    assert rows["mean of T1"]["scores"]["pr_auc"] == rows["one date of T1"]["scores"]["pr_auc"]
    assert (out / "dates.png").stat().st_size > 1000
