"""Tiles that a site lies across, of a STAC API that is not ours: their pixels, outlines and clouds."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer

from support.fault_server import serving
from support.fetch_world import World
from support.stac_server import Shot, earth_search_item, stac_api
from swath.grid import Bounds, Grid


@dataclass(frozen=True)
class Tile:
    """One item of a flight, with its True Colour Image and its scene classification.

    Attributes:
        name: Of its MGRS tile.
        grid: Its pixels of 10 m; of an even number a side.
        image: (3, H, W) uint8.
        classes: (H/2, W/2) uint8 scene classification; None: vegetation.
        time: Of the day, UTC.
        outline: GeoJSON; None: the box of the grid.
        more: Properties in the item.
    """

    name: str
    grid: Grid
    image: NDArray[np.uint8]
    classes: NDArray[np.uint8] | None = None
    time: str = "10:56:29"
    outline: dict[str, Any] | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def item(self, date: dt.date, folder: Path, url: str) -> dict[str, Any]:
        """Write the files; give the item."""
        shape = (self.grid.height // 2, self.grid.width // 2)
        classes = np.full(shape, 4, np.uint8) if self.classes is None else self.classes
        coarse = Grid.from_bounds(self.grid.bounds, self.grid.crs, 20)
        name = f"S2B_{self.name}_{date:%Y%m%d}_{self.time[:2]}_L2A"
        (folder / name).mkdir()
        files = (("visual", self.image, self.grid), ("SCL", classes[None], coarse))
        for key, image, grid in files:
            profile = grid.profile() | {"count": len(image), "dtype": "uint8"}
            options = {"driver": "COG", "blocksize": 128, "compress": "deflate"}
            with rasterio.open(folder / name / f"{key}.tif", "w", **profile, **options) as target:
                target.write(image)
        item = earth_search_item(Shot(date), url, {})
        assets = {"visual": item["assets"]["visual"], "scl": item["assets"]["scl"]}
        assets["visual"] |= {"href": f"{url}/{name}/visual.tif"}
        assets["scl"] |= {"href": f"{url}/{name}/SCL.tif"}
        west, south, east, north = self.grid.lonlat_bounds
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        outline = self.outline or {"type": "Polygon", "coordinates": [ring]}
        item |= {"id": name, "assets": assets, "geometry": outline, "bbox": list(self.grid.bbox)}
        item["properties"] |= {
            "grid:code": f"MGRS-{self.name}",
            "datetime": f"{date}T{self.time}Z",
            "s2:product_uri": f"S2B_MSIL2A_{date:%Y%m%d}T105629_N0509_R094_T{self.name}_X.SAFE",
        }
        item["properties"] |= self.more
        return item


@contextmanager
def tiles_served(folder: Path, tiles: Sequence[Tile], *dates: dt.date) -> Iterator[World]:
    """A catalogue of the same tiles on each date."""
    folder.mkdir(parents=True)
    with serving(folder) as files, serving(folder) as api:
        items = [tile.item(date, folder, files.url) for date in dates for tile in tiles]
        with stac_api(items, folder, api.url) as address:
            api.api = address
            yield World(api, files, folder)


def noise(grid: Grid, seed: int) -> NDArray[np.uint8]:
    """(3, H, W) 1..255 of a grid; no two pixels alike but by chance."""
    return np.random.default_rng(seed).integers(1, 256, (3, *grid.shape)).astype(np.uint8)


def waves(grid: Grid) -> NDArray[np.float64]:
    """(3, H, W) what lies on the ground: waves some hundred metres long, the same in every system."""
    t, (height, width) = grid.transform, grid.shape
    x, y = np.meshgrid(t.c + (np.arange(width) + 0.5) * t.a, t.f + (np.arange(height) + 0.5) * t.e)
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    turns = (lon % 360) * 2 * np.pi / 0.01
    rows = 128 + 40 * np.cos(lat * 2 * np.pi / 0.008)
    return np.stack([rows + 60 * np.sin(turns + band) for band in range(3)])


def around(grid: Grid, margin_px: int) -> Bounds:
    """A box in degrees that lies inside of a grid, so many pixels from its edges."""
    return grid.crop(grid.window.grow(-margin_px)).lonlat_bounds
