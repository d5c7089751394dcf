"""A sites file that stands in another folder than the one that it was written for."""

import os
from pathlib import Path

from swath.scenes.clouds import CLOUD_MODEL
from swath.scenes.scene import SceneSettings
from swath.sites.schema import SiteSettings, SitesFile

YAML = (".yaml", ".yml")
"""A legend or crosswalk of another name ships with swath."""


def move_sites(settings: SitesFile, folder: Path, out: Path) -> SitesFile:
    """The same sites, with relative paths that lead to the same files from `out`, not `folder`."""

    def led(path: str) -> str:
        if Path(path).is_absolute():
            return path
        return Path(os.path.relpath((folder / path).resolve(), out.resolve())).as_posix()

    def scene(entry: SceneSettings) -> SceneSettings:
        moved = {"path": led(entry.path)}
        if entry.mask is not None and entry.mask != CLOUD_MODEL:
            moved["mask"] = led(entry.mask)
        return entry.model_copy(update=moved)

    def site(place: SiteSettings) -> SiteSettings:
        # Only what is set: what is not stays unset, and out of the file that is written.
        moved: dict[str, object] = {}
        if place.scenes:
            moved["scenes"] = tuple(map(scene, place.scenes))
        if place.labels is not None and place.labels.path is not None:
            update = {"path": led(place.labels.path)}
            if place.labels.crosswalk is not None and place.labels.crosswalk.endswith(YAML):
                update["crosswalk"] = led(place.labels.crosswalk)
            moved["labels"] = place.labels.model_copy(update=update)
        for name in ("coverage", "ignore"):
            if (path := getattr(place, name)) is not None:
                moved[name] = led(path)
        return place.model_copy(update=moved)

    update: dict[str, object] = {"sites": {n: site(place) for n, place in settings.sites.items()}}
    if settings.legend.endswith(YAML):  # else the name of one that ships with swath
        update["legend"] = led(settings.legend)
    return settings.model_copy(update=update)
