"""`swath fetch`: find scenes in a STAC API and bring the sites' part of them here."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swath.cli.options import JsonOption, OutOption
from swath.cli.output import emit

if TYPE_CHECKING:
    from swath.fetch.fetch import Fetched
    from swath.fetch.sitefetch import SiteFetch
    from swath.fetch.snapshot import Snapshot, SnapshotPlan


def command(
    sites: Annotated[
        Path, typer.Argument(help="SITES.yaml: the places, with bounds and `fetch:`.")
    ],
    out: OutOption,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which dates would be fetched, and why.")
    ] = False,
    replan: Annotated[
        bool, typer.Option("--replan", help="Search again, even if --out holds a plan.")
    ] = False,
    credentials: Annotated[
        Path | None,
        typer.Option(help="YAML file with token, or username and password; mode 600."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search a STAC API, choose clear dates far apart in the year, and fetch them.

    Labels that name an Overpass server are fetched, too, as OpenStreetMap of their day.

    What is there already is not fetched again; a run that was broken off goes on.
    """
    from swath.fetch.credentials import read_credentials
    from swath.fetch.fetch import fetch_sites, working_folder
    from swath.fetch.handover import SITES, write_sites
    from swath.fetch.sitefetch import Servers, check_complete, plan_sites, read_plans, write_plans
    from swath.fetch.snapshot import fetch_snapshots, plan_snapshots
    from swath.legend import read_legend
    from swath.sites.schema import read_sites_file

    settings = read_sites_file(sites)
    legend = read_legend(settings.legend, sites.parent)
    servers = Servers(read_credentials(credentials))
    known = {} if replan else read_plans(out)
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="swath-") as cache:
            plans = plan_sites(settings, servers, known=known, cache=Path(cache))
        asked = plan_snapshots(settings, {plan.name: plan.grid for plan in plans}, legend)
        rows = [_row(plan, (), asked, ()) for plan in plans]
        result = {"out": str(out), "dry_run": True, "sites": rows}
        emit(result, as_json, [line for row in rows for line in _lines(row, everything=True)])
        return
    with working_folder(out) as work:
        plans = plan_sites(settings, servers, known=known, cache=work)
        check_complete(plans)
        asked = plan_snapshots(settings, {plan.name: plan.grid for plan in plans}, legend)
        write_plans(plans, out)
        fetched = fetch_sites(plans, servers, out)
        snapshots = fetch_snapshots(asked, out, work)
        written = write_sites(settings, sites.parent, fetched, snapshots, out)
    rows = [_row(plan, fetched, asked, snapshots) for plan in plans]
    fresh = sum(image.fresh for image in fetched)
    result = {
        "out": str(out),
        "dry_run": False,
        "sites": rows,
        "fetched": fresh,
        "kept": len(fetched) - fresh,
        "bytes": servers.bytes_read,
        "sites_file": str(out / SITES),
        "sites_file_written": written,
    }
    kept = f"{out / SITES} was changed by hand and is left as it is"
    lines = [line for row in rows for line in _lines(row, everything=False)]
    lines.append(
        f"{fresh} images fetched, {len(fetched) - fresh} were there; {servers.bytes_read:,} bytes"
    )
    lines.append(f"next: swath build {out / SITES} --out DATASET" if written else kept)
    emit(result, as_json, lines)


def _row(
    plan: "SiteFetch",
    fetched: "Sequence[Fetched]",
    asked: "Sequence[SnapshotPlan]",
    snapshots: "Sequence[Snapshot]",
) -> dict[str, Any]:
    images = {image.pick.item.id: image for image in fetched if image.site == plan.name}
    picks = []
    for pick in plan.choice.picks:
        row: dict[str, Any] = {
            "date": str(pick.item.date),
            "item": pick.item.id,
            "mgrs_tile": pick.item.mgrs_tile,
            "tile_cloud_percent": pick.item.cloud,
            "clear": pick.clear,
            "why": pick.why,
        }
        if image := images.get(pick.item.id):
            row |= {"path": str(image.path), "sha256": image.sha256, "fetched": image.fresh}
            row["offset"] = asdict(image.offset)
        picks.append(row)
    return {
        "name": plan.name,
        "api": plan.wanted.api,
        "collection": plan.wanted.collection,
        "source": plan.wanted.source,
        "picks": picks,
        "rejections": [asdict(r) | {"date": str(r.date)} for r in plan.choice.rejections],
        "missing": list(plan.choice.missing),
        "broken": list(plan.broken),
        "labels": _labels(plan.name, asked, snapshots),
    }


def _labels(
    name: str, asked: "Sequence[SnapshotPlan]", snapshots: "Sequence[Snapshot]"
) -> dict[str, Any] | None:
    """The snapshot of a site; None where its labels come from a file."""
    for plan in asked:
        if plan.site == name:
            row: dict[str, Any] = {
                "server": plan.server,
                "date": str(plan.date),
                "requests": len(plan.queries),
            }
            for found in snapshots:
                if found.plan is plan:
                    row |= {"path": str(found.path), "sha256": found.sha256, "fetched": found.fresh}
            return row
    return None


def _lines(row: dict[str, Any], *, everything: bool) -> list[str]:
    """The plan of a site for people; `everything`: also what is not taken."""
    lines = [f"{row['name']}: {row['collection']} at {row['api']}, {row['source']}"]
    for pick in row["picks"]:
        lines.append(f"  take {pick['date']}  {pick['item']}: {pick['why']}")
        if doubt := pick.get("offset", {}).get("doubt"):
            lines.append(f"       mind: offset {pick['offset']['dn']}, {doubt}")
    if labels := row["labels"]:
        lines.append(
            f"  labels: OpenStreetMap of {labels['date']} from {labels['server']}, "
            f"{labels['requests']} requests"
        )
    if everything:
        lines += [f"  not  {r['date']}  {r['id']}: {r['why']}" for r in row["rejections"]]
    lines += [f"  not  {text}" for text in row["broken"]]
    lines += [f"  short: {text}" for text in row["missing"]]
    return lines
