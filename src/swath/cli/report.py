"""`swath report`: maps as one page to send."""

from pathlib import Path
from typing import Annotated

import typer

from swath.cli.options import JsonOption, OverwriteOption
from swath.cli.output import emit
from swath.cli.view import MapsArgument, WithOption


def command(
    maps: MapsArgument,
    out: Annotated[Path, typer.Option("--out", help="The page, a file *.html.")],
    beside: WithOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write MAPS as one file that opens in any browser: no server, no network, small enough to mail."""
    from swath.viewer.decisions import read_decisions
    from swath.viewer.page import write_page

    for folder in maps:
        read_decisions(folder)
    page = write_page(maps, out, beside or [], overwrite=overwrite)
    size = page.stat().st_size
    emit({"page": str(page), "bytes": size}, as_json, [f"page: {page} ({size / 1e6:.1f} MB)"])
