"""Numbers and tables as people read them."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

SPLIT_TITLES = {"train": "training", "validation": "validation", "test": "test", "all": "all"}


def number(value: float | None, digits: int = 3) -> str:
    """A score, or a dash where it is not defined."""
    return "–" if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    """A difference with its sign, or a dash where it is not defined."""
    return "–" if value is None else f"{value:+.3f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share in per cent, with one digit as the paper prints it; or a dash."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def interval(bounds: Sequence[float] | None, *, signed: bool = False, digits: int = 3) -> str:
    """The bounds of an interval in brackets; empty where there is none."""
    if bounds is None:
        return ""
    low, high = (f"{bound:{'+' if signed else ''}.{digits}f}" for bound in bounds)
    return f"[{low}, {high}]"


def markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first row is its head."""
    head, *body = table
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in body),
    ]


def plain(table: Table, width: int) -> str:
    """A table for the terminal as text without colours, at most so many characters wide."""
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip("\n")
