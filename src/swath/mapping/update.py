"""Adding a date to the maps of a site."""

import datetime as dt
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from affine import Affine

from swath.errors import DatasetError, InputError, ModelError, Remedy
from swath.grid import Grid
from swath.keys import Decided
from swath.mapping.jobs import running
from swath.mapping.mapplan import SitePlan, plan_site
from swath.mapping.options import DEFAULTS, MapOptions
from swath.mapping.predict import Predictor
from swath.mapping.sources import Source, scene_source
from swath.mapping.stages import MappedSite, Stages, describe, fill, finish
from swath.mapping.workfolder import WorkFolder, matches, working
from swath.maps.changes import count_changes, write_changes
from swath.maps.manifest import Manifest, Mapped, read_manifest
from swath.maps.maps import Maps, open_maps
from swath.maps.sitemaps import Change, SiteMaps
from swath.models.device import Precision
from swath.models.trained import load_model, weights_hash
from swath.scenes.raster import plan_source_window
from swath.scenes.scene import Scene, SceneSettings
from swath.sites.series import find_scenes
from swath.workers import HERE, Workers

CHANGES = "changes.tif"

CHANGES_VERSION = 1
"""Of the change layer's bytes: raised when the same maps give others."""


@dataclass(frozen=True, slots=True)
class ExistingMaps:
    """The maps of a site, to which a date can be added.

    Attributes:
        maps: As their item tells them.
        manifest: What they were made from.
    """

    maps: SiteMaps
    manifest: Manifest

    @property
    def grid(self) -> Grid:
        """Where they lie."""
        return Grid(self.manifest.crs, Affine(*self.manifest.transform), self.manifest.shape)


@dataclass(frozen=True, slots=True)
class AddedDate:
    """What adding a date did.

    Attributes:
        date: The date.
        site: What was made for it; no new files if the maps had just this image already.
    """

    date: dt.date
    site: MappedSite

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the date changed in the class map, if that was made anew."""
        if not self.site.new_files:
            return ()
        return tuple(change for change in self.site.maps.changes if change.date == self.date)


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
        ModelError: The run is not there, holds another model, or maps whole series.

    Example:
        >>> import swath
        >>> maps = swath.update("maps", "2020-01-15.tif")
        >>> maps.dates[-1].isoformat(), maps.only.changes[-1].date.isoformat()
        ('2020-01-15', '2020-01-15')
    """
    folder = maps.folder if isinstance(maps, Maps) else Path(maps)
    add_scene(folder, scene, site=site, run=run, bands=bands, options=options)
    keeper = maps.keeper if isinstance(maps, Maps) else None
    return Maps(folder, list(open_maps(folder).values()), keeper)


def add_scene(
    folder: Path,
    scene: Path | str,
    *,
    site: str | None = None,
    run: Path | str | None = None,
    bands: Sequence[str] | None = None,
    options: MapOptions = DEFAULTS,
) -> AddedDate:
    """Add a date to the maps of a folder, and tell what was done; see `update`."""
    names = None if bands is None else tuple(bands)
    (new,) = find_scenes([SceneSettings(path=str(scene), bands=names)], Path())
    existing = choose_site(list(open_maps(folder).values()), new, site)
    home = find_run(existing, None if run is None else Path(run))
    predictor = load_predictor(existing, home, options.device)
    done = update_site(existing, home, new, predictor, workers=options.workers)
    return AddedDate(new.date, done)


def read_existing(maps: SiteMaps) -> ExistingMaps:
    """Read what is needed to add to maps.

    Raises:
        DatasetError: They have no manifest, or a file is not as it was written.
    """
    manifest = read_manifest(maps.folder)
    keys = {name: output.key for name, output in manifest.outputs.items()}
    if not matches(maps.folder, keys):
        raise DatasetError(
            f"{maps.folder}: a file differs from what swath wrote; to redo only that, map the site "
            "again",
            Remedy.MAP_RESUME,
        )
    return ExistingMaps(maps, manifest)


def choose_site(sites: Sequence[SiteMaps], scene: Scene, name: str | None) -> ExistingMaps:
    """The site that a scene belongs to: the one of that name, or the one where it lies.

    Raises:
        InputError: The scene meets no site, or several.
        DatasetError: No site of that name; see also `read_existing`.
    """
    if name is not None and name not in {maps.site for maps in sites}:
        known = ", ".join(maps.site for maps in sites)
        raise DatasetError(f"no site {name!r} in these maps; they have {known}")
    wanted = [maps for maps in sites if name in (None, maps.site)]
    met = [known for known in map(read_existing, wanted) if _meets(scene, known.grid)]
    if not met:
        where = "its grid" if name else "the grid of any site"
        raise InputError(f"{scene.path}: the image does not meet {where} of these maps")
    if len(met) > 1:
        names = ", ".join(known.maps.site for known in met)
        raise InputError(f"{scene.path}: the image meets several sites, {names}", Remedy.SITE)
    return met[0]


def find_run(existing: ExistingMaps, given: Path | None) -> Path:
    """The run that made the maps.

    Args:
        existing: The maps.
        given: Where the user says it is; None: where the manifest says.

    Raises:
        ModelError: It is not there, or holds another model now.
    """
    manifest, home = existing.manifest, existing.maps.folder
    run = given or Path(os.path.normpath(home.absolute() / manifest.run))
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


def load_predictor(
    existing: ExistingMaps, run: Path, device: str, precision: Precision | None = None
) -> Predictor:
    """The model of a run, ready to go on as the maps were made.

    Args:
        existing: The maps.
        run: Of `find_run`.
        device: `auto`, `cpu` or `cuda`.
        precision: None: that of the maps.
    """
    then = existing.manifest.settings
    return Predictor(load_model(run), device, precision or then.precision, then.orientations)


def update_site(
    existing: ExistingMaps,
    run: Path,
    scene: Scene,
    predictor: Predictor,
    *,
    workers: Workers = HERE,
) -> MappedSite:
    """Add a date: one pass of the U-Net, and the ConvLSTM over the newest PMaps.

    As many dates are fused as before (or as the model was trained on, while there are fewer): the
    newest. So the maps become those of `swath map` with these dates on this grid, byte by byte. A
    date older than the newest takes its place in the series; one that is older than all fused
    dates only adds its PMap.

    Args:
        existing: The maps.
        run: The run that made them; see `find_run`.
        scene: The new date. The grid stays that of the maps.
        predictor: The run's model.
        workers: Who runs the networks.

    Returns:
        What was done; `new_files` is empty if the maps had just this image already.

    Raises:
        ModelError: The model maps whole series.
        InputError: The date is there already from another image, or the image cannot be read.
        BusyError: Another process is at these maps.
    """
    if predictor.series is not None:
        raise ModelError(
            f"model {predictor.model.spec.name!r} looks at all images at once, so that "
            "none can be added; map the whole series"
        )
    began = time.perf_counter()
    stages = Stages()
    home = existing.maps.folder
    source = scene_source(scene, existing.grid, predictor.model.spec.image)
    with stages.time("hash"):
        identity = source.identify()
    before = existing.manifest.dates.get(scene.date)
    if before is not None and before.source == identity:
        return describe(existing.maps, [], existing.grid, stages, began)
    if before is not None:
        raise InputError(
            f"{scene.path}: {home} has a map of {scene.date} from another image; to replace it, "
            "map the series anew",
            Remedy.MAP_RESUME,
        )
    plan = _plan_addition(existing, run, source, identity, predictor)
    with (
        running(predictor, run, home.parent, workers) as runner,
        working(home, anew=False) as place,
    ):
        fill(place, plan, predictor, runner, stages)
        with stages.time("changes"):
            plan = _add_changes(place, plan, existing, scene.date)
        finish(place, plan, predictor, run)
    return describe(plan.maps, place.new_files, plan.grid, stages, began)


def _plan_addition(
    existing: ExistingMaps, run: Path, source: Source, identity: str, predictor: Predictor
) -> SitePlan:
    """The maps with one date more; PMaps that are there keep their keys."""
    home, before = existing.maps.folder, existing.manifest
    date = Mapped(source=identity, attribution=source.attribution)
    manifest = before.model_copy(
        update={
            "settings": before.settings.model_copy(update={"device": predictor.device.type}),
            "run": Path(os.path.relpath(run, home)).as_posix(),
            "dates": before.dates | {source.date: date},
            "outputs": {},
        }
    )
    known = {name: output.key for name, output in before.outputs.items() if _is_pmap(name)}
    return plan_site(predictor, manifest, existing.grid, home, {source.date: source}, known)


def _add_changes(
    place: WorkFolder, plan: SitePlan, existing: ExistingMaps, date: dt.date
) -> SitePlan:
    """Bring the change layer up to date, where the class map was made anew."""
    old, new = existing.maps, plan.at(place.folder)
    outputs = existing.manifest.outputs
    name = old.classes_path.name
    same = outputs[name].key == plan.keys[name]
    if same and not old.changes:
        return plan
    key = outputs[CHANGES].key if CHANGES in outputs else None
    if not same:
        inputs = {"before": key, "old": outputs[name].key, "new": plan.keys[name]}
        key = Decided("changes", CHANGES_VERSION, {**inputs, "date": str(date)}).key
    assert key is not None
    if not place.reuse(CHANGES, key):
        write_changes(old, new, date, plan.grid)
        place.record(CHANGES, key)
    changes = old.changes
    if not same:
        changes = (*changes, count_changes(old, new, date, plan.grid))
    maps = plan.maps.model_copy(update={"changes": changes})
    return replace(plan, maps=maps, keys={**plan.keys, CHANGES: key})


def _is_pmap(name: str) -> bool:
    return name.startswith("pmap_")


def _meets(scene: Scene, grid: Grid) -> bool:
    return plan_source_window(scene.grid, grid).size > 0
