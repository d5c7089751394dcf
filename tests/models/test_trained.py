"""Storing and loading models: same output, clear errors, nothing unpickled."""

import json

import pytest
import torch

from swath.errors import InputError, ModelError
from swath.legend import read_legend
from swath.models.registry import architecture
from swath.models.trained import ModelSpec, TrainedModel, load_model, save_model
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings


def spec(**changes):
    values = {
        "name": "unet-convlstm",
        "image": ImageSettings(),
        "legend": read_legend("roads"),
        "scaling": Scaling(offset=(1.0, 2.0, 3.0), scale=(4.0, 5.0, 6.0)),
        "width": 2,
        "decoder_convs": 1,
        "hidden": 3,
        "layers": 2,
        "dates": 2,
        "splits": {"train": ["a"], "validation": [], "test": ["b"]},
    }
    return ModelSpec(**(values | changes))


def build(with_rnn=True, **changes):
    torch.manual_seed(0)
    made = spec(**changes)
    fcn = made.build_fcn()
    fcn.train()(torch.rand(2, 3, 32, 32))  # batch norms get statistics that are not the default
    rnn = made.build_rnn().eval() if with_rnn else None
    return TrainedModel(made, fcn.eval(), rnn)


@pytest.mark.parametrize("with_rnn", [True, False])
def test_same_output_after_a_round_trip(tmp_path, with_rnn):
    model = build(with_rnn)
    save_model(tmp_path, model)
    again = load_model(tmp_path)
    assert again.spec == model.spec
    image, pmaps = torch.rand(1, 3, 40, 33), torch.rand(1, 3, 2, 20, 20)
    with torch.inference_mode():
        assert torch.equal(again.fcn(image), model.fcn(image))
        if with_rnn:
            assert torch.equal(again.rnn(pmaps), model.rnn(pmaps))
        else:
            assert again.rnn is None


def test_only_the_two_files_of_the_contract(tmp_path):
    save_model(tmp_path, build())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="--resume"):
        load_model(tmp_path)


def test_an_unknown_key_is_named(tmp_path):
    save_model(tmp_path, build())
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": 1}))
    with pytest.raises(ModelError, match="colour"):
        load_model(tmp_path)


def test_weights_of_another_size_are_refused(tmp_path):
    save_model(tmp_path, build())
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"width": 4}))
    with pytest.raises(ModelError, match="does not hold the weights"):
        load_model(tmp_path)


@pytest.mark.parametrize("keep", [0, 7, 200])
def test_a_cut_weights_file_is_refused(tmp_path, keep):
    save_model(tmp_path, build())
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="not readable"):
        load_model(tmp_path)


def test_a_pickle_is_not_loaded(tmp_path):
    """A file that torch.load would execute must be refused unread."""
    save_model(tmp_path, build())
    torch.save({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="not readable"):
        load_model(tmp_path)


def test_an_unknown_architecture_names_the_known():
    with pytest.raises(ModelError, match="unet-convlstm"):
        architecture("vgg")
