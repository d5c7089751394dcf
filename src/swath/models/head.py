"""From logits to a probability map (PMap)."""

import torch
from torch import Tensor


def probabilities(logits: Tensor, dim: int = -3) -> Tensor:
    """Class probabilities: one sigmoid a class for two classes, softmax for more.

    Args:
        logits: Any shape with the classes along `dim`.
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


def neutral(pmap: Tensor, valid: Tensor) -> Tensor:
    """Give pixels without data the PMap that says nothing: 1/lc in every class.

    Args:
        pmap: (..., lc, H, W), 0..1.
        valid: (..., H, W) bool, True = data.

    Returns:
        (..., lc, H, W).
    """
    return torch.where(valid.unsqueeze(-3), pmap, torch.full_like(pmap, 1.0 / pmap.shape[-3]))
