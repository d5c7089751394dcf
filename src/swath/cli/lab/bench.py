"""`swath lab bench`: speed against the machine's limit and against plain implementations."""

from typing import Annotated

import typer

from swath.cli.options import JsonOption
from swath.cli.output import emit


def command(
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A few minutes instead of twenty: small scenes, few rounds."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure mapping, training and what feeds them, beside the machine's peak.

    Everything compared is timed in turn in one run, and every figure comes with its lowest,
    highest and number of repetitions. OMP_NUM_THREADS sets the threads. ONNX Runtime, OpenVINO and
    MONAI are measured where they are installed: pip install '.[bench]'.
    """
    from swath.lab.bench import suite as bench
    from swath.lab.bench.ratios import table_text

    report = bench.run_bench(bench.QUICK if quick else bench.FULL)
    emit(report, as_json, [] if as_json else [table_text(report)])
