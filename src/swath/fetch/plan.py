"""Which acquisitions of which sites: chosen once, kept in the folder, read back.

The plan is kept (`plan.json`), so that a run that was broken off goes on with the same dates, and a
second run asks no server at all.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from swath.errors import InputError, RemoteError, SettingsError
from swath.fetch.credentials import Access, Credentials
from swath.fetch.download import Order, measure_clear
from swath.fetch.remote import Server, shown
from swath.fetch.selection import Choice, Pick, Rejection, choose, sift
from swath.fetch.stac import StacItem, find_preset, search
from swath.files import read_json, write_json
from swath.grid import Bounds, Grid
from swath.progress import track
from swath.sentinel2 import TCI_BANDS
from swath.sites.schema import FetchSettings, SitesFile
from swath.sites.series import plan_grid

FORMAT = 1
"""Of `plan.json` and of the notes beside the images; another one is planned anew."""

PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class SiteFetch:
    """What is to be fetched for one site.

    Attributes:
        name: The site.
        wanted: What is looked for, all defaults worked out.
        bands: Names of the bands of the images.
        bounds: (west, south, east, north) in degrees, that items are searched for in.
        grid: Where the dataset's pixels of the site will lie.
        key: Changes with everything that the choice depends on.
        choice: The dates, with reasons.
        broken: What was wrong with items that could not be used.
    """

    name: str
    wanted: FetchSettings
    bands: tuple[str, ...]
    bounds: Bounds
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

    def of(self, plan: SiteFetch, item: StacItem) -> Server:
        """The server for the files of an item."""
        return self.server(plan.wanted.api, item.collection or str(plan.wanted.collection))

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
        {"clear": pick.clear, "why": pick.why, "item": _shareable(pick.item)}
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


def _shareable(item: StacItem) -> dict[str, Any]:
    """An item as JSON, its addresses without what may be a signature or a password."""
    assets = {
        name: asset.model_copy(
            update={"href": shown(asset.href), "shortened": shown(asset.href) != asset.href}
        )
        if not asset.shortened
        else asset
        for name, asset in item.assets.items()
    }
    return item.model_copy(update={"assets": assets}).model_dump(mode="json")


def readdressed(plan: SiteFetch, item: StacItem, servers: Servers) -> StacItem:
    """An item whose addresses the plan kept without their signatures, with new ones."""
    if not any(asset.shortened for asset in item.assets.values()):
        return item
    found = _search(plan, servers, item.date, item.date)[0]
    for other in found:
        if other.id == item.id and set(item.assets) <= set(other.assets):
            return item.model_copy(update={"assets": {n: other.assets[n] for n in item.assets}})
    raise RemoteError(
        f"{item.id}: its addresses were signed and have run out, and the catalogue has the item no "
        "more; choose anew with --replan"
    )


def _search(
    plan: SiteFetch, servers: Servers, start: dt.date, end: dt.date
) -> tuple[tuple[StacItem, ...], tuple[str, ...]]:
    """The items of a site between two days; see `swath.fetch.stac.search`."""
    preset, collection = find_preset(plan.wanted.api), str(plan.wanted.collection)
    headers = servers.server(plan.wanted.api, collection).access.headers(preset.url)
    return search(preset, collection, plan.bounds, start, end, headers=headers)


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
    grid = plan_grid((), bounds=site.bounds, crs=site.crs, resolution_m=settings.resolution_m)
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
    return SiteFetch(name, wanted, image.bands, site.bounds, grid, key, Choice((), ()))


def _may_be_visual(settings: SitesFile) -> bool:
    return settings.image.encoding == "tci" and set(settings.image.bands) <= set(TCI_BANDS)


def _plan_site(blank: SiteFetch, settings: SitesFile, servers: Servers, cache: Path) -> SiteFetch:
    """Search, look at the clouds over the site, choose."""
    wanted = blank.wanted
    if wanted.start is None or wanted.end is None:
        raise ValueError("a blank plan is complete but for its dates")
    items, broken = _search(blank, servers, wanted.start, wanted.end)
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
        server = servers.of(plan, item)
        return measure_clear(server, plan.order(item), cache)
    return 1 - (item.cloud if item.cloud is not None else 100.0) / 100


def _slim(plan: SiteFetch, item: StacItem) -> StacItem:
    names = plan.order(item).assets
    return item.model_copy(update={"assets": {name: item.assets[name] for name in names}})


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
