"""The report: scores of a MAPS folder against the truth, as JSON, HTML and figures."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swath.dataset.site import Dataset
from swath.errors import DatasetError, MissingExtraError
from swath.evaluation.candidates import (
    ALL_BACKGROUND,
    FUSED,
    SHIFTED,
    UNET,
    all_class,
    called,
    dated,
    report_names,
)
from swath.evaluation.evidence import choose_edges, gather, plan_block_px
from swath.evaluation.rows import (
    POOLED,
    RESAMPLES,
    Entry,
    Unit,
    best_control,
    measure_split,
    paired_of,
    pooled_counts,
    rows_of,
)
from swath.evaluation.truth import WHOLE, Truth, truth_of_file, truths_of_dataset
from swath.files import replacing_folder, write_json
from swath.legend import LegendClass
from swath.maps.sitemaps import SiteMaps, read_maps
from swath.metrics import HALF, threshold
from swath.models.fusion import FUSIONS
from swath.progress import track
from swath.version import __version__

SPLITS = ("train", "validation", "test", WHOLE)
"""The order of the report."""

Pairs = Sequence[tuple[SiteMaps, Truth]]


@dataclass(frozen=True, slots=True)
class Report:
    """What `swath evaluate` wrote.

    Attributes:
        folder: REPORT, with report.json, report.html and figures/.
        content: What report.json holds.
    """

    folder: Path
    content: dict[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row a model, split, site, class and threshold rule."""
        rows: list[dict[str, Any]] = self.content["rows"]
        return rows

    @property
    def own(self) -> tuple[str, str]:
        """What the model's map of one date, and its map of the whole series, are called."""
        names = self.content["names"]
        return called(UNET, names), called(FUSED, names)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that were scored, in the order of the report."""
        return tuple(self.content["splits"])

    def table(self, class_name: str | None = None) -> list[dict[str, Any]]:
        """The paper's table: a row a model, accuracy and IoU of each split at s > 0.5.

        Args:
            class_name: Which class; None for the first of the legend.

        Returns:
            Rows with `model`, `class`, and for each scored split `{"accuracy": .., "iou": ..}`;
            None where the split lacks the model. The U-Net's single dates are left out.

        Source: table of results of the paper (accuracy by split); differs: IoU and the controls
        stand beside it.
        """
        name = class_name or str(self.content["classes"][0])
        table = []
        for model in (*self.own, *controls_of(name)):
            found = {
                row["split"]: {"accuracy": row["accuracy"], "iou": row["iou"]}
                for row in self.rows
                if (row["model"], row["class"]) == (model, name)
                and (row["site"], row["threshold_rule"]) == (POOLED, "half")
            }
            if found:
                scores = {split: found.get(split) for split in self.splits}
                table.append({"model": model, "class": name, **scores})
        return table


def controls_of(class_name: str) -> tuple[str, ...]:
    """The controls of the report, in its order."""
    return (*FUSIONS, SHIFTED, ALL_BACKGROUND, all_class(class_name))


def evaluate(
    maps_folder: Path, dataset: Dataset, out: Path, *, overwrite: bool = False, seed: int = 0
) -> Report:
    """Score maps against the labels of a dataset and write the report.

    Args:
        maps_folder: MAPS, of `swath map`; all its sites are scored.
        dataset: The dataset that was mapped.
        out: REPORT, a folder that is made.
        overwrite: Whether an existing report may be replaced.
        seed: Of the resampling behind the intervals.

    Returns:
        The report as written.

    Raises:
        DatasetError: No maps, a site that the dataset lacks, or no labelled pixel under the maps.
        GridError: A map is not on its site's grid.
        InputError: The legends differ, or a file is unreadable.
        MissingExtraError: matplotlib or jinja2 is not installed.
        OutputExistsError: `out` exists and may not be replaced.
    """
    _check_extra()
    maps = read_maps(maps_folder)
    pairs = list(zip(maps, truths_of_dataset(maps, dataset), strict=True))
    head = {"dataset": str(dataset.root), "maps": str(maps_folder)}
    return _report(pairs, head, dataset.attribution, out, overwrite=overwrite, seed=seed)


def evaluate_labels(
    maps_folder: Path, labels: Path, out: Path, *, overwrite: bool = False, seed: int = 0
) -> Report:
    """Score the one map that lies on a label file's grid, and write the report.

    Args:
        maps_folder: MAPS, of `swath map`.
        labels: uint8 GeoTIFF of class ids of the maps' legend, 255 = ignore.
        out: REPORT, a folder that is made.
        overwrite: Whether an existing report may be replaced.
        seed: Of the resampling behind the intervals.

    Returns:
        The report as written; its only split is `all`. Centre lines are the label's skeleton.

    Raises:
        DatasetError: No maps, or no labelled pixel under the map.
        GridError: No map lies on the label's grid, or several do.
        InputError: Not such a label file.
        MissingExtraError: matplotlib or jinja2 is not installed.
        OutputExistsError: `out` exists and may not be replaced.
    """
    _check_extra()
    pair = truth_of_file(read_maps(maps_folder), labels)
    head = {"labels": str(labels), "maps": str(maps_folder)}
    return _report([pair], head, pair[0].attribution, out, overwrite=overwrite, seed=seed)


def _check_extra() -> None:
    for module in ("jinja2", "matplotlib"):
        if find_spec(module) is None:
            raise MissingExtraError("swath evaluate", module, "report")


def _report(
    pairs: Pairs, head: dict[str, str], attribution: str, out: Path, *, overwrite: bool, seed: int
) -> Report:
    from swath.report.page import render

    with replacing_folder(out, overwrite=overwrite) as folder:
        (folder / "figures").mkdir()
        scored = [score_class(pairs, target, seed) for target in pairs[0][1].legend.foreground]
        if not any(result.units for result in scored):
            raise DatasetError(
                f"{head['maps']}: no labelled pixel lies under the maps; map sites that have labels"
            )
        content = _content(pairs, scored, seed) | {
            "version": __version__,
            "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            **head,
            "stands_on": _stands_on(pairs, attribution),
        }
        report = Report(out, content)
        write_json(folder / "report.json", content)
        pictures = _draw(folder / "figures", pairs, scored)
        (folder / "report.html").write_text(render(report, *pictures), encoding="utf-8")
    return report


@dataclass(frozen=True, slots=True)
class Scored:
    """One class, scored on all splits and sites.

    Attributes:
        target: The class.
        edges: Model -> edge of the threshold chosen on validation.
        entries: Split -> its sites, in the order of the report.
        units: Everything measured.
        block_px: Side of the blocks.
    """

    target: LegendClass
    edges: dict[str, int]
    entries: dict[str, list[Entry]]
    units: list[Unit]
    block_px: int


def score_class(pairs: Pairs, target: LegendClass, seed: int) -> Scored:
    """Score one class of all mapped sites.

    Args:
        pairs: The maps and their truth.
        target: The class.
        seed: Of the resampling behind the intervals.
    """
    block_px = plan_block_px([truth.grid for _, truth in pairs])
    edges = choose_edges(pairs, target)
    found: dict[str, list[Entry]] = {split: [] for split in SPLITS}
    for maps, truth in track(pairs, f"scoring {target.name}"):
        dates = tuple(dated(date) for date in maps.dates)
        for split, evidence in gather(maps, truth, target, edges, block_px).items():
            found[split].append(Entry(truth.site, evidence, dates))
    entries = {split: members for split, members in found.items() if members}
    units = [
        unit
        for split, members in entries.items()
        for unit in measure_split(split, target.name, members, seed)
    ]
    return Scored(target, edges, entries, units, block_px)


def _content(pairs: Pairs, scored: Sequence[Scored], seed: int) -> dict[str, Any]:
    units = [unit for result in scored for unit in result.units]
    names = report_names({maps.model for maps, _ in pairs})
    notes = [truth.note for _, truth in pairs if truth.note]
    seen = {unit.site for unit in units}
    notes += [
        f"{truth.site} is left out: no labelled pixel of a split lies under its map."
        for _, truth in pairs
        if truth.site not in seen
    ]
    if not any(result.edges for result in scored):
        notes.append(
            "No labelled validation site was mapped, so no threshold could be chosen by labels: "
            "rows are at 0.5, where a mere change of calibration can look like a gain, and at the "
            "scene's own threshold."
        )
    return {
        "classes": [result.target.name for result in scored],
        "splits": {
            split: sorted({unit.site for unit in units if unit.split == split} - {POOLED})
            for split in SPLITS
            if any(unit.split == split for unit in units)
        },
        "names": names,
        "thresholds": {
            result.target.name: {
                called(model, names): threshold(edge) for model, edge in result.edges.items()
            }
            for result in scored
        },
        "models": [
            {
                "site": maps.site,
                "model": maps.model,
                "model_sha256": maps.model_sha256,
                "fusion": maps.fusion,
                "dates": [str(date) for date in maps.dates],
            }
            for maps, _ in pairs
        ],
        "notes": notes,
        "block_px": scored[0].block_px,
        "resamples": RESAMPLES,
        "seed": seed,
        "rows": [
            row | {"model": called(row["model"], names)} for unit in units for row in rows_of(unit)
        ],
        "paired": [
            row | {"model": called(row["model"], names), "minus": called(row["minus"], names)}
            for unit in units
            for row in paired_of(unit, *best_control(units, unit))
        ],
    }


def _stands_on(pairs: Pairs, attribution: str) -> str:
    lengths = sorted({len(maps.dates) for maps, _ in pairs})
    sites = "1 site" if len(pairs) == 1 else f"{len(pairs)} sites"
    series = " or ".join(map(str, lengths))
    return f"{attribution or 'data without a stated source'}; {sites}, T = {series}"


def _draw(folder: Path, pairs: Pairs, scored: Sequence[Scored]) -> tuple[Any, Any]:
    from swath.report.figures import draw_curves, draw_site

    curves = []
    names = report_names({maps.model for maps, _ in pairs})
    for result in scored:
        name = result.target.name
        # The controls without a score to vary, and the shifted map, would only crowd the plot.
        shown = (FUSED, UNET, *FUSIONS)
        for split, entries in result.entries.items():
            counts = pooled_counts(entries)
            title = f"{name}, {split}"
            path = folder / f"curves_{split}_{name}.png".replace(" ", "_")
            drawn = {called(m, names): counts[m] for m in shown if m in counts}
            curves.append(draw_curves(path, drawn, title, name))
    first = scored[0]
    edge = first.edges.get(FUSED, first.edges.get("mean", HALF))
    sites = {
        truth.site: draw_site(folder, maps, truth, first.target, edge)
        for maps, truth in track(pairs, "drawing figures")
    }
    return curves, sites
