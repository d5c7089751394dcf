"""Mapping a scene: the program, the paper's tile layout in plain fp32, a common sliding window."""

import datetime as dt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swath.lab.bench.alone import plain_seconds
from swath.lab.bench.clock import Timing, Work, measure, number
from swath.lab.bench.peers import sliding_window
from swath.lab.bench.plain import draw_scene, paper_pixels, paper_windows
from swath.mapping.predict import DatedImage, Predictor, predict_series
from swath.models.device import best_precision
from swath.models.head import probabilities
from swath.models.trained import TrainedModel
from swath.models.unet import UNet

WHOLE_PX = 10980
"""Side of a whole Sentinel-2 scene in px of 10 m."""

FIRST = dt.date(2019, 1, 1)

OURS = "swath"
PLAIN = "plain fp32, paper's tiles"
KEPT = "plain fp32, paper's tiles, freed memory kept"


def bench_scene(
    model: TrainedModel,
    fcn: UNet,
    side_px: int,
    dates: int,
    repetitions: int,
    windows: int,
    kept_windows: int,
) -> dict[str, Any]:
    """Map a scene of `side_px`, and say from that how long a whole one takes.

    The measured part is what the networks take, from pixels in memory to fused PMaps in memory;
    reading and writing files is in `memory.py`. The plain program runs in a process of its own,
    twice: as it comes, and keeping freed memory as swath does. A whole scene takes as much longer
    as it has more pixels to read.

    Args:
        model: Of `drawn_model`.
        fcn: Its U-Net.
        side_px: Side of the scene.
        dates: T.
        repetitions: Rounds.
        windows: How many of the paper's windows the plain program maps, at most.
        kept_windows: The same where it keeps freed memory.
    """
    scene = draw_scene(side_px, dates)
    precision = best_precision(torch.device("cpu"))
    predictor = Predictor(model, "cpu", precision)
    # As the whole scene would be mapped, even where this part of it is small.
    predictor.fuse_from_px = 0
    # The compiler is to be paid once, so it is not part of the rate; the rest is long enough.
    predictor.choose_gates(side_px**2, dates)
    sizes = (model.spec.width, model.spec.hidden, dates, side_px)
    seconds: dict[str, list[float]] = {OURS: [], PLAIN: [], KEPT: []}
    for _ in range(repetitions):
        seconds[OURS] += measure({OURS: _swath(predictor, scene)}, 1, warm_up=False)[OURS].seconds
        seconds[PLAIN].append(plain_seconds(*sizes, windows, keep=False))
        seconds[KEPT].append(plain_seconds(*sizes, kept_windows, keep=True))
    timings = {name: Timing(tuple(values)) for name, values in seconds.items()}
    report: dict[str, Any] = {
        "scene_px": side_px,
        "dates": dates,
        "precision": precision,
        "windows": {
            PLAIN: min(windows, _windows(side_px)),
            KEPT: min(kept_windows, _windows(side_px)),
            "of": _windows(side_px),
        },
        "cases": {name: t.rate(side_px**2 / 1e6, "Mpx/s") for name, t in timings.items()},
        "computed_per_mapped_px": {
            "measured": _computed(predictor, side_px, dates),
            "whole scene": _computed(predictor, WHOLE_PX, dates),
        },
        "whole_scene": _whole(timings, predictor, side_px, dates),
    }
    window = sliding_window(lambda x: probabilities(fcn(x)), _scaled(model, scene[0]), 512)
    if window is not None:
        name = "U-Net alone, plain fp32, monai's window, one date"
        found = measure({name: window}, repetitions, warm_up=False)[name]
        report["cases"][name] = found.rate(side_px**2 / 1e6, "Mpx/s")
    return report | _ratios(timings)


def _ratios(timings: dict[str, Timing]) -> dict[str, Any]:
    ours = timings[OURS]
    return {
        "faster_than_plain": ours.times_faster_than(timings[PLAIN]),
        "faster_than_plain_with_kept_memory": ours.times_faster_than(timings[KEPT]),
    }


def _windows(side_px: int) -> int:
    return len(paper_windows(side_px)) ** 2


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


def _scaled(model: TrainedModel, image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(model.spec.scaling.apply(image))[None]


def _computed(predictor: Predictor, side_px: int, dates: int) -> dict[str, Any]:
    """Pixels that are read for each pixel of the map; inside, the U-Net computes fewer."""
    tiles = predictor.plan((side_px, side_px), dates)
    ours = sum(tile.read.size for tile in tiles)
    return {
        "swath": number(ours / side_px**2, "px/px", 3),
        "paper's tiles": number(paper_pixels(side_px) / side_px**2, "px/px", 3),
    }


def _whole(
    timings: dict[str, Timing], predictor: Predictor, side_px: int, dates: int
) -> dict[str, Any]:
    """Times of a whole scene, by the pixels that each layout reads."""
    here = sum(tile.read.size for tile in predictor.plan((side_px, side_px), dates))
    there = sum(tile.read.size for tile in predictor.plan((WHOLE_PX, WHOLE_PX), dates))
    paper = paper_pixels(WHOLE_PX) / paper_pixels(side_px)
    times = {OURS: there / here, PLAIN: paper, KEPT: paper}
    whole = {
        name: Timing(tuple(s * times[name] for s in timing.seconds))
        for name, timing in timings.items()
    }
    return {
        "scene_px": WHOLE_PX,
        "extrapolated": side_px < WHOLE_PX,
        **{name: timing.report() for name, timing in whole.items()},
        **_ratios(whole),
    }
