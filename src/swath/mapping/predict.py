"""Prediction: a trained model over a series of any size, tile by tile, in bounded memory."""

import copy
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from swath.errors import ModelError, SettingsError
from swath.grid import Window
from swath.maps.sitemaps import Fusion
from swath.memory import keep_freed_memory
from swath.models.convlstm import FUSE_FROM_PX, ConvLSTM
from swath.models.device import (
    Precision,
    autocast,
    best_precision,
    pick_device,
)
from swath.models.fusion import FUSIONS
from swath.models.head import neutral, probabilities
from swath.models.orientations import Orientations, mapped, oriented_mean
from swath.models.temperature import tempered
from swath.models.trained import TrainedModel, to_memory_format
from swath.models.unet import UNet
from swath.models.wholeseries import OneDate
from swath.sentinel2 import valid_mask
from swath.tiles import DEFAULT_TILE_PX, Tile, plan_tiles

Image = NDArray[np.uint8] | NDArray[np.uint16]

RNN_TILE_PX = 512
"""Side of the pieces in which the ConvLSTM runs: all of a tile at once would take 2 GB.

Source: one thread maps pieces of 256 and 512 px equally fast; two threads the larger 10 % faster.
"""


@dataclass(frozen=True, slots=True)
class DatedImage:
    """One date of a series, read window by window.

    Attributes:
        date: Day of acquisition.
        read: Window of the scene -> (C, h, w) uint8 or uint16, bands as the model's; 0 = no data.
    """

    date: dt.date
    read: Callable[[Window], Image]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The maps of one tile's core.

    Attributes:
        core: Where in the scene.
        pmaps: (T, lc, h, w) float32, 0..1, oldest first; 1/lc where a date has no data.
        fused: (lc, h, w) float32, 0..1; meaningless where no date has data.
        valid: (T, h, w) bool, True where the date has data.
    """

    core: Window
    pmaps: NDArray[np.float32]
    fused: NDArray[np.float32]
    valid: NDArray[np.bool_]


class Predictor:
    """A trained model on a device, ready to map.

    It works on copies of the networks, with the batch norms folded into the convolutions before
    them (the same function, 1.2 times faster); the model itself is left alone. On a CPU the gates
    of the ConvLSTM are compiled for scenes that repay it: whether they are depends on the scene's
    size and dates only, so that every tile of a map, on every run, is computed alike.

    Args:
        model: What `load_model` gave.
        device: `auto`, `cpu` or `cuda`.
        precision: `fp32`, `bf16`, or `auto`: bf16 where the device computes it in hardware.
        orientations: In how many orientations the network looks at an image, 1 or 8; None: as the
            model says.

    Attributes:
        fuse_from_px: Pixels x dates of the scenes for which the gates are compiled.

    Raises:
        SettingsError: Such a device or precision does not exist.
    """

    def __init__(
        self,
        model: TrainedModel,
        device: str = "auto",
        precision: Precision | Literal["auto"] = "fp32",
        orientations: Orientations | None = None,
    ) -> None:
        if precision not in ("auto", "fp32", "bf16"):
            raise SettingsError(f"--precision must be auto, fp32 or bf16, got {precision!r}")
        self.model = model
        self.device = pick_device(device)
        self.precision: Precision = (
            best_precision(self.device) if precision == "auto" else precision
        )
        self.orientations: Orientations = orientations or model.spec.orientations
        self.fcn = _ready(model.fcn, self.device)
        self.rnn = None if model.rnn is None else _ready(model.rnn, self.device)
        self.fuse_from_px = FUSE_FROM_PX
        self._fused = False
        # One copy serves both views of a network for whole series.
        self.series = self.fcn.series if isinstance(self.fcn, OneDate) else None
        if self.device.type == "cpu":
            keep_freed_memory()

    @property
    def fusion(self) -> Fusion:
        """How this model fuses dates: by a network, or as the mean where it has none for that."""
        if self.series is not None:
            return "series"
        if self.rnn is None:
            return "mean"
        return "convlstm" if isinstance(self.rnn, ConvLSTM) else "attention"

    def choose_gates(self, scene_px: int, dates: int) -> None:
        """Have the ConvLSTM's gates compiled or not, as a scene of so many px and dates repays it.

        Costs seconds the first time that a scene is large.
        """
        if not isinstance(self.rnn, ConvLSTM) or self.device.type != "cpu":
            return
        wanted = scene_px * dates >= self.fuse_from_px
        if wanted and not self._fused:
            with torch.inference_mode(), autocast(self.device, self.precision):
                self.rnn.fuse_gates()
        elif self._fused and not wanted:
            self.rnn.unfuse_gates()
        self._fused = wanted

    def plan(
        self, shape: tuple[int, int], dates: int, tile_px: int = DEFAULT_TILE_PX
    ) -> tuple[Tile, ...]:
        """The tiles of a scene of `shape` (height, width) for a series of `dates` dates.

        Raises:
            SettingsError: A tile size that is not a positive multiple of the model's stride.
            ModelError: The model takes another number of dates only.
        """
        self.model.check_dates(dates)
        margin = self.model.receptive_radius(dates)
        return plan_tiles(shape, tile_px, margin, self.model.stride)

    def plan_pmaps(
        self, shape: tuple[int, int], tile_px: int = DEFAULT_TILE_PX
    ) -> tuple[Tile, ...]:
        """The tiles of the PMap of one date: as far as the U-Net sees is read around each.

        Raises:
            SettingsError: A tile size that is not a positive multiple of the model's stride.
        """
        radius = int(self.model.fcn.receptive_radius)  # type: ignore[arg-type]
        return plan_tiles(shape, tile_px, radius, self.model.stride)

    def plan_fusion(
        self, shape: tuple[int, int], dates: int, tile_px: int = DEFAULT_TILE_PX
    ) -> tuple[Tile, ...]:
        """The tiles in which the PMaps of `dates` dates are fused; their cores are the same.

        Raises:
            SettingsError: A tile size that is not a positive multiple of the model's stride.
        """
        return plan_tiles(shape, tile_px, self.rnn_radius(dates), self.model.stride)

    def predict(self, tile: Tile, images: Sequence[DatedImage], scene: Window) -> Prediction:
        """Map one tile.

        Args:
            tile: Of `plan`.
            images: The series, oldest first, at least one.
            scene: The whole scene.

        Raises:
            ModelError: An image has not the model's number of bands.
            InputError: An image cannot be read.
        """
        pixels = [self.read(image, tile.read) for image in images]
        # What the RNN sees of the PMaps; the FCN's margin beyond that is not kept.
        seen = tile.core.grow(self.rnn_radius(len(images))).intersect(scene)
        inside = seen.relative_to(tile.read)
        made = [self.pmap(image, inside) for image in pixels]
        pmaps, valid = (np.stack(part) for part in zip(*made, strict=True))
        core = tile.core.relative_to(seen)
        if self.series is not None:
            fused = self.map_series(pixels, tile.kept)
        else:
            fused = self.fuse(pmaps, valid, core, scene.size)
        kept = core.slices
        return Prediction(tile.core, pmaps[(..., *kept)], fused, valid[(..., *kept)])

    def read(self, image: DatedImage, window: Window) -> Image:
        """Read a window of an image.

        Raises:
            ModelError: The image has not the model's number of bands.
            InputError: It cannot be read.
        """
        pixels = image.read(window)
        bands = self.model.spec.image.bands
        if len(pixels) != len(bands):
            raise ModelError(
                f"the image of {image.date} has {len(pixels)} bands; the model reads "
                f"{len(bands)} ({', '.join(bands)})"
            )
        return pixels

    def pmap(self, pixels: Image, kept: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The PMap of a part of one image.

        Args:
            pixels: (C, H, W) uint8 or uint16, 0 = no data.
            kept: Which part of them. No network runs where it has no data.

        Returns:
            (lc, h, w) float32, 0..1, 1/lc where there is no data; (h, w) bool, True = data.
        """
        spec = self.model.spec
        valid = valid_mask(pixels)[kept.slices]
        if not valid.any():
            lc = len(spec.legend.classes)
            return np.full((lc, *valid.shape), 1 / lc, np.float32), valid
        scaled = torch.from_numpy(spec.scaling.apply(pixels))[None].to(self.device)
        scaled = scaled.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), autocast(self.device, self.precision):
            if self.orientations == 1:
                made = probabilities(self._logits(scaled, kept)[0])
            else:
                made = oriented_mean(self.fcn, scaled, self.model.stride)[0][(..., *kept.slices)]
            pmap = neutral(made.cpu(), torch.from_numpy(valid))
        values: NDArray[np.float32] = pmap.contiguous().numpy()
        return values, valid

    def _logits(self, scaled: Tensor, kept: Window) -> Tensor:
        """(1, lc, h, w) of a part of an image; the U-Net computes no more than that needs."""
        if isinstance(self.fcn, UNet):
            part: Tensor = self.fcn(scaled, kept)
            return part
        whole: Tensor = self.fcn(scaled)
        return whole[(..., *kept.slices)]

    def fuse(
        self,
        pmaps: NDArray[np.float32],
        valid: NDArray[np.bool_],
        core: Window,
        scene_px: int = 0,
    ) -> NDArray[np.float32]:
        """The fused PMap of a part of a series of PMaps.

        Args:
            pmaps: (T, lc, H, W) float32, 0..1, oldest first; 1/lc where a date has no data.
            valid: (T, H, W) bool, True where the date has data.
            core: Which part; `rnn_radius` further PMaps are needed, or the scene ends there.
            scene_px: Pixels of the whole scene: decides whether compiling the gates repays.

        Returns:
            (lc, h, w) float32, 0..1; meaningless where no date has data.
        """
        known = valid[(..., *core.slices)]
        if not known.any():
            nothing: NDArray[np.float32] = pmaps[0][(..., *core.slices)]
            return nothing
        if self.rnn is None:
            return self._tempered(FUSIONS["mean"](pmaps[(..., *core.slices)], known))
        self.choose_gates(scene_px, len(pmaps))
        return self._tempered(self._fuse(self.rnn, torch.from_numpy(pmaps), core))

    def rnn_radius(self, dates: int) -> int:
        """How far in px the fusion of `dates` dates looks."""
        if self.rnn is None:
            return 0
        return int(self.rnn.receptive_radius(dates))  # type: ignore[operator]

    def map_series(self, pixels: Sequence[Image], kept: Window) -> NDArray[np.float32]:
        """The PMap that a network for whole series makes of a part of its images.

        Args:
            pixels: One (C, H, W) uint8 or uint16 a date, oldest first, 0 = no data.
            kept: Which part of them.

        Returns:
            (lc, h, w) float32, 0..1; meaningless where no date has data.
        """
        assert self.series is not None
        scaling = self.model.spec.scaling
        images = torch.from_numpy(np.stack([scaling.apply(image) for image in pixels]))
        with torch.inference_mode(), autocast(self.device, self.precision):
            series = images[None].to(self.device)
            made = mapped(self.series, series, self.model.stride, self.orientations)
            pmap: NDArray[np.float32] = made[0][(..., *kept.slices)].cpu().contiguous().numpy()
        return self._tempered(pmap)

    def _tempered(self, fused: NDArray[np.float32]) -> NDArray[np.float32]:
        return tempered(fused, self.model.spec.temperature)

    def _fuse(self, rnn: nn.Module, pmaps: Tensor, core: Window) -> NDArray[np.float32]:
        """The fused PMap (lc, h, w) of `core`, a part of `pmaps` (T, lc, H, W)."""
        radius = self.rnn_radius(len(pmaps))
        side = RNN_TILE_PX if self.device.type == "cpu" else max(core.height, core.width)
        shape = (pmaps.shape[-2], pmaps.shape[-1])
        fused = np.empty((pmaps.shape[1], core.height, core.width), np.float32)
        with torch.inference_mode(), autocast(self.device, self.precision):
            for piece in plan_tiles(shape, side, radius, 1, core):
                part = pmaps[(..., *piece.read.slices)][None].to(self.device)
                pmap = probabilities(rnn(part))[0].cpu().numpy()
                fused[(..., *piece.core.relative_to(core).slices)] = pmap[(..., *piece.kept.slices)]
        return fused


def predict_series(
    predictor: Predictor,
    images: Sequence[DatedImage],
    shape: tuple[int, int],
    tile_px: int = DEFAULT_TILE_PX,
) -> Iterator[Prediction]:
    """Map a series tile by tile; only one tile is in memory at a time.

    The result does not depend on the tiles (but for rounding of the floating point): each is read
    with the margin that the networks can see.

    Args:
        predictor: The model.
        images: The series, at least one date, in any order.
        shape: (height, width) of the scene in px.
        tile_px: Largest side of a tile's core.

    Yields:
        The tiles' maps; their cores part the scene.

    Raises:
        SettingsError: A tile size that is not a positive multiple of the model's stride.
        ModelError: An image has not the model's number of bands.
        InputError: An image cannot be read.
    """
    series = sorted(images, key=lambda image: image.date)
    scene = Window(0, 0, *shape)
    for tile in predictor.plan(shape, len(series), tile_px):
        yield predictor.predict(tile, series, scene)


def _ready(network: nn.Module, device: torch.device) -> nn.Module:
    """A copy for inference only: on the device, channels last, batch norms folded into weights."""
    own = copy.deepcopy(network).eval()
    for block in (module for module in own.modules() if isinstance(module, nn.Sequential)):
        for at, (conv, norm) in enumerate(pairwise(block)):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[at], block[at + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return to_memory_format(own.to(device))
