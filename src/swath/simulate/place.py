"""`swath simulate`: a folder that `swath build` reads, made from a real OpenStreetMap layout."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas

from swath.errors import SettingsError
from swath.grid import Bounds, Grid
from swath.labels.osm import ATTRIBUTION as OSM_ATTRIBUTION
from swath.labels.table import write_features
from swath.outfolder import Kind, replacing_folder
from swath.progress import track
from swath.scenes.raster import write_raster
from swath.scenes.scene import SceneSettings
from swath.simulate.change import add_changes
from swath.simulate.climate import draw_climate
from swath.simulate.day import Day, plan_days, plan_series
from swath.simulate.landscape import add_landscapes, empty_layout, open_sea
from swath.simulate.layout import PIXEL_M, Layout
from swath.simulate.lookalikes import read_lookalikes
from swath.simulate.mapper import draw_map, draw_truth
from swath.simulate.openstreetmap import read_layout
from swath.simulate.parameters import Parameters
from swath.simulate.render import Renderer
from swath.simulate.series import at_date, dated_roads
from swath.sites.schema import RegionSettings, SiteSettings, SitesFile, SplitName, write_sites_file
from swath.validation import MOST_SEED

ATTRIBUTION = f"Simulated imagery, made by swath over real roads: {OSM_ATTRIBUTION}"

INVENTED = "Simulated imagery, made by swath: no real place"

INVENTED_PX = 384
"""Side of a place that is no file's."""

DEFAULT_BANDS = ("B02", "B03", "B04", "B08")

_LEAST_ROWS = 600
"""Rows that a site needs to be split into training, validation and test."""

_PARTS = (
    RegionSettings(split="train", box=(0, 0, 1, 0.6)),
    RegionSettings(split="validation", box=(0, 0.6, 1, 0.8)),
    RegionSettings(split="test", box=(0, 0.8, 1, 1)),
)


@dataclass(frozen=True, slots=True)
class PlaceSettings:
    """How a place is simulated.

    Attributes:
        bounds: (west, south, east, north) in degrees; None: where roads are densest.
        dates: How many images.
        bands: Which bands.
        cloud: Share of the last image under thick cloud, 0 to 0.9.
        split: Of the site; None: three parts of it, if it is large enough.
        seed: The same seed gives the same files.
        landscapes: What is laid over the place, of `landscape.LANDSCAPES`, later over earlier. With
            any, what the file holds that looks like a road and is none is painted too.
        change: Whether roads and quarters appear and vanish between the dates; these then lie
            unevenly over some years, with haze and clouds in some.

    Raises:
        SettingsError: An impossible share of cloud.
    """

    bounds: Bounds | None = None
    dates: int = 3
    bands: tuple[str, ...] = DEFAULT_BANDS
    cloud: float = 0.0
    split: SplitName | None = None
    seed: int = 0
    landscapes: tuple[str, ...] = ()
    change: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.dates <= 100 and 0 <= self.seed <= MOST_SEED):
            raise SettingsError(
                f"expected 1 to 100 dates and a seed of 0 to {MOST_SEED}, got {self.dates} and {self.seed}"
            )
        if not 0 <= self.cloud <= 0.9:
            raise SettingsError(f"cloud is a share of the image from 0 to 0.9, got {self.cloud:g}")


@dataclass(frozen=True, slots=True)
class SimulatedPlace:
    """What was simulated.

    Attributes:
        name: Of the site.
        grid: Where.
        days: When the pictures were taken, oldest first.
        sites_file: For `swath build`.
    """

    name: str
    grid: Grid
    days: tuple[Day, ...]
    sites_file: Path


def simulate_place(
    osm_file: Path | None, out: Path, settings: PlaceSettings | None = None, *, overwrite: bool = False
) -> SimulatedPlace:
    """Simulate a series of images over a real layout, or over landscapes alone.

    Args:
        osm_file: Roads, and land use where there is any; see `read_layout`. None: country without
            roads but those of the landscapes, in the settings' bounds or in the open Atlantic.
        out: Folder to make: `<date>.tif`, `labels.parquet` (as mappers drew it), `truth.parquet`
            (as it is), both of the newest date, `sites.yaml`; with clouds `cloud/<date>.tif`, 1 where
            the ground is hidden; with landscapes or change `roads.gpkg`, all dates' roads.
        settings: How; None: as `PlaceSettings` has it.
        overwrite: Whether `out` may be replaced.

    Raises:
        InputError: The file cannot be read, or has no road in the bounds; an unknown band.
        SettingsError: No such dates or landscape.
        OutputExistsError: `out` is there and may not be replaced.
    """
    settings = settings or PlaceSettings()
    seed, values = settings.seed, Parameters()
    reads = [] if osm_file is None else [osm_file]
    with replacing_folder(out, Kind.WORLD, reads, overwrite=overwrite) as folder:
        layout = _lay_out(osm_file, settings)
        _, south, _, north = layout.grid.lonlat_bounds
        climate = draw_climate((south + north) / 2, seed)
        if settings.change:
            days = plan_series(settings.dates, climate, values, seed)
            if settings.cloud > 0:
                days = (*days[:-1], replace(days[-1], cloud=settings.cloud))
        else:
            days = plan_days(settings.dates, climate, values, seed, settings.cloud)
        renderer = Renderer(layout, climate, days, settings.bands, values)
        for block in track(renderer.blocks, "drawing the ground"):
            renderer.draw(block)
        attribution = INVENTED if osm_file is None else ATTRIBUTION
        _write_pictures(folder, renderer, settings.bands, attribution)
        truth = draw_truth(at_date(renderer.layout, len(days) - 1))
        tables = {"truth": truth, "labels": draw_map(truth, layout, values.mapper)}
        for file, table in tables.items():
            table.attrs["attribution"] = attribution
            write_features(folder / f"{file}.parquet", table)
        if settings.landscapes or settings.change:
            _write_roads(folder / "roads.gpkg", dated_roads(layout, days))
        stem = "invented" if osm_file is None else osm_file.name.split(".")[0]
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:100] or "place"
        _write_sites(folder, name, layout.grid, settings, attribution)
    return SimulatedPlace(name, layout.grid, days, out / "sites.yaml")


def _lay_out(osm_file: Path | None, settings: PlaceSettings) -> Layout:
    """What lies where, and when."""
    if osm_file is None and not settings.landscapes:
        raise SettingsError(
            "neither a file nor a landscape to simulate: give an OpenStreetMap file, landscapes or both"
        )
    if osm_file is not None:
        layout = read_layout(osm_file, settings.bounds, settings.seed)
    elif settings.bounds is None:
        layout = empty_layout(open_sea(INVENTED_PX), settings.seed)
    else:
        layout = empty_layout(Grid.from_lonlat(settings.bounds, None, PIXEL_M), settings.seed)
    if settings.landscapes:
        if osm_file is not None:
            layout = replace(layout, scenery=read_lookalikes(osm_file, layout.grid))
        layout = add_landscapes(layout, settings.landscapes, settings.dates)
    return add_changes(layout, settings.dates) if settings.change else layout


def _write_pictures(folder: Path, renderer: Renderer, bands: tuple[str, ...], attribution: str) -> None:
    """Write the pictures of a renderer that has drawn all, and what clouds hide in them."""
    grid, tags = renderer.layout.grid, {"TIFFTAG_IMAGEDESCRIPTION": attribution}
    for day, image, hidden in renderer.pictures():
        path = folder / f"{day.date}.tif"
        write_raster(path, image, grid, nodata=0, names=bands, tags=tags)
        if day.cloud > 0:
            mask = hidden[None].astype("uint8")
            write_raster(folder / "cloud" / path.name, mask, grid, nodata=255, names=["hidden"])


def _write_roads(path: Path, roads: geopandas.GeoDataFrame) -> None:
    """Layer `roads`: what was there on any date, and when; layer `changes`: what came or went."""
    changed = roads["from"].notna() | roads["until"].notna()
    for layer, table in (("roads", roads), ("changes", roads[changed])):
        table.to_file(path, layer=layer, driver="GPKG", engine="pyogrio", geometry_type="LineString")


def _write_sites(folder: Path, name: str, grid: Grid, settings: PlaceSettings, attribution: str) -> None:
    split = settings.split
    parts = _PARTS if split is None and grid.height >= _LEAST_ROWS else ()
    site = SiteSettings(
        scenes=(SceneSettings(path="*.tif"),),
        split=None if parts else split or "train",
        regions=parts,
        labels="labels.parquet",
    )
    write_sites_file(
        folder / "sites.yaml",
        SitesFile(sites={name: site}, attribution=attribution),
        f"{attribution} (seed {settings.seed}).",
        "labels.parquet is the map as mappers drew it; truth.parquet is what the images show.",
    )
