"""Mapping a scene: the program, the paper's tile layout in plain fp32, a common sliding window."""

import datetime as dt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swath.bench.clock import Timing, Work, measure, number
from swath.bench.peers import sliding_window
from swath.bench.plain import (
    PAPER_TILE_PX,
    PlainConvLSTM,
    map_in_windows,
    paper_pixels,
    paper_windows,
)
from swath.grid import Window
from swath.mapping.predict import DatedImage, Predictor, predict_series
from swath.models.convlstm import ConvLSTM
from swath.models.device import best_precision
from swath.models.head import probabilities
from swath.models.trained import TrainedModel
from swath.models.unet import UNet

WHOLE_PX = 10980
"""Side of a whole Sentinel-2 scene in px of 10 m."""

FIRST = dt.date(2019, 1, 1)


def bench_scene(
    model: TrainedModel, fcn: UNet, rnn: ConvLSTM, side_px: int, dates: int, repetitions: int
) -> dict[str, Any]:
    """Map a scene of `side_px`, and say from that how long a whole one takes.

    The measured part is what the networks take, from pixels in memory to fused PMaps in memory;
    reading and writing files is in `memory.py`. Both programs take the same time for every tile, so
    a whole scene takes as much longer as it has more pixels to compute.
    """
    scene = draw_scene(side_px, dates)
    precision = best_precision(torch.device("cpu"))
    predictor = Predictor(model, "cpu", precision)
    # As the whole scene would be mapped, even where this part of it is small.
    predictor.fuse_from_px = 0
    plain = PlainConvLSTM(rnn).eval()
    cases: dict[str, Work] = {
        f"swath {precision}": _swath(predictor, scene),
        "plain fp32, paper's tiles": _paper(fcn, plain, model, scene),
    }
    window = sliding_window(lambda x: probabilities(fcn(x)), _scaled(model, scene[0]), 512)
    if window is not None:
        cases["U-Net alone, plain fp32, monai's window, one date"] = window
    # The compiler is to be paid once, so it is not part of the rate; the rest is long enough.
    predictor.choose_gates(side_px**2, dates)
    timings = measure(cases, repetitions, warm_up=False)
    ours, theirs = list(timings.values())[:2]
    return {
        "scene_px": side_px,
        "dates": dates,
        "cases": {name: t.rate(side_px**2 / 1e6, "Mpx/s") for name, t in timings.items()},
        "faster_than_plain": ours.times_faster_than(theirs),
        "computed_per_mapped_px": {
            "measured": _computed(predictor, side_px, dates),
            "whole scene": _computed(predictor, WHOLE_PX, dates),
        },
        "whole_scene": _whole(ours, theirs, predictor, side_px, dates),
    }


def draw_scene(side_px: int, dates: int) -> list[NDArray[np.uint8]]:
    """A (3, H, H) uint8 image a date: noise, since speed does not depend on what is seen."""
    rng = np.random.default_rng(0)
    return [rng.integers(1, 255, (3, side_px, side_px), np.uint8) for _ in range(dates)]


def _swath(predictor: Predictor, scene: list[NDArray[np.uint8]]) -> Work:
    def read(image: NDArray[np.uint8]) -> DatedImage:
        day = FIRST + dt.timedelta(days=next(days))
        return DatedImage(day, lambda window: image[(slice(None), *window.slices)])

    days = iter(range(len(scene)))
    images = [read(image) for image in scene]
    shape = scene[0].shape[-2:]

    def run() -> None:
        for _ in predict_series(predictor, images, (shape[0], shape[1])):
            pass

    return run


def _paper(
    fcn: UNet, rnn: PlainConvLSTM, model: TrainedModel, scene: list[NDArray[np.uint8]]
) -> Work:
    def run() -> None:
        starts = paper_windows(scene[0].shape[-1])
        with torch.inference_mode():
            pmaps = [
                map_in_windows(
                    lambda x: probabilities(fcn(x)), _scaled(model, image), starts, PAPER_TILE_PX
                )
                for image in scene
            ]
            map_in_windows(
                lambda x: probabilities(rnn(x)), torch.stack(pmaps, 1), starts, PAPER_TILE_PX
            )

    return run


def _scaled(model: TrainedModel, image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(model.spec.scaling.apply(image))[None]


def _computed(predictor: Predictor, side_px: int, dates: int) -> dict[str, Any]:
    """Pixels that the U-Net computes for each pixel of the map."""
    tiles = predictor.plan((side_px, side_px), dates)
    ours = sum(tile.read.size for tile in tiles)
    return {
        "swath": number(ours / side_px**2, "px/px", 3),
        "paper's tiles": number(paper_pixels(side_px) / side_px**2, "px/px", 3),
    }


def _whole(
    ours: Timing, theirs: Timing, predictor: Predictor, side_px: int, dates: int
) -> dict[str, Any]:
    """Times of a whole scene, by the pixels that each layout computes."""
    here = sum(tile.read.size for tile in predictor.plan((side_px, side_px), dates))
    whole = Window(0, 0, WHOLE_PX, WHOLE_PX)
    there = sum(t.read.size for t in predictor.plan((whole.height, whole.width), dates))
    mine = Timing(tuple(s * there / here for s in ours.seconds))
    paper = Timing(
        tuple(s * paper_pixels(WHOLE_PX) / paper_pixels(side_px) for s in theirs.seconds)
    )
    return {
        "scene_px": WHOLE_PX,
        "extrapolated": side_px < WHOLE_PX,
        "swath": mine.report(),
        "plain fp32, paper's tiles": paper.report(),
        "faster_than_plain": mine.times_faster_than(paper),
    }
