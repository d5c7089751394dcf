"""A small invented world as a user would have it: GeoTIFFs, road lines and a sites file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from swath.files import replacing
from swath.grid import LONLAT, Grid
from swath.outfolder import Kind, replacing_folder
from swath.progress import track
from swath.scenes.raster import write_raster
from swath.scenes.scene import SceneSettings
from swath.simulate.climate import draw_climate
from swath.simulate.day import Day, plan_days
from swath.simulate.layout import PIXEL_M, Layout, area_table
from swath.simulate.parameters import Parameters
from swath.simulate.render import Renderer
from swath.simulate.town import WIDTH_M, Town, lay_out
from swath.sites.schema import SiteSettings, SitesFile, SplitName, write_sites_file

ATTRIBUTION = "Simulated by swath: towns laid out by a generator, no real place"

BANDS = ("B02", "B03", "B04", "B08")

CRS = "EPSG:32627"
ORIGIN_M = (500_000.0, 4_980_000.0)
"""South-west corner of the first site: open Atlantic at 45 degrees north, so that nobody takes a
site for a real place."""

SPACING_M = 40_000.0
"""From one site to the next; five in a row."""

_KINDS = {"centre": "residential", "houses": "residential", "works": "works", "park": "park"}


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedSite:
    """A place and its pictures.

    Attributes:
        layout: What lies where, and where it pretends to be.
        days: When the pictures were taken, oldest first.
        images: One (4, H, W) uint16 array a day: reflectance x 10000 of `BANDS`.
    """

    layout: Layout
    days: tuple[Day, ...]
    images: tuple[NDArray[np.uint16], ...]

    @property
    def roads(self) -> gpd.GeoDataFrame:
        """The lines as OSM would have them: `highway` or `railway`, longitude and latitude."""
        lines = self.layout.lines
        railway = ["rail" if kind == "railway" else None for kind in lines["kind"]]
        columns = {"highway": lines["highway"], "railway": railway}
        return gpd.GeoDataFrame(columns, geometry=lines.geometry, crs=lines.crs).to_crs(LONLAT)


def _town_layout(town: Town, grid: Grid, seed: int) -> Layout:
    """A generated town as a layout on a grid of its size."""
    corner = np.array(grid.bounds[:2])

    def move(shapes: list[shapely.Geometry]) -> NDArray[np.object_]:
        return np.asarray(shapely.transform(np.array(shapes, object), lambda xy: xy + corner))

    areas = [*(d.area for d in town.districts), town.woods, town.river]
    kinds = [*(_KINDS[d.use] for d in town.districts), "forest", "water"]
    named = {"rail": "railway", "track": "track"}
    ways = [way.kind for way in town.ways]
    lines = gpd.GeoDataFrame(
        {
            "kind": [named.get(kind, "road") for kind in ways],
            "width_m": [WIDTH_M[kind] for kind in ways],
            "paved": [kind != "track" for kind in ways],
            "highway": [None if kind == "rail" else kind for kind in ways],
        },
        geometry=move([way.line for way in town.ways]),
        crs=grid.crs,
    )
    return Layout(grid, area_table(kinds, move(areas), np.zeros(len(areas)), grid.crs), lines, seed)


def simulate_site(seed: int, index: int, size_px: int, dates: int) -> SimulatedSite:
    """Invent a town, a square of pixels of 10 m, and take its picture on several days.

    Every `index` in the world that `seed` gives is another town at another place.
    """
    size_m = size_px * PIXEL_M
    row, column = divmod(index, 5)
    left, bottom = ORIGIN_M[0] + column * SPACING_M, ORIGIN_M[1] + row * SPACING_M
    transform = Affine(PIXEL_M, 0, left, 0, -PIXEL_M, bottom + size_m)
    grid = Grid(CRS, transform, (size_px, size_px))
    town_seed = int(np.random.default_rng((seed, index)).integers(2**20))
    layout = _town_layout(lay_out((seed, index, 0), size_m), grid, town_seed)
    values = Parameters()
    # One world, one region: a network that learns in one town is tried in the next.
    climate = draw_climate(45.0, seed)
    days = plan_days(dates, climate, values, town_seed)
    renderer = Renderer(layout, climate, days, BANDS, values)
    for block in renderer.blocks:
        renderer.draw(block)
    return SimulatedSite(layout, days, tuple(image for _, image, _ in renderer.pictures()))


def _write_site(folder: Path, site: SimulatedSite) -> None:
    """Write `<date>.tif` for each day and `roads.geojson` into `folder`."""
    tags = {"TIFFTAG_IMAGEDESCRIPTION": ATTRIBUTION}
    for day, image in zip(site.days, site.images, strict=True):
        path = folder / f"{day.date}.tif"
        write_raster(path, image, site.layout.grid, nodata=0, names=BANDS, tags=tags)
    with replacing(folder / "roads.geojson") as temporary:
        site.roads.to_file(
            temporary, driver="GeoJSON", engine="pyogrio", layer="roads", COORDINATE_PRECISION=7
        )


def write_world(
    out: Path,
    splits: Mapping[str, SplitName],
    *,
    seed: int,
    size_px: int = 512,
    dates: int = 3,
    overwrite: bool = False,
) -> Path:
    """Simulate several sites and write them with the sites file that `swath build` reads.

    Args:
        out: Folder to make: `sites.yaml`, whose path is returned, and a folder a site.
        splits: Name of every site and the split it belongs to.
        seed: The same seed gives the same world.
        size_px: Side of every site in pixels of 10 m.
        dates: Acquisitions of every site.
        overwrite: Whether `out` may be replaced.

    Raises:
        OutputExistsError: `out` is there and may not be replaced.
    """
    sites = {
        name: SiteSettings(
            scenes=(SceneSettings(path=f"{name}/*.tif"),), split=split, labels=f"{name}/roads.geojson"
        )
        for name, split in splits.items()
    }
    sites_file = SitesFile(sites=sites, attribution=ATTRIBUTION)
    with replacing_folder(out, Kind.WORLD, overwrite=overwrite) as folder:
        for index, name in enumerate(track(splits, "simulating towns", len(splits))):
            _write_site(folder / name, simulate_site(seed, index, size_px, dates))
        write_sites_file(folder / "sites.yaml", sites_file, f"{ATTRIBUTION} (seed {seed}).")
    return out / "sites.yaml"
