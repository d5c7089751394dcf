"""The ConvLSTM against the paper's printed equations, redone in NumPy."""

import shutil

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate
from torch.nn import functional

from support.known import everywhere
from swath.lab.bench.model import multiply_adds
from swath.models import convlstm
from swath.models.convlstm import ConvLSTM, PeepholeConvLSTMCell
from swath.models.registry import count_parameters


def fuse(model, series):
    """The fused logits of a series that is known everywhere."""
    return model(series, everywhere(series))


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


def plain(model, series):
    """The fusion of (B, T, lc, H, W), gate by gate as printed, for torch to differentiate."""
    batch, dates, _, height, width = series.shape
    states = [[series.new_zeros(batch, cell.peephole.shape[1], height, width)] * 2 for cell in model.cells]
    for date in range(dates):
        x = series[:, date]
        for state, cell in zip(states, model.cells, strict=True):
            h, c = state
            both = torch.cat([x, h], dim=1)
            i, f, o, new = (
                functional.conv2d(both, weight, bias, padding=1)
                for weight, bias in zip(cell.gates.weight.chunk(4), cell.gates.bias.chunk(4), strict=True)
            )
            i = torch.sigmoid(i + cell.peephole[0] * c)
            f = torch.sigmoid(f + cell.peephole[1] * c)
            o = torch.sigmoid(o + cell.peephole[2] * c)
            c = f * c + i * torch.tanh(new)
            x = o * torch.tanh(c)
            state[:] = [x, c]
    return model.head(x)


@pytest.fixture
def model():
    torch.manual_seed(3)
    model = ConvLSTM(2, ConvLSTM.Sizes(hidden=5)).eval()
    for cell in model.cells:  # zeros at the start would hide a wrong peephole
        torch.nn.init.normal_(cell.peephole)
    return model


@pytest.mark.parametrize("dates", [1, 2, 3, 4, 5])
def test_equals_the_printed_equations(model, dates):
    series = np.random.default_rng(dates).random((2, dates, 2, 9, 7))
    with torch.inference_mode():
        got = fuse(model, torch.from_numpy(series).float()).numpy()
    for batch in range(2):
        np.testing.assert_allclose(got[batch], restate(model, series[batch]), rtol=0, atol=1e-5)


def test_the_peepholes_matter(model):
    """Guards the test above: without peepholes the output must differ from the second date on."""
    series = torch.rand(1, 3, 2, 9, 7)
    with torch.inference_mode():
        before = fuse(model, series)
        for cell in model.cells:
            cell.peephole.zero_()
        after = fuse(model, series)
    assert (before - after).abs().max() > 1e-3


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_date_without_data_is_as_if_it_were_not_there(classes, at):
    torch.manual_seed(4)
    model = ConvLSTM(classes, ConvLSTM.Sizes(hidden=5)).eval()
    series = torch.rand(2, 3, classes, 9, 7)
    known = everywhere(series)
    known[:, at] = False
    others = [date for date in range(3) if date != at]
    with torch.inference_mode():
        torch.testing.assert_close(model(series, known), fuse(model, series[:, others]))


def test_where_a_date_has_no_data_the_states_stay(model):
    """The equations again, with the states put back there after each date and layer."""
    series = torch.rand(2, 3, 2, 9, 7)
    known = torch.rand(2, 3, 9, 7) > 0.4
    seen = torch.where(known[:, :, None], series, 0.5)
    states = [None] * len(model.cells)
    with torch.inference_mode():
        for date in range(3):
            x = seen[:, date]
            for layer, cell in enumerate(model.cells):
                new = cell(x, states[layer])
                old = states[layer] or [torch.zeros_like(part) for part in new]
                keep = known[:, date, None].float()
                states[layer] = tuple(keep * n + (1 - keep) * o for n, o in zip(new, old, strict=True))
                x = states[layer][0]
        torch.testing.assert_close(model(series, known), model.head(x))


@pytest.mark.parametrize("classes", [2, 3])
def test_no_value_where_a_date_has_no_data_changes_anything(classes):
    """Not at that pixel and not beside it; and 1/lc that a date does say counts as any other."""
    torch.manual_seed(4)
    model = ConvLSTM(classes, ConvLSTM.Sizes(hidden=5)).eval()
    series, known = torch.rand(2, 3, classes, 9, 7), torch.rand(2, 3, 9, 7) > 0.4
    with torch.inference_mode():
        expected = model(torch.where(known[:, :, None], series, 1 / classes), known)
        for nothing in (0.0, 254.0, torch.nan):
            shown = torch.where(known[:, :, None], series, nothing)
            assert torch.equal(model(shown, known), expected)
        series[:, -1] = 1 / classes
        told = fuse(model, series)
        known = everywhere(series)
        known[:, -1] = False
        assert (told - model(series, known)).abs().max() > 1e-3


def test_a_series_without_any_data_gives_the_head_of_no_state(model):
    with torch.inference_mode():
        logits = model(torch.rand(1, 3, 2, 4, 5), torch.zeros(1, 3, 4, 5, dtype=torch.bool))
    torch.testing.assert_close(logits, model.head.bias.view(1, 2, 1, 1).expand(1, 2, 4, 5))


def test_the_order_of_dates_matters(model):
    series = torch.rand(1, 3, 2, 9, 7)
    with torch.inference_mode():
        assert not torch.allclose(fuse(model, series), fuse(model, series.flip(1)))


def test_first_state_may_be_given_as_zeros():
    """Skipping the convolution on the zero state is exact."""
    torch.manual_seed(0)
    cell = PeepholeConvLSTMCell(2, 4).double()
    torch.nn.init.normal_(cell.peephole)
    x, zero = torch.rand(1, 2, 6, 6).double(), torch.zeros(1, 4, 6, 6).double()
    skipped, full = cell(x, None), cell(x, (zero, zero))
    for a, b in zip(skipped, full, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_layout_in_memory_changes_nothing(model, layout):
    """Rows of pixels are taken from channels-last arrays without a copy, from others with one."""
    pmaps = torch.rand(2, 3, 2, 9, 7)
    with torch.inference_mode():
        want = fuse(model, pmaps)
        laid = pmaps.flatten(0, 1).to(memory_format=layout).unflatten(0, (2, 3))
        moved = fuse(model.to(memory_format=layout), laid)
    torch.testing.assert_close(moved, want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dates", [1, 3])
def test_bf16_stays_within_its_bound(model, dates):
    """bfloat16 keeps 8 bits: probabilities stay within 0.01 of the printed equations."""
    series = np.random.default_rng(dates).random((1, dates, 2, 12, 10))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = fuse(model, torch.from_numpy(series).float())
    np.testing.assert_allclose(
        sigma(logits[0].double().numpy()), sigma(restate(model, series[0])), rtol=0, atol=0.01
    )


def test_the_fractions_of_compiled_bf16_gates_are_near_tanh_and_sigmoid():
    x = torch.linspace(-30, 30, 60_001)
    for near, exact in (
        (convlstm._tanh(x, False), torch.tanh(x)),
        (convlstm._sigmoid(x, False), torch.sigmoid(x)),
    ):
        torch.testing.assert_close(near, exact, rtol=0, atol=1e-4)
        assert near.abs().max() <= 1


def test_compiled_bf16_gates_stay_within_the_bound(model):
    series = np.random.default_rng(3).random((1, 3, 2, 12, 10))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        model.fuse_gates()
        logits = fuse(model, torch.from_numpy(series).float())
    np.testing.assert_allclose(
        sigma(logits[0].double().numpy()), sigma(restate(model, series[0])), rtol=0, atol=0.01
    )


def test_gradients_equal_those_of_the_equations_written_gate_by_gate(model):
    """The convolutions skipped on the first date, and tanh from a sigmoid, keep the gradients."""
    model.double()
    series = torch.rand(2, 3, 2, 6, 5, dtype=torch.float64)
    fuse(model, series).square().sum().backward()
    got = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    plain(model, series).square().sum().backward()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(got[name], weight.grad, rtol=1e-9, atol=1e-9)


def test_fused_gates_change_rounding_only(model):
    """Whether or not a compiler is here; what it made is checked where there is one."""
    series = torch.rand(1, 3, 2, 9, 7)
    with torch.inference_mode():
        want = fuse(model, series)
        fused = model.fuse_gates()
        got = fuse(model, series)
        model.unfuse_gates()
        again = fuse(model, series)
    assert fused == (shutil.which("g++") is not None)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-6)
    assert torch.equal(again, want)


def test_without_a_compiler_the_gates_stay_and_stderr_says_so(model, monkeypatch, capsys):
    def refuse(*rows):
        raise RuntimeError("No working C++ compiler found\n\nand a long trace")

    monkeypatch.setattr(convlstm, "_compiled_gates", lambda: convlstm.Gates(refuse, refuse))
    assert not model.fuse_gates()
    said = " ".join(capsys.readouterr().err.split())
    assert "not compiled and take more time (No working C++ compiler found" in said
    with torch.inference_mode():
        assert fuse(model, torch.rand(1, 2, 2, 5, 5)).shape == (1, 2, 5, 5)


def test_size_of_the_papers_network():
    """Two layers, k = 3, r = 32: 9 (2 + 32) 128 + 9 (32 + 32) 128 multiply-adds a pixel and date.

    On the first date the convolutions on the zero state (9 x 32 x 128 in each layer) and those for
    the forget gate (9 x 2 x 32 and 9 x 32 x 32) are skipped; the 1 x 1 convolution adds 64.
    """
    model = ConvLSTM(2)
    step = 9 * (2 + 32) * 128 + 9 * (32 + 32) * 128
    pixels = 32 * 32
    series = torch.zeros(1, 3, 2, 32, 32)
    counted = multiply_adds(model, series, everywhere(series))
    skipped = 2 * 9 * 32 * 128 + 9 * (2 + 32) * 32
    assert counted == pixels * (3 * step - skipped + 64)
    weights = step + 2 * 128 + 2 * 3 * 32 + 2 * 32 + 2
    assert count_parameters(model) == weights


@pytest.mark.parametrize("dates", [1, 2, 4])
def test_receptive_radius(model, dates):
    """A change of the first date at distance radius acts; one pixel further it does not."""
    radius = model.receptive_radius(dates)
    series = torch.rand(1, dates, 2, 41, 41, requires_grad=True)
    fuse(model, series)[0, :, 20, 20].sum().backward()
    rows, cols = torch.nonzero(series.grad[0].abs().sum(dim=(0, 1)), as_tuple=True)
    assert int((rows - 20).abs().max()) == radius
    assert int((cols - 20).abs().max()) == radius
