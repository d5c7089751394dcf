"""Simulated sites whose roads lie where one knows: worlds to check labels on."""

from pathlib import Path

import geopandas
import numpy as np
import shapely
import yaml
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

from conftest import SceneWriter
from swath.grid import Grid
from swath.labels.burn import burn_mask

UTM = "EPSG:32630"
SIDE = 320
GRID = Grid(UTM, Affine(10.0, 0.0, 600_000.0, 0.0, -10.0, 5_300_000.0), (SIDE, SIDE))


def draw_lines(seed: int, number: int = 40) -> list[shapely.LineString]:
    """Straight roads across the grid, in all directions."""
    rng = np.random.default_rng(seed)
    left, bottom, right, top = GRID.bounds
    middle = rng.uniform((left, bottom), (right, top), size=(number, 2))
    angle = rng.uniform(0, np.pi, number)
    reach = rng.uniform(300, 1200, number)[:, None]
    step = np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach
    return [shapely.LineString(ends) for ends in zip(middle - step, middle + step, strict=True)]


def draw_image(lines: list[shapely.LineString], seed: int, grid: Grid = GRID) -> NDArray[np.uint8]:
    """(3, H, W): bright roads 12 m wide, averaged over each pixel, in a rough country."""
    rng = np.random.default_rng(seed)
    over = 5
    height, width = grid.shape
    fine = Grid(grid.crs, grid.transform @ Affine.scale(1 / over), (height * over, width * over))
    wide = geopandas.GeoSeries(lines, crs=UTM).buffer(6).to_crs(grid.crs)
    share = burn_mask(wide, fine).reshape(height, over, width, over).mean(axis=(1, 3))
    seen = ndimage.gaussian_filter(share, 0.6)
    bands = []
    for gain in (60, 50, 45):
        country = ndimage.gaussian_filter(rng.normal(size=grid.shape), 3) * 60
        bands.append(90 + country + gain * seen + rng.normal(scale=4, size=grid.shape))
    return np.clip(np.rint(bands), 1, 255).astype(np.uint8)


def write_label_world(
    folder: Path,
    write_scene: SceneWriter,
    *,
    offset_m: tuple[float, float] = (0.0, 0.0),
    **settings: object,
) -> Path:
    """A sites file of one simulated site whose vectors lie `offset_m` from the truth."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = draw_lines(1)
    for date, seed in (("2020-03-01", 2), ("2020-08-01", 3)):
        write_scene(folder / f"{date}.tif", draw_image(lines, seed), GRID, ("B04", "B03", "B02"))
    vectors = geopandas.GeoDataFrame({"highway": ["residential"] * len(lines)}, geometry=lines, crs=UTM)
    vectors["geometry"] = vectors.geometry.translate(*offset_m)
    vectors.to_parquet(folder / "roads.parquet")
    site = {
        "scenes": [{"path": "2020-*.tif"}],
        "labels": "roads.parquet",
        "split": "train",
        **settings,
    }
    path = folder / "sites.yaml"
    path.write_text(yaml.safe_dump({"sites": {"here": site}}), encoding="utf-8")
    return path
