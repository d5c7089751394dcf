"""Runs as `swath train` leaves them, with untrained, narrow models."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from support.whole_maps import spread
from swath.legend import read_legend
from swath.models.head import probabilities
from swath.models.spec import ModelSpec
from swath.models.trained import TrainedModel, build_fcn, build_fusion, save_model
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings, valid_mask


def save_run(folder: Path, splits: dict[str, list[str]], **changes: Any) -> TrainedModel:
    """A run with an untrained, narrow model."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "name": "unet-convlstm",
        "image": ImageSettings(),
        "legend": read_legend("roads"),
        "scaling": Scaling(offset=(100.0,) * 3, scale=(50.0,) * 3),
        "sizes": {"width": 4, "decoder_convs": 1, "hidden": 4, "layers": 2},
        "dates": 2,
        "splits": splits,
        "attribution": "(c) OpenStreetMap contributors",
    }
    spec = ModelSpec(**settings | changes)
    model = TrainedModel(spec, build_fcn(spec).eval(), build_fusion(spec).eval())
    save_model(folder, model)
    return model


def save_mixed_run(folder: Path, images: NDArray[np.uint8], **changes: Any) -> TrainedModel:
    """A run whose model, though untrained, finds all classes in images like `images`.

    Its heads are scaled to logits of mean 0 and standard deviation 1.5 on them, (T, 3, H, W).
    """
    model = save_run(folder, {}, **changes)
    assert model.fusion is not None
    with torch.no_grad():
        scaled = torch.from_numpy(model.spec.scaling.apply(images))
        known = torch.from_numpy(valid_mask(images))
        spread(model.fcn, model.fcn(scaled, known))
        pmaps = probabilities(model.fcn(scaled, known))[None]
        spread(model.fusion, model.fusion(pmaps, known[None]))
    save_model(folder, model)
    return model
