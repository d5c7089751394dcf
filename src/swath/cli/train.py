"""`swath train`: from a dataset to a trained model."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from swath.cli.options import (
    DeviceOption,
    JsonOption,
    OutOption,
    OverwriteOption,
    SeedOption,
    WorkersOption,
)
from swath.cli.output import emit

if TYPE_CHECKING:
    from swath.training.budget import Budget

LEAST_MINUTES, MOST_MINUTES = 0.1, 100_000


def command(
    context: typer.Context,
    dataset: Annotated[Path, typer.Argument(help="Folder made by `swath build`.")],
    out: OutOption,
    preset: Annotated[
        Literal["paper", "best", "demo"],
        typer.Option(help="paper: as the paper says; best: ours; demo: small and short."),
    ] = "best",
    settings_file: Annotated[
        Path | None,
        typer.Option("--settings", help="YAML with settings that replace those of the preset."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Architecture instead of the preset's.")] = None,
    stage: Annotated[
        Literal["fcn", "rnn", "all"],
        typer.Option(help="fcn: the U-Net; rnn: the fusion on a run's U-Net; all: both."),
    ] = "all",
    dates: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Length T of the series that the fusion learns from.")
    ] = None,
    validation: Annotated[
        list[str] | None,
        typer.Option(metavar="SITE", help="Site to choose by, instead of the dataset's split. Repeatable."),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SITE", help="Site to leave for the test, instead of the dataset's. Repeatable."
        ),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Begin with the weights of this run, with its model and sizes, on images of the same bands; "
            "`starter`: with those that come with swath.",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Wall time of the whole run on this machine: steps are timed, then planned."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=2, max=1_000_000_000, help="Optimiser steps of both stages together, instead."),
    ] = None,
    device: DeviceOption = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], typer.Option(help="auto: bf16 where the hardware has it.")
    ] = "auto",
    devices: Annotated[
        int, typer.Option(min=1, max=1024, help="Processes (GPUs on CUDA) that share every mini-batch.")
    ] = 1,
    nodes: Annotated[
        int,
        typer.Option(min=1, max=1024, help="Machines of --devices each; run the same command on every one."),
    ] = 1,
    workers: WorkersOption = 0,
    seed: SeedOption = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train the U-Net, then the fusion of dates on its frozen probability maps."""
    from swath.dataset.catalog import read_dataset
    from swath.extras import need_extras

    data = read_dataset(dataset)
    if validation or test:
        data = data.resplit(validation or (), test or ())
    need_extras("swath train", "train")
    from swath.models.starter import find_run
    from swath.models.trained import load_model
    from swath.training.compute import Compute
    from swath.training.presets import override
    from swath.training.processes import Processes
    from swath.training.start import Start
    from swath.training.train import train
    from swath.training.trainplan import STAGE_WORDS, TrainPlan

    processes = Processes(devices, nodes)
    start = None if start_from is None else Start(load_model(find_run(start_from)))
    shape = start.shape if start else {}
    settings = override(preset, settings_file, shape, model=model, dates=dates)
    plan = TrainPlan(data, settings, stage, seed, start, _budget(minutes, steps))
    exactness = None if precision == "auto" else precision
    command_line = (sys.executable, "-m", "swath", *context.obj)
    compute = Compute(device, exactness, workers, processes, command_line)
    try:
        trained = train(plan, out, compute, resume=resume, overwrite=overwrite)
    except KeyboardInterrupt as error:
        raise typer.Abort from error  # else typer drops what can be done about it
    if not processes.first:
        return
    spec = trained.spec
    scores, fallback = spec.scores, spec.fallback
    missing = ", ".join(spec.unpredicted)
    emit(
        {
            "run": str(out),
            "model": trained.label,
            "splits": spec.splits,
            "scores": scores,
            "unpredicted": spec.unpredicted,
            "fallback": fallback and fallback.model_dump(),
        },
        as_json,
        [
            f"{trained.label} trained on {', '.join(spec.splits['train'])}",
            *(f"{STAGE_WORDS[name]}: {_line(values)}" for name, values in scores.items() if name != "fusion"),
            *([_fusion(scores["fusion"], spec.splits)] if "fusion" in scores else []),
            *([f"never predicted on the validation sites: {missing}"] if missing else []),
            f"model: {out / 'model.safetensors'}",
            f"next: swath map {out} --dataset {dataset} --split all --out MAPS",
        ],
    )


def _budget(minutes: float | None, steps: int | None) -> "Budget | None":
    from swath.training.budget import Budget

    if minutes is None and steps is None:
        return None
    if minutes is not None and steps is not None:
        raise typer.BadParameter("a training is given --minutes or --steps, not both")
    if minutes is not None and not LEAST_MINUTES <= minutes <= MOST_MINUTES:
        raise typer.BadParameter(f"--minutes must be {LEAST_MINUTES} to {MOST_MINUTES:,}; got {minutes:g}")
    return Budget(minutes=minutes, steps=steps)


def _fusion(scores: dict[str, float | None], splits: Mapping[str, Sequence[str]]) -> str:
    """What the fusion is worth beside the plain mean of the dates, in words."""
    where = "validation" if splits.get("validation") else "training"
    fused, mean = (scores.get(name) or 0.0 for name in ("fused", "mean"))
    lost = "; the plain mean of the dates is better" if fused < mean else ""
    return f"fusion: average precision on the {where} sites: {_line(scores)}{lost}"


def _line(scores: dict[str, float | None]) -> str:
    return "  ".join(
        f"{name} {'diverged' if value is None else format(value, '.4f')}" for name, value in scores.items()
    )
