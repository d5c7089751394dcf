"""The sites file that `swath fetch` leaves, ready for `swath build`."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from swath.files import replacing
from swath.retrieval.images import Fetched
from swath.retrieval.snapshot import Snapshot
from swath.sites.schema import SitesFile

SITES = "sites.yaml"

_HEAD = "# Written by swath fetch; checksum"


def write_sites(
    settings: SitesFile,
    folder: Path,
    fetched: Sequence[Fetched],
    snapshots: Sequence[Snapshot],
    out: Path,
) -> bool:
    """Write `out/sites.yaml`: the sites as they were, now with scenes and OpenStreetMap files.

    A file there that someone has changed is left alone.

    Args:
        settings: The sites file that the images were fetched for.
        folder: Where its relative paths start.
        fetched: The images, all under `out`.
        snapshots: OpenStreetMap of sites whose labels name a server, all under `out`.
        out: Where the new file goes; its paths are relative to it.

    Returns:
        Whether the file is what this run would write; False: someone has changed it.
    """
    path = out / SITES
    text = yaml.safe_dump(
        _contents(settings, folder, fetched, snapshots, out),
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    whole = f"{_HEAD} {hashlib.sha256(text.encode()).hexdigest()}\n{text}"
    if path.exists():
        there = path.read_text("utf-8")
        if there == whole:
            return True
        if not _is_ours(there):
            return False
    with replacing(path) as temporary:
        temporary.write_text(whole, encoding="utf-8")
    return True


def _is_ours(text: str) -> bool:
    """Whether nobody has changed the file since it was written."""
    head, _, rest = text.partition("\n")
    return head == f"{_HEAD} {hashlib.sha256(rest.encode()).hexdigest()}"


def _contents(
    settings: SitesFile,
    folder: Path,
    fetched: Sequence[Fetched],
    snapshots: Sequence[Snapshot],
    out: Path,
) -> dict[str, Any]:
    def moved(text: str) -> str:
        if Path(text).is_absolute():
            return text
        return Path(os.path.relpath((folder / text).resolve(), out.resolve())).as_posix()

    value: dict[str, Any] = settings.model_dump(mode="json", exclude_unset=True)
    value.pop("fetch", None)
    if (folder / settings.legend).is_file():
        value["legend"] = moved(settings.legend)
    for name, site in value["sites"].items():
        site.pop("fetch", None)
        for key in ("coverage", "ignore"):
            if site.get(key):
                site[key] = moved(site[key])
        if (site.get("labels") or {}).get("path"):
            site["labels"]["path"] = moved(site["labels"]["path"])
        for snapshot in snapshots:
            if snapshot.plan.site == name:
                site["labels"] = {"path": snapshot.path.relative_to(out).as_posix()}
        images = [image for image in fetched if image.site == name]
        scenes = [{"path": image.path.relative_to(out).as_posix()} for image in images]
        value["sites"][name] = {"scenes": scenes} | {
            key: entry for key, entry in site.items() if key != "scenes"
        }
    return value
