"""Adding a date to the maps of a site."""

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from swath.errors import DatasetError, InputError, ModelError, Remedy
from swath.grid import Grid
from swath.keys import Decided
from swath.mapping.jobs import running
from swath.mapping.mapplan import SitePlan, plan_site
from swath.mapping.options import DEFAULTS, MapOptions
from swath.mapping.predict import Predictor
from swath.mapping.sources import Source, scene_source
from swath.mapping.stages import Making, MappedSite, Stages, finish
from swath.mapping.workfolder import WorkFolder, check_sound, working
from swath.maps.changes import count_changes, write_changes
from swath.maps.manifest import CLASSES_NAME, Manifest, Mapped, read_manifest
from swath.maps.maps import Maps
from swath.maps.sitemaps import SiteMaps, read_maps
from swath.models import starter
from swath.models.starter import STARTER
from swath.models.trained import SPEC, load_model, weights_hash
from swath.scenes.raster import plan_source_window
from swath.scenes.scene import Scene, SceneSettings
from swath.sites.series import find_scenes

CHANGES_VERSION = 1
"""Of the change layer's bytes: raised when the same maps give others."""


def update(
    maps: Maps | Path | str,
    scene: Path | str,
    *,
    site: str | None = None,
    run: Path | str | None = None,
    bands: Sequence[str] | None = None,
    options: MapOptions = DEFAULTS,
) -> Maps:
    """Add a date to maps: one pass of the U-Net, and the newest dates are fused again.

    The maps become those of `map_scenes` with these dates on this grid, byte by byte; where the
    class map changed is kept in changes.tif.

    Args:
        maps: The maps, or their folder.
        scene: The new image: a GeoTIFF with YYYY-MM-DD in its name, or a Sentinel-2 product.
        site: Which site; None: the one where the image lies.
        run: The folder of the run that made the maps; None: where it was then.
        bands: Names of the image's bands in order; None: as the file says.
        options: `device` and `workers` count; all else is as the maps were made.

    Returns:
        The maps as they are after it.

    Raises:
        InputError: The image cannot be read, meets no site or several, or the date is there already
            from another image.
        DatasetError: No such site, or its files are not as they were written.
        ModelError: The run is not there, holds another model or means another one by it, or maps
            whole series.

    Example:
        >>> import swath
        >>> maps = swath.update("maps", "2020-01-15.tif")
        >>> maps.dates[-1].isoformat(), maps.only.changes[-1].date.isoformat()
        ('2020-01-15', '2020-01-15')
    """
    folder = maps.folder if isinstance(maps, Maps) else Path(maps)
    add_scene(folder, scene, site=site, run=run, bands=bands, options=options)
    keeper = maps.keeper if isinstance(maps, Maps) else None
    return Maps(folder, read_maps(folder), keeper)


def add_scene(
    folder: Path,
    scene: Path | str,
    *,
    site: str | None = None,
    run: Path | str | None = None,
    bands: Sequence[str] | None = None,
    options: MapOptions = DEFAULTS,
) -> tuple[dt.date, MappedSite]:
    """Add a date to the maps of a folder; see `update`.

    Returns:
        The date, and what was done: no new files if the maps had just this image already.
    """
    names = None if bands is None else tuple(bands)
    (new,) = find_scenes([SceneSettings(path=str(scene), bands=names)], Path())
    maps = _choose_site(read_maps(folder), new, site)
    manifest = read_manifest(maps.folder)
    home = find_run(maps.folder, manifest, None if run is None else Path(run))
    then = manifest.settings
    predictor = Predictor(load_model(home), options.device, then.precision, then.orientations)
    if predictor.series is not None:
        raise ModelError(
            f"model {predictor.model.spec.name!r} looks at all images at once, so that "
            "none can be added; map the whole series"
        )
    _check_same_meaning(maps.folder, manifest, home, predictor)
    stages = Stages()
    source = scene_source(new, manifest.grid, predictor.model.spec.image)
    with stages.time("hash"):
        identity = source.identify()
    before = manifest.dates.get(new.date)
    if before is not None and before.source == identity:
        return new.date, stages.describe(maps)
    if before is not None:
        raise InputError(
            f"{new.path}: {maps.folder} has a map of {new.date} from another image; to replace "
            "it, map the series anew",
            Remedy.MAP_RESUME,
        )
    plan = _plan_addition(maps.folder, manifest, home, source, identity, predictor)
    with (
        running(predictor, home, folder, options.workers) as runner,
        working(maps.folder, plan.reads, anew=False) as place,
    ):
        Making(place, plan, predictor, runner, stages).fill()
        with stages.time("changes"):
            plan = _add_changes(place, plan, maps, manifest, new.date)
        finish(place, plan, predictor, home)
    return new.date, stages.describe(plan.maps, place.new_files)


def _choose_site(sites: Sequence[SiteMaps], scene: Scene, name: str | None) -> SiteMaps:
    """The site of that name, or the one where the scene lies; its files are sound."""
    if name is not None and name not in {maps.site for maps in sites}:
        known = ", ".join(maps.site for maps in sites)
        raise DatasetError(f"no site {name!r} in these maps; they have {known}")
    wanted = [maps for maps in sites if name in (None, maps.site)]
    met = [maps for maps in wanted if plan_source_window(scene.grid, _sound_grid(maps)).size]
    if not met:
        where = "its grid" if name else "the grid of any site"
        raise InputError(f"{scene.path}: the image does not meet {where} of these maps")
    if len(met) > 1:
        names = ", ".join(maps.site for maps in met)
        raise InputError(f"{scene.path}: the image meets several sites, {names}", Remedy.SITE)
    return met[0]


def _sound_grid(maps: SiteMaps) -> Grid:
    """The grid of maps whose files are as they were written."""
    manifest = read_manifest(maps.folder)
    check_sound(maps.folder)
    for path in (maps.fused_path, maps.classes_path, *map(maps.pmap_path, maps.all_dates)):
        if path.name not in manifest.outputs:
            raise DatasetError(
                f"{path}: the manifest beside it does not name it; map the site again", Remedy.MAP_RESUME
            )
    return manifest.grid


def find_run(home: Path, manifest: Manifest, given: Path | None) -> Path:
    """The run that made the maps in `home`: where the user or else the manifest says, or the starter."""
    run = starter.find_run(given) if given else Path(os.path.normpath(home.absolute() / manifest.run))
    if given is None and not run.exists() and weights_hash(STARTER) == manifest.model_sha256:
        return STARTER  # maps may be moved, and swath be somewhere else
    try:
        digest = weights_hash(run)
    except OSError:
        raise ModelError(
            f"{run}: no model here, but {home} was made with one from there", Remedy.RUN
        ) from None
    if digest != manifest.model_sha256:
        raise ModelError(
            f"{run} holds another model (SHA-256 {digest[:12]}...) than {home} was made with "
            f"({manifest.model_sha256[:12]}...); without that one, map the series anew",
            Remedy.RUN,
        )
    return run


def _check_same_meaning(home: Path, manifest: Manifest, run: Path, predictor: Predictor) -> None:
    """Check that the run would map the dates that are there just as they were mapped.

    Its weights are the same; but model.json tells what they mean.

    Raises:
        ModelError: It was changed, as by another scaling.
    """
    settings = [manifest.settings.model_copy(update={"device": device}) for device in ("cpu", "cuda")]
    then = [manifest.model_copy(update={"settings": each}) for each in settings]
    plans = [plan_site(predictor, each, manifest.grid, home, {}, {}) for each in then]
    for name, output in manifest.outputs.items():
        if name.startswith("pmap_") and output.key not in {plan.keys[name] for plan in plans}:
            raise ModelError(
                f"{run / SPEC} was changed since {home / name} was made with it, and a new date would "
                "not be mapped as the others; to map all of them anew, map the series again",
                Remedy.MAP_RESUME,
            )


def _plan_addition(
    home: Path, before: Manifest, run: Path, source: Source, identity: str, predictor: Predictor
) -> SitePlan:
    """The maps with one date more, of which the newest are fused; kept PMaps keep their keys.

    As many dates are fused as before, or as the model was trained on while there are fewer.
    """
    date = Mapped(source=identity, attribution=source.attribution)
    manifest = before.model_copy(
        update={
            "settings": before.settings.model_copy(update={"device": predictor.device.type}),
            "run": Path(os.path.relpath(run, home)).as_posix(),
            "dates": before.dates | {source.date: date},
            "outputs": {},
        }
    )
    outputs = before.outputs.items()
    known = {name: output.key for name, output in outputs if name.startswith("pmap_")}
    return plan_site(predictor, manifest, before.grid, home, {source.date: source}, known)


def _add_changes(
    place: WorkFolder, plan: SitePlan, old: SiteMaps, before: Manifest, date: dt.date
) -> SitePlan:
    """Bring the change layer up to date, where the class map was made anew."""
    new, outputs = plan.at(place.folder), before.outputs
    same = outputs[CLASSES_NAME].key == plan.keys[CLASSES_NAME]
    if same and not old.changes:
        return plan
    name = old.changes_path.name
    key = outputs[name].key if name in outputs else None
    if not same:
        classes = {"old": outputs[CLASSES_NAME].key, "new": plan.keys[CLASSES_NAME]}
        inputs = {"before": key, **classes, "date": str(date)}
        key = Decided("changes", CHANGES_VERSION, inputs).key
    assert key is not None
    if not place.reuse(name, key):
        write_changes(old, new, date, plan.map_grid)
        place.record(name, key)
    changes = old.changes
    if not same:
        changes = (*changes, count_changes(old, new, date, plan.map_grid))
    maps = plan.maps.model_copy(update={"changes": changes})
    return replace(plan, maps=maps, keys={**plan.keys, name: key})
