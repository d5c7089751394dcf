"""A report: the scores of a MAPS folder against the truth, as `report.json` holds them."""

import datetime as dt
from dataclasses import dataclass
from html import escape

import pandas
from pydantic import JsonValue

from swath.evaluation.agreement import ClassMap, Gain
from swath.evaluation.candidate import CONTROLS, UNTRAINED, Candidate, CandidateOrDate
from swath.evaluation.errorlines import MissedLine
from swath.evaluation.lines import LineModel, LineRow
from swath.evaluation.measurement import POOLED
from swath.evaluation.row import Paired, Row
from swath.validation import Written


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
class TableRow:
    """A row of the paper's table: what a candidate scores on each split at s > 0.5.

    None stands for a split that lacks the candidate.
    """

    model: Candidate
    name: str
    class_name: str
    scores: dict[str, Row | None]

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON values, a key a split."""
        splits: dict[str, JsonValue] = {
            split: None if row is None else {"accuracy": row.accuracy, "iou": row.iou}
            for split, row in self.scores.items()
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
        lines: One a split, site and line class: the map's vectors against the truth's, and by chance.
        missed: One a split, site and line class: the longest true line that the map lacks.
        rows: One a candidate, split, site, class and threshold rule.
            Of maps of two classes, as `paired`.
        paired: What the fused map is better by than others.
        class_maps: One a candidate, split and site. Of maps of more classes, as `gains`.
        gains: What the fused map of many classes is better by than others.
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
    lines: tuple[LineRow, ...] = ()
    missed: tuple[MissedLine, ...] = ()
    class_maps: tuple[ClassMap, ...] = ()
    gains: tuple[Gain, ...] = ()
    version: str
    created: str
    dataset: str | None = None
    labels: str | None = None
    maps: str
    stands_on: str

    def __repr__(self) -> str:
        """What it stands on, and how much it holds."""
        return f"Report({self.stands_on}; {len(self.rows) + len(self.class_maps)} rows)"

    def _repr_html_(self) -> str:
        """The table of the classes, or of two of them the paper's, for notebooks."""
        if self.class_maps:
            scores = {
                self.name(row.model): {
                    "accuracy": row.accuracy,
                    "mean IoU": row.mean_iou,
                    **{name: of.iou for name, of in row.classes.items()},
                }
                for row in self.class_columns(self.headline_split)
            }
            table = pandas.DataFrame(scores, dtype=float).to_html(float_format="{:.3f}".format, na_rep="–")
            return f"{table}<p>{escape(self.stands_on)}</p>"
        tables = []
        for class_name in self.classes:
            rows = self.table(class_name)
            columns = {
                (split, score): [getattr(row.scores[split], score, None) for row in rows]
                for split in self.splits
                for score in ("accuracy", "iou")
            }
            names = pandas.Index([row.name for row in rows], name=class_name)
            tables.append(pandas.DataFrame(columns, names).to_html(float_format="{:.3f}".format, na_rep="–"))
        return f"{''.join(tables)}<p>{escape(self.stands_on)}</p>"

    def name(self, model: CandidateOrDate, class_name: str | None = None) -> str:
        """What tables of a class (None: the first of the legend) call the model of a row."""
        return self.names[class_name or self.classes[0]][model]

    def table(self, class_name: str | None = None) -> list[TableRow]:
        """The paper's table of a class (None: the first of the legend).

        The models, then the controls; not single dates, nor what was not scored.

        Source: table of results of the paper (accuracy by split); differs: IoU and the controls
        stand beside it.
        """
        shown = class_name or self.classes[0]
        scores = {
            (row.model, row.split): row
            for row in self.rows
            if (row.class_name, row.site, row.threshold_rule) == (shown, POOLED, "half")
        }
        scored = {model for model, _ in scores}
        return [
            TableRow(
                model,
                self.name(model, shown),
                shown,
                {split: scores.get((model, split)) for split in self.splits},
            )
            for model in (Candidate.DATES, Candidate.FUSED, *CONTROLS)
            if model in scored
        ]

    def pooled_lines(self) -> list[LineRow]:
        """The scores of lines of all sites of every split, the map's and those by chance."""
        return [row for row in self.lines if row.site == POOLED]

    def line_row(self, model: LineModel, class_name: str, site: str = POOLED) -> LineRow | None:
        """The lines of a class under the headline's split; None where none were scored."""
        of = (model, class_name, site, self.headline_split)
        return next((r for r in self.lines if (r.model, r.class_name, r.site, r.split) == of), None)

    @property
    def headline_split(self) -> str:
        """The split that a report of one table shows: what was never trained on, if there is any."""
        return self.shown_splits[0]

    @property
    def shown_splits(self) -> list[str]:
        """The splits as people should read them: what no training has seen first."""
        return [split for split in ("test", "all", "validation", "train") if split in self.splits]

    @property
    def headline_model(self) -> Candidate:
        """The model's own map: the fused one, or the mean where it fuses so."""
        models = {row.model for row in self.class_maps} | {row.model for row in self.rows}
        return Candidate.FUSED if Candidate.FUSED in models else Candidate.MEAN

    def class_map(self, model: CandidateOrDate, split: str, site: str = POOLED) -> ClassMap | None:
        """The row of a candidate; None where it was not scored."""
        found = [r for r in self.class_maps if (r.model, r.split, r.site) == (model, split, site)]
        return found[0] if found else None

    def class_columns(self, split: str, site: str = POOLED) -> list[ClassMap]:
        """The models, then the controls, of maps of many classes; not single dates."""
        shown = (Candidate.DATES, Candidate.FUSED, *UNTRAINED, Candidate.SHIFTED, Candidate.COMMONEST)
        rows = [self.class_map(model, split, site) for model in shown]
        return [row for row in rows if row is not None]

    def summary(self) -> list[dict[str, JsonValue]]:
        """What a command prints as JSON: the rows of the tables, one a model."""
        if not self.class_maps:
            return [row.as_json() for name in self.classes for row in self.table(name)]
        scores = ("accuracy", "mean_iou", "mean_f1", "kappa")
        rows: list[dict[str, JsonValue]] = []
        for row in self.class_columns(self.headline_split):
            iou: dict[str, JsonValue] = {name: of.iou for name, of in row.classes.items()}
            values: dict[str, JsonValue] = {score: getattr(row, score) for score in scores}
            named = {"model": str(row.model), "name": self.name(row.model), "split": row.split}
            rows.append({**named, **values, "iou": iou})
        return rows

    def best_rows(self) -> list[Row]:
        """One row a model, split, site and class, at the threshold of validation, else at 0.5."""
        chosen: dict[tuple[str, str, str, CandidateOrDate], Row] = {}
        for rule in ("half", "validation"):
            for row in self.rows:
                if row.threshold_rule == rule:
                    chosen[row.class_name, row.split, row.site, row.model] = row
        return list(chosen.values())
