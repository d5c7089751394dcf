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
from swath.mapping.maps import Fusion
from swath.mapping.tiles import DEFAULT_TILE_PX, Tile, plan_tiles
from swath.models.convlstm import FUSE_FROM_PX, ConvLSTM
from swath.models.device import (
    Precision,
    autocast,
    best_precision,
    keep_freed_memory,
    pick_device,
)
from swath.models.fusion import FUSIONS
from swath.models.head import neutral, probabilities
from swath.models.trained import TrainedModel, to_memory_format
from swath.sentinel2 import valid_mask

Image = NDArray[np.uint8] | NDArray[np.uint16]

RNN_TILE_PX = 256
"""Side of the pieces in which the ConvLSTM runs: its states then stay in the CPU's cache."""


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
    ) -> None:
        if precision not in ("auto", "fp32", "bf16"):
            raise SettingsError(f"--precision must be auto, fp32 or bf16, got {precision!r}")
        self.model = model
        self.device = pick_device(device)
        self.precision: Precision = (
            best_precision(self.device) if precision == "auto" else precision
        )
        self.fcn = _ready(model.fcn, self.device)
        self.rnn = None if model.rnn is None else _ready(model.rnn, self.device)
        self.fuse_from_px = FUSE_FROM_PX
        self._fused = False
        if self.device.type == "cpu":
            keep_freed_memory()

    @property
    def fusion(self) -> Fusion:
        """How this model fuses dates: its ConvLSTM, or the mean where it has none."""
        return "mean" if self.rnn is None else "convlstm"

    def choose_gates(self, shape: tuple[int, int], dates: int) -> None:
        """Have the ConvLSTM's gates compiled or not, as a scene of `shape` and `dates` repays it.

        To be called before a scene is fused; costs seconds the first time that a scene is large.
        """
        if not isinstance(self.rnn, ConvLSTM) or self.device.type != "cpu":
            return
        wanted = shape[0] * shape[1] * dates >= self.fuse_from_px
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
        """
        margin = self.model.receptive_radius(dates)
        return plan_tiles(shape, tile_px, margin, self.model.stride)

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
        self.choose_gates((scene.height, scene.width), len(images))
        pixels = [self._read(image, tile.read) for image in images]
        masks = [valid_mask(image) for image in pixels]
        core_valid = np.stack([mask[tile.kept.slices] for mask in masks])
        if not core_valid.any():
            return self._nothing(tile.core, core_valid)
        # What the RNN sees of the PMaps; the FCN's margin beyond that is not kept.
        seen = tile.core.grow(self._rnn_radius(len(images))).intersect(scene)
        inside = (..., *seen.relative_to(tile.read).slices)
        pmaps = torch.stack(
            [self._pmap(image, mask)[inside] for image, mask in zip(pixels, masks, strict=True)]
        )
        core = tile.core.relative_to(seen)
        core_pmaps = pmaps[(..., *core.slices)].numpy()
        if self.rnn is None:
            fused = FUSIONS["mean"](core_pmaps, core_valid)
        else:
            fused = self._fuse(self.rnn, pmaps, core)
        return Prediction(tile.core, core_pmaps, fused, core_valid)

    def _read(self, image: DatedImage, window: Window) -> Image:
        pixels = image.read(window)
        bands = self.model.spec.image.bands
        if len(pixels) != len(bands):
            raise ModelError(
                f"the image of {image.date} has {len(pixels)} bands; the model reads "
                f"{len(bands)} ({', '.join(bands)})"
            )
        return pixels

    def _nothing(self, core: Window, valid: NDArray[np.bool_]) -> Prediction:
        """The maps of a core without data on any date."""
        lc = len(self.model.spec.legend.classes)
        pmaps = np.full((len(valid), lc, core.height, core.width), 1 / lc, np.float32)
        return Prediction(core, pmaps, pmaps[0], valid)

    def _pmap(self, pixels: Image, valid: NDArray[np.bool_]) -> Tensor:
        """The PMap (lc, h, w) of one date, on the CPU; 1/lc where `valid` is False."""
        spec = self.model.spec
        if not valid.any():
            lc = len(spec.legend.classes)
            return torch.full((lc, *valid.shape), 1 / lc)
        scaled = torch.from_numpy(spec.scaling.apply(pixels))[None].to(self.device)
        scaled = scaled.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), autocast(self.device, self.precision):
            pmap = probabilities(self.fcn(scaled))[0].cpu()
        return neutral(pmap, torch.from_numpy(valid))

    def _fuse(self, rnn: nn.Module, pmaps: Tensor, core: Window) -> NDArray[np.float32]:
        """The fused PMap (lc, h, w) of `core`, a part of `pmaps` (T, lc, H, W)."""
        radius = self._rnn_radius(len(pmaps))
        side = RNN_TILE_PX if self.device.type == "cpu" else max(core.height, core.width)
        shape = (pmaps.shape[-2], pmaps.shape[-1])
        fused = np.empty((pmaps.shape[1], core.height, core.width), np.float32)
        with torch.inference_mode(), autocast(self.device, self.precision):
            for piece in plan_tiles(shape, side, radius, 1, core):
                part = pmaps[(..., *piece.read.slices)][None].to(self.device)
                pmap = probabilities(rnn(part))[0].cpu().numpy()
                fused[(..., *piece.core.relative_to(core).slices)] = pmap[(..., *piece.kept.slices)]
        return fused

    def _rnn_radius(self, dates: int) -> int:
        if self.rnn is None:
            return 0
        return int(self.rnn.receptive_radius(dates))  # type: ignore[operator]


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
