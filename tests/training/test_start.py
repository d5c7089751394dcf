"""Trainings that begin with another run's weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from support.tiny_training import STAGE, TINY
from swath.cli import run
from swath.dataset.build import build_dataset
from swath.dataset.site import Dataset, Region
from swath.errors import SettingsError
from swath.grid import Window
from swath.models.starter import STARTER
from swath.models.trained import load_model, network_hash
from swath.training.compute import Compute
from swath.training.fitting import prepare
from swath.training.presets import Phase
from swath.training.start import Start
from swath.training.train import train
from swath.training.trainplan import TrainPlan


@pytest.fixture(scope="module")
def before(worlds: tuple[Dataset, Dataset], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the first two places."""
    out = tmp_path_factory.mktemp("start-run") / "run"
    train(TrainPlan(worlds[0], TINY, seed=4), out, fallback=False)
    return out


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_both_stages_begin_with_exactly_those_weights(
    worlds: tuple[Dataset, Dataset], before: Path, tmp_path: Path
) -> None:
    start = Start(load_model(before))
    cpu = Compute("cpu")
    fitting = prepare(TrainPlan(worlds[1], TINY, start=start), tmp_path, cpu)
    fcn_stage, _ = fitting.fcn_stage()
    fusion_stage, _ = fitting.fusion_stage(fcn_stage.network)
    old = load_model(before)
    assert old.fusion is not None
    assert same(fcn_stage.network, old.fcn)
    assert same(fusion_stage.network, old.fusion)
    # The new data's scaling is its own.
    fresh = prepare(TrainPlan(worlds[1], TINY), tmp_path, cpu)
    assert fitting.spec.scaling == fresh.spec.scaling != old.spec.scaling
    assert not same(fresh.fcn_stage()[0].network, old.fcn)


def test_a_step_of_no_length_leaves_them_as_they_were(
    worlds: tuple[Dataset, Dataset], before: Path, tmp_path: Path
) -> None:
    """AdamW moves a weight by about the learning rate: 1e-12 is nothing."""
    still = STAGE.model_copy(update={"phases": (Phase(learning_rate=1e-12, epochs=1),)})
    settings = TINY.model_copy(update={"fcn": still, "rnn": still})
    made = train(
        TrainPlan(worlds[1], settings, start=Start(load_model(before))), tmp_path / "run", fallback=False
    )
    old = load_model(before)
    for ours, theirs in ((made.fcn, old.fcn), (made.fusion, old.fusion)):
        assert ours is not None
        assert theirs is not None
        pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
        assert all(torch.allclose(one, other, rtol=0, atol=1e-10) for one, other in pairs)


def test_the_run_says_where_it_began(worlds: tuple[Dataset, Dataset], before: Path, tmp_path: Path) -> None:
    arguments = ["train", str(worlds[1].root), "--out", str(tmp_path / "run"), "--json"]
    arguments += ["--validation", "b", "--test", "c", "--settings", str(tmp_path / "s.yaml")]
    (tmp_path / "s.yaml").write_text(TINY.model_dump_json())
    assert run([*arguments, "--start-from", str(before)]) == 0
    spec = load_model(tmp_path / "run").spec
    old = load_model(before)
    assert spec.training["start"]["weights"]["fcn"] == network_hash(old.fcn)
    assert spec.training["start"]["sites"] == ["first", "second"]
    # To go on, the same weights must be given again; other ones are another run.
    assert run([*arguments, "--start-from", str(before), "--resume"]) == 0
    assert run([*arguments, "--resume"]) == 2


def test_resume_without_them_says_what_changed(
    worlds: tuple[Dataset, Dataset], before: Path, tmp_path: Path
) -> None:
    train(
        TrainPlan(worlds[1], TINY, stage="fcn", start=Start(load_model(before))),
        tmp_path / "run",
        fallback=False,
    )
    with pytest.raises(SettingsError, match="began with other start"):
        train(TrainPlan(worlds[1], TINY, stage="fcn"), tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"width": 4}, "its width is 2, this run's 4"),
        ({"hidden": 5}, "its hidden is 3, this run's 5"),
        ({"model": "unet-attention"}, "its model is unet-convlstm, this run's unet-attention"),
    ],
)
def test_other_networks_are_refused_before_anything_is_written(
    worlds: tuple[Dataset, Dataset],
    before: Path,
    tmp_path: Path,
    changes: dict[str, Any],
    says: str,
) -> None:
    settings = TINY.model_copy(update=changes)
    with pytest.raises(SettingsError, match=says):
        train(
            TrainPlan(worlds[1], settings, start=Start(load_model(before))), tmp_path / "run", fallback=False
        )
    assert not (tmp_path / "run").exists()


def test_other_images_and_known_test_sites_are_refused(worlds: tuple[Dataset, Dataset], before: Path) -> None:
    from dataclasses import replace

    start = Start(load_model(before))
    image = worlds[1].image.model_copy(update={"bands": ("B04", "B03", "B08")})
    with pytest.raises(
        SettingsError,
        match=r"has `image: .*bands: .B04, B03, B08.* that run .*B02., encoding: tci.` and `finer: 1`; build",
    ):
        start.check(replace(worlds[1], image=image), TINY)
    with pytest.raises(SettingsError, match="has learnt from site 'first'"):
        start.check(worlds[0].resplit([], ["first"]), TINY)
    # Nor what the start's own start has learnt from.
    further = Start(load_model(before))
    further.model.spec = further.model.spec.model_copy(
        update={
            "splits": {"train": ["a"], "validation": [], "test": []},
            "training": {"start": start.record},
        }
    )
    assert further.learnt == {"a", "first", "second"}
    with pytest.raises(SettingsError, match="has learnt from site 'second'"):
        further.check(worlds[0].resplit([], ["second"]), TINY)
    # Learnt as a whole, a site cannot be held out in part.
    first = worlds[0].site("first")
    half = Window(0, 0, first.grid.height // 2, first.grid.width)
    rest = Window(half.height, 0, first.grid.height - half.height, first.grid.width)
    parted = replace(first, regions=(Region("train", half), Region("test", rest)))
    with pytest.raises(SettingsError, match="has learnt from site 'first'"):
        start.check(replace(worlds[0], sites=(parted,)), TINY)
    # A run without ConvLSTM serves any.
    alone = Start(load_model(before))
    alone.model.fusion = None
    alone.check(worlds[1], TINY.model_copy(update={"hidden": 9}))


def test_the_starter_is_begun_with_by_its_name(
    tiny_world: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its model and sizes are the run's own, whatever the preset; other images are refused in one line."""
    command = ["train", str(dataset.root), "--out", str(tmp_path / "run"), "--start-from", "starter"]
    command += ["--steps", "4", "--preset", "demo", "--seed", "1"]
    assert run(command) == 2
    spec = load_model(STARTER).spec
    error = capsys.readouterr().err
    assert f"bands: [{', '.join(spec.image.bands)}], encoding: standardised, optional: [B08]" in error
    assert f"`finer: {spec.finer}`; build the dataset" in error
    assert "--bands, --encoding and --finer of swath build" in error
    assert not (tmp_path / "run").exists()
    fitting = build_dataset(
        tiny_world,
        tmp_path / "data",
        bands=spec.image.bands,
        encoding=spec.image.encoding,
        finer=spec.finer,
    )
    command[1] = str(fitting.root)
    assert run(command) == 0
    tuned = load_model(tmp_path / "run").spec
    assert (tuned.name, tuned.sizes, tuned.orientations) == (spec.name, spec.sizes, spec.orientations)
    assert tuned.training["budget"] == {"steps": 4}
