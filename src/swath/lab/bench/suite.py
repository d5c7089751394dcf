"""`swath lab bench`: all measurements of one run, as one value that is also the JSON."""

from collections.abc import Callable
from dataclasses import dataclass

from swath.lab.bench.addition import bench_addition
from swath.lab.bench.clock import Report, now
from swath.lab.bench.labour import bench_burning, bench_decoding, bench_sampling
from swath.lab.bench.machine import facts, peaks
from swath.lab.bench.model import drawn_model
from swath.lab.bench.networks import bench_convlstm, bench_fcn, bench_growth, bench_training
from swath.lab.bench.peak import bench_memory
from swath.lab.bench.peers import installed
from swath.lab.bench.wholescene import WHOLE_PX, bench_scene
from swath.memory import keep_freed_memory
from swath.progress import console


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """How large everything is.

    Attributes:
        repetitions: Rounds of the shorter measurements.
        scene_repetitions: Rounds of mapping a scene, and of adding a date.
        matmul_px: Side of the matrices.
        convolutions: (channels, side in px) of the convolutions that give the peak.
        fcn_px: Side of the U-Net's input: a default tile with its margins.
        convlstm_px: Side of the ConvLSTM's input: a piece with its margins.
        batch: Patches of a training step.
        patch_px: Their side.
        scene_px: Side of the scene that both programs map.
        plain_windows: How many of its windows the plain program maps; they count for all.
        kept_windows: The same where it keeps freed memory.
        addition_px: Side of the scene that is mapped and then gets a date more.
        dates: T.
        lines: Road lines to burn.
        burn_px: Side of the grid that they are burnt on.
        jp2_px: Side of the JPEG 2000 image.
        memory_px: Sides of the scenes that are mapped in child processes.
        width: Filters of the U-Net's first level; below the paper's 32 to try the bench itself.
        hidden: Channels of the ConvLSTM's states; the same.
    """

    repetitions: int = 5
    scene_repetitions: int = 1
    matmul_px: int = 2048
    convolutions: tuple[tuple[int, int], ...] = ((64, 256), (128, 128), (256, 64))
    fcn_px: int = 1216
    convlstm_px: int = 264
    batch: int = 4
    patch_px: int = 128
    scene_px: int = 4096
    plain_windows: int = 9
    kept_windows: int = 2
    addition_px: int = 4096
    dates: int = 3
    lines: int = 200_000
    burn_px: int = WHOLE_PX
    jp2_px: int = 2048
    memory_px: tuple[int, ...] = (2048,)
    width: int = 32
    hidden: int = 32


FULL = BenchPlan()
"""Some 25 minutes on two cores, most of them the plain program's nine windows."""

QUICK = BenchPlan(repetitions=3, fcn_px=704, scene_px=768, addition_px=1024, memory_px=(1024,))
"""A few minutes; the scene is small, so its times of a whole scene are far extrapolated."""


def run_bench(plan: BenchPlan) -> Report:
    """Measure everything.

    Returns:
        Plain JSON values. Every measured figure is {value, unit, low, high, repetitions}: the
        median of the rounds, the smallest and the largest. Floating-point operations count a
        multiply-add as two.
    """
    keep_freed_memory()
    model, fcn, convlstm = drawn_model(plan.width, plan.hidden)
    report: Report = {"machine": facts(), "peers": installed()}
    _say("peak of the machine")
    report["peak"], peak = peaks(plan.matmul_px, plan.convolutions, plan.repetitions)
    parts: dict[str, Callable[[], Report]] = {
        "unet": lambda: bench_fcn(model, fcn, plan.fcn_px, plan.repetitions, peak),
        "convlstm": lambda: bench_convlstm(convlstm, plan.convlstm_px, plan.dates, plan.repetitions, peak),
        "growth": lambda: bench_growth(
            model, convlstm, plan.fcn_px, plan.convlstm_px, plan.dates, plan.repetitions
        ),
        "training": lambda: bench_training(
            fcn, convlstm, plan.batch, plan.patch_px, plan.dates, plan.repetitions
        ),
        "sampling": lambda: bench_sampling(
            4 * plan.patch_px, plan.batch, plan.patch_px, plan.dates, plan.repetitions
        ),
        "burning": lambda: bench_burning(plan.lines, plan.burn_px, plan.repetitions),
        "jpeg2000": lambda: bench_decoding(plan.jp2_px, plan.repetitions),
        "scene": lambda: bench_scene(
            model,
            fcn,
            plan.scene_px,
            plan.dates,
            plan.scene_repetitions,
            plan.plain_windows,
            plan.kept_windows,
        ),
        "addition": lambda: bench_addition(plan.addition_px, plan.dates, plan.scene_repetitions),
        "memory": lambda: bench_memory(plan.memory_px, plan.dates, narrow=plan.width < 32),
    }
    for name, part in parts.items():
        _say(name)
        began = now()
        report[name] = {**part(), "bench_seconds": round(now() - began, 1)}
    return report


def _say(part: str) -> None:
    console.print(f"measuring: {part}", highlight=False, soft_wrap=True)
