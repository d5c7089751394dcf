"""Numbers and tables as people read them."""

import shutil
from collections.abc import Sequence
from textwrap import fill

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

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


def place_text(lat: float, lon: float) -> str:
    """A place as people write it: 48.11° N, 1.68° W."""
    return f"{abs(lat):.3f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.3f}° {'E' if lon >= 0 else 'W'}"


def markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first row is its head."""
    head, *body = table
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in body)]


def plain(table: Table, width: int) -> str:
    """A table for the terminal as text without colours, at most so many characters wide.

    Where the terminal is too narrow for its columns, it is a list, a paragraph a row.
    """
    width = min(width, shutil.get_terminal_size((width, 24)).columns)
    console = Console(width=width, color_system=None)
    # The room that it must have, whatever there is.
    wide = console.options.update(width=10 * width)
    if Measurement.get(console, wide, table).minimum > width:
        return _listed(table, max(width, 20))
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip("\n")


def _listed(table: Table, width: int) -> str:
    """The rows of a table as paragraphs: what stands first, and each cell after its column's name."""
    heads = [" ".join(_unmarked(column.header).split()) for column in table.columns]
    rows = zip(*(map(_unmarked, column.cells) for column in table.columns), strict=True)
    texts = [
        f"{first}: "
        + ", ".join(f"{head} {cell}" for head, cell in zip(heads[1:], cells, strict=True) if cell)
        for first, *cells in rows
    ]
    around = [_unmarked(text) if text else "" for text in (table.title, table.caption)]
    lines = [around[0], *texts, around[1]]
    return "\n".join(
        fill(line, width, subsequent_indent="  ", break_on_hyphens=False) for line in lines if line
    )


def _unmarked(content: RenderableType) -> str:
    return Text.from_markup(content).plain if isinstance(content, str) else str(content)
