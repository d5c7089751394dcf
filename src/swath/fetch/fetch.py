"""`swath fetch`: the images of a plan, from their servers to files that are whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from swath.errors import InputError
from swath.fetch.download import fetch_image
from swath.fetch.offset import Offset
from swath.fetch.plan import FORMAT, Servers, SiteFetch, check_complete, readdressed
from swath.fetch.remote import shown
from swath.fetch.selection import Pick
from swath.files import read_json, sha256, write_json
from swath.progress import track

WORK = ".fetch"
"""Folder, in --out, of what is being downloaded; gone when all is there."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One image that is there.

    Attributes:
        site: Its site.
        pick: Its date and item.
        path: The GeoTIFF.
        sha256: Of its bytes.
        offset: How its numbers became reflectance.
        fresh: Whether this run has fetched it.
    """

    site: str
    pick: Pick
    path: Path
    sha256: str
    offset: Offset
    fresh: bool


def fetch_sites(plans: tuple[SiteFetch, ...], servers: Servers, out: Path) -> tuple[Fetched, ...]:
    """Bring the images of a plan under `out`; what is there and whole is left alone.

    Args:
        plans: One a site, none short of dates.
        servers: Where files come from.
        out: The folder; `<site>/<date>.tif` with a note `<date>.json` beside it.

    Returns:
        The images by site, oldest first.

    Raises:
        InputError: A plan is short of dates.
        RemoteError: A file cannot be had; what has come already stays.
    """
    check_complete(plans)
    fetched: list[Fetched] = []
    todo = [(plan, pick) for plan in plans for pick in plan.choice.picks]
    for plan, pick in track(todo, "fetching", total=len(todo)):
        path = out / plan.name / f"{pick.item.date}.tif"
        if there := _there(plan, pick, path):
            fetched.append(there)
            continue
        item = readdressed(plan, pick.item, servers)
        server = servers.of(plan, item)
        offset = fetch_image(server, plan.order(item), path, out / WORK)
        write_json(path.with_suffix(".json"), _note(plan, pick, sha256(path), offset))
        fetched.append(Fetched(plan.name, pick, path, sha256(path), offset, fresh=True))
    return tuple(fetched)


@contextmanager
def working_folder(out: Path) -> Iterator[Path]:
    """Lock `out` against a second fetch and clear what a killed one left.

    Yields:
        The folder for downloads; it goes away when all went well, and else stays, to go on from.

    Raises:
        InputError: Another fetch is at work there, or `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder")
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        _lock(lock, out)
        for leftover in [*out.glob(".tmp-*"), *out.glob("*/.tmp-*")]:
            if leftover.is_file():
                leftover.unlink()
        yield work
        shutil.rmtree(work, ignore_errors=True)


def _note(plan: SiteFetch, pick: Pick, digest: str, offset: Offset) -> dict[str, Any]:
    """What is kept beside an image: where it comes from. No secret, no time of day."""
    order = plan.order(pick.item)
    files = {
        name: {"href": shown(asset.href), "size": asset.size, "checksum": asset.checksum}
        for name, asset in pick.item.assets.items()
        if name in order.assets
    }
    return {
        "format": FORMAT,
        "key": plan.key,
        "item": pick.item.id,
        "collection": pick.item.collection,
        "time": pick.item.time.isoformat(),
        "clear": pick.clear,
        "source": order.source,
        "bands": list(order.bands),
        "offset": asdict(offset),
        "files": files,
        "sha256": digest,
    }


def _there(plan: SiteFetch, pick: Pick, path: Path) -> Fetched | None:
    """The image, if it is there, whole, and made of this item for this wish."""
    note = path.with_suffix(".json")
    if not path.is_file() or not note.is_file():
        return None
    try:
        value = read_json(note)
        offset = Offset(**value["offset"])
        fits = (value["format"], value["key"], value["item"]) == (FORMAT, plan.key, pick.item.id)
        digest = str(value["sha256"])
    except (InputError, KeyError, TypeError):
        return None
    if not fits or sha256(path) != digest:
        return None
    return Fetched(plan.name, pick, path, digest, offset, fresh=False)


def _lock(stream: Any, out: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no such locks there
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InputError(f"{out}: another swath fetch is at work there") from None
