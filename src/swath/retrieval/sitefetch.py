"""Which acquisitions of which sites: chosen once, kept in the folder, read back.

The plan is kept (`plan.json`), so that a run that was broken off goes on with the same dates, and a
second run asks no server at all.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from swath.errors import InputError, Remedy, RemoteError, SettingsError, UnreachableError
from swath.files import write_json
from swath.grid import Bounds, Grid
from swath.keys import Decided
from swath.progress import tell, track
from swath.retrieval.credentials import Access, Credentials
from swath.retrieval.download import Order
from swath.retrieval.mosaic import measure_clear
from swath.retrieval.note import FORMAT
from swath.retrieval.overflight import Overflight
from swath.retrieval.remote import Server, shown
from swath.retrieval.search import search
from swath.retrieval.selection import Choice, Pick, Rejection, by_date, choose, sift
from swath.retrieval.stacapi import find_api
from swath.retrieval.stacitem import StacAsset, StacItem
from swath.sentinel2 import TCI_BANDS
from swath.sites.schema import FetchSettings, SitesFile
from swath.sites.series import plan_grid
from swath.validation import Frozen, read_model

PLAN = "plan.json"

_UNREAD = 3
"""So many dates whose clouds cannot be read, and none whose can: the server is gone."""


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
        api: Of `wanted.api`, the one that has the items; empty until one was asked.
        collection: Which of its collections.
        choice: The dates, with reasons.
        broken: What was wrong with items that could not be used.
    """

    name: str
    wanted: FetchSettings
    bands: tuple[str, ...]
    bounds: Bounds
    grid: Grid
    key: str
    api: str = ""
    collection: str = ""
    choice: Choice = field(default_factory=lambda: Choice((), ()))
    broken: tuple[str, ...] = ()

    def orders(self, overflight: Overflight) -> tuple[Order, ...]:
        """How a flight's items become an image of this site."""
        return tuple(Order(item, self.wanted, self.bands, self.grid) for item in overflight.items)


class KeptPlan(Frozen):
    """A site's complete plan, as it is kept for a later run; see `SiteFetch` and `Choice`."""

    key: str
    api: str
    collection: str
    source: Literal["visual", "bands"]
    picks: tuple[Pick, ...]
    rejections: tuple[Rejection, ...]
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...]


class _PlanFile(BaseModel):
    format: int = FORMAT
    sites: dict[str, KeptPlan]


class Servers:
    """The servers of one run: one login and one connection each, and all their bytes."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._servers: dict[tuple[str, str], Server] = {}
        self._failed: dict[str, RemoteError] = {}

    def of(self, plan: SiteFetch) -> Server:
        """The server for the items of a site."""
        where = plan.api, plan.collection
        if where not in self._servers:
            self._servers[where] = Server(Access(self._credentials, find_api(plan.api), plan.collection))
        return self._servers[where]

    def in_turn(self, blank: SiteFetch, plan_at: Callable[[SiteFetch], SiteFetch]) -> SiteFetch:
        """The plan of a site by the first of its APIs that serves; one that failed is not asked again.

        Raises:
            RemoteError: All of them fail.
        """
        for api in blank.wanted.api:
            if api in self._failed:
                continue
            collection = blank.wanted.collection or find_api(api).collection
            try:
                return plan_at(replace(blank, api=api, collection=collection))
            except RemoteError as error:
                self._failed[api] = error
                if others := [other for other in blank.wanted.api if other not in self._failed]:
                    tell(f"{api} fails, {others[0]} is asked instead: {error}")
        raise _all_failed([self._failed[api] for api in blank.wanted.api])

    @property
    def bytes_read(self) -> int:
        """Bytes of files that have come (not of searches)."""
        return sum(server.bytes_read for server in self._servers.values())


def _all_failed(errors: Sequence[RemoteError]) -> RemoteError:
    """One error for those of all APIs."""
    if len(errors) == 1:
        return errors[0]
    all_told = "; ".join(map(str, errors))
    if all(isinstance(error, UnreachableError) for error in errors):
        return UnreachableError(f"{all_told}; connect this machine, or give files that lie here")
    return RemoteError(all_told)


def plan_sites(
    settings: SitesFile, servers: Servers, *, known: Mapping[str, KeptPlan], cache: Path
) -> tuple[SiteFetch, ...]:
    """Choose the dates of all sites; a known plan of an earlier run is used if its key fits.

    Files that cannot be read in windows go to the folder `cache`.

    Raises:
        SettingsError: A site lacks bounds or a range of dates, or names an unknown API.
        RemoteError: A server cannot be reached, refuses, or answers nonsense.
        GridError: Bounds that make no grid.
    """
    blanks = [_blank(name, settings) for name in settings.sites]
    plans = []
    for blank in track(blanks, "choosing dates", total=len(blanks)):
        kept = known.get(blank.name)
        if kept is not None and kept.key == blank.key:
            wanted = blank.wanted.model_copy(update={"source": kept.source})
            choice = Choice(kept.picks, kept.rejections)
            there = replace(blank, api=kept.api, collection=kept.collection)
            plans.append(replace(there, wanted=wanted, choice=choice, broken=kept.broken))
        else:
            plans.append(servers.in_turn(blank, lambda site: _plan_site(site, settings, servers, cache)))
    return tuple(plans)


def check_complete(plans: tuple[SiteFetch, ...]) -> None:
    """Raise `InputError` if a site is short of dates, with the first that is."""
    short = [plan for plan in plans if plan.choice.missing]
    if short:
        more = f" (and {len(short) - 1} more sites)" if len(short) > 1 else ""
        raise InputError(
            f"site {short[0].name!r}: {short[0].choice.missing[0]}{more}; allow more cloud "
            "(max_cloud), more days (start, end, within_days) or fewer dates",
            Remedy.DRY_RUN,
        )


def read_plans(out: Path) -> dict[str, KeptPlan]:
    """The plans of an earlier run, by site; none where they cannot be used."""
    try:
        file = read_model(out / PLAN, _PlanFile)
    except InputError:
        return {}
    return file.sites if file.format == FORMAT else {}


def write_plans(plans: tuple[SiteFetch, ...], out: Path) -> None:
    """Keep complete plans for a later run, their addresses without what may be secret."""
    kept = {
        plan.name: KeptPlan(
            key=plan.key,
            api=plan.api,
            collection=plan.collection,
            source="visual" if plan.wanted.source == "visual" else "bands",
            picks=tuple(_of_items(pick, _shareable) for pick in plan.choice.picks),
            rejections=plan.choice.rejections,
            broken=plan.broken,
        )
        for plan in plans
    }
    if read_plans(out) != kept:
        write_json(out / PLAN, _PlanFile(sites=kept).model_dump(mode="json"))


def _of_items(pick: Pick, change: Callable[[StacItem], StacItem]) -> Pick:
    """A pick whose items are changed."""
    items = tuple(change(item) for item in pick.overflight.items)
    return replace(pick, overflight=replace(pick.overflight, items=items))


def _shareable(item: StacItem) -> StacItem:
    """An item with addresses without what may be a signature or a password."""

    def shortened(asset: StacAsset) -> StacAsset:
        href = shown(asset.href)
        return asset.model_copy(update={"href": href, "shortened": asset.shortened or href != asset.href})

    assets = {name: shortened(asset) for name, asset in item.assets.items()}
    return item.model_copy(update={"assets": assets})


def readdressed(plan: SiteFetch, pick: Pick, servers: Servers) -> Overflight:
    """A pick's items with new addresses, if the plan kept them without their signatures.

    Raises:
        RemoteError: The catalogue has an item no more, or cannot be searched.
    """
    return _of_items(pick, lambda item: _readdressed(plan, item, servers)).overflight


def _readdressed(plan: SiteFetch, item: StacItem, servers: Servers) -> StacItem:
    if not any(asset.shortened for asset in item.assets.values()):
        return item
    for other in search(servers.of(plan).access, plan.bounds, item.date, item.date)[0]:
        if other.id == item.id and set(item.assets) <= set(other.assets):
            return _only(other, tuple(item.assets))
    raise RemoteError(
        f"{item.id}: its addresses were signed and have run out, and the catalogue has the item no more",
        Remedy.REPLAN,
    )


def _only(item: StacItem, names: tuple[str, ...]) -> StacItem:
    """An item as it is kept: with some of its files, without the outline that it was chosen by."""
    return item.model_copy(update={"assets": {name: item.assets[name] for name in names}, "part": None})


def _blank(name: str, settings: SitesFile) -> SiteFetch:
    """A site's plan before anything is asked."""
    site, image = settings.sites[name], settings.image
    wanted = settings.fetch.merged(site.fetch)
    if site.bounds is None:
        raise SettingsError(
            f"site {name!r} needs bounds: [west, south, east, north] in degrees, to be fetched"
        )
    start, end = wanted.start, wanted.end
    if wanted.wishes:
        margin = dt.timedelta(days=wanted.within_days)
        start = start or min(wanted.wishes) - margin
        end = end or max(wanted.wishes) + margin
    if start is None or end is None:
        raise SettingsError(f"site {name!r}: `fetch:` needs start and end, or wishes")
    for api in wanted.api:
        find_api(api)
    wanted = wanted.model_copy(update={"start": start, "end": end})
    grid = plan_grid((), bounds=site.bounds, crs=site.crs, resolution_m=settings.resolution_m)
    if wanted.source == "visual" and not _may_be_visual(settings):
        raise SettingsError(
            f"site {name!r}: `source: visual` gives 8-bit {', '.join(TCI_BANDS)} only; use `bands`"
        )
    decided = Decided(
        "fetch",
        FORMAT,
        {
            "wanted": wanted.model_dump(mode="json"),
            "bounds": list(site.bounds),
            "grid": [grid.crs, list(grid.transform)[:6], list(grid.shape)],
            "image": image.model_dump(mode="json", include={"bands", "encoding"}),
        },
    )
    return SiteFetch(name, wanted, image.bands, site.bounds, grid, decided.key)


def _may_be_visual(settings: SitesFile) -> bool:
    return settings.image.encoding == "tci" and set(settings.image.bands) <= set(TCI_BANDS)


def _plan_site(blank: SiteFetch, settings: SitesFile, servers: Servers, cache: Path) -> SiteFetch:
    """Search, look at the clouds over the site, choose."""
    wanted = blank.wanted
    assert wanted.start is not None, "worked out for a blank plan"
    assert wanted.end is not None, "worked out for a blank plan"
    items, broken = search(servers.of(blank).access, blank.bounds, wanted.start, wanted.end)
    if wanted.source == "auto":
        visual = _may_be_visual(settings) and any("visual" in item.assets for item in items)
        wanted = wanted.model_copy(update={"source": "visual" if visual else "bands"})
    plan = replace(blank, wanted=wanted, broken=broken)
    kept, rejections = sift(items, wanted, plan.bands)
    clear: dict[str, float] = {}
    unread: list[Rejection] = []
    for flight in kept:
        try:
            clear[flight.id] = _clear(plan, flight, servers, cache)
        except RemoteError as error:
            # One date that cannot be read costs that date; a server that is gone costs them all.
            unread.append(Rejection(flight.id, flight.date, f"its clouds cannot be read: {error}"))
            gone = isinstance(error, UnreachableError) or len(unread) >= _UNREAD
            if not clear and gone:
                raise
    choice = choose([flight for flight in kept if flight.id in clear], clear, wanted)

    def kept_of(item: StacItem) -> StacItem:
        return _only(item, Order(item, wanted, plan.bands, plan.grid).assets)

    # What is kept of an item is what its images need.
    picks = tuple(_of_items(pick, kept_of) for pick in choice.picks)
    everything = by_date((*rejections, *unread, *choice.rejections))
    return replace(plan, choice=Choice(picks, everything, choice.missing))


def _clear(plan: SiteFetch, flight: Overflight, servers: Servers, cache: Path) -> float:
    """Share 0..1 of the site that is clear, as well as can be known."""
    if plan.wanted.clear_by == "scl" and all("SCL" in item.assets for item in flight.items):
        return measure_clear(servers.of(plan), plan.orders(flight), cache)
    return 1 - (100.0 if flight.cloud is None else flight.cloud) / 100
