"""`swath fetch`: from sites with bounds to sites with scenes. A plan first, then the files.

The plan is kept in the folder (`plan.json`), so that a run that was broken off goes on with the
same dates, and a second run asks no server at all.
"""

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from swath.errors import InputError, RemoteError, SettingsError
from swath.fetch.credentials import Access, Credentials
from swath.fetch.download import Order, fetch_image, measure_clear
from swath.fetch.offset import Offset
from swath.fetch.remote import Server, shown
from swath.fetch.selection import Choice, Pick, Rejection, choose, sift
from swath.fetch.stac import StacItem, find_preset, search
from swath.files import read_json, sha256, write_json
from swath.grid import Grid
from swath.progress import track
from swath.sentinel2 import TCI_BANDS
from swath.settings import FetchSettings, SitesFile

FORMAT = 1
"""Of `plan.json` and of the notes beside the images; another one is planned anew."""

PLAN = "plan.json"
WORK = ".fetch"
"""Folder, in --out, of what is being downloaded; gone when all is there."""


@dataclass(frozen=True, slots=True)
class SiteFetch:
    """What is to be fetched for one site.

    Attributes:
        name: The site.
        wanted: What is looked for, all defaults worked out.
        bands: Names of the bands of the images.
        grid: Where the dataset's pixels of the site will lie.
        key: Changes with everything that the choice depends on.
        choice: The dates, with reasons.
        broken: What was wrong with items that could not be used.
    """

    name: str
    wanted: FetchSettings
    bands: tuple[str, ...]
    grid: Grid
    key: str
    choice: Choice
    broken: tuple[str, ...] = ()

    def order(self, item: StacItem) -> Order:
        """How an item becomes an image of this site."""
        source: Literal["visual", "bands"] = "visual" if self.wanted.source == "visual" else "bands"
        mask = self.wanted.mask == "scl"
        wanted = self.wanted
        return Order(item, source, wanted.access, self.bands, wanted.offset_dn, mask, self.grid)


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


class Servers:
    """The servers of one run: one login and one connection each, and all their bytes."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._servers: dict[tuple[str, str], Server] = {}

    def server(self, api: str, collection: str) -> Server:
        """The server for the files of a collection."""
        key = api, collection
        if key not in self._servers:
            access = Access(self._credentials, find_preset(api), collection)
            self._servers[key] = Server(access)
        return self._servers[key]

    @property
    def bytes_read(self) -> int:
        """Bytes of files that have come (not of searches)."""
        return sum(server.bytes_read for server in self._servers.values())


def plan_sites(
    settings: SitesFile, servers: Servers, *, known: Mapping[str, Any], cache: Path
) -> tuple[SiteFetch, ...]:
    """Choose the dates of all sites.

    Args:
        settings: The sites file.
        servers: Where files come from.
        known: Plans of an earlier run, by site; one whose key fits is used as it is.
        cache: Folder for files that cannot be read in windows.

    Raises:
        SettingsError: A site lacks bounds or a range of dates, or names an unknown API.
        RemoteError: A server cannot be reached, refuses, or answers nonsense.
        GridError: Bounds that make no grid.
    """
    blanks = [_blank(name, settings) for name in settings.sites]
    plans = []
    for blank in track(blanks, "choosing dates", total=len(blanks)):
        earlier = _recall(blank, known.get(blank.name))
        plans.append(earlier or _plan_site(blank, settings, servers, cache))
    return tuple(plans)


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
        server = _server(plan, servers, pick.item)
        offset = fetch_image(server, plan.order(pick.item), path, out / WORK)
        write_json(path.with_suffix(".json"), _note(plan, pick, sha256(path), offset))
        fetched.append(Fetched(plan.name, pick, path, sha256(path), offset, fresh=True))
    return tuple(fetched)


def check_complete(plans: tuple[SiteFetch, ...]) -> None:
    """Raise `InputError` if a site is short of dates, with the first that is."""
    short = [plan for plan in plans if plan.choice.missing]
    if short:
        more = f" (and {len(short) - 1} more sites)" if len(short) > 1 else ""
        raise InputError(
            f"site {short[0].name!r}: {short[0].choice.missing[0]}{more}; allow more cloud "
            "(max_cloud), more days (start, end, within_days) or fewer dates; --dry-run says why "
            "each date was left out"
        )


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


def read_plans(out: Path) -> dict[str, Any]:
    """The plans of an earlier run, by site; empty where there are none that can be used."""
    path = out / PLAN
    if not path.exists():
        return {}
    try:
        value = read_json(path)
    except InputError:
        return {}
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        return {}
    sites = value.get("sites")
    return sites if isinstance(sites, dict) else {}


def write_plans(plans: tuple[SiteFetch, ...], out: Path) -> None:
    """Keep the plans that are complete for a later run."""
    sites = {plan.name: plan_as_json(plan) for plan in plans if not plan.choice.missing}
    value = {"format": FORMAT, "sites": sites}
    if not (out / PLAN).exists() or read_plans(out) != json.loads(json.dumps(sites)):
        write_json(out / PLAN, value)


def plan_as_json(plan: SiteFetch) -> dict[str, Any]:
    """A site's plan as plain JSON values."""
    picks = [
        {"clear": pick.clear, "why": pick.why, "item": pick.item.model_dump(mode="json")}
        for pick in plan.choice.picks
    ]
    rejections = [{"id": r.id, "date": str(r.date), "why": r.why} for r in plan.choice.rejections]
    return {
        "key": plan.key,
        "source": plan.wanted.source,
        "picks": picks,
        "rejections": rejections,
        "missing": list(plan.choice.missing),
        "broken": list(plan.broken),
    }


def _blank(name: str, settings: SitesFile) -> SiteFetch:
    """A site's plan before anything is asked."""
    site = settings.sites[name]
    wanted = settings.fetch.merged(site.fetch)
    if site.bounds is None:
        raise SettingsError(
            f"site {name!r} needs bounds: [west, south, east, north] in degrees, to be fetched"
        )
    if wanted.wishes:
        margin = dt.timedelta(days=wanted.within_days)
        start = wanted.start or min(wanted.wishes) - margin
        end = wanted.end or max(wanted.wishes) + margin
        wanted = wanted.model_copy(update={"start": start, "end": end})
    if wanted.start is None or wanted.end is None:
        raise SettingsError(f"site {name!r}: `fetch:` needs start and end, or wishes")
    preset = find_preset(wanted.api)
    collection = wanted.collection or preset.collection
    wanted = wanted.model_copy(update={"collection": collection})
    image = settings.image
    grid = Grid.from_lonlat(site.bounds, site.crs, settings.resolution_m)
    if wanted.source == "visual" and not _may_be_visual(settings):
        raise SettingsError(
            f"site {name!r}: `source: visual` gives 8-bit {', '.join(TCI_BANDS)} only; use `bands`"
        )
    said = {
        "format": FORMAT,
        "wanted": wanted.model_dump(mode="json"),
        "bounds": site.bounds,
        "grid": [grid.crs, list(grid.transform)[:6], grid.shape],
        "image": image.model_dump(mode="json"),
    }
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return SiteFetch(name, wanted, image.bands, grid, key, Choice((), ()))


def _may_be_visual(settings: SitesFile) -> bool:
    return settings.image.encoding == "tci" and set(settings.image.bands) <= set(TCI_BANDS)


def _plan_site(blank: SiteFetch, settings: SitesFile, servers: Servers, cache: Path) -> SiteFetch:
    """Search, look at the clouds over the site, choose."""
    wanted, bounds = blank.wanted, settings.sites[blank.name].bounds
    if bounds is None or wanted.start is None or wanted.end is None or wanted.collection is None:
        raise ValueError("a blank plan is complete but for its dates")
    preset = find_preset(wanted.api)
    headers = servers.server(wanted.api, wanted.collection).access.headers(preset.url)
    items, broken = search(
        preset, wanted.collection, bounds, wanted.start, wanted.end, headers=headers
    )
    if wanted.source == "auto":
        visual = _may_be_visual(settings) and any("visual" in item.assets for item in items)
        wanted = wanted.model_copy(update={"source": "visual" if visual else "bands"})
    plan = replace(blank, wanted=wanted, broken=broken)
    kept, rejections = sift(items, wanted, plan.bands)
    clear: dict[str, float] = {}
    unread: list[Rejection] = []
    for item in kept:
        try:
            clear[item.id] = _clear(plan, item, servers, cache)
        except RemoteError as error:
            # One date that cannot be read costs that date; a server that is gone costs them all.
            unread.append(Rejection(item.id, item.date, f"its clouds cannot be read: {error}"))
            if not clear and len(unread) >= 3:
                raise
    read = [item for item in kept if item.id in clear]
    choice = choose(read, clear, wanted)
    everything = sorted((*rejections, *unread, *choice.rejections), key=lambda r: (r.date, r.id))
    # What is kept of an item is what its images need.
    picks = tuple(replace(pick, item=_slim(plan, pick.item)) for pick in choice.picks)
    return replace(plan, choice=Choice(picks, tuple(everything), choice.missing))


def _clear(plan: SiteFetch, item: StacItem, servers: Servers, cache: Path) -> float:
    """Share 0..1 of the site that is clear, as well as can be known."""
    if plan.wanted.clear_by == "scl" and "SCL" in item.assets:
        server = _server(plan, servers, item)
        return measure_clear(server, plan.order(item), cache)
    return 1 - (item.cloud if item.cloud is not None else 100.0) / 100


def _slim(plan: SiteFetch, item: StacItem) -> StacItem:
    names = plan.order(item).assets
    return item.model_copy(update={"assets": {name: item.assets[name] for name in names}})


def _server(plan: SiteFetch, servers: Servers, item: StacItem) -> Server:
    return servers.server(plan.wanted.api, item.collection or str(plan.wanted.collection))


def _recall(blank: SiteFetch, known: Any) -> SiteFetch | None:
    """The plan of an earlier run, if it was made for the same wishes."""
    if not isinstance(known, dict) or known.get("key") != blank.key:
        return None
    try:
        picks = tuple(
            Pick(StacItem.model_validate(p["item"]), float(p["clear"]), str(p["why"]))
            for p in known["picks"]
        )
        rejections = tuple(
            Rejection(str(r["id"]), dt.date.fromisoformat(r["date"]), str(r["why"]))
            for r in known["rejections"]
        )
        wanted = FetchSettings.model_validate(
            blank.wanted.model_dump() | {"source": known["source"]}
        )
        broken = tuple(map(str, known["broken"]))
    except (KeyError, TypeError, ValueError):
        return None
    if not picks or known["missing"]:
        return None
    return replace(blank, wanted=wanted, choice=Choice(picks, rejections), broken=broken)


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
