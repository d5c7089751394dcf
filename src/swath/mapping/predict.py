"""Prediction: a trained model over a series of any size, tile by tile, in bounded memory."""

import copy
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from swath.errors import ModelError, SettingsError
from swath.grid import Window, refine
from swath.mapping.passes import pass_shares, told_within
from swath.maps.sitemaps import Fusion
from swath.memory import keep_freed_memory
from swath.models.convlstm import FUSE_FROM_PX, ConvLSTM
from swath.models.device import Precision, autocast, best_precision, pick_device
from swath.models.fusion import FUSIONS
from swath.models.head import probabilities
from swath.models.network import FusionNetwork, OneDate
from swath.models.orientations import Orientations, mapped, oriented_mean
from swath.models.temperature import tempered
from swath.models.trained import TrainedModel, to_memory_format
from swath.progress import within
from swath.sentinel2 import valid_mask
from swath.tiles import DEFAULT_TILE_PX, Tile, plan_tiles

Image = NDArray[np.uint8] | NDArray[np.uint16]

N = TypeVar("N", bound=nn.Module)

FUSION_TILE_PX = 512
"""Side of the pieces in which the fusion runs: all of a tile at once would take 2 GB.

Source: one thread maps pieces of 256 and 512 px equally fast; two threads the larger 10 % faster.
"""

TOLD_FROM_PX = 400_000
"""Tiles from this size on tell how far they are: they take seconds."""


@dataclass(frozen=True, slots=True)
class DatedImage:
    """One date of a series, read window by window.

    Attributes:
        date: Day of acquisition.
        read: Window of the scene -> (C, h, w) uint8 or uint16, bands as the model's; 0 = no data.
    """

    date: dt.date
    read: Callable[[Window], Image]


class Predictor:
    """A trained model on a device, ready to map.

    It works on copies of the networks, with the batch norms folded into the convolutions before
    them (the same function, 1.2 times faster); the model itself is left alone. On a CPU the gates
    of the ConvLSTM are compiled for scenes that repay it: whether they are depends on the scene's
    size and dates only, so that every tile of a map, on every run, is computed alike.

    Args:
        model: What `load_model` gave.
        device: See `swath.mapping.options.MapOptions`, as `precision` and `orientations`.
        precision: See there.
        orientations: See there.

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
            raise SettingsError(f"the precision must be auto, fp32 or bf16, got {precision!r}")
        self.model = model
        self.device = pick_device(device)
        self.precision: Precision = best_precision(self.device) if precision == "auto" else precision
        self.orientations: Orientations = orientations or model.spec.orientations
        self.fcn = _ready(model.fcn, self.device)
        self.fusion_network = None if model.fusion is None else _ready(model.fusion, self.device)
        self.fuse_from_px = FUSE_FROM_PX
        self._fused = False
        self._shares: tuple[float, ...] = ()
        # One copy serves both views of a network for whole series.
        self.series = self.fcn.series if isinstance(self.fcn, OneDate) else None
        if self.device.type == "cpu":
            keep_freed_memory()

    @property
    def finer(self) -> int:
        """n, map pixels to the side of an image pixel. Tiles are counted in image pixels."""
        return self.fcn.finer

    @property
    def fusion(self) -> Fusion:
        """How this model fuses dates: by a network, or as the mean where it has none."""
        if self.series is not None:
            return "series"
        return "mean" if self.fusion_network is None else self.fusion_network.kind

    def choose_gates(self, scene_px: int, dates: int) -> None:
        """Have the ConvLSTM's gates compiled or not, as a scene of so many px and dates repays it.

        Costs seconds the first time that a scene is large.
        """
        network = self.fusion_network
        if not isinstance(network, ConvLSTM) or self.device.type != "cpu":
            return
        wanted = scene_px * dates >= self.fuse_from_px
        if wanted and not self._fused:
            with torch.inference_mode(), autocast(self.device, self.precision):
                network.fuse_gates()
        elif self._fused and not wanted:
            network.unfuse_gates()
        self._fused = wanted

    def plan_pmaps(self, shape: tuple[int, int], tile_px: int = DEFAULT_TILE_PX) -> tuple[Tile, ...]:
        """The tiles of the PMap of one date: as far as the U-Net sees is read around each.

        Raises:
            SettingsError: A tile size that is not a positive multiple of the model's stride.
        """
        return plan_tiles(shape, tile_px, self.model.fcn.receptive_radius, self.model.stride)

    def plan_fusion(
        self, shape: tuple[int, int], dates: int, tile_px: int = DEFAULT_TILE_PX
    ) -> tuple[Tile, ...]:
        """The tiles of the fused map of `dates` dates; their cores are the same.

        Around each is read as far as is seen of what it is made from: the PMaps of the dates, or,
        by a network for whole series, the images. See `plan_pmaps`.
        """
        margin = -(-self.fusion_radius(dates) // self.finer)
        return plan_tiles(shape, tile_px, margin, self.model.stride)

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
            (lc, nh, nw) float32, 0..1, anything where there is no data; (nh, nw) bool, True = data.
        """
        part = kept.finer(self.finer)
        valid = refine(valid_mask(pixels)[kept.slices], self.finer)
        if not valid.any():
            classes = len(self.model.spec.legend.classes)
            return np.zeros((classes, *valid.shape), np.float32), valid
        image, known = self._seen(pixels)
        seen = image.contiguous(memory_format=torch.channels_last), known
        shares = self._told_shares(image)
        with (
            torch.inference_mode(),
            autocast(self.device, self.precision),
            told_within(self.fcn, shares, self.orientations),
        ):
            if self.orientations == 1:  # no more is computed than is kept
                pmap = probabilities(self.fcn(*seen, kept))
            else:
                pmap = oriented_mean(self.fcn, seen, self.model.stride)[(..., *part.slices)]
        values: NDArray[np.float32] = pmap[0].cpu().contiguous().numpy()
        return values, valid

    def _told_shares(self, image: Tensor) -> tuple[float, ...]:
        """What to tell of the passes over an image; nothing of one that takes no time."""
        if self.device.type != "cpu" or image.shape[-2:].numel() < TOLD_FROM_PX:
            return ()
        if not self._shares:
            part = image[..., : 4 * self.model.stride, : 4 * self.model.stride]
            known = torch.ones_like(part[:, 0], dtype=torch.bool)
            with torch.inference_mode(), autocast(self.device, self.precision):
                self._shares = pass_shares(self.fcn, lambda: self.fcn(part, known))
        return self._shares

    def fuse(
        self,
        pmaps: NDArray[np.float32],
        valid: NDArray[np.bool_],
        core: Window,
        scene_px: int = 0,
    ) -> NDArray[np.float32]:
        """The fused PMap of a part of a series of PMaps; all in map pixels.

        Args:
            pmaps: (T, lc, H, W) float32, 0..1, oldest first; anything where a date has no data.
            valid: (T, H, W) bool, True where the date has data.
            core: Which part; `fusion_radius` px more are needed, or the scene ends there.
            scene_px: Pixels of the whole scene: decides whether compiling the gates repays.

        Returns:
            (lc, h, w) float32, 0..1; meaningless where no date has data.
        """
        known = valid[(..., *core.slices)]
        if not known.any():
            nothing: NDArray[np.float32] = pmaps[0][(..., *core.slices)]
            return nothing
        if self.fusion_network is None:
            fused = FUSIONS["mean"](pmaps[(..., *core.slices)], known)
        else:
            self.choose_gates(scene_px, len(pmaps))
            seen = torch.from_numpy(pmaps), torch.from_numpy(valid)
            fused = self._fuse(self.fusion_network, *seen, core)
        return tempered(fused, self.model.spec.temperature)

    def fusion_radius(self, dates: int) -> int:
        """How far, in pixels of what it is made from, the fused map sees around one of its own."""
        if self.series is not None:
            return self.series.receptive_radius(dates)
        return 0 if self.fusion_network is None else self.fusion_network.receptive_radius(dates)

    def map_series(self, pixels: Sequence[Image], kept: Window) -> NDArray[np.float32]:
        """The PMap that a network for whole series makes of a part of its images.

        Args:
            pixels: One (C, H, W) uint8 or uint16 a date, oldest first, 0 = no data.
            kept: Which part of them.

        Returns:
            (lc, h, w) float32, 0..1; meaningless where no date has data.
        """
        assert self.series is not None
        seen = self._seen(np.stack(pixels))
        with torch.inference_mode(), autocast(self.device, self.precision):
            whole = mapped(self.series, seen, self.model.stride, self.orientations)
            pmap: NDArray[np.float32] = whole[0][(..., *kept.slices)].cpu().contiguous().numpy()
        return tempered(pmap, self.model.spec.temperature)

    def _seen(self, pixels: NDArray[np.generic]) -> tuple[Tensor, Tensor]:
        """(..., C, H, W) pixels as the networks take them: scaled, and where they have data."""
        scaled = torch.from_numpy(self.model.spec.scaling.apply(pixels))[None]
        return scaled.to(self.device), torch.from_numpy(valid_mask(pixels))[None].to(self.device)

    def _fuse(
        self, network: FusionNetwork, pmaps: Tensor, valid: Tensor, core: Window
    ) -> NDArray[np.float32]:
        """The fused PMap (lc, h, w) of `core`, a part of `pmaps` (T, lc, H, W)."""
        radius = self.fusion_radius(len(pmaps))
        side = FUSION_TILE_PX if self.device.type == "cpu" else max(core.height, core.width)
        shape = (pmaps.shape[-2], pmaps.shape[-1])
        fused = np.empty((pmaps.shape[1], core.height, core.width), np.float32)
        with torch.inference_mode(), autocast(self.device, self.precision):
            pieces = plan_tiles(shape, side, radius, 1, core)
            for number, piece in enumerate(pieces):
                within(number / len(pieces))
                seen = (..., *piece.read.slices)
                parts = pmaps[seen][None].to(self.device), valid[seen][None].to(self.device)
                pmap = probabilities(network(*parts))[0].cpu().numpy()
                fused[(..., *piece.core.relative_to(core).slices)] = pmap[(..., *piece.kept.slices)]
        return fused


def _ready(network: N, device: torch.device) -> N:
    """A copy for inference only: on the device, channels last, batch norms folded into weights."""
    folded = copy.deepcopy(network).eval()
    for block in (module for module in folded.modules() if isinstance(module, nn.Sequential)):
        for at, (conv, norm) in enumerate(pairwise(block)):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[at], block[at + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return to_memory_format(folded.to(device))
