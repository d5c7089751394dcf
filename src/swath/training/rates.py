"""How fast a training runs here: a few real steps, measured."""

import time
from collections.abc import Iterator
from itertools import islice
from statistics import median

import torch

from swath.dataset.patches import Sample
from swath.models.device import autocast
from swath.training.budget import StageRates
from swath.training.module import Stage
from swath.training.patchmodule import PatchModule

STEPS = 4
"""Steps that are run a stage; the first warms up and does not count."""


def measure_stage(stage: Stage, patches: PatchModule) -> StageRates:
    """Run a few steps of a stage and a validation batch; the weights are thrown away after.

    Args:
        stage: With fresh weights.
        patches: Of the stage; they say where and in which precision.
    """
    compute = patches.source.compute
    device, precision = compute.where, compute.exactness
    stage.to(device).train()
    stage.on_fit_start()
    optimiser = stage.configure_optimizers()["optimizer"]
    took = []
    began = time.perf_counter()
    for batch in islice(_moved(patches.train_dataloader(), device), STEPS):
        with autocast(device, precision):
            logits, label = stage.predict(batch)
            loss = stage.loss(logits, label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        float(loss.detach())  # waits for the device
        now = time.perf_counter()
        took.append(now - began)
        began = now
    stage.eval()
    loader = patches.val_dataloader()
    held = patches.train_dataloader() if isinstance(loader, list) else loader
    number = 0 if isinstance(loader, list) else len(loader)
    batch = next(_moved(held, device))
    with torch.inference_mode(), autocast(device, precision):
        began = time.perf_counter()
        logits, _ = stage.predict(batch)
        float(logits.sum())
        forward = time.perf_counter() - began
    mpx = batch["valid"][:, 0].numel() / 1e6
    weights = sum(w.numel() for w in stage.network.parameters() if w.requires_grad)
    return StageRates(median(took[1:] or took), number * forward, forward / mpx, weights)


def _moved(batches: object, device: torch.device) -> Iterator[Sample]:
    for batch in batches:  # type: ignore[attr-defined]
        yield {k: v.to(device) if torch.is_tensor(v) else v for k, v in batch.items()}  # type: ignore[misc]
