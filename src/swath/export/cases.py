"""Images and series to hold a graph against PyTorch: random, and like real ones, in several sizes.

What is expected is computed as mapping computes it, not by the graph's own code.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from swath.export.onnxfile import Case
from swath.grid import refine
from swath.models.head import complementary, probabilities
from swath.models.orientations import mapped
from swath.models.temperature import tempered
from swath.models.trained import TrainedModel
from swath.sentinel2 import valid_mask

SIZES = ((1, 48, 64), (2, 33, 50), (1, 1, 7))
"""Batch, height, width: a multiple of the stride, no multiple, less than one."""

DATES = (2, 5, 1)
"""T of the series of those sizes."""

GROUND_PX = 2.5
"""How far what is on the ground reaches, in pixels."""


def image_cases(model: TrainedModel) -> Iterator[Case]:
    """Images (B, C, H, W) -> their PMaps and where they have data."""
    for shape in SIZES:
        for blur_px in (0, GROUND_PX):
            numbers = _numbers(model, shape, blur_px)
            known = refine(valid_mask(numbers), model.spec.finer)
            yield {"image": numbers}, (_pmap(model, numbers).numpy(), known)


def desktop_cases(model: TrainedModel, tile_px: int) -> Iterator[Case]:
    """A tile as Deepness hands it over -> what it is to draw."""
    numbers = _numbers(model, (1, tile_px, tile_px), GROUND_PX)
    drawn = functional.avg_pool2d(_pmap(model, numbers), model.spec.finer).numpy()
    drawn = np.where(valid_mask(numbers)[:, None], drawn, 0)
    yield {"tile": numbers / np.float32(255)}, (drawn[:, 1:] if drawn.shape[1] == 2 else drawn,)


def fusion_cases(model: TrainedModel) -> Iterator[Case]:
    """PMaps (B, T, lc, H, W) and where they are known -> the fused PMap."""
    assert model.fusion is not None
    rng = np.random.default_rng(0)
    lc = len(model.spec.legend.classes)
    for (batch, height, width), dates in zip(SIZES, DATES, strict=True):
        for blur_px in (0, GROUND_PX):
            scores = _ground(rng, (batch, dates, lc, height, width), blur_px)
            pmaps = complementary(probabilities(torch.from_numpy(2 * scores)))
            known = rng.random((batch, dates, height, width)) > 0.2
            known[:, 0, : height // 2] = False
            with torch.inference_mode():
                fused = probabilities(model.fusion(pmaps, torch.from_numpy(known))).numpy()
            softened = np.stack([tempered(pmap, model.spec.temperature) for pmap in fused])
            yield (
                {"pmaps": pmaps.numpy(), "known": known},
                (complementary(torch.from_numpy(softened)).numpy(),),
            )


def _pmap(model: TrainedModel, numbers: NDArray[np.float32]) -> Tensor:
    """What PyTorch makes of (B, C, H, W) digital numbers."""
    seen = torch.from_numpy(model.spec.scaling.apply(numbers)), torch.from_numpy(valid_mask(numbers))
    with torch.inference_mode():
        return complementary(mapped(model.fcn, seen, model.stride, model.spec.orientations))


def _numbers(model: TrainedModel, shape: tuple[int, int, int], blur_px: float) -> NDArray[np.float32]:
    """(B, C, H, W) whole numbers as the model reads them; a corner has none, a part one band less."""
    batch, height, width = shape
    scaling = model.spec.scaling
    offset, scale = np.array([scaling.offset, scaling.scale], np.float32)[..., None, None]
    ground = _ground(np.random.default_rng(height), (batch, len(offset), height, width), blur_px)
    most = 255 if model.spec.image.encoding == "tci" else 65535
    numbers: NDArray[np.float32] = np.clip(np.round(ground * scale + offset), 1, most)
    numbers[..., : height // 3, : width // 3] = 0
    numbers[:, 0, height // 2 :, width // 2 :] = 0
    return numbers


def _ground(rng: np.random.Generator, shape: tuple[int, ...], blur_px: float) -> NDArray[np.float32]:
    """Numbers of mean 0 and deviation 1; blurred, they hang together as on the ground, with a road."""
    noise = rng.standard_normal(shape, np.float32)
    if not blur_px:
        return noise
    smooth = gaussian_filter(noise, blur_px, axes=(-2, -1))
    ground: NDArray[np.float32] = smooth / max(float(smooth.std()), 1e-6)
    ground[..., shape[-2] // 2, :] += 2
    return ground
