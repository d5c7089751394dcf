"""OpenStreetMap of a day beside the images: what Overpass answers for a site, kept as an extract.

So `swath build` needs no network, and everyone who gets the folder builds from the same map.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swath.errors import InputError, reason_of
from swath.files import replacing, sha256
from swath.grid import Bounds, Grid, lonlat_parts
from swath.keys import Decided
from swath.labels.features import lonlat_box
from swath.labels.osm import ATTRIBUTION, check_osmium, reading_errors
from swath.labels.overpass import Query, fetch, plan_queries
from swath.labels.sortedextract import merge_extracts
from swath.legend import Legend
from swath.progress import track
from swath.retrieval.note import FORMAT, Note
from swath.sites.schema import SitesFile

MARGIN_M = 1000.0
"""How far around a site: wider than any line, and than `shift_m` may move one."""


@dataclass(frozen=True, slots=True)
class SnapshotPlan:
    """What is to be asked for one site; outside `box` (degrees) the answers are not complete."""

    site: str
    server: str
    date: dt.date
    box: Bounds
    queries: tuple[Query, ...]
    key: str

    def path(self, out: Path) -> Path:
        """Where it goes, under `out`."""
        return out / self.site / f"osm_{self.date}.osm.pbf"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An `.osm.pbf` that is there; `fresh`: this run has fetched it."""

    plan: SnapshotPlan
    path: Path
    sha256: str
    fresh: bool


def plan_snapshots(
    settings: SitesFile, grids: Mapping[str, Grid], legend: Legend
) -> tuple[SnapshotPlan, ...]:
    """What to ask Overpass for: nothing for a site whose labels come from a file.

    Raises:
        SettingsError: An unknown server, or a day that no server can know.
        MissingExtraError: The package osmium, which writes the snapshots, is not installed.
    """
    plans = []
    for name, site in settings.sites.items():
        if site.labels is None or site.labels.overpass is None or site.labels.date is None:
            continue
        box = lonlat_box(grids[name], round(MARGIN_M / min(grids[name].resolution)))
        queries = plan_queries(site.labels.overpass, box, legend, site.labels.date)
        key = Decided("snapshot", FORMAT, {"queries": [query.name for query in queries]}).key
        plans.append(SnapshotPlan(name, queries[0].server, site.labels.date, box, queries, key))
    if plans:
        check_osmium("labels from Overpass")
    return tuple(plans)


def fetch_snapshots(plans: tuple[SnapshotPlan, ...], out: Path, work: Path) -> tuple[Snapshot, ...]:
    """Bring the snapshots of a plan under `out`; what is there and whole is left alone.

    A snapshot is `<site>/osm_<date>.osm.pbf` with a note beside it. The folder `work` keeps the
    answers, so that a run that was broken off goes on.

    Raises:
        RemoteError: The server refuses, or does not recover; what has come already stays.
        InputError: An answer is no OpenStreetMap data.
    """
    done = []
    for plan in track(plans, "fetching OpenStreetMap", total=len(plans)):
        path = plan.path(out)
        note = Note.read(path, plan.key)
        fresh = note is None
        if note is None:
            _write(plan, fetch(plan.queries, work / "overpass"), path)
            note = Note(
                key=plan.key,
                sha256=sha256(path),
                server=plan.server,
                date=str(plan.date),
                box=plan.box,
                query=plan.queries[0].text,
                attribution=ATTRIBUTION,
            )
            note.write(path)
        done.append(Snapshot(plan, path, note.sha256, fresh))
    return tuple(done)


def _write(plan: SnapshotPlan, answers: list[Path], path: Path) -> None:
    """Join the answers to one extract that says how far it goes and which day it shows."""
    import osmium

    header = osmium.io.Header()
    for part in lonlat_parts(plan.box):
        header.add_box(osmium.osm.Box(*part))
    header.set("generator", "swath")
    header.set("osmosis_replication_timestamp", f"{plan.date}T00:00:00Z")
    with replacing(path) as temporary:
        try:
            merge_extracts(answers, temporary, header)
        except reading_errors() as error:
            for answer in answers:
                answer.unlink(missing_ok=True)
            raise InputError(
                f"{plan.server}: an answer for site {plan.site!r} is not readable "
                f"({reason_of(error)}); run again to ask anew"
            ) from None
