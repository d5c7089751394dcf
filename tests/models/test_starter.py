"""The starter weights: small, of stated origin, and good enough to map a city they never saw."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open

from conftest import PROJECT
from swath.cli import run
from swath.models.spec import ModelSpec
from swath.models.starter import STARTER
from swath.models.trained import WEIGHTS, TrainedModel, load_model, save_model

EXAMPLES = PROJECT / "examples"


def test_the_weights_are_half_precision_and_small() -> None:
    assert (STARTER / WEIGHTS).stat().st_size < 20e6
    with safe_open(STARTER / WEIGHTS, "pt") as weights:  # type: ignore[no-untyped-call]
        kinds = {weights.get_tensor(name).dtype for name in weights.keys()}  # noqa: SIM118
    assert kinds == {torch.float16, torch.int64}  # batch norms count their batches
    model = load_model(STARTER)
    assert {weight.dtype for weight in model.fcn.parameters()} == {torch.float32}


def test_they_were_trained_on_data_of_stated_licence_only() -> None:
    spec = load_model(STARTER).spec
    assert set(spec.splits["train"]).isdisjoint({"bercy", "paris"})
    assert "OpenStreetMap contributors, ODbL" in spec.attribution
    card = (STARTER / "README.md").read_text("utf-8")
    for site in spec.splits["train"]:
        assert site in card.lower()


def test_they_stretch_even_ground_less_than_models_that_say_nothing_of_it() -> None:
    spec = load_model(STARTER).spec
    assert spec.image.least_spread == 100
    image = spec.image.model_dump(mode="json", exclude={"least_spread"})
    said = spec.model_dump(mode="json") | {"image": image}
    assert ModelSpec.model_validate(said).image.least_spread == 50


def test_half_precision_survives_saving(tmp_path: Path) -> None:
    model = load_model(STARTER)
    save_model(tmp_path, TrainedModel(model.spec, model.fcn, model.fusion), half=True)
    assert (tmp_path / WEIGHTS).read_bytes() == (STARTER / WEIGHTS).read_bytes()
    assert load_model(tmp_path).spec == model.spec


@pytest.mark.data
def test_a_map_without_a_run_uses_them(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sites = yaml.safe_load((EXAMPLES / "cities-registered.yaml").read_text("utf-8"))
    bercy = sites["sites"]["bercy"]
    city = data_dir / "real" / "cities" / "bercy"
    for scene in bercy["scenes"]:
        scene["path"] = str(city / Path(scene["path"]).name)
    bercy |= {key: str(city / Path(bercy[key]).name) for key in ("labels", "coverage")}
    sites["sites"] = {"bercy": bercy}
    (tmp_path / "sites.yaml").write_text(yaml.safe_dump(sites), "utf-8")
    data, maps = tmp_path / "data", tmp_path / "maps"
    how = ["--encoding", "standardised", "--finer", "2", "--out", str(data)]
    assert run(["build", str(tmp_path / "sites.yaml"), *how]) == 0
    capsys.readouterr()
    asked = ["map", "--dataset", str(data), "--split", "all", "--out", str(maps)]
    assert run(asked) == 0
    assert "starter weights" in capsys.readouterr().err
    report = tmp_path / "report"
    assert run(["evaluate", str(maps), "--dataset", str(data), "--out", str(report)]) == 0
    content = json.loads((report / "report.json").read_text())
    scores = {r["model"]: r["pr_auc"] for r in content["rows"] if r["site"] == "bercy"}
    # Far above chance, and no worse than one of its dates alone.
    assert scores["fused"] > 1.3 * scores["all-class"]
    assert scores["fused"] > scores["dates"]
    # Scenes need no dataset.
    scenes = [str(path) for path in sorted(city.glob("*.tif"))]
    assert run(["map", *scenes, "--out", str(tmp_path / "scenes")]) == 0
    assert (tmp_path / "scenes" / "bercy" / "pmap.tif").is_file()
