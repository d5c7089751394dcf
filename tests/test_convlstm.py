"""The ConvLSTM against the paper's printed equations, redone in NumPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from swath.models.convlstm import ConvLSTM, PeepholeConvLSTMCell
from swath.models.registry import count_parameters, multiply_adds


def sigma(x):
    return 1.0 / (1.0 + np.exp(-x))


def convolve(weight, x):
    """W * x as networks mean it: (out, in, k, k) with (in, H, W), zeros outside."""
    return np.stack(
        [
            sum(correlate(x[i], weight[o, i], mode="constant") for i in range(x.shape[0]))
            for o in range(weight.shape[0])
        ]
    )


def cell_step(cell, x, h, c):
    """i, f, c, o, h as printed in the paper's section on the ConvLSTM; o looks at c_{t-1}."""
    r = h.shape[0]
    weight = cell.gates.weight.detach().double().numpy()
    bias = cell.gates.bias.detach().double().numpy().reshape(4, r, 1, 1)
    w_x = weight[:, : x.shape[0]].reshape(4, r, x.shape[0], *weight.shape[2:])
    w_h = weight[:, x.shape[0] :].reshape(4, r, r, *weight.shape[2:])
    w_ci, w_cf, w_co = cell.peephole.detach().double().numpy()
    i = sigma(convolve(w_x[0], x) + convolve(w_h[0], h) + w_ci * c + bias[0])
    f = sigma(convolve(w_x[1], x) + convolve(w_h[1], h) + w_cf * c + bias[1])
    o = sigma(convolve(w_x[2], x) + convolve(w_h[2], h) + w_co * c + bias[2])
    new = f * c + i * np.tanh(convolve(w_x[3], x) + convolve(w_h[3], h) + bias[3])
    return o * np.tanh(new), new


def restate(model, series):
    """The whole fusion of a (T, lc, H, W) series, layer after layer."""
    for cell in model.cells:
        r = cell.peephole.shape[1]
        h = c = np.zeros((r, *series.shape[2:]))
        states = []
        for x in series:
            h, c = cell_step(cell, x, h, c)
            states.append(h)
        series = np.stack(states)
    weight = model.head.weight.detach().double().numpy()
    bias = model.head.bias.detach().double().numpy().reshape(-1, 1, 1)
    return convolve(weight, series[-1]) + bias


@pytest.fixture
def model():
    torch.manual_seed(3)
    model = ConvLSTM(classes=2, hidden=5).eval()
    for cell in model.cells:  # zeros at the start would hide a wrong peephole
        torch.nn.init.normal_(cell.peephole)
    return model


@pytest.mark.parametrize("dates", [1, 2, 3, 4, 5])
def test_equals_the_printed_equations(model, dates):
    series = np.random.default_rng(dates).random((2, dates, 2, 9, 7))
    with torch.inference_mode():
        got = model(torch.from_numpy(series).float()).numpy()
    for batch in range(2):
        np.testing.assert_allclose(got[batch], restate(model, series[batch]), rtol=0, atol=1e-5)


def test_the_peepholes_matter(model):
    """Guards the test above: without peepholes the output must differ from the second date on."""
    series = torch.rand(1, 3, 2, 9, 7)
    with torch.inference_mode():
        before = model(series)
        for cell in model.cells:
            cell.peephole.zero_()
        after = model(series)
    assert (before - after).abs().max() > 1e-3


def test_the_order_of_dates_matters(model):
    series = torch.rand(1, 3, 2, 9, 7)
    with torch.inference_mode():
        assert not torch.allclose(model(series), model(series.flip(1)))


def test_first_state_may_be_given_as_zeros():
    """Skipping the convolution on the zero state is exact."""
    torch.manual_seed(0)
    cell = PeepholeConvLSTMCell(2, 4).double()
    torch.nn.init.normal_(cell.peephole)
    x, zero = torch.rand(1, 2, 6, 6).double(), torch.zeros(1, 4, 6, 6).double()
    skipped, full = cell(x, None), cell(x, (zero, zero))
    for a, b in zip(skipped, full, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_size_of_the_papers_network():
    """Two layers, k = 3, r = 32: 9 (2 + 32) 128 + 9 (32 + 32) 128 multiply-adds a pixel and date.

    The convolutions on the zero first state (9 x 32 x 128 in each layer) are skipped; the 1 x 1
    convolution adds 64.
    """
    model = ConvLSTM(2)
    step = 9 * (2 + 32) * 128 + 9 * (32 + 32) * 128
    pixels = 32 * 32
    counted = multiply_adds(model, torch.zeros(1, 3, 2, 32, 32))
    assert counted == pixels * (3 * step - 2 * 9 * 32 * 128 + 64)
    weights = step + 2 * 128 + 2 * 3 * 32 + 2 * 32 + 2
    assert count_parameters(model) == weights


@pytest.mark.parametrize("dates", [1, 2, 4])
def test_receptive_radius(model, dates):
    """A change of the first date at distance radius acts; one pixel further it does not."""
    radius = model.receptive_radius(dates)
    series = torch.rand(1, dates, 2, 41, 41, requires_grad=True)
    model(series)[0, :, 20, 20].sum().backward()
    rows, cols = torch.nonzero(series.grad[0].abs().sum(dim=(0, 1)), as_tuple=True)
    assert int((rows - 20).abs().max()) == radius
    assert int((cols - 20).abs().max()) == radius
