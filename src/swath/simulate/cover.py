"""What lies on the ground of a simulated town, in cells of 2.5 m: material, texture, height."""

from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy.ndimage import zoom
from shapely.geometry.base import BaseGeometry

from swath.simulate.town import WIDTH_M, District, Town

CELL_M = 2.5
"""Side of a cell: a fourth of a pixel, so that narrow roads mix with what stands beside them."""


@dataclass(frozen=True, slots=True)
class Material:
    """A surface and how it changes over the year.

    Attributes:
        bare: Reflectance of B02, B03, B04, B08 when nothing grows.
        green: The same in full leaf.
        peak: Day of the year when it is greenest.
        season: Standard deviation of the green time in days; 0: it never greens.
    """

    bare: tuple[float, float, float, float]
    green: tuple[float, float, float, float] = (0.025, 0.055, 0.035, 0.38)
    peak: int = 180
    season: int = 0


MATERIALS: dict[str, Material] = {
    "meadow": Material((0.07, 0.10, 0.11, 0.24), (0.035, 0.075, 0.05, 0.36), 150, 90),
    "wheat": Material((0.08, 0.11, 0.15, 0.22), (0.025, 0.065, 0.04, 0.42), 128, 36),
    "rape": Material((0.09, 0.12, 0.15, 0.23), (0.04, 0.12, 0.10, 0.44), 118, 40),
    "maize": Material((0.07, 0.09, 0.12, 0.19), (0.025, 0.06, 0.035, 0.44), 218, 38),
    "fallow": Material((0.10, 0.14, 0.19, 0.27)),
    "stubble": Material((0.12, 0.16, 0.20, 0.28), (0.05, 0.08, 0.07, 0.30), 110, 45),
    "tree": Material((0.04, 0.05, 0.06, 0.16), (0.02, 0.038, 0.024, 0.30), 190, 75),
    "lawn": Material((0.06, 0.09, 0.09, 0.24), (0.035, 0.075, 0.05, 0.34), 160, 110),
    "water": Material((0.035, 0.045, 0.035, 0.02)),
    "yard": Material((0.11, 0.12, 0.13, 0.17)),
    "tiles": Material((0.07, 0.09, 0.15, 0.24)),
    "slate": Material((0.065, 0.07, 0.075, 0.11)),
    "metal": Material((0.27, 0.29, 0.31, 0.34)),
    "asphalt": Material((0.095, 0.11, 0.12, 0.14)),
    "concrete": Material((0.15, 0.17, 0.19, 0.23)),
    "gravel": Material((0.12, 0.15, 0.19, 0.25)),
    "ballast": Material((0.09, 0.095, 0.105, 0.14)),
}
"""All surfaces; their order is the code in `Cover.material`. Rough values, by eye."""

CODE = {name: code for code, name in enumerate(MATERIALS)}
CROPS = np.array(
    [CODE[n] for n in ("wheat", "wheat", "maize", "rape", "fallow", "stubble", "meadow")]
)
ROOFS = {
    "centre": np.array([CODE[n] for n in ("tiles", "tiles", "tiles", "slate")]),
    "houses": np.array([CODE[n] for n in ("tiles", "slate", "slate")]),
    "works": np.array([CODE[n] for n in ("slate", "yard", "metal", "concrete", "tiles")]),
}


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """The ground in cells of `CELL_M`, row 0 in the north.

    Attributes:
        material: (h, w) uint8, index into `MATERIALS`.
        texture: (h, w) float32 factor on reflectance, about 1.
        height_m: (h, w) float32 height of houses and trees above the ground.
    """

    material: NDArray[np.uint8]
    texture: NDArray[np.float32]
    height_m: NDArray[np.float32]


def cover_town(town: Town, seed: int | tuple[int, ...]) -> Cover:
    """Fill a town's plan with fields, houses, trees and road surfaces.

    Args:
        town: The plan.
        seed: The same seed gives the same ground.

    Returns:
        (h, w) rasters, h = w = size_m / `CELL_M`.
    """
    rng = np.random.default_rng(seed)
    side = round(town.size_m / CELL_M)
    canvas = _Canvas(side, town.size_m)
    material, texture = _fields(rng, canvas)
    rough = smooth_noise(rng, (side, side), 12)
    canopy = rng.random((side, side), dtype=np.float32) < 0.35 + 0.12 * rough
    height = np.zeros((side, side), np.float32)

    woods = canvas.burn([(town.woods, 1)]) > 0
    material[woods] = CODE["tree"]
    zones = canvas.burn([(d.area, at + 1) for at, d in enumerate(town.districts)])
    density = 1 - np.float32(0.25) * np.abs(smooth_noise(rng, (side, side), 150))
    setback = canvas.burn([(w.line.buffer(WIDTH_M[w.kind] / 2 + 5), 1) for w in town.ways]) > 0
    for at, district in enumerate(town.districts):
        rows, cols = np.nonzero(zones == at + 1)
        crowns, dense = canopy[rows, cols], density[rows, cols]
        ground, up = _block(rng, district, canvas, rows, cols, crowns, dense)
        free = ~setback[rows, cols] | (up == 0)
        material[rows, cols] = np.where(free, ground, CODE["lawn"])
        height[rows, cols] = np.where(free, up, 0)
    texture[zones > 0] = 1.0
    water = canvas.burn([(town.river, 1)]) > 0
    material[water] = CODE["water"]
    height[material == CODE["tree"]] = 8.0
    height[water] = 0

    lit = _pave(rng, town, canvas, material)
    hidden = canopy & (rough > 1.2) & (lit == 1)  # crowns that hang over narrow streets
    height[(lit > 0) & ~hidden] = 0
    material[hidden] = CODE["tree"]
    grain = 1 + 0.10 * rng.standard_normal((side, side), dtype=np.float32)
    return Cover(material, np.clip(texture * grain, 0.5, 1.6), height)


class _Canvas:
    """Draws polygons on the cells, and knows where the cells are."""

    def __init__(self, side: int, size_m: float) -> None:
        self.shape = (side, side)
        self.transform = Affine(CELL_M, 0, 0, 0, -CELL_M, size_m)
        middle = (np.arange(side, dtype=np.float32) + 0.5) * CELL_M
        self.x, self.y = middle, middle[::-1].copy()

    def turned(
        self, rows: NDArray[np.int64], cols: NDArray[np.int64], angle: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Positions of cells in metres, along and across a direction."""
        x, y = self.x[cols], self.y[rows]
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return x * cos + y * sin, y * cos - x * sin

    def burn(self, shapes: list[tuple[BaseGeometry, int]]) -> NDArray[np.int16]:
        """(h, w) int16; later shapes cover earlier ones; 0 elsewhere."""
        filled = [(g, v) for g, v in shapes if not g.is_empty]
        if not filled:
            return np.zeros(self.shape, np.int16)
        burnt: NDArray[np.int16] = rasterize(
            filled, self.shape, transform=self.transform, dtype=np.int16
        )
        return burnt


def _fields(
    rng: np.random.Generator, canvas: _Canvas
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Crops in strips whose direction and size change from one quarter to the next."""
    sites = rng.uniform(0, canvas.x[-1], (7, 2))
    coarse = np.stack([np.hypot(canvas.x[::4] - x, canvas.y[::4, None] - y) for x, y in sites])
    nearest = coarse.argmin(axis=0).repeat(4, axis=0).repeat(4, axis=1)
    wobble = 15 * smooth_noise(rng, canvas.shape, 200)
    material = np.empty(canvas.shape, np.uint8)
    texture = np.empty(canvas.shape, np.float32)
    for quarter in range(len(sites)):
        rows, cols = np.nonzero(nearest[: canvas.shape[0], : canvas.shape[1]] == quarter)
        u, v = canvas.turned(rows, cols, rng.uniform(0, np.pi))
        sway = wobble[rows, cols]
        strip = np.floor((v + sway) / rng.uniform(80, 220)).astype(np.int64)
        width = rng.uniform(120, 380)
        field = np.floor((u + sway) / width + _hash(strip, strip, quarter)).astype(np.int64)
        crop = (_hash(strip, field, quarter + 10) * len(CROPS)).astype(np.int64)
        material[rows, cols] = CROPS[crop]
        texture[rows, cols] = 0.85 + 0.3 * _hash(strip, field, quarter + 20)
    return material, texture


def _block(
    rng: np.random.Generator,
    district: District,
    canvas: _Canvas,
    rows: NDArray[np.int64],
    cols: NDArray[np.int64],
    canopy: NDArray[np.bool_],
    density: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Houses and what is between them: (n,) material and (n,) height of the district's cells."""
    lawn = np.where(canopy, CODE["tree"], CODE["lawn"]).astype(np.uint8)
    if district.use == "park":
        return lawn, np.zeros(rows.size, np.float32)
    share, plot, tall = {
        "centre": (0.85, (22.0, 16.0), 15.0),
        "houses": (rng.uniform(0.55, 0.85), (19.0, 17.0), 7.0),
        "works": (0.6, (75.0, 48.0), 9.0),
    }[district.use]
    u, v = canvas.turned(rows, cols, district.angle)
    u, v = u / plot[0], v / plot[1]
    column, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    chance = _hash(column, row, 1)
    margin = 0.08 if district.use == "centre" else 0.2
    inside = np.minimum(u - column, v - row) > margin * (1 + _hash(column, row, 2))
    house = inside & (chance < share * density)
    roofs = ROOFS[district.use]
    roof = roofs[(_hash(column, row, 3) * len(roofs)).astype(np.int64)]
    paved = _hash(column, row, 4) < {"centre": 0.7, "houses": 0.08, "works": 0.55}[district.use]
    ground = np.where(paved, CODE["yard"], lawn)
    height = np.where(house, tall * (0.6 + 0.8 * _hash(column, row, 5)), 0)
    return np.where(house, roof, ground).astype(np.uint8), height.astype(np.float32)


def _pave(
    rng: np.random.Generator, town: Town, canvas: _Canvas, material: NDArray[np.uint8]
) -> NDArray[np.int16]:
    """Draw the ways into `material`; (h, w) int16: 1 narrow street, 2 wide road, 0 none."""
    order = sorted(town.ways, key=lambda w: WIDTH_M[w.kind])
    surfaces, widths = [], []
    for way in order:
        name = "concrete" if rng.random() < 0.2 else "asphalt"
        name = {"track": "gravel", "rail": "ballast"}.get(way.kind, name)
        strip = way.line.buffer(WIDTH_M[way.kind] / 2, cap_style="flat")
        surfaces.append((strip, CODE[name] + 1))
        widths.append((strip, 1 if WIDTH_M[way.kind] <= WIDTH_M["residential"] else 2))
    walks = [w.line.buffer(WIDTH_M[w.kind] / 2 + 3) for w in order if w.kind == "residential"]
    material[canvas.burn([(walk, 1) for walk in walks]) > 0] = CODE["yard"]
    verge = shapely.union_all([w.line for w in order if w.kind == "motorway"]).buffer(14)
    material[canvas.burn([(verge, 1)]) > 0] = CODE["lawn"]
    surface = canvas.burn(surfaces)
    np.copyto(material, (surface - 1).astype(np.uint8), where=surface > 0)
    return canvas.burn(widths)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], scale: float, octaves: int = 1
) -> NDArray[np.float32]:
    """Random hills: (h, w) float32 of mean 0 and deviation 1.

    Args:
        rng: Source of chance.
        shape: (h, w).
        scale: Width of the largest hills in cells.
        octaves: How many sizes of hills; each is half as wide and high as the one before.
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        width = scale / 2**octave
        small = [int(np.ceil(n / width)) + 3 for n in shape]
        coarse = rng.standard_normal(small, dtype=np.float32)
        factor = [(n + 1) / (s - 1) for n, s in zip(shape, small, strict=True)]
        fine = zoom(coarse, factor, order=1 if width < 16 else 3)
        total += fine[: shape[0], : shape[1]] / 2**octave
    total -= total.mean()
    total /= max(float(total.std()), 1e-6)
    return total


def _hash(a: NDArray[np.int64], b: NDArray[np.int64], salt: int) -> NDArray[np.float32]:
    """A fixed random number 0..1 for every pair of whole numbers."""
    bits = ((a * 73856093) ^ (b * 19349663) ^ (salt * 83492791)).astype(np.uint32)
    bits = (bits ^ np.uint32(61)) * np.uint32(668265263)
    bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(2246822519)
    return ((bits ^ (bits >> np.uint32(13))) / 2**32).astype(np.float32)
