"""What is written beside maps once they are made: pictures of their images, and the page."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from swath.locks import locked
from swath.mapping.request import Request
from swath.mapping.sources import Series, scene_source
from swath.mapping.update import find_run
from swath.maps.manifest import read_manifest
from swath.maps.project import desktop_files
from swath.maps.sitemaps import SiteMaps, read_maps
from swath.models.spec import ModelSpec
from swath.models.trained import load_model
from swath.outfolder import mark_more
from swath.progress import repeating
from swath.scenes.scene import SceneSettings
from swath.sites.series import find_scenes
from swath.viewer.images import write_images
from swath.viewer.page import write_page

PAGE_NAME = "index.html"


def publish(out: Path, request: Request, spec: ModelSpec) -> Path:
    """Write the pictures of the images that were asked for, and the page of all sites of MAPS.

    Args:
        out: MAPS.
        request: What was mapped.
        spec: Of the model.

    Returns:
        The page, `out`/index.html.
    """
    with ExitStack() as stack:
        with repeating():
            mapped = stack.enter_context(request.series(spec))
        return publish_series(out, mapped, spec)


def publish_scene(
    maps: SiteMaps, scene: Path, run: Path | None, bands: tuple[str, ...] | None
) -> Path | None:
    """The same after a scene was added to maps, if they have a page.

    Args:
        maps: With the scene.
        scene: The image, as `swath.mapping.update.update` took it, with `run` and `bands`.
        run: Of the model; None: where the manifest says.
        bands: Of the scene, where it lacks names.

    Returns:
        The page; None: there was none before.
    """
    out = maps.folder.parent
    if not (out / PAGE_NAME).is_file():
        return None
    manifest = read_manifest(maps.folder)
    spec = load_model(find_run(maps.folder, manifest, run)).spec
    with repeating():
        (new,) = find_scenes([SceneSettings(path=str(scene), bands=bands)], Path())
    source = scene_source(new, manifest.grid, spec.image)
    return publish_series(out, [Series(maps.site, manifest.grid, (source,))], spec)


def publish_series(out: Path, mapped: Sequence[Series], spec: ModelSpec) -> Path:
    """The same for series that are open. What a run that was killed left is cleared away."""
    scratch = out / ".page"
    with locked(out, wait=True):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            sites = {maps.site: maps for maps in read_maps(out)}
            for series in mapped:
                maps = sites[series.site]
                with repeating():
                    write_images(maps, series, spec, scratch)
                desktop = desktop_files(maps)
                mark_more(maps.folder, desktop)
                for name, content in desktop.items():
                    (scratch / name).write_bytes(content)
                    (scratch / name).replace(maps.folder / name)
            write_page([out], scratch / PAGE_NAME).replace(out / PAGE_NAME)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return out / PAGE_NAME
