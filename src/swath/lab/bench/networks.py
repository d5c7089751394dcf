"""The two networks: inference and a training step, against plain fp32 and the machine's peak."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from swath.lab.bench.clock import Report, Timing, Work, measure
from swath.lab.bench.model import Everywhere, multiply_adds
from swath.lab.bench.peers import runtimes
from swath.lab.bench.plain import PlainConvLSTM
from swath.mapping.predict import Predictor
from swath.models.convlstm import ConvLSTM
from swath.models.device import Precision, autocast, best_precision
from swath.models.trained import TrainedModel, to_memory_format
from swath.models.unet import UNet
from swath.training.loss import CrossEntropyLogIoU

CPU = torch.device("cpu")
LEARNING_RATE = 1e-4


def precisions() -> tuple[Precision, ...]:
    """fp32, and bf16 where the processor computes it."""
    return ("bf16", "fp32") if best_precision(CPU) == "bf16" else ("fp32",)


def bench_fcn(
    model: TrainedModel, fcn: UNet, side_px: int, repetitions: int, peak: Mapping[Precision, float]
) -> Report:
    """The U-Net on one tile as it is read, margin included."""
    image = torch.rand(1, 3, side_px, side_px)
    cases: dict[str, Work] = {}
    for precision in precisions():
        network = Everywhere(Predictor(model, "cpu", precision).fcn)
        last = image.contiguous(memory_format=torch.channels_last)
        cases[f"swath {precision}"] = _forward(network, last, precision)
    plain = Everywhere(fcn)
    cases["plain fp32"] = _forward(plain, image, "fp32")
    cases |= runtimes(plain, image)
    per_px = 2 * multiply_adds(plain, image[..., :64, :64]) / 64**2
    what = {"input": list(image.shape), "flop_per_px": per_px}
    return what | _report(measure(cases, repetitions), side_px**2, per_px, peak)


def bench_convlstm(
    convlstm: ConvLSTM, side_px: int, dates: int, repetitions: int, peak: Mapping[Precision, float]
) -> Report:
    """The ConvLSTM on one piece as it is read, margin included; pixels are those of the map."""
    pmaps = torch.rand(1, dates, 2, side_px, side_px)
    cases: dict[str, Work] = {}
    fused_here = True
    for precision in precisions():
        network = to_memory_format(copy.deepcopy(convlstm))
        fused = copy.deepcopy(network)
        with torch.inference_mode(), autocast(CPU, precision):
            fused_here &= fused.fuse_gates()
        if fused_here:
            cases[f"swath {precision}"] = _forward(Everywhere(fused), pmaps, precision)
        name = f"swath {precision}, gates not compiled"
        cases[name] = _forward(Everywhere(network), pmaps, precision)
    plain = PlainConvLSTM(convlstm).eval()
    cases["plain fp32"] = _forward(plain, pmaps, "fp32")
    cases |= runtimes(plain, pmaps)
    per_px = 2 * multiply_adds(Everywhere(convlstm), pmaps[..., :32, :32]) / 32**2
    what = {"input": list(pmaps.shape), "flop_per_px": per_px, "gates_compiled": fused_here}
    return what | _report(measure(cases, repetitions), side_px**2, per_px, peak)


def bench_growth(
    model: TrainedModel,
    convlstm: ConvLSTM,
    fcn_px: int,
    convlstm_px: int,
    dates: int,
    repetitions: int,
) -> Report:
    """How the networks' time grows with pixels and with dates, in the best precision."""
    best = precisions()[0]
    fcn = Everywhere(Predictor(model, "cpu", best).fcn)
    fused = to_memory_format(copy.deepcopy(convlstm))
    with torch.inference_mode(), autocast(CPU, best):
        fused.fuse_gates()
    sides = [fcn_px // 4 // 16 * 16, fcn_px // 2 // 16 * 16, fcn_px]
    series = sorted({1, 2, dates, 2 * dates})
    cases: dict[str, Work] = {}
    for side in sides:
        image = torch.rand(1, 3, side, side).contiguous(memory_format=torch.channels_last)
        cases[f"unet {side} px"] = _forward(fcn, image, best)
    for count in series:
        pmaps = torch.rand(1, count, 2, convlstm_px, convlstm_px)
        cases[f"convlstm {count} dates"] = _forward(Everywhere(fused), pmaps, best)
    timings = measure(cases, repetitions)
    pixels = [side**2 for side in sides] + [convlstm_px**2] * len(series)
    return {
        "precision": best,
        "cases": {
            name: timing.rate(count / 1e6, "Mpx/s")
            for (name, timing), count in zip(timings.items(), pixels, strict=True)
        },
    }


def bench_training(
    fcn: UNet, convlstm: ConvLSTM, batch: int, side_px: int, dates: int, repetitions: int
) -> Report:
    """A whole step: forward, loss, backward, optimiser; patches are in memory already."""
    label = (torch.rand(batch, side_px, side_px) < 0.1).long()
    image = torch.rand(batch, 3, side_px, side_px)
    pmaps = torch.rand(batch, dates, 2, side_px, side_px)
    best = precisions()[0]
    unet = Everywhere(to_memory_format(copy.deepcopy(fcn)))
    fused = copy.deepcopy(convlstm).train()
    with autocast(CPU, best):
        fused.fuse_gates()
    last = image.contiguous(memory_format=torch.channels_last)
    fcn_cases = {
        "swath": _step(unet, last, label, best, fused=True),
        "plain fp32": _step(Everywhere(copy.deepcopy(fcn)), image, label, "fp32", fused=False),
    }
    convlstm_cases = {
        "swath": _step(Everywhere(to_memory_format(fused)), pmaps, label, best, fused=True),
        "plain fp32": _step(PlainConvLSTM(convlstm), pmaps, label, "fp32", fused=False),
    }
    report: Report = {"precision": best}
    for name, cases, shape in (
        ("unet", fcn_cases, list(image.shape)),
        ("convlstm", convlstm_cases, list(pmaps.shape)),
    ):
        timings = measure(cases, repetitions)
        pixels = batch * side_px**2
        report[name] = {
            "input": shape,
            **{key: timing.rate(pixels / 1e6, "Mpx/s") for key, timing in timings.items()},
            "faster_than_plain": timings["swath"].times_faster_than(timings["plain fp32"]),
        }
    return report


def _forward(network: nn.Module, example: Tensor, precision: Precision) -> Work:
    def run() -> object:
        with torch.inference_mode(), autocast(CPU, precision):
            return network(example)

    return run


def _step(network: nn.Module, example: Tensor, label: Tensor, precision: Precision, *, fused: bool) -> Work:
    network.train()
    loss = CrossEntropyLogIoU()
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, fused=fused)

    def run() -> None:
        with autocast(CPU, precision):
            value = loss(network(example), label)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()

    return run


def _report(
    timings: Mapping[str, Timing],
    pixels: int,
    flop_per_px: float,
    peak: Mapping[Precision, float],
) -> Report:
    """Rates of all cases, and for each the share of the peak and the times over plain fp32."""
    cases: Report = {}
    for name, timing in timings.items():
        reached = flop_per_px * pixels / timing.median / 1e9
        precision: Precision = "bf16" if "bf16" in name else "fp32"
        cases[name] = {
            "rate": timing.rate(pixels / 1e6, "Mpx/s"),
            "gflop_per_s": round(reached, 1),
            "share_of_conv_peak": round(reached / peak[precision], 3),
            "faster_than_plain": timing.times_faster_than(timings["plain fp32"]),
        }
    return {"cases": cases}
