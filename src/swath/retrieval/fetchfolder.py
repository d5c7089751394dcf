"""A fetch as a whole: dates chosen, images and OpenStreetMap brought, the sites file to build."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from swath.errors import InputError, OutputExistsError, Remedy, SwathError
from swath.files import sha256
from swath.legend import read_legend
from swath.locks import locked
from swath.progress import track
from swath.retrieval.credentials import Credentials
from swath.retrieval.handover import SITES, write_sites
from swath.retrieval.mosaic import fetch_image
from swath.retrieval.note import Note
from swath.retrieval.offset import Offset
from swath.retrieval.remote import shown
from swath.retrieval.selection import Pick
from swath.retrieval.sitefetch import (
    PLAN,
    Servers,
    SiteFetch,
    check_complete,
    plan_sites,
    read_plans,
    readdressed,
    write_plans,
)
from swath.retrieval.snapshot import Snapshot, SnapshotPlan, fetch_snapshots, plan_snapshots
from swath.sites.schema import SitesFile

WORK = ".fetch"
"""Folder, beside the sites, of what is being downloaded; gone when all is there."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A GeoTIFF that is there; `offsets`: one an item; `fresh`: this run has fetched it."""

    site: str
    pick: Pick
    path: Path
    sha256: str
    offsets: tuple[Offset, ...]
    fresh: bool


class _ImageNote(Note):
    items: tuple[str, ...]
    offsets: tuple[Offset, ...]


@dataclass(frozen=True, slots=True)
class FetchFolder:
    """What is to be fetched, and, unless it was planned only, what is there.

    Attributes:
        sites_file: For `swath build`.
        changed: Whether someone has changed that file, so that it was left as it is.
        bytes_read: Bytes of files that have come (not of searches).
    """

    plans: tuple[SiteFetch, ...]
    snapshot_plans: tuple[SnapshotPlan, ...]
    images: tuple[Fetched, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    sites_file: Path | None = None
    changed: bool = False
    bytes_read: int = 0


def fetch_folder(
    settings: SitesFile,
    folder: Path,
    out: Path,
    credentials: Credentials,
    *,
    replan: bool = False,
    plan_only: bool = False,
) -> FetchFolder:
    """Fetch scenes and OpenStreetMap of all sites; what is there and whole is left alone.

    Args:
        settings: The sites file, or a place as one (`swath.retrieval.place`).
        folder: Where its relative paths start.
        out: Folder to fill: `<site>/<date>.tif`, `<site>/osm_<date>.osm.pbf`, `plan.json`,
            `sites.yaml`.
        credentials: What servers may be shown.
        replan: Whether to choose the dates anew though `out` holds a plan.
        plan_only: Whether to choose the dates, and leave nothing behind.

    Raises:
        SettingsError: The settings lack what a fetch needs.
        InputError: A site is short of dates; nothing is fetched then.
        RemoteError: A server refuses or does not recover; what has come stays, to go on from.
        BusyError: Another fetch is at work in `out`.
        OutputExistsError: `out` has such a file, which no fetch brought.
    """
    known = {} if replan else read_plans(out)
    legend = read_legend(settings.legend, folder)
    servers = Servers(credentials)

    def plan(cache: Path) -> FetchFolder:
        plans = plan_sites(settings, servers, known=known, cache=cache)
        grids = {plan.name: plan.grid for plan in plans}
        return FetchFolder(plans, plan_snapshots(settings, grids, legend))

    if plan_only:
        with tempfile.TemporaryDirectory(prefix="swath-") as cache:
            return plan(Path(cache))
    with _working_folder(out) as work:
        planned = plan(work)
        plans = planned.plans
        check_complete(plans)
        _check_own(planned, out)
        write_plans(plans, out)
        images = _fetch_images(plans, servers, out)
        snapshots = fetch_snapshots(planned.snapshot_plans, out, work)
        paths = {plan.name: [i.path for i in images if i.site == plan.name] for plan in plans}
        maps = {snapshot.plan.site: snapshot.path for snapshot in snapshots}
        written = write_sites(settings, folder, paths, maps, out)
    return replace(
        planned,
        images=images,
        snapshots=snapshots,
        sites_file=out / SITES,
        changed=not written,
        bytes_read=servers.bytes_read,
    )


def _check_own(planned: FetchFolder, out: Path) -> None:
    """Check that the first fetch into a folder replaces no file that somebody else put there."""
    if (out / PLAN).is_file():
        return
    images = [_image_path(out, plan, pick) for plan in planned.plans for pick in plan.choice.picks]
    for path in (*images, *(plan.path(out) for plan in planned.snapshot_plans)):
        if os.path.lexists(path):
            raise OutputExistsError(path, ", and no fetch into this folder has begun", Remedy.ELSEWHERE)


def _image_path(out: Path, plan: SiteFetch, pick: Pick) -> Path:
    return out / plan.name / f"{pick.date}.tif"


def _fetch_images(plans: tuple[SiteFetch, ...], servers: Servers, out: Path) -> tuple[Fetched, ...]:
    """Bring images to `<site>/<date>.tif`, by site, oldest first; see `fetch_folder`."""
    fetched: list[Fetched] = []
    todo = [(plan, pick) for plan in plans for pick in plan.choice.picks]
    for plan, pick in track(todo, "fetching", total=len(todo)):
        path = _image_path(out, plan, pick)
        note = _ImageNote.read(path, plan.key)
        fresh = note is None or note.items != tuple(item.id for item in pick.overflight.items)
        if note is None or fresh:
            orders = plan.orders(readdressed(plan, pick, servers))
            offsets = fetch_image(servers.of(plan), orders, path, out / WORK)
            note = _note(plan, pick, sha256(path), offsets)
            note.write(path)
        fetched.append(Fetched(plan.name, pick, path, note.sha256, note.offsets, fresh))
    return tuple(fetched)


@contextmanager
def _working_folder(out: Path) -> Iterator[Path]:
    """Lock `out` and clear what a killed fetch left; give it a folder for downloads.

    That goes away when all went well, and else stays, to go on from.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder")
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    out.mkdir(parents=True, exist_ok=True)
    with locked(out):
        work = out / WORK
        work.mkdir(exist_ok=True)
        for leftover in [*out.glob(".tmp-*"), *out.glob("*/.tmp-*")]:
            if leftover.is_file():
                leftover.unlink()
        try:
            yield work
        except SwathError:
            # Nothing has come: nothing stays.
            for folder in (work, out, *made[1:]):
                with suppress(OSError):
                    folder.rmdir()
            raise
        shutil.rmtree(work, ignore_errors=True)


def _note(plan: SiteFetch, pick: Pick, digest: str, offsets: tuple[Offset, ...]) -> _ImageNote:
    """What is kept beside an image. No secret, no time of day."""
    items = pick.overflight.items
    return _ImageNote(
        key=plan.key,
        sha256=digest,
        items=tuple(item.id for item in items),
        offsets=offsets,
        api=plan.api,
        collection=plan.collection,
        time=min(item.time for item in items).isoformat(),
        clear=pick.clear,
        source=plan.wanted.source,
        bands=plan.bands,
        files={
            item.id: {
                name: {"href": shown(asset.href), "size": asset.size, "checksum": asset.checksum}
                for name, asset in item.assets.items()
            }
            for item in items
        },
    )
