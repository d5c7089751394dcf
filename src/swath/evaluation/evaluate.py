"""Maps scored against labels: what `swath evaluate` computes, as a value."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from swath.dataset.site import Dataset
from swath.errors import DatasetError
from swath.evaluation.agreement import ClassUnit, SiteClasses, best_class_control, measure_classes
from swath.evaluation.candidate import ONE_CLASS_CONTROLS, Candidate, CandidateOrDate, names_of
from swath.evaluation.decisions import gather_classes
from swath.evaluation.errorareas import error_areas
from swath.evaluation.errorlines import ErrorLines, error_lines, longest_missed
from swath.evaluation.evidence import choose_edges, gather, plan_block_px
from swath.evaluation.lines import line_rows
from swath.evaluation.measurement import POOLED, RESAMPLES, SiteEvidence, Unit, measure_split, pooled_counts
from swath.evaluation.report import ModelOfSite, Report
from swath.evaluation.row import best_control, paired_of, rows_of
from swath.evaluation.truth import WHOLE, Truth, truth_of_file, truths_of_dataset
from swath.labels.source import LabelSettings
from swath.legend import IGNORE, LegendClass
from swath.mapping.workfolder import check_sound
from swath.maps.sitemaps import SiteMaps, read_maps
from swath.metrics.histogram import threshold
from swath.progress import tell, track
from swath.version import __version__

SPLITS = ("train", "validation", "test", WHOLE)
"""The order of the report."""

Pairs = Sequence[tuple[SiteMaps, Truth]]


@dataclass(frozen=True, slots=True)
class ScoredClass:
    """One class, scored on all splits and sites.

    Attributes:
        target: The class.
        edges: Candidate -> edge of the threshold chosen on validation.
        counts: Split, in the order of the report -> candidate -> (2, `BINS`) pixels of all sites.
        units: Everything measured.
    """

    target: LegendClass
    edges: Mapping[Candidate, int]
    counts: Mapping[str, Mapping[CandidateOrDate, NDArray[np.int64]]]
    units: Sequence[Unit]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Maps scored against labels: the report, and what its pictures are drawn from.

    Attributes:
        report: The scores.
        sites: The maps and their truth.
        classes: All that was measured of maps of two classes, class by class; those of more are
            scored as a whole, and all that was measured is in the report.
        errors: Site -> its lines that were found, missed, and are false; sites with vectors only.
        areas: Site -> where its map has another class than the labels; of many classes only.
    """

    report: Report
    sites: tuple[tuple[SiteMaps, Truth], ...] = field(repr=False)
    classes: tuple[ScoredClass, ...] = field(repr=False)
    errors: Mapping[str, ErrorLines] = field(default_factory=dict, repr=False)
    areas: Mapping[str, gpd.GeoDataFrame] = field(default_factory=dict, repr=False)

    @property
    def reads(self) -> tuple[Path, ...]:
        """The files and folders that were read."""
        report = self.report
        return tuple(Path(name) for name in (report.maps, report.dataset, report.labels) if name)


def evaluate(maps_folder: Path, dataset: Dataset, *, seed: int = 0) -> Evaluation:
    """Score all sites of a MAPS folder against the labels of the dataset that was mapped.

    Args:
        maps_folder: MAPS, of `swath map`.
        dataset: What was mapped.
        seed: Of the resampling behind the intervals.

    Raises:
        DatasetError: No maps, a site that the dataset lacks, a file of either that was changed, or no
            labelled pixel under the maps.
        GridError: A map is not on its site's grid.
        InputError: The legends differ, or a file is unreadable.
    """
    maps = _read_sound(maps_folder)
    dataset.check_bytes({site.site for site in maps})
    pairs = tuple(zip(maps, truths_of_dataset(maps, dataset), strict=True))
    against = {"dataset": str(dataset.root), "maps": str(maps_folder)}
    return _evaluate(pairs, against, dataset.attribution, seed)


def evaluate_labels(maps_folder: Path, labels: LabelSettings, *, seed: int = 0) -> Evaluation:
    """Score the one map that a label file belongs to.

    The only split is `all`; centre lines are the label's skeleton.

    Args:
        maps_folder: MAPS, of `swath map`.
        labels: uint8 GeoTIFF of class ids of the maps' legend on the map's grid, 255 = ignore; or any
            other labels that `swath build` reads: features with tags, polygons, points or a raster
            with codes. Paths start at the working directory.
        seed: Of the resampling behind the intervals.

    Raises:
        DatasetError: No maps, a file of them that was changed, or no labelled pixel under the map.
        GridError: No map lies on the label's grid, or several do.
        InputError: Not such a label file.
        SettingsError: A crosswalk that is unknown, or of another legend.
    """
    pair = truth_of_file(_read_sound(maps_folder), labels)
    _tell_missing(pair[1], labels)
    against = {"labels": str(labels.path), "maps": str(maps_folder)}
    return _evaluate((pair,), against, pair[0].attribution, seed)


def _read_sound(folder: Path) -> tuple[SiteMaps, ...]:
    """The maps, once what is scored of them has the bytes that swath wrote; QGIS may have changed others."""
    maps = read_maps(folder)
    for site in maps:
        check_sound(site.folder, [path.name for path in (*site.raster_paths, site.parquet_path)])
    return maps


def _tell_missing(truth: Truth, labels: LabelSettings) -> None:
    """Say which classes a label file has no pixel of: against it no map can be right there."""
    counts = np.bincount(truth.read_labels().ravel(), minlength=256)
    missing = [c.name for c in truth.legend.foreground if not counts[c.id]]
    if missing:
        ids = ", ".join(f"{c.id} = {c.name}" for c in truth.legend.classes)
        tell(
            f"{labels.path}: no pixel of class {', '.join(missing)}; labels are {ids}, {IGNORE} = ignore, "
            f"which {counts[IGNORE] / counts.sum():.1%} are"
        )


def score_class(pairs: Pairs, target: LegendClass, seed: int) -> ScoredClass:
    """Score one class of all mapped sites; `seed` is that of the resampling."""
    block_px = _block_px(pairs)
    edges = choose_edges(pairs, target)
    by_split: dict[str, dict[str, SiteEvidence]] = {split: {} for split in SPLITS}
    for maps, truth in track(pairs, f"scoring {target.name}"):
        for split, evidence in gather(maps, truth, target, edges, block_px).items():
            by_split[split][truth.site] = evidence
    scored = {split: sites for split, sites in by_split.items() if sites}
    units = [
        unit for split, sites in scored.items() for unit in measure_split(split, target.name, sites, seed)
    ]
    counts = {split: pooled_counts(list(sites.values())) for split, sites in scored.items()}
    return ScoredClass(target, edges, counts, units)


def _block_px(pairs: Pairs) -> int:
    return plan_block_px([truth.grid for _, truth in pairs], pairs[0][1].finer)


def _evaluate(
    pairs: tuple[tuple[SiteMaps, Truth], ...], against: Mapping[str, str], attribution: str, seed: int
) -> Evaluation:
    legend = pairs[0][1].legend
    many = len(legend.classes) > 2
    classes = () if many else tuple(score_class(pairs, target, seed) for target in legend.foreground)
    units: list[Unit] = [unit for scored in classes for unit in scored.units]
    whole = score_classes(pairs, seed) if many else []
    places = [(unit.split, unit.site) for unit in (whole or units)]
    if not places:
        raise DatasetError(
            f"{against['maps']}: no labelled pixel lies under the maps; map sites that have labels"
        )
    targets = tuple(target.name for target in (legend.classes if many else legend.foreground))
    errors = {truth.site: error_lines(maps, truth, legend.foreground) for maps, truth in pairs}
    report = Report(
        classes=targets,
        splits=_sites_by_split(places),
        names={target: _names(pairs, target, many) for target in targets},
        thresholds={
            scored.target.name: {model: threshold(edge) for model, edge in scored.edges.items()}
            for scored in classes
        },
        models=tuple(ModelOfSite.model_validate(maps, from_attributes=True) for maps, _ in pairs),
        notes=tuple(_notes(pairs, {site for _, site in places}, classes)),
        block_px=_block_px(pairs),
        resamples=RESAMPLES,
        seed=seed,
        lines=tuple(row for target in legend.foreground for row in line_rows(pairs, target)),
        missed=tuple(line for site, lines in errors.items() for line in longest_missed(site, lines)),
        rows=tuple(row for unit in units for row in rows_of(unit)),
        paired=tuple(row for unit in units for row in paired_of(unit, *best_control(units, unit))),
        class_maps=tuple(row for unit in whole for row in unit.rows()),
        gains=tuple(gain for unit in whole for gain in unit.gains(*best_class_control(whole, unit))),
        version=__version__,
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        stands_on=_stands_on(pairs, attribution),
        **against,
    )
    areas = {truth.site: error_areas(maps, truth) for maps, truth in pairs} if many else {}
    lines = {site: found for site, found in errors.items() if found}
    return Evaluation(report, pairs, classes, lines, areas)


def score_classes(pairs: Pairs, seed: int) -> list[ClassUnit]:
    """Score the maps of many classes of all mapped sites; `seed` is that of the resampling."""
    block_px = _block_px(pairs)
    by_split: dict[str, dict[str, SiteClasses]] = {split: {} for split in SPLITS}
    for maps, truth in track(pairs, "scoring classes"):
        for split, evidence in gather_classes(maps, truth, block_px).items():
            by_split[split][truth.site] = evidence
    truth = pairs[0][1]
    pixel_ha = math.prod(truth.grid.resolution) / 1e4
    return [
        unit
        for split, sites in by_split.items()
        if sites
        for unit in measure_classes(split, truth.legend.names, pixel_ha, sites, seed)
    ]


def _names(pairs: Pairs, target: str, many: bool) -> dict[CandidateOrDate, str]:
    """What tables of a class call the candidates that are scored."""
    dates = sorted({date for maps, _ in pairs for date in maps.dates})
    named = names_of({maps.model for maps, _ in pairs}, target, dates)
    for candidate in ONE_CLASS_CONTROLS if many else (Candidate.COMMONEST,):
        del named[candidate]
    return named


def _sites_by_split(places: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Split -> its sites, from all pairs of split and site."""
    present = {split: {site for name, site in places if name == split} for split in SPLITS}
    return {split: tuple(sorted(sites - {POOLED})) for split, sites in present.items() if sites}


def _notes(pairs: Pairs, seen: set[str], classes: Sequence[ScoredClass]) -> list[str]:
    notes = [truth.note for _, truth in pairs if truth.note]
    notes += [
        f"{truth.site} is left out: no labelled pixel of a split lies under its map."
        for _, truth in pairs
        if truth.site not in seen
    ]
    if classes and not any(scored.edges for scored in classes):
        notes.append(
            "No labelled validation site was mapped, so no threshold could be chosen by labels: "
            "tables of pixels are at 0.5, where a mere change of calibration can look like a gain; "
            "the report also has the rows at the scene's own threshold."
        )
    return notes


def _stands_on(pairs: Pairs, attribution: str) -> str:
    lengths = sorted({len(maps.dates) for maps, _ in pairs})
    sites = "1 site" if len(pairs) == 1 else f"{len(pairs)} sites"
    series = " or ".join(map(str, lengths))
    return f"{attribution or 'data without a stated source'}; {sites}, T = {series}"
