"""The machine: what it is, and how many operations a second its libraries reach at best."""

import platform
from collections.abc import Callable

import torch
from torch import nn

from swath.lab.bench.clock import Report, Timing, Work, clock_name, measure, usable_processors
from swath.models.device import Precision, best_precision
from swath.models.trained import to_memory_format

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def facts() -> Report:
    """What a reader must know to compare figures."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    wanted = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")
    return {
        "architecture": platform.machine(),
        "extensions": [name for name in wanted if capabilities.get(name)],
        "processors": usable_processors(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "precision": best_precision(torch.device("cpu")),
        "clock": clock_name(),
    }


def peaks(
    matmul_px: int, convolutions: tuple[tuple[int, int], ...], repetitions: int
) -> tuple[Report, dict[Precision, float]]:
    """Measure matrix products and 3 x 3 convolutions.

    Args:
        matmul_px: Side of the square matrices.
        convolutions: (channels in and out, side in px) of each.
        repetitions: Rounds.

    Returns:
        The report, and by precision the best median of the convolutions in GFLOP/s, counting a
        multiply-add as two.
    """
    report: Report = {}
    best: dict[Precision, float] = {}
    for name, dtype in DTYPES.items():
        cases: dict[str, Work] = {f"matmul {matmul_px}": _product(matmul_px, dtype)}
        flops = {f"matmul {matmul_px}": 2 * matmul_px**3}
        for channels, side in convolutions:
            key = f"conv {channels} x {side} x {side}"
            cases[key] = _convolution(channels, side, dtype)
            flops[key] = 2 * 9 * channels**2 * side**2
        timings = measure(cases, repetitions)
        best[name] = max(_rate(timings[k], flops[k]) for k in cases if k.startswith("conv"))
        rates = {k: t.rate(flops[k] / 1e9, "GFLOP/s") for k, t in timings.items()}
        report[name] = {**rates, "conv peak": round(best[name], 1)}
    return report, best


def _rate(timing: Timing, flops: float) -> float:
    return flops / timing.median / 1e9


def _product(side: int, dtype: torch.dtype) -> Callable[[], object]:
    a, b = torch.rand(side, side).to(dtype), torch.rand(side, side).to(dtype)
    return lambda: a @ b


def _convolution(channels: int, side: int, dtype: torch.dtype) -> Callable[[], object]:
    network = to_memory_format(nn.Conv2d(channels, channels, 3, padding=1).to(dtype))
    image = torch.rand(1, channels, side, side).to(dtype)
    image = image.contiguous(memory_format=torch.channels_last)

    def run() -> object:
        with torch.inference_mode():
            return network(image)

    return run
