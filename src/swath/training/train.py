"""Training a run: stage 1, stage 2, and the model that comes out."""

import time
from contextlib import nullcontext
from pathlib import Path

from swath.errors import DivergedError, SettingsError
from swath.keys import Decided
from swath.memory import keep_freed_memory
from swath.models.trained import TrainedModel, save_model, tell_fallback
from swath.training.compute import HERE, Compute
from swath.training.fitting import prepare
from swath.training.processes import joined
from swath.training.runfolder import open_run, run_folder
from swath.training.trainplan import TrainPlan


def train(
    plan: TrainPlan,
    out: Path,
    compute: Compute = HERE,
    *,
    resume: bool = False,
    overwrite: bool = False,
    title: str = "",
    fallback: bool = True,
) -> TrainedModel:
    """Train a model on a dataset's training split.

    The folder gets `run.json` at once, a folder for each network with its logs and checkpoints, and
    model.safetensors + model.json in the end. A killed run goes on with `resume`.

    Args:
        plan: What to train, and on what.
        out: The run's folder.
        compute: Where, and by how many processes.
        resume: Go on with what is in `out`.
        overwrite: Replace the run in `out`, which stays until the new one is whole.
        title: How its lines on stderr start.
        fallback: Whether a fusion that fails (`swath.training.verdict`) is left out, and the mean of
            the dates stands in for it; said in red on stderr.

    Returns:
        On the CPU and in evaluation mode.

    Raises:
        DatasetError: The dataset lacks a split, labels or dates; or a file of it was changed.
        SettingsError: `resume` with other settings, seed or data than the run began with; a start
            that does not fit.
        OutputExistsError: `out` holds something, and neither `resume` nor `overwrite` was given.
        WorkerError: Another process of the training is lost.
        DivergedError: The loss is no longer finite; the last good weights are kept.
        BusyError: Another process trains this run.
        KeyboardInterrupt: With `Remedy.RESUME` where the run had begun: it can be gone on with.

    Source: section 1.5 (first the FCN; then, frozen, it makes the PMaps that train the RNN).
    """
    began = time.perf_counter()
    where, processes = compute.where, compute.processes
    _check(plan, compute)
    if where.type == "cpu":
        keep_freed_memory()
    if processes.first:
        plan.dataset.check_bytes()
    opening = open_run(out, plan, resume=resume, overwrite=overwrite) if processes.first else nullcontext()
    with opening, joined(processes, where, compute.command, _shared(plan, compute)):
        folder = run_folder(out, plan, resume=resume, overwrite=overwrite)
        fitting = prepare(plan, folder, compute, title).planned(began)
        model = fitting.model()
        if processes.first:
            model = fitting.calibrated(fitting.judged(model) if fallback else model)
            save_model(folder, model)
            tell_fallback(model.spec)
        if fitting.stops:
            raise DivergedError(f"{folder}: {fitting.stops[0]}")
    return model


def _check(plan: TrainPlan, compute: Compute) -> None:
    """Check that a plan fits what it is to be computed with, and that its parts fit one another."""
    processes = compute.processes
    processes.check(compute.where)
    if processes.count > 1 and plan.budget is not None and plan.budget.minutes is not None:
        raise SettingsError(
            f"minutes are planned by one process, which times its steps, got {processes.count}; "
            "give the number of steps instead"
        )
    stages = [plan.settings.fcn, *([] if plan.stage == "fcn" else [plan.settings.rnn])]
    for stage in stages:
        processes.share(stage.batch_size)
    plan.check()


def _shared(plan: TrainPlan, compute: Compute) -> Decided:
    """What all processes of a training must agree in."""
    run = plan.decided
    fields = {**run.fields, "stage": plan.stage, "precision": compute.precision}
    return Decided("processes", run.version, fields)
