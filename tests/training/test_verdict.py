"""A fusion that fails is said to, and the mean of the dates stands in for it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from swath.dataset.site import Dataset
from swath.mapping.options import MapOptions
from swath.mapping.request import map_scenes
from swath.models import registry
from swath.models.names import NAMES
from swath.models.network import FusionNetwork, NetworkSizes
from swath.models.trained import SPEC, load_model
from swath.models.unet import UNet
from swath.training.presets import Phase, StageSettings, TrainSettings
from swath.training.start import Start
from swath.training.train import train
from swath.training.trainplan import TrainPlan

STAGE = StageSettings(phases=(Phase(learning_rate=3e-3, epochs=2),), batches=4, batch_size=2, patch_px=64)


class Constant(FusionNetwork):
    """Road everywhere, whatever the dates say."""

    Sizes = NetworkSizes
    kind = "attention"

    def __init__(self, classes: int, sizes: NetworkSizes) -> None:
        super().__init__(classes, sizes)
        self.logits = nn.Parameter(torch.linspace(-5, 5, classes))

    def receptive_radius(self, dates: int) -> int:
        return 0

    def forward(self, pmaps: Tensor, known: Tensor) -> Tensor:
        return self.logits[:, None, None].expand(pmaps[:, 0].shape)


class Backwards(Constant):
    """The mean of the dates the other way round: road where they see none."""

    def forward(self, pmaps: Tensor, known: Tensor) -> Tensor:
        return (1 - pmaps.mean(dim=1)).logit(1e-4) + 0 * self.logits.sum()


@pytest.fixture(params=[Constant, Backwards])
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TrainSettings:
    """Of a training whose fusion cannot learn."""
    name = f"unet-{request.param.__name__.lower()}"
    monkeypatch.setitem(registry.ARCHITECTURES, name, registry.TwoStages(UNet, request.param))
    monkeypatch.setitem(NAMES, name, ("U-NET", f"U-NET + {name}"))
    return TrainSettings(model=name, width=4, fcn=STAGE, rnn=STAGE)


@pytest.mark.parametrize("split", ["validation", "training"])
def test_maps_of_a_run_whose_fusion_failed_are_the_mean_and_say_so(
    dataset: Dataset,
    settings: TrainSettings,
    split: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if split == "training":
        dataset = dataset.resplit(validation=[], test=["sim_validation", "sim_test"])
    run = tmp_path / "run"
    trained = train(TrainPlan(dataset, settings), run)
    assert trained.fusion is None
    assert trained.spec.fallback is not None
    reason = trained.spec.fallback.reason
    assert reason.startswith(f"the fused map of the {split} sites")
    assert ("constant" in reason) == (settings.model == "unet-constant")
    said = f"the trained fusion failed: {reason}; maps are the mean of the dates"
    assert said in capsys.readouterr().err
    assert json.loads((run / SPEC).read_text())["fallback"] == {"fusion": "mean", "reason": reason}
    assert set(trained.spec.scores["fusion"]) == {"fused", "mean"}

    maps = map_scenes(dataset, run, out=tmp_path / "maps", options=MapOptions(precision="fp32"))["sim_test"]
    assert said in capsys.readouterr().err
    assert maps.fusion == "mean"
    assert 0 < np.mean(maps.classes() == 1) < 1
    train(TrainPlan(dataset, settings, start=Start(load_model(run))), tmp_path / "next")


def test_a_fusion_as_good_as_the_mean_stays(dataset: Dataset, tmp_path: Path) -> None:
    """Attention begins as the mean of the dates, and steps of next to no length leave it there."""
    hardly = STAGE.model_copy(update={"phases": (Phase(learning_rate=1e-9, epochs=1),)})
    settings = TrainSettings(model="unet-attention", width=4, hidden=4, fcn=STAGE, rnn=hardly)
    trained = train(TrainPlan(dataset, settings), tmp_path / "run")
    assert trained.spec.fallback is None
    assert trained.fusion is not None
    scores = trained.spec.scores["fusion"]
    assert scores["fused"] == pytest.approx(scores["mean"], abs=0.01)
