"""`swath show`: one file as a picture."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from swath.cli.options import JsonOption, OverwriteOption
from swath.cli.output import emit


def command(
    file: Annotated[Path, typer.Argument(help="A raster or a vector file: a map, an image, roads.")],
    out: Annotated[Path | None, typer.Option("--out", help="A PNG file; else the terminal.")] = None,
    width: Annotated[
        int | None, typer.Option(min=8, max=4096, help="Longest side in px; else 1024, or the terminal.")
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show FILE: probabilities in their colours, classes in those of the legend, images, lines."""
    from rich.console import Console
    from rich.segment import Segments

    from swath.errors import SettingsError
    from swath.outfolder import making_file
    from swath.viewer.show import blocks, picture, write_picture

    if as_json and out is None:
        raise SettingsError("--json says what was written; name a PNG file with --out")
    if out is not None and out.suffix.lower() != ".png":
        raise SettingsError(f"--out {out}: a picture is written as PNG; name it *.png")
    if out is None:
        side = width or max(8, min(shutil.get_terminal_size().columns, 120))
        Console(color_system="truecolor").print(Segments(blocks(picture(file, side))), end="")
        return
    with making_file(out, [file], overwrite=overwrite):
        shown = picture(file, width or 1024)
        write_picture(out, shown)
    _, height, wide = shown.shape
    emit({"picture": str(out), "width": wide, "height": height}, as_json, [f"picture: {out}"])
