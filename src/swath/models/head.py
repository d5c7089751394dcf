"""From logits to a probability map (PMap)."""

import torch
from torch import Tensor


def complementary(pmap: Tensor) -> Tensor:
    """A PMap (..., lc, H, W) as it is stored: of two classes the shares in their sum.

    So one number says both. More classes stay as they are.
    """
    if pmap.shape[-3] != 2:
        return pmap
    return pmap / pmap.sum(dim=-3, keepdim=True).clamp_min(1e-12)


def probabilities(logits: Tensor, dim: int = -3) -> Tensor:
    """Class probabilities: one sigmoid a class for two classes, softmax for more.

    Args:
        logits: Of whatever shape, with the classes along `dim`.
        dim: The axis of the classes.

    Returns:
        The PMap: same shape, float32, 0..1.

    Source: section 1.2 of the paper ends in a sigmoid (follows, lc = 2); with more classes that
    exclude each other a softmax is used (differs: the paper shows two classes only).
    """
    logits = logits.float()
    if logits.shape[dim] == 2:
        return torch.sigmoid(logits)
    return torch.softmax(logits, dim=dim)
