"""A report: the scores of a MAPS folder against the truth, as `report.json` holds them."""

import datetime as dt
from dataclasses import dataclass

from pydantic import JsonValue

from swath.evaluation.candidate import CONTROLS, Candidate, CandidateOrDate
from swath.evaluation.measurement import POOLED
from swath.evaluation.row import Paired, Row
from swath.schema import Written


class ModelOfSite(Written):
    """What made the maps of a site.

    Attributes:
        site: Its name.
        model: The architecture.
        model_sha256: SHA-256 of its weights.
        fusion: How it fuses dates.
        dates: Of the series, oldest first.
    """

    site: str
    model: str
    model_sha256: str
    fusion: str
    dates: tuple[dt.date, ...]


@dataclass(frozen=True, slots=True)
class SplitScores:
    """A cell of the paper's table: accuracy and IoU of a split where the score is above 0.5."""

    accuracy: float | None
    iou: float | None


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the paper's table.

    Attributes:
        model: The candidate.
        name: What it is called.
        class_name: The class that is scored.
        scores: Split -> scores; None where the split lacks the candidate.
    """

    model: Candidate
    name: str
    class_name: str
    scores: dict[str, SplitScores | None]

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON values, a key a split."""
        splits: dict[str, JsonValue] = {
            split: None if cell is None else {"accuracy": cell.accuracy, "iou": cell.iou}
            for split, cell in self.scores.items()
        }
        return {"model": self.model.value, "name": self.name, "class": self.class_name, **splits}


class Report(Written):
    """Scores of maps against labels, beside those of the controls.

    Attributes:
        classes: The classes that are scored, in the order of the legend.
        splits: Split -> its sites, in the order of the report.
        names: Class -> candidate or date -> what tables call it.
        thresholds: Class -> candidate -> its threshold chosen on validation.
        models: What made the maps.
        notes: Remarks, a sentence or two each.
        block_px: Side of the blocks that were resampled, in px.
        resamples: How often.
        seed: Of the resampling.
        rows: One a candidate, split, site, class and threshold rule.
        paired: What the fused map is better by than others.
        version: Of swath.
        created: When, in UTC.
        dataset: The dataset whose labels are the truth, if one is.
        labels: The label file that is the truth, if one is.
        maps: The MAPS folder.
        stands_on: Where the data come from, and how much of it there is.
    """

    classes: tuple[str, ...]
    splits: dict[str, tuple[str, ...]]
    names: dict[str, dict[CandidateOrDate, str]]
    thresholds: dict[str, dict[Candidate, float]]
    models: tuple[ModelOfSite, ...]
    notes: tuple[str, ...]
    block_px: int
    resamples: int
    seed: int
    rows: tuple[Row, ...]
    paired: tuple[Paired, ...]
    version: str
    created: str
    dataset: str | None = None
    labels: str | None = None
    maps: str
    stands_on: str

    def __repr__(self) -> str:
        """What it stands on, and how much it holds."""
        return f"Report({self.stands_on}; {len(self.rows)} rows)"

    def name(self, model: CandidateOrDate, class_name: str | None = None) -> str:
        """What tables call a candidate, or the map of a day.

        Args:
            model: As in the rows.
            class_name: The class of the table; None for the first of the legend.
        """
        return self.names[class_name or self.classes[0]][model]

    def table(self, class_name: str | None = None) -> list[TableRow]:
        """The paper's table: a row a model, accuracy and IoU of each split at s > 0.5.

        Args:
            class_name: Which class; None for the first of the legend.

        Returns:
            The models, then the controls; those that were not scored are left out, and so are
            single dates.

        Source: table of results of the paper (accuracy by split); differs: IoU and the controls
        stand beside it.
        """
        shown = class_name or self.classes[0]
        scores = {
            (row.model, row.split): SplitScores(row.accuracy, row.iou)
            for row in self.rows
            if (row.class_name, row.site, row.threshold_rule) == (shown, POOLED, "half")
        }
        scored = {model for model, _ in scores}
        return [
            TableRow(
                candidate,
                self.name(candidate, shown),
                shown,
                {split: scores.get((candidate, split)) for split in self.splits},
            )
            for candidate in (Candidate.DATES, Candidate.FUSED, *CONTROLS)
            if candidate in scored
        ]

    def best_rows(self) -> list[Row]:
        """One row a model, split, site and class.

        Returns:
            At the threshold chosen on validation where there is one, else at 0.5.
        """
        chosen: dict[tuple[str, str, str, CandidateOrDate], Row] = {}
        for rule in ("half", "validation"):
            for row in self.rows:
                if row.threshold_rule == rule:
                    chosen[row.class_name, row.split, row.site, row.model] = row
        return list(chosen.values())
