"""Options that several commands share, so that they are called and explained alike."""

from pathlib import Path
from typing import Annotated, Literal

import typer

OutOption = Annotated[Path, typer.Option("--out", help="Where the result goes.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout instead of text.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace what swath has written to --out.")
]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option("--device", help="Where the networks run; auto takes CUDA where there is one."),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=2**32 - 1, help="The same seed gives the same result.")
]
JobWorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, max=1024, help="Processes of this machine that share the work; 1 if not given."
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="A Dask scheduler (tcp://HOST:PORT) whose workers share the work instead; they must "
        "see the same files.",
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option("--workers", min=0, max=1024, help="Processes that read data; 0 reads in the main process."),
]


def split_names(text: str | None) -> tuple[str, ...] | None:
    """What an option holds with commas between; None where it was not given."""
    return tuple(name.strip() for name in text.split(",")) if text else None
