"""The plan of a site's maps: which files, and the key of each, before anything is computed."""

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from swath.grid import Grid
from swath.mapping.predict import Predictor
from swath.mapping.sources import Series, Source, join_attributions
from swath.maps.manifest import UNIT_HA, Manifest, Mapped, Settings, Threshold, grid_facts, make_key
from swath.maps.rasters import Raster, fused_rasters, pmap_raster
from swath.maps.sitemaps import SiteMaps
from swath.models.spec import ModelSpec
from swath.models.trained import network_hash, weights_hash


@dataclass(frozen=True, slots=True)
class SitePlan:
    """What is to be made for a site.

    Attributes:
        maps: The maps as they will be, in their final folder.
        grid: Of the images.
        manifest: To be written with them; its outputs are still to be filled in.
        keys: File name -> hash of all that it depends on. Equal keys mean equal bytes.
        sources: The dates whose images are at hand.
        attributions: Date -> what the PMap of that date says of its makers.
    """

    maps: SiteMaps
    grid: Grid
    manifest: Manifest
    keys: Mapping[str, str]
    sources: Mapping[dt.date, Source]
    attributions: Mapping[dt.date, str]

    @property
    def reads(self) -> tuple[Path, ...]:
        """The files and folders that the maps are made from."""
        run = self.maps.folder / self.manifest.run
        return (run, *(file for source in self.sources.values() for file in source.files))

    @property
    def map_grid(self) -> Grid:
        """Where the maps lie, but for the composite."""
        return self.grid.finer(self.maps.finer)

    @property
    def fused(self) -> tuple[Raster, ...]:
        """The fused PMap, classes and composite."""
        maps = self.maps
        return fused_rasters(maps.dates, maps.legend, maps.attribution, maps.finer)

    def pmap(self, date: dt.date) -> Raster:
        """The PMap of a date."""
        return pmap_raster(date, self.maps.legend, self.attributions[date], self.maps.finer)

    def at(self, folder: Path) -> SiteMaps:
        """The maps while they still are in another folder."""
        return self.maps.model_copy(update={"folder": folder})


def plan_series(
    predictor: Predictor,
    run: Path,
    series: Series,
    home: Path,
    tile_px: int,
    threshold: Threshold = "scene",
    unit_ha: float = UNIT_HA,
) -> SitePlan:
    """Plan the maps of a series: every date is mapped, and all of them are fused.

    Args:
        predictor: The run's model.
        run: The run's folder.
        series: What to map.
        home: MAPS/<site>.
        tile_px: See `Settings`, as `threshold`.
        threshold: See there.
        unit_ha: See there.

    Raises:
        SettingsError: A tile size that is not a positive multiple of the model's stride.
        ModelError: The model takes another number of dates only.
        InputError: An image file is missing.
    """
    predictor.model.check_dates(len(series.sources))
    predictor.plan_pmaps(series.grid.shape, tile_px)
    spec = predictor.model.spec
    settings = Settings(
        tile_px=tile_px,
        precision=predictor.precision,
        orientations=predictor.orientations,
        device=predictor.device.type,
        max_dates=max(spec.dates, len(series.sources)),
        threshold=threshold,
        unit_ha=unit_ha,
    )
    mapped = {
        source.date: Mapped(source=source.identify(), attribution=source.attribution)
        for source in series.sources
    }
    manifest = Manifest(
        run=Path(os.path.relpath(run, home)).as_posix(),
        model_sha256=weights_hash(run),
        settings=settings,
        **grid_facts(series.grid),
        finer=spec.finer,
        dates=mapped,
    )
    sources = {source.date: source for source in series.sources}
    return plan_site(predictor, manifest, series.grid, home, sources, {})


def plan_site(
    predictor: Predictor,
    manifest: Manifest,
    grid: Grid,
    home: Path,
    sources: Mapping[dt.date, Source],
    known: Mapping[str, str],
) -> SitePlan:
    """Plan the maps that a manifest's header describes.

    Args:
        predictor: The run's model.
        manifest: Its dates are those to be mapped; the newest `max_dates` of them are fused.
        grid: Of the images.
        home: MAPS/<site>.
        sources: The dates whose images are at hand.
        known: Keys of PMaps that were made before, with other settings perhaps.
    """
    spec = predictor.model.spec
    days = sorted(manifest.dates)
    fused = tuple(days[-manifest.settings.max_dates :])
    attributions = {day: _with_model(mapped.attribution, spec) for day, mapped in manifest.dates.items()}
    maps = SiteMaps(
        folder=home,
        site=home.name,
        dates=fused,
        earlier=tuple(days[: -len(fused)]),
        legend=spec.legend,
        model=spec.name,
        model_sha256=manifest.model_sha256,
        fusion=predictor.fusion,
        finer=spec.finer,
        splits={split: tuple(names) for split, names in spec.splits.items()},
        attribution=_with_model(join_attributions([manifest.dates[day].attribution for day in fused]), spec),
    )
    plan = SitePlan(maps, grid, manifest, {}, sources, attributions)
    return replace(plan, keys=_keys(plan, predictor, days, known))


def _keys(
    plan: SitePlan, predictor: Predictor, days: Sequence[dt.date], known: Mapping[str, str]
) -> dict[str, str]:
    spec, settings = predictor.model.spec, plan.manifest.settings
    # `max_dates` decides which dates are fused, and these are named below.
    how: dict[str, JsonValue] = {
        **settings.model_dump(exclude={"max_dates", "threshold", "unit_ha"}),
        "legend": spec.legend.model_dump(mode="json"),
        "finer": spec.finer,
    }
    fcn = network_hash(predictor.model.fcn)
    fusion = predictor.model.fusion
    keys: dict[str, str] = {}
    for day in days:
        name = plan.pmap(day).name
        keys[name] = known.get(name) or make_key(
            what="pmap",
            date=str(day),
            source=plan.manifest.dates[day].source,
            attribution=plan.attributions[day],
            grid=grid_facts(plan.grid),
            fcn=fcn,
            model=spec.name,
            scaling=spec.scaling.model_dump(mode="json"),
            **spec.image.own_stretch,
            **how,
        )
    fused = make_key(
        what="fused",
        pmaps=[keys[plan.pmap(day).name] for day in plan.maps.dates],
        attribution=plan.maps.attribution,
        fusion=None if fusion is None else network_hash(fusion),
        temperature=spec.temperature,
        threshold=settings.threshold,
        **how,
    )
    keys |= {raster.name: fused for raster in plan.fused}
    unit_ha = settings.unit_ha if spec.legend.areas else None
    vectors = make_key(what="vectors", fused=fused, unit_ha=unit_ha)
    return keys | {path.name: vectors for path in plan.maps.vector_paths}


def _with_model(images: str, spec: ModelSpec) -> str:
    """Who made the images, and what the model learnt from where that is other data."""
    if not spec.attribution or spec.attribution == images:
        return images
    return f"{images}; model trained with: {spec.attribution}"
