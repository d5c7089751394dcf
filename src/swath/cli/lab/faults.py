"""`swath lab faults`: what commands lose that are killed, starved, or left alone."""

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli.options import JsonOption, SeedOption
from swath.cli.output import emit

if TYPE_CHECKING:
    from swath.lab.faults.outcome import FaultRounds
    from swath.lab.faults.place import Command


def command(
    rounds: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many.")] = 200,
    only: Annotated[
        list[str] | None, typer.Option("--command", help="Command to disturb; else all. Repeatable.")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Disturb commands, run them again, and compare what they leave with undisturbed runs.

    In a small simulated world, each round kills a command or a worker, fills its disk, limits its
    files or memory, or takes its server away. Then it runs again, undisturbed. Its outputs must
    have the same bytes as if nothing had happened, and its inputs must be as they were. A disk is
    filled where this user may mount one. Interrupted, it shows the rounds before.
    """
    from swath.lab.faults.rounds import measure_faults

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = measure_faults(commands, rounds, seed, only or ())
    finally:
        signal.signal(signal.SIGTERM, before)
    emit(found.as_json(), as_json, _lines(found))
    if len(found.outcomes) < rounds:
        raise KeyboardInterrupt
    if found.losses:
        raise typer.Exit(1)


def commands(scenes: list[str]) -> "tuple[Command, ...]":
    """What is disturbed, each after those whose results it needs; three scenes of one town."""
    return (*_making(), *_mapping(*scenes))


def _making() -> "Iterator[Command]":
    from swath.lab.faults.fault import Fault
    from swath.lab.faults.place import ALWAYS, Command

    yield Command(
        "fetch",
        ("fetch", "fetch.yaml", "--out", "fetched"),
        "fetched",
        ("fetch.yaml",),
        (*ALWAYS, Fault.SERVER),
    )
    yield Command(
        "build",
        ("build", "world/sites.yaml", "--out", "data"),
        "data",
        ("world",),
        (*ALWAYS, Fault.WORKER),
        workers=("--workers", "2"),
        other=("--bands", "B02,B03,B04"),
        replace=("--overwrite",),
    )
    yield Command(
        "train",
        ("train", "data", "--out", "run", "--preset", "demo", "--settings", "train.yaml"),
        "run",
        ("data", "train.yaml"),
        (*ALWAYS, Fault.WORKER),
        again=("--resume",),
        workers=("--workers", "1"),
        other=("--seed", "1"),
        replace=("--overwrite",),
    )


def _mapping(first: str, second: str, third: str) -> "Iterator[Command]":
    from swath.lab.faults.fault import Fault
    from swath.lab.faults.place import ALWAYS, Command

    tiles = ("--tile", "32", "--device", "cpu", "--precision", "fp32", "--name", "town")
    yield Command(
        "map",
        ("map", "run", first, second, "--out", "maps", *tiles),
        "maps",
        ("world", "run"),
        (*ALWAYS, Fault.WORKER),
        workers=("--workers", "2"),
        other=("--threshold", "0.3"),
        replace=("--overwrite",),
    )
    yield Command(
        "update",
        ("update", "maps", third, "--device", "cpu"),
        "maps",
        ("world", "run", "maps"),
        (*ALWAYS, Fault.WORKER),
        workers=("--workers", "2"),
    )
    yield Command(
        "conflate",
        ("conflate", "maps", "world/town/roads.geojson", "--out", "conflated"),
        "conflated",
        ("world", "run", "maps"),
        replace=("--overwrite",),
    )


def _lines(found: "FaultRounds") -> list[str]:
    """A Markdown table: a row a command and fault; then what was lost."""
    from swath.report.text import markdown

    table = [["command", "fault", "rounds", "struck", "survived", "lost"]]
    for row in found.tallies:
        counts = (row.rounds, row.struck, row.survived, row.lost)
        table.append([row.command, row.fault, *map(str, counts)])
    return [
        *markdown(table),
        "",
        f"{len(found.outcomes)} rounds, {len(found.losses)} with a loss",
        *(f"not tried here: {fault}" for fault in found.untried),
        *(f"not compared ({name}): {', '.join(files)}" for name, files in found.unlike.items()),
        *(f"{lost.command}, {lost.fault}, seed {lost.seed}: {lost.lost}" for lost in found.losses),
    ]
