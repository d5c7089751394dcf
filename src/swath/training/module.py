"""The stages as Lightning modules: they share loss, optimiser and scores."""

from abc import abstractmethod

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torchmetrics.classification import BinaryAveragePrecision, MulticlassAccuracy, MulticlassJaccardIndex

from swath.dataset.patches import Sample
from swath.errors import DivergedError
from swath.legend import IGNORE
from swath.models.head import complementary, probabilities
from swath.models.network import FusionNetwork, ImageNetwork, SeriesNetwork, refine
from swath.training.loss import CrossEntropyLogIoU
from swath.training.patchmodule import PatchModule

AP_BINS = 200
"""Thresholds at which the average precision of the validation is computed during training."""


LOSS = "loss"
"""How the training's loss is called among the scores."""


def diverged(epoch: int) -> DivergedError:
    """The error of a training whose numbers are no longer finite, in an epoch that counts from 0."""
    return DivergedError(
        f"the loss is not finite in epoch {epoch + 1}: it diverges, at too high a learning rate perhaps"
    )


class Stage(LightningModule):
    """What all stages share: a network is trained on patches."""

    def __init__(self, network: nn.Module, patches: PatchModule) -> None:
        super().__init__()
        plan = patches.source.plan
        classes = len(plan.dataset.legend.classes)
        self.mapped = [c.id for c in plan.dataset.legend.tagged]
        self.network = network
        self.settings = patches.stage
        self.loss = CrossEntropyLogIoU(plan.settings.loss_weight, plan.settings.rarity)
        self.iou = MulticlassJaccardIndex(classes, average="none", ignore_index=IGNORE)
        self.accuracy = MulticlassAccuracy(classes, average="micro", ignore_index=IGNORE)
        self.ap = BinaryAveragePrecision(thresholds=AP_BINS)

    @abstractmethod
    def predict(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """Logits (N, lc, H, W) of a batch and the labels (N, H, W) that they are held against."""

    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        """One mini-batch: the loss."""
        logits, label = self.predict(batch)
        loss: Tensor = self.loss(logits, label)
        if not torch.isfinite(loss):
            raise diverged(self.current_epoch)
        self.log(LOSS, loss, on_step=False, on_epoch=True, batch_size=len(label))
        return loss

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        """One mini-batch: gathers loss, IoU, and average precision or, of many classes, accuracy."""
        logits, label = self.predict(batch)
        patches = self.trainer.datamodule.validation_patches(batch_idx)  # type: ignore[attr-defined]
        self.log("val_loss", self.loss(logits, label), batch_size=patches)
        pmap = probabilities(logits)
        self.iou.update(pmap.argmax(dim=1), label)
        use = label != IGNORE
        if pmap.shape[1] > 2:
            self.accuracy.update(pmap.argmax(dim=1), label)
        elif use.any():
            foreground = 1 - pmap[:, 0] / pmap.sum(dim=1)
            self.ap.update(foreground[use].clamp(0, 1), (label[use] > 0).long())

    def on_validation_epoch_end(self) -> None:
        """Logs the scores of the whole validation split: mean IoU of the mapped classes, AP or accuracy."""
        iou = self.iou.compute()
        self.log("val_iou", iou[self.mapped].mean())
        name, score = ("val_accuracy", self.accuracy) if len(iou) > 2 else ("val_ap", self.ap)
        self.log(name, score.compute())
        self.iou.reset()
        score.reset()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips by the norm of all gradients; Lightning's own refuses fused optimisers."""
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.network.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam or AdamW, with the learning rate of every step from the settings."""
        rate, weights = self.settings.learning_rate(0), self.network.parameters()
        optimiser: torch.optim.Optimizer
        # Fused: one pass over the weights instead of ten.
        if self.settings.optimiser == "adam":
            optimiser = torch.optim.Adam(weights, lr=rate, fused=True)
        else:
            decay = self.settings.weight_decay
            optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=decay, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: self.settings.learning_rate(step) / rate
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class FcnStage(Stage):
    """Stage 1: the network that maps one image, trained on single dates."""

    network: ImageNetwork

    def predict(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """Every date of every patch on its own: (B T, lc, nH, nW) and (B T, nH, nW)."""
        image, known = batch["image"], batch["valid"].flatten(0, 1)
        label = batch["label"].repeat_interleave(image.shape[1], dim=0)
        # A date without data at a pixel teaches nothing there.
        label = label.masked_fill(~refine(known, self.network.finer), IGNORE)
        flat = image.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.network(flat, known), label


class FusionStage(Stage):
    """Stage 2: the fusion on the PMaps of the frozen network for one image.

    Source: section 1.5; follows.
    """

    network: FusionNetwork

    def __init__(self, network: FusionNetwork, patches: PatchModule, fcn: ImageNetwork) -> None:
        super().__init__(network, patches)
        # In a plain tuple, so that Lightning neither trains, averages nor stores it.
        self._frozen = (fcn.eval().requires_grad_(False),)

    def on_fit_start(self) -> None:
        """Moves the frozen network to where the trained one is."""
        self._frozen[0].to(self.device)

    @torch.no_grad()
    def pmaps(self, batch: Sample) -> Tensor:
        """The PMaps (B, T, lc, nH, nW) of a batch; anything where a date has no data."""
        image, valid = batch["image"], batch["valid"]
        flat = image.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        pmaps = complementary(probabilities(self._frozen[0](flat, valid.flatten(0, 1))))
        return pmaps.reshape(*image.shape[:2], *pmaps.shape[1:])

    def predict(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """The fused logits (B, lc, nH, nW) and the labels (B, nH, nW)."""
        known = refine(batch["valid"], self._frozen[0].finer)
        label = batch["label"].masked_fill(~known.any(dim=1), IGNORE)
        return self.network(self.pmaps(batch), known), label


class SeriesStage(Stage):
    """The only stage of a network for whole series."""

    network: SeriesNetwork

    def predict(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """The logits (B, lc, H, W) of each series and the labels (B, H, W)."""
        label = batch["label"].masked_fill(~batch["valid"].any(dim=1), IGNORE)
        return self.network(batch["image"], batch["valid"]), label
