"""Mapping a scene: the program, the paper's tile layout in plain fp32, a common sliding window."""

import datetime as dt
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from swath.grid import Window
from swath.lab.bench.alone import plain_seconds
from swath.lab.bench.clock import Figure, Report, Timing, Work, measure, number
from swath.lab.bench.model import Everywhere
from swath.lab.bench.peers import sliding_window
from swath.lab.bench.plain import draw_scene, paper_pixels, paper_windows
from swath.lab.stability.inmemory import InMemoryMapper
from swath.mapping.predict import DatedImage, Predictor
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
) -> Report:
    """Map a scene of `side_px`, and say from that how long a whole one takes.

    The measured part is what the jobs of `map_site` take, from pixels in memory to fused PMaps in
    memory; reading and writing files is in `peak.py`. The plain program runs in a process of its
    own, twice: as it comes, and keeping freed memory as swath does. A whole scene takes as much
    longer as it has more pixels to read.

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
    predictor = Predictor(model, "cpu", best_precision(torch.device("cpu")))
    # As the whole scene would be mapped, even where this part of it is small.
    predictor.fuse_from_px = 0
    # The compiler is to be paid once, so it is not part of the rate; the rest is long enough.
    predictor.choose_gates(side_px**2, dates)
    sizes = (model.spec.sizes["width"], model.spec.sizes["hidden"], dates, side_px)
    seconds: dict[str, list[float]] = {OURS: [], PLAIN: [], KEPT: []}
    for _ in range(repetitions):
        seconds[OURS] += measure({OURS: _swath(predictor, scene)}, 1, warm_up=False)[OURS].seconds
        seconds[PLAIN].append(plain_seconds(*sizes, windows, keep=False))
        seconds[KEPT].append(plain_seconds(*sizes, kept_windows, keep=True))
    timings = {name: Timing(tuple(values)) for name, values in seconds.items()}
    count = len(paper_windows(side_px)) ** 2
    mpx = side_px**2 / 1e6
    rates = {name: timing.rate(mpx, "Mpx/s") for name, timing in timings.items()}
    return {
        "scene_px": side_px,
        "dates": dates,
        "precision": predictor.precision,
        "windows": {PLAIN: min(windows, count), KEPT: min(kept_windows, count), "of": count},
        "cases": rates | _monai(model, fcn, scene[0], repetitions),
        "computed_per_mapped_px": {
            "measured": _computed(predictor, side_px),
            "whole scene": _computed(predictor, WHOLE_PX),
        },
        "whole_scene": _whole(timings, predictor, side_px),
        **_ratios(timings),
    }


def _monai(model: TrainedModel, fcn: UNet, image: NDArray[np.uint8], repetitions: int) -> dict[str, Figure]:
    """The U-Net alone in MONAI's sliding window, on one date, where MONAI is installed."""
    scaled = torch.from_numpy(model.spec.scaling.apply(image))[None]
    network = Everywhere(fcn)
    work = sliding_window(lambda x: probabilities(network(x)), scaled, 512)
    if work is None:
        return {}
    name = "U-Net alone, plain fp32, monai's window, one date"
    timing = measure({name: work}, repetitions, warm_up=False)[name]
    return {name: timing.rate(image[0].size / 1e6, "Mpx/s")}


def _ratios(timings: dict[str, Timing]) -> dict[str, Figure]:
    ours = timings[OURS]
    return {
        "faster_than_plain": ours.times_faster_than(timings[PLAIN]),
        "faster_than_plain_with_kept_memory": ours.times_faster_than(timings[KEPT]),
    }


def _swath(predictor: Predictor, scene: list[NDArray[np.uint8]]) -> Work:
    images = [
        DatedImage(FIRST + dt.timedelta(days=day), partial(_read, image)) for day, image in enumerate(scene)
    ]
    height, width = scene[0].shape[-2:]
    mapper = InMemoryMapper(predictor, (height, width))
    return lambda: mapper.fuse(images, [mapper.pmap(image) for image in images])


def _read(image: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    return image[(slice(None), *window.slices)]


def _read_pixels(predictor: Predictor, side_px: int) -> int:
    """Pixels of a date that are read for a map; inside, the U-Net computes fewer."""
    return sum(tile.read.size for tile in predictor.plan_pmaps((side_px, side_px)))


def _computed(predictor: Predictor, side_px: int) -> dict[str, Figure]:
    """Pixels that are read for each pixel of the map."""
    ours = _read_pixels(predictor, side_px)
    return {
        "swath": number(ours / side_px**2, "px/px", 3),
        "paper's tiles": number(paper_pixels(side_px) / side_px**2, "px/px", 3),
    }


def _whole(timings: dict[str, Timing], predictor: Predictor, side_px: int) -> Report:
    """Times of a whole scene, by the pixels that each layout reads."""
    ours = _read_pixels(predictor, WHOLE_PX) / _read_pixels(predictor, side_px)
    paper = paper_pixels(WHOLE_PX) / paper_pixels(side_px)
    times = {OURS: ours, PLAIN: paper, KEPT: paper}
    whole = {name: Timing(tuple(s * times[name] for s in timing.seconds)) for name, timing in timings.items()}
    return {
        "scene_px": WHOLE_PX,
        "extrapolated": side_px < WHOLE_PX,
        **{name: timing.report() for name, timing in whole.items()},
        **_ratios(whole),
    }
