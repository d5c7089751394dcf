"""What every architecture of the registry must do, and that tiles of its maps fit together."""

import datetime as dt

import numpy as np
import pytest
import torch
from torch import nn

from swath.errors import ModelError
from swath.lab.baselines.methods import METHODS
from swath.lab.networks.deeplab import DeepLab
from swath.lab.networks.segnet import SegNet
from swath.lab.networks.utae import TemporalAttention
from swath.legend import read_legend
from swath.mapping.predict import DatedImage, Predictor, predict_series
from swath.models.names import NAMES
from swath.models.registry import ARCHITECTURES, TwoStages, count_parameters
from swath.models.trained import ModelSpec, TrainedModel, load_model, save_model
from swath.models.unet import UNet
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings

TWO_STAGES = [name for name, known in ARCHITECTURES.items() if isinstance(known, TwoStages)]
WHOLE_SERIES = [name for name in ARCHITECTURES if name not in TWO_STAGES]
FCNS = [UNet, SegNet, DeepLab]


def spec(name, classes=2, dates=3):
    return ModelSpec(
        name=name,
        image=ImageSettings(),
        legend=read_legend("roads" if classes == 2 else "landcover"),
        scaling=Scaling(offset=(100.0, 90.0, 80.0), scale=(40.0, 50.0, 60.0)),
        width=4,
        decoder_convs=1,
        hidden=3,
        layers=2,
        dates=dates,
        splits={"train": ["a"], "validation": [], "test": ["b"]},
    )


def build(name, classes=2, dates=3):
    """A model with batch norms that have seen something."""
    torch.manual_seed(0)
    made = spec(name, classes, dates)
    if made.whole_series:
        network = made.build_series()
        network.train()(torch.randn(2, dates, 3, 32, 32))
        return TrainedModel.of_series(made, network.eval())
    fcn = made.build_fcn()
    fcn.train()(torch.randn(2, 3, 32, 32))
    return TrainedModel(made, fcn.eval(), made.build_rnn().eval())


def classes_of(model):
    return len(model.spec.legend.classes)


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
            logits = model.fcn(torch.rand(2, 3, *size))
        assert logits.shape == (2, classes_of(model), *size)

    def test_it_says_stride_and_reach(self, name, classes):
        model = build(name, classes)
        assert model.stride >= 1
        assert model.fcn.receptive_radius >= 0
        assert model.receptive_radius(3) >= model.receptive_radius(1) >= 0


@pytest.mark.parametrize("name", TWO_STAGES)
@pytest.mark.parametrize("classes", [2, 5])
class TestTwoStages:
    @pytest.mark.parametrize("dates", [1, 2, 5])
    def test_rnn_takes_any_number_of_dates(self, name, classes, dates):
        model = build(name, classes)
        lc = classes_of(model)
        with torch.inference_mode():
            assert model.rnn(torch.rand(2, dates, lc, 9, 11)).shape == (2, lc, 9, 11)

    def test_every_weight_gets_a_gradient(self, name, classes):
        model = build(name, classes)
        pmaps = torch.sigmoid(model.fcn.train()(torch.rand(3, 3, 32, 32)))
        model.rnn.train()(pmaps[None]).square().mean().backward()
        check_gradients(model.fcn, model.rnn)


@pytest.mark.parametrize("name", WHOLE_SERIES)
class TestWholeSeries:
    @pytest.mark.parametrize("classes", [2, 5])
    def test_it_maps_a_series_of_any_size(self, name, classes):
        model = build(name, classes, dates=2)
        with torch.inference_mode():
            logits = model.series(torch.rand(2, 2, 3, 23, 50))
        assert logits.shape == (2, classes_of(model), 23, 50)

    @pytest.mark.parametrize("dates", [1, 4])
    def test_other_lengths_work_or_are_refused(self, name, dates):
        model = build(name)
        assert ARCHITECTURES[name].one_length == (model.series.fixed_dates is not None)
        if model.series.fixed_dates is None:
            with torch.inference_mode():
                assert model.series(torch.rand(1, dates, 3, 16, 16)).shape == (1, 2, 16, 16)
        else:
            with pytest.raises(ModelError, match=f"3 dates and no others, got {dates}"):
                model.check_dates(dates)

    def test_every_weight_gets_a_gradient(self, name):
        model = build(name)
        model.series.train()(torch.rand(2, 3, 3, 32, 32)).square().mean().backward()
        check_gradients(model.series)

    def test_every_date_counts(self, name):
        """So no network has quietly learnt from the last date alone."""
        model = build(name)
        images = torch.rand(1, 3, 3, 32, 32, requires_grad=True)
        model.series(images).square().sum().backward()
        assert (images.grad.abs().amax(dim=(0, 2, 3, 4)) > 0).all()

    def test_one_date_is_the_series_of_that_date(self, name):
        model = build(name)
        image = torch.rand(1, 3, 20, 20)
        repeats = model.series.fixed_dates or 1
        with torch.inference_mode():
            expected = model.series(image[:, None].repeat(1, repeats, 1, 1, 1))
            torch.testing.assert_close(model.fcn(image), expected)

    def test_same_output_after_a_round_trip(self, name, tmp_path):
        model = build(name)
        save_model(tmp_path, model)
        again = load_model(tmp_path)
        images = torch.rand(1, 3, 3, 20, 33)
        with torch.inference_mode():
            assert torch.equal(again.series(images), model.series(images))
        assert again.rnn is None
        assert again.label == NAMES[name][1]


def check_gradients(*networks):
    for network in networks:
        for key, weight in network.named_parameters():
            assert weight.grad is not None, key
            # A convolution before a batch norm may have a gradient near 0, none is exactly 0.
            assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("build_fcn", FCNS[1:])
@pytest.mark.parametrize("decoder_convs", [1, 2])
def test_receptive_radius(build_fcn, decoder_convs):
    """No pixel beyond the radius acts on any output, and one not far inside it does.

    As for the U-Net: positive weights, a row of outputs, rising and falling values for poolings.
    Bilinear weights are lost in the tails, and SegNet's poolings leave gaps: so up to a stride.
    """
    model = build_fcn(1, 1, width=1, decoder_convs=decoder_convs).double().eval()
    for weight in model.parameters():
        nn.init.constant_(weight, 0.1)
    size, reach = 512, 0
    for centre in range(240, 273, 4):
        for sign in (1, -1):
            # Steep enough that no maximum is a tie in floating point after many layers.
            line = torch.linspace(1, 2, size).double() * sign + 3
            image = line.expand(1, 1, 64, size).clone().requires_grad_()
            model(image)[0, 0, 32, centre].backward()
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
    images = [
        DatedImage(dt.date(2020, 1, 1 + at), lambda w, scene=scene: scene[(slice(None), *w.slices)])
        for at, scene in enumerate(scenes)
    ]
    predictor = Predictor(model, "cpu", "fp32")
    whole, tiled = np.full((2, 2, height, width), np.nan)
    for target, tile_px in ((whole, 640), (tiled, 32)):
        for made in predict_series(predictor, images, (height, width), tile_px):
            target[(slice(None), *made.core.slices)] = made.fused
    assert predictor.fusion == (name.split("-")[-1] if name in TWO_STAGES else "series")
    assert np.abs(whole - tiled).max() < 2e-5
    assert whole.std() > 1e-3


def test_half_of_the_originals_filters():
    """SegNet with VGG16's filters halved has a quarter of its 14.7 M encoder weights: 3.68 M."""
    encoder = count_parameters(SegNet(3, 2).down)
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
        one, three = model(image), model(image.expand(1, 3, 3, 32, 32))
    torch.testing.assert_close(one, three)


class TestFeatureMean:
    def test_order_does_not_matter(self):
        model = build("feature-mean").series.double()
        images = torch.rand(1, 4, 3, 32, 48, dtype=torch.float64)
        with torch.inference_mode():
            torch.testing.assert_close(model(images[:, [2, 0, 3, 1]]), model(images))

    def test_equal_dates_are_one_date(self):
        model = build("feature-mean").series.double()
        image = torch.rand(1, 1, 3, 23, 50, dtype=torch.float64)
        with torch.inference_mode():
            torch.testing.assert_close(model(image.expand(1, 5, 3, 23, 50)), model(image))

    def test_a_date_without_data_is_as_if_it_were_not_there(self):
        model = build("feature-mean").series.double()
        images = torch.rand(1, 3, 3, 23, 50, dtype=torch.float64)
        images[:, 1] = 0
        with torch.inference_mode():
            torch.testing.assert_close(model(images), model(images[:, [0, 2]]))

    def test_it_is_the_unet_on_the_mean_of_its_features(self):
        """The same again from the parts of the U-Net, with data everywhere."""
        model = build("feature-mean").series.double()
        images = torch.rand(1, 2, 3, 32, 32, dtype=torch.float64)
        with torch.inference_mode():
            levels = model.unet.plan((32, 32))
            dates = (model.unet.encode(images[:, t], levels) for t in range(2))
            means = [(first + second) / 2 for first, second in zip(*dates, strict=True)]
            expected = model.unet.decode(means, levels)
            torch.testing.assert_close(model(images), expected)


def test_all_orientations_of_a_series():
    """A turned series has the turned map, and its tiles fit together."""
    model = build("feature-mean", dates=2)
    model.spec = model.spec.model_copy(update={"orientations": 8})
    scenes = np.random.default_rng(2).integers(1, 255, (2, 3, 64, 96), dtype=np.uint8)

    def fused(scenes, tile_px):
        images = [
            DatedImage(dt.date(2020, 1, 1 + at), lambda w, one=one: one[(slice(None), *w.slices)])
            for at, one in enumerate(scenes)
        ]
        whole = np.full((2, *scenes.shape[-2:]), np.nan)
        predictor = Predictor(model, "cpu", "fp32")
        for made in predict_series(predictor, images, scenes.shape[-2:], tile_px):
            whole[(slice(None), *made.core.slices)] = made.fused
        return whole

    whole = fused(scenes, 512)
    np.testing.assert_allclose(fused(scenes, 32), whole, atol=2e-5)
    turned = fused(np.rot90(scenes, 1, (-2, -1)), 512)
    np.testing.assert_allclose(turned, np.rot90(whole, 1, (-2, -1)), atol=1e-5)
    model.spec = model.spec.model_copy(update={"orientations": 1})
    assert np.abs(fused(scenes, 512) - whole).max() > 1e-3


@pytest.mark.parametrize("name", ["tempcnn", "pixel-lstm"])
def test_pixels_know_nothing_of_each_other(name):
    model = build(name)
    images = torch.rand(1, 3, 3, 12, 12)
    other = images.clone()
    other[..., 5, 7] += 1
    with torch.inference_mode():
        changed = (model.series(images) - model.series(other)).abs().sum(dim=1)[0] > 0
    assert torch.nonzero(changed).tolist() == [[5, 7]]


def test_the_lstm_in_pieces_is_the_lstm_at_once(monkeypatch):
    model = build("pixel-lstm")
    images = torch.rand(1, 3, 3, 12, 12)
    with torch.inference_mode():
        whole = model.series(images)
        monkeypatch.setattr("swath.lab.networks.perpixel.SEQUENCES", 50)
        torch.testing.assert_close(model.series(images), whole)
