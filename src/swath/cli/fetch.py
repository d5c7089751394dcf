"""`swath fetch`: find scenes in a STAC API and bring the sites' part of them here."""

import datetime as dt
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swath.cli import place as place_
from swath.cli.map import NameOption
from swath.cli.options import JsonOption, OutOption
from swath.cli.output import counted, emit
from swath.errors import SettingsError

if TYPE_CHECKING:
    from swath.retrieval.fetchfolder import Fetched, FetchFolder
    from swath.retrieval.selection import Pick
    from swath.retrieval.sitefetch import SiteFetch
    from swath.retrieval.snapshot import Snapshot, SnapshotPlan


def command(
    out: OutOption,
    sites: Annotated[
        Path | None,
        typer.Argument(metavar="[SITES]", help="SITES.yaml: places, with bounds and `fetch:`; or --bbox."),
    ] = None,
    bbox: place_.BboxOption = None,
    aoi: place_.AoiOption = None,
    between: place_.BetweenOption = None,
    dates: place_.DatesOption = None,
    max_cloud: place_.MaxCloudOption = None,
    api: place_.ApiOption = None,
    name: NameOption = None,
    osm: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="For --bbox and --aoi: fetch OpenStreetMap of this day, too, as labels.",
        ),
    ] = None,
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

    The places stand in a sites file, or one is given as a box. Labels that name an Overpass server
    are fetched, too, as OpenStreetMap of their day.

    What is there already is not fetched again; a run that was broken off goes on.
    """
    place = place_.PlaceArguments(bbox, aoi, between, dates, max_cloud, api)
    place.check()
    if place.given == (sites is not None):
        raise SettingsError("swath fetch takes a sites file, or a place by --bbox or --aoi")
    if sites is not None and (name or osm):
        raise SettingsError("--name and --osm go with --bbox or --aoi; a sites file has its own")

    from swath.models.starter import read_spec
    from swath.retrieval.credentials import read_credentials
    from swath.retrieval.fetchfolder import fetch_folder
    from swath.sites.schema import read_sites_file

    if sites is not None:
        settings = read_sites_file(sites)
    else:
        settings = place.sites(name, read_spec().image, None if osm is None else osm.date())
    base = Path() if sites is None else sites.parent
    shown = read_credentials(credentials)
    folder = fetch_folder(settings, base, out, shown, replan=replan, plan_only=dry_run)
    rows = _rows(folder)
    result: dict[str, object] = {
        "out": str(out),
        "dry_run": dry_run,
        "sites": [row.json() for row in rows],
    }
    lines = [line for row in rows for line in row.lines(everything=dry_run)]
    if (file := folder.sites_file) is not None:
        fresh = sum(image.fresh for image in folder.images)
        kept = len(folder.images) - fresh
        result |= {
            "fetched": fresh,
            "kept": kept,
            "bytes": folder.bytes_read,
            "sites_file": str(file),
            "sites_file_written": not folder.changed,
        }
        lines += [
            f"{counted(fresh, 'image')} fetched, {kept} were there; {folder.bytes_read:,} bytes",
            f"{file} was changed by hand and is left as it is"
            if folder.changed
            else f"next: {_next(folder, file)}",
        ]
    emit(result, as_json, lines)


def _next(folder: "FetchFolder", file: Path) -> str:
    """The command that takes what was fetched: without labels there is nothing to build."""
    from swath.sites.schema import read_sites_file

    sites = read_sites_file(file).sites
    if all(site.labels is not None for site in sites.values()):
        return f"swath build {file} --out DATASET"
    return f"swath map {folder.images[0].path.parent / '*.tif'} --out MAPS"


@dataclass(frozen=True, slots=True)
class _Row:
    """What is told of a site: its plan, and what of it is there."""

    plan: "SiteFetch"
    images: "dict[dt.date, Fetched]"
    asked: "SnapshotPlan | None"
    snapshot: "Snapshot | None"

    def json(self) -> dict[str, object]:
        plan = self.plan
        return {
            "name": plan.name,
            "api": plan.api,
            "collection": plan.collection,
            "source": plan.wanted.source,
            "picks": [self._pick(pick) for pick in plan.choice.picks],
            "rejections": [asdict(r) | {"date": str(r.date)} for r in plan.choice.rejections],
            "missing": list(plan.choice.missing),
            "broken": list(plan.broken),
            "labels": self._labels(),
        }

    def _pick(self, pick: "Pick") -> dict[str, object]:
        row: dict[str, object] = {
            "date": str(pick.date),
            "items": [
                {"item": item.id, "mgrs_tile": item.mgrs_tile, "tile_cloud_percent": item.cloud}
                for item in pick.overflight.items
            ],
            "cover": round(pick.overflight.cover, 6),
            "clear": pick.clear,
            "why": pick.why,
        }
        if image := self.images.get(pick.date):
            row |= _there(image) | {"offsets": [asdict(offset) for offset in image.offsets]}
        return row

    def _labels(self) -> dict[str, object] | None:
        """The snapshot; None where the labels come from a file."""
        if self.asked is None:
            return None
        row: dict[str, object] = {
            "server": self.asked.server,
            "date": str(self.asked.date),
            "requests": len(self.asked.queries),
        }
        return row if self.snapshot is None else row | _there(self.snapshot)

    def lines(self, *, everything: bool) -> list[str]:
        """The plan for people; `everything`: also what is not taken."""
        plan, choice = self.plan, self.plan.choice
        lines = [f"{plan.name}: {plan.collection} at {plan.api}, {plan.wanted.source}"]
        for pick in choice.picks:
            lines.append(f"  take {pick.date}  {pick.overflight.id}: {pick.why}")
            image = self.images.get(pick.date)
            for offset in image.offsets if image else ():
                if offset.doubt:
                    lines.append(f"       mind: offset {offset.dn}, {offset.doubt}")
        if asked := self.asked:
            lines.append(
                f"  labels: OpenStreetMap of {asked.date} from {asked.server}, {len(asked.queries)} requests"
            )
        if everything:
            lines += [f"  not  {r.date}  {r.id}: {r.why}" for r in choice.rejections]
        lines += [f"  not  {text}" for text in plan.broken]
        lines += [f"  short: {text}" for text in choice.missing]
        return lines


def _there(file: "Fetched | Snapshot") -> dict[str, object]:
    return {"path": str(file.path), "sha256": file.sha256, "fetched": file.fresh}


def _rows(folder: "FetchFolder") -> list[_Row]:
    asked = {snapshot.site: snapshot for snapshot in folder.snapshot_plans}
    maps = {snapshot.plan.site: snapshot for snapshot in folder.snapshots}
    return [
        _Row(
            plan,
            {image.pick.date: image for image in folder.images if image.site == plan.name},
            asked.get(plan.name),
            maps.get(plan.name),
        )
        for plan in folder.plans
    ]
