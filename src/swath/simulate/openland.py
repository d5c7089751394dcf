"""Landscapes of open country: fields, ditches, hedges, terraces, rides in woods, deserts, mountains."""

from itertools import pairwise

import numpy as np
import shapely
from shapely import affinity
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from swath.simulate.scenery import Canvas

_CROPS = ("wheat", "barley", "maize", "beet", "rape", "lucerne", "stubble", "fallow", "soil", "meadow")


def _mosaic(c: Canvas, size_m: float, area: BaseGeometry, stretch: float, square: float) -> list[Polygon]:
    """Fields: an area cut along two families of nearly straight lines, each strip otherwise."""
    angle, fields = c.rng.uniform(0, np.pi), []
    turned = affinity.rotate(area, -angle, origin=(0, 0), use_radians=True)
    left, bottom, right, top = turned.bounds
    v = bottom
    while v < top:
        wide = size_m * float(np.exp(c.rng.normal(0, 0.35)))
        u = left - c.rng.uniform(0, size_m * stretch)
        lean = c.rng.normal(0, 0.08 * (1 - square))
        while u < right:
            step = size_m * stretch * float(np.exp(c.rng.normal(0, 0.5)))
            ring = [(u, v), (u + step, v), (u + step + lean * wide, v + wide), (u + lean * wide, v + wide)]
            fields.append(Polygon(ring))
            u += step
        v += wide
    back = affinity.rotate(shapely.MultiPolygon(fields), angle, origin=(0, 0), use_radians=True)
    parts = np.array(list(back.geoms), object)
    return list(parts[shapely.intersects(parts, area)])


def fields(c: Canvas) -> None:
    """Fields of strong contrast, with hedges, ditches, bare margins and tracks of farmers between them."""
    size, stretch = float(np.exp(c.rng.uniform(np.log(40), np.log(320)))), c.rng.uniform(1, 4)
    whole = c.frame if c.rng.random() < 0.5 else c.side(c.through(200))
    quarters = [whole]
    for _ in range(int(c.rng.integers(1, 5))):
        cut = c.through(40)
        quarters = [
            part for q in quarters for part in (q.intersection(c.side(cut)), q.difference(c.side(cut)))
        ]
    few = c.rng.choice(_CROPS, int(c.rng.integers(2, 7)))
    edges, margin = [], str(c.rng.choice(["lawn", "soil", "scrub", "meadow"]))
    for quarter in (q for q in quarters if q.area > 1e4):
        for plot in _mosaic(c, size, quarter, stretch, c.rng.uniform(0, 1)):
            part = plot.intersection(quarter)
            c.lay(part, str(c.rng.choice(few)), (str(c.rng.choice(few)), 0.15 * float(c.rng.random()), 150))
            edges.append(plot.exterior.intersection(quarter))
    shares = c.rng.dirichlet([1, 1, 1, 1, 2])
    names = np.array(["hedge", "ditch", "margin", "track", "none"])
    for edge in edges:
        kind = c.rng.choice(names, p=shares)
        # Only some sides of a field have a hedge or a track.
        xy = np.array(shapely.get_coordinates(edge))
        if len(xy) < 2 or kind == "none":
            continue
        start = int(c.rng.integers(0, len(xy) - 1))
        line = LineString(xy[start : start + int(c.rng.integers(2, 4))])
        if kind == "hedge":
            c.lay(line.buffer(c.rng.uniform(2, 6)), "leafy", ("scrub", 0.4, 12), c.rng.uniform(3, 12))
        elif kind == "ditch":
            c.lay(line.buffer(5), "lawn")
            c.lay(line.buffer(c.rng.uniform(1, 3)), "water")
        elif kind == "margin":
            c.lay(line.buffer(c.rng.uniform(1.5, 5)), margin)
        else:
            c.line("track", line, c.rng.uniform(2.5, 4.5), "track")


def polder(c: Canvas) -> None:
    """Flat wet land: long strips of meadow and crop, ditches between all of them, straight canals."""
    angle_parts = [c.side(c.through(20)), c.frame]
    wide, stretch = c.rng.uniform(25, 90), c.rng.uniform(5, 16)
    ditch = c.rng.uniform(1.2, 4.5)
    for part in reversed(angle_parts):
        names = c.rng.choice(["meadow", "meadow", "lawn", "maize", "beet", "saltmarsh", "wheat"], 3)
        plots = _mosaic(c, wide, part, stretch, 1)
        for plot in plots:
            c.lay(plot.intersection(part), str(c.rng.choice(names)), ("saltmarsh", 0.05, 40))
        lines = shapely.union_all([plot.exterior for plot in plots])
        c.lay(lines.buffer(ditch, quad_segs=2).intersection(part), "water")
    for _ in range(int(c.rng.integers(1, 6))):
        line = c.through(c.rng.choice([0.5, 60]))
        half = c.rng.uniform(4, 30)
        c.crossed.append(line.buffer(half))
        c.lay(
            line.buffer(half + c.rng.uniform(2, 10)), str(c.rng.choice(["lawn", "gravel", "leafy"])), None, 1
        )
        c.lay(line.buffer(half), "water")


def terraces(c: Canvas) -> None:
    """Terraces along the contours of hills: steps of crop or water between thin walls of stone or earth."""
    heights = c.hilly(c.rng.uniform(500, 1100), 3)
    area = c.frame if c.rng.random() < 0.4 else c.blob(c.place(), 1500)
    steps = int(c.rng.integers(14, 34))
    names = c.rng.choice(["wheat", "vines", "meadow", "soil", "steppe", "maize", "water", "stubble"], 3)
    levels = np.linspace(float(heights.min()), float(heights.max()), steps + 1)
    wall = str(c.rng.choice(["scrub", "rock", "soil", "gravel"]))
    for low, top in pairwise(levels.tolist()):
        band = c.above(heights, low, top).intersection(area)
        c.lay(band, str(c.rng.choice(names)), (str(c.rng.choice(names)), 0.3, 150))
        c.lay(band.boundary.buffer(c.rng.uniform(1.5, 4)).intersection(area), wall)


def woods(c: Canvas) -> None:
    """A wood, even and dark, cut by rides, fire breaks, a power line, felled squares; few roads or none."""
    trees = str(c.rng.choice(["conifer", "leafy", "mangrove"]))
    area = c.frame if c.rng.random() < 0.6 else c.side(c.through(250))
    c.lay(area, trees, (str(c.rng.choice(["leafy", "conifer"])), c.rng.uniform(0, 0.5), 150), 15)
    bare = str(c.rng.choice(["meadow", "soil", "steppe", "scrub", "sand"]))
    angle, cuts = c.rng.uniform(0, np.pi), []
    if c.rng.random() < 0.6:
        for turn in (0, np.pi / 2):
            for _ in range(int(c.rng.integers(1, 8))):
                cuts.append(
                    c.through(c.rng.choice([0.1, 12]), c.place(0, 1), angle + turn).buffer(
                        c.rng.uniform(2, 9)
                    )
                )
    for _ in range(int(c.rng.integers(0, 3))):
        cuts.append(c.through(1, c.place(), angle + c.rng.uniform(0, np.pi)).buffer(c.rng.uniform(12, 30)))
    c.lay(shapely.union_all(cuts).intersection(area), bare, ("scrub", c.rng.uniform(0, 0.6), 40), 0.5)
    for _ in range(int(c.rng.integers(0, 14))):
        felled = c.blob(c.place(0, 1), c.rng.uniform(40, 180)).minimum_rotated_rectangle
        since = int(c.rng.integers(0, c.dates)) if c.rng.random() < 0.4 and c.dates > 1 else 0
        c.lay(felled.intersection(area), bare, ("scrub", 0.4, 12), 1, (since, 9999))
    for _ in range(int(c.rng.integers(0, 4))):
        c.lay(
            c.wander(c.place(0, 1), c.rng.uniform(0, 7), c.rng.uniform(600, 3000), 0.3).buffer(
                c.rng.uniform(1, 5)
            ),
            str(c.rng.choice(["water", "shingle", "scrub"])),
        )


def canopy(c: Canvas) -> None:
    """Nothing but trees: a true negative, dark and even."""
    kind = str(c.rng.choice(["conifer", "leafy", "mangrove"]))
    c.lay(
        c.frame, kind, (str(c.rng.choice(["conifer", "leafy", "mangrove"])), c.rng.uniform(0, 0.5), 150), 16
    )


def desert(c: Canvas) -> None:
    """Sand, gravel and rock: dry channels that branch, ripples of dunes, bare ridges, watered circles."""
    base, other = c.rng.choice(["sand", "soil", "gravel", "rock"], 2, replace=False)
    c.lay(c.frame, str(base), (str(other), c.rng.uniform(0, 0.4), 150))
    if c.rng.random() < 0.6:
        out = c.rng.uniform(0, 7)
        for _ in range(int(c.rng.integers(2, 9))):
            start = c.place(0, 1) + 1200 * np.array([np.cos(out), np.sin(out)])
            bed = c.creeks(
                start,
                out + np.pi + c.rng.normal(0, 0.4),
                c.rng.uniform(10, 70),
                c.rng.uniform(1500, 3500),
                0.35,
            )
            c.lay(
                bed,
                str(c.rng.choice(["sand", "shingle", "scrub", "mudflat"])),
                ("scrub", c.rng.uniform(0, 0.4), 12),
            )
    if c.rng.random() < 0.4:
        angle = c.rng.uniform(0, np.pi)
        for at in np.arange(-2500, 2500, c.rng.uniform(60, 260)):
            middle = np.array([c.width_m, c.height_m]) / 2 + at * np.array([-np.sin(angle), np.cos(angle)])
            dune = c.through(45, middle, angle).buffer(c.rng.uniform(5, 25))
            c.lay(dune, str(c.rng.choice(["rock", "soil", "sand"])), (str(base), 0.4, 150))
    for _ in range(int(c.rng.integers(0, 16)) if c.rng.random() < 0.5 else 0):
        circle = Point(c.place(0, 1)).buffer(c.rng.uniform(150, 420), quad_segs=24)
        c.lay(circle, str(c.rng.choice(_CROPS)))
    for _ in range(int(c.rng.integers(0, 3))):
        c.lay(c.through(2).buffer(c.rng.uniform(2, 6)), str(c.rng.choice(["soil", "metal", "scrub"])))


def mountain(c: Canvas) -> None:
    """High ground: rock, scree and meadow by height, gullies, ski runs in woods, a moving edge of snow."""
    heights = c.hilly(c.rng.uniform(700, 1500), 6)
    c.lay(c.frame, str(c.rng.choice(["conifer", "leafy"])), ("meadow", 0.2, 150), 12)
    tree_line = c.rng.uniform(-1.2, 0.6)
    runs = [
        c.wander(c.place(0, 1), c.rng.uniform(0, 7), c.rng.uniform(500, 1800), 0.12)
        for _ in range(int(c.rng.integers(0, 12)))
    ]
    c.lay(shapely.union_all([run.buffer(c.rng.uniform(8, 30)) for run in runs]), "meadow")
    c.lay(c.above(heights, tree_line), "meadow", ("scrub", 0.3, 40))
    c.lay(c.above(heights, tree_line + 0.4), "rock", ("meadow", 0.35, 40))
    c.lay(c.above(heights, tree_line + 0.9), "rock", ("shingle", 0.4, 40))
    for _ in range(int(c.rng.integers(3, 14))):
        gully = c.creeks(
            c.place(0, 1), c.rng.uniform(0, 7), c.rng.uniform(5, 22), c.rng.uniform(500, 1500), 0.25
        )
        c.lay(gully, str(c.rng.choice(["shingle", "rock", "water", "scrub"])))
    if c.rng.random() < 0.75:
        line = tree_line + c.rng.uniform(0, 1.2)
        for date in range(max(c.dates, 1)):
            snow = c.above(heights, line + c.rng.normal(0.2, 0.7))
            c.lay(snow, "firn", ("rock", c.rng.uniform(0, 0.3), 40), 0, (date, date + 1))


def lane(c: Canvas) -> None:
    """One or two lonely roads through whatever lies there: true roads in country that has few."""
    for _ in range(int(c.rng.integers(1, 3))):
        kind, wide = (("unclassified", 5.0), ("tertiary", 7.0), ("secondary", 9.0), ("primary", 11.0))[
            int(c.rng.integers(4))
        ]
        c.line(
            "road",
            c.through(c.rng.uniform(20, 160)).intersection(c.frame),
            wide * c.rng.uniform(0.9, 1.2),
            kind,
        )
