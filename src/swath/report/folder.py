"""REPORT as a folder: report.json, report.html, the figures, and the errors as lines and areas."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from swath.errors import MissingExtraError
from swath.evaluation.candidate import UNTRAINED, Candidate
from swath.evaluation.errorareas import write_error_areas
from swath.evaluation.errorlines import write_error_lines
from swath.evaluation.evaluate import Evaluation
from swath.extras import need_extras
from swath.files import write_json, write_text
from swath.metrics.histogram import HALF
from swath.names import slug
from swath.outfolder import Kind, check_out, replacing_folder
from swath.progress import track
from swath.report.classfigures import draw_classes, draw_matrix
from swath.report.figures import Picture, draw_curves, draw_site
from swath.report.page import render
from swath.viewer.layer import read_layers
from swath.viewer.overlay import site_overlays
from swath.viewer.page import embedded_content
from swath.viewer.page import render as render_map
from swath.viewer.place import Exhibition, Place
from swath.viewer.scores import ERRORS

CURVES = (Candidate.FUSED, Candidate.DATES, *UNTRAINED)
"""Whose curves are drawn: the controls without a score to vary, and the shifted one, would only
crowd the plot."""


def check_report(out: Path, reads: Iterable[Path] = (), *, overwrite: bool) -> None:
    """Raise before any work what `write_report` would raise after it.

    Args:
        out: Folder of the report.
        reads: What it is made from.
        overwrite: Whether a report may be replaced.

    Raises:
        OutputExistsError: `out` exists and may not be replaced.
    """
    check_out(out, Kind.REPORT, reads, overwrite=overwrite)


def pictures_lack() -> MissingExtraError | None:
    """Why a report has no `report.html` and no figures here; None where it has them."""
    try:
        need_extras("a report with pictures (report.html)", "report")
    except MissingExtraError as error:
        return error
    return None


def write_report(evaluation: Evaluation, out: Path, *, overwrite: bool = False) -> Path:
    """Write `report.json`, `report.html`, `figures/` and `errors/<site>.gpkg`, whole or not at all.

    Maps and labels are read again for the pictures. Where `pictures_lack`, the scores and the errors
    are written alone.

    Returns:
        `report.html`, which needs no other file; without pictures `report.json`.

    Raises:
        InputError: A map or a label file is unreadable.
        OutputExistsError: As `check_report` does.
    """
    reads = evaluation.reads
    check_report(out, reads, overwrite=overwrite)
    with replacing_folder(out, Kind.REPORT, reads, overwrite=overwrite) as folder:
        write_json(folder / "report.json", evaluation.report.as_json())
        errors = _write_errors(folder / ERRORS, evaluation)
        if pictures_lack():
            return out / "report.json"
        figures = folder / "figures"
        figures.mkdir()
        drawn = _draw_matrices if evaluation.report.class_maps else _draw_curves
        page = render(
            evaluation.report,
            drawn(figures, evaluation),
            _draw_sites(figures, evaluation),
            evaluation.sites[0][1].legend,
            _map_page(evaluation, errors),
        )
        write_text(folder / "report.html", page)
    return out / "report.html"


def _write_errors(folder: Path, evaluation: Evaluation) -> dict[str, Path]:
    """Write the errors of each site that has some; site -> its file."""
    files = {}
    for maps, _ in evaluation.sites:
        file = folder / f"{maps.site}.gpkg"
        if lines := evaluation.errors.get(maps.site):
            folder.mkdir(exist_ok=True)
            write_error_lines(file, lines)
        areas = evaluation.areas.get(maps.site)
        if areas is not None and len(areas):
            folder.mkdir(exist_ok=True)
            write_error_areas(file, areas)
        if file.exists():
            files[maps.site] = file
    return files


def _map_page(evaluation: Evaluation, errors: dict[str, Path]) -> str:
    """The errors of each site over its maps: a page of its own."""
    places = []
    for maps, _ in evaluation.sites:
        files = [errors[maps.site]] if maps.site in errors else []
        places.append(Place(maps.site, maps, read_layers(maps), site_overlays(maps, files)))
    shown = Exhibition(tuple(places), ())
    return render_map(shown.title, embedded_content(shown), live=False)


def _draw_curves(folder: Path, evaluation: Evaluation) -> list[Picture]:
    pictures = []
    for scored in evaluation.classes:
        class_name = scored.target.name
        for split, counts in scored.counts.items():
            path = folder / f"curves_{split}_{slug(class_name)}.png"
            named = {
                evaluation.report.name(candidate, class_name): counts[candidate]
                for candidate in CURVES
                if candidate in counts
            }
            pictures.append(draw_curves(path, named, f"{class_name}, {split}", class_name))
    return pictures


def _draw_matrices(folder: Path, evaluation: Evaluation) -> list[Picture]:
    """The confusion matrix of the model's own map, a split each."""
    report = evaluation.report
    rows = [report.class_map(report.headline_model, split) for split in report.splits]
    return [
        draw_matrix(folder / f"matrix_{row.split}.png", row, f"{report.name(row.model)}, {row.split}")
        for row in rows
        if row is not None
    ]


def _draw_sites(folder: Path, evaluation: Evaluation) -> dict[str, Sequence[Picture]]:
    if evaluation.report.class_maps:
        return {
            truth.site: draw_classes(folder, maps, truth)
            for maps, truth in track(evaluation.sites, "drawing figures")
        }
    first = evaluation.classes[0]
    edge = first.edges.get(Candidate.FUSED, first.edges.get(Candidate.MEAN, HALF))
    return {
        truth.site: draw_site(folder, maps, truth, first.target, edge)
        for maps, truth in track(evaluation.sites, "drawing figures")
    }
