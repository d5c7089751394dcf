"""How far a network is within one tile: by the multiplications that its convolutions have done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

from torch import Tensor, nn

from swath.progress import within


@contextmanager
def told_within(network: nn.Module, shares: tuple[float, ...], passes: int) -> Iterator[None]:
    """Tell the bar, while the block lasts, how much of it is done.

    Args:
        network: What runs in the block, `passes` times.
        shares: What `pass_shares` gave; empty: nothing is told.
        passes: How often it runs: the orientations, say.
    """
    calls = 0

    def told(_: float) -> None:
        nonlocal calls
        calls += 1
        whole, call = divmod(calls, len(shares))
        within((whole + (shares[call - 1] if call else 0.0)) / passes)

    if not shares:
        yield
        return
    with _after_convolutions(network, told):
        yield


def pass_shares(network: nn.Module, run: Callable[[], object]) -> tuple[float, ...]:
    """The share of a pass, 0..1, that is done after each of its convolutions.

    Args:
        network: Whose convolutions count.
        run: Makes one pass; a small image will do, as the shares hardly depend on its size.
    """
    work: list[float] = []
    with _after_convolutions(network, work.append):
        run()
    total = sum(work)
    return tuple(done / total for done in accumulate(work))


@contextmanager
def _after_convolutions(network: nn.Module, told: Callable[[float], None]) -> Iterator[None]:
    """Call `told` with the multiplications of each convolution, while the block lasts."""

    def done(module: nn.Module, seen: Any, given: Tensor) -> None:
        assert isinstance(module.weight, Tensor)
        counted = seen[0] if isinstance(module, nn.ConvTranspose2d) else given
        told(float(counted.shape[-2:].numel() * module.weight.numel()))

    handles = [
        module.register_forward_hook(done)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
