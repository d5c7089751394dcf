"""What lies on the ground, in cells of 2 m: material, brightness, height."""

from dataclasses import dataclass
from typing import TypeVar

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy.special import ndtri
from shapely.geometry import mapping

from swath.grid import Grid, Window
from swath.simulate.climate import Climate, crops, roofs, usual_roofs
from swath.simulate.houses import Density
from swath.simulate.layout import AREAS, LINES, Layout, exists
from swath.simulate.materials import CODE, column
from swath.simulate.parameters import CELL_M, CELLS_PER_PX, Fill
from swath.simulate.parcels import Parcels, cut_parcels
from swath.simulate.pattern import chance, grain, hills

T = TypeVar("T", np.uint8, np.int32)

KIND = {name: at + 1 for at, name in enumerate(AREAS)}
"""Kinds of areas as numbers; 0 is ground that nobody has mapped."""

# Source: measured tree cover of land use classes differs widely; FAO and i-Tree: gardens 0.1-0.35,
# parks 0.3-0.5, works 0.03-0.1.
_TREES = {
    "residential": 0.20,
    "works": 0.06,
    "farmland": 0.004,
    "meadow": 0.03,
    "orchard": 0.25,
    "scrub": 0.15,
    "square": 0.06,
    "park": 0.40,
}
_STREET_TREES = 0.18
"""Share of a narrow street that crowns hide, where gardens have their usual share of trees."""

_NARROW_M = 8.0

_BUSH_M = 4.5
"""Scenery that is higher has crowns."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """The ground on a window of cells of 2 m, row 0 in the north.

    Attributes:
        material: (h, w) uint8, index into `materials.MATERIALS`.
        tone: (h, w) float32 factor on reflectance, about 1, the same on all days.
        thing: (h, w) int32: cells of one field, roof or road share a number.
        height_m: (h, w) float32 height of houses and trees above the ground.
        paved: (h, w) bool: roads and car parks, where cars may stand.
    """

    material: NDArray[np.uint8]
    tone: NDArray[np.float32]
    thing: NDArray[np.int32]
    height_m: NDArray[np.float32]
    paved: NDArray[np.bool_]


class Painter:
    """Paints the ground of a layout, one window at a time."""

    def __init__(self, layout: Layout, density: Density, climate: Climate, fill: Fill) -> None:
        """Prepare a layout, its houses included."""
        self._grid, self._seed = layout.grid, layout.seed * 1000
        self._density, self._climate, self._fill = density, climate, fill
        areas = layout.areas
        order = np.argsort([AREAS.index(kind) for kind in areas["kind"]], kind="stable")
        areas = areas.iloc[order].reset_index(drop=True)
        house = areas["kind"] == "building"
        self._areas, self._houses = areas[~house], areas[house].reset_index(drop=True)
        self._manner = self._neighbourhoods()
        lines = layout.lines
        order = np.lexsort((lines["width_m"], [LINES.index(kind) for kind in lines["kind"]]))
        self._lines = lines.iloc[order].reset_index(drop=True)
        width = self._lines["width_m"].to_numpy()
        verge = width / 2 + np.where(width > 11, 5.0, 2.0)
        verge[self._lines["kind"] != "road"] = 0
        self._strips, self._verges = (
            shapely.buffer(self._lines.geometry.values, half_m, quad_segs=2, cap_style="round")
            for half_m in (width / 2, verge)
        )
        self._scenery = layout.scenery

    def paint(self, window: Window, date: int = 0) -> Ground:
        """Paint (5 x height, 5 x width) cells: a window of pixels, perhaps outside the grid.

        What comes and goes is painted as it is at the date of that index.
        """
        n = CELLS_PER_PX
        cells = Window(window.row * n, window.col * n, window.height * n, window.width * n)
        transform = self._grid.crop(window).transform
        grid = Grid(self._grid.crs, transform @ transform.scale(1 / n, 1 / n), (cells.height, cells.width))
        parcels = cut_parcels(cells, self._seed)
        kind, dense = self._kinds(grid, parcels)
        # Where it is green there are more trees and less paving, for some hundred metres around.
        leafy = np.float32(self._fill.leafiness) * hills(cells, 90, self._seed + 19, octaves=3)
        crowns = hills(cells, 2.2, self._seed + 1) + leafy
        layers = _Layers(cells, grid, parcels, kind, crowns, self._seed)
        self._open_ground(layers, dense, leafy)
        self._plant(layers)
        free = self._lay(layers, date)
        self._build(layers, free)
        self._pave(layers, date)
        return layers.ground()

    def _neighbourhoods(self) -> NDArray[np.float32]:
        """(houses,) float32 in [0, 1): what is usual around each house."""
        centres = shapely.get_coordinates(shapely.centroid(self._houses.geometry.values))
        left, _, _, top = self._grid.bounds
        side = self._fill.neighbourhood_m
        column_ = np.floor((centres[:, 0] - left) / side).astype(np.int64)
        # Every column of squares starts elsewhere, so that their corners do not line up.
        start = chance(column_, column_, self._seed + 17)
        row = np.floor((top - centres[:, 1]) / side + start).astype(np.int64)
        return chance(row, column_, self._seed + 18)

    def _kinds(self, grid: Grid, parcels: Parcels) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """(h, w) uint8 kind of area everywhere, and (h, w) float32 density of roads."""
        near = np.sort(self._areas.sindex.query(shapely.box(*grid.bounds)))
        codes = self._areas["kind"].map(KIND).to_numpy()[near]
        kind = _burn(self._areas.geometry.values[near], codes, grid, np.uint8)
        step = CELLS_PER_PX
        left, _, _, top = grid.bounds
        x_m, y_m = (size * step for size in grid.resolution)
        rows, cols = (np.arange(n // step) + 0.5 for n in grid.shape)
        x, y = np.meshgrid(left + cols * x_m, top - rows * y_m)
        coarse = self._density.at(x, y)
        dense = coarse.repeat(step, axis=0).repeat(step, axis=1)
        free = kind == 0
        if not free.any():
            return kind, dense
        draw, other = parcels.chance(self._seed + 2), parcels.chance(self._seed + 3)
        built = np.interp(dense, self._fill.road_density, self._fill.built).astype(np.float32)
        names = ("farmland", "meadow", "forest", "scrub")
        dry = self._climate.dry
        shares = np.array(self._fill.rural) * (1, 1, 1 - dry, 1 + 4 * dry)
        if dry > 0.6:  # deserts have bare ground where others have meadows
            names = ("farmland", "bare", "bare", "scrub")
        rural = np.array([KIND[name] for name in names], np.uint8)[
            np.searchsorted(np.cumsum(shares / shares.sum())[:-1], other)
        ]
        works = np.where(other < self._fill.works, KIND["works"], KIND["residential"])
        filled = np.where(draw < built, works, rural)
        return np.where(free, filled, kind).astype(np.uint8), dense

    def _open_ground(self, layers: "_Layers", dense: NDArray[np.float32], leafy: NDArray[np.float32]) -> None:
        """The material under everything that stands on it."""
        dry, seed = self._climate.dry, self._seed
        cells, parcels, kind = layers.cells, layers.parcels, layers.kind
        draw = parcels.chance(seed + 4)
        patch = hills(cells, 6, seed + 5)
        wide = hills(cells, 40, seed + 6, octaves=3)
        field = crops(self._climate)
        grass = CODE["steppe"] if dry > 0.45 else CODE["meadow"]
        lawn = np.where(patch + 1.5 < 4 * dry, CODE["soil"], CODE["lawn"])
        # The share of hills below x is that of the normal distribution; near enough a line here.
        paved = patch + 2 * leafy < 2.5 * (np.clip(0.18 + 0.035 * dense, 0.05, 0.9) - 0.5)
        wood = np.where(wide + draw < 0.4, CODE["leafy"], CODE["conifer"])
        yard = np.where(draw < 0.35, CODE["asphalt"], CODE["paving"])
        yard = np.where(draw > 0.75, CODE["gravel"], yard)
        bare = np.where(wide > 0.6, CODE["rock"], CODE["soil"])
        sown = field[(draw * len(field)).astype(np.int64)]
        open_ = bare if dry > 0.4 else grass
        materials: dict[str, NDArray[np.generic] | int] = {
            "residential": np.where(paved, CODE["paving"], lawn),
            "works": np.where(patch > 0.9, lawn, yard),
            "farmland": np.where(parcels.border_m < 1.5, grass, sown),
            "meadow": grass,
            "orchard": np.where(draw < 0.5, CODE["vines"], grass),
            "scrub": np.where(patch < 0.5 - 2 * dry, CODE["scrub"], open_),
            "forest": wood,
            "bare": np.where((wide < -0.4) & (dry > 0.5), CODE["sand"], bare),
            "square": np.where(draw < 0.6, CODE["asphalt"], CODE["paving"]),
            "park": lawn,
            "water": CODE["water"],
        }
        for name, material in materials.items():
            np.copyto(layers.material, material, casting="unsafe", where=kind == KIND[name])

    def _plant(self, layers: "_Layers") -> None:
        """Trees in gardens, parks and fields; woods get their height."""
        kind, crowns = layers.kind, layers.crowns
        shares = np.zeros(len(AREAS) + 1)
        for name, share in _TREES.items():
            shares[KIND[name]] = min(share * self._climate.trees, 0.7)
        lowest = ndtri(1 - np.clip(shares, 1e-4, 1)).astype(np.float32)[kind]
        lowest[(kind == KIND["water"]) | (kind == KIND["forest"])] = np.inf
        tree = crowns > lowest
        layers.material[tree] = CODE["leafy"]
        layers.height[tree] = 5.0 + 2.0 * np.clip(crowns[tree], 0, 3)
        wood = kind == KIND["forest"]
        layers.height[wood] = 13 + 3 * crowns[wood]
        layers.tone[wood] *= np.clip(1 + 0.10 * crowns[wood], 0.6, 1.4)
        scrub = layers.material == CODE["scrub"]
        layers.height[scrub] = 1.5

    def _lay(self, layers: "_Layers", date: int) -> NDArray[np.bool_]:
        """Scenery over all of it; (h, w) bool where there is none and houses may stand."""
        table, kind = self._scenery, layers.kind
        if table is None:
            return np.ones(kind.shape, np.bool_)
        near = np.sort(table.sindex.query(shapely.box(*layers.grid.bounds)))
        near = near[exists(table, date)[near]]
        if len(near) == 0:
            return np.ones(kind.shape, np.bool_)
        index = _burn(table.geometry.values[near], near + 1, layers.grid, np.int32)
        laid = index > 0
        at = index[laid] - 1
        columns = {name: table[name].to_numpy() for name in ("share", "patch_m", "height_m")}
        material, mixed = (
            table[name].map(CODE).to_numpy().astype(np.uint8)[at] for name in ("material", "mixed")
        )
        limit = ndtri(1 - np.clip(columns["share"], 1e-6, 1)).astype(np.float32)[at]
        sizes = columns["patch_m"][at]
        edge = grain(layers.cells, self._seed + 20)[laid] - np.float32(0.5)
        for size_m in np.unique(sizes):
            # The larger the patches, the softer their edges: cells of both kinds side by side.
            patches = hills(layers.cells, size_m / CELL_M, self._seed + 21 + int(size_m), octaves=4)[laid]
            patches += np.float32(np.sqrt(size_m / 25)) * edge
            chosen = (sizes == size_m) & (patches > limit)
            material[chosen] = mixed[chosen]
        layers.material[laid], layers.thing[laid] = material, at
        height = columns["height_m"].astype(np.float32)[at]
        wood = height > _BUSH_M
        crowns = layers.crowns[laid]
        height[wood] *= np.clip(1 + 0.2 * crowns[wood], 0.3, 1.6)
        layers.height[laid] = height
        layers.tone[laid] = np.where(wood, np.clip(1 + 0.10 * crowns, 0.6, 1.4), 1)
        kind[laid] = KIND["bare"]
        return ~laid

    def _build(self, layers: "_Layers", free: NDArray[np.bool_]) -> None:
        """Halls on works' grounds, then houses, mapped or made up."""
        seed, parcels = self._seed, layers.parcels
        size = 55.0
        u, v = parcels.along_m / size, parcels.across_m / (0.8 * size)
        inside = np.minimum(u - np.floor(u), v - np.floor(v)) > 0.25
        works = roofs(self._climate, works=True)
        hall = inside & (layers.kind == KIND["works"])
        column_, row = np.floor(u[hall]).astype(np.int32), np.floor(v[hall]).astype(np.int32)
        draw = chance(column_, row, parcels.quarter[hall].astype(np.int64) + seed + 7)
        hall[hall] = draw < 0.55
        number = (draw[draw < 0.55] * 2**22).astype(np.int32)
        layers.material[hall] = works[number % len(works)]
        layers.thing[hall] = number
        layers.height[hall] = 6 + 6 * draw[draw < 0.55]
        near = np.sort(self._houses.sindex.query(shapely.box(*layers.grid.bounds)))
        index = _burn(self._houses.geometry.values[near], near + 1, layers.grid, np.int32)
        house = (index > 0) & free
        plain, tall = roofs(self._climate, works=False), self._houses["height_m"].to_numpy()
        area = self._houses.geometry.area.to_numpy()
        ids = np.arange(len(tall))
        # Streets are built at one time and in one manner: most roofs are as those around them.
        alike = chance(ids, ids, seed + 16) < self._fill.alike
        usual = usual_roofs(self._climate)
        usual = usual[(self._manner * len(usual)).astype(np.int64)]
        draws = (chance(ids, ids, seed + 9) * len(plain)).astype(np.int64)
        roof = np.where(alike, usual, np.where(area > 600, works[draws], plain[draws]))
        at = index[house] - 1
        layers.material[house], layers.height[house] = roof[at], tall[at]
        layers.thing[house] = at

    def _pave(self, layers: "_Layers", date: int) -> None:
        """Waterways, railways, paths, tracks and roads with their verges."""
        grid, kind, crowns = layers.grid, layers.kind, layers.crowns
        near = np.sort(self._lines.sindex.query(shapely.box(*grid.bounds).buffer(30)))
        near = near[exists(self._lines, date)[near]]
        verge = _burn(self._verges[near], np.ones(len(near)), grid, np.uint8) > 0
        town = (kind == KIND["residential"]) | (kind == KIND["works"])
        lawn = ~town | (crowns > 0.6 - self._climate.trees)
        layers.material[verge] = np.where(lawn[verge], CODE["lawn"], CODE["paving"])
        layers.thing[verge] = 0
        layers.height[verge] = 0
        index = _burn(self._strips[near], near + 1, grid, np.int32)
        strip = index > 0
        surface = _surfaces(self._lines, self._seed)
        narrow = (self._lines["width_m"] <= _NARROW_M).to_numpy()
        road = (self._lines["kind"] == "road").to_numpy()
        share = min(_STREET_TREES * self._climate.trees, 0.4)
        hidden = strip & town & (crowns > ndtri(1 - max(share, 1e-4)))
        hidden[hidden] = narrow[index[hidden] - 1]
        seen = strip & ~hidden
        at = index[seen] - 1
        layers.material[seen], layers.thing[seen], layers.height[seen] = surface[at], at, 0
        layers.paved[seen] = road[at]
        layers.material[hidden] = CODE["leafy"]
        layers.height[hidden] = 7.0
        layers.paved |= (kind == KIND["square"]) & (layers.height == 0)


class _Layers:
    """The ground while it is being painted."""

    def __init__(
        self,
        cells: Window,
        grid: Grid,
        parcels: Parcels,
        kind: NDArray[np.uint8],
        crowns: NDArray[np.float32],
        seed: int,
    ) -> None:
        self.cells, self.grid, self.parcels, self.kind = cells, grid, parcels, kind
        self.crowns, self._seed = crowns, seed
        self.material = np.zeros(kind.shape, np.uint8)
        self.height = np.zeros(kind.shape, np.float32)
        self.paved = np.zeros(kind.shape, np.bool_)
        self.tone = np.ones(kind.shape, np.float32)
        self.thing = (parcels.chance(seed + 12) * 2**22).astype(np.int32)

    def ground(self) -> Ground:
        """Finish: every thing has its own brightness, and every cell its grain."""
        spread = column("spread")[self.material]
        shade = chance(self.thing, self.material, self._seed + 13) - 0.5
        slow = hills(self.cells, 90, self._seed + 14, octaves=4)
        fine = grain(self.cells, self._seed + 15) - 0.5
        # The spread is shared between the thing itself and its surroundings.
        tone = self.tone * np.exp(spread * (2.6 * shade + 0.65 * slow) + np.float32(0.25) * fine)
        return Ground(self.material, tone.astype(np.float32), self.thing, self.height, self.paved)


def _surfaces(lines: geopandas.GeoDataFrame, seed: int) -> NDArray[np.uint8]:
    """(lines,) uint8: what each line is made of."""
    ids = np.arange(len(lines))
    kinds = lines["kind"].to_numpy()
    surface = np.full(len(lines), CODE["asphalt"], np.uint8)
    surface[(chance(ids, ids, seed + 10) < 0.12) & (kinds == "road")] = CODE["concrete"]
    surface[~lines["paved"].to_numpy(bool) | (kinds == "track")] = CODE["gravel"]
    surface[(kinds == "path")] = CODE["paving"]
    surface[kinds == "railway"] = CODE["ballast"]
    surface[kinds == "waterway"] = CODE["water"]
    return surface


def _burn(shapes: NDArray[np.object_], values: NDArray[np.generic], grid: Grid, dtype: type[T]) -> NDArray[T]:
    """Polygons as an image of their values; later ones cover earlier ones."""
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    if not there.any():
        return np.zeros(grid.shape, dtype)
    parts, owner = shapely.get_parts(shapes[there], return_index=True)
    burnt: NDArray[T] = rasterize(
        zip(map(mapping, parts), values[there][owner].tolist(), strict=True),
        grid.shape,
        transform=grid.transform,
        dtype=dtype,
    )
    return burnt
