"""The report of `swath lab bench` as a table for people."""

import io
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table

WIDTH = 120


def table_text(report: Mapping[str, object]) -> str:
    """Every measured figure of a report, one a row."""
    machine = report["machine"]
    table = Table(
        "measured",
        "figure",
        "unit",
        "low - high",
        "repetitions",
        title=_title(machine),
        width=WIDTH,
    )
    for name, part in report.items():
        for path, figure in _figures(part, name):
            table.add_row(path, *figure)
        table.add_section()
    console = Console(width=WIDTH, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text().rstrip()


def _title(machine: object) -> str:
    assert isinstance(machine, Mapping)
    return (
        f"{machine['processors']} processors, {machine['threads']} threads, "
        f"{', '.join(machine['extensions'])}, torch {machine['torch']}, {machine['clock']} time"
    )


def _figures(part: object, path: str) -> Iterator[tuple[str, list[str]]]:
    """(where, [figure, unit, spread, repetitions]) of all figures below `part`."""
    if not isinstance(part, Mapping):
        return
    if "unit" in part:
        figure, low, high = (f"{part[key]:,.4g}" for key in ("value", "low", "high"))
        spread = f"{low} - {high}" if part["repetitions"] > 1 else ""
        yield path, [figure, part["unit"], spread, str(part["repetitions"])]
        return
    for key, below in part.items():
        if key in ("gflop_per_s", "share_of_conv_peak", "conv peak"):
            unit = {"gflop_per_s": "GFLOP/s", "conv peak": "GFLOP/s"}.get(key, "")
            yield f"{path}: {key}", [f"{below:,.4g}", unit, "", ""]
        else:
            yield from _figures(below, f"{path}: {key}" if key != "cases" else path)
