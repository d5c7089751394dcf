"""What a report says first: in words and a few numbers, what the map is worth and where it fails."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from swath.evaluation.agreement import ClassMap
from swath.evaluation.candidate import Candidate, CandidateOrDate
from swath.evaluation.errorlines import NEAR_M
from swath.evaluation.lines import LineModel, LineRow
from swath.evaluation.measurement import POOLED
from swath.evaluation.report import Report
from swath.evaluation.row import Row, Score
from swath.report.text import interval, number, percent, place_text, signed

NEAR = int(NEAR_M)

LEAST_GAIN = 0.001
"""Differences of scores below this are none to a reader: with three digits they read as nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a reader should know.

    Attributes:
        title: What it is about.
        figure: The number, as people read it.
        words: What it means.
        share: The number 0..1, for a bar; None: no bar.
        chance: What is reached without the model, on the same bar.
    """

    title: str
    figure: str
    words: str
    share: float | None = None
    chance: float | None = None


GROUND = {
    "test": "ground that no training has seen",
    "validation": "ground that was used to choose the model",
    "train": "ground that the model was trained on: these scores flatter it",
    "all": "the labels given",
}


def headline_ground(report: Report) -> str:
    """Which sites the first numbers speak of."""
    sites = report.splits[report.headline_split]
    named = ", ".join(sites[:5]) + (f" and {len(sites) - 5} more" if len(sites) > 5 else "")
    return f"Measured in {named}: {GROUND[report.headline_split]}."


def findings(report: Report) -> list[Finding]:
    """The first screen of a report, of two classes or of many."""
    lines = [row for name in _line_classes(report) if (row := report.line_row(LineModel.MAP, name))]
    of_lines = [finding for row in lines[:1] for finding in _lines(report, row)]
    if report.class_maps:
        return [*_classes(report), *of_lines]
    return [*(of_lines or _pixels(report)), *_two_class_gain(report), *_worst_sites(report, lines)]


def verdict(report: Report) -> str:
    """The map's worth in one sentence."""
    row = report.class_map(report.headline_model, report.headline_split)
    if row is not None:
        return f"The map has the right class on {percent(row.accuracy)} % of the labelled pixels."
    name = report.classes[0]
    lines, pixels = report.line_row(LineModel.MAP, name), _row(report, report.headline_model)
    found, right = (pixels.recall, pixels.precision) if pixels else (None, None)
    if lines is not None:
        found, right = lines.completeness[NEAR], lines.correctness[NEAR]
    right_words = f"{percent(right, 0)} % of what it shows is {name}."
    return f"The map finds {percent(found, 0)} % of the {name}; {right_words}"


def _line_classes(report: Report) -> list[str]:
    return list(dict.fromkeys(row.class_name for row in report.lines))


def _lines(report: Report, row: LineRow) -> Iterator[Finding]:
    """Lines against lines: found, right, F1 beside chance, the longest that is missed."""
    complete, correct = row.completeness[NEAR], row.correctness[NEAR]
    found_km, right_km = row.true_km * (complete or 0), row.mapped_km * (correct or 0)
    name = row.class_name
    yield Finding(
        f"{name} found",
        f"{number(found_km, 1)} of {number(row.true_km, 1)} km",
        f"{percent(complete, 0)} % of the true length lies within {NEAR} m of the map's lines; "
        f"{number(row.true_km - found_km, 1)} km are missed.",
        complete,
    )
    yield Finding(
        "what it shows is there",
        f"{number(right_km, 1)} of {number(row.mapped_km, 1)} km",
        "The map has no lines."
        if correct is None
        else f"{percent(correct, 0)} % of the map's lines run along a true one; "
        f"{number(row.mapped_km - right_km, 1)} km are false.",
        correct,
    )
    chance = report.line_row(LineModel.CHANCE, name)
    by_chance = chance.f1[NEAR] if chance else None
    yield Finding(
        f"line F1 at {NEAR} m",
        number(row.f1[NEAR]),
        f"Found and right in one number; the same lines laid elsewhere reach {number(by_chance)} by chance.",
        row.f1[NEAR],
        by_chance,
    )
    missed = [m for m in report.missed if (m.split, m.class_name) == (row.split, name)]
    if missed:
        longest = max(missed, key=lambda line: line.length_m)
        yield Finding(
            f"longest {name} missed",
            f"{longest.length_m / 1e3:.2f} km",
            f"In {longest.site}, near {place_text(longest.lat, longest.lon)}.",
        )


def _pixels(report: Report) -> Iterator[Finding]:
    """The same of labels that are pixels only."""
    row = _row(report, report.headline_model)
    if row is None:
        return
    shifted = _row(report, Candidate.SHIFTED)
    by_chance = shifted.iou if shifted else None
    name = row.class_name
    yield Finding(
        f"{name} found", f"{percent(row.recall, 0)} %", f"Of the pixels labelled {name} (recall).", row.recall
    )
    yield Finding(
        "what it shows is there",
        f"{percent(row.precision, 0)} %",
        f"Of the pixels mapped as {name} (precision).",
        row.precision,
    )
    yield Finding(
        "overlap (IoU)",
        number(row.iou),
        f"Of map and label; the mean map moved aside reaches {number(by_chance)} by chance.",
        row.iou,
        by_chance,
    )


def _row(report: Report, model: CandidateOrDate, site: str = POOLED) -> Row | None:
    of = (model, report.headline_split, site, report.classes[0])
    rows = (r for r in report.best_rows() if (r.model, r.split, r.site, r.class_name) == of)
    return next(rows, None)


def _two_class_gain(report: Report) -> Iterator[Finding]:
    """PR-AUC of the fusion less that of the best control."""
    name, split = report.classes[0], report.headline_split
    for gain in report.paired:
        if (gain.class_name, gain.split, gain.site, gain.role) == (name, split, POOLED, "best control"):
            ours, theirs = _row(report, Candidate.FUSED), _row(report, gain.minus)
            if ours and theirs:
                yield _gain(
                    (report.name(Candidate.FUSED), ours.pr_auc),
                    (report.name(gain.minus), theirs.pr_auc),
                    (gain.difference["pr_auc"], gain.ci["pr_auc"]),
                    "PR-AUC",
                    len(report.splits[split]),
                )
                return
    yield from _no_fusion(report)


def _no_fusion(report: Report) -> Iterator[Finding]:
    if report.headline_model != Candidate.FUSED:
        yield Finding("best control", "none to beat", "The dates are fused by their mean, without a network.")


def _gain(
    ours: tuple[str, Score],
    theirs: tuple[str, Score],
    difference: tuple[Score, tuple[float, float] | None],
    score: str,
    sites: int,
) -> Finding:
    value, bounds = difference
    if bounds is None:
        told = "Too little ground to say whether that is more than luck."
    elif value is None or abs(value) < LEAST_GAIN:
        told = "No difference."
    elif bounds[0] > 0:
        told = "The fusion beats it."
    elif bounds[1] < 0:
        told = "The fusion is worse than this control."
    else:
        told = "No difference is shown."
    if bounds is not None and sites == 1:
        told += " The interval is of the blocks of this one site: it says nothing of other places."
    return Finding(
        f"against the best control, {theirs[0]}",
        f"{signed(value)} {score}",
        f"{ours[0]} {number(ours[1])}, {theirs[0]} {number(theirs[1])} "
        f"{interval(bounds, signed=True)}. {told}",
    )


def _worst_sites(report: Report, lines: list[LineRow]) -> Iterator[Finding]:
    """The site with the lowest line F1, or without lines the lowest IoU."""
    sites = report.splits[report.headline_split]
    scores: dict[str, Score] = {}
    for site in sites:
        if lines:
            of_lines = report.line_row(LineModel.MAP, lines[0].class_name, site)
            scores[site] = of_lines.f1[NEAR] if of_lines else None
        else:
            row = _row(report, report.headline_model, site)
            scores[site] = row.iou if row else None
    yield from _worst(scores, f"line F1 at {NEAR} m" if lines else "IoU")


def _worst(scores: dict[str, Score], score: str) -> Iterator[Finding]:
    known = {site: value for site, value in scores.items() if value is not None}
    if len(known) > 1:
        worst, best = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        yield Finding(
            "worst site",
            worst,
            f"{score} {number(known[worst])}, the lowest of {len(known)} sites; the best, {best}, has "
            f"{number(known[best])}.",
        )


def _classes(report: Report) -> Iterator[Finding]:
    """Of many classes: how much is right, beside the commonest class and the best control; the worst."""
    split, model = report.headline_split, report.headline_model
    row = report.class_map(model, split)
    if row is None:
        return
    commonest = report.class_map(Candidate.COMMONEST, split)
    yield Finding(
        "overall accuracy",
        f"{percent(row.accuracy)} %",
        f"Of {row.pixels:,} labelled pixels are right; with the commonest class everywhere "
        f"{percent(commonest.accuracy if commonest else None)} % would be.",
        row.accuracy,
        commonest.accuracy if commonest else None,
    )
    shifted = report.class_map(Candidate.SHIFTED, split)
    yield Finding(
        "mean IoU",
        number(row.mean_iou),
        f"Over the classes that the labels hold; the map moved aside reaches "
        f"{number(shifted.mean_iou if shifted else None)} by chance.",
        row.mean_iou,
        shifted.mean_iou if shifted else None,
    )
    for gain in report.gains:
        if (gain.split, gain.site, gain.role) == (split, POOLED, "best control"):
            control = report.class_map(gain.minus, split)
            yield _gain(
                (report.name(model), row.mean_iou),
                (report.name(gain.minus), control.mean_iou if control else None),
                (gain.difference["mean_iou"], gain.ci["mean_iou"]),
                "mean IoU",
                len(report.splits[split]),
            )
    yield from _no_fusion(report)
    yield from _worst_class(row)
    rows = {site: report.class_map(model, split, site) for site in report.splits[split]}
    yield from _worst({site: of.mean_iou if of else None for site, of in rows.items()}, "mean IoU")


def _worst_class(row: ClassMap) -> Iterator[Finding]:
    scores = {name: of.iou for name, of in row.classes.items() if of.labelled and of.iou is not None}
    if not scores:
        return
    worst = min(scores, key=scores.__getitem__)
    names = list(row.classes)
    taken = np.array(row.matrix[names.index(worst)])
    labelled = int(taken.sum())
    taken[names.index(worst)] = 0
    other = int(taken.argmax())
    words = f"IoU {number(scores[worst])}, the lowest of {len(scores)} classes."
    if taken[other]:
        words += f" {percent(taken[other] / labelled)} % of it is mapped as {names[other]}."
    yield Finding("worst class", worst, words, scores[worst])
