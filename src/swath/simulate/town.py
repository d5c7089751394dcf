"""A town's plan: districts, roads, railway, river and woods, laid out by a simple generator.

Everything here is invented. Positions are metres from the south-west corner; x runs east, y north.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiPoint, Polygon, box
from shapely.geometry.base import BaseGeometry

Use = Literal["centre", "houses", "works", "park"]
Warp = Callable[[NDArray[np.float64]], NDArray[np.float64]]

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
    rng = np.random.default_rng(seed)
    frame = box(0, 0, size_m, size_m)
    centre = rng.uniform(0.4, 0.6, 2) * size_m
    radius = RADIUS_M * rng.uniform(0.8, 1.2)
    warp = _warp(rng)
    outline = _blob(rng, centre, radius)
    places = [rng.uniform(0.08, 0.92, 2) * size_m for _ in range(6)]
    outside = [at for at in places if np.hypot(*(at - centre)) > 1.4 * radius]
    villages = [_blob(rng, at, rng.uniform(180, 360)) for at in outside]
    districts = _districts(rng, outline, centre, radius, warp)
    districts += [_district(rng, village, "houses", 0.8) for village in villages]
    built = shapely.union_all([d.area for d in districts])
    angles = rng.uniform(0, 2 * np.pi) + np.sort(rng.uniform(-0.4, 0.4, 5) + np.arange(5) * 1.257)
    ends = [centre + 1.5 * size_m * np.array([np.cos(a), np.sin(a)]) for a in angles]
    kinds = ["primary", "secondary", "primary", "secondary", "secondary"]
    ways = [Way(k, _bend(rng, centre, e, 160)) for k, e in zip(kinds, ends, strict=True)]
    ways += _bypass(rng, centre, radius, size_m)
    seams = shapely.union_all([d.area.boundary for d in districts])
    ways += _ways("tertiary", seams.difference(built.boundary.buffer(15)))
    for district in districts:
        ways += _streets(rng, district, warp)
    ways += _country_roads(rng, villages, centre, built, size_m)
    river = _bend(rng, *_crossing(rng, centre, 0.5 * radius, size_m), 350)
    shores = river.buffer(rng.uniform(12, 35))
    woods = [_blob(rng, rng.uniform(0, size_m, 2), rng.uniform(150, 700)) for _ in range(9)]
    return Town(
        districts=tuple(districts),
        ways=tuple(
            Way(w.kind, part)
            for w in ways
            for part in _lines(w.line.intersection(frame))
            if part.length > 30
        ),
        river=shores.intersection(frame),
        woods=shapely.union_all(woods).difference(built.buffer(30)).intersection(frame),
    )


def _districts(
    rng: np.random.Generator,
    outline: Polygon,
    centre: NDArray[np.float64],
    radius: float,
    warp: Warp,
) -> list[District]:
    seeds = MultiPoint(centre + rng.normal(0, 0.55 * radius, (13, 2)))
    cells = shapely.voronoi_polygons(seeds, extend_to=outline.envelope).geoms
    districts = []
    for cell in sorted(cells, key=lambda c: c.centroid.distance(outline.centroid)):
        parts = shapely.transform(cell.segmentize(50).intersection(outline), warp)
        for area in shapely.get_parts(parts):
            if area.area < 2e4:
                continue
            away = np.hypot(*(_middle(area) - centre)) / radius
            others: tuple[Use, ...] = ("houses", "works", "park")
            use = "centre" if away < 0.3 else others[rng.choice(3, p=(0.72, 0.18, 0.1))]
            districts.append(_district(rng, area, use, 0.7 + 0.6 * away))
    return districts


def _district(rng: np.random.Generator, area: Polygon, use: Use, scale: float) -> District:
    length, depth = rng.uniform(110, 210), rng.uniform(65, 115)
    if use == "works":
        length, depth = 2 * length, 2 * depth
    return District(area, use, rng.uniform(0, np.pi), (scale * length, scale * depth))


def _streets(rng: np.random.Generator, district: District, warp: Warp) -> list[Way]:
    """The sides of a district's blocks, some left out at random."""
    length, depth = district.block_m
    gap = {"centre": 0.08, "houses": rng.uniform(0.15, 0.3), "works": 0.25, "park": 1.0}
    reach = district.area.length / 2
    axes = []
    for side in (length, depth):
        at = np.arange(-reach, reach, side)
        axes.append(at + rng.uniform(-0.15, 0.15, at.size) * side)
    corners = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    cos, sin = np.cos(district.angle), np.sin(district.angle)
    corners = corners @ np.array([[cos, sin], [-sin, cos]]) + _middle(district.area)
    across = np.stack([corners[:-1], corners[1:]], axis=-2).reshape(-1, 2, 2)
    along = np.stack([corners[:, :-1], corners[:, 1:]], axis=-2).reshape(-1, 2, 2)
    sides = np.concatenate([across, along])
    sides = sides[rng.random(len(sides)) > gap[district.use]]
    inside = district.area.buffer(length)
    middle = sides.mean(axis=1)
    sides = sides[shapely.contains_xy(inside, middle[:, 0], middle[:, 1])]
    streets = shapely.transform(shapely.segmentize(shapely.linestrings(sides), 40), warp)
    kept = shapely.union_all(streets).intersection(district.area)
    if district.use != "works":
        return _ways("residential", kept)
    # Half of the ways between works are private yards.
    lines = _lines(kept)
    return [Way("service" if rng.random() < 0.5 else "residential", line) for line in lines]


def _bypass(
    rng: np.random.Generator, centre: NDArray[np.float64], radius: float, size_m: float
) -> list[Way]:
    """A motorway past the town, its two carriageways apart, and a railway through it."""
    road = _bend(rng, *_crossing(rng, centre, rng.uniform(0.9, 1.3) * radius, size_m), 200)
    rail = _bend(rng, *_crossing(rng, centre, rng.uniform(0.2, 0.6) * radius, size_m), 120)
    carriageways = [Way("motorway", road.offset_curve(side)) for side in (-10.0, 10.0)]
    return [*carriageways, Way("rail", rail)]


def _country_roads(
    rng: np.random.Generator,
    villages: list[Polygon],
    centre: NDArray[np.float64],
    built: BaseGeometry,
    size_m: float,
) -> list[Way]:
    """Lanes from village to village and town, and field tracks that end somewhere."""
    stops = [_middle(village) for village in villages]
    stops += [rng.uniform(0, size_m, 2) for _ in range(3)]
    lanes = []
    for at, stop in enumerate(stops):
        goals = [centre, *stops[:at]]
        nearest = min(goals, key=lambda goal: float(np.hypot(*(goal - stop))))
        lanes.append(_bend(rng, stop, nearest, 90))
    tracks = []
    for _ in range(16):
        start = rng.uniform(0, size_m, 2)
        tracks.append(_bend(rng, start, start + rng.normal(0, 500, 2), 40))
    kinds = {"unclassified": lanes, "track": tracks}
    outside = {kind: shapely.union_all(lines).difference(built) for kind, lines in kinds.items()}
    return [way for kind, lines in outside.items() for way in _ways(kind, lines)]


def _crossing(
    rng: np.random.Generator, centre: NDArray[np.float64], distance: float, size_m: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two points outside the frame whose line passes `centre` at `distance`."""
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    middle = centre + distance * np.array([-along[1], along[0]])
    return middle - size_m * along, middle + size_m * along


def _bend(
    rng: np.random.Generator, start: NDArray[np.float64], end: NDArray[np.float64], sway_m: float
) -> LineString:
    """A smooth line from `start` to `end` that sways by about `sway_m` to either side."""
    step = end - start
    length = float(np.hypot(*step))
    t = np.linspace(0, 1, max(8, int(length / 50)))
    waves = np.arange(1, 6)
    sway = np.sin(np.pi * waves * t[:, None]) @ (rng.normal(0, sway_m, waves.size) / waves)
    across = np.array([-step[1], step[0]]) / length
    return LineString(start + t[:, None] * step + sway[:, None] * across)


def _blob(rng: np.random.Generator, centre: NDArray[np.float64], radius: float) -> Polygon:
    """A round patch with bays."""
    angle = np.linspace(0, 2 * np.pi, 73)[:-1]
    waves = np.arange(2, 7)
    bays = np.cos(waves * angle[:, None] + rng.uniform(0, 2 * np.pi, waves.size))
    reach = radius * (1 + bays @ (rng.normal(0, 0.25, waves.size) / waves))
    outward = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return Polygon(centre + np.maximum(reach, 0.3 * radius)[:, None] * outward).buffer(0)


def _warp(rng: np.random.Generator) -> Warp:
    """A gentle bend of the plane, so that no street grid is quite straight."""
    waves = 2 * np.pi / rng.uniform(900, 2600, (2, 3)) * rng.choice([-1, 1], (2, 3))
    phases = rng.uniform(0, 2 * np.pi, (2, 3))

    def warp(points: NDArray[np.float64]) -> NDArray[np.float64]:
        shift = np.sin(points[:, ::-1, None] * waves + phases).sum(axis=-1)
        return np.asarray(points + 25.0 * shift)

    return warp


def _middle(area: Polygon) -> NDArray[np.float64]:
    return np.array(area.centroid.coords[0])


def _ways(kind: str, lines: BaseGeometry) -> list[Way]:
    return [Way(kind, line) for line in _lines(lines)]


def _lines(geometry: BaseGeometry) -> list[LineString]:
    """The line strings of a geometry, joined where two ends meet."""
    lines = [g for g in shapely.get_parts(geometry) if g.geom_type == "LineString" and g.length > 0]
    merged = shapely.line_merge(shapely.MultiLineString(lines))
    return list(shapely.get_parts(merged))
