"""Training runs on a small really built dataset: stages, presets, resume, errors."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from support.class_worlds import of_three_classes
from swath.errors import DatasetError, DivergedError, OutputExistsError, SettingsError
from swath.lab.comparison.stagestore import StageStore
from swath.models.convlstm import ConvLSTM
from swath.models.trained import load_model, save_model
from swath.training import fitting, trainplan
from swath.training.compute import Compute
from swath.training.presets import PRESETS, Phase, StageSettings, TrainSettings, override
from swath.training.train import train
from swath.training.trainplan import TrainPlan

STAGE = StageSettings(
    phases=(Phase(learning_rate=3e-3, epochs=2),), batches=3, batch_size=2, patch_px=32, ema=0.5
)
TINY = TrainSettings(width=2, hidden=4, jitter=0.1, fcn=STAGE, rnn=STAGE)


def weights(folder):
    model = load_model(folder)
    state = {f"fcn.{k}": v for k, v in model.fcn.state_dict().items()}
    if model.fusion is not None:
        state |= {f"rnn.{k}": v for k, v in model.fusion.state_dict().items()}
    return state


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_leaves_what_the_contract_says(dataset, tmp_path):
    model = train(TrainPlan(dataset, TINY, seed=1), tmp_path / "run", fallback=False)
    assert model.spec.dates == 2
    assert model.spec.splits == {
        "train": ["sim_train"],
        "validation": ["sim_validation"],
        "test": ["sim_test"],
    }
    assert model.fusion is not None
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"model.safetensors", "model.json", "run.json", "fcn", "rnn"} <= names
    assert (tmp_path / "run/fcn/logs/csv/metrics.csv").is_file()
    assert list((tmp_path / "run/fcn/logs/tensorboard").glob("events*"))
    assert not list((tmp_path / "run").rglob("*.ckpt"))
    assert set(model.spec.scores["rnn"]) == {"loss", "val_loss", "val_iou", "val_ap"}


def test_stages_one_by_one_equal_all_at_once(dataset, tmp_path):
    train(TrainPlan(dataset, TINY, seed=3), tmp_path / "all", fallback=False)
    first = train(TrainPlan(dataset, TINY, stage="fcn", seed=3), tmp_path / "parts")
    assert first.fusion is None
    train(TrainPlan(dataset, TINY, stage="rnn", seed=3), tmp_path / "parts", fallback=False)
    assert same(weights(tmp_path / "all"), weights(tmp_path / "parts"))


def test_a_long_training_has_its_gates_compiled_and_gives_a_plain_network(dataset, tmp_path, monkeypatch):
    """Long: pixels x dates of all its patches, here 2 epochs x 3 batches x 2 patches of 32 px."""
    monkeypatch.setattr(fitting, "FUSE_FROM_PX", 2 * 3 * 2 * 32**2 * 2)
    said = []
    monkeypatch.setattr(ConvLSTM, "fuse_gates", lambda self: said.append(("fused", self.training)))
    monkeypatch.setattr(ConvLSTM, "unfuse_gates", lambda self: said.append("plain again"))
    train(TrainPlan(dataset, TINY, seed=3), tmp_path / "run")
    assert said == [("fused", True), "plain again"]
    said.clear()
    monkeypatch.setattr(fitting, "FUSE_FROM_PX", 2 * 3 * 2 * 32**2 * 2 + 1)
    train(TrainPlan(dataset, TINY, seed=3), tmp_path / "short")
    assert said == []


def test_the_seed_decides(dataset, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(TrainPlan(dataset, TINY, stage="fcn", seed=seed), tmp_path / name)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_reading_in_workers_changes_nothing(dataset, tmp_path):
    train(TrainPlan(dataset, TINY, stage="fcn"), tmp_path / "a", Compute(workers=0))
    train(TrainPlan(dataset, TINY, stage="fcn"), tmp_path / "b", Compute(workers=2))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_a_killed_run_resumes_to_the_same_weights(dataset, tmp_path):
    """kill -9 after some epochs; with --resume the run ends as if undisturbed."""
    longer = TINY.model_copy(
        update={"fcn": STAGE.model_copy(update={"phases": (Phase(learning_rate=3e-3, epochs=6),)})}
    )
    train(TrainPlan(dataset, longer, stage="fcn"), tmp_path / "whole")
    settings = tmp_path / "settings.yaml"
    settings.write_text(longer.model_dump_json())
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "swath", "train", str(dataset.root), "--out", str(out)]
    command += ["--settings", str(settings), "--stage", "fcn"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / "fcn/last.ckpt").exists() and time.monotonic() < deadline:
        assert process.poll() is None, "ended before its first checkpoint"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (out / "fcn/last.ckpt").exists()
    assert not (out / "model.json").exists()
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert same(weights(tmp_path / "whole"), weights(out))


def test_a_run_killed_after_its_last_epoch_keeps_the_averaged_weights(dataset, tmp_path, monkeypatch):
    train(TrainPlan(dataset, TINY, stage="fcn"), tmp_path / "whole")

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("swath.training.fit.save", die)
        with pytest.raises(KeyboardInterrupt):
            train(TrainPlan(dataset, TINY, stage="fcn"), tmp_path / "killed")
    resumed = train(TrainPlan(dataset, TINY, stage="fcn"), tmp_path / "killed", resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    whole = load_model(tmp_path / "whole").spec.scores["fcn"]
    kept = resumed.spec.scores["fcn"]
    assert {"val_ap", "val_iou", "val_loss"} <= kept.keys()
    assert {name: whole[name] for name in kept if name != "loss"} == {
        name: kept[name] for name in kept if name != "loss"
    }
    left = tmp_path / "killed" / "fcn" / "last.ckpt"
    left.touch()  # as one leaves that is killed after its weights are written
    train(TrainPlan(dataset, TINY, stage="fcn"), tmp_path / "killed", resume=True)
    assert not left.exists()


def test_resume_with_other_settings_is_refused(dataset, tmp_path):
    train(TrainPlan(dataset, TINY, stage="fcn"), tmp_path / "run")
    with pytest.raises(SettingsError, match="other settings"):
        train(TrainPlan(dataset, PRESETS["demo"], stage="fcn"), tmp_path / "run", resume=True)
    with pytest.raises(SettingsError, match="other seed"):
        train(TrainPlan(dataset, TINY, stage="fcn", seed=9), tmp_path / "run", resume=True)


def test_what_another_trainer_began_is_not_gone_on_with(dataset, tmp_path, monkeypatch):
    """Neither a run nor a kept first stage outlives a change of what a plan computes."""
    plan, store = TrainPlan(dataset, TINY, stage="fcn"), StageStore(tmp_path / "stages")
    store.train(plan, tmp_path / "run")
    store.train(plan, tmp_path / "same")
    assert len(list(store.folder.iterdir())) == 1
    monkeypatch.setattr(trainplan, "TRAINER", trainplan.TRAINER + 1)
    with pytest.raises(SettingsError, match="another version of the trainer"):
        train(plan, tmp_path / "run", resume=True)
    store.train(plan, tmp_path / "anew")
    assert len(list(store.folder.iterdir())) == 2


def test_an_existing_run_is_not_overwritten_unasked(dataset, tmp_path):
    train(TrainPlan(dataset, TINY, stage="fcn"), tmp_path / "run")
    with pytest.raises(OutputExistsError):
        train(TrainPlan(dataset, TINY, stage="fcn"), tmp_path / "run")
    train(TrainPlan(dataset, TINY, stage="fcn", seed=1), tmp_path / "run", overwrite=True)
    assert json.loads((tmp_path / "run/run.json").read_text())["seed"] == 1


def test_the_rnn_needs_a_finished_fcn(dataset, tmp_path):
    with pytest.raises(SettingsError, match="no finished U-Net"):
        train(TrainPlan(dataset, TINY, stage="rnn"), tmp_path / "run")


def test_one_date_only_is_refused_for_the_rnn(dataset, tmp_path):
    sites = tuple(replace(s, acquisitions=s.acquisitions[:1]) for s in dataset.sites)
    single = replace(dataset, sites=sites)
    with pytest.raises(DatasetError, match="one date only"):
        train(TrainPlan(single, TINY), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert train(TrainPlan(single, TINY, stage="fcn"), tmp_path / "run").fusion is None


def test_more_dates_than_there_are_is_refused(dataset, tmp_path):
    with pytest.raises(DatasetError, match="series of 5"):
        train(TrainPlan(dataset, TINY.model_copy(update={"dates": 5})), tmp_path / "run")


WILD_PHASE = Phase.model_construct(learning_rate=1e30, epochs=2)  # beyond what a user may ask for
WILD = STAGE.model_copy(update={"phases": (WILD_PHASE,), "clip": None, "ema": None})


def test_a_training_that_diverges_stops_with_its_last_good_weights(dataset, tmp_path):
    plan = TrainPlan(dataset, TINY.model_copy(update={"fcn": WILD}))
    for resume in (False, True):
        with pytest.raises(DivergedError, match=r"run: .*not finite"):
            train(plan, tmp_path / "run", resume=resume)
        model = load_model(tmp_path / "run")
        assert model.spec.scores == {"fcn": {"loss": None}}  # no fusion was begun on it
        assert model.fusion is None
        assert all(tensor.isfinite().all() for tensor in model.fcn.state_dict().values())


def test_a_loss_that_breaks_later_keeps_the_last_whole_epoch(dataset, tmp_path):
    plain = {"schedule": "constant", "ema": None, "clip": None}
    first = Phase(learning_rate=3e-3, epochs=1)
    wild = Phase.model_construct(learning_rate=1e30, epochs=1)

    def plan(*phases):
        stage = STAGE.model_copy(update={**plain, "phases": phases})
        return TrainPlan(dataset, TINY.model_copy(update={"fcn": stage}), stage="fcn")

    train(plan(first), tmp_path / "whole")
    with pytest.raises(DivergedError, match=r"in epoch 2: .* with the weights after epoch 1$"):
        train(plan(first, wild), tmp_path / "run")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "run"))


def test_paper_preset_is_the_text():
    paper = PRESETS["paper"]
    for stage in (paper.fcn, paper.rnn):
        assert [p.learning_rate for p in stage.phases] == [0.1, 0.01, 0.001]
        assert [p.epochs for p in stage.phases] == [10, 10, 10]
        assert (stage.batches, stage.patch_px, stage.optimiser) == (8, 512, "adam")
        rates = [stage.learning_rate(step) for step in (0, 79, 80, 159, 160, 239)]
        assert rates == [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    assert (paper.width, paper.decoder_convs, paper.hidden, paper.layers) == (32, 1, 32, 2)
    assert (paper.loss_weight, paper.jitter) == (0.7, 0.0)


def test_cosine_schedule_rises_then_falls_to_nothing():
    stage = STAGE.model_copy(update={"batches": 50})
    rates = [stage.learning_rate(step) for step in range(stage.steps)]
    peak = rates.index(max(rates))
    assert peak == stage.steps // 20 - 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 1e-3 * max(rates)


def test_short_runs_forget_their_first_weights():
    """decay ** steps is what the start keeps of the average: below exp(-6) however short."""
    for steps, ema, expected in ((2400, 0.995, 0.995), (600, 0.99, 0.99), (400, 0.995, 0.985)):
        stage = STAGE.model_copy(update={"ema": ema, "batches": steps // 2})
        assert stage.decay == pytest.approx(expected)
        assert stage.decay**steps < 0.0025
    assert STAGE.model_copy(update={"ema": None}).decay is None


def test_overriding_settings(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text("width: 8\nfcn: {batches: 2}\n")
    settings = override("best", file, dates=4)
    assert (settings.width, settings.dates, settings.fcn.batches) == (8, 4, 2)
    assert settings.fcn.batch_size == PRESETS["best"].fcn.batch_size


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("widht: 8", r"unknown key 'widht' \(do you mean 'width'\?\); known: model, width, .* fcn, rnn$"),
        (
            "fcn: {epochs: 2}",
            r"unknown key 'fcn.epochs' \(do you mean 'phases.epochs'\?\); known: phases, batches, batch_size",
        ),
        ("patch_px: 64", r"unknown key 'patch_px' \(do you mean 'fcn.patch_px'\?\); known: model, "),
        ("zebra: 1", r"unknown key 'zebra'; known: model, "),
        ("fcn: {phases: [{learning_rate: 1, epochs: 1, rate: 1}]}", r"known: learning_rate, epochs$"),
        ("width: -1", "width"),
        ("fcn: {batch_size: 1, patch_px: 16}", "a batch_size of 1 needs a patch_px of 32 or more"),
        ("[1]", "dictionary"),
    ],
)
def test_bad_settings_are_one_clear_error(tmp_path, text, problem):
    file = tmp_path / "s.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=problem):
        override("best", file)


def test_a_class_that_is_never_predicted_is_named(dataset, tmp_path):
    plan = TrainPlan(of_three_classes(dataset, tmp_path / "labels"), TINY, seed=1)
    model = train(plan, tmp_path / "run", fallback=False)
    assert set(model.spec.scores["rnn"]) == {"loss", "val_loss", "val_iou", "val_accuracy"}
    with torch.no_grad():
        model.fusion.head.bias.copy_(torch.tensor([-50.0, 50.0, -50.0]))
    told = fitting.prepare(plan, tmp_path / "again", Compute()).calibrated(model)
    assert told.spec.unpredicted == ("field", "water")
    save_model(tmp_path / "run", told)
    assert load_model(tmp_path / "run").spec.unpredicted == ("field", "water")
