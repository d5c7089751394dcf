"""Maps of a whole scene at once, by the networks alone: what the jobs' tiles must add up to."""

import datetime as dt
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from swath.grid import Window
from swath.lab.stability.inmemory import InMemoryMapper
from swath.mapping.predict import DatedImage, Predictor
from swath.maps.sitemaps import PMAP_NODATA, PMAP_SCALE, decode_pmap
from swath.models.head import probabilities
from swath.models.trained import TrainedModel
from swath.sentinel2 import valid_mask
from swath.tiles import DEFAULT_TILE_PX

DATES = tuple(dt.date(2019, month, 7) for month in (3, 7, 10))

Array = NDArray[np.generic]
Codes = NDArray[np.uint8]


def as_images(images: Array, dates: Sequence[dt.date] = DATES) -> list[DatedImage]:
    """(T, C, H, W) pixels as dated images."""

    def reader(image: Array) -> Callable[[Window], Array]:
        return lambda window: image[(..., *window.slices)]

    return [DatedImage(date, reader(image)) for date, image in zip(dates, images, strict=False)]


def map_in_tiles(predictor: Predictor, images: Array, tile_px: int = DEFAULT_TILE_PX) -> tuple[Codes, Codes]:
    """What the jobs make of (T, C, H, W) pixels: PMaps (T, lc, H, W) and fused PMap, as stored."""
    mapper = InMemoryMapper(predictor, images.shape[-2:], tile_px)
    dated = as_images(images)
    pmaps = [mapper.pmap(image) for image in dated]
    return np.stack(pmaps), mapper.fuse(dated, pmaps)


def whole_pmaps(model: TrainedModel, images: Array) -> Array:
    """PMaps (T, lc, nH, nW) of (T, C, H, W) pixels."""
    with torch.inference_mode():
        return probabilities(model.fcn(*_seen(model, images))).numpy()


def whole_fused(model: TrainedModel, images: Array, pmaps: Codes) -> Array:
    """The fused PMap (lc, H, W) of stored PMaps, or of the images for a model of whole series."""
    with torch.inference_mode():
        if model.series is not None:
            scaled, known = _seen(model, images)
            return probabilities(model.series(scaled[None], known[None]))[0].numpy()
        assert model.fusion is not None
        values, valid = (torch.from_numpy(part)[None] for part in decode_pmap(pmaps))
        return probabilities(model.fusion(values, valid))[0].numpy()


def _seen(model: TrainedModel, images: Array) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(model.spec.scaling.apply(images)), torch.from_numpy(valid_mask(images))


def excess(codes: Codes, pmap: Array, valid: NDArray[np.bool_]) -> float:
    """How far stored probabilities are from true ones at most, beyond the half step of storage.

    Args:
        codes: (..., bands, H, W) as stored.
        pmap: (..., lc, H, W) true probabilities.
        valid: (..., H, W) where there is data: elsewhere `codes` must say that there is none.
    """
    seen = np.broadcast_to(valid[..., None, :, :], codes.shape)
    assert ((codes == PMAP_NODATA) == ~seen).all()
    if pmap.shape[-3] == 2:
        pmap = (pmap[..., 1, :, :] / pmap.sum(axis=-3))[..., None, :, :]
    far = np.abs(codes.astype(np.float64) - pmap * np.float64(PMAP_SCALE))[seen]
    return float(max(0.0, far.max() - 0.5) / PMAP_SCALE)


def spread(network: nn.Module, logits: Tensor) -> None:
    """Scale the head of a network so that the logits it gave have mean 0 and deviation 1.5."""
    heads = [part for name, part in network.named_modules() if name.split(".")[-1] == "head"]
    head = next(
        p
        for part in heads
        for p in part.modules()
        if isinstance(p, nn.Conv2d | nn.Linear) and p.bias is not None
    )
    parts = len(head.weight) // logits.shape[1]  # map pixels of an image pixel
    gain, mean = (
        values.repeat_interleave(parts)
        for values in (1.5 / logits.std(dim=(0, 2, 3)), logits.mean(dim=(0, 2, 3)))
    )
    with torch.no_grad():
        head.weight.mul_(gain.reshape(-1, *(1,) * (head.weight.ndim - 1)))
        head.bias.sub_(mean).mul_(gain)
