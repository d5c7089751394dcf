"""`swath simulate`: a folder that `swath build` reads, made from a real OpenStreetMap layout."""

import re
from dataclasses import dataclass
from pathlib import Path

from swath.errors import SettingsError
from swath.grid import Bounds, Grid
from swath.labels.osm import ATTRIBUTION as OSM_ATTRIBUTION
from swath.labels.table import write_features
from swath.outfolder import Kind, replacing_folder
from swath.progress import track
from swath.scenes.raster import write_raster
from swath.scenes.scene import SceneSettings
from swath.simulate.climate import draw_climate
from swath.simulate.day import Day, plan_days
from swath.simulate.mapper import draw_map, draw_truth
from swath.simulate.openstreetmap import read_layout
from swath.simulate.parameters import Parameters
from swath.simulate.render import Renderer
from swath.sites.schema import (
    RegionSettings,
    SiteSettings,
    SitesFile,
    SplitName,
    write_sites_file,
)

ATTRIBUTION = f"Simulated imagery, made by swath over real roads: {OSM_ATTRIBUTION}"

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

    Raises:
        SettingsError: An impossible share of cloud.
    """

    bounds: Bounds | None = None
    dates: int = 3
    bands: tuple[str, ...] = DEFAULT_BANDS
    cloud: float = 0.0
    split: SplitName | None = None
    seed: int = 0

    def __post_init__(self) -> None:
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
    osm_file: Path, out: Path, settings: PlaceSettings | None = None, *, overwrite: bool = False
) -> SimulatedPlace:
    """Simulate a series of images over a real layout.

    Args:
        osm_file: Roads, and land use where there is any; see `read_layout`.
        out: Folder to make: `<date>.tif`, `labels.parquet` (as mappers drew it), `truth.parquet`
            (as it is), `sites.yaml`; with clouds `cloud/<date>.tif`, 1 where the ground is hidden.
        settings: How; None: as `PlaceSettings` has it.
        overwrite: Whether `out` may be replaced.

    Raises:
        InputError: The file cannot be read, or has no road in the bounds; an unknown band.
        SettingsError: No such dates.
        OutputExistsError: `out` is there and may not be replaced.
    """
    settings = settings or PlaceSettings()
    seed, values = settings.seed, Parameters()
    with replacing_folder(out, Kind.WORLD, [osm_file], overwrite=overwrite) as folder:
        layout = read_layout(osm_file, settings.bounds, seed)
        _, south, _, north = layout.grid.lonlat_bounds
        climate = draw_climate((south + north) / 2, seed)
        days = plan_days(settings.dates, climate, values, seed, settings.cloud)
        renderer = Renderer(layout, climate, days, settings.bands, values)
        for block in track(renderer.blocks, "drawing the ground"):
            renderer.draw(block)
        _write_pictures(folder, renderer, settings.bands)
        truth = draw_truth(renderer.layout)
        tables = {"truth": truth, "labels": draw_map(truth, layout, values.mapper)}
        for file, table in tables.items():
            table.attrs["attribution"] = ATTRIBUTION
            write_features(folder / f"{file}.parquet", table)
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", osm_file.name.split(".")[0]) or "place"
        _write_sites(folder, name, layout.grid, settings)
    return SimulatedPlace(name, layout.grid, days, out / "sites.yaml")


def _write_pictures(folder: Path, renderer: Renderer, bands: tuple[str, ...]) -> None:
    """Write the pictures of a renderer that has drawn all, and what clouds hide in them."""
    grid, tags = renderer.layout.grid, {"TIFFTAG_IMAGEDESCRIPTION": ATTRIBUTION}
    for day, image, hidden in renderer.pictures():
        path = folder / f"{day.date}.tif"
        write_raster(path, image, grid, nodata=0, names=bands, tags=tags)
        if day.cloud > 0:
            mask = hidden[None].astype("uint8")
            write_raster(folder / "cloud" / path.name, mask, grid, nodata=255, names=["hidden"])


def _write_sites(folder: Path, name: str, grid: Grid, settings: PlaceSettings) -> None:
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
        SitesFile(sites={name: site}, attribution=ATTRIBUTION),
        f"{ATTRIBUTION} (seed {settings.seed}).",
        "labels.parquet is the map as mappers drew it; truth.parquet is what the images show.",
    )
