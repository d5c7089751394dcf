"""`swath view`: look at maps in a browser."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from swath.cli.options import JsonOption
from swath.cli.output import emit

MapsArgument = Annotated[list[Path], typer.Argument(help="Folders made by `swath map`.")]
WithOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--with",
        metavar="PATH",
        help="What to show beside the maps: a vector file or a folder with some (OpenStreetMap, what "
        "`swath conflate` and `swath changes` wrote), or a report of `swath evaluate`. Repeatable.",
    ),
]


def command(
    maps: MapsArgument,
    beside: WithOption = None,
    host: Annotated[
        str, typer.Option(help="Where to listen. Others on the network can look at any but a loopback one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Show MAPS as a page in the browser, until interrupted. Nothing is asked of any other machine.

    What you decide on the lines to check is kept in MAPS/decisions.gpkg.
    """
    import webbrowser

    from swath.viewer.server import Gallery, serve

    def ready(address: str) -> None:
        emit({"url": address}, as_json, [f"{address}  (Ctrl-C ends it)"])
        sys.stdout.flush()
        # Over SSH the browser would be one of the terminal, or of a screen that nobody sees.
        if browser and sys.stdout.isatty() and "SSH_CONNECTION" not in os.environ:
            webbrowser.open(address)

    serve(Gallery(maps, beside or []), host, port, ready)
