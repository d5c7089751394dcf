"""A fetch as a whole: dates chosen, images and OpenStreetMap brought, the sites file to build."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from swath.fetch.credentials import Credentials
from swath.fetch.fetch import Fetched, fetch_sites, working_folder
from swath.fetch.handover import SITES, write_sites
from swath.fetch.sitefetch import (
    Servers,
    SiteFetch,
    check_complete,
    plan_sites,
    read_plans,
    write_plans,
)
from swath.fetch.snapshot import Snapshot, SnapshotPlan, fetch_snapshots, plan_snapshots
from swath.legend import read_legend
from swath.sites.schema import read_sites_file


@dataclass(frozen=True, slots=True)
class FetchFolder:
    """What is to be fetched, and what of it is there.

    Attributes:
        plans: The dates, a plan a site.
        snapshot_plans: What OpenStreetMap servers are asked for.
        images: Those that are there; none where it was planned only.
        snapshots: As the images.
        sites_file: For `swath build`; None where it was planned only.
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


def plan_fetch(
    sites: Path, out: Path, credentials: Credentials, *, replan: bool = False
) -> FetchFolder:
    """Choose what `fetch` would bring; leaves nothing behind.

    Args:
        sites: The sites file.
        out: The folder; plans kept there are used as they are.
        credentials: What servers may be shown.
        replan: Whether to choose anew all the same.

    Raises:
        SettingsError: The sites file breaks the format or lacks what a fetch needs.
        RemoteError: A server cannot be reached, refuses, or answers nonsense.
    """
    settings, known = read_sites_file(sites), {} if replan else read_plans(out)
    legend = read_legend(settings.legend, sites.parent)
    servers = Servers(credentials)
    with tempfile.TemporaryDirectory(prefix="swath-") as cache:
        plans = plan_sites(settings, servers, known=known, cache=Path(cache))
    return FetchFolder(
        plans, plan_snapshots(settings, {plan.name: plan.grid for plan in plans}, legend)
    )


def fetch(sites: Path, out: Path, credentials: Credentials, *, replan: bool = False) -> FetchFolder:
    """Fetch scenes and OpenStreetMap of all sites; what is there and whole is left alone.

    Args:
        sites: The sites file.
        out: Folder to fill: `<site>/<date>.tif`, `<site>/osm_<date>.osm.pbf`, `plan.json`,
            `sites.yaml`.
        credentials: What servers may be shown.
        replan: Whether to choose the dates anew though `out` holds a plan.

    Raises:
        SettingsError: The sites file breaks the format or lacks what a fetch needs.
        InputError: A site is short of dates; nothing is fetched then.
        RemoteError: A server refuses or does not recover; what has come stays, to go on from.
        BusyError: Another fetch is at work in `out`.
    """
    settings, known = read_sites_file(sites), {} if replan else read_plans(out)
    legend = read_legend(settings.legend, sites.parent)
    servers = Servers(credentials)
    with working_folder(out) as work:
        plans = plan_sites(settings, servers, known=known, cache=work)
        check_complete(plans)
        asked = plan_snapshots(settings, {plan.name: plan.grid for plan in plans}, legend)
        write_plans(plans, out)
        images = fetch_sites(plans, servers, out)
        snapshots = fetch_snapshots(asked, out, work)
        written = write_sites(settings, sites.parent, images, snapshots, out)
    changed, bytes_read = not written, servers.bytes_read
    return FetchFolder(plans, asked, images, snapshots, out / SITES, changed, bytes_read)
