"""The plain program in a process of its own: what our allocator settings do must not help it.

`python -m swath.lab.bench.alone WIDTH HIDDEN DATES SIDE WINDOWS [keep]` is such a process; it
prints the seconds of its windows as JSON.
"""

import json
import subprocess
import sys

import torch

from swath.lab.bench.clock import now
from swath.lab.bench.model import Everywhere, drawn_model
from swath.lab.bench.plain import PAPER_TILE_PX, PlainConvLSTM, draw_scene, paper_windows
from swath.memory import keep_freed_memory
from swath.models.head import probabilities

KEEP = "keep"


def plain_seconds(width: int, hidden: int, dates: int, side_px: int, windows: int, *, keep: bool) -> float:
    """How long the plain program takes for a scene in the paper's tiles, plain fp32.

    Its windows are all alike, so a few of them are mapped and count for all.

    Args:
        width: Filters of the U-Net's first level.
        hidden: Channels of the ConvLSTM's states.
        dates: T.
        side_px: Side of the scene.
        windows: How many of its windows are mapped, at most.
        keep: Whether it keeps freed memory, as swath does; a plain PyTorch program does not.
    """
    count = len(paper_windows(side_px)) ** 2
    taken = min(count, windows)
    sizes = (width, hidden, dates, min(PAPER_TILE_PX, side_px), taken)
    command = [sys.executable, "-m", __name__, *map(str, sizes), *([KEEP] if keep else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return float(json.loads(done.stdout)) * count / taken


def _map(width: int, hidden: int, dates: int, side: int, windows: int) -> float:
    model, fcn, convlstm = drawn_model(width, hidden)
    plain, unet = PlainConvLSTM(convlstm).eval(), Everywhere(fcn)
    scene = draw_scene(side, dates)
    began = now()
    with torch.inference_mode():
        for _ in range(windows):
            scaled = [torch.from_numpy(model.spec.scaling.apply(image))[None] for image in scene]
            pmaps = [probabilities(unet(image)) for image in scaled]
            probabilities(plain(torch.stack(pmaps, 1)))
    return now() - began


if __name__ == "__main__":
    if sys.argv[-1] == KEEP:
        keep_freed_memory()
    sys.stdout.write(json.dumps(_map(*map(int, sys.argv[1:6]))))
