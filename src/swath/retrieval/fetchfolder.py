"""A fetch as a whole: dates chosen, images and OpenStreetMap brought, the sites file to build."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from swath.legend import read_legend
from swath.retrieval.credentials import Credentials
from swath.retrieval.handover import SITES, write_sites
from swath.retrieval.images import Fetched, fetch_sites, working_folder
from swath.retrieval.sitefetch import (
    Servers,
    SiteFetch,
    check_complete,
    plan_sites,
    read_plans,
    write_plans,
)
from swath.retrieval.snapshot import Snapshot, SnapshotPlan, fetch_snapshots, plan_snapshots
from swath.sites.schema import read_sites_file


@dataclass(frozen=True, slots=True)
class FetchFolder:
    """What is to be fetched, and, unless it was planned only, what is there.

    Attributes:
        plans: The dates, a plan a site.
        snapshot_plans: What OpenStreetMap servers are asked for.
        images: Of all plans.
        snapshots: Of all snapshot plans.
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
    sites: Path,
    out: Path,
    credentials: Credentials,
    *,
    replan: bool = False,
    plan_only: bool = False,
) -> FetchFolder:
    """Fetch scenes and OpenStreetMap of all sites; what is there and whole is left alone.

    Args:
        sites: The sites file.
        out: Folder to fill: `<site>/<date>.tif`, `<site>/osm_<date>.osm.pbf`, `plan.json`,
            `sites.yaml`.
        credentials: What servers may be shown.
        replan: Whether to choose the dates anew though `out` holds a plan.
        plan_only: Whether to choose the dates, and leave nothing behind.

    Raises:
        SettingsError: The sites file breaks the format or lacks what a fetch needs.
        InputError: A site is short of dates; nothing is fetched then.
        RemoteError: A server refuses or does not recover; what has come stays, to go on from.
        BusyError: Another fetch is at work in `out`.
    """
    settings, known = read_sites_file(sites), {} if replan else read_plans(out)
    legend = read_legend(settings.legend, sites.parent)
    servers = Servers(credentials)

    def plan(cache: Path) -> FetchFolder:
        plans = plan_sites(settings, servers, known=known, cache=cache)
        grids = {plan.name: plan.grid for plan in plans}
        return FetchFolder(plans, plan_snapshots(settings, grids, legend))

    if plan_only:
        with tempfile.TemporaryDirectory(prefix="swath-") as cache:
            return plan(Path(cache))
    with working_folder(out) as work:
        planned = plan(work)
        check_complete(planned.plans)
        write_plans(planned.plans, out)
        images = fetch_sites(planned.plans, servers, out)
        snapshots = fetch_snapshots(planned.snapshot_plans, out, work)
        written = write_sites(settings, sites.parent, images, snapshots, out)
    return replace(
        planned,
        images=images,
        snapshots=snapshots,
        sites_file=out / SITES,
        changed=not written,
        bytes_read=servers.bytes_read,
    )
