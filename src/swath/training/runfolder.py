"""The folder of a run: what decides its result, and whether a run that was stopped can go on."""

import shutil
from dataclasses import astuple
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from swath.dataset.site import Dataset
from swath.errors import DatasetError, SettingsError
from swath.files import check_free, read_json, write_json
from swath.training.fit import WEIGHTS
from swath.training.presets import TrainSettings
from swath.training.start import Start

StageName = Literal["fcn", "rnn", "all"]
RUN_FILE = "run.json"
LONGEST_SERIES = 3
"""Dates of a training series where the settings do not say: the paper's three, if they exist."""


def plan_run(
    dataset: Dataset, settings: BaseModel, seed: int, start: Start | None = None
) -> dict[str, Any]:
    """Everything that decides the result: what `resume` must find unchanged."""
    data = {f"{site.name}/labels": site.labels_sha256 for site in dataset.sites}
    for site in dataset.sites:
        data |= {f"{site.name}/{a.date}": a.sha256 for a in site.acquisitions}
    parted = {
        site.name: {s: [list(astuple(window)) for window in site.windows(s)] for s in site.splits}
        for site in dataset.sites
        if len(site.splits) > 1
    }
    return {
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "splits": {
            split: [site.name for site in dataset.in_split(split)]
            for split in ("train", "validation", "test")
        },
        "data": data,
        "start": start.hashes if start else None,
        **({"regions": parted} if parted else {}),
    }


def series_length(dataset: Dataset, settings: TrainSettings) -> int:
    """T for the ConvLSTM, checked against what the training and validation sites have."""
    sites = [*dataset.in_split("train"), *dataset.in_split("validation")]
    if not sites:
        raise DatasetError(f"{dataset.root} has no training site; name one in the sites file")
    shortest = min(sites, key=lambda site: len(site.acquisitions))
    have = len(shortest.acquisitions)
    if have < 2:
        raise DatasetError(
            f"site {shortest.name!r} has one date only; the ConvLSTM needs a series of two or "
            "more: add scenes, or train the U-Net alone with --stage fcn"
        )
    wanted = settings.dates or min(have, LONGEST_SERIES)
    if wanted > have:
        raise DatasetError(
            f"site {shortest.name!r} has {have} dates, the settings ask for series of {wanted}; "
            "add scenes or ask for fewer dates"
        )
    return wanted


def open_run(
    out: Path, plan: dict[str, Any], stage: StageName, *, resume: bool, overwrite: bool
) -> None:
    """Make a new run's folder, or check that an old one can go on.

    Args:
        out: The run's folder.
        plan: Of `plan_run`.
        stage: `rnn` goes on with a run that has its U-Net.
        resume: Go on with what is there.
        overwrite: Drop what is there.

    Raises:
        SettingsError: What is there began with another plan, or lacks its U-Net.
        OutputExistsError: Something is there, and neither `resume` nor `overwrite` was given.
    """
    if stage == "rnn" or resume:
        if stage == "rnn" and not (out / "fcn" / WEIGHTS).is_file():
            raise SettingsError(
                f"--stage rnn: {out} holds no finished U-Net; train it first with --stage fcn"
            )
        if (out / RUN_FILE).is_file():
            begun = read_json(out / RUN_FILE)
            changed = [key for key in {**plan, **begun} if begun.get(key) != plan.get(key)]
            if changed:
                raise SettingsError(
                    f"{out} began with other {' and '.join(changed)}; give the same as then, or "
                    "start anew with --overwrite"
                )
            return
    check_free(out, overwrite=overwrite)
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    write_json(out / RUN_FILE, plan)
