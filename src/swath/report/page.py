"""report.html: one file that needs nothing else, not even a network."""

import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TypeVar

from swath.evaluation.agreement import Gain
from swath.evaluation.candidate import Candidate, CandidateOrDate
from swath.evaluation.measurement import POOLED
from swath.evaluation.report import Report
from swath.evaluation.row import Paired
from swath.legend import Legend
from swath.report.figures import Picture
from swath.report.headline import findings, headline_ground, verdict
from swath.report.text import SPLIT_TITLES, interval, number, percent, signed

G = TypeVar("G", Paired, Gain)


def render(
    report: Report,
    drawn: Sequence[Picture],
    sites: Mapping[str, Sequence[Picture]],
    legend: Legend,
    map_page: str,
) -> str:
    """The report as HTML, pictures inside.

    Args:
        report: What was measured.
        drawn: Curves, a picture a split; of many classes the confusion matrices.
        sites: Site -> its pictures.
        legend: Of the maps.
        map_page: The maps with their errors, a page of its own that is shown inside.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("swath", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    filters = (number, signed, percent, interval, embed)
    environment.filters |= {function.__name__: function for function in filters}
    environment.tests["trained"] = trained
    shared = {**_shared(report), "figures": drawn, "map_page": map_page}
    shared["sites"] = {site: sites[site] for split in report.shown_splits for site in report.splits[split]}
    if report.class_maps:
        return environment.get_template("many-classes.html.j2").render(
            **shared, shown=report.headline_model, colors={c.name: c.color for c in legend.classes}
        )
    return environment.get_template("two-classes.html.j2").render(
        **shared, tables={name: report.table(name) for name in report.classes}, rows=report.best_rows()
    )


def _shared(report: Report) -> dict[str, object]:
    """What both kinds of pages say of a report."""
    order = report.shown_splits
    return {
        "report": report,
        "titles": SPLIT_TITLES,
        "order": order,
        "pooled": POOLED,
        "gains": distinct(report.gains, order) if report.class_maps else distinct(report.paired, order),
        "findings": findings(report),
        "ground": headline_ground(report),
        "verdict": verdict(report),
        "line_rows": [
            row
            for split in order
            for row in report.lines
            # Of a single site the pooled row says the same.
            if row.split == split and (row.site == POOLED or len(report.splits[split]) > 1)
        ],
    }


def distinct(gains: Sequence[G], splits: Sequence[str]) -> list[G]:
    """Pooled gains, each once, in the order of the splits: the mean is often the best control, too."""
    chosen = {_subject(gain): gain for gain in gains if gain.site == POOLED}
    return sorted(chosen.values(), key=lambda gain: splits.index(gain.split))


def _subject(gain: Paired | Gain) -> tuple[str, ...]:
    of = (gain.class_name, gain.threshold_rule) if isinstance(gain, Paired) else ()
    return (gain.split, str(gain.minus), *of)


def trained(model: CandidateOrDate) -> bool:
    """Whether it is the model itself, of one date or of all, and no control."""
    return isinstance(model, dt.date) or model in (Candidate.DATES, Candidate.FUSED)


def embed(picture: Picture) -> str:
    """A picture as a data URI."""
    return "data:image/png;base64," + base64.b64encode(picture.path.read_bytes()).decode("ascii")
