"""Cells of a comparison whose networks are trained on other places first."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.tiny_training import TINY
from swath.cli import run
from swath.dataset.site import Dataset
from swath.errors import DatasetError, SettingsError
from swath.lab.comparison.comparisonfile import read_comparison
from swath.models.trained import load_model, network_hash


def comparison(worlds: tuple[Dataset, Dataset]) -> dict[str, Any]:
    settings = TINY.model_dump(mode="json")
    first = {"dataset": str(worlds[0].root), "settings": {"fcn": {"batches": 3}}}
    return {
        "dataset": str(worlds[1].root),
        "models": [
            {"name": "plain", "settings": settings},
            {"name": "pretrained", "settings": settings, "pretrain": first},
            {"name": "unet", "stage": "fcn", "settings": settings, "pretrain": first},
        ],
        "folds": [{"test": ["c"], "validation": ["b"]}, {"test": ["b"], "validation": ["c"]}],
        "seeds": [1],
    }


def write(folder: Path, value: dict[str, Any]) -> Path:
    path = folder / "comparison.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


def test_a_comparison_pretrains_once_for_all_folds(
    worlds: tuple[Dataset, Dataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = write(tmp_path, comparison(worlds)), tmp_path / "out"
    assert run(["lab", "compare", str(file), "--out", str(out), "--dry-run", "--json"]) == 0
    minutes = json.loads(capsys.readouterr().out)["estimate"]["cell_minutes"]
    # The first of the folds pays for it.
    assert minutes["pretrained/c/seed-1"] > minutes["pretrained/b/seed-1"]
    assert run(["lab", "compare", str(file), "--out", str(out), "--json"]) == 0
    capsys.readouterr()
    pretrained = out / "stages/pretrained"
    runs = sorted(pretrained.glob("seed-*/model.json"))
    assert len(runs) == 2  # one with and one without the ConvLSTM
    assert len(list((pretrained / "stages").iterdir())) == 1  # which share their U-Net
    assert json.loads(runs[0].read_text())["splits"]["train"] == ["first", "second"]
    for fold in "bc":
        cell = out / f"cells/pretrained/{fold}/seed-1"
        start = load_model(cell / "run").spec.training["start"]
        hashes = {network_hash(load_model(path.parent).fcn) for path in runs}
        assert {start["weights"]["fcn"]} == hashes
        assert json.loads((cell / "cell.json").read_text())["seconds"]["pretraining"] > 0
    plain = load_model(out / "cells/plain/c/seed-1/run")
    assert "start" not in plain.spec.training
    # Asked again, nothing is left to do; with another first training, the cell is another.
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("cells/*/*/*/cell.json")}
    assert run(["lab", "compare", str(file), "--out", str(out), "--json"]) == 0
    assert stamps == {p: p.stat().st_mtime_ns for p in stamps}
    value = comparison(worlds)
    value["models"][1]["pretrain"]["settings"]["jitter"] = 0.5
    assert run(["lab", "compare", str(write(tmp_path, value)), "--out", str(out)]) == 2
    assert "other pretrain" in capsys.readouterr().err


def test_pretraining_that_does_not_fit_is_told_beforehand(
    worlds: tuple[Dataset, Dataset], tmp_path: Path
) -> None:
    value = comparison(worlds)
    wide = copy.deepcopy(value)
    wide["models"][1]["pretrain"]["settings"]["width"] = 3
    with pytest.raises(SettingsError, match="its width is 3, this run's 2"):
        read_comparison(write(tmp_path, wide))
    value["models"][1]["pretrain"]["dataset"] = str(worlds[1].root)
    with pytest.raises(DatasetError, match="lies over"):
        read_comparison(write(tmp_path, value))
