"""The leaderboard as a value: who is best by how much, as leaderboard.json holds it."""

from typing import Literal

from pydantic import Field, JsonValue

from swath.evaluation.candidate import Candidate
from swath.evaluation.row import Interval, Score
from swath.lab.comparison.scoring import Column
from swath.validation import Written

Kind = Literal["model", "control", "date", "trivial"]
"""What a row is of: a model; a fusion without training; one date; a map that knows nothing."""

Against = Literal["best control", "baseline", "one date"]
"""What a model is held against."""


class Spread(Written):
    """A score of a row.

    Attributes:
        mean: Over test sites (those that define the score) of the mean over seeds.
        sd: Standard deviation over seeds; None with one seed.
        ci: Interval over blocks of the test sites' pixels.
    """

    mean: Score
    sd: Score
    ci: Interval | None


class BoardRow(Written):
    """A model or control.

    Attributes:
        name: How it is called: the comparison's own name of a model, or a control's.
        kind: What it is of.
        candidate: What it is, whatever it is called.
        dates: T of the maps.
        minutes: Mean training time of a cell; None for a control.
        parameters: Trained weights; None where there are none.
        diverged: Cells whose training ended in numbers that are not finite.
        scores: Column of the board -> its value.
        sites: Test site -> score -> mean over seeds.
    """

    name: str
    kind: Kind
    candidate: Candidate
    dates: int
    minutes: float | None
    parameters: int | None
    diverged: int
    scores: dict[str, Spread]
    sites: dict[str, dict[str, Score]]


class Gain(Written):
    """What a model is better by in one score.

    Attributes:
        difference: Mean over test sites and seeds.
        ci: Interval over sites and, in them, seeds; None with one cell.
        sites: Test site -> mean over seeds.
    """

    difference: Score
    ci: Interval | None
    sites: dict[str, Score]


class BoardPair(Written):
    """A model against another row.

    Attributes:
        model: Its name.
        minus: Name of the other row.
        role: What that row is to it.
        chosen_on: The split that the best control was chosen on.
        scores: Column of the board -> the difference.
    """

    model: str
    minus: str
    role: Against
    chosen_on: str | None
    scores: dict[str, Gain]


class ModelRecord(Written):
    """How a model was trained."""

    stage: str
    settings: dict[str, JsonValue]


class CellCount(Written):
    """How many cells there are."""

    finished: int
    planned: int


class Board(Written):
    """The leaderboard.

    Attributes:
        stands_on: Where the data come from, and how much of it there is.
        dataset: Folder of the dataset.
        class_name: The class that is scored; `class` in JSON; None: all, of maps of many.
        baseline: Name of the model that others are held against.
        scores: Column -> what it is; the first ranks.
        thresholds_from_validation: Whether validation sites chose thresholds; else they are 0.5.
        sites: Test sites.
        seeds: Of the trainings.
        cells: How many are finished.
        models: Name -> how it was trained.
        rows: A row a model or control, the best first.
        paired: Differences of every model against one date, its best control and the baseline.
    """

    stands_on: str
    dataset: str
    class_name: str | None = Field(alias="class")
    baseline: str
    scores: dict[str, Column]
    thresholds_from_validation: bool
    sites: tuple[str, ...]
    seeds: tuple[int, ...]
    cells: CellCount
    models: dict[str, ModelRecord]
    rows: tuple[BoardRow, ...]
    paired: tuple[BoardPair, ...]
