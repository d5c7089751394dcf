"""What all networks share: unknown pixels are filled, sides padded, nothing else moves."""

import pytest
import torch

from swath.grid import Window
from swath.models.network import cut, fill, pad


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("batch", [1, 2])
def test_filling_keeps_type_and_layout(layout, batch):
    """In another layout the convolutions of a training step take six times as long."""
    known = torch.rand(batch, 6, 5) > 0.4
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = torch.rand(batch, 3, 6, 5, dtype=dtype).contiguous(memory_format=layout)
        filled = fill(x, known, 0.5)
        assert (filled.dtype, filled.stride()) == (dtype, x.stride())
        for channel in range(3):
            assert torch.equal(filled[:, channel][known], x[:, channel][known])
            assert (filled[:, channel][~known] == 0.5).all()


@pytest.mark.parametrize("size", [(16, 32), (17, 31), (1, 1)])
def test_what_is_padded_is_cut_again(size):
    x = torch.rand(2, 3, *size)
    padded = pad(x, 16)
    assert padded.shape[-2] % 16 == padded.shape[-1] % 16 == 0
    assert torch.equal(cut(padded, x, None), x)
    torch.testing.assert_close(padded.sum(), x.sum())
    part = Window(0, 0, 1, size[1])
    assert torch.equal(cut(padded, x, part), x[..., :1, :])


def test_a_padded_mask_knows_nothing_more():
    known = torch.ones(1, 5, 5, dtype=torch.bool)
    assert pad(known, 4).sum() == 25
