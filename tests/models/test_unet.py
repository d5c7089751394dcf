"""The U-Net's size, shape and reach as the paper states or implies them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from support.known import everywhere
from swath.grid import Window
from swath.lab.bench.model import multiply_adds
from swath.models.registry import count_parameters
from swath.models.unet import Doubling, UNet, plan_levels


def test_multiply_adds_of_the_papers_network():
    """Counted by hand, a pixel of the input: level 0 has 9 (3 x 32 + 32 x 32); each of the levels
    1..4 has 9 (n x 2n + 2n x 2n) on 4^-level of the pixels, 13,824; each decoder step has
    2,048 for the transpose convolution and 18,432 for the 3 x 3; the 1 x 1 has 64."""
    by_hand = 9 * (3 * 32 + 32 * 32) + 4 * 13824 + 4 * (2048 + 18432) + 64
    assert by_hand == 147_360
    image = torch.zeros(1, 3, 32, 32)
    assert multiply_adds(UNet(3, 2), image, everywhere(image)) == by_hand * 32 * 32


def test_parameters_of_the_papers_network():
    assert round(count_parameters(UNet(3, 2)) / 1e6, 2) == 6.98


def test_filters_are_half_of_the_original():
    convs = [m for m in UNet(3, 2).down.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convs] == [32, 32, 64, 64, 128, 128, 256, 256, 512, 512]


def test_decoder_has_one_3x3_convolution_a_step():
    convs = [m for m in UNet(3, 2).up.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in convs] == [
        (512, 256, (3, 3)),
        (256, 128, (3, 3)),
        (128, 64, (3, 3)),
        (64, 32, (3, 3)),
    ]


@pytest.mark.parametrize("finer", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 31), (45, 33), (100, 64)])
def test_any_size_in_n_times_that_size_out(size, finer):
    model = UNet(3, 5, UNet.Sizes(width=2), finer).eval()
    image = torch.rand(2, 3, *size)
    with torch.inference_mode():
        logits = model(image, everywhere(image))
    assert logits.shape == (2, 5, *(finer * side for side in size))


@pytest.mark.parametrize(("finer", "parts"), [(2, 4), (4, 16)])
def test_multiply_adds_of_a_finer_map(finer, parts):
    """The head's 3 x 3 convolution has 9 x 32 x 32 a pixel, its 1 x 1 has 32 x 2 for each part."""
    image = torch.zeros(1, 3, 32, 32)
    by_hand = 147_360 - 64 + 9 * 32 * 32 + 32 * 2 * parts
    assert multiply_adds(UNet(3, 2, finer=finer), image, everywhere(image)) == by_hand * 32 * 32
    assert by_hand < 1.1 * 147_360


def test_the_parts_of_a_pixel_begin_alike():
    image = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        logits = UNet(3, 2, UNet.Sizes(width=2), 2).eval()(image, everywhere(image))
    assert torch.equal(logits[..., ::2, ::2], logits[..., 1::2, 1::2])


@pytest.mark.parametrize(("decoder_convs", "finer"), [(1, 1), (2, 1), (1, 2)])
def test_receptive_radius(decoder_convs, finer):
    """No pixel beyond the radius acts on any output, and at least one at the radius does.

    The reach depends on where a pixel lies in the blocks of the poolings, so a whole row of blocks
    of outputs is tried. Positive weights keep contributions from cancelling.
    """
    sizes = UNet.Sizes(width=1, decoder_convs=decoder_convs)
    model = UNet(1, 1, sizes, finer).double().eval()
    for weight in model.parameters():
        nn.init.constant_(weight, 0.1)
    size, reach = 320, 0
    for centre in range(152, 169):
        # Rising values: each pooling passes its gradient to the last pixel; falling: to the first.
        for sign in (1, -1):
            line = torch.linspace(1, 2, size).double() * sign + 3
            image = line.expand(1, 1, size, size).clone().requires_grad_()
            logits = model(image, everywhere(image))
            logits[0, 0, finer * centre, finer * centre].backward()
            cols = torch.nonzero(image.grad[0, 0].abs().sum(dim=0)).flatten()
            reach = max(reach, int((cols - centre).abs().max()))
    assert reach <= model.receptive_radius
    assert reach >= model.receptive_radius - 1


def test_paper_radius_is_92_px():
    assert UNet(3, 2).receptive_radius == 92
    assert UNet(3, 2, finer=2).receptive_radius == 93


@given(st.data(), st.integers(1, 2), st.sampled_from([1, 2, 4]), st.integers(1, 90), st.integers(1, 90))
def test_a_part_alone_equals_that_part_of_the_whole(data, decoder_convs, finer, height, width):
    """Any part of any image, at its edges and inside, in float64."""
    sizes = UNet.Sizes(width=1, decoder_convs=decoder_convs)
    model = UNet(1, 2, sizes, finer).double().eval()
    for weight in model.head.parameters():  # the parts of a pixel differ
        nn.init.normal_(weight)
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    part = Window(
        row,
        col,
        data.draw(st.integers(1, height - row)),
        data.draw(st.integers(1, width - col)),
    )
    image = torch.rand(1, 1, height, width, dtype=torch.float64)
    with torch.inference_mode():
        known = torch.rand(1, height, width) > 0.2
        whole = model(image, known)[(..., *part.finer(finer).slices)]
        torch.testing.assert_close(model(image, known, part), whole, rtol=0, atol=1e-12)


def test_the_deeper_a_level_the_more_it_computes_around_a_part():
    """By hand, for a tile of 1024 px: the head needs its own pixels, the convolution before it 1
    px around; level 1 half of that and 1 px more, and so on: 1, 2, 2, 2, 1 px of each level. The
    two convolutions of the lowest level see 2 px more, those above twice as many and 2: 3, 8, 18,
    38, 78 px."""
    levels = plan_levels((1216, 1216), Window(96, 96, 1024, 1024), 1)
    core = [Window(96 >> n, 96 >> n, 1024 >> n, 1024 >> n) for n in range(5)]
    assert [level.decoded for level in levels] == [
        window.grow(more) for window, more in zip(core, (1, 2, 2, 2, 1), strict=True)
    ]
    assert [level.encoded for level in levels] == [
        window.grow(more) for window, more in zip(core, (78, 38, 18, 8, 3), strict=True)
    ]


def test_doubling_in_training_is_the_transpose_convolution():
    up = Doubling(6).double()
    x = torch.rand(2, 6, 3, 5, dtype=torch.float64, requires_grad=True)
    found = up.train()(x)
    expected = up.eval()(x)
    torch.testing.assert_close(found, expected)
    shape = torch.rand_like(expected)
    inputs = [x, up.weight, up.bias]
    torch.testing.assert_close(
        torch.autograd.grad((found * shape).sum(), inputs),
        torch.autograd.grad((expected * shape).sum(), inputs),
    )


def test_what_is_not_known_is_zero_to_it():
    """Whatever stands there, even no number."""
    model = UNet(3, 2, UNet.Sizes(width=2)).eval()
    image, known = torch.rand(1, 3, 40, 33), torch.rand(1, 40, 33) > 0.3
    with torch.inference_mode():
        expected = model(image * known[:, None], everywhere(image))
        for nothing in (0.0, 7.0, torch.nan):
            shown = torch.where(known[:, None], image, nothing)
            torch.testing.assert_close(model(shown, known), expected, rtol=0, atol=0)
