"""Simulated sites as a user would have them: GeoTIFFs, road lines and a sites file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
import yaml
from affine import Affine
from numpy.typing import NDArray

from swath.files import replacing, replacing_folder
from swath.grid import Grid
from swath.progress import track
from swath.settings import SceneSettings, SiteSettings, SitesFile, SplitName
from swath.simulate.cover import cover_town
from swath.simulate.light import BANDS, PIXEL_M, Day, expose, plan_days
from swath.simulate.town import Way, lay_out

ATTRIBUTION = "Simulated by swath: towns laid out by a generator, no real place"

CRS = "EPSG:32627"
ORIGIN_M = (500_000.0, 4_980_000.0)
"""South-west corner of the first site: open Atlantic at 45 degrees north, so that nobody takes a
site for a real place."""

SPACING_M = 40_000.0
"""From one site to the next; five in a row."""


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedSite:
    """A place and its pictures.

    Attributes:
        grid: Where it pretends to be.
        days: When the pictures were taken, oldest first.
        images: One (4, H, W) uint16 array a day: reflectance x 10000 of `BANDS`.
        ways: What a mapper would draw, in metres from the south-west corner.
    """

    grid: Grid
    days: tuple[Day, ...]
    images: tuple[NDArray[np.uint16], ...]
    ways: tuple[Way, ...]

    @property
    def roads(self) -> gpd.GeoDataFrame:
        """The ways as OSM would have them: `highway` or `railway`, longitude and latitude."""
        left, bottom, _, _ = self.grid.bounds
        lines = shapely.transform(
            [w.line for w in self.ways], lambda xy: xy + np.array([left, bottom])
        )
        rail = [w.kind == "rail" for w in self.ways]
        table = gpd.GeoDataFrame(
            {
                "highway": [None if r else w.kind for w, r in zip(self.ways, rail, strict=True)],
                "railway": ["rail" if r else None for r in rail],
            },
            geometry=lines,
            crs=self.grid.crs,
        )
        return table.to_crs("EPSG:4326")


def simulate_site(seed: int, index: int, size_px: int, dates: int) -> SimulatedSite:
    """Invent a town and take its picture on several days.

    Args:
        seed: Of the world.
        index: Number of the site in the world; each is another town at another place.
        size_px: Side of the square in pixels of 10 m.
        dates: How many days.
    """
    size_m = size_px * PIXEL_M
    row, column = divmod(index, 5)
    left, bottom = ORIGIN_M[0] + column * SPACING_M, ORIGIN_M[1] + row * SPACING_M
    transform = Affine(PIXEL_M, 0, left, 0, -PIXEL_M, bottom + size_m)
    town = lay_out((seed, index, 0), size_m)
    cover = cover_town(town, (seed, index, 1))
    days = plan_days((seed, index, 2), dates)
    return SimulatedSite(
        grid=Grid(CRS, transform, (size_px, size_px)),
        days=days,
        images=tuple(expose(cover, day) for day in days),
        ways=town.ways,
    )


def write_site(folder: Path, site: SimulatedSite) -> None:
    """Write `<date>.tif` for each day and `roads.geojson` into `folder`."""
    for day, image in zip(site.days, site.images, strict=True):
        with replacing(folder / f"{day.date.isoformat()}.tif") as temporary:
            _write_image(temporary, image, site.grid)
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
        out: Folder to make: `sites.yaml` and a folder a site.
        splits: Name of every site and the split it belongs to.
        seed: The same seed gives the same world.
        size_px: Side of every site in pixels of 10 m.
        dates: Acquisitions of every site.
        overwrite: Whether `out` may be replaced.

    Returns:
        The path of the sites file.

    Raises:
        OutputExistsError: `out` is there and may not be replaced.
    """
    sites = {
        name: SiteSettings(
            scenes=(SceneSettings(path=f"{name}/*.tif"),),
            split=split,
            labels=f"{name}/roads.geojson",
        )
        for name, split in splits.items()
    }
    sites_file = SitesFile(sites=sites, attribution=ATTRIBUTION)
    with replacing_folder(out, overwrite=overwrite) as folder:
        for index, name in enumerate(track(splits, "simulating towns", len(splits))):
            write_site(folder / name, simulate_site(seed, index, size_px, dates))
        values = sites_file.model_dump(mode="json", exclude_defaults=True)
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        (folder / "sites.yaml").write_text(f"# {ATTRIBUTION} (seed {seed}).\n{text}", "utf-8")
    return out / "sites.yaml"


def _write_image(path: Path, image: NDArray[np.uint16], grid: Grid) -> None:
    profile = {
        "driver": "GTiff",
        "count": len(image),
        "dtype": "uint16",
        "nodata": 0,
        "compress": "deflate",
        "predictor": 2,
        **({"tiled": True, "blockxsize": 256, "blockysize": 256} if grid.width >= 256 else {}),
    }
    with rasterio.open(path, "w", **profile, **grid.profile()) as target:
        target.write(image)
        target.descriptions = BANDS
        target.update_tags(TIFFTAG_IMAGEDESCRIPTION=ATTRIBUTION)
