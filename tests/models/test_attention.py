"""Attention over dates against its equations redone in NumPy, and what it promises of dates."""

import numpy as np
import pytest
import torch
from torch import nn

from support.known import everywhere
from swath.models.attention import DateAttention


def drawn(classes=2, hidden=5, layers=2):
    """A network whose last convolutions say something, in float64."""
    torch.manual_seed(3)
    model = DateAttention(classes, DateAttention.Sizes(hidden=hidden, layers=layers)).double().eval()
    for last in (model.trust, model.correction):
        nn.init.normal_(last.weight)
    nn.init.normal_(model.correction.bias)
    nn.init.uniform_(model.gain, 0.5, 1.5)
    return model


def draw(dates, classes=2, height=20, width=18, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pmaps = torch.rand(1, dates, classes, height, width, generator=generator, dtype=torch.float64)
    return pmaps * 0.9 + 0.05


def fuse(model, pmaps):
    """The fused logits of a series that is known everywhere."""
    return model(pmaps, everywhere(pmaps))


def of_one_pixel(model, pmaps):
    """(T, lc) -> (lc,): the docstring's equations; of a lone pixel only the middle taps count."""

    def middle(conv, x):
        at = conv.kernel_size[0] // 2
        bias = 0 if conv.bias is None else conv.bias.detach().numpy()
        return x @ conv.weight.detach().numpy()[:, :, at, at].T + bias

    z = np.log(pmaps / (1 - pmaps)) if pmaps.shape[1] == 2 else np.log(pmaps)
    e = np.concatenate([z, np.broadcast_to(z.mean(axis=0), z.shape)], axis=1)
    for look in model.looks:
        e = np.maximum(middle(look, e), 0)
    trust = middle(model.trust, e)
    a = np.exp(trust) / np.exp(trust).sum()
    around = np.maximum(middle(model.around, (a * e).sum(axis=0)), 0)
    gain = model.gain.detach().numpy()[:, 0, 0]
    return gain * (a * z).sum(axis=0) + middle(model.correction, around)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("dates", [1, 2, 5])
def test_equals_its_equations(classes, dates):
    model = drawn(classes)
    pmaps = draw(dates, classes, 1, 1)
    with torch.inference_mode():
        made = fuse(model, pmaps)[0, :, 0, 0].numpy()
    np.testing.assert_allclose(made, of_one_pixel(model, pmaps[0, ..., 0, 0].numpy()))


def test_it_starts_as_the_mean_of_the_logits():
    torch.manual_seed(0)
    model = DateAttention(2).eval()
    pmaps = draw(3).float()
    with torch.inference_mode():
        np.testing.assert_allclose(
            fuse(model, pmaps), torch.logit(pmaps).mean(dim=1), atol=0.02
        )  # weights of 1e-3


def test_dates_have_no_order():
    model = drawn()
    pmaps = draw(4)
    with torch.inference_mode():
        torch.testing.assert_close(fuse(model, pmaps[:, [2, 0, 3, 1]]), fuse(model, pmaps))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_date_without_data_is_as_if_it_were_not_there(classes):
    model = drawn(classes)
    pmaps = draw(3, classes)
    known = everywhere(pmaps)
    known[:, 1] = False
    with torch.inference_mode():
        torch.testing.assert_close(model(pmaps, known), fuse(model, pmaps[:, [0, 2]]))


@pytest.mark.parametrize("classes", [2, 3])
def test_no_value_where_a_date_has_no_data_changes_anything(classes):
    """Not at that pixel and not beside it; and 1/lc that a date does say counts as any other."""
    model = drawn(classes)
    pmaps = draw(3, classes)
    known = torch.rand(1, 3, 20, 18, generator=torch.Generator().manual_seed(1)) > 0.4
    with torch.inference_mode():
        expected = model(torch.where(known[:, :, None], pmaps, 1 / classes), known)
        for nothing in (0.0, 254.0, torch.nan):
            shown = torch.where(known[:, :, None], pmaps, nothing)
            assert torch.equal(model(shown, known), expected)
        pmaps[:, -1] = 1 / classes
        told = fuse(model, pmaps)
        known = everywhere(pmaps)
        known[:, -1] = False
        assert (told - model(pmaps, known)).abs().max() > 1e-3


def test_a_gap_of_one_date_does_not_reach_beyond_the_radius():
    model = drawn()
    whole = draw(2, height=40, width=40)
    known = everywhere(whole)
    known[:, 0, :5] = False
    reach = model.receptive_radius(2)
    with torch.inference_mode():
        before, after = fuse(model, whole), model(whole, known)
    assert not torch.equal(before[..., :5, :], after[..., :5, :])
    torch.testing.assert_close(after[..., 5 + reach :, :], before[..., 5 + reach :, :])


def test_without_any_data_it_is_finite():
    pmaps = draw(2, height=9, width=9)
    with torch.inference_mode():
        assert torch.isfinite(drawn()(pmaps, ~everywhere(pmaps))).all()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_receptive_radius(layers):
    """Positive weights: what can act does; exactly as far as is said."""
    model = DateAttention(2, DateAttention.Sizes(hidden=3, layers=layers)).double()
    for weight in model.parameters():
        nn.init.constant_(weight, 0.1)
    size = 81
    pmaps = torch.rand(1, 2, 2, size, size, dtype=torch.float64) * 0.3 + 0.6
    pmaps.requires_grad_()
    fuse(model, pmaps)[0, 0, size // 2, size // 2].backward()
    acts = torch.nonzero(pmaps.grad.abs().sum(dim=(0, 1, 2, 3))).flatten()
    assert int((acts - size // 2).abs().max()) == model.receptive_radius(2)
