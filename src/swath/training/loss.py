"""The loss: cross entropy and the logarithm of a differentiable IoU."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from swath.legend import IGNORE
from swath.models.head import probabilities
from swath.training.processes import sum_of_all


class CrossEntropyLogIoU(nn.Module):
    """L = a H - (1 - a) log J over the pixels that count.

    H is the cross entropy, averaged over pixels: for two classes that of one sigmoid a class,
    averaged over the classes as well, else that of the softmax. J is the soft IoU, sum(p y) /
    sum(p + y - p y) over batch and pixels, averaged over the classes that the batch holds, plus
    1e-6 so that its logarithm exists.

    Args:
        weight: a, 0..1.
        rarity: Of more than two classes, each weighs in H by its share of the batch to the power of
            minus this, so that rare ones are not given up; 0: all pixels weigh alike.

    Source: section 1.3; follows. The paper is silent on ignored pixels (left out of both terms
    here), on classes that a batch lacks (left out of J), and on weights of classes.
    """

    def __init__(self, weight: float = 0.7, rarity: float = 0.0) -> None:
        super().__init__()
        self.weight = weight
        self.rarity = rarity

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss of a batch, of which other processes may have other parts.

        Args:
            logits: (B, lc, H, W).
            label: (B, H, W) int64 class ids, 255 = ignore.

        Returns:
            A number, the same in all processes; 0 (with zero gradient) if every pixel is ignored.
        """
        classes = logits.shape[1]
        wide = logits.float()
        use = label != IGNORE
        # What is ignored is of no class, and weighs nothing: cheaper than picking the rest out.
        numbers = torch.arange(classes, device=label.device).view(-1, 1, 1)
        truth = (label.unsqueeze(1) == numbers).float()
        weight = use.unsqueeze(1).float()
        if classes == 2:
            entropy = functional.binary_cross_entropy_with_logits(wide, truth, weight, reduction="sum")
            entropy = entropy / classes
        else:
            heavy = self._class_weights(truth).view(-1, 1, 1) * truth
            entropy = functional.cross_entropy(wide, heavy * weight, reduction="sum")
        chance = probabilities(wide) * weight
        pixels = (0, 2, 3)
        shared = (chance * truth).sum(dim=pixels)
        counts = truth.sum(dim=pixels)
        # Once round all processes that share the batch.
        sums = sum_of_all(torch.stack([entropy.expand(classes), chance.sum(dim=pixels), shared, counts]))
        entropies, chances, shared, counts = sums
        total = counts.sum()
        if total == 0:
            return wide.sum() * 0.0
        union = chances + counts - shared
        iou = (shared / union.clamp_min(1e-12))[counts > 0].mean() + 1e-6
        loss: Tensor = self.weight * entropies[0] / total - (1.0 - self.weight) * torch.log(iou)
        return loss

    def _class_weights(self, truth: Tensor) -> Tensor:
        """(lc,) what a pixel of each class weighs, 1 in the mean over the pixels of the batch."""
        counts = sum_of_all(truth.sum(dim=(0, 2, 3)))
        weights = torch.where(counts > 0, counts.clamp_min(1.0) ** -self.rarity, 0.0)
        scaled: Tensor = weights * counts.sum() / (weights * counts).sum().clamp_min(1e-12)
        return scaled
