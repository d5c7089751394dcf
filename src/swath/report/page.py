"""report.html: one file that needs nothing else, not even a network."""

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from swath.evaluation.rows import POOLED
from swath.report.figures import Picture

if TYPE_CHECKING:
    from swath.report.report import Report

SPLIT_TITLES = {"train": "training", "validation": "validation", "test": "test", "all": "all"}


def render(report: "Report", curves: Sequence[Picture], sites: Mapping[str, list[Picture]]) -> str:
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
    environment.filters |= {
        "number": number,
        "percent": percent,
        "interval": interval,
        "embed": embed,
    }
    content = report.content
    return environment.get_template("template.html.j2").render(
        content=content,
        own=report.own,
        splits=report.splits,
        titles=SPLIT_TITLES,
        tables={name: report.table(name) for name in content["classes"]},
        rows=_best_rows(report),
        pooled=POOLED,
        curves=curves,
        sites=sites,
    )


def _best_rows(report: "Report") -> list[dict[str, Any]]:
    """One row a model: at the threshold chosen on validation where there is one, else at 0.5."""
    chosen: dict[tuple[str, ...], dict[str, Any]] = {}
    for rule in ("half", "validation"):
        for row in report.rows:
            if row["threshold_rule"] == rule:
                chosen[row["class"], row["split"], row["site"], row["model"]] = row
    return list(chosen.values())


def number(value: float | None, digits: int = 3) -> str:
    """A score, or a dash where it is not defined."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share in per cent with one digit, as the paper prints it."""
    return "–" if value is None else f"{100 * value:.1f}"


def interval(bounds: Sequence[float] | None, *, signed: bool = False) -> str:
    """The bounds of an interval in brackets; empty where there is none."""
    if bounds is None:
        return ""
    low, high = (f"{bound:+.3f}" if signed else f"{bound:.3f}" for bound in bounds)
    return f"[{low}, {high}]"


def markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first row is its head."""
    head, *body = table
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in body),
    ]


def embed(picture: Picture) -> str:
    """A picture as a data URI."""
    return "data:image/png;base64," + base64.b64encode(picture.path.read_bytes()).decode("ascii")
