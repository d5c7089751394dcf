"""The sites file that `swath fetch` leaves, ready for `swath build`."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import yaml

from swath.files import replacing
from swath.labels.source import LabelSettings
from swath.retrieval.images import Fetched
from swath.retrieval.snapshot import Snapshot
from swath.scenes.scene import SceneSettings
from swath.sites.moved import move_sites
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
    """Write `out/sites.yaml`: the sites as they were, with scenes and OpenStreetMap files.

    Args:
        settings: The sites file that the images were fetched for.
        folder: Where its relative paths start.
        fetched: The images.
        snapshots: OpenStreetMap of sites whose labels name a server.
        out: Where all these are; paths in the new file are relative to it.

    Returns:
        False: someone has changed the file that is there, and it is left alone.
    """
    path = out / SITES
    contents = _contents(move_sites(settings, folder, out), fetched, snapshots, out)
    whole = _signed(yaml.safe_dump(contents, sort_keys=False, allow_unicode=True, width=100))
    there = path.read_text("utf-8") if path.exists() else None
    if there == whole:
        return True
    if there is not None and _signed(there.partition("\n")[2]) != there:
        return False
    with replacing(path) as temporary:
        temporary.write_text(whole, encoding="utf-8")
    return True


def _signed(text: str) -> str:
    """A text below a line that tells whether someone has changed it since."""
    return f"{_HEAD} {hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def _contents(
    moved: SitesFile, fetched: Sequence[Fetched], snapshots: Sequence[Snapshot], out: Path
) -> dict[str, object]:
    """The new file: what was fetched in place of scenes, servers and wishes."""

    def led(path: Path) -> dict[str, str]:
        return {"path": path.relative_to(out).as_posix()}

    labels = {snapshot.plan.site: snapshot.path for snapshot in snapshots}
    sites = {}
    for name, site in moved.sites.items():
        update: dict[str, object] = {
            "scenes": tuple(SceneSettings(**led(i.path)) for i in fetched if i.site == name)
        }
        if name in labels:
            update["labels"] = LabelSettings(**led(labels[name]))
        sites[name] = site.model_copy(update=update)
    return moved.model_copy(update={"sites": sites}).model_dump(
        mode="json",
        exclude_unset=True,
        exclude={"fetch": True, "sites": {"__all__": {"fetch": True}}},
    )
