"""Sums over dates against the plain product."""

import numpy as np
import pytest
import torch

from swath.models.network import weighted_sum


@pytest.mark.parametrize(("batch", "dates"), [(1, 1), (1, 3), (2, 4)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_weighted_sum(batch: int, dates: int, layout: torch.memory_format) -> None:
    generator = np.random.default_rng(batch + dates)
    x = generator.normal(size=(batch, dates, 5, 6, 7))
    weight = generator.random((batch, dates, 1, 6, 7))
    flat = torch.from_numpy(x).flatten(0, 1).contiguous(memory_format=layout).requires_grad_()
    made = weighted_sum(flat, torch.from_numpy(weight))
    np.testing.assert_allclose(made.detach().numpy(), (x * weight).sum(axis=1), rtol=1e-12)
    assert made.is_contiguous(memory_format=torch.channels_last)
    made.sum().backward()
    expected = np.broadcast_to(weight, x.shape).reshape(flat.shape)
    np.testing.assert_allclose(flat.grad.numpy(), expected)


def test_weights_take_the_type_of_what_they_weigh() -> None:
    made = weighted_sum(torch.ones(2, 3, 4, 4, dtype=torch.bfloat16), torch.full((1, 2, 1, 4, 4), 0.5))
    assert made.dtype is torch.bfloat16
    assert torch.equal(made.float(), torch.ones(1, 3, 4, 4))
