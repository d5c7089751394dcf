"""Maps of many tiles equal those of the whole image, by the jobs that `swath map` runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional

from support.whole_maps import (
    DATES,
    as_images,
    excess,
    map_in_tiles,
    spread,
    whole_fused,
    whole_pmaps,
)
from swath.errors import ModelError, SettingsError
from swath.grid import Finer, Grid, Window
from swath.grid import refine as grid_refine
from swath.lab.stability.inmemory import InMemoryMapper
from swath.legend import read_legend
from swath.mapping.jobs import PmapJob
from swath.mapping.predict import DatedImage, Predictor
from swath.mapping.sources import scene_series
from swath.mapping.stages import map_site
from swath.maps.sitemaps import PMAP_NODATA, PMAP_SCALE, decode_pmap, read_bytes
from swath.models.convlstm import ConvLSTM
from swath.models.fusion import FUSIONS
from swath.models.head import probabilities
from swath.models.network import FusionNetwork, ImageNetwork, fill, refine
from swath.models.orientations import mapped
from swath.models.spec import ModelSpec
from swath.models.trained import TrainedModel, build_fcn, build_fusion, save_model
from swath.scaling import Scaling
from swath.scenes.raster import write_raster
from swath.sentinel2 import ImageSettings, valid_mask
from swath.tiles import plan_tiles

Array = NDArray[np.generic]


def spec(dates: int = 3, legend: str = "roads", finer: Finer = 1) -> ModelSpec:
    return ModelSpec(
        name="unet-convlstm",
        image=ImageSettings(),
        legend=read_legend(legend),
        scaling=Scaling(offset=(120.0, 110.0, 100.0), scale=(50.0, 60.0, 70.0)),
        sizes={"width": 4, "decoder_convs": 1, "hidden": 4, "layers": 2},
        dates=dates,
        finer=finer,
        splits={"train": ["a"], "validation": ["b"], "test": ["c"]},
    )


def far_sighted(seed: int = 4, finer: Finer = 1) -> TrainedModel:
    """The true architecture, narrow, with weights that show what lies at the edge of its view.

    Every 3 x 3 convolution of the U-Net takes from one corner only, half of the channels from the
    upper left and half from the lower right, so that an output pixel depends on pixels as far away
    as can be: any margin that is too small shows. The heads are scaled to logits of about +-1.5.
    """
    torch.manual_seed(seed)
    wanted = spec(finer=finer)
    model = TrainedModel(wanted, build_fcn(wanted).eval(), build_fusion(wanted).eval())
    assert model.fusion is not None
    with torch.no_grad():
        if finer > 1:  # the parts of a pixel differ
            nn.init.normal_(model.fcn.head[1].weight)  # type: ignore[index, union-attr, arg-type]
        for conv in (m for m in model.fcn.modules() if isinstance(m, nn.Conv2d)):
            if conv.kernel_size == (3, 3):
                conv.weight.copy_(_from_corners(torch.rand(conv.weight.shape)))
        pixels = series((128, 128))
        images = torch.from_numpy(spec().scaling.apply(pixels))
        known = torch.from_numpy(valid_mask(pixels))
        spread(model.fcn, model.fcn(images, known))
        pmaps = probabilities(model.fcn(images, known))[None]
        spread(model.fusion, model.fusion(pmaps, refine(known, finer)[None]))
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


class PooledMean(ImageNetwork):
    """A network of stride 4 in one line: the mean of 3 x 3 blocks of 4 px, and its input."""

    stride = 4
    receptive_radius = 7  # one block and the rest of its own

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, image: Tensor, known: Tensor, kept: Window | None = None) -> Tensor:
        height, width = image.shape[-2:]
        padded = functional.pad(fill(image, known, 0), (0, -width % 4, 0, -height % 4))
        blocks = functional.avg_pool2d(functional.avg_pool2d(padded, 4), 3, 1, 1)
        wide = functional.interpolate(blocks, scale_factor=4) + padded
        part = kept or Window(0, 0, height, width)
        return wide[(slice(None), slice(0, 2), *part.slices)]


class ShiftedSum(FusionNetwork):
    """A fusion that looks 1 px further with every date."""

    kind = "convlstm"

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def receptive_radius(self, dates: int) -> int:
        return dates

    def forward(self, pmaps: Tensor, known: Tensor) -> Tensor:
        pmaps = fill(pmaps, known, 0.5)
        state = torch.zeros_like(pmaps[:, 0])
        for date in range(pmaps.shape[1]):
            state = functional.avg_pool2d(state + pmaps[:, date], 3, 1, 1)
        return 4 * state


def plain_model(fusion: bool = True) -> TrainedModel:
    return TrainedModel(spec(), PooledMean(), ShiftedSum() if fusion else None)


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


def check_equals_whole(model: TrainedModel, shape: tuple[int, int], tile_px: int) -> None:
    images = series(shape)
    valid = grid_refine(valid_mask(images), model.spec.finer)
    pmaps, fused = map_in_tiles(Predictor(model, "cpu"), images, tile_px)
    assert excess(pmaps, whole_pmaps(model, images), valid) < 1e-5
    assert excess(fused, whole_fused(model, images, pmaps), valid.any(axis=0)) < 1e-5


@pytest.mark.parametrize(
    ("shape", "tile_px"), [((333, 301), 128), ((301, 333), 208), ((320, 256), 64), ((97, 411), 96)]
)
def test_tiles_of_the_unet_and_convlstm_equal_the_whole(shape: tuple[int, int], tile_px: int) -> None:
    check_equals_whole(far_sighted(), shape, tile_px)


@pytest.mark.parametrize("finer", [2, 4])
@pytest.mark.parametrize(("shape", "tile_px"), [((301, 205), 96), ((97, 333), 64)])
def test_tiles_of_finer_maps_equal_the_whole(shape: tuple[int, int], tile_px: int, finer: Finer) -> None:
    check_equals_whole(far_sighted(finer=finer), shape, tile_px)


def test_a_smaller_margin_would_not_do() -> None:
    # Guards the test above: the U-Net does look more than 64 px far from a core whose edges are
    # multiples of its stride, so that margin leaves a seam.
    model, shape = far_sighted(), (320, 320)
    predictor = Predictor(model, "cpu")
    images = series(shape)[:1]
    job = PmapJob(*as_images(images))
    expected = whole_pmaps(model, images)
    worst = {}
    for margin in (64, 96):
        codes = np.empty((1, 1, *shape), np.uint8)
        for tile in plan_tiles(shape, 160, margin, 16):
            made = job.compute(predictor, tile, job.read(predictor, tile))
            codes[(0, slice(None), *tile.core.slices)] = made
        worst[margin] = excess(codes, expected, valid_mask(images))
    assert model.fcn.receptive_radius == 92
    assert worst[96] < 1e-5 < 1e-4 < worst[64]


def test_a_smaller_view_of_the_convlstm_would_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    model, shape = far_sighted(), (64, 700)
    images = series(shape)
    predictor = Predictor(model, "cpu")
    pmaps, right = map_in_tiles(predictor, images, 64)
    expected = whole_fused(model, images, pmaps)
    valid = valid_mask(images).any(axis=0)
    assert predictor.fusion_network is not None
    assert predictor.fusion_network.receptive_radius(3) == 4
    assert excess(right, expected, valid) < 1e-5
    monkeypatch.setattr(predictor.fusion_network, "receptive_radius", lambda dates: 2)
    _, wrong = map_in_tiles(predictor, images, 64)
    assert excess(wrong, expected, valid) > 1e-5


@given(st.tuples(st.integers(1, 60), st.integers(1, 60)), st.integers(1, 8))
def test_tiles_of_any_network_equal_the_whole(shape: tuple[int, int], cells: int) -> None:
    check_equals_whole(plain_model(), shape, 4 * cells)


def test_the_order_of_the_images_is_that_of_their_dates(tmp_path: Path) -> None:
    model, shape = far_sighted(), (64, 64)
    run = tmp_path / "run"
    run.mkdir()
    save_model(run, model)
    grid = Grid("EPSG:32630", Affine(10, 0, 600_000, 0, -10, 5_330_000), shape)
    paths = [tmp_path / f"{date}.tif" for date in DATES]
    for path, image in zip(paths, series(shape), strict=True):
        write_raster(path, image, grid, nodata=0, names=spec().image.bands)
    predictor = Predictor(model, "cpu")
    forward, back = (
        map_site(predictor, run, scene_series(name, given, None, spec().image), tmp_path).maps
        for name, given in (("forward", paths), ("back", paths[::-1]))
    )
    assert forward.dates == back.dates == DATES
    np.testing.assert_array_equal(read_bytes(forward.fused_path), read_bytes(back.fused_path))


def test_without_a_network_dates_are_fused_by_their_mean() -> None:
    images = series((40, 50))
    predictor = Predictor(plain_model(fusion=False), "cpu")
    pmaps, fused = map_in_tiles(predictor, images, 16)
    assert predictor.fusion == "mean"
    values, valid = decode_pmap(pmaps)
    assert excess(fused, FUSIONS["mean"](values, valid), valid.any(axis=0)) < 1e-7


def test_no_network_runs_where_there_is_no_data() -> None:
    class Counting(PooledMean):
        calls = 0

        def forward(self, image: Tensor, known: Tensor, kept: Window | None = None) -> Tensor:
            Counting.calls += 1
            return super().forward(image, known, kept)

    images = np.zeros((2, 3, 64, 64), np.uint8)
    images[0, :, :8, :8] = 9
    model = TrainedModel(spec(), Counting(), ShiftedSum())
    pmaps, _ = map_in_tiles(Predictor(model, "cpu"), images, 16)
    assert Counting.calls == 1
    assert (pmaps[:, 0] != PMAP_NODATA).sum() == 64


def test_only_tiles_are_read() -> None:
    read: list[Window] = []

    def reader(window: Window) -> Array:
        read.append(window)
        return np.ones((3, window.height, window.width), np.uint8)

    predictor = Predictor(plain_model(), "cpu")
    shape = (100, 4000)
    mapper = InMemoryMapper(predictor, shape, 64)
    images = [DatedImage(date, reader) for date in DATES]
    pmaps = [mapper.pmap(image) for image in images]
    margin = 8  # 7 px of the network, up to a multiple of 4
    assert all(pmap.shape == (1, *shape) and (pmap != PMAP_NODATA).all() for pmap in pmaps)
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
        map_in_tiles(predictor, series((side, side)), 16)
    assert said == ["fused", "as written"]


def test_bf16_is_close_to_fp32() -> None:
    images, model = series((64, 80)), far_sighted()
    exact, rough = (Predictor(model, "cpu", precision) for precision in ("fp32", "bf16"))
    pmap, _ = rough.pmap(images[0], Window(0, 0, 64, 80))
    assert pmap.dtype == np.float32
    whole, _ = exact.pmap(images[0], Window(0, 0, 64, 80))
    # bf16 keeps 8 bits of a number: steps of 0.4 % on logits of a few units.
    assert 0 < np.abs(whole - pmap).max() < 0.05
    ours, theirs = (map_in_tiles(p, images)[0].astype(int) for p in (exact, rough))
    assert 0 < np.abs(ours - theirs).max() < 0.05 * PMAP_SCALE


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
    seen = torch.randn(1, 3, 48, 48), torch.ones(1, 48, 48, dtype=torch.bool)
    with torch.inference_mode():
        torch.testing.assert_close(predictor.fcn(*seen), model.fcn(*seen), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("shape", "finer"), [((96, 128), 1), ((90, 121), 1), ((96, 128), 2)])
def test_all_orientations_tile_exactly_and_turn_with_the_image(shape: tuple[int, int], finer: Finer) -> None:
    model = far_sighted(finer=finer)
    model.spec = model.spec.model_copy(update={"orientations": 8})
    predictor = Predictor(model, "cpu")
    images = series(shape, dates=1)
    known = valid_mask(images)
    valid = grid_refine(known, finer)
    seen = torch.from_numpy(model.spec.scaling.apply(images)), torch.from_numpy(known)
    with torch.inference_mode():
        whole = mapped(model.fcn, seen, model.stride, 8).numpy()
    for tile_px in (512, 32):
        assert excess(map_in_tiles(predictor, images, tile_px)[0], whole, valid) < 1e-5
    single, _ = map_in_tiles(Predictor(far_sighted(finer=finer), "cpu"), images)
    assert excess(single, whole, valid) > 1e-3
    # A turned image has the turned map, where both have the same cells of 16 px.
    if shape == (96, 128):
        turned = np.ascontiguousarray(np.rot90(images, 1, (-2, -1))[..., ::-1])
        expected = np.rot90(whole, 1, (-2, -1))[..., ::-1]
        found, _ = map_in_tiles(predictor, turned)
        assert excess(found, expected, grid_refine(valid_mask(turned), finer)) < 1e-5


def test_a_predictor_refuses_what_it_cannot_do() -> None:
    with pytest.raises(SettingsError, match="the precision must be auto, fp32 or bf16"):
        Predictor(plain_model(), "cpu", "fp8")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="has 4 bands; the model reads 3"):
        map_in_tiles(Predictor(plain_model(), "cpu"), np.ones((1, 4, 16, 16), np.uint8))
