"""`swath export`: a run as files that other programs run."""

from enum import StrEnum
from typing import Annotated

import typer

from swath.cli.options import JsonOption, OutOption, OverwriteOption
from swath.cli.output import emit


class Format(StrEnum):
    """What can be exported."""

    ONNX = "onnx"


def command(
    run: Annotated[str, typer.Argument(help="Folder of a training, or `starter`.")],
    out: OutOption,
    format_: Annotated[Format, typer.Option("--format", help="Of the files.")] = Format.ONNX,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the networks of RUN as ONNX files, each held against PyTorch by ONNX Runtime."""
    from swath.extras import optional_import
    from swath.mapping.request import find_model

    with optional_import("swath export", "onnx"):
        from swath.export.export import export_onnx
    differences = export_onnx(find_model(run), out, overwrite=overwrite)
    emit(
        {"out": str(out), "format": format_.value, "differences": differences},
        as_json,
        [
            *(f"{name}: within {value:.0e} of PyTorch" for name, value in differences.items()),
            f"exported: {out}",
        ],
    )
