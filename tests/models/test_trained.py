"""Storing and loading models: same output, clear errors, nothing unpickled."""

import json

import pytest
import torch

from support.known import everywhere
from swath.errors import InputError, ModelError
from swath.legend import read_legend
from swath.models.registry import architecture
from swath.models.spec import ModelSpec
from swath.models.trained import TrainedModel, build_fcn, build_fusion, load_model, save_model
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings


def spec(**changes):
    values = {
        "name": "unet-convlstm",
        "image": ImageSettings(),
        "legend": read_legend("roads"),
        "scaling": Scaling(offset=(1.0, 2.0, 3.0), scale=(4.0, 5.0, 6.0)),
        "sizes": {"width": 2, "decoder_convs": 1, "hidden": 3, "layers": 2},
        "dates": 2,
        "splits": {"train": ["a"], "validation": [], "test": ["b"]},
    }
    return ModelSpec(**(values | changes))


def build(with_fusion=True, **changes):
    torch.manual_seed(0)
    made = spec(**changes)
    fcn = build_fcn(made)
    image = torch.rand(2, 3, 32, 32)
    fcn.train()(image, everywhere(image))  # batch norms get statistics that are not the default
    fusion = build_fusion(made).eval() if with_fusion else None
    return TrainedModel(made, fcn.eval(), fusion)


@pytest.mark.parametrize("with_fusion", [True, False])
def test_same_output_after_a_round_trip(tmp_path, with_fusion):
    model = build(with_fusion)
    save_model(tmp_path, model)
    again = load_model(tmp_path)
    assert again.spec == model.spec
    image, pmaps = torch.rand(1, 3, 40, 33), torch.rand(1, 3, 2, 20, 20)
    with torch.inference_mode():
        assert torch.equal(*(m.fcn(image, everywhere(image)) for m in (again, model)))
        if with_fusion:
            assert torch.equal(*(m.fusion(pmaps, everywhere(pmaps)) for m in (again, model)))
        else:
            assert again.fusion is None


def test_only_the_two_files_of_the_contract(tmp_path):
    save_model(tmp_path, build())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="an unfinished one has none yet: resume it"):
        load_model(tmp_path)


def test_an_unknown_key_is_named(tmp_path):
    save_model(tmp_path, build())
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": 1}))
    with pytest.raises(ModelError, match="colour"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["unet-convlstm", "unet-attention"])
def test_a_run_of_format_1_is_read(tmp_path, name):
    """It had its sizes beside the other fields."""
    save_model(tmp_path, build(name=name))
    path = tmp_path / "model.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content.pop("sizes") | content | {"format": 1}))
    assert load_model(tmp_path).spec == spec(name=name)


def test_another_format_is_refused_in_one_line(tmp_path):
    save_model(tmp_path, build())
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 3}))
    with pytest.raises(ModelError, match=r"model.json: format: Input should be 2 \(got 3\)"):
        load_model(tmp_path)


def test_weights_of_another_size_are_refused(tmp_path):
    save_model(tmp_path, build())
    path = tmp_path / "model.json"
    content = json.loads(path.read_text())
    content["sizes"]["width"] = 4
    path.write_text(json.dumps(content))
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
