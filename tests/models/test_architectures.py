"""What every architecture of the registry must do, and that tiles of its maps fit together."""

import numpy as np
import pytest
import torch
from torch import nn

from support.known import everywhere
from support.whole_maps import excess, map_in_tiles, spread, whole_fused, whole_pmaps
from swath.errors import ModelError
from swath.grid import Window
from swath.lab.baselines.methods import METHODS
from swath.lab.networks.deeplab import DeepLab
from swath.lab.networks.segnet import SegNet
from swath.lab.networks.utae import TemporalAttention
from swath.legend import read_legend
from swath.mapping.predict import Predictor
from swath.models.convlstm import ConvLSTM
from swath.models.names import NAMES, names_of
from swath.models.network import FusionNetwork, ImageNetwork, SeriesNetwork
from swath.models.orientations import mapped
from swath.models.registry import ARCHITECTURES, TwoStages, count_parameters
from swath.models.spec import ModelSpec
from swath.models.trained import (
    TrainedModel,
    build_fcn,
    build_fusion,
    build_series,
    check_finer,
    load_model,
    maps_whole_series,
    save_model,
)
from swath.models.unet import UNet
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings, valid_mask

TWO_STAGES = [name for name, known in ARCHITECTURES.items() if isinstance(known, TwoStages)]
WHOLE_SERIES = [name for name in ARCHITECTURES if name not in TWO_STAGES]
FCNS = [UNet, SegNet, DeepLab]
SIZES = {"width": 4, "decoder_convs": 1, "hidden": 3, "layers": 2}


def spec(name, classes=2, dates=3):
    return ModelSpec(
        name=name,
        image=ImageSettings(),
        legend=read_legend("roads" if classes == 2 else "landcover"),
        scaling=Scaling(offset=(100.0, 90.0, 80.0), scale=(40.0, 50.0, 60.0)),
        sizes=ARCHITECTURES[name].sizes(SIZES),
        dates=dates,
        splits={"train": ["a"], "validation": [], "test": ["b"]},
    )


def build(name, classes=2, dates=3):
    """A model with batch norms that have seen something."""
    torch.manual_seed(0)
    made = spec(name, classes, dates)
    if maps_whole_series(made):
        network = build_series(made)
        run(network.train(), torch.randn(2, dates, 3, 32, 32))
        return TrainedModel.of_series(made, network.eval())
    fcn = build_fcn(made)
    run(fcn.train(), torch.randn(2, 3, 32, 32))
    return TrainedModel(made, fcn.eval(), build_fusion(made).eval())


def run(network, x):
    """The logits where every pixel is known."""
    return network(x, everywhere(x))


def spread_heads(model, scenes):
    """Scale the heads to logits that are far apart on these scenes, so that bytes differ."""
    seen = torch.from_numpy(model.spec.scaling.apply(scenes)), torch.from_numpy(valid_mask(scenes))
    with torch.inference_mode():
        if model.series is not None:
            series = [part[None] for part in seen]
            spread(model.series, model.series(*series))
            return
        spread(model.fcn, model.fcn(*seen))
        if isinstance(model.fusion, ConvLSTM):
            pmaps = torch.sigmoid(model.fcn(*seen))[None]
            spread(model.fusion, model.fusion(pmaps, seen[1][None]))


def classes_of(model):
    return len(model.spec.legend.classes)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_is_of_its_kind(name):
    model = build(name)
    assert isinstance(model.fcn, ImageNetwork)
    if name in TWO_STAGES:
        assert isinstance(model.fusion, FusionNetwork)
    else:
        assert isinstance(model.series, SeriesNetwork)


@pytest.mark.parametrize("finer", [2, 4])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_finer_map_is_made_or_refused(name, finer, tmp_path):
    wanted = spec(name).model_copy(update={"finer": finer})
    known = ARCHITECTURES[name]
    if maps_whole_series(wanted) or known.fcn.finest < finer:
        with pytest.raises(ModelError, match=f"maps at most 1 x 1 pixels to one of the image, got {finer}"):
            check_finer(name, finer)
        return
    model = TrainedModel(wanted, build_fcn(wanted).eval(), build_fusion(wanted).eval())
    save_model(tmp_path, model)
    again = load_model(tmp_path)
    image = torch.rand(2, 3, 23, 50)
    with torch.inference_mode():
        logits = run(again.fcn, image)
        assert logits.shape == (2, 2, finer * 23, finer * 50)
        assert torch.equal(logits, run(model.fcn, image))
        assert run(again.fusion, torch.sigmoid(logits)[None]).shape == (1, *logits.shape[1:])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_sizes_of_its_own(name):
    """None that it does not look at: another value gives a network of other weights."""
    model = build(name)
    sizes = model.spec.sizes
    assert sizes.keys() <= SIZES.keys()
    for size in sizes:
        other = model.spec.model_copy(update={"sizes": sizes | {size: 2 * sizes[size]}})
        parts = [build_series] if maps_whole_series(other) else [build_fcn, build_fusion]
        before, after = (sum(count_parameters(part(of)) for part in parts) for of in (model.spec, other))
        assert after > before, size


def test_a_model_that_nobody_named_goes_by_its_slug():
    assert names_of("vgg") == ("vgg, one date", "vgg")
    assert names_of("u-tae") == NAMES["u-tae"]


def test_every_architecture_has_its_names():
    assert NAMES.keys() == {*ARCHITECTURES, *METHODS}
    names = [name for pair in NAMES.values() for name in pair]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("classes", [2, 5])
class TestOneDate:
    """Every model maps a single date."""

    @pytest.mark.parametrize("size", [(16, 16), (23, 50)])
    def test_it_keeps_the_size(self, name, classes, size):
        model = build(name, classes)
        with torch.inference_mode():
            logits = run(model.fcn, torch.rand(2, 3, *size))
        assert logits.shape == (2, classes_of(model), *size)

    def test_it_says_stride_and_reach(self, name, classes):
        model = build(name, classes)
        assert model.stride >= 1
        assert model.fcn.receptive_radius >= 0
        network = model.series or model.fusion
        assert network.receptive_radius(3) >= network.receptive_radius(1) >= 0

    def test_a_part_alone_is_that_part_of_the_whole(self, name, classes):
        model = build(name, classes)
        image = torch.rand(1, 3, 40, 50)
        part = Window(5, 17, 20, 11)
        with torch.inference_mode():
            whole = run(model.fcn, image)[(..., *part.slices)]
            torch.testing.assert_close(model.fcn(image, everywhere(image), part), whole)

    def test_no_value_where_there_is_no_data_changes_anything(self, name, classes):
        model = build(name, classes)
        image, known = torch.rand(1, 3, 23, 50), torch.rand(1, 23, 50) > 0.3
        with torch.inference_mode():
            check_unknown_values(model.fcn, image, known)


@pytest.mark.parametrize("name", TWO_STAGES)
@pytest.mark.parametrize("classes", [2, 5])
class TestTwoStages:
    @pytest.mark.parametrize("dates", [1, 2, 5])
    def test_the_fusion_takes_any_number_of_dates(self, name, classes, dates):
        model = build(name, classes)
        lc = classes_of(model)
        with torch.inference_mode():
            assert run(model.fusion, torch.rand(2, dates, lc, 9, 11)).shape == (2, lc, 9, 11)

    def test_no_value_where_a_date_has_no_data_changes_anything(self, name, classes):
        model = build(name, classes)
        pmaps, known = torch.rand(1, 3, classes_of(model), 9, 11), torch.rand(1, 3, 9, 11) > 0.3
        with torch.inference_mode():
            check_unknown_values(model.fusion, pmaps, known)

    def test_every_weight_gets_a_gradient(self, name, classes):
        model = build(name, classes)
        pmaps = torch.sigmoid(run(model.fcn.train(), torch.rand(3, 3, 32, 32)))
        run(model.fusion.train(), pmaps[None]).square().mean().backward()
        check_gradients(model.fcn, model.fusion)


@pytest.mark.parametrize("name", WHOLE_SERIES)
class TestWholeSeries:
    @pytest.mark.parametrize("classes", [2, 5])
    def test_it_maps_a_series_of_any_size(self, name, classes):
        model = build(name, classes, dates=2)
        with torch.inference_mode():
            logits = run(model.series, torch.rand(2, 2, 3, 23, 50))
        assert logits.shape == (2, classes_of(model), 23, 50)

    @pytest.mark.parametrize("dates", [1, 4])
    def test_other_lengths_work_or_are_refused(self, name, dates):
        model = build(name)
        assert ARCHITECTURES[name].series.one_length == (model.series.fixed_dates is not None)
        if model.series.fixed_dates is None:
            with torch.inference_mode():
                assert run(model.series, torch.rand(1, dates, 3, 16, 16)).shape == (1, 2, 16, 16)
        else:
            with pytest.raises(ModelError, match=f"3 dates and no others, got {dates}"):
                model.check_dates(dates)

    def test_every_weight_gets_a_gradient(self, name):
        model = build(name)
        run(model.series.train(), torch.rand(2, 3, 3, 32, 32)).square().mean().backward()
        check_gradients(model.series)

    def test_every_date_counts(self, name):
        """So no network has quietly learnt from the last date alone."""
        model = build(name)
        images = torch.rand(1, 3, 3, 32, 32, requires_grad=True)
        run(model.series, images).square().sum().backward()
        assert (images.grad.abs().amax(dim=(0, 2, 3, 4)) > 0).all()

    def test_one_date_is_the_series_of_that_date(self, name):
        model = build(name)
        image = torch.rand(1, 3, 20, 20)
        repeats = model.series.fixed_dates or 1
        with torch.inference_mode():
            expected = run(model.series, image[:, None].repeat(1, repeats, 1, 1, 1))
            torch.testing.assert_close(run(model.fcn, image), expected)

    def test_no_value_where_a_date_has_no_data_changes_anything(self, name):
        model = build(name)
        images, known = torch.rand(1, 3, 3, 23, 50), torch.rand(1, 3, 23, 50) > 0.3
        with torch.inference_mode():
            check_unknown_values(model.series, images, known)

    def test_same_output_after_a_round_trip(self, name, tmp_path):
        model = build(name)
        save_model(tmp_path, model)
        again = load_model(tmp_path)
        images = torch.rand(1, 3, 3, 20, 33)
        with torch.inference_mode():
            assert torch.equal(run(again.series, images), run(model.series, images))
        assert again.fusion is None
        assert again.label == NAMES[name][1]


@pytest.mark.parametrize("name", ["feature-mean", "u-tae"])
def test_pixels_of_zeros_are_no_gap(name):
    """They are of mean brightness; networks that look at known dates only tell both apart."""
    model = build(name)
    images = torch.rand(1, 3, 3, 32, 32)
    images[:, 1] = 0
    known = everywhere(images)
    known[:, 1] = False
    with torch.inference_mode():
        assert (run(model.series, images) - model.series(images, known)).abs().max() > 1e-4


def check_unknown_values(network, x, known):
    """The map is the same whatever stands where nothing is known."""
    shown = [torch.where(known.unsqueeze(-3), x, nothing) for nothing in (0.0, 0.5, -7.0, torch.nan)]
    first, *others = (network(part, known) for part in shown)
    assert torch.isfinite(first).all()
    assert all(torch.equal(other, first) for other in others)


def check_gradients(*networks):
    for network in networks:
        for key, weight in network.named_parameters():
            assert weight.grad is not None, key
            # A convolution before a batch norm may have a gradient near 0, none is exactly 0.
            assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("fcn", FCNS[1:])
@pytest.mark.parametrize("decoder_convs", [1, 2])
def test_receptive_radius(fcn, decoder_convs):
    """No pixel beyond the radius acts on any output, and one not far inside it does.

    As for the U-Net: positive weights, a row of outputs, rising and falling values for poolings.
    Bilinear weights are lost in the tails, and SegNet's poolings leave gaps: so up to a stride.
    """
    sizes = UNet.Sizes(width=1, decoder_convs=decoder_convs)
    model = fcn(1, 1, sizes).double().eval()
    for weight in model.parameters():
        nn.init.constant_(weight, 0.1)
    size, reach = 512, 0
    for centre in range(240, 273, 4):
        for sign in (1, -1):
            # Steep enough that no maximum is a tie in floating point after many layers.
            line = torch.linspace(1, 2, size).double() * sign + 3
            image = line.expand(1, 1, 64, size).clone().requires_grad_()
            run(model, image)[0, 0, 32, centre].backward()
            cols = torch.nonzero(image.grad[0, 0].abs().sum(dim=0)).flatten()
            reach = max(reach, int((cols - centre).abs().max()))
    assert reach <= model.receptive_radius
    assert reach >= model.receptive_radius - model.stride


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tiles_fit_together(name):
    """A map made of many tiles is the map of the whole scene at once, also where data are missing.

    Wide enough that most tiles see neither edge of the scene: an understated reach shows as a seam.
    """
    model = build(name, dates=2)
    rng = np.random.default_rng(1)
    height, width = 48, 560
    scenes = rng.integers(1, 255, (2, 3, height, width), dtype=np.uint8)
    scenes[0, :, 10:30, 100:180] = 0
    valid = valid_mask(scenes)
    spread_heads(model, scenes)
    predictor = Predictor(model, "cpu", "fp32")
    assert predictor.fusion == (name.split("-")[-1] if name in TWO_STAGES else "series")
    for tile_px in (640, 32):
        pmaps, fused = map_in_tiles(predictor, scenes, tile_px)
        assert excess(pmaps, whole_pmaps(model, scenes), valid) < 2e-5
        assert excess(fused, whole_fused(model, scenes, pmaps), valid.any(axis=0)) < 2e-5
        assert fused.std() > 10


def test_half_of_the_originals_filters():
    """SegNet with VGG16's filters halved has a quarter of its 14.7 M encoder weights: 3.68 M."""
    encoder = count_parameters(SegNet(3, 2, UNet.Sizes()).down)
    assert encoder == pytest.approx(14.7e6 / 4, rel=0.01)


def test_attention_of_dates_without_data_is_nothing():
    torch.manual_seed(0)
    attention = TemporalAttention(8, heads=4).eval()
    seen = torch.ones(1, 3, 2, 2, dtype=torch.bool)
    seen[0, 1, 0, 0] = False  # one date lacks one place
    seen[0, :, 1, 1] = False  # one place has no date at all: its map is not used, but no NaN
    with torch.inference_mode():
        _, weight = attention(torch.randn(1, 3, 8, 2, 2), seen)
    torch.testing.assert_close(weight.sum(dim=2), torch.ones(1, 4, 2, 2))
    assert (weight[0, :, 1, 0, 0] == 0).all()
    assert (weight[0, :, [0, 2], 0, 0] > 0).all()


def test_utae_weighs_the_dates_by_its_attention():
    """Equal dates give the map of one of them, whatever the attention: it sums to 1.

    But for the position of a date in the series, which is taken out here.
    """
    model = build("u-tae").series.double()
    image = torch.rand(1, 1, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "swath.lab.networks.utae._positions",
            lambda dates, channels, like: like.new_zeros(dates, channels),
        )
        one, three = run(model, image), run(model, image.expand(1, 3, 3, 32, 32))
    torch.testing.assert_close(one, three)


class TestFeatureMean:
    def test_order_does_not_matter(self):
        model = build("feature-mean").series.double()
        images = torch.rand(1, 4, 3, 32, 48, dtype=torch.float64)
        with torch.inference_mode():
            torch.testing.assert_close(run(model, images[:, [2, 0, 3, 1]]), run(model, images))

    def test_equal_dates_are_one_date(self):
        model = build("feature-mean").series.double()
        image = torch.rand(1, 1, 3, 23, 50, dtype=torch.float64)
        with torch.inference_mode():
            torch.testing.assert_close(run(model, image.expand(1, 5, 3, 23, 50)), run(model, image))

    def test_a_date_without_data_is_as_if_it_were_not_there(self):
        model = build("feature-mean").series.double()
        images = torch.rand(1, 3, 3, 23, 50, dtype=torch.float64)
        known = everywhere(images)
        known[:, 1] = False
        with torch.inference_mode():
            torch.testing.assert_close(model(images, known), run(model, images[:, [0, 2]]))

    def test_it_is_the_unet_on_the_mean_of_its_features(self):
        """The same again from the parts of the U-Net, with data everywhere."""
        model = build("feature-mean").series.double()
        images = torch.rand(1, 2, 3, 32, 32, dtype=torch.float64)
        with torch.inference_mode():
            levels = model.unet.plan((32, 32))
            dates = (model.unet.encode(images[:, t], levels) for t in range(2))
            means = [(first + second) / 2 for first, second in zip(*dates, strict=True)]
            expected = model.unet.decode(means, levels)
            torch.testing.assert_close(run(model, images), expected)


def test_all_orientations_of_a_series():
    """A turned series has the turned map, and its tiles fit together."""
    model = build("feature-mean", dates=2)
    model.spec = model.spec.model_copy(update={"orientations": 8})
    scenes = np.random.default_rng(2).integers(1, 255, (2, 3, 64, 96), dtype=np.uint8)

    spread_heads(model, scenes)
    seen = torch.from_numpy(model.spec.scaling.apply(scenes)), torch.from_numpy(valid_mask(scenes))
    with torch.inference_mode():
        series = [part[None] for part in seen]
        whole = mapped(model.series, series, model.stride, 8)[0].numpy()
    everywhere_known = np.ones(scenes.shape[-2:], bool)

    def error(scenes, expected, tile_px):
        _, fused = map_in_tiles(Predictor(model, "cpu", "fp32"), scenes, tile_px)
        return excess(fused, expected, everywhere_known.reshape(expected.shape[-2:]))

    assert error(scenes, whole, 512) < 2e-5
    assert error(scenes, whole, 32) < 2e-5
    turned = np.ascontiguousarray(np.rot90(scenes, 1, (-2, -1)))
    assert error(turned, np.rot90(whole, 1, (-2, -1)), 512) < 1e-5
    model.spec = model.spec.model_copy(update={"orientations": 1})
    assert error(scenes, whole, 512) > 1e-3


@pytest.mark.parametrize("name", ["tempcnn", "pixel-lstm"])
def test_pixels_know_nothing_of_each_other(name):
    model = build(name)
    images = torch.rand(1, 3, 3, 12, 12)
    other = images.clone()
    other[..., 5, 7] += 1
    with torch.inference_mode():
        changed = (run(model.series, images) - run(model.series, other)).abs().sum(dim=1)[0] > 0
    assert torch.nonzero(changed).tolist() == [[5, 7]]


def test_the_lstm_in_pieces_is_the_lstm_at_once(monkeypatch):
    model = build("pixel-lstm")
    images = torch.rand(1, 3, 3, 12, 12)
    with torch.inference_mode():
        whole = run(model.series, images)
        monkeypatch.setattr("swath.lab.networks.perpixel.SEQUENCES", 50)
        torch.testing.assert_close(run(model.series, images), whole)
