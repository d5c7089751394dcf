"""`swath fetch`: the images of a plan, from their servers to files that are whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from swath.errors import InputError
from swath.files import sha256
from swath.locks import locked
from swath.progress import track
from swath.retrieval.download import fetch_image
from swath.retrieval.note import Note
from swath.retrieval.offset import Offset
from swath.retrieval.remote import shown
from swath.retrieval.selection import Pick
from swath.retrieval.sitefetch import Servers, SiteFetch, readdressed

WORK = ".fetch"
"""Folder, beside the sites, of what is being downloaded; gone when all is there."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A GeoTIFF that is there; `fresh`: this run has fetched it."""

    site: str
    pick: Pick
    path: Path
    sha256: str
    offset: Offset
    fresh: bool


class _ImageNote(Note):
    item: str
    offset: Offset


def fetch_sites(plans: tuple[SiteFetch, ...], servers: Servers, out: Path) -> tuple[Fetched, ...]:
    """Bring the images of a plan under `out`; what is there and whole is left alone.

    An image is `<site>/<date>.tif` with a note `<date>.json` beside it.

    Returns:
        By site, oldest first.

    Raises:
        RemoteError: A file cannot be had; what has come already stays.
    """
    fetched: list[Fetched] = []
    todo = [(plan, pick) for plan in plans for pick in plan.choice.picks]
    for plan, pick in track(todo, "fetching", total=len(todo)):
        path = out / plan.name / f"{pick.item.date}.tif"
        note = _ImageNote.read(path, plan.key)
        fresh = note is None or note.item != pick.item.id
        if note is None or fresh:
            order = plan.order(readdressed(plan, pick.item, servers))
            server = servers.of(plan, order.item)
            offset = fetch_image(server, order, path, out / WORK)
            note = _note(plan, pick, sha256(path), offset)
            note.write(path)
        fetched.append(Fetched(plan.name, pick, path, note.sha256, note.offset, fresh))
    return tuple(fetched)


@contextmanager
def working_folder(out: Path) -> Iterator[Path]:
    """Lock `out` against a second fetch (`BusyError`) and clear what a killed one left.

    Yields:
        The folder for downloads; it goes away when all went well, and else stays, to go on from.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder")
    out.mkdir(parents=True, exist_ok=True)
    with locked(out):
        work = out / WORK
        work.mkdir(exist_ok=True)
        for leftover in [*out.glob(".tmp-*"), *out.glob("*/.tmp-*")]:
            if leftover.is_file():
                leftover.unlink()
        yield work
        shutil.rmtree(work, ignore_errors=True)


def _note(plan: SiteFetch, pick: Pick, digest: str, offset: Offset) -> _ImageNote:
    """What is kept beside an image. No secret, no time of day."""
    item = pick.item
    return _ImageNote(
        key=plan.key,
        sha256=digest,
        item=item.id,
        offset=offset,
        collection=item.collection,
        time=item.time.isoformat(),
        clear=pick.clear,
        source=plan.wanted.source,
        bands=plan.bands,
        files={
            name: {"href": shown(asset.href), "size": asset.size, "checksum": asset.checksum}
            for name, asset in item.assets.items()
        },
    )
