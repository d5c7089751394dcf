"""`swath labels check`: how well the labels of a dataset fit its images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from swath.cli.options import JsonOption, OverwriteOption, SeedOption
from swath.cli.output import emit

if TYPE_CHECKING:
    from swath.audit.quality import SiteCheck

app = typer.Typer(help="Look after the labels of a dataset.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    """Look after the labels of a dataset."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("check", short_help="Shift, completeness, balance and age of the labels, by site.")
def check(
    dataset: Annotated[Path, typer.Argument(help="Folder made by `swath build`.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where check.json and a picture per site go; none without."),
    ] = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tell where labels look misaligned, empty or stale, and how to move them.

    The exit code is 0 however the labels look: warnings are for people to judge.
    """
    from swath.audit.check import check_json, check_labels
    from swath.dataset.catalog import read_dataset
    from swath.outfolder import Kind, check_out
    from swath.report.labelcheck import write_check

    if out is not None:
        check_out(out, Kind.LABEL_CHECK, [dataset], overwrite=overwrite)
    data = read_dataset(dataset)
    checks = check_labels(data, seed)
    result: dict[str, JsonValue] = {"dataset": str(dataset), **check_json(checks)}
    lines = [_table(checks), *_remarks(checks)]
    if out is not None:
        pictures = write_check(data, checks, out, overwrite=overwrite)
        result |= {"out": str(out), "pictures": {k: str(v) for k, v in pictures.items()}}
        lines.append(f"pictures: {out}")
    emit(result, as_json, lines)


def _table(checks: "Sequence[SiteCheck]") -> str:
    """A row a site, as plain text."""
    from rich.table import Table

    from swath.report.text import plain

    table = Table(title="Labels against images")
    table.add_column("site", no_wrap=True)
    for name in (
        "east px",
        "south px",
        "complete\nat least",
        "fore-\nground",
        "ignored",
        "empty\nblocks",
        "images",
        "labels",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("looks")
    for check in checks:
        east = south = "-"
        if check.shift is not None:
            east = f"{check.shift.east:+.2f} ± {check.shift.east_error:.2f}"
            south = f"{check.shift.south:+.2f} ± {check.shift.south_error:.2f}"
        dates = dict.fromkeys((str(check.site.dates[0]), str(check.site.dates[-1])))
        looks = dict.fromkeys(text.partition(":")[0].partition("?")[0] for text in check.warnings)
        table.add_row(
            check.site.name,
            east,
            south,
            "-" if check.completeness is None else f"{check.completeness.least:.0%}",
            f"{check.foreground_share:.1%}",
            f"{check.ignore_share:.1%}",
            f"{check.empty_blocks:.0%}",
            "\n".join(dates),
            "unknown" if check.site.labels_date is None else str(check.site.labels_date),
            "\n".join(looks) or ("well" if check.compared else "not checked"),
        )
    return plain(table, 140)


def _remarks(checks: "Sequence[SiteCheck]") -> list[str]:
    """The warnings, and the lines to paste into the sites file."""
    from swath.audit.quality import DISAGREE_PX

    lines = []
    for check in checks:
        lines += [f"{check.site.name}: {text}" for text in check.warnings]
        if not check.compared:
            lines.append(f"{check.site.name}: alignment is not checked: too little ground is labelled")
        if len(check.class_share) > 2:
            shares = ", ".join(f"{name} {share:.1%}" for name, share in check.class_share.items())
            lines.append(f"{check.site.name}: of the labelled pixels {shares}")
        if check.apart_px >= DISAGREE_PX:
            lines.append(f"{check.site.name}: to move its images, paste with each scene's path:")
            for date, (east, north) in check.image_corrections_m.items():
                lines.append(f"    {date}: shift_m: [{east}, {north}]")
        elif check.correction_m is not None:
            east, north = check.correction_m
            lines.append(f"{check.site.name}: to move them, paste under the site and build again:")
            lines.append(f"    shift_m: [{east}, {north}]")
    return lines
