"""What robustness says, as rows, as a summary, and as files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from swath.evaluation.candidate import Candidate, names_of
from swath.evaluation.evidence import Edges
from swath.evaluation.row import Interval, Score
from swath.files import write_json, write_text
from swath.lab.stability.imagery import CLOUD_SHARE
from swath.lab.stability.perturbation import Change
from swath.lab.stability.robustness import SCORES, OutputScores, Trial
from swath.metrics.bootstrap import interval
from swath.metrics.histogram import threshold
from swath.outfolder import Kind, replacing_folder
from swath.report.text import interval as bounds
from swath.report.text import markdown, number, percent, signed
from swath.validation import Written
from swath.version import __version__

REPORT = "robustness"
HEADINGS = {"pr_auc": "PR-AUC", "iou": "IoU", "line_f1_2": "line F1, 2 px"}
UNDISTURBED = "undisturbed"

Pair = tuple[OutputScores, OutputScores]
"""An output of a disturbed series, and of the undisturbed one."""


class Subject(Written):
    """What was disturbed, and how it was mapped.

    Attributes:
        model: The architecture.
        run: Folder of the model.
        dataset: Folder of the dataset.
        split: Whose pixels are scored, or `all`.
        class_name: The class that is scored; `class` in JSON.
        stands_on: Where the data come from, and the length of the series.
    """

    model: str
    run: str
    dataset: str
    split: str
    class_name: str = Field(alias="class")
    stands_on: str


class ScoreColumns(Written):
    """The scores of a map, or means of them; None where a score is not defined.

    Attributes:
        pr_auc: Average precision.
        iou: Intersection over union.
        line_f1_2: F1 of centre lines within 2 px; None for a class of areas, too.
    """

    pr_auc: Score = None
    iou: Score = None
    line_f1_2: Score = None

    def score(self, name: str) -> float | None:
        """A score by its name in `SCORES`."""
        value: float | None = getattr(self, name)
        return value


class ShownSeries(Written):
    """A series as the model was shown it.

    Attributes:
        site: Its name.
        perturbation: What was done.
        variant: Which of that kind.
        frames: Number of the date, from 1, and what was done to its image; in the order shown.
    """

    site: str
    perturbation: str
    variant: str
    frames: tuple[tuple[int, Change], ...]


class RobustnessRow(ShownSeries, ScoreColumns):
    """One output of one series.

    Attributes:
        output: The fused map, or the mean of the dates.
        hidden: Share of an image's pixels that painted cloud and shadow hide.
        changed: Share of the pixels that are on the other side of the threshold.
        difference: Score -> its difference to the undisturbed map.
        ci: Score -> the interval of that; None where blocks cannot be resampled.
    """

    output: Candidate
    hidden: float
    changed: float
    difference: dict[str, Score]
    ci: dict[str, Interval | None] | None


class RobustnessSummary(ScoreColumns):
    """One output under one kind of perturbation: means over the sites of means over the variants.

    Attributes:
        perturbation: What was done.
        output: The fused map, or the mean of the dates.
        sites: How many.
        variants: How many of a site, at most.
        hidden: As in `RobustnessRow`.
        changed: The same.
        most_changed: The most of any site and variant.
        difference: Score -> difference to the undisturbed maps.
        worst: Score -> the worst of any site and variant.
        ci: Score -> the interval of the difference.
    """

    perturbation: str
    output: Candidate
    sites: int
    variants: int
    hidden: float
    changed: Score
    most_changed: float
    difference: dict[str, Score]
    worst: dict[str, Score]
    ci: dict[str, Interval | None]


class RobustnessReport(Subject):
    """What robustness.json holds.

    Attributes:
        version: Of swath.
        sites: Their names.
        outputs: What is scored.
        names: Output -> what tables call it.
        thresholds: Output -> its threshold.
        thresholds_from_validation: Whether validation sites chose it; else it is 0.5.
        cloud_share: Share of an image under painted cloud.
        seed: Of clouds, orders and resampling.
        skipped: Series that the model does not take, for their number of dates.
        summary: One a perturbation and output.
        rows: One a site, perturbation, variant and output.
    """

    version: str
    sites: tuple[str, ...]
    outputs: tuple[Candidate, ...]
    names: dict[Candidate, str]
    thresholds: dict[Candidate, float]
    thresholds_from_validation: bool
    cloud_share: float
    seed: int
    skipped: tuple[ShownSeries, ...]
    summary: tuple[RobustnessSummary, ...]
    rows: tuple[RobustnessRow, ...]


def robustness_report(trials: Sequence[Trial], edges: Edges, subject: Subject, seed: int) -> RobustnessReport:
    """The rows and the summary of all trials.

    Args:
        trials: Of `measure_robustness`, the undisturbed one of a site before its others.
        edges: Output -> edge of its threshold; empty: 0.5.
        subject: What was disturbed.
        seed: Of clouds, orders and resampling.
    """
    before = {t.site: t for t in trials if t.perturbation.name == UNDISTURBED}
    outputs = tuple(next(iter(before.values())).measured)
    names = names_of([subject.model], subject.class_name)
    kinds = dict.fromkeys(trial.perturbation.name for trial in trials if trial.measured)
    return RobustnessReport(
        **subject.model_dump(),
        version=__version__,
        sites=tuple(before),
        outputs=outputs,
        names={
            output: "mean of the dates" if output == Candidate.MEAN else names[output] for output in outputs
        },
        thresholds={output: threshold(edges[output]) if output in edges else 0.5 for output in outputs},
        thresholds_from_validation=bool(edges),
        cloud_share=CLOUD_SHARE,
        seed=seed,
        skipped=tuple(_series(trial) for trial in trials if not trial.measured),
        summary=tuple(_summary(kind, output, trials, before) for kind in kinds for output in outputs),
        rows=tuple(row for trial in trials for row in _rows(trial, before[trial.site])),
    )


def _frames(trial: Trial) -> tuple[tuple[int, Change], ...]:
    return tuple((frame.date + 1, frame.change) for frame in trial.perturbation.frames)


def _series(trial: Trial) -> ShownSeries:
    return ShownSeries(
        site=trial.site,
        perturbation=trial.perturbation.name,
        variant=trial.perturbation.variant,
        frames=_frames(trial),
    )


def _rows(trial: Trial, before: Trial) -> Iterator[RobustnessRow]:
    for output, scores in trial.measured.items():
        plain = before.measured[output]
        gaps = _gaps(scores, plain)
        yield RobustnessRow(
            site=trial.site,
            perturbation=trial.perturbation.name,
            variant=trial.perturbation.variant,
            frames=_frames(trial),
            output=output,
            hidden=trial.hidden,
            changed=scores.changed,
            difference={name: value - plain.values[name] for name, value in scores.values.items()},
            ci=None if gaps is None else {name: interval(gaps[name]) for name in scores.values},
            **scores.values,
        )


def _gaps(scores: OutputScores, plain: OutputScores) -> Mapping[str, NDArray[np.float64]] | None:
    """Score -> (resamples,) differences to the undisturbed map, on the same draws of blocks."""
    if scores.samples is None or plain.samples is None:
        return None
    theirs = plain.samples
    return {name: drawn - theirs[name] for name, drawn in scores.samples.items()}


def _summary(
    kind: str, output: Candidate, trials: Sequence[Trial], before: Mapping[str, Trial]
) -> RobustnessSummary:
    sites: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.perturbation.name == kind and trial.measured:
            sites.setdefault(trial.site, []).append(trial)
    by_site = [
        [(trial.measured[output], before[site].measured[output]) for trial in members]
        for site, members in sites.items()
    ]
    pairs = [pair for members in by_site for pair in members]
    names = [name for name in SCORES if name in pairs[0][0].values]
    gaps = {name: [s.values[name] - p.values[name] for s, p in pairs] for name in names}
    return RobustnessSummary(
        perturbation=kind,
        output=output,
        sites=len(sites),
        variants=max(map(len, sites.values())),
        hidden=float(np.mean([np.mean([t.hidden for t in part]) for part in sites.values()])),
        changed=_mean(by_site, lambda scores, _: scores.changed),
        most_changed=max(scores.changed for scores, _ in pairs),
        difference={name: _mean(by_site, _gap_of(name)) for name in names},
        worst={name: min(gaps[name]) for name in names},
        ci={name: _mean_interval(by_site, name) for name in names},
        **{name: _mean(by_site, _value_of(name)) for name in names},
    )


def _value_of(name: str) -> Callable[[OutputScores, OutputScores], float]:
    return lambda scores, _: scores.values[name]


def _gap_of(name: str) -> Callable[[OutputScores, OutputScores], float]:
    return lambda scores, plain: scores.values[name] - plain.values[name]


def _mean(by_site: Sequence[Sequence[Pair]], take: Callable[[OutputScores, OutputScores], float]) -> float:
    """Mean over sites of the mean over their variants."""
    return float(np.mean([np.mean([take(*pair) for pair in pairs]) for pairs in by_site]))


def _mean_interval(by_site: Sequence[Sequence[Pair]], name: str) -> Interval | None:
    """Of the mean over sites: blocks are drawn in every site on its own."""
    means = []
    for pairs in by_site:
        drawn = [gaps[name] for pair in pairs if (gaps := _gaps(*pair)) is not None]
        if len(drawn) < len(pairs):
            return None
        means.append(np.mean(drawn, axis=0))
    return interval(np.mean(means, axis=0))


def write_robustness(
    report: RobustnessReport, out: Path, reads: Sequence[Path] = (), *, overwrite: bool
) -> None:
    """Write robustness.json and robustness.md into a folder, which is whole or absent.

    `reads` is what the report was made from.

    Raises:
        OutputExistsError: `out` exists and may not be replaced.
    """
    with replacing_folder(out, Kind.REPORT, reads, overwrite=overwrite) as folder:
        write_json(folder / f"{REPORT}.json", report.as_json())
        write_text(folder / f"{REPORT}.md", robustness_text(report))


def robustness_text(report: RobustnessReport) -> str:
    """The summary as Markdown: a table an output, and what it stands on."""
    rule = "chosen on the validation sites" if report.thresholds_from_validation else "0.5"
    lines = [
        "# Robustness",
        "",
        f"Class: {report.class_name}. Stands on: {report.stands_on}.",
        f"Sites: {', '.join(report.sites)}.",
        "",
        "Difference to the undisturbed map, mean over sites and variants [95 % interval over "
        "blocks of 64 px and more of these sites]; worst: the worst site and variant. Changed: "
        f"pixels on the other side of the threshold ({rule}), in per cent. A cloud covers "
        f"{report.cloud_share:.0%} of the image, its shadow comes on top.",
        "",
    ]
    for output in report.outputs:
        rows = [row for row in report.summary if row.output == output]
        heading = f"## {report.names[output]} (threshold {report.thresholds[output]:.3f})"
        lines += [heading, "", *markdown(_table(rows)), ""]
    if report.skipped:
        names = dict.fromkeys(series.perturbation for series in report.skipped)
        lines += [f"Left out, the model takes another number of dates: {', '.join(names)}.", ""]
    return "\n".join(lines)


def _table(rows: Sequence[RobustnessSummary]) -> list[list[str]]:
    names = list(rows[0].difference)
    table = [["", *(HEADINGS[name] for name in names), "worst IoU", "changed, %", "most, %"]]
    for row in rows:
        if row.perturbation == UNDISTURBED:
            cells = [*(number(row.score(name)) for name in names), "", "", ""]
        else:
            cells = [
                *(
                    f"{signed(row.difference[name])} {bounds(row.ci[name], signed=True)}".strip()
                    for name in names
                ),
                signed(row.worst["iou"]),
                percent(row.changed, 2),
                percent(row.most_changed, 2),
            ]
        table.append([row.perturbation, *cells])
    return table
