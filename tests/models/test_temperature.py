"""Temperature: a formula of the literature redone in NumPy, and what a training makes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import swath.lab.networks  # noqa: F401 - makes the rivals known
from support.saved_runs import save_run
from support.whole_maps import map_in_tiles
from swath.dataset.site import Dataset, read_image, read_labels
from swath.grid import Window
from swath.legend import IGNORE
from swath.mapping.predict import Predictor
from swath.maps.sitemaps import decode_pmap
from swath.models.temperature import RANGE, fit_temperature, tempered
from swath.models.trained import load_model
from swath.training.compute import Compute
from swath.training.presets import Phase, StageSettings, TrainSettings
from swath.training.train import train
from swath.training.trainplan import TrainPlan

PMAPS = arrays(np.float32, (3, 5), elements=st.floats(0.0078125, 0.9921875, width=32))


@given(PMAPS, st.floats(0.3, 5))
def test_it_divides_the_logits_and_keeps_the_class(pmap: np.ndarray, temperature: float) -> None:
    assume(temperature != 1)  # where the PMap stays as it is, also if it does not sum to 1
    logits = np.log(pmap.astype(np.float64)) / temperature
    expected = np.exp(logits) / np.exp(logits).sum(axis=0)  # softmax(z / T), Guo et al., eq. 9
    made = tempered(pmap, temperature)
    np.testing.assert_allclose(made, expected, rtol=2e-5)
    ordered = np.sort(pmap, axis=0)
    clear = ordered[-1] > ordered[-2] * 1.01
    np.testing.assert_array_equal(made.argmax(axis=0)[clear], pmap.argmax(axis=0)[clear])
    assert tempered(pmap, 1.0) is pmap


def test_certainty_itself_stays_finite() -> None:
    made = tempered(np.array([[0, 1, 0], [1, 0, 0]], np.float32), 2.0)
    assert made[0] == pytest.approx([0.001, 0.999, 0.5], abs=1e-5)
    assert made.sum(axis=0) == pytest.approx(1)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_fit_finds_how_much_too_sure_a_network_is(classes: int, temperature: float) -> None:
    generator = np.random.default_rng(classes)
    logits = generator.normal(0, 1.5, (classes, 200_000))
    true = np.exp(logits) / np.exp(logits).sum(axis=0)
    label = (true.cumsum(axis=0) < generator.random(200_000)).sum(axis=0)
    said = np.exp(logits * temperature)
    said = (said / said.sum(axis=0)).astype(np.float32)
    # Probabilities that do not sum to 1, as one sigmoid a class gives, are taken as odds.
    assert fit_temperature(said * np.float32(0.7), label) == pytest.approx(temperature, rel=0.02)


def test_the_fit_stays_within_bounds() -> None:
    pmap = np.array([[0.4], [0.6]], np.float32).repeat(10, axis=1)
    assert fit_temperature(pmap, np.ones(10, np.int64)) == pytest.approx(RANGE[0], rel=0.01)
    assert fit_temperature(pmap, np.zeros(10, np.int64)) == pytest.approx(RANGE[1], rel=0.01)
    assert fit_temperature(pmap[:, :0], np.zeros(0, np.int64)) == 1


SHORT = StageSettings(phases=(Phase(learning_rate=0.01, epochs=4),), batches=2, batch_size=2, patch_px=32)


@pytest.mark.parametrize(
    ("name", "stage", "orientations"),
    [
        ("unet-convlstm", "fcn", 1),
        ("unet-attention", "all", 8),
        ("unet-convlstm", "all", 1),
        ("feature-mean", "all", 8),
    ],
)
def test_training_fits_it_on_the_maps_of_the_validation_site(
    dataset: Dataset, tmp_path: Path, name: str, stage: str, orientations: int
) -> None:
    settings = TrainSettings(model=name, width=4, hidden=4, orientations=orientations, fcn=SHORT, rnn=SHORT)
    plan = TrainPlan(dataset, settings, stage=stage)
    trained = train(plan, tmp_path / "run", Compute(precision="fp32"))
    assert trained.spec.temperature != 1
    model = load_model(tmp_path / "run")
    assert model.spec.temperature == trained.spec.temperature
    plain = replace(model, spec=model.spec.model_copy(update={"temperature": 1.0}))
    site = dataset.site("sim_validation")
    images = np.stack([read_image(a) for a in site.acquisitions])
    fused, _ = decode_pmap(map_in_tiles(Predictor(plain, "cpu"), images)[1])
    label = read_labels(site)
    known = label != IGNORE
    expected = fit_temperature(fused[:, known], label[known])
    # The edges of so small a site differ: validation patches go on beyond them, without data.
    assert model.spec.temperature == pytest.approx(expected, rel=0.1)


def test_without_validation_it_is_one(dataset: Dataset, tmp_path: Path) -> None:
    settings = TrainSettings(model="unet-attention", width=4, hidden=4, fcn=SHORT, rnn=SHORT)
    alone = dataset.resplit(validation=[], test=["sim_test"])
    trained = train(TrainPlan(alone, settings), tmp_path / "run", Compute(precision="fp32"))
    assert trained.spec.temperature == 1


def test_it_changes_the_fused_map_alone(tmp_path: Path) -> None:
    save_run(tmp_path / "plain", {})
    save_run(tmp_path / "softer", {}, temperature=2.0)
    images = np.random.default_rng(0).integers(1, 255, (1, 3, 40, 50), np.uint8)
    plain, softer = (Predictor(load_model(tmp_path / run), "cpu") for run in ("plain", "softer"))
    pmaps, _ = map_in_tiles(plain, images)
    np.testing.assert_array_equal(map_in_tiles(softer, images)[0], pmaps)
    values, valid = decode_pmap(pmaps)
    whole = Window(0, 0, 40, 50)
    hard, soft = (predictor.fuse(values, valid, whole) for predictor in (plain, softer))
    np.testing.assert_allclose(soft[1] / soft[0], np.sqrt(hard[1] / hard[0]), rtol=1e-4)
