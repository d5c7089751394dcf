"""How sure a trained model may be, and what it never shows: found on the validation sites."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from swath.dataset.index import plan_cover
from swath.dataset.patches import PatchDataset, Sample
from swath.legend import IGNORE
from swath.models.device import autocast
from swath.models.fusion import mean
from swath.models.head import complementary, probabilities
from swath.models.network import refine
from swath.models.orientations import mapped
from swath.models.temperature import fit_temperature
from swath.models.trained import TrainedModel
from swath.training.patchmodule import VALIDATION_PX, PatchSource

PIXELS = 4_000_000
"""Pixels that the fit looks at: of larger sites, so many evenly spaced ones."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the validation sites say of a model's fused maps.

    Attributes:
        temperature: 1 where there is no labelled pixel to fit it on.
        unpredicted: Of more than two classes, the ids of those that labels hold and no pixel gets.
    """

    temperature: float = 1.0
    unpredicted: tuple[int, ...] = ()


def calibrate(model: TrainedModel, source: PatchSource, dates: int) -> Calibration:
    """Fit the temperature of a model's fused maps, and find the classes that they never show.

    The maps are made as `swath map` makes them, orientations and all, but in patches of
    `VALIDATION_PX`.

    Args:
        model: The networks, on the CPU; they are there again in the end.
        source: Its validation regions have labels; it says where to compute.
        dates: T of the series that are mapped.

    Source: not in the paper; see `swath.models.temperature`.
    """
    device = source.compute.where
    cover = plan_cover(source.validation, VALIDATION_PX, dates)
    patches = PatchDataset(source.plan.dataset, cover, source.scaling)
    every = -(-len(patches) * (VALIDATION_PX * model.spec.finer) ** 2 // PIXELS)
    networks = model.networks.values()
    pmaps, labels = [], []
    for network in networks:
        network.to(device)
    with torch.inference_mode(), autocast(device, source.compute.exactness):
        for at in range(len(patches)):
            sample = patches[at]
            seen = refine(sample["valid"].any(dim=0), model.spec.finer)
            label = sample["label"].masked_fill(~seen, IGNORE).flatten()
            known = (label != IGNORE).nonzero()[::every, 0]
            pmap = _fused(model, sample, device).flatten(1)
            pmaps.append(pmap[:, known].numpy())
            labels.append(label[known].numpy())
    for network in networks:
        network.cpu()
    if not pmaps:
        return Calibration()
    fused, truth = np.concatenate(pmaps, axis=1), np.concatenate(labels)
    unpredicted = sorted(set(truth.tolist()) - set(fused.argmax(axis=0).tolist()))
    return Calibration(fit_temperature(fused, truth), tuple(unpredicted) if len(fused) > 2 else ())


def _fused(model: TrainedModel, sample: Sample, device: torch.device) -> Tensor:
    """The fused PMap (lc, nH, nW) of one patch, on the CPU."""
    orientations = model.spec.orientations
    image, known = sample["image"].to(device), sample["valid"].to(device)
    if model.series is not None:
        series = image[None], known[None]
        return mapped(model.series, series, model.stride, orientations)[0].cpu()
    image = image.contiguous(memory_format=torch.channels_last)
    pmaps = complementary(mapped(model.fcn, (image, known), model.stride, orientations))
    known = refine(known, model.spec.finer)
    if model.fusion is not None:
        return probabilities(model.fusion(pmaps[None], known[None]))[0].cpu()
    return torch.from_numpy(mean(pmaps.cpu().numpy(), known.cpu().numpy()))
