"""A training that is given minutes or steps as a whole."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from swath.cli import run
from swath.dataset.site import Dataset
from swath.errors import SettingsError
from swath.models.trained import load_model
from swath.training.budget import Budget, BudgetedStage, Rates, StageRates, steps_within, with_steps
from swath.training.compute import Compute
from swath.training.presets import PRESETS, Phase, StageSettings, TrainSettings
from swath.training.processes import Processes
from swath.training.train import train
from swath.training.trainplan import TrainPlan

STAGE = StageSettings(phases=(Phase(learning_rate=3e-3, epochs=2),), batches=3, batch_size=2, patch_px=32)
TINY = TrainSettings(width=2, hidden=4, fcn=STAGE, rnn=STAGE)
BOTH: tuple[BudgetedStage, ...] = ("fcn", "rnn")


@given(steps=st.integers(2, 1_000_000), name=st.sampled_from(sorted(PRESETS)))
def test_steps_are_shared_as_the_preset_shares_them(steps: int, name: str) -> None:
    preset = PRESETS[name]
    got = with_steps(preset, steps, BOTH)
    done = got.fcn.steps + got.rnn.steps
    epochs = got.fcn.epochs + got.rnn.epochs
    assert done <= steps < done + epochs + 1
    assert got.fcn.steps >= 1 <= got.rnn.steps
    share = preset.fcn.steps / (preset.fcn.steps + preset.rnn.steps)
    assert abs(got.fcn.steps - steps * share) <= got.fcn.epochs + 1
    assert [p.learning_rate for p in got.fcn.phases] == [
        p.learning_rate for p in preset.fcn.phases[-len(got.fcn.phases) :]
    ]
    assert got.model_copy(update={"fcn": preset.fcn, "rnn": preset.rnn}) == preset


def test_the_steps_of_a_preset_give_the_preset() -> None:
    assert with_steps(PRESETS["best"], 3000, BOTH) == PRESETS["best"]
    assert with_steps(PRESETS["paper"], 480, BOTH) == PRESETS["paper"]
    assert [p.epochs for p in with_steps(PRESETS["paper"], 960, BOTH).fcn.phases] == [20, 20, 20]


def test_minutes_become_the_steps_that_fit() -> None:
    """2400 : 600 steps of 0.5 and 1 s: 0.6 s a step; a tenth more goes into the validation."""
    rates: Rates = {"fcn": StageRates(0.5, 30.0, 1.0, 1), "rnn": StageRates(1.0, 3.0, 1.0, 1)}
    steps = steps_within(660, PRESETS["best"], rates)
    assert steps == 1000
    got = with_steps(PRESETS["best"], steps, BOTH, rates)
    # 30 s of validation for 600 steps of 0.5 s: one epoch holds all 800; of the fusion seven of 28.
    assert (got.fcn.epochs, got.fcn.batches, got.rnn.epochs, got.rnn.batches) == (1, 800, 2, 100)
    seconds = sum(rates[n].seconds(getattr(got, n).steps, getattr(got, n).epochs) for n in BOTH)
    assert 0.9 * 660 < seconds <= 660
    assert steps_within(-5, PRESETS["best"], rates) == 2


def test_a_budget_is_one_of_the_two() -> None:
    for values in ({}, {"minutes": 1, "steps": 5}, {"minutes": 0}, {"steps": 1}):
        with pytest.raises(ValidationError):
            Budget.model_validate(values)


def test_a_run_says_what_it_was_given_and_keeps_it(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = TrainPlan(dataset, TINY, budget=Budget(minutes=0.0001))
    folder = tmp_path / "run"
    training = train(plan, folder).spec.training
    assert capsys.readouterr().err.splitlines()[0] == (
        "0.0001 minutes: 1 + 1 steps fit (U-Net + fusion); too few to improve on anything; give more minutes"
    )
    assert training["budget"] == {"minutes": 0.0001}
    planned = json.loads((folder / "planned.json").read_text())
    assert {name: training[name] for name in planned} == planned
    (folder / "model.json").unlink()
    shutil.rmtree(folder / "rnn")
    assert train(plan, folder, resume=True).spec.training == training  # timed anew, it would be another
    with pytest.raises(SettingsError, match="began with other budget"):
        train(TrainPlan(dataset, TINY, budget=Budget(steps=8)), folder, resume=True)

    plan = TrainPlan(dataset, TINY, budget=Budget(steps=8))
    train(plan, tmp_path / "steps")
    training = load_model(tmp_path / "steps").spec.training
    assert training["budget"] == {"steps": 8}
    settings = TrainSettings.model_validate({name: training[name] for name in planned})
    assert [(stage.epochs, stage.batches) for stage in (settings.fcn, settings.rnn)] == [(1, 4), (1, 4)]


def test_what_a_budget_is_not_for(dataset: Dataset, tmp_path: Path) -> None:
    minutes = Budget(minutes=1)
    with pytest.raises(SettingsError, match="for all stages; got stage 'fcn'"):
        train(TrainPlan(dataset, TINY, stage="fcn", budget=minutes), tmp_path / "run")
    with pytest.raises(SettingsError, match="planned by one process"):
        train(
            TrainPlan(dataset, TINY, budget=minutes), tmp_path / "run", Compute("cpu", processes=Processes(2))
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--minutes", "1", "--steps", "9"), "not both"),
        (("--minutes", "0"), "must be 0.1 to 100,000; got 0"),
        (("--minutes", "1e-9"), "must be 0.1 to 100,000; got 1e-09"),
        (("--minutes", "nan"), "must be 0.1 to 100,000; got nan"),
        (("--steps", "1"), "greater than or equal to 2"),
        (("--steps", "9", "--stage", "fcn"), "for all stages"),
    ],
)
def test_bad_budgets_are_one_line(
    dataset: Dataset,
    tmp_path: Path,
    options: tuple[str, ...],
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["train", str(dataset.root), "--out", str(tmp_path / "run"), *options]) == 2
    assert problem in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()
