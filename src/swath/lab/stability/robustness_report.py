"""What robustness found, as rows, as a summary, and as files."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import swath
from swath.evaluation.evidence import Edges
from swath.files import replacing_folder, write_json
from swath.lab.stability.perturbation import Perturbation
from swath.lab.stability.picture import CLOUD_SHARE
from swath.lab.stability.robustness import SCORES, Measured, Trial
from swath.metrics import interval, threshold
from swath.report.page import interval as bounds
from swath.report.page import markdown, number

REPORT = "robustness"
HEADINGS = {"pr_auc": "PR-AUC", "iou": "IoU", "line_f1_2": "line F1, 2 px"}

Samples = Mapping[str, NDArray[np.float64]] | None


def make_content(
    trials: Sequence[Trial], edges: Edges, head: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """What robustness.json holds.

    Args:
        trials: Of `measure_robustness`, the undisturbed one of a site before its others.
        edges: Output -> edge of its threshold; empty: 0.5.
        head: What was mapped with what.
        seed: Of clouds, orders and resampling.

    Returns:
        Plain values: `rows`, one a site, perturbation, variant and output; `summary`, one a
        perturbation and output: means over the sites of the means over the variants.
    """
    before = {t.site: t for t in trials if t.perturbation.name == "undisturbed"}
    outputs = list(next(iter(before.values())).measured)
    return {
        "version": swath.__version__,
        **head,
        "sites": list(before),
        "outputs": outputs,
        "thresholds": {name: threshold(edges[name]) if name in edges else 0.5 for name in outputs},
        "thresholds_from_validation": bool(edges),
        "cloud_share": CLOUD_SHARE,
        "seed": seed,
        "skipped": [{"site": t.site, **_named(t.perturbation)} for t in trials if not t.measured],
        "summary": [
            _summary(name, output, trials, before)
            for name in dict.fromkeys(t.perturbation.name for t in trials if t.measured)
            for output in outputs
        ],
        "rows": [row for t in trials for row in _rows(t, before[t.site])],
    }


def _named(perturbation: Perturbation) -> dict[str, Any]:
    return {
        "perturbation": perturbation.name,
        "variant": perturbation.variant,
        "frames": [[frame.date + 1, frame.change] for frame in perturbation.frames],
    }


def _rows(trial: Trial, before: Trial) -> Iterator[dict[str, Any]]:
    for output, measured in trial.measured.items():
        plain = before.measured[output]
        gaps = _gaps(measured, plain)
        yield {
            "site": trial.site,
            **_named(trial.perturbation),
            "output": output,
            "hidden": trial.hidden,
            **{score: _plain(value) for score, value in measured.values.items()},
            "changed": measured.changed,
            "difference": {
                score: _plain(value - plain.values[score])
                for score, value in measured.values.items()
            },
            "ci": {s: _interval(gaps[s]) for s in measured.values} if gaps else None,
        }


def _gaps(measured: Measured, plain: Measured) -> Samples:
    """Score -> (resamples,) differences to the undisturbed map, on the same draws of blocks."""
    if measured.samples is None or plain.samples is None:
        return None
    theirs = plain.samples
    return {score: drawn - theirs[score] for score, drawn in measured.samples.items()}


def _summary(
    name: str, output: str, trials: Sequence[Trial], before: Mapping[str, Trial]
) -> dict[str, Any]:
    sites: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.perturbation.name == name and trial.measured:
            sites.setdefault(trial.site, []).append(trial)
    found = {
        site: [(t.measured[output], before[site].measured[output]) for t in members]
        for site, members in sites.items()
    }
    pairs = [pair for members in found.values() for pair in members]
    scores = [score for score in SCORES if score in pairs[0][0].values]

    def mean(take: Any) -> float | None:
        return _plain(np.mean([np.mean([take(*pair) for pair in p]) for p in found.values()]))

    result: dict[str, Any] = {
        "perturbation": name,
        "output": output,
        "sites": len(sites),
        "variants": max(map(len, sites.values())),
        "hidden": float(np.mean([np.mean([t.hidden for t in m]) for m in sites.values()])),
        "changed": mean(lambda m, _: m.changed),
        "most_changed": max(m.changed for m, _ in pairs),
        "difference": {},
        "worst": {},
        "ci": {},
    }
    for score in scores:
        result[score] = mean(lambda m, _, s=score: m.values[s])
        gaps = [m.values[score] - plain.values[score] for m, plain in pairs]
        result["difference"][score] = mean(lambda m, p, s=score: m.values[s] - p.values[s])
        result["worst"][score] = _plain(min(gaps))
        result["ci"][score] = _mean_interval(found, score)
    return result


def _mean_interval(
    found: Mapping[str, Sequence[tuple[Measured, Measured]]], score: str
) -> list[float] | None:
    """Of the mean over sites: blocks are drawn in every site on its own."""
    by_site = []
    for pairs in found.values():
        drawn = [_gaps(*pair) for pair in pairs]
        if any(gaps is None for gaps in drawn):
            return None
        by_site.append(np.mean([gaps[score] for gaps in drawn if gaps is not None], axis=0))
    return _interval(np.mean(by_site, axis=0))


def _interval(samples: NDArray[np.float64]) -> list[float] | None:
    found = interval(samples)
    return None if found is None else list(found)


def _plain(value: float | np.floating[Any]) -> float | None:
    return float(value) if np.isfinite(value) else None


def write_robustness(content: Mapping[str, Any], out: Path, *, overwrite: bool) -> None:
    """Write robustness.json and robustness.md into a folder, which is whole or absent.

    Raises:
        OutputExistsError: `out` exists and may not be replaced.
    """
    with replacing_folder(out, overwrite=overwrite) as folder:
        write_json(folder / f"{REPORT}.json", content)
        (folder / f"{REPORT}.md").write_text(robustness_text(content), encoding="utf-8")


def robustness_text(content: Mapping[str, Any]) -> str:
    """The summary as Markdown: a table an output, and what it stands on."""
    scores = [score for score in SCORES if score in content["summary"][0]]
    rule = "chosen on the validation sites" if content["thresholds_from_validation"] else "0.5"
    lines = [
        "# Robustness",
        "",
        f"Class: {content['class']}. Stands on: {content['stands_on']}.",
        f"Sites: {', '.join(content['sites'])}.",
        "",
        "Difference to the undisturbed map, mean over sites and variants [95 % interval over "
        "blocks of 64 px and more of these sites]; worst: the worst site and variant. Changed: "
        f"pixels on the other side of the threshold ({rule}), in per cent. A cloud covers "
        f"{content['cloud_share']:.0%} of the image, its shadow comes on top.",
        "",
    ]
    for output in content["outputs"]:
        rows = [row for row in content["summary"] if row["output"] == output]
        lines += [f"## {output} (threshold {content['thresholds'][output]:.3f})", ""]
        lines += [*markdown(_table(rows, scores)), ""]
    if content["skipped"]:
        names = dict.fromkeys(row["perturbation"] for row in content["skipped"])
        lines += [f"Left out, the model takes another number of dates: {', '.join(names)}.", ""]
    return "\n".join(lines)


def _table(rows: Sequence[Mapping[str, Any]], scores: Sequence[str]) -> list[list[str]]:
    head = ["", *(HEADINGS[score] for score in scores), "worst IoU", "changed, %", "most, %"]
    table = [head]
    for row in rows:
        plain = row["perturbation"] == "undisturbed"
        cells = [
            number(row[score])
            if plain
            else f"{_signed(row['difference'][score])} {bounds(row['ci'][score], signed=True)}"
            for score in scores
        ]
        rest = ["", "", ""]
        if not plain:
            worst = _signed(row["worst"]["iou"])
            rest = [worst, percent2(row["changed"]), percent2(row["most_changed"])]
        table.append([row["perturbation"], *(cell.strip() for cell in cells), *rest])
    return table


def percent2(share: float | None) -> str:
    """A small share in per cent, with two digits."""
    return "–" if share is None else f"{100 * share:.2f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"
