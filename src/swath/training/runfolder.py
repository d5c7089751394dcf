"""The folder of a run: made anew, or gone on with where the same training was stopped."""

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from swath.errors import BusyError, OutputError, OutputExistsError, Remedy, SettingsError
from swath.files import read_json, refusals_blamed, write_json
from swath.locks import locked
from swath.models.trained import SPEC, WEIGHTS
from swath.outfolder import MARK, Kind, check_out, exchange, mark, recover, remove, settle, sweep
from swath.training import fit
from swath.training.fitting import PLANNED
from swath.training.trainplan import TrainPlan

RUN_FILE = "run.json"

HOLDS = (RUN_FILE, PLANNED, WEIGHTS, SPEC, "fcn/", "rnn/", "series/")
"""What a training writes into its run's folder."""


def run_folder(out: Path, plan: TrainPlan, *, resume: bool, overwrite: bool) -> Path:
    """Where a run is trained: in its folder, or beside the one that it will replace.

    A training that is to replace another one, and was stopped, is gone on with where it lies.
    """
    home = out.resolve()
    new = home.parent / f".new-{home.name}"
    if plan.stage == "rnn":
        return home
    if overwrite and not resume:
        return new
    return new if resume and _is_of(new, plan) else home


@contextmanager
def open_run(out: Path, plan: TrainPlan, *, resume: bool, overwrite: bool) -> Iterator[Path]:
    """Give the folder to train in, made or gone on with; in the end it is the run's.

    Args:
        out: The run's folder.
        plan: Stage `rnn` goes on with a run that has its U-Net.
        resume: Go on with what is there.
        overwrite: Replace a run that is there, which stays until the new one is whole.

    Raises:
        SettingsError: What is there began with another plan, or lacks its U-Net.
        OutputExistsError: Something is there that may not be replaced.
        BusyError: Another process trains it.
        KeyboardInterrupt: With the remedy, since what is there can be gone on with.
    """
    home, folder = out.resolve(), run_folder(out, plan, resume=resume, overwrite=overwrite)
    recover(home)
    if plan.stage == "rnn" and not (home / "fcn" / fit.WEIGHTS).is_file():
        raise SettingsError(
            f"{out} holds no finished U-Net for the fusion to learn from; train stage fcn first"
        )
    going_on = folder == home and (plan.stage == "rnn" or resume) and (home / RUN_FILE).is_file()
    if not going_on:
        _check_free(out, plan, overwrite=overwrite or folder != home)
    elif (changed := difference_to_run(home, plan)) is not None:
        raise SettingsError(f"{out} began with {changed}", Remedy.ELSEWHERE)
    with ExitStack() as locks:
        try:
            if folder != home and home.exists():
                locks.enter_context(locked(home))
            if not going_on and not _is_of(folder, plan):
                _make(folder, plan)
            locks.enter_context(locked(folder))
        except BusyError:
            raise BusyError(out) from None
        for left in [*folder.rglob(".tmp-*")]:  # of a process that was killed
            left.unlink()
        try:
            with refusals_blamed(out):
                yield folder
        except KeyboardInterrupt:
            raise KeyboardInterrupt(Remedy.RESUME) from None
        settle(folder, Kind.RUN, HOLDS)
        if folder != home:
            exchange(folder, home)


def _check_free(out: Path, plan: TrainPlan, *, overwrite: bool) -> None:
    """Check that a new run may have a folder; a training that was stopped there is named."""
    start = plan.start.model.folder if plan.start else None
    reads = [plan.dataset.root, *([] if start is None else [start])]
    try:
        check_out(out, Kind.RUN, reads, overwrite=overwrite)
    except OutputExistsError as error:
        stopped = (out / RUN_FILE).is_file() and not (out / SPEC).is_file()
        if not stopped or error.remedy != Remedy.OVERWRITE:
            raise
        with locked(out):  # else it is at work
            pass
        raise OutputExistsError(out, " and holds a training that was stopped", Remedy.RESUME) from None


def _make(folder: Path, plan: TrainPlan) -> None:
    """Make the folder of a run that is about to begin; what was begun there with another plan goes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if (folder / MARK).is_file():
        with locked(folder):
            remove(folder)
    sweep(folder.parent)
    begun = folder.with_name(f".tmp-{folder.name}")
    try:
        begun.mkdir()
        with locked(begun):
            try:
                mark(begun, Kind.RUN, HOLDS)
                write_json(begun / RUN_FILE, plan.decided.json())
                begun.rename(folder)  # fails where another process has made its own
            except BaseException:
                remove(begun)
                raise
    except OutputError as error:
        error.args = (str(error).replace(str(begun), str(folder)),)
        raise
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise BusyError(folder) from None
        raise OutputError(folder, error.strerror or str(error)) from None


def _is_of(folder: Path, plan: TrainPlan) -> bool:
    """Whether a folder holds the beginning of just this training."""
    return (folder / RUN_FILE).is_file() and difference_to_run(folder, plan) is None


def difference_to_run(out: Path, plan: TrainPlan) -> str | None:
    """In what the run in a folder, if there is one, was begun otherwise than planned, in words."""
    if not (out / RUN_FILE).is_file():
        return None
    begun = read_json(out / RUN_FILE)
    changed = plan.decided.difference(begun) if isinstance(begun, dict) else "version"
    if changed in ("what", "version"):
        return "another version of the trainer, which would give other weights"
    return changed and f"other {changed}"
