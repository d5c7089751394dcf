"""A probability map as the mean of those from all eight orientations of the image."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from swath.models.head import probabilities
from swath.models.network import pad

Orientations = Literal[1, 8]
"""In how many orientations a network looks at an image."""

ORIENTATIONS = 8
"""Elements of D4: quarter turns, each with and without a flip."""


def mapped(network: nn.Module, inputs: Sequence[Tensor], stride: int, orientations: Orientations) -> Tensor:
    """The PMap of an image as a model makes it: seen once, or from all orientations.

    Args:
        network: An `ImageNetwork`, or a `SeriesNetwork`.
        inputs: What it takes: the image or the images, and where they are known.
        stride: Of the network.
        orientations: In how many it looks.

    Returns:
        (B, lc, nH, nW) float32, 0..1; n = 1, or more where the network's map is finer.
    """
    if orientations == 1:
        return probabilities(network(*inputs))
    return oriented_mean(network, inputs, stride)


def oriented_mean(network: nn.Module, inputs: Sequence[Tensor], stride: int) -> Tensor:
    """The mean PMap over the eight orientations of the image, each turned back; see `mapped`.

    The image is first padded with zeros at the bottom and right to a multiple of the stride, as the
    network itself does. So the poolings fall on the same pixels in every orientation, and a tile
    whose origin is a multiple of the stride gives what the whole image gives. Its mask is padded
    alike: what is added is not known.

    Source: not in the paper (its training turns and flips patches; mapping does not).
    """
    height, width = inputs[0].shape[-2:]
    padded = [pad(part, stride) for part in inputs]
    total: Tensor | None = None
    for orientation in range(ORIENTATIONS):
        pmap = probabilities(network(*(_turned(part, orientation) for part in padded)))
        pmap = pmap.flip(-1) if orientation >= 4 else pmap
        pmap = torch.rot90(pmap, -(orientation % 4), (-2, -1))
        total = pmap if total is None else total + pmap
    assert total is not None
    finer = total.shape[-1] // padded[0].shape[-1]
    return total[..., : finer * height, : finer * width] / ORIENTATIONS


def _turned(x: Tensor, orientation: int) -> Tensor:
    """(..., H, W) in one of the orientations; images (B, C, H, W) with channels last."""
    turned = torch.rot90(x, orientation % 4, (-2, -1))
    turned = turned.flip(-1) if orientation >= 4 else turned
    layout = torch.channels_last if turned.ndim == 4 else torch.contiguous_format
    return turned.contiguous(memory_format=layout)
