"""report.html: one file that needs nothing else, not even a network."""

import base64
import datetime as dt
from collections.abc import Mapping, Sequence

from swath.evaluation.candidate import Candidate, CandidateOrDate
from swath.evaluation.measurement import POOLED
from swath.evaluation.report import Report
from swath.legend import Legend
from swath.report.figures import Picture
from swath.report.table import class_headline
from swath.report.text import SPLIT_TITLES, interval, number, percent, signed


def render(
    report: Report, drawn: Sequence[Picture], sites: Mapping[str, Sequence[Picture]], legend: Legend
) -> str:
    """The report as HTML, pictures inside.

    Args:
        report: What was measured.
        drawn: Curves, a picture a split; of many classes the confusion matrices.
        sites: Site -> its pictures.
        legend: Of the maps.
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
    shared = {"report": report, "titles": SPLIT_TITLES, "pooled": POOLED, "sites": sites}
    if report.class_maps:
        return environment.get_template("many-classes.html.j2").render(
            **shared,
            headline=class_headline(report),
            shown=report.headline_model,
            colors={c.name: c.color for c in legend.classes},
            matrices=drawn,
        )
    return environment.get_template("two-classes.html.j2").render(
        **shared,
        tables={name: report.table(name) for name in report.classes},
        rows=report.best_rows(),
        curves=drawn,
    )


def trained(model: CandidateOrDate) -> bool:
    """Whether it is the model itself, of one date or of all, and no control."""
    return isinstance(model, dt.date) or model in (Candidate.DATES, Candidate.FUSED)


def embed(picture: Picture) -> str:
    """A picture as a data URI."""
    return "data:image/png;base64," + base64.b64encode(picture.path.read_bytes()).decode("ascii")
