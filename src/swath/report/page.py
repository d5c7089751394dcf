"""report.html: one file that needs nothing else, not even a network."""

import base64
import datetime as dt
from collections.abc import Mapping, Sequence

from swath.evaluation.candidate import Candidate, CandidateOrDate
from swath.evaluation.measurement import POOLED
from swath.evaluation.report import Report
from swath.report.figures import Picture
from swath.report.text import interval, number, percent, signed

SPLIT_TITLES = {"train": "training", "validation": "validation", "test": "test", "all": "all"}


def render(report: Report, curves: Sequence[Picture], sites: Mapping[str, Sequence[Picture]]) -> str:
    """The report as HTML, pictures inside.

    Args:
        report: What was measured.
        curves: A picture a split.
        sites: Site -> its pictures.
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
    return environment.get_template("template.html.j2").render(
        report=report,
        titles=SPLIT_TITLES,
        tables={name: report.table(name) for name in report.classes},
        rows=report.best_rows(),
        pooled=POOLED,
        curves=curves,
        sites=sites,
    )


def trained(model: CandidateOrDate) -> bool:
    """Whether it is the model itself, of one date or of all, and no control."""
    return isinstance(model, dt.date) or model in (Candidate.DATES, Candidate.FUSED)


def embed(picture: Picture) -> str:
    """A picture as a data URI."""
    return "data:image/png;base64," + base64.b64encode(picture.path.read_bytes()).decode("ascii")
