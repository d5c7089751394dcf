"""A small place with all that each command needs, and what each makes there when nobody disturbs it."""

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from swath.errors import InputError, SettingsError
from swath.files import sha256, write_text
from swath.lab.faults.catalogue import COLLECTION, Catalogue, serving
from swath.lab.faults.disk import PAGE
from swath.lab.faults.fault import Child, Fault
from swath.progress import track
from swath.simulate.world import write_world

ALWAYS = (Fault.KILL, Fault.TERM, Fault.FULL, Fault.LIMIT, Fault.MEMORY)
"""What can happen to every command."""

_LONGEST_S, _LONGEST = 120.0, 20
_SIZE_PX = 64
_WEST, _SOUTH = 0.15, 0.85
"""Shares of the way through a scene where the fetched site begins and ends."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is disturbed.

    Attributes:
        name: As users call it.
        arguments: What stands after `swath`.
        out: What it makes, or adds to.
        reads: The files and folders that it needs.
        faults: What can happen to it.
        again: Further arguments when it is run again.
        workers: Further arguments with which others do its work.
        other: Further arguments that make something else, which is there already in half of the
            rounds; none: nothing is to be replaced.
        replace: Further arguments with which it is.
    """

    name: str
    arguments: tuple[str, ...]
    out: str
    reads: tuple[str, ...]
    faults: tuple[Fault, ...] = ALWAYS
    again: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()


Plan = Callable[[list[str]], tuple[Command, ...]]
"""What is disturbed, each after those whose results it reads; given the paths of three scenes."""


@dataclass(slots=True)
class Undisturbed:
    """What a command makes, and how long it takes.

    Attributes:
        files: SHA-256 of every file of the output.
        old: The same of what was there before and is to be replaced or added to.
        unlike: Files that two undisturbed runs do not make alike, `#` for numbers in their names: they
            are not compared.
        takes_s: Seconds alone, and with workers.
        bytes_most: Of the largest file.
        pages: Of 4 KiB, of all files.
        requests: Of the server.
    """

    files: dict[str, str] = field(default_factory=dict)
    old: dict[str, str] = field(default_factory=dict)
    unlike: list[str] = field(default_factory=list)
    takes_s: tuple[float, float] = (0.0, 0.0)
    bytes_most: int = 0
    pages: int = 0
    requests: int = 0

    @property
    def longest_s(self) -> float:
        """A disturbed command that takes longer hangs; many times as long, as machines have other work."""
        return max(_LONGEST_S, _LONGEST * max(self.takes_s))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the commands are disturbed.

    Attributes:
        folder: Holds what all commands read and, in `old`, what they replace.
        catalogue: The server that is fetched from.
        commands: In order.
        undisturbed: By name of the command.
    """

    folder: Path
    catalogue: Catalogue
    commands: tuple[Command, ...]
    undisturbed: dict[str, Undisturbed]

    def copy(self, command: Command, target: Path, *, old: bool = False) -> None:
        """Lay out what a command reads, and with `old` what it is to replace."""
        target.mkdir(exist_ok=True)
        pairs = [(self.folder / name, target / name) for name in command.reads]
        if old:
            pairs.append((self.folder / "old" / command.name, target / command.out))
        for source, copy in pairs:
            shutil.copytree(source, copy) if source.is_dir() else shutil.copyfile(source, copy)


@contextmanager
def make_place(folder: Path, plan: Plan, seed: int, names: Sequence[str] = ()) -> Iterator[Place]:
    """Make a world, and run commands in it undisturbed: once alone, once with workers.

    Args:
        folder: An empty folder.
        plan: The commands.
        seed: Of the world.
        names: Commands that are to be disturbed; none: all.

    Raises:
        SettingsError: A name of no command.
        InputError: An undisturbed command fails, or makes what it is to replace.
    """
    base = folder / "base"
    base.mkdir(parents=True)
    write_world(base / "world", {"town": "train", "village": "validation"}, seed=seed, size_px=_SIZE_PX)
    scenes = sorted((base / "world" / "town").glob("*.tif"))
    stage = {"phases": [{"learning_rate": 0.001, "epochs": 3}], "batches": 2, "batch_size": 2, "patch_px": 32}
    write_text(base / "train.yaml", yaml.safe_dump({"width": 4, "hidden": 4, "fcn": stage, "rnn": stage}))
    Child(base, []).end()  # what the others are forked from takes its time to begin
    with serving(folder / "served", scenes) as catalogue:
        write_text(base / "fetch.yaml", yaml.safe_dump(_fetch_file(catalogue, scenes)))
        known = plan([path.relative_to(base).as_posix() for path in scenes])
        all_names = [command.name for command in known]
        if unknown := [name for name in names if name not in all_names]:
            raise SettingsError(f"no command {unknown[0]!r} is disturbed; known are {', '.join(all_names)}")
        place = Place(base, catalogue, _needed(known, names), {})
        for command in track(place.commands, "running commands undisturbed"):
            place.undisturbed[command.name] = _measure(place, command, folder)
        yield place


def _needed(all_commands: tuple[Command, ...], names: Sequence[str]) -> tuple[Command, ...]:
    """The named commands, or all, and those whose results they read."""
    kept: list[Command] = []
    for command in reversed(all_commands):
        if not names or command.name in names or any(command.out in later.reads for later in kept):
            kept.insert(0, command)
    return tuple(kept)


def _fetch_file(catalogue: Catalogue, scenes: list[Path]) -> dict[str, object]:
    west, south, east, north = catalogue.items[0]["bbox"]
    bounds = [west + _WEST * (east - west), south + _WEST * (north - south),
              west + _SOUTH * (east - west), south + _SOUTH * (north - south)]  # fmt: skip
    days = {"start": scenes[0].stem, "end": scenes[-1].stem, "dates": len(scenes)}
    site = {"bounds": bounds, "split": "train", "labels": "roads.geojson"}
    return {"fetch": {"api": catalogue.url, "collection": COLLECTION, **days}, "sites": {"town": site}}


def _measure(place: Place, command: Command, folder: Path) -> Undisturbed:
    """Run a command undisturbed, and keep what it makes for those that come after it."""
    known = Undisturbed()
    if command.other:
        _undisturbed(place, command, folder, command.other)
        (place.folder / "old").mkdir(exist_ok=True)
        (folder / "try" / command.out).rename(place.folder / "old" / command.name)
        known.old = digests(place.folder / "old" / command.name)
    elif command.out in command.reads:
        known.old = digests(place.folder / command.out)
    alone_s = _undisturbed(place, command, folder, ())
    known.files = digests(folder / "try" / command.out)
    if known.files == known.old:
        raise InputError(f"{command.name} makes the same with {' '.join(command.other)}: nothing is replaced")
    known.requests = place.catalogue.asked
    sizes = [path.stat().st_size for path in (folder / "try" / command.out).rglob("*") if path.is_file()]
    known.bytes_most, known.pages = max(sizes), sum(size // PAGE + 1 for size in sizes)
    if command.out not in command.reads:
        (folder / "try" / command.out).rename(place.folder / command.out)
    shared_s = _undisturbed(place, command, folder, command.workers)
    second = digests(folder / "try" / command.out)
    both = {name for name, _ in known.files.items() ^ second.items()}
    known.unlike = sorted({without_numbers(name) for name in both})
    known.takes_s = (alone_s, shared_s)
    shutil.rmtree(folder / "try")
    return known


def _undisturbed(place: Place, command: Command, folder: Path, more: tuple[str, ...]) -> float:
    shutil.rmtree(folder / "try", ignore_errors=True)
    place.copy(command, folder / "try")
    place.catalogue.begin()
    began = time.monotonic()
    child = Child(folder / "try", [*command.arguments, *more])
    if (code := child.end()) != 0:
        raise InputError(f"swath {' '.join(command.arguments)}, undisturbed, ended with {code}: {child.said}")
    return time.monotonic() - began


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def without_numbers(name: str) -> str:
    """A name with `#` for each number: as of logs, which have the time in theirs."""
    return re.sub(r"\d+", "#", name)
