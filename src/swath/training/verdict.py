"""Whether a trained fusion is worth its while: held against the mean of the PMaps that it fuses."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from swath.dataset.index import plan_cover
from swath.dataset.patches import PatchDataset, Sample
from swath.legend import IGNORE
from swath.metrics.histogram import BINS, STEPS, class_score, score_bins
from swath.metrics.scores import average_precision
from swath.models.device import autocast
from swath.models.fusion import mean
from swath.models.head import complementary, probabilities
from swath.models.network import refine
from swath.models.spec import Fallback
from swath.models.trained import TrainedModel
from swath.training.patchmodule import VALIDATION_PX, PatchSource

PATCHES = 32
"""Evenly spaced patches of `VALIDATION_PX` that are looked at, each once and as it lies."""

LEAST_RANGE = 0.02
"""A map is nearly constant if 98 % of its scores lie within so much of one another."""

MARGIN = 0.01
"""Average precision by which a fusion may be below the mean: between two seeds it differs as much."""

BOTH: tuple[str, str] = ("fused", "mean")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What labelled sites say of a fusion.

    Attributes:
        scores: `fused` and `mean`: average precision, over the classes that the labels hold.
        fallback: What stands in for the fusion, and why; None: it does.
    """

    scores: dict[str, float | None]
    fallback: Fallback | None


def judge(model: TrainedModel, source: PatchSource) -> Verdict | None:
    """Hold a model's fused maps against the mean of its own PMaps.

    On the validation sites, or on the training sites where there are none. Where the labels that are
    looked at hold one class only, there is nothing to tell the two by.

    Args:
        model: Of two networks, on the CPU; they are there again in the end.
        source: Says where the sites' labels are, and where to compute.

    Returns:
        None where the model has no fusion of its own, or nothing can be told.
    """
    if model.fusion is None:
        return None
    where = "validation" if source.validation else "training"
    cover = plan_cover(source.validation or source.train, VALIDATION_PX, model.spec.dates)
    chosen = cover[:: max(1, -(-len(cover) // PATCHES))]
    counts = _count(model, PatchDataset(source.plan.dataset, chosen, source.scaling), source)
    held = counts[0].sum(axis=-1).all(axis=-1)  # classes that some labels are, and some are not
    if not held.any():
        return None
    fused, plain = (average_precision(each[held]).mean().item() for each in counts)
    scores: dict[str, float | None] = {"fused": fused, "mean": plain}
    reason = ""
    if max(_range(pixels) for pixels in counts[0].sum(axis=1)) < LEAST_RANGE:
        reason = f"the fused map of the {where} sites is nearly constant"
        if max(_range(pixels) for pixels in counts[1].sum(axis=1)) < LEAST_RANGE:
            reason += ", as is the map of each date"
    elif fused < plain - MARGIN:
        reason = (
            f"the fused map of the {where} sites has an average precision of {fused:.3f}, the mean of "
            f"the dates {plain:.3f}"
        )
    return Verdict(scores, Fallback(reason=reason) if reason else None)


def _count(model: TrainedModel, patches: PatchDataset, source: PatchSource) -> NDArray[np.int64]:
    """(2, classes, 2, `BINS`): pixels of the fused map and of the mean, by truth and score."""
    device, lc = source.compute.where, len(model.spec.legend.classes)
    classes = range(1 if lc == 2 else 0, lc)
    counts = np.zeros((len(BOTH), len(classes), 2, BINS), np.int64)
    for network in model.networks.values():
        network.to(device)
    with torch.inference_mode(), autocast(device, source.compute.exactness):
        for at in range(len(patches)):
            maps, label = _both(model, patches[at], device)
            known = label != IGNORE
            for to, pmap in zip(counts, maps, strict=True):
                for number, of in enumerate(classes):
                    bins = score_bins(class_score(pmap[:, known], of)).astype(np.int64)
                    cells = (label[known] == of) * BINS + bins
                    to[number] += np.bincount(cells, minlength=2 * BINS).reshape(2, BINS)
    for network in model.networks.values():
        network.cpu()
    return counts


def _both(
    model: TrainedModel, sample: Sample, device: torch.device
) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], NDArray[np.int64]]:
    """The fused map and the mean (lc, nH, nW) of a patch, and its label (nH, nW)."""
    assert model.fusion is not None
    known = sample["valid"].to(device)
    image = sample["image"].to(device).contiguous(memory_format=torch.channels_last)
    pmaps = complementary(probabilities(model.fcn(image, known)))
    known = refine(known, model.spec.finer)
    fused = probabilities(model.fusion(pmaps[None], known[None]))[0].float().cpu().numpy()
    label = sample["label"].masked_fill(~known.any(dim=0).cpu(), IGNORE).numpy()
    return (fused, mean(pmaps.float().cpu().numpy(), known.cpu().numpy())), label


def _range(pixels: NDArray[np.int64]) -> float:
    """Within how much of one another 98 % of the scores lie, from their histogram (`BINS`,)."""
    shares = np.cumsum(pixels) / pixels.sum()
    low, high = np.searchsorted(shares, (0.01, 0.99))
    return float(high - low) / STEPS
