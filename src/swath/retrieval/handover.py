"""The sites file that `swath fetch` leaves, ready for `swath build`."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from swath.files import write_text
from swath.labels.source import LabelSettings
from swath.scenes.scene import SceneSettings
from swath.sites.moved import move_sites
from swath.sites.schema import SitesFile

SITES = "sites.yaml"

_HEAD = "# Written by swath fetch; checksum"


def write_sites(
    settings: SitesFile,
    folder: Path,
    images: Mapping[str, Sequence[Path]],
    snapshots: Mapping[str, Path],
    out: Path,
) -> bool:
    """Write `out/sites.yaml`: the sites as they were, with scenes and OpenStreetMap files.

    Args:
        settings: The sites file that the images were fetched for.
        folder: Where its relative paths start.
        images: By site, under `out`, as all that was fetched.
        snapshots: By site, where labels name a server.
        out: Where paths in the new file start.

    Returns:
        False: someone has changed the file that is there, and it is left alone.
    """

    def led(path: Path) -> dict[str, str]:
        return {"path": path.relative_to(out).as_posix()}

    moved = move_sites(settings, folder, out)
    sites = {}
    for name, site in moved.sites.items():
        update: dict[str, object] = {"scenes": tuple(SceneSettings(**led(image)) for image in images[name])}
        if name in snapshots:
            update["labels"] = LabelSettings(**led(snapshots[name]))
        sites[name] = site.model_copy(update=update)
    contents = moved.model_copy(update={"sites": sites}).model_dump(
        mode="json",
        exclude_unset=True,
        exclude={"fetch": True, "sites": {"__all__": {"fetch": True}}},
    )
    whole = _signed(yaml.safe_dump(contents, sort_keys=False, allow_unicode=True, width=100))
    path = out / SITES
    there = path.read_text("utf-8") if path.exists() else None
    if there == whole:
        return True
    if there is not None and _signed(there.partition("\n")[2]) != there:
        return False
    write_text(path, whole)
    return True


def _signed(text: str) -> str:
    """A text below a line that tells whether someone has changed it since."""
    return f"{_HEAD} {hashlib.sha256(text.encode()).hexdigest()}\n{text}"
