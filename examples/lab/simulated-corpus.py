"""A corpus to train on: places with and without roads, with what is taken for roads, half of them changing.

    python examples/lab/simulated-corpus.py OSM-FOLDER OUT [--places 60] [--size 384] [--dates 6] [--seed 1]

OSM-FOLDER holds the OpenStreetMap extracts of `BOXES`; OUT gets one `NAME.npz` a place, and one that is there
is kept:

    images     (T, 4, H, W) uint16, B02 B03 B04 B08, Level-1C reflectance x 10000; 0 = no data
    known      (T, H, W) bool, False: no data, or a cloud mask took it (it overlooks some clouds)
    hidden     (T, H, W) bool, True: thick cloud or its shadow, masked or not
    dates      (T,) text
    lines_xy   (points, 2) float32: column, row in pixels of 10 m, (0, 0) the image's upper left corner
    offsets    (roads + 1,) int64: road r has the points offsets[r] to offsets[r + 1]
    width_m, class      (roads,): class = highway of OpenStreetMap, tracks and paths too
    since, until        (roads,): index of the first date that shows it, 0 = always; index after the last date
               that does, T = always
    recipe, attribution, crs, transform      text, text, text, (6,) float64

Simulated imagery, over real roads where OpenStreetMap is named: (c) OpenStreetMap contributors, ODbL 1.0.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from pyproj import Transformer
from scipy.ndimage import binary_dilation, binary_erosion

from swath.simulate.change import add_changes
from swath.simulate.climate import draw_climate
from swath.simulate.day import plan_series
from swath.simulate.landscape import LANDSCAPES, add_landscapes, empty_layout, open_sea
from swath.simulate.openstreetmap import read_layout
from swath.simulate.parameters import Parameters
from swath.simulate.place import ATTRIBUTION, DEFAULT_BANDS
from swath.simulate.series import SimulatedSeries, simulate_series

BOXES = {
    "roads-only/aleppo.parquet": (37.00, 36.12, 37.30, 36.30),
    "roads-only/bucaramanga.parquet": (-73.17, 7.03, -73.08, 7.17),
    "roads-only/douala.parquet": (9.64, 3.99, 9.80, 4.12),
    "roads-only/liege.parquet": (5.35, 50.58, 5.72, 50.75),
    "roads-only/wuhan.parquet": (114.10, 30.45, 114.45, 30.70),
    "roads-only/porto.osm.pbf": (-8.68, 41.10, -8.45, 41.30),
    "roads-only/columbus.osm.pbf": (-83.03, 39.94, -82.97, 39.99),
    "roads-only/sao-paulo-centre.osm.pbf": (-46.67, -23.58, -46.61, -23.53),
    "full/north-bayreuth.osm.gz": (11.49, 49.98, 11.60, 50.04),
    "full/campo-grande.osm.gz": (-54.60, -20.60, -54.50, -20.40),
    "full/moscow-crop.osm.gz": (37.583, 55.8053, 37.626, 55.8243),
    "full/liechtenstein.osm.pbf": (9.49, 47.06, 9.60, 47.25),
    "full/andorra.osm.pbf": (1.45, 42.45, 1.75, 42.64),
}
"""Extracts, and where in them there are roads: west, south, east, north."""

WHOLE = ("sea", "canopy", "desert", "mountain", "fields", "woods", "polder")
"""Landscapes that may cover the whole frame."""

LATITUDES = (-38, -22, -8, 4, 14, 24, 33, 39, 44, 47, 51, 55, 60)


@dataclass(frozen=True)
class Recipe:
    """One place: an extract or none, the centre, landscapes, whether roads change."""

    name: str
    extract: str
    centre: tuple[float, float]
    landscapes: tuple[str, ...]
    change: bool
    seed: int


def plan(places: int, seed: int) -> list[Recipe]:
    """Recipes: a third without an extract, the others over all extracts in turn, each at another spot."""
    rng = np.random.default_rng((seed, 1))
    kinds = [name for name in LANDSCAPES if name not in ("lane", "canopy")]
    decks: dict[str, list[str]] = {"land": [], "osm": [], "base": []}

    def draw(deck: str, choices: list[str]) -> str:
        if not decks[deck]:  # every card once before any comes twice
            decks[deck] = [str(card) for card in rng.permutation(choices)]
        return decks[deck].pop()

    recipes = []
    for number in range(places):
        wild = number % 3 == 2
        extract = "" if wild else draw("osm", list(BOXES))
        count = int(rng.integers(1, 4)) if wild else int(rng.choice([0, 1, 1, 2]))
        lands = [draw("land", kinds) for _ in range(count)]
        if wild and rng.random() < 0.75 and not set(lands) & set(WHOLE):
            lands.append(
                draw("base", ["fields", "fields", "polder", "woods", "canopy", "desert", "mountain"])
            )
        # What covers the whole frame comes first.
        lands.sort(key=lambda name: name not in WHOLE)
        if not wild:
            lands = [name for name in lands if name != "sea"]
        elif rng.random() < 0.4:
            lands.append("lane")
        west, south, east, north = BOXES.get(extract, (0, 0, 0, 0))
        spot = rng.uniform((west, south), (east, north))
        centre = (0.0, float(rng.choice(LATITUDES))) if wild else (float(spot[0]), float(spot[1]))
        name = f"{number:03d}-" + "-".join([extract.split("/")[-1].split(".")[0] or "wild", *lands])
        change = "lane" in lands if wild else rng.random() < 0.65
        recipes.append(Recipe(name, extract, centre, tuple(lands), bool(change), 1000 * seed + number))
    return recipes


def make(osm: Path, out: Path, recipe: Recipe, size_px: int, dates: int) -> str:
    """Simulate a place and write it; what was written."""
    path = out / f"{recipe.name}.npz"
    if path.exists():
        return f"{path.name}: there"
    values = Parameters()
    if recipe.extract:
        x, y = recipe.centre
        zone = gpd.GeoSeries([shapely.Point(x, y)], crs=4326).estimate_utm_crs()
        east, north = Transformer.from_crs(4326, zone, always_xy=True).transform(x, y)
        half = size_px * 5
        back = Transformer.from_crs(zone, 4326, always_xy=True)
        layout = read_layout(
            osm / recipe.extract,
            back.transform_bounds(east - half, north - half, east + half, north + half),
            recipe.seed,
        )
    else:
        layout = empty_layout(open_sea(size_px + 1, recipe.centre[1]), recipe.seed)
    layout = add_landscapes(layout, recipe.landscapes, dates)
    layout = add_changes(layout, dates, roads=recipe.change)
    _, south, _, north = layout.grid.lonlat_bounds
    climate = draw_climate((south + north) / 2, recipe.seed)
    days = plan_series(dates, climate, values, recipe.seed)
    series = simulate_series(layout, days, DEFAULT_BANDS, values)
    arrays = pack(series, size_px, recipe)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    partial.replace(path)
    return f"{path.name}: {len(arrays['class'])} lines"


def pack(series: SimulatedSeries, size_px: int, recipe: Recipe) -> dict[str, np.ndarray]:
    """The arrays of a place, cut to a square."""
    rng = np.random.default_rng((recipe.seed, 2))
    images, hidden = (array[..., :size_px, :size_px].copy() for array in (series.images, series.hidden))
    known = np.ones(hidden.shape, bool)
    dates = len(known)
    y, x = np.mgrid[: images.shape[-2], : images.shape[-1]]
    for at in range(dates):
        if hidden[at].any() and rng.random() < 0.6:
            # A mask takes the thick middle and some ground beside it, and overlooks the rest.
            mask = binary_dilation(
                binary_erosion(hidden[at], iterations=int(rng.integers(0, 4))),
                iterations=int(rng.integers(0, 8)),
            )
            known[at] &= ~mask
        if at < dates - 1 and rng.random() < 0.07:  # the edge of the swath
            angle = rng.uniform(0, 2 * np.pi)
            edge = rng.uniform(-0.3, 0.3) * size_px
            lost = (x - size_px / 2) * np.cos(angle) + (y - size_px / 2) * np.sin(angle) > edge
            known[at] &= ~lost
            images[at, :, lost] = 0
    lines = series.layout.lines
    roads = lines[lines["highway"].notna()]
    roads = roads[roads.intersects(shapely.box(*series.layout.grid.bounds))].explode(index_parts=False)
    xy, owner = shapely.get_coordinates(roads.geometry.values, return_index=True)
    columns, rows = ~series.layout.grid.transform @ (xy[:, 0], xy[:, 1])
    counts = np.bincount(owner, minlength=len(roads)) if len(roads) else np.zeros(0, int)
    attribution = ATTRIBUTION if recipe.extract else "Simulated by swath, no real place"
    since = roads["since"] if "since" in roads else np.zeros(len(roads))
    until = roads["until"] if "until" in roads else np.full(len(roads), dates)
    return {
        "images": images,
        "known": known,
        "hidden": hidden,
        "dates": np.array([str(day.date) for day in series.days]),
        "lines_xy": np.stack([columns, rows], axis=1).astype(np.float32).reshape(-1, 2),
        "offsets": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "width_m": roads["width_m"].to_numpy(np.float32),
        "class": np.array([str(kind) for kind in roads["highway"]], "U20"),
        "since": np.asarray(since, np.int16),
        "until": np.minimum(np.asarray(until, np.int32), dates).astype(np.int16),
        "recipe": np.array(f"{recipe}"),
        "attribution": np.array(attribution),
        "crs": np.array(series.layout.grid.crs),
        "transform": np.array(series.layout.grid.transform[:6], np.float64),
    }


def main() -> None:
    """Make what is not there yet."""
    parser = argparse.ArgumentParser(description="A simulated corpus; see the head of this file.")
    parser.add_argument("osm", type=Path)
    parser.add_argument("out", type=Path)
    for option, usual in (
        ("--places", 60),
        ("--size", 384),
        ("--dates", 6),
        ("--seed", 1),
        ("--processes", 2),
    ):
        parser.add_argument(option, type=int, default=usual)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(a.processes) as pool:
        jobs = [pool.submit(make, a.osm, a.out, recipe, a.size, a.dates) for recipe in plan(a.places, a.seed)]
        for number, job in enumerate(jobs, 1):
            sys.stdout.write(f"{number} of {a.places}: {job.result()}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
