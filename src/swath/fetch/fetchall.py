"""The whole way of a fetch: from a sites file to one whose images are here."""

from pathlib import Path

from swath.fetch.credentials import read_credentials
from swath.fetch.fetch import fetch_sites, working_folder
from swath.fetch.handover import SITES, write_sites
from swath.fetch.plan import Servers, check_complete, plan_sites, read_plans, write_plans
from swath.fetch.snapshot import fetch_snapshots, plan_snapshots
from swath.legend import read_legend
from swath.sites.schema import read_sites_file


def fetch(
    sites_file: Path | str,
    out: Path | str,
    *,
    replan: bool = False,
    credentials: Path | str | None = None,
) -> Path:
    """Search a STAC API, choose clear dates far apart in the year, and fetch them.

    Labels that name an Overpass server are fetched, too, as OpenStreetMap of their day. What is
    there already is not fetched again; a run that was broken off goes on.

    Args:
        sites_file: SITES.yaml: the places, with bounds and `fetch:`.
        out: Where the images go.
        replan: Search again, even if `out` holds a plan.
        credentials: YAML file with token, or username and password; mode 600.

    Returns:
        The new sites file, ready for `build`.

    Raises:
        SettingsError: The sites file is wrong.
        InputError: There are not enough dates.
        RemoteError: A server refuses, or does not recover.
        MissingExtraError: Without the extra `fetch`.

    Example:
        >>> import swath
        >>> swath.fetch("wishes.yaml", "fetched").as_posix()
        'fetched/sites.yaml'
    """
    wishes, home = Path(sites_file), Path(out)
    settings = read_sites_file(wishes)
    legend = read_legend(settings.legend, wishes.parent)
    servers = Servers(read_credentials(None if credentials is None else Path(credentials)))
    known = {} if replan else read_plans(home)
    with working_folder(home) as work:
        plans = plan_sites(settings, servers, known=known, cache=work)
        check_complete(plans)
        asked = plan_snapshots(settings, {plan.name: plan.grid for plan in plans}, legend)
        write_plans(plans, home)
        images = fetch_sites(plans, servers, home)
        snapshots = fetch_snapshots(asked, home, work)
        write_sites(settings, wishes.parent, images, snapshots, home)
    return home / SITES
