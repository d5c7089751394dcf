"""Scores of a report of `swath evaluate`, as small tables of the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, TypeAdapter, ValidationError

from swath.errors import InputError
from swath.evaluation.agreement import ClassMap
from swath.evaluation.measurement import POOLED
from swath.files import read_json

REPORT = "report.json"

ERRORS = "errors"
"""The folder of a report with the found, missed and false lines of every site."""

SPLITS = ("test", "validation", "all", "train")
"""In which order they are shown: what the model has not seen first."""

MODELS = ("fused", "dates", "mean", "median", "vote", "max", "all-road", "all-background")
"""The candidates that are shown, if they were scored."""

CLASS_MODELS = ("fused", "mean", "dates", "median", "vote", "max", "shifted", "commonest")
"""The same of maps of many classes."""

SCORES = {"line_f1_1": "line F1", "iou": "IoU", "precision": "precision", "recall": "recall"}
"""Scores -> the heads of their columns."""


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A table: rows of words, the first cell the row's name."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def fields(self) -> dict[str, JsonValue]:
        """As the page's content has it."""
        rows: list[JsonValue] = [{"cells": list(row), "main": at == 0} for at, row in enumerate(self.rows)]
        return {"title": self.title, "note": self.note, "columns": list(self.columns), "rows": rows}


def read_scores(folder: Path) -> tuple[ScoreTable, ...]:
    """The tables of a report, test first: one a class and split; of many classes one a split.

    Raises:
        InputError: report.json is not one.
    """
    path = folder / REPORT
    content = read_json(path)
    try:
        whole = TypeAdapter(tuple[ClassMap, ...]).validate_python(content.get("class_maps", ()))
        return (*_tables(content), *_class_tables(whole, content["names"]))
    except (KeyError, TypeError, AttributeError, ValidationError):
        raise InputError(f"{path} is no report of swath evaluate; run it again") from None


def _tables(content: dict[str, JsonValue]) -> Iterator[ScoreTable]:
    rows: list[dict[str, JsonValue]] = content["rows"]  # type: ignore[assignment]
    pooled = [row for row in rows if row["site"] == POOLED and row["model"] in MODELS]
    names: dict[str, dict[str, str]] = content.get("names", {})  # type: ignore[assignment]
    for class_name in dict.fromkeys(str(row["class"]) for row in pooled):
        for split in SPLITS:
            chosen = [row for row in pooled if (row["class"], row["split"]) == (class_name, split)]
            rules = [row["threshold_rule"] for row in chosen]
            rule = "scene" if "scene" in rules else "half"
            chosen = [row for row in chosen if row["threshold_rule"] in (rule, "none")]
            if not chosen:
                continue
            chosen.sort(key=lambda row: MODELS.index(str(row["model"])))
            heads = {
                key: head for key, head in SCORES.items() if any(_score(r, key) is not None for r in chosen)
            }
            cells = tuple(
                (
                    names.get(class_name, {}).get(str(row["model"]), str(row["model"])),
                    *(_words(_score(row, key)) for key in heads),
                )
                for row in chosen
            )
            sites = len({row["site"] for row in rows if row["split"] == split} - {POOLED})
            note = f"{sites} {'site' if sites == 1 else 'sites'} pooled; threshold: {rule}."
            if "line_f1_1" in heads:
                note += " Line F1 within one pixel."
            yield ScoreTable(f"{class_name}, {split}", note, ("", *heads.values()), cells)


def _class_tables(maps: Sequence[ClassMap], names: dict[str, dict[str, str]]) -> Iterator[ScoreTable]:
    """Of many classes: models as rows; overall accuracy, mean IoU and the IoU of every class."""
    for split in SPLITS:
        pooled = [row for row in maps if (row.split, row.site) == (split, POOLED)]
        rows = [row for model in CLASS_MODELS for row in pooled if row.model == model]
        if rows:
            classes = tuple(rows[0].classes)
            cells = tuple(
                (
                    names[classes[0]][str(row.model)],
                    *map(_words, (row.accuracy, row.mean_iou, *(of.iou for of in row.classes.values()))),
                )
                for row in rows
            )
            heads = ("", "accuracy", "mean IoU", *classes)
            yield ScoreTable(f"all classes, {split}", "Of single classes the IoU.", heads, cells)


def _score(row: dict[str, JsonValue], key: str) -> float | None:
    name, _, distance = key.rpartition("_")
    value = row.get(key)
    if distance.isdigit():
        by_distance = row.get(name)
        value = by_distance.get(distance) if isinstance(by_distance, dict) else None
    if not isinstance(value, int | float | None):
        raise TypeError(key)
    return None if value is None else float(value)


def _words(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
