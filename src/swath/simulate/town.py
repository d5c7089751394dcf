"""A town's plan: districts, roads, railway, river and woods, laid out by a simple generator.

Everything here is invented. Positions are metres from the south-west corner; x runs east, y north.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiPoint, Polygon, box
from shapely.geometry.base import BaseGeometry

Use = Literal["centre", "houses", "works", "park"]
Point = NDArray[np.float64]

WIDTH_M = {
    "motorway": 11.0,
    "primary": 13.0,
    "secondary": 11.0,
    "tertiary": 9.0,
    "residential": 7.0,
    "unclassified": 6.0,
    "service": 5.0,
    "track": 3.5,
    "rail": 9.0,
}
"""Width of the paved (or gravelled) strip of each kind of way; a motorway has two of them."""

RADIUS_M = 1300.0
"""Mean distance from the town's centre to its last houses."""


@dataclass(frozen=True, slots=True)
class Way:
    """A line that one sees from above.

    Attributes:
        kind: A value of OSM's `highway`, or `rail`. `service` and `track` are seen in the image
            but are not in the legend of roads, as in reality.
        line: Its centre line in metres.
    """

    kind: str
    line: LineString


@dataclass(frozen=True, slots=True)
class District:
    """A part of the town with one street pattern.

    Attributes:
        area: Its outline in metres.
        use: What stands there.
        angle: Direction of its streets in radians.
        block_m: Length and depth of a block of houses.
    """

    area: Polygon
    use: Use
    angle: float
    block_m: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Town:
    """A simulated place, as vectors.

    Attributes:
        districts: The built-up area, villages included.
        ways: Roads, tracks and the railway.
        river: Water.
        woods: Forest.
    """

    districts: tuple[District, ...]
    ways: tuple[Way, ...]
    river: BaseGeometry
    woods: BaseGeometry


def lay_out(seed: int | tuple[int, ...], size_m: float) -> Town:
    """Invent a town that fills a square of `size_m`; the same seed gives the same town."""
    return _Planner(seed, size_m).town()


class _Planner:
    """Draws a town, part after part: the order decides what the seed gives."""

    def __init__(self, seed: int | tuple[int, ...], size_m: float) -> None:
        self.rng, self.size_m = np.random.default_rng(seed), size_m
        self.centre = self.rng.uniform(0.4, 0.6, 2) * size_m
        self.radius = RADIUS_M * self.rng.uniform(0.8, 1.2)
        # A gentle bend of the plane, so that no street grid is quite straight.
        self._waves = 2 * np.pi / self.rng.uniform(900, 2600, (2, 3))
        self._waves = self._waves * self.rng.choice([-1, 1], (2, 3))
        self._phases = self.rng.uniform(0, 2 * np.pi, (2, 3))

    def town(self) -> Town:
        rng, centre, size_m = self.rng, self.centre, self.size_m
        frame = box(0, 0, size_m, size_m)
        outline = self.blob(centre, self.radius)
        places = [rng.uniform(0.08, 0.92, 2) * size_m for _ in range(6)]
        outside = [at for at in places if np.hypot(*(at - centre)) > 1.4 * self.radius]
        villages = [self.blob(at, rng.uniform(180, 360)) for at in outside]
        districts = self.districts(outline)
        districts += [self.district(village, "houses", 0.8) for village in villages]
        built = shapely.union_all([d.area for d in districts])
        turn = rng.uniform(0, 2 * np.pi)
        angles = turn + np.sort(rng.uniform(-0.4, 0.4, 5) + np.arange(5) * 1.257)
        ends = [centre + 1.5 * size_m * np.array([np.cos(a), np.sin(a)]) for a in angles]
        kinds = ["primary", "secondary", "primary", "secondary", "secondary"]
        ways = [Way(k, self.bend(centre, e, 160)) for k, e in zip(kinds, ends, strict=True)]
        ways += self.bypass()
        seams = shapely.union_all([d.area.boundary for d in districts])
        ways += _ways("tertiary", seams.difference(built.boundary.buffer(15)))
        for district in districts:
            ways += self.streets(district)
        ways += self.country_roads(villages, built)
        shores = self.passing(0.5 * self.radius, 350).buffer(rng.uniform(12, 35))
        woods = [self.blob(rng.uniform(0, size_m, 2), rng.uniform(150, 700)) for _ in range(9)]
        seen = [Way(w.kind, part) for w in ways for part in _lines(w.line.intersection(frame))]
        return Town(
            districts=tuple(districts),
            ways=tuple(way for way in seen if way.line.length > 30),
            river=shores.intersection(frame),
            woods=shapely.union_all(woods).difference(built.buffer(30)).intersection(frame),
        )

    def districts(self, outline: Polygon) -> list[District]:
        seeds = MultiPoint(self.centre + self.rng.normal(0, 0.55 * self.radius, (13, 2)))
        cells = shapely.voronoi_polygons(seeds, extend_to=outline.envelope).geoms
        others: tuple[Use, ...] = ("houses", "works", "park")
        districts = []
        for cell in sorted(cells, key=lambda c: c.centroid.distance(outline.centroid)):
            parts = shapely.transform(cell.segmentize(50).intersection(outline), self.warp)
            for area in shapely.get_parts(parts):
                if area.area < 2e4:
                    continue
                away = np.hypot(*(_middle(area) - self.centre)) / self.radius
                use = "centre" if away < 0.3 else others[self.rng.choice(3, p=(0.72, 0.18, 0.1))]
                districts.append(self.district(area, use, 0.7 + 0.6 * away))
        return districts

    def district(self, area: Polygon, use: Use, scale: float) -> District:
        length, depth = self.rng.uniform(110, 210), self.rng.uniform(65, 115)
        if use == "works":
            length, depth = 2 * length, 2 * depth
        angle = self.rng.uniform(0, np.pi)
        return District(area, use, angle, (scale * length, scale * depth))

    def streets(self, district: District) -> list[Way]:
        """The sides of a district's blocks, some left out at random."""
        rng = self.rng
        gap = {"centre": 0.08, "houses": rng.uniform(0.15, 0.3), "works": 0.25, "park": 1.0}
        reach = district.area.length / 2
        axes = []
        for side in district.block_m:
            at = np.arange(-reach, reach, side)
            axes.append(at + rng.uniform(-0.15, 0.15, at.size) * side)
        corners = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        cos, sin = np.cos(district.angle), np.sin(district.angle)
        corners = corners @ np.array([[cos, sin], [-sin, cos]]) + _middle(district.area)
        across = np.stack([corners[:-1], corners[1:]], axis=-2).reshape(-1, 2, 2)
        along = np.stack([corners[:, :-1], corners[:, 1:]], axis=-2).reshape(-1, 2, 2)
        sides = np.concatenate([across, along])
        sides = sides[rng.random(len(sides)) > gap[district.use]]
        inside = district.area.buffer(district.block_m[0])
        sides = sides[shapely.contains_xy(inside, *sides.mean(axis=1).T)]
        streets = shapely.transform(shapely.segmentize(shapely.linestrings(sides), 40), self.warp)
        kept = shapely.union_all(streets).intersection(district.area)
        if district.use != "works":
            return _ways("residential", kept)
        # Half of the ways between works are private yards.
        lines = _lines(kept)
        return [Way("service" if rng.random() < 0.5 else "residential", line) for line in lines]

    def bypass(self) -> list[Way]:
        """A motorway past the town, its two carriageways apart, and a railway through it."""
        road = self.passing(self.rng.uniform(0.9, 1.3) * self.radius, 200)
        rail = self.passing(self.rng.uniform(0.2, 0.6) * self.radius, 120)
        carriageways = [Way("motorway", road.offset_curve(side)) for side in (-10.0, 10.0)]
        return [*carriageways, Way("rail", rail)]

    def country_roads(self, villages: list[Polygon], built: BaseGeometry) -> list[Way]:
        """Lanes from village to village and town, and field tracks that end somewhere."""
        stops = [_middle(village) for village in villages]
        stops += [self.rng.uniform(0, self.size_m, 2) for _ in range(3)]
        lanes = []
        for at, stop in enumerate(stops):
            goals = [self.centre, *stops[:at]]
            nearest = min(goals, key=lambda goal: float(np.hypot(*(goal - stop))))
            lanes.append(self.bend(stop, nearest, 90))
        tracks = []
        for _ in range(16):
            start = self.rng.uniform(0, self.size_m, 2)
            tracks.append(self.bend(start, start + self.rng.normal(0, 500, 2), 40))
        country = [shapely.union_all(lines).difference(built) for lines in (lanes, tracks)]
        return _ways("unclassified", country[0]) + _ways("track", country[1])

    def passing(self, distance: float, sway_m: float) -> LineString:
        """A line through the frame that passes the centre at about `distance`."""
        angle = self.rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(angle), np.sin(angle)])
        middle = self.centre + distance * np.array([-along[1], along[0]])
        return self.bend(middle - self.size_m * along, middle + self.size_m * along, sway_m)

    def bend(self, start: Point, end: Point, sway_m: float) -> LineString:
        """A smooth line from `start` to `end` that sways by about `sway_m` to either side."""
        step = end - start
        length = float(np.hypot(*step))
        t = np.linspace(0, 1, max(8, int(length / 50)))
        waves = np.arange(1, 6)
        sway = self.rng.normal(0, sway_m, waves.size) / waves
        aside = np.sin(np.pi * waves * t[:, None]) @ sway
        across = np.array([-step[1], step[0]]) / length
        return LineString(start + t[:, None] * step + aside[:, None] * across)

    def blob(self, centre: Point, radius: float) -> Polygon:
        """A round patch with bays."""
        angle = np.linspace(0, 2 * np.pi, 73)[:-1]
        waves = np.arange(2, 7)
        bays = np.cos(waves * angle[:, None] + self.rng.uniform(0, 2 * np.pi, waves.size))
        reach = radius * (1 + bays @ (self.rng.normal(0, 0.25, waves.size) / waves))
        outward = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return Polygon(centre + np.maximum(reach, 0.3 * radius)[:, None] * outward).buffer(0)

    def warp(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        shift = np.sin(points[:, ::-1, None] * self._waves + self._phases).sum(axis=-1)
        return np.asarray(points + 25.0 * shift)


def _middle(area: Polygon) -> Point:
    return np.array(area.centroid.coords[0])


def _ways(kind: str, lines: BaseGeometry) -> list[Way]:
    return [Way(kind, line) for line in _lines(lines)]


def _lines(geometry: BaseGeometry) -> list[LineString]:
    """The line strings of a geometry, joined where two ends meet."""
    lines = [g for g in shapely.get_parts(geometry) if g.geom_type == "LineString" and g.length > 0]
    merged = shapely.line_merge(shapely.MultiLineString(lines))
    return list(shapely.get_parts(merged))
