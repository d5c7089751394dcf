"""The folder of a run: made anew, or gone on with where the same training was stopped."""

import shutil
from pathlib import Path

from pydantic import JsonValue

from swath.errors import Remedy, SettingsError
from swath.files import check_free, read_json, write_json
from swath.training.fit import WEIGHTS
from swath.training.trainplan import TrainPlan

RUN_FILE = "run.json"


def open_run(out: Path, plan: TrainPlan, *, resume: bool, overwrite: bool) -> None:
    """Make a new run's folder, or check that an old one can go on.

    Args:
        out: The run's folder.
        plan: Stage `rnn` goes on with a run that has its U-Net.
        resume: Go on with what is there.
        overwrite: Drop what is there.

    Raises:
        SettingsError: What is there began with another plan, or lacks its U-Net.
        OutputExistsError: Something is there, and neither `resume` nor `overwrite` was given.
    """
    if plan.stage == "rnn" and not (out / "fcn" / WEIGHTS).is_file():
        raise SettingsError(
            f"{out} holds no finished U-Net for the fusion to learn from; train stage fcn first"
        )
    if (plan.stage == "rnn" or resume) and (out / RUN_FILE).is_file():
        changed = difference_to_run(out, plan)
        if changed is not None:
            raise SettingsError(f"{out} began with {changed}", Remedy.OVERWRITE)
        return
    check_free(out, overwrite=overwrite)
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    write_json(out / RUN_FILE, plan.decided.json())


def difference_to_run(out: Path, plan: TrainPlan) -> str | None:
    """In what the run in a folder, if there is one, was begun otherwise than planned, in words."""
    if not (out / RUN_FILE).is_file():
        return None
    begun: dict[str, JsonValue] = read_json(out / RUN_FILE)
    changed = plan.decided.difference(begun)
    if changed in ("what", "version"):
        return "another version of the trainer, which would give other weights"
    return changed and f"other {changed}"
