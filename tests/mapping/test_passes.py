"""How far a network is within a tile: a growing share that ends at one, whatever the network."""

import pytest
import torch

from swath.mapping import passes
from swath.mapping.passes import pass_shares, told_within


class _Twice(torch.nn.Module):
    """Two convolutions, the second with four times the weights of the first on a quarter of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, 2, 3, padding=1)
        self.second = torch.nn.Conv2d(2, 4, 3, padding=1, stride=2)
        self.up = torch.nn.ConvTranspose2d(4, 2, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(self.second(self.first(x)))


def test_shares_are_those_of_the_multiplications() -> None:
    network = _Twice()
    shares = pass_shares(network, lambda: network(torch.zeros(1, 1, 8, 8)))
    # 64 px x 18 weights; 16 px x 72; 16 px (those that come in) x 32.
    assert shares == pytest.approx([1152 / 2816, 2304 / 2816, 1])


def test_the_bar_is_told_after_each_convolution_of_each_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(passes, "within", told.append)
    network = _Twice()
    with told_within(network, (0.25, 0.5, 1.0), passes=2):
        for _ in range(2):
            network(torch.zeros(1, 1, 16, 16))
    assert told == pytest.approx([0.125, 0.25, 0.5, 0.625, 0.75, 1.0])
    network(torch.zeros(1, 1, 8, 8))
    with told_within(network, (), passes=1):
        network(torch.zeros(1, 1, 8, 8))
    assert len(told) == 6  # nothing outside of a block, nothing without shares
