"""Scenery: ground that is laid over a layout's own, in the order in which it is painted."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import geopandas
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy.signal import lfilter
from shapely.geometry import LineString, Polygon, shape
from shapely.geometry.base import BaseGeometry

from swath.grid import Window
from swath.simulate.pattern import hills

ALWAYS = 32_767
"""`until` of what never ends: greater than any date's index."""

PATCHES_M = (12.0, 40.0, 150.0)
"""Sizes of patches in which a second material is mixed in."""

_CONTOUR_M = 8.0

Point = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Canvas:
    """A frame of metres, (0, 0) in the south-west, on which a landscape is laid out.

    Attributes:
        rng: Of all that is drawn.
        width_m: From west to east.
        height_m: From south to north.
        dates: How many images there will be; what changes does so at the index of one of them.
        patches: What was laid down, oldest first.
        lines: Roads, railways and tracks of the landscape's own.
        cleared: Where the roads of the place are taken away.
        crossed: Where its small roads are taken away, and the main ones cross on bridges.
    """

    rng: np.random.Generator
    width_m: float
    height_m: float
    dates: int
    patches: list[dict[str, object]] = field(default_factory=list)
    lines: list[dict[str, object]] = field(default_factory=list)
    cleared: list[BaseGeometry] = field(default_factory=list)
    crossed: list[BaseGeometry] = field(default_factory=list)

    @property
    def frame(self) -> Polygon:
        """All of it, and a margin for what casts shadows from outside."""
        return shapely.box(-200, -200, self.width_m + 200, self.height_m + 200)

    @property
    def size_m(self) -> float:
        """Its longer side."""
        return max(self.width_m, self.height_m)

    def place(self, low: float = 0.1, high: float = 0.9) -> Point:
        """A point within shares of the frame."""
        return self.rng.uniform(low, high, 2) * (self.width_m, self.height_m)

    def lay(
        self,
        shape: BaseGeometry,
        material: str,
        mix: tuple[str, float, float] | None = None,
        height_m: float = 0.0,
        dates: tuple[int, int] = (0, ALWAYS),
    ) -> None:
        """Cover a shape: by a material, and by another (name, share, size of patches in m) in it."""
        other, share, size_m = mix or (material, 0.0, PATCHES_M[1])
        polygons = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
        row = {"material": material, "mixed": other, "share": share, "height_m": height_m}
        row["patch_m"] = min(PATCHES_M, key=lambda known: abs(known - size_m))
        row["since"], row["until"] = dates
        self.patches += [row | {"geometry": part} for part in polygons]

    def line(self, kind: str, line: BaseGeometry, width_m: float, highway: str | None = None) -> None:
        """Lay a line of the layout's kinds (`layout.LINES`) over all areas."""
        row = {"kind": kind, "width_m": width_m, "paved": kind == "road", "highway": highway}
        parts = shapely.get_parts(line)
        self.lines += [row | {"geometry": part} for part in parts if part.geom_type == "LineString"]

    def clip(self, area: BaseGeometry) -> None:
        """Keep only what lies in an area."""
        patches, lines = self.patches, self.lines
        self.patches, self.lines = [], []
        for rows, kind, out in ((patches, "Polygon", self.patches), (lines, "LineString", self.lines)):
            cut = shapely.intersection(np.array([row["geometry"] for row in rows], object), area)
            for row, shape_ in zip(rows, cut, strict=True):
                parts = [part for part in shapely.get_parts(shape_) if part.geom_type == kind]
                out += [row | {"geometry": part} for part in parts]

    # Shapes.

    def wander(self, start: Point, heading: float, length_m: float, sway: float = 0.15) -> LineString:
        """A smooth line; its heading sways about the given one (radians from east)."""
        steps = max(3, int(length_m / 25))
        turns = np.convolve(self.rng.normal(0, sway, steps + 8), np.ones(9) / 9, "valid")[:steps]
        # The heading is drawn back to where it started from, so that no line runs in circles.
        angle = heading + lfilter([0.75], [1, -0.95], turns)
        moves = 25 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return LineString(np.vstack([start, start + np.cumsum(moves, axis=0)]))

    def through(self, sway_m: float, middle: Point | None = None, angle: float | None = None) -> LineString:
        """A line through the whole frame by a point; it sways by `sway_m` to either side."""
        middle = self.place(0.25, 0.75) if middle is None else middle
        angle = self.rng.uniform(0, 2 * np.pi) if angle is None else angle
        s = np.arange(-1.6 * self.size_m, 1.6 * self.size_m, 30.0)
        aside = np.zeros_like(s)
        for k in range(1, 7):
            period = self.rng.uniform(0.6, 1.4) * 5000 / k
            aside += self.rng.normal(0, sway_m) / k * np.sin(2 * np.pi * s / period + self.rng.uniform(0, 7))
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        return LineString(middle + s[:, None] * along + aside[:, None] * across)

    def meander(self, middle: Point, angle: float, wave_m: float, bend: float) -> LineString:
        """A river's line, whose heading swings by `bend` radians over waves of `wave_m` of its length."""
        s = np.arange(0, 6 * self.size_m, 15.0)
        drift = np.interp(
            s, np.arange(0, s[-1] + wave_m, wave_m), self.rng.uniform(0.6, 1.3, int(s[-1] // wave_m) + 2)
        )
        theta = angle + bend * drift * np.sin(2 * np.pi * np.cumsum(15 / (wave_m * np.sqrt(drift))))
        xy = np.cumsum(15 * np.stack([np.cos(theta), np.sin(theta)], axis=1), axis=0)
        return LineString(middle + xy - xy[len(xy) // 2])

    def side(self, line: LineString, left: bool = True) -> BaseGeometry:
        """What lies to one side of a line through the frame."""
        start, end = (np.array(line.coords[at]) for at in (0, -1))
        along = (end - start) / np.hypot(*(end - start))
        away = 4 * self.size_m * np.array([-along[1], along[0]]) * (1 if left else -1)
        ring = np.vstack([np.array(line.coords), end + away, start + away])
        return shapely.make_valid(Polygon(ring)).intersection(self.frame)

    def blob(self, centre: Point, radius_m: float, stretch: float = 1.0) -> BaseGeometry:
        """A round patch with bays, stretched in some direction."""
        angle = np.linspace(0, 2 * np.pi, 73)[:-1]
        waves = np.arange(1, 9)
        bays = np.cos(waves * angle[:, None] + self.rng.uniform(0, 2 * np.pi, waves.size))
        reach = np.maximum(1 + bays @ (self.rng.normal(0, 0.25, waves.size) / waves), 0.4) * radius_m
        xy = reach[:, None] * np.stack([stretch * np.cos(angle), np.sin(angle)], axis=-1)
        turn = self.rng.uniform(0, np.pi)
        turned = xy @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        return Polygon(centre + turned).buffer(0)

    def hilly(self, scale_m: float, octaves: int = 4) -> NDArray[np.float32]:
        """Hills on the frame's own raster, for `above`; row 0 in the north."""
        rows, cols = (int(size / _CONTOUR_M) + 50 for size in (self.height_m, self.width_m))
        salt = int(self.rng.integers(2**20))
        return hills(Window(0, 0, rows, cols), scale_m / _CONTOUR_M, salt, octaves)

    def above(self, heights: NDArray[np.float32], level: float, top: float = np.inf) -> BaseGeometry:
        """Where hills (`hilly`) lie between two levels."""
        mask = ((heights > level) & (heights <= top)).astype(np.uint8)
        transform = Affine(_CONTOUR_M, 0, -200, 0, -_CONTOUR_M, self.height_m + 200)
        parts = [shape(ring) for ring, _ in shapes(mask, mask == 1, transform=transform)]
        return shapely.union_all(shapely.simplify(shapely.make_valid(np.array(parts, object)), _CONTOUR_M))

    def creeks(
        self, start: Point, heading: float, width_m: float, length_m: float, sway: float
    ) -> BaseGeometry:
        """A tree of channels, ever narrower and more crooked towards its tips."""
        return shapely.union_all(list(self._branch(start, heading, width_m, length_m, sway)))

    def _branch(
        self, start: Point, heading: float, width_m: float, length_m: float, sway: float
    ) -> Iterator[BaseGeometry]:
        trunk = self.wander(start, heading, length_m, sway)
        xy = np.array(trunk.coords)
        pieces = np.array_split(np.arange(len(xy)), max(1, min(6, len(xy) // 4)))
        for number, piece in enumerate(pieces):
            wide = width_m * (1 - 0.6 * number / len(pieces))
            part = xy[piece[0] : piece[-1] + 2]
            if len(part) > 1:
                yield LineString(part).buffer(max(wide, 2.5) / 2, quad_segs=3)
        if width_m < 4 or length_m < 120:
            return
        for at in self.rng.integers(len(xy) // 6, len(xy), int(self.rng.integers(3, 6))):
            turn = self.rng.choice([-1, 1]) * self.rng.uniform(0.5, 1.3)
            here = np.arctan2(*(xy[at] - xy[at - 1])[::-1])
            small = width_m * self.rng.uniform(0.35, 0.6) * (1 - 0.4 * at / len(xy))
            yield from self._branch(
                xy[at], here + turn, small, length_m * self.rng.uniform(0.3, 0.6), sway * 1.3
            )

    def plots(
        self, area: BaseGeometry, size_m: tuple[float, float], gap_m: float, keep: float = 1.0
    ) -> list[Polygon]:
        """Rectangles in rows, in one direction, all within an area, `gap_m` apart; a share of them."""
        if area.is_empty:
            return []
        centre, reach = (
            np.array(area.centroid.coords[0]),
            np.hypot(*np.ptp(np.reshape(area.bounds, (2, 2)), 0)),
        )
        angle, (long, wide) = self.rng.uniform(0, np.pi), size_m
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        out = []
        for v in np.arange(-reach / 2, reach / 2, wide):
            u = -reach / 2 - self.rng.uniform(0, long)
            while u < reach / 2:
                step = long * self.rng.uniform(0.6, 1.4)
                corners = [
                    (u, v),
                    (u + step - gap_m, v),
                    (u + step - gap_m, v + wide - gap_m),
                    (u, v + wide - gap_m),
                ]
                out.append(Polygon([centre + a * along + b * across for a, b in corners]))
                u += step
        inside = np.array([plot for plot in out if plot.is_valid], object)
        inside = inside[shapely.contains(area, inside) & (self.rng.random(len(inside)) < keep)]
        return list(inside)


def scenery_table(patches: list[dict[str, object]], crs: str) -> geopandas.GeoDataFrame:
    """Patches as `Layout.scenery` has them."""
    columns = ["material", "mixed", "share", "patch_m", "height_m", "since", "until", "geometry"]
    return geopandas.GeoDataFrame(patches, columns=columns, geometry="geometry", crs=crs)
