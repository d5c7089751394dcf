"""The loss against numbers worked by hand."""

import math

import pytest
import torch

from swath.training.loss import CrossEntropyLogIoU


def logit(p):
    return math.log(p / (1 - p))


def two_class(pairs):
    """(background, road) probabilities of pixels in a row -> logits (1, 2, 1, n)."""
    values = torch.tensor([[logit(b), logit(r)] for b, r in pairs])
    return values.T.reshape(1, 2, 1, len(pairs))


PAIRS = [(0.8, 0.2), (0.4, 0.6)]
LABEL = torch.tensor([[[0, 1]]])
# Pixel 1 is background: -ln 0.8 for each of its two sigmoids; pixel 2 is road: -ln 0.6 for each.
H = -(2 * math.log(0.8) + 2 * math.log(0.6)) / 4
# Background: 0.8 / (0.8 + 0.4 + 1 - 0.8); road: 0.6 / (0.2 + 0.6 + 1 - 0.6).
J = (0.8 / 1.4 + 0.6 / 1.2) / 2 + 1e-6


@pytest.mark.parametrize("a", [0.0, 0.5, 0.7, 1.0])
def test_by_hand(a):
    loss = CrossEntropyLogIoU(a)(two_class(PAIRS), LABEL)
    assert float(loss) == pytest.approx(a * H - (1 - a) * math.log(J), rel=1e-5)


def test_ignored_pixels_change_nothing():
    more = two_class([*PAIRS, (0.01, 0.99)])
    label = torch.tensor([[[0, 1, 255]]])
    loss = CrossEntropyLogIoU(0.7)
    assert float(loss(more, label)) == pytest.approx(float(loss(two_class(PAIRS), LABEL)))


def test_a_class_that_the_batch_lacks_leaves_j():
    """Only background: J is its soft IoU alone, 0.8 / 1 and 0.4 / 1 -> 1.2 / 2."""
    loss = CrossEntropyLogIoU(0.0)(two_class(PAIRS), torch.zeros(1, 1, 2, dtype=torch.long))
    assert float(loss) == pytest.approx(-math.log(1.2 / 2 + 1e-6), rel=1e-5)


def test_all_ignored_is_zero_and_trains_nothing():
    logits = two_class(PAIRS).requires_grad_()
    loss = CrossEntropyLogIoU()(logits, torch.full((1, 1, 2), 255))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_more_classes_use_the_softmax():
    """Three classes with softmax 0.5, 0.3, 0.2 on one pixel of class 1."""
    logits = torch.log(torch.tensor([0.5, 0.3, 0.2])).reshape(1, 3, 1, 1)
    loss = CrossEntropyLogIoU(0.7)(logits, torch.ones(1, 1, 1, dtype=torch.long))
    expected = 0.7 * -math.log(0.3) - 0.3 * math.log(0.3 + 1e-6)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_gradient_points_to_the_label():
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    label = torch.randint(0, 2, (1, 4, 4), generator=torch.Generator().manual_seed(0))
    CrossEntropyLogIoU()(logits, label).backward()
    road = label == 1
    assert (logits.grad[0, 1][road[0]] < 0).all()
    assert (logits.grad[0, 1][~road[0]] > 0).all()


def test_hopeless_prediction_stays_finite():
    logits = torch.tensor([200.0, -200.0]).reshape(1, 2, 1, 1)
    loss = CrossEntropyLogIoU()(logits, torch.ones(1, 1, 1, dtype=torch.long))
    assert math.isfinite(float(loss))


def test_rare_classes_weigh_more_by_hand():
    """Nine pixels of class 0, one of class 1; by the root of the share a pixel of it weighs thrice."""
    logits = torch.log(torch.tensor([0.5, 0.3, 0.2])).reshape(1, 3, 1, 1).expand(1, 3, 1, 10).contiguous()
    label = torch.tensor([[[*[0] * 9, 1]]])
    mean = (9 * 1 + 3) / 10
    expected = (9 * -math.log(0.5) + 3 * -math.log(0.3)) / 10 / mean
    assert float(CrossEntropyLogIoU(1.0, rarity=0.5)(logits, label)) == pytest.approx(expected, rel=1e-5)
    alike = (9 * -math.log(0.5) - math.log(0.3)) / 10
    assert float(CrossEntropyLogIoU(1.0)(logits, label)) == pytest.approx(alike, rel=1e-5)
    nothing = CrossEntropyLogIoU(1.0, rarity=0.5)(logits, torch.full((1, 1, 10), 255))
    assert float(nothing) == 0
