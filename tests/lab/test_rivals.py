"""The rival networks train and map as those of the product do, where they are known."""

import subprocess
import sys

import numpy as np
import pytest

import swath.lab.networks  # noqa: F401 - makes them known
from support.whole_maps import map_in_tiles
from swath.dataset.site import read_image
from swath.errors import SettingsError
from swath.mapping.predict import Predictor
from swath.models.trained import load_model
from swath.sentinel2 import valid_mask
from swath.training.presets import Phase, StageSettings, TrainSettings
from swath.training.train import train
from swath.training.trainplan import TrainPlan

STAGE = StageSettings(
    phases=(Phase(learning_rate=3e-3, epochs=2),), batches=3, batch_size=2, patch_px=32, ema=0.5
)
TINY = TrainSettings(width=2, hidden=4, jitter=0.1, fcn=STAGE, rnn=STAGE)


@pytest.mark.parametrize(
    "name",
    [
        "segnet-convlstm",
        "early-fusion",
        "feature-mean",
        "feature-convlstm",
        "tempcnn",
        "pixel-lstm",
    ],
)
def test_other_architectures_train_and_map_in_the_precision_of_the_machine(dataset, tmp_path, name):
    trained = train(TrainPlan(dataset, TINY.model_copy(update={"model": name})), tmp_path)
    assert all(value is not None for stage in trained.spec.scores.values() for value in stage.values())
    predictor = Predictor(load_model(tmp_path), "cpu", "auto")
    site = dataset.site("sim_test")
    images = np.stack([read_image(a) for a in site.acquisitions])
    valid = valid_mask(images)
    pmaps, fused = map_in_tiles(predictor, images)
    assert fused.shape == (1, *site.grid.shape)
    assert pmaps.shape == (2, 1, *site.grid.shape)
    for codes, seen in ((fused, valid.any(axis=0)), (pmaps, valid)):
        assert ((codes == 255) == ~np.expand_dims(seen, -3)).all()
        known = codes[codes != 255]
        assert 0 <= known.min() <= known.max() <= 254  # hardly trained, some say the same everywhere


def test_a_model_of_one_stage_has_no_stages_to_choose_from(dataset, tmp_path):
    settings = TINY.model_copy(update={"model": "u-tae"})
    with pytest.raises(SettingsError, match="trained in one stage"):
        train(TrainPlan(dataset, settings, stage="fcn"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_product_trains_its_own_networks_only(dataset, tmp_path):
    """In a process of its own, as a user has it: here the laboratory is loaded."""
    arguments = ["train", str(dataset.root), "--out", str(tmp_path / "run"), "--model", "u-tae"]
    command = [sys.executable, "-m", "swath", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "no model 'u-tae'" in line
    assert "unet-convlstm, unet-attention" in line
    assert "laboratory" in line
    assert not (tmp_path / "run").exists()
