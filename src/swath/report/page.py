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
    order = report.shown_splits
    shared = {
        "report": report,
        "titles": SPLIT_TITLES,
        "order": order,
        "pooled": POOLED,
        "sites": {site: sites[site] for split in order for site in report.splits[split]},
        "gains": sorted(
            distinct(report.gains if report.class_maps else report.paired),
            key=lambda gain: order.index(gain.split),
        ),
        "figures": drawn,
        "findings": findings(report),
        "ground": headline_ground(report),
        "verdict": verdict(report),
        "map_page": map_page,
        "line_rows": [
            row
            for split in order
            for row in report.lines
            # Of a single site the pooled row says the same.
            if row.split == split and (row.site == POOLED or len(report.splits[split]) > 1)
        ],
    }
    if report.class_maps:
        return environment.get_template("many-classes.html.j2").render(
            **shared,
            shown=report.headline_model,
            colors={c.name: c.color for c in legend.classes},
        )
    return environment.get_template("two-classes.html.j2").render(
        **shared,
        tables={name: report.table(name) for name in report.classes},
        rows=report.best_rows(),
    )


def distinct(gains: Sequence[G]) -> list[G]:
    """Pooled gains of each thing once: the mean is often the best control, too."""
    return list(
        {
            (
                gain.split,
                gain.minus,
                getattr(gain, "class_name", ""),
                getattr(gain, "threshold_rule", ""),
            ): gain
            for gain in gains
            if gain.site == POOLED
        }.values()
    )


def trained(model: CandidateOrDate) -> bool:
    """Whether it is the model itself, of one date or of all, and no control."""
    return isinstance(model, dt.date) or model in (Candidate.DATES, Candidate.FUSED)


def embed(picture: Picture) -> str:
    """A picture as a data URI."""
    return "data:image/png;base64," + base64.b64encode(picture.path.read_bytes()).decode("ascii")
