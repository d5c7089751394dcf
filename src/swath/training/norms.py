"""Batch normalisation over the whole mini-batch where several processes share it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from swath.training.processes import sum_of_all


class SharedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose statistics are those of the patches of all processes.

    PyTorch's SyncBatchNorm does the same on CUDA only. Sums go round in float64, so that the
    variance does not suffer from being the difference of two of them.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W), any float type -> the same shape and type."""
        if not self.training:
            return super().forward(input)
        image = input.float()
        number = image.numel() // image.shape[1]
        var, mean = torch.var_mean(image, (0, 2, 3), correction=0)
        mean, var = mean.double(), var.double()
        ones = torch.ones_like(mean)
        sums = sum_of_all(number * torch.stack([ones, mean, var + mean.square()]))
        total = sums[0].detach()
        mean = sums[1] / total
        var = (sums[2] / total - mean.square()).clamp_min(0)
        self._remember(mean.detach(), var.detach() * total / (total - 1))
        scale = self.weight * (var + self.eps).rsqrt()
        shift = self.bias - mean * scale
        shape = (1, -1, 1, 1)
        return (image * scale.float().view(shape) + shift.float().view(shape)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor) -> None:
        """Move the running averages, as `nn.BatchNorm2d` does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(var.to(self.running_var.dtype), self.momentum)


@contextmanager
def shared_norms(network: nn.Module) -> Iterator[None]:
    """Let the batch norms of a network look at all processes, for a while."""
    norms = [module for module in network.modules() if type(module) is nn.BatchNorm2d]
    try:
        for norm in norms:  # the class alone: weights, averages and names stay where they are
            norm.__class__ = SharedBatchNorm2d
        yield
    finally:
        for norm in norms:
            norm.__class__ = nn.BatchNorm2d
