"""A probability map as the mean of those from all eight orientations of the image."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from swath.models.head import probabilities

Orientations = Literal[1, 8]
"""In how many orientations a network looks at an image."""

ORIENTATIONS = 8
"""Elements of D4: quarter turns, each with and without a flip."""


def mapped(network: nn.Module, image: Tensor, stride: int, orientations: int) -> Tensor:
    """The PMap of an image as a model makes it: seen once, or from all orientations.

    Args:
        network: As in `oriented_mean`.
        image: As there.
        stride: Of the network.
        orientations: 1, or `ORIENTATIONS`.

    Returns:
        (B, lc, H, W) float32, 0..1.
    """
    if orientations == 1:
        return probabilities(network(image))
    return oriented_mean(network, image, stride)


def oriented_mean(network: nn.Module, image: Tensor, stride: int) -> Tensor:
    """The mean PMap over the eight orientations of the image, each turned back.

    The image is first padded with zeros at the bottom and right to a multiple of the stride, as the
    network itself does. So the poolings fall on the same pixels in every orientation, and a tile
    whose origin is a multiple of the stride gives what the whole image gives.

    Args:
        network: (B, C, H, W) or, for series, (B, T, C, H, W) -> (B, lc, H, W) logits; any H and W.
        image: What it takes, scaled; 0 where there is no data.
        stride: Of the network.

    Returns:
        (B, lc, H, W) float32, 0..1.

    Source: not in the paper (its training turns and flips patches; mapping does not).
    """
    height, width = image.shape[-2:]
    padded = functional.pad(image, (0, -width % stride, 0, -height % stride))
    total: Tensor | None = None
    for orientation in range(ORIENTATIONS):
        turned = torch.rot90(padded, orientation % 4, (-2, -1))
        turned = turned.flip(-1) if orientation >= 4 else turned
        layout = torch.channels_last if turned.ndim == 4 else torch.contiguous_format
        pmap = probabilities(network(turned.contiguous(memory_format=layout)))
        pmap = pmap.flip(-1) if orientation >= 4 else pmap
        pmap = torch.rot90(pmap, -(orientation % 4), (-2, -1))
        total = pmap if total is None else total + pmap
    assert total is not None
    return total[..., :height, :width] / ORIENTATIONS
