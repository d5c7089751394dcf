"""The folders that swath writes: known by a mark, and replaced whole or not at all.

Only what has the mark is ever replaced, and only if nothing else was put in since: what a user
names as an output may be a home folder, or the place where the inputs lie.
"""

import mmap
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from swath.errors import BusyError, InputError, OutputError, OutputExistsError, Remedy
from swath.files import refusals_blamed, sync, write_json
from swath.locks import locked
from swath.validation import Frozen, read_model

MARK = ".swath"
"""File in every folder that swath made: what the folder is, and which files swath wrote into it."""

SIGNS = {
    ".html": b'<meta name="generator" content="swath">',
    ".png": b"Software\0swath",
    ".gpkg": b'<MDI key="software">swath</MDI>',
    ".json": b'"grain_px"',
}
"""Bytes of the single files that swath writes, by their suffix: what it may replace bears them."""

_OF_DESKTOPS = {".DS_Store", "Thumbs.db", "desktop.ini"}


class Kind(StrEnum):
    """What a folder that swath made is."""

    WORLD = "simulated world"
    DATASET = "dataset"
    RUN = "run"
    MAPS = "site's maps"
    REPORT = "report"
    CONFLATION = "conflation"
    LABEL_CHECK = "check of labels"
    STAGE = "trained stage"
    EXPORT = "exported model"
    DEMO = "demo"


class Mark(Frozen):
    """What `MARK` says.

    Attributes:
        kind: What the folder is.
        holds: The files that swath wrote, relative to it; `name/` stands for all that is below.
    """

    kind: Kind
    holds: tuple[str, ...] = ()


def mark(folder: Path, kind: Kind, holds: Iterable[str] | None = None) -> None:
    """Mark a folder as made by swath; `holds` is by default all that is in it."""
    names = (path.relative_to(folder).as_posix() for path in _files(folder)) if holds is None else holds
    content = Mark(kind=kind, holds=tuple(sorted({*names} - {MARK})))
    write_json(folder / MARK, content.model_dump(mode="json"))


def mark_more(folder: Path, names: Iterable[str]) -> None:
    """Say in the mark of a folder, where it has one, that swath writes further files into it."""
    with suppress(InputError, ValidationError):
        known = read_model(folder / MARK, Mark)
        mark(folder, known.kind, {*known.holds, *names})


def check_out(path: Path, kind: Kind, reads: Iterable[Path] = (), *, overwrite: bool) -> None:
    """Check that a folder may be made, or replaced.

    Args:
        path: The folder.
        kind: What it will be.
        reads: Files and folders that it is made from.
        overwrite: Whether a folder of that kind, with nothing in it but what swath wrote, may be
            replaced.

    Raises:
        OutputExistsError: It is there and may not be replaced.
        OutputError: It is to be replaced, but the system lets nobody remove what is in it.
    """
    there = next((part for part in (path, *path.parents) if os.path.lexists(part)), Path())
    if not there.is_dir():
        raise OutputExistsError(there, " and is no folder", Remedy.ELSEWHERE)
    if there != path:
        return
    why = "is or holds the current folder" if within(Path.cwd(), path) else ""
    if path.resolve().is_mount():  # of `.` Python says that it is one
        why = "is where a disk is mounted, which cannot be exchanged for another folder"
    if any(path.iterdir()):
        why = why or clash(path, reads) or _foreign(path, kind)
    elif not why:
        return
    if why:
        raise OutputExistsError(path, f" and {why}", Remedy.ELSEWHERE)
    if not overwrite:
        raise OutputExistsError(path)
    for home, folders, files in os.walk(path):
        if (folders or files) and not os.access(home, os.W_OK | os.X_OK):
            raise OutputError(path, f"nothing may be removed from {home}, which has no right to write")


@contextmanager
def making_file(path: Path, reads: Iterable[Path] = (), *, overwrite: bool) -> Iterator[None]:
    """Check that a file may be written, or replaced, and keep its name from others while it is made.

    `overwrite` is for what bears its sign of `SIGNS`.

    Raises:
        BusyError: Another process is making it.
        OutputExistsError: It is there and may not be replaced.
        OutputError: It is no place for a file.
    """
    claim = path.with_name(f".lock-{path.name}") if path.name and path.parent.is_dir() else None
    with ExitStack() as held:
        if claim is not None:
            with _said_of(path):
                claim.touch()
            try:
                held.enter_context(locked(claim))
            except BusyError:
                raise BusyError(path) from None
            held.callback(claim.unlink, missing_ok=True)
        _check_file(path, reads, overwrite=overwrite)
        yield


def _check_file(path: Path, reads: Iterable[Path], *, overwrite: bool) -> None:
    if not os.path.lexists(path):
        return
    if not path.is_file():
        raise OutputError(path, "it is there already, and is no file")
    if why := clash(path, reads) or _unsigned(path):
        raise OutputExistsError(path, f" and {why}", Remedy.ELSEWHERE)
    if not overwrite:
        raise OutputExistsError(path)


def _unsigned(path: Path) -> str:
    """Why a file is not known to be by swath; empty if it is."""
    with path.open("rb") as file:
        if path.stat().st_size:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
                if held.find(SIGNS.get(path.suffix.lower(), b"swath")) >= 0:
                    return ""
    return "was not made by swath (it bears no sign of it)"


def clash(path: Path, reads: Iterable[Path]) -> str:
    """Which of `reads` an existing path is, holds or lies in, in words; empty if none."""
    for read in reads:
        if within(read, path):
            return f"{'is' if within(path, read) else 'holds'} {read}, which is read"
        if within(path, read):
            return f"lies in {read}, which is read"
    return ""


def within(inner: Path, outer: Path) -> bool:
    """Whether a path is another one that exists, or lies in it: by any name, through any link."""
    try:
        place = outer.stat()
    except (OSError, ValueError):
        return False
    for name in (Path(os.path.normpath(inner.absolute())), Path(os.path.realpath(inner))):
        for path in (name, *name.parents):
            with suppress(OSError, ValueError):
                if os.path.samestat(path.stat(), place):
                    return True
    return False


def _foreign(folder: Path, kind: Kind) -> str:
    """Why a folder is not one that swath made and nobody added to; empty if it is."""
    try:
        known = read_model(folder / MARK, Mark)
    except (InputError, ValidationError):
        return _unmarked(folder)
    if known.kind != kind:
        return f"holds a {known.kind}, not a {kind}"
    holds = {*known.holds, MARK}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        ours = path.name in _OF_DESKTOPS or path.name.startswith(".tmp-") or _is_held(name, holds)
        if not ours:
            return f"holds {name}, which swath did not write"
    return ""


def _unmarked(folder: Path) -> str:
    """What a folder without a mark is, as far as one sees."""
    if os.path.lexists(folder / MARK):
        return f"its {MARK}, which says what swath wrote, is damaged"
    for part in sorted(folder.iterdir()):
        if part.name.startswith(".work-"):
            return f"holds {part.name}, unfinished maps, with which swath map goes on"
        if (part / MARK).is_file():
            return f"holds {part.name}, which swath made"
    return f"was not made by swath (it has no {MARK})"


def _is_held(name: str, holds: set[str]) -> bool:
    """Whether swath wrote a file, or a program keeps it beside one (`pmap.tif.aux.xml`, `roads.gpkg-wal`)."""
    ends = (at for at, letter in enumerate(name) if letter in "/.-")
    below = (name[: at + 1] for at, letter in enumerate(name) if letter == "/")
    return name in holds or any(name[:at] in holds for at in ends) or any(part in holds for part in below)


def _files(folder: Path) -> Iterator[Path]:
    """All that is no folder; links are not followed."""
    for home, folders, files in os.walk(folder):
        links = [name for name in folders if Path(home, name).is_symlink()]
        yield from (Path(home, name) for name in sorted((*files, *links)))


@contextmanager
def replacing_folder(
    path: Path, kind: Kind, reads: Iterable[Path] = (), *, overwrite: bool
) -> Iterator[Path]:
    """Give a temporary folder to fill; put it in the place of `path` only when all went well.

    What is there stands until then, and is back should anything fail. Arguments as of `check_out`.

    Raises:
        OutputExistsError: `path` is there and may not be replaced.
        BusyError: Another process is making it.
        OutputError: It cannot be written.
    """
    inputs = tuple(reads)
    check_out(path, kind, inputs, overwrite=overwrite)
    home = path.resolve()
    with _temporary_folder(home, path, kind) as temporary:
        recover(home)
        check_out(path, kind, inputs, overwrite=overwrite)
        try:
            with refusals_blamed(path):
                yield temporary
        except OutputError as error:
            error.args = (str(error).replace(str(temporary), str(path)),)
            raise
        settle(temporary, kind)
        exchange(temporary, home)


@contextmanager
def _temporary_folder(home: Path, path: Path, kind: Kind) -> Iterator[Path]:
    """A folder beside `home` that is locked, and goes if it is still there in the end."""
    temporary = home.parent / f".tmp-{home.name}"
    with _said_of(path):
        home.parent.mkdir(parents=True, exist_ok=True)
        sweep(home.parent)
    try:
        temporary.mkdir()
    except FileExistsError:
        raise BusyError(path) from None
    except OSError as error:
        raise OutputError(path, error.strerror or str(error)) from None
    with locked(temporary):
        try:
            mark(temporary, kind, ())
            yield temporary
        finally:
            remove(temporary)


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """Errors of the system are said of the output."""
    try:
        yield
    except OSError as error:
        raise OutputError(path, error.strerror or str(error)) from None


def sweep(folder: Path) -> None:
    """Remove the temporary folders in a folder whose makers are dead."""
    for dead in folder.glob(".tmp-*"):
        if dead.is_symlink() or not dead.is_dir():
            continue
        with suppress(BusyError, OSError), locked(dead):
            if (dead / MARK).is_file() or all(map(_begins_mark, dead.iterdir())):
                remove(dead)


def _begins_mark(path: Path) -> bool:
    """Whether it is a mark that was being written when its writer was killed."""
    return path.name.startswith(".tmp-") and path.name.endswith(f"-{MARK}")


def settle(folder: Path, kind: Kind, holds: Iterable[str] | None = None) -> None:
    """Mark a folder that is whole (see `mark`), and wait until all of it is on the disk.

    Raises:
        OutputError: It cannot get there.
    """
    mark(folder, kind, holds)
    for path in _files(folder):
        if path.is_symlink():
            continue
        with _said_of(path):
            sync(path)


def exchange(new: Path, home: Path) -> None:
    """Put a finished folder in the place of another one, which goes only then.

    Raises:
        OutputError: The system refuses; then all is as it was.
    """
    old = _old(home)
    with _said_of(home):
        there = home.exists()
        if there:
            home.rename(old)
        try:
            new.rename(home)
        except OSError:
            if there:
                old.rename(home)
            raise
    if there:
        remove(old)
    with suppress(OSError):
        sync(home.parent)


def recover(home: Path) -> None:
    """Undo or finish an exchange of folders that was killed halfway.

    `exchange` first moves the old folder aside. Where the new one did not come to its place, the
    old one goes back.
    """
    old = _old(home)
    if old.is_symlink() or not (old / MARK).is_file():
        return
    if not home.exists():
        old.rename(home)
    elif (home / MARK).is_file():
        remove(old)


def remove(folder: Path) -> None:
    """Remove a marked folder, if it is there, its mark last: so it is known should a kill come between."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != MARK:
            path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _old(home: Path) -> Path:
    return home.parent / f".old-{home.name}"
