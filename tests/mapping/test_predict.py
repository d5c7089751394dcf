"""Prediction by tiles equals that of the whole image; rasters hold what they promise."""

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional

from swath.errors import InputError, ModelError, SettingsError
from swath.grid import Grid, Window
from swath.legend import read_legend
from swath.mapping.predict import DatedImage, Prediction, Predictor, predict_series
from swath.maps.rasters import (
    classify,
    composite,
    composite_dates,
    fused_rasters,
    pmap_raster,
    writing_rasters,
)
from swath.maps.sitemaps import encode_pmap, read_bytes, read_grid, read_pmap
from swath.models.convlstm import ConvLSTM
from swath.models.fusion import FUSIONS
from swath.models.head import neutral, probabilities
from swath.models.trained import ModelSpec, TrainedModel
from swath.scaling import Scaling
from swath.sentinel2 import ImageSettings
from swath.tiles import plan_tiles

DATES = tuple(dt.date(2019, month, 7) for month in (3, 7, 10))
Array = NDArray[np.generic]


def spec(dates: int = 3, legend: str = "roads") -> ModelSpec:
    return ModelSpec(
        name="unet-convlstm",
        image=ImageSettings(),
        legend=read_legend(legend),
        scaling=Scaling(offset=(120.0, 110.0, 100.0), scale=(50.0, 60.0, 70.0)),
        width=4,
        decoder_convs=1,
        hidden=4,
        layers=2,
        dates=dates,
        splits={"train": ["a"], "validation": ["b"], "test": ["c"]},
    )


def far_sighted(seed: int = 4) -> TrainedModel:
    """The true architecture, narrow, with weights that show what lies at the edge of its view.

    Every 3 x 3 convolution of the U-Net takes from one corner only, half of the channels from the
    upper left and half from the lower right, so that an output pixel depends on pixels as far away
    as can be: any margin that is too small shows. The heads are scaled to logits of about +-1.5.
    """
    torch.manual_seed(seed)
    model = TrainedModel(spec(), spec().build_fcn().eval(), spec().build_rnn().eval())
    assert model.rnn is not None
    with torch.no_grad():
        for conv in (m for m in model.fcn.modules() if isinstance(m, nn.Conv2d)):
            if conv.kernel_size == (3, 3):
                conv.weight.copy_(_from_corners(torch.rand(conv.weight.shape)))
        images = torch.from_numpy(spec().scaling.apply(series((128, 128))))
        _spread(model.fcn.head, model.fcn(images))  # type: ignore[arg-type]
        pmaps = probabilities(model.fcn(images))[None]
        _spread(model.rnn.head, model.rnn(pmaps))  # type: ignore[arg-type]
    return model


def _from_corners(weight: Tensor) -> Tensor:
    """(out, in, 3, 3) weights with one corner each, summing to 1 for each output.

    The first half of the outputs sees the first half of the inputs, up left; the second half the
    second, down right. A decoder step has twice the inputs, [skip, deep], each with two halves; the
    skip, which knows what is near, weighs little.
    """
    outs, ins = weight.shape[:2]
    size = min(outs, ins)
    kept = torch.zeros_like(weight)
    for half, corner in ((0, 0), (1, 2)):
        out = slice(half * outs // 2, (half + 1) * outs // 2)
        for start in range(0, ins, size):
            first, last = start + half * size // 2, start + (half + 1) * size // 2
            inputs = slice(first, last) if ins > 3 else slice(0, 3)
            gain = 0.1 if ins > outs and start == 0 else 1.0
            kept[out, inputs, corner, corner] = gain * weight[out, inputs, corner, corner]
    return kept / kept.sum(dim=(1, 2, 3), keepdim=True)


def _spread(head: nn.Conv2d, logits: Tensor) -> None:
    """Scale a head so that the logits that it gave have mean 0 and standard deviation 1.5."""
    assert head.bias is not None
    gain = 1.5 / logits.std(dim=(0, 2, 3))
    head.weight.mul_(gain[:, None, None, None])
    head.bias.sub_(logits.mean(dim=(0, 2, 3))).mul_(gain)


class PooledMean(nn.Module):
    """A network of stride 4 in one line: the mean of 3 x 3 blocks of 4 px, and its input."""

    stride = 4
    receptive_radius = 7  # one block and the rest of its own

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        padded = functional.pad(image, (0, -width % 4, 0, -height % 4))
        blocks = functional.avg_pool2d(functional.avg_pool2d(padded, 4), 3, 1, 1)
        wide = functional.interpolate(blocks, scale_factor=4) + padded
        return wide[:, :2, :height, :width]


class ShiftedSum(nn.Module):
    """A fusion that looks 1 px further with every date."""

    def receptive_radius(self, dates: int) -> int:
        return dates

    def forward(self, pmaps: Tensor) -> Tensor:
        state = torch.zeros_like(pmaps[:, 0])
        for date in range(pmaps.shape[1]):
            state = functional.avg_pool2d(state + pmaps[:, date], 3, 1, 1)
        return 4 * state


def plain_model(rnn: bool = True) -> TrainedModel:
    return TrainedModel(spec(), PooledMean(), ShiftedSum() if rnn else None)


def series(shape: tuple[int, int], dates: int = 3, seed: int = 0) -> Array:
    """(T, 3, H, W) uint8 with a hole on one date, one on all, and a strip on the last.

    Blobs of some 30 px, so that poolings leave something of them, and noise.
    """
    random = np.random.default_rng(seed)
    blobs = gaussian_filter(random.normal(size=(dates, 3, *shape)), (0, 0, 15, 15))
    blobs = 128 + 60 * blobs / max(1e-9, blobs.std()) + random.normal(0, 8, blobs.shape)
    images = np.clip(blobs, 1, 255).astype(np.uint8)
    height, width = shape
    images[0, :, height // 3 : height // 2, width // 4 : width // 2] = 0
    images[:, :, : height // 5, : width // 4] = 0
    images[-1, :, :, width - width // 6 :] = 0
    return images


def as_images(images: Array, dates: Sequence[dt.date] = DATES) -> list[DatedImage]:
    def reader(image: Array) -> Callable[[Window], Array]:
        return lambda window: image[(..., *window.slices)]

    return [DatedImage(date, reader(image)) for date, image in zip(dates, images, strict=False)]


def whole(model: TrainedModel, images: Array) -> tuple[Array, Array]:
    """PMaps (T, lc, H, W) and fused PMap (lc, H, W) of the whole image, by the networks alone."""
    valid = torch.from_numpy((images != 0).any(axis=1))
    scaled = torch.from_numpy(model.spec.scaling.apply(images))
    with torch.inference_mode():
        pmaps = neutral(probabilities(model.fcn(scaled)), valid)
        assert model.rnn is not None
        fused = probabilities(model.rnn(pmaps[None]))[0]
    return pmaps.numpy(), fused.numpy()


def joined(predictions: Sequence[Prediction], shape: tuple[int, int]) -> Prediction:
    first = predictions[0]
    scene = Window(0, 0, *shape)
    pmaps = np.full((*first.pmaps.shape[:2], *shape), np.nan, np.float32)
    fused = np.full((first.fused.shape[0], *shape), np.nan, np.float32)
    valid = np.zeros((len(first.valid), *shape), bool)
    for part in predictions:
        pmaps[(..., *part.core.slices)] = part.pmaps
        fused[(..., *part.core.slices)] = part.fused
        valid[(..., *part.core.slices)] = part.valid
    return Prediction(scene, pmaps, fused, valid)


def check_equals_whole(model: TrainedModel, shape: tuple[int, int], tile_px: int) -> None:
    images = series(shape)
    tiled = joined(
        list(predict_series(Predictor(model, "cpu"), as_images(images), shape, tile_px)), shape
    )
    pmaps, fused = whole(model, images)
    valid = (images != 0).any(axis=1)
    assert (tiled.valid == valid).all()
    np.testing.assert_allclose(tiled.pmaps, pmaps, rtol=0, atol=1e-5)
    seen = valid.any(axis=0)
    np.testing.assert_allclose(tiled.fused[:, seen], fused[:, seen], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "tile_px"), [((333, 301), 128), ((301, 333), 208), ((320, 256), 64), ((97, 411), 96)]
)
def test_tiles_of_the_unet_and_convlstm_equal_the_whole(
    shape: tuple[int, int], tile_px: int
) -> None:
    check_equals_whole(far_sighted(), shape, tile_px)


def test_a_smaller_margin_would_not_do() -> None:
    # Guards the test above: its model does look 96 px far, so 80 px leave a seam.
    model, shape = far_sighted(), (320, 320)
    predictor = Predictor(model, "cpu")
    images = series(shape)
    seen = (images != 0).any(axis=(0, 1))
    fused = whole(model, images)[1]
    worst = {}
    for margin in (80, 96):
        tiles = plan_tiles(shape, 160, margin, 16)
        scene = Window(0, 0, *shape)
        parts = [predictor.predict(tile, as_images(images), scene) for tile in tiles]
        worst[margin] = np.abs(joined(parts, shape).fused - fused)[:, seen].max()
    assert model.receptive_radius(3) == 96
    assert worst[96] < 1e-5 < 1e-4 < worst[80]


def test_a_smaller_view_of_the_convlstm_would_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    model, shape = far_sighted(), (64, 700)
    images = as_images(series(shape))
    predictor = Predictor(model, "cpu")
    right = joined(list(predict_series(predictor, images, shape)), shape)
    assert predictor.rnn is not None
    assert predictor.rnn.receptive_radius(3) == 4  # type: ignore[operator]
    monkeypatch.setattr(predictor.rnn, "receptive_radius", lambda dates: 2)
    wrong = joined(list(predict_series(predictor, images, shape)), shape)
    assert np.abs(right.fused - wrong.fused).max() > 1e-5


@given(st.tuples(st.integers(1, 60), st.integers(1, 60)), st.integers(1, 8))
def test_tiles_of_any_network_equal_the_whole(shape: tuple[int, int], cells: int) -> None:
    check_equals_whole(plain_model(), shape, 4 * cells)


def test_the_order_of_the_images_is_that_of_their_dates() -> None:
    images, shape = series((64, 64)), (64, 64)
    forward = as_images(images)
    predictor = Predictor(far_sighted(), "cpu")
    one = joined(list(predict_series(predictor, forward, shape)), shape)
    other = joined(list(predict_series(predictor, forward[::-1], shape)), shape)
    assert (one.fused == other.fused).all()


def test_without_an_rnn_dates_are_fused_by_their_mean() -> None:
    shape = (40, 50)
    images = series(shape)
    predictor = Predictor(plain_model(rnn=False), "cpu")
    tiled = joined(list(predict_series(predictor, as_images(images), shape, 16)), shape)
    assert predictor.fusion == "mean"
    expected = FUSIONS["mean"](tiled.pmaps, tiled.valid)
    seen = tiled.valid.any(axis=0)
    np.testing.assert_allclose(tiled.fused[:, seen], expected[:, seen], atol=1e-7)


def test_no_network_runs_where_there_is_no_data() -> None:
    class Counting(PooledMean):
        calls = 0

        def forward(self, image: Tensor) -> Tensor:
            Counting.calls += 1
            return super().forward(image)

    images = np.zeros((2, 3, 64, 64), np.uint8)
    images[0, :, :8, :8] = 9
    model = TrainedModel(spec(), Counting(), ShiftedSum())
    parts = list(predict_series(Predictor(model, "cpu"), as_images(images), (64, 64), 16))
    assert Counting.calls == 1
    assert sum(part.valid.sum() for part in parts) == 64


def test_only_tiles_are_read() -> None:
    read: list[Window] = []

    def reader(window: Window) -> Array:
        read.append(window)
        return np.ones((3, window.height, window.width), np.uint8)

    predictor = Predictor(plain_model(), "cpu")
    shape = (100, 4000)
    images = [DatedImage(date, reader) for date in DATES]
    parts = predict_series(predictor, images, shape, 64)
    margin = 12  # 7 px of the network and 3 of the fusion, up to a multiple of 4
    assert sum(part.core.size for part in parts) == 100 * 4000
    assert max(max(window.height, window.width) for window in read) <= 64 + 2 * margin


def test_the_scene_and_not_the_tile_decides_whether_gates_are_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(ConvLSTM, "fuse_gates", lambda self: said.append("fused"))
    monkeypatch.setattr(ConvLSTM, "unfuse_gates", lambda self: said.append("as written"))
    predictor = Predictor(far_sighted(), "cpu")
    predictor.fuse_from_px = 3 * 64 * 64
    for side in (48, 64, 64, 48):
        list(predict_series(predictor, as_images(series((side, side))), (side, side), 16))
    assert said == ["fused", "as written"]


def test_bf16_is_close_to_fp32() -> None:
    shape = (64, 80)
    images = as_images(series(shape))
    model = far_sighted()
    exact = joined(list(predict_series(Predictor(model, "cpu", "fp32"), images, shape)), shape)
    rough = joined(list(predict_series(Predictor(model, "cpu", "bf16"), images, shape)), shape)
    assert rough.fused.dtype == np.float32
    # bf16 keeps 8 bits of a number: steps of 0.4 % on logits of a few units.
    assert 0 < np.abs(exact.pmaps - rough.pmaps).max() < 0.05


def test_a_predictor_folds_the_batch_norms_and_leaves_the_model_alone() -> None:
    model = far_sighted()
    norms = [m for m in model.fcn.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
        nn.init.uniform_(norm.running_var, 0.5, 2)  # type: ignore[arg-type]
    before = {name: weight.clone() for name, weight in model.fcn.state_dict().items()}
    predictor = Predictor(model, "cpu")
    assert norms
    assert not [m for m in predictor.fcn.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all((before[name] == now).all() for name, now in model.fcn.state_dict().items())
    image = torch.randn(1, 3, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(predictor.fcn(image), model.fcn(image), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("shape", [(96, 128), (90, 121)])
def test_all_orientations_tile_exactly_and_turn_with_the_image(shape: tuple[int, int]) -> None:
    model = far_sighted()
    model.spec = model.spec.model_copy(update={"orientations": 8})
    predictor = Predictor(model, "cpu")
    images = series(shape, dates=1)
    whole, tiled = (
        joined(list(predict_series(predictor, as_images(images), shape, tile_px)), shape)
        for tile_px in (512, 32)
    )
    np.testing.assert_allclose(tiled.pmaps, whole.pmaps, atol=1e-5)
    once = Predictor(far_sighted(), "cpu")
    single = joined(list(predict_series(once, as_images(images), shape, 512)), shape)
    assert np.abs(single.pmaps - whole.pmaps).max() > 1e-3
    # A turned image has the turned map, where both have the same cells of 16 px.
    if shape == (96, 128):
        turned = np.ascontiguousarray(np.rot90(images, 1, (-2, -1))[..., ::-1])
        other = shape[::-1]
        found = joined(list(predict_series(predictor, as_images(turned), other, 512)), other)
        expected = np.rot90(whole.pmaps, 1, (-2, -1))[..., ::-1]
        np.testing.assert_allclose(found.pmaps, expected, atol=1e-5)


def test_a_predictor_refuses_what_it_cannot_do() -> None:
    with pytest.raises(SettingsError, match="--precision must be auto, fp32 or bf16"):
        Predictor(plain_model(), "cpu", "fp8")  # type: ignore[arg-type]
    images = as_images(np.ones((1, 4, 16, 16), np.uint8))
    with pytest.raises(ModelError, match="has 4 bands; the model reads 3"):
        next(predict_series(Predictor(plain_model(), "cpu"), images, (16, 16)))


# --- what is stored ---------------------------------------------------------------------------


@given(st.floats(0, 1, width=32), st.booleans())
def test_probabilities_survive_storage_to_half_a_step(probability: float, valid: bool) -> None:
    pmap = np.full((2, 1, 1), probability if valid else np.nan, np.float32)
    codes = encode_pmap(pmap, np.full((1, 1), valid))
    if valid:
        assert abs(codes[0, 0, 0] / 254 - probability) <= 0.5 / 254 + 1e-6
    else:
        assert (codes == 255).all()


def test_dates_of_the_composite() -> None:
    a, b, c, d = (dt.date(2019, month, 1) for month in (1, 2, 3, 4))
    assert composite_dates([a]) == ((a,), (a,), (a,))
    assert composite_dates([a, b]) == ((a,), (b,), (a, b))
    assert composite_dates([a, b, c]) == ((a,), (b,), (c,))
    assert composite_dates([a, b, c, d]) == ((a,), (c,), (d,))


def test_the_composite_shows_disagreement_and_gaps() -> None:
    # Three pixels: days agree; day 2 has no data; no day has data. Values by hand.
    road = np.array([[100, 100, 255], [100, 255, 255], [100, 201, 255]], np.uint8)
    codes = np.stack([254 - road, road], axis=1)[:, :, None]
    codes[:, 0][codes[:, 1] == 255] = 255
    shown = composite(codes, DATES)
    assert shown[:, 0, 0].tolist() == [101, 101, 101]
    assert shown[:, 0, 1].tolist() == [101, 151, 202]  # 150.5 rounds to the even 150
    assert shown[:, 0, 2].tolist() == [0, 0, 0]
    two = composite(codes[::2], DATES[::2])
    assert two[:, 0, 1].tolist() == [101, 202, 151]


GRID = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), (530, 70))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Prediction]:
    folder = tmp_path_factory.mktemp("written")
    parts = list(
        predict_series(
            Predictor(plain_model(), "cpu"), as_images(series(GRID.shape)), GRID.shape, 64
        )
    )
    legend = read_legend("roads")
    dated = [pmap_raster(date, legend, "(c) me") for date in DATES]
    rasters = [*dated, *fused_rasters(DATES, legend, "(c) me")]
    with writing_rasters(folder, GRID, rasters) as write:
        for part in parts:
            codes = np.stack(list(map(encode_pmap, part.pmaps, part.valid)))
            fused = encode_pmap(part.fused, part.valid.any(axis=0))
            layers = [*codes, fused, classify(fused)[None], composite(codes, DATES)]
            write(part.core, layers)
    return folder, joined(parts, GRID.shape)


def test_the_rasters_of_the_contract(written: tuple[Path, Prediction]) -> None:
    folder, expected = written
    names = [f"pmap_{date}.tif" for date in DATES] + ["pmap.tif", "classes.tif", "composite.tif"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for index, date in enumerate(DATES):
        pmap, valid = read_pmap(folder / f"pmap_{date}.tif")
        assert (valid == expected.valid[index]).all()
        np.testing.assert_allclose(pmap, expected.pmaps[index], atol=0.5 / 254 + 1e-6)
    fused, valid = read_pmap(folder / "pmap.tif")
    assert (valid == expected.valid.any(axis=0)).all()
    assert (fused[:, ~valid] == 0.5).all()
    np.testing.assert_allclose(fused[:, valid], expected.fused[:, valid], atol=0.5 / 254 + 1e-6)
    classes = read_bytes(folder / "classes.tif")[0]
    assert (classes[~valid] == 255).all()
    assert (classes[valid] == fused.argmax(axis=0)[valid]).all()
    dated = np.stack([read_bytes(folder / name) for name in names[:3]])
    assert (read_bytes(folder / "composite.tif") == composite(dated, DATES)).all()


def test_what_the_rasters_say_of_themselves(written: tuple[Path, Prediction]) -> None:
    folder, _ = written
    with rasterio.open(folder / "pmap.tif") as pmap:
        assert pmap.descriptions == ("background", "road")
        assert (pmap.dtypes, pmap.nodata) == (("uint8", "uint8"), 255)
        assert pmap.overviews(1)
        assert pmap.tags()["TIFFTAG_COPYRIGHT"] == "(c) me"
    with rasterio.open(folder / "classes.tif") as classes:
        colors = classes.colormap(1)
        assert colors[0] == (0xF4, 0xF1, 0xEA, 255)
        assert colors[1] == (0xD7, 0x30, 0x1F, 255)
        assert classes.tags()["CLASS_1"] == "road"
        # Overviews of class ids hold class ids: nothing was averaged.
        small = classes.read(1, out_shape=(133, 18))
        assert set(np.unique(small)) <= {0, 1, 255}
    with rasterio.open(folder / "composite.tif") as shown:
        assert [color.name for color in shown.colorinterp] == ["red", "green", "blue"]
        assert shown.descriptions[0] == "road 2019-03-07"
    assert read_grid(folder / "pmap.tif") == GRID


def test_the_rasters_are_cloud_optimised(written: tuple[Path, Prediction]) -> None:
    cogeo = pytest.importorskip("rio_cogeo")
    for path in sorted(written[0].iterdir()):
        valid, errors, warnings = cogeo.cog_validate(path)
        assert (valid, errors, warnings) == (True, [], []), path.name


def test_reading_a_window(written: tuple[Path, Prediction]) -> None:
    path = written[0] / "pmap.tif"
    window = Window(20, 10, 30, 40)
    np.testing.assert_array_equal(
        read_pmap(path, window)[0], read_pmap(path)[0][(..., *window.slices)]
    )
    with pytest.raises(InputError, match="reaches outside"):
        read_pmap(path, Window(500, 0, 31, 10))
    with pytest.raises(InputError, match="no such file"):
        read_pmap(path.with_name("nothing.tif"))
