"""The log of a training as a CSV file, which goes on where the training does."""

import csv
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger


def metrics_log(folder: Path, steps: int) -> CSVLogger:
    """The log of a stage in `logs/csv/metrics.csv` of its folder.

    Lightning's begins anew whenever a training goes on. So the rows are kept that are there, but for
    those of steps that are done again: 0, 1, ... `steps` - 1 are done for good.
    """
    path = folder / "logs" / "csv" / "metrics.csv"
    kept: list[dict[str, str]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8", errors="replace") as stream:
            kept = [row for row in csv.DictReader(stream) if _step(row) < steps and None not in row]
    logger = CSVLogger(folder, name="logs", version="csv")
    if kept:
        logger.experiment.metrics.extend(kept)  # written with the first new row
    return logger


def _step(row: dict[str, str]) -> float:
    """The step of a row; of half a row, none that is done."""
    text = row.get("step") or ""
    return int(text) if text.isdecimal() else float("inf")
