"""Runs as `swath train` leaves them, with untrained, narrow models."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from swath.legend import read_legend
from swath.models.head import probabilities
from swath.models.trained import ModelSpec, TrainedModel, save_model
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings


def save_run(folder: Path, splits: dict[str, list[str]], **changes: Any) -> TrainedModel:
    """A run with an untrained, narrow model."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "name": "unet-convlstm",
        "image": ImageSettings(),
        "legend": read_legend("roads"),
        "scaling": Scaling(offset=(100.0,) * 3, scale=(50.0,) * 3),
        "width": 4,
        "decoder_convs": 1,
        "hidden": 4,
        "layers": 2,
        "dates": 2,
        "splits": splits,
        "attribution": "(c) OpenStreetMap contributors",
    }
    spec = ModelSpec(**settings | changes)
    model = TrainedModel(spec, spec.build_fcn().eval(), spec.build_rnn().eval())
    save_model(folder, model)
    return model


def save_mixed_run(folder: Path, images: NDArray[np.uint8], **changes: Any) -> TrainedModel:
    """A run whose model, though untrained, finds all classes in images like `images`.

    Its heads are scaled to logits of mean 0 and standard deviation 1.5 on them, (T, 3, H, W).
    """
    model = save_run(folder, {}, **changes)
    assert model.rnn is not None
    with torch.no_grad():
        scaled = torch.from_numpy(model.spec.scaling.apply(images))
        _spread(model.fcn.head, model.fcn(scaled))
        pmaps = probabilities(model.fcn(scaled))[None]
        _spread(model.rnn.head, model.rnn(pmaps))
    save_model(folder, model)
    return model


def _spread(head: Any, logits: Tensor) -> None:
    assert isinstance(head, nn.Conv2d)
    assert head.bias is not None
    gain = 1.5 / logits.std(dim=(0, 2, 3))
    head.weight.mul_(gain[:, None, None, None])
    head.bias.sub_(logits.mean(dim=(0, 2, 3))).mul_(gain)
