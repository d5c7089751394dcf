"""Where a date knows a pixel is told by its mask alone, never by a value of its map."""

import datetime as dt

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from support.saved_runs import save_run
from swath.grid import Window
from swath.lab.stability.inmemory import InMemoryMapper
from swath.mapping.predict import DatedImage, Predictor
from swath.maps.sitemaps import PMAP_NODATA
from swath.models.trained import TrainedModel
from swath.scaling import Scaling

SHAPE = (24, 32)
HALF = 127
"""Of 254: probability one half."""

Codes = NDArray[np.uint8]


def lively(model: TrainedModel) -> TrainedModel:
    """The model with a fusion whose answer hangs on every date."""
    torch.manual_seed(1)
    assert model.fusion is not None
    with torch.no_grad():
        for weight in model.fusion.parameters():
            weight.normal_(std=0.4)
    return model


def stored(background: int, road: int) -> Codes:
    """A PMap that says the same everywhere, as it is stored."""
    return np.stack([np.full(SHAPE, code, np.uint8) for code in (background, road)])


def fuse(predictor: Predictor, *pmaps: Codes) -> NDArray[np.float32]:
    images = [
        DatedImage(dt.date(2020, 1, 1 + at), lambda _: np.empty(0, np.uint8)) for at in range(len(pmaps))
    ]
    return InMemoryMapper(predictor, SHAPE).fuse(images, pmaps).astype(np.float32)


@pytest.mark.parametrize("name", ["unet-convlstm", "unet-attention"])
def test_a_date_that_says_one_half_is_not_a_date_that_saw_nothing(tmp_path, name) -> None:
    predictor = Predictor(lively(save_run(tmp_path, {}, name=name)), "cpu")
    before = stored(200, 60)
    half = fuse(predictor, before, stored(HALF, HALF))
    missing = fuse(predictor, before, stored(PMAP_NODATA, PMAP_NODATA))
    nearly = [fuse(predictor, before, stored(HALF + step, HALF - step)) for step in (-1, 1)]
    assert np.abs(half - missing).max() > 5
    for other in nearly:
        assert np.abs(half - other).max() <= 3


@pytest.mark.parametrize("name", ["unet-convlstm", "unet-attention", "mean"])
def test_what_stands_where_a_date_saw_nothing_changes_no_map(tmp_path, name) -> None:
    """Beside such a pixel neither: convolutions look at it."""
    model = lively(save_run(tmp_path, {}, **({} if name == "mean" else {"name": name})))
    if name == "mean":
        model.fusion = None
    predictor = Predictor(model, "cpu")
    rng = np.random.default_rng(0)
    pmaps = rng.random((3, 2, *SHAPE), np.float32)
    valid = rng.random((3, *SHAPE)) > 0.3
    seen = valid.any(axis=0)
    fused = [
        predictor.fuse(np.where(valid[:, None], pmaps, value), valid, Window(0, 0, *SHAPE))
        for value in np.array([0, 0.5, 1, 255, np.nan], np.float32)
    ]
    for other in fused[1:]:
        np.testing.assert_array_equal(other[:, seen], fused[0][:, seen])


def test_pixels_of_an_image_without_data_change_no_pmap(tmp_path, monkeypatch) -> None:
    """Not even where the scaling leaves something there."""
    predictor = Predictor(lively(save_run(tmp_path, {})), "cpu")
    image = np.random.default_rng(0).integers(1, 255, (3, *SHAPE), np.uint8)
    image[:, 5:12, 8:20] = 0
    whole = Window(0, 0, *SHAPE)
    expected, valid = predictor.pmap(image, whole)
    plain = Scaling.apply
    monkeypatch.setattr(
        Scaling,
        "apply",
        lambda self, pixels: np.where(valid, plain(self, pixels), np.float32(np.nan)),
    )
    shown, _ = predictor.pmap(image, whole)
    np.testing.assert_array_equal(shown, expected)
