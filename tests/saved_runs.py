"""Runs as `swath train` leaves them, with an untrained, narrow model."""

from pathlib import Path
from typing import Any

import torch

from swath.legend import read_legend
from swath.models.trained import ModelSpec, TrainedModel, save_model
from swath.scaling import Scaling
from swath.settings import ImageSettings


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
