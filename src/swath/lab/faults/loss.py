"""What is compared after a fault, and after the command was run again."""

from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from pydantic import ValidationError

from swath.errors import InputError
from swath.lab.faults.place import Command, Undisturbed, digests, without_numbers
from swath.outfolder import MARK, Mark
from swath.validation import read_model

_AT_WORK = (".tmp-", ".new-", ".old-", ".work-", ".page")
"""How names begin that are there while a command works."""

_AS_PROMISED = ((2, "error: "), (130, "interru"))
"""Exit codes, and how the last line begins then."""


def loss_at_once(command: Command, code: int | None, said: str) -> str:
    """What is wrong with how a disturbed command ended, in words; empty: it ended as promised.

    It may be done, killed by a signal, interrupted (130), or refuse with one line and exit code 2.
    """
    if code is None:
        return "it hung"
    if "Traceback" in said:
        return f"it ended with {code}, and a traceback: {said.partition('Traceback')[2][-1000:]}"
    if code > 0 and (code, last_line(said)[:7]) not in _AS_PROMISED:
        return f"it ended with {code}: {last_line(said)}"
    return ""


def loss_midway(command: Command, folder: Path, known: Undisturbed, *, replacing: bool) -> str:
    """What lies under final names, but is neither of the old result nor of the new one, in words.

    A fault leaves what was there, or what was to be made, and files that are hidden.
    """
    out = folder / command.out
    if command.name == "train" and not replacing:
        return ""  # a training's state: whether that is good, going on with it shows
    there = digests(out)
    for name, digest in _compared(there, known).items():
        if digest not in (known.files.get(name), known.old.get(name)) and not _is_whole_list(out / name):
            return f"{command.out}/{name} is half-written"
    if not (replacing or command.out in command.reads) or (folder / f".old-{command.out}").exists():
        return ""
    if any(path.name.startswith(".old-") for path in out.glob(".old-*")):
        return ""
    whole = (set(_compared(files, known)) for files in (known.old, known.files))
    return "" if any(files <= set(there) for files in whole) else f"{command.out} is not whole"


def _is_whole_list(path: Path) -> bool:
    """Whether a file says what else is there, and can be read: in between, it names more or less of it."""
    with suppress(InputError, ValidationError, BadZipFile):
        if path.name == MARK:
            return bool(read_model(path, Mark))
        return path.suffix == ".qgz" and ZipFile(path).testzip() is None
    return False


def loss_in_the_end(command: Command, folder: Path, known: Undisturbed, inputs: dict[str, str]) -> str:
    """What differs from an undisturbed run, in words; empty: nothing."""
    if inputs_of(command, folder) != inputs:
        return "an input was changed"
    there, whole = (_compared(files, known) for files in (digests(folder / command.out), known.files))
    for name in sorted({*there, *whole}):
        if there.get(name) != whole.get(name):
            what = "missing" if name not in there else "other" if name in whole else "too much"
            return f"{command.out}/{name} is {what}"
    left = left_at_work(folder)
    return f"{left[0]} was left" if left else ""


def left_at_work(folder: Path) -> list[str]:
    """Names of what is there only while a command works; what a kill leaves goes with the next command."""
    return [path.name for path in folder.rglob(".*") if path.name.startswith(_AT_WORK)]


def is_done(command: Command, folder: Path, known: Undisturbed) -> bool:
    """Whether the output is what an undisturbed run makes."""
    return _compared(digests(folder / command.out), known) == _compared(known.files, known)


def inputs_of(command: Command, folder: Path) -> dict[str, str]:
    """SHA-256 of all files that a command reads, and does not add to."""
    kept = [name for name in command.reads if name != command.out]
    return {name: digest for name, digest in digests(folder).items() if name.startswith(tuple(kept))}


def last_line(said: str) -> str:
    """The last line that a command has said."""
    lines = said.strip().splitlines()
    return lines[-1][:300] if lines else "(it said nothing)"


def _compared(files: dict[str, str], known: Undisturbed) -> dict[str, str]:
    """Without what differs from run to run, and without what is hidden but for marks."""
    return {
        name: digest
        for name, digest in files.items()
        if without_numbers(name) not in known.unlike
        and not any(part.startswith(_AT_WORK) for part in name.split("/"))
    }
