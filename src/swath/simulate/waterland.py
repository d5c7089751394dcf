"""Landscapes of water: coasts, flats, rivers, harbours, ponds. Little there is a road, much is a line."""

import numpy as np
import shapely
from shapely.geometry import LineString, Point
from shapely.geometry.base import BaseGeometry

from swath.simulate.scenery import Canvas


def _shore(
    c: Canvas, sway_m: float = 180, share: tuple[float, float] = (0.35, 0.65)
) -> tuple[LineString, BaseGeometry, float]:
    """A coast through the frame: its line, the sea left of it, and the direction out to sea."""
    angle = c.rng.uniform(0, 2 * np.pi)
    line = c.through(sway_m, c.place(*share), angle)
    return line, c.side(line), angle + np.pi / 2


def _along(c: Canvas, line: LineString, step_m: float) -> list[np.ndarray]:
    """Points on a line within the frame, about `step_m` apart."""
    inside = line.intersection(c.frame)
    at = np.arange(c.rng.uniform(0, step_m), inside.length, step_m)
    at = at + c.rng.uniform(-0.3, 0.3, len(at)) * step_m
    return [np.array(inside.interpolate(s).coords[0]) for s in at]


def tidal(c: Canvas) -> None:
    """A tidal flat: bars of mud and sand at several heights, branching creeks, salt marsh, a dyke."""
    line, sea, out = _shore(c, 250)
    c.cleared.append(sea)
    c.lay(sea, "water", ("seagrass", 0.2, 150))
    heights = c.hilly(c.rng.uniform(350, 900), 5)
    low, high = np.sort(c.rng.uniform(-0.9, 0.9, 2))
    c.lay(c.above(heights, low).intersection(sea), "seagrass", ("mud", 0.4, 150))
    c.lay(c.above(heights, (low + high) / 2).intersection(sea), "mud", ("mudflat", 0.35, 40))
    c.lay(c.above(heights, high).intersection(sea), "mudflat", ("mud", 0.25, 40))
    marsh_m = c.rng.uniform(80, 600)
    marsh = sea.intersection(line.buffer(marsh_m)).intersection(c.above(c.hilly(300), -1.0))
    c.lay(marsh, "saltmarsh", ("mud", c.rng.uniform(0.05, 0.3), 12))
    if c.rng.random() < 0.3:
        c.lay(sea.intersection(c.above(heights, high + 0.7)), "sand", ("mudflat", 0.2, 40))
    nets = []
    for start in _along(c, line, c.rng.uniform(150, 450)):
        wide = float(np.exp(c.rng.uniform(np.log(8), np.log(90))))
        mouth = start + c.rng.uniform(300, 2000) * np.array([np.cos(out), np.sin(out)])
        nets.append(c.creeks(mouth, out + np.pi + c.rng.normal(0, 0.4), wide, c.rng.uniform(700, 2200), 0.45))
    c.lay(shapely.union_all(nets).intersection(sea), "water", ("mud", 0.15, 40))
    if c.rng.random() < 0.7:
        c.lay(line.buffer(12), "lawn")
        c.lay(line.buffer(c.rng.uniform(1.5, 3)), str(c.rng.choice(["meadow", "shingle", "soil"])))


def lagoon(c: Canvas) -> None:
    """A shallow lagoon with fish ponds, winding channels, islands and embankments."""
    line, sea, _ = _shore(c, 200, (0.3, 0.7))
    c.cleared.append(sea)
    c.lay(sea, "shallows" if c.rng.random() < 0.4 else "water", ("seagrass", c.rng.uniform(0.2, 0.6), 150))
    heights = c.hilly(c.rng.uniform(250, 600), 5)
    c.lay(c.above(heights, c.rng.uniform(0.5, 1.1)).intersection(sea), "saltmarsh", ("mud", 0.25, 12))
    ponds = c.plots(
        sea.intersection(line.buffer(c.rng.uniform(300, 1200))),
        (c.rng.uniform(150, 500), c.rng.uniform(80, 260)),
        c.rng.uniform(6, 16),
        0.6,
    )
    if ponds:
        c.lay(
            shapely.union_all(shapely.buffer(ponds, 8)),
            str(c.rng.choice(["meadow", "soil", "mudflat", "gravel"])),
        )
        for pond in ponds:
            c.lay(pond, str(c.rng.choice(["water", "shallows", "seagrass", "mud"], p=[0.5, 0.2, 0.2, 0.1])))
    for _ in range(int(c.rng.integers(2, 6))):
        river = c.meander(c.place(), c.rng.uniform(0, 7), c.rng.uniform(500, 1500), c.rng.uniform(0.4, 1.2))
        channel = river.buffer(c.rng.uniform(6, 45))
        c.lay(channel.buffer(c.rng.uniform(10, 25)).intersection(sea), "saltmarsh", ("leafy", 0.15, 12))
        c.lay(channel.intersection(sea.buffer(300)), "water", ("shallows", 0.3, 40))
        c.crossed.append(channel)


def mangrove(c: Canvas) -> None:
    """Mangrove cut by tidal channels that branch and rejoin; shrimp ponds behind narrow bunds."""
    _, wet, out = _shore(c, 300, (0.2, 0.8))
    c.cleared.append(wet)
    c.lay(wet, "mangrove", ("mud", c.rng.uniform(0.02, 0.08), 40), 7)
    nets = []
    for _ in range(int(c.rng.integers(3, 8))):
        start = c.place(0, 1) + 1500 * np.array([np.cos(out), np.sin(out)])
        wide = float(np.exp(c.rng.uniform(np.log(15), np.log(160))))
        nets.append(c.creeks(start, out + np.pi + c.rng.normal(0, 0.5), wide, c.rng.uniform(1800, 3800), 0.5))
    water = shapely.union_all(nets).intersection(wet)
    c.lay(water.buffer(c.rng.uniform(3, 20)).intersection(wet), "mud", ("mangrove", 0.5, 12))
    for _ in range(int(c.rng.integers(0, 4))):
        field = c.blob(c.place(), c.rng.uniform(200, 700)).intersection(wet)
        ponds = c.plots(field, (c.rng.uniform(60, 200), c.rng.uniform(40, 110)), c.rng.uniform(5, 12))
        c.lay(field, str(c.rng.choice(["soil", "mudflat", "meadow"])))
        for pond in ponds:
            c.lay(pond, str(c.rng.choice(["water", "shallows", "brine", "mud"], p=[0.4, 0.3, 0.1, 0.2])))
    c.lay(water, "water", ("mud", 0.05, 40))


def braided(c: Canvas) -> None:
    """A braided river: a wide bed of bright gravel, channels that part and meet, green islands."""
    middle = c.through(c.rng.uniform(80, 250))
    half = c.rng.uniform(60, 420)
    bed = shapely.union_all([middle.buffer(half), c.through(90, None, None).buffer(0)]).intersection(c.frame)
    bars = str(c.rng.choice(["shingle", "shingle", "sand", "gravel", "mudflat"]))
    c.crossed.append(bed)
    c.lay(bed.buffer(c.rng.uniform(0, 120)), "scrub", ("leafy", 0.4, 40), 3)
    c.lay(bed, bars, ("scrub", c.rng.uniform(0.02, 0.3), 40))
    c.lay(bed.intersection(c.above(c.hilly(250), c.rng.uniform(0.9, 1.8))), "leafy", ("scrub", 0.4, 40), 6)
    count = int(np.clip(half / 35, 2, 9) * c.rng.uniform(0.7, 1.3))
    xy, s = np.array(middle.coords), np.arange(len(middle.coords)) * 30.0
    normal = np.stack([-np.gradient(xy[:, 1]), np.gradient(xy[:, 0])], axis=1)
    normal /= np.hypot(*normal.T)[:, None]
    channels = []
    for _ in range(max(count, 1)):
        aside = sum(
            c.rng.normal(0, half / 1.6)
            / k
            * np.sin(2 * np.pi * s / (c.rng.uniform(500, 2000) / k) + c.rng.uniform(0, 7))
            for k in range(1, 4)
        )
        line = LineString(xy + np.clip(aside, -0.92 * half, 0.92 * half)[:, None] * normal)
        channels.append(line.buffer(float(np.exp(c.rng.uniform(np.log(2.5), np.log(max(half / 8, 4)))))))
    wet = "soil" if c.rng.random() < 0.15 else "water"
    c.lay(
        shapely.union_all(channels).intersection(bed), wet, ("shallows" if wet == "water" else bars, 0.35, 40)
    )


def river(c: Canvas) -> None:
    """A meandering river with bright inner banks, cut-off bends, woods along it, a weir or a dam."""
    angle, middle = c.rng.uniform(0, 7), c.place(0.3, 0.7)
    half = float(np.exp(c.rng.uniform(np.log(8), np.log(140))))
    line = c.meander(middle, angle, half * c.rng.uniform(14, 26) + 300, c.rng.uniform(0.5, 1.7)).intersection(
        c.frame
    )
    for old in range(int(c.rng.integers(0, 4))):
        bend = c.meander(middle, angle, half * 16 + 300, 1.9)
        cut = bend.intersection(c.blob(c.place(), c.rng.uniform(250, 600)))
        c.lay(cut.buffer(half * 0.8), "water" if old % 2 else "saltmarsh", ("scrub", 0.3, 40))
    water = line.buffer(half)
    c.crossed.append(water)
    if c.rng.random() < 0.7:
        c.lay(
            water.buffer(c.rng.uniform(10, 150)).intersection(c.above(c.hilly(200), -0.6)),
            "leafy",
            ("scrub", 0.3, 40),
            12,
        )
    bank = str(c.rng.choice(["sand", "shingle", "mudflat", "soil"]))
    shifted = shapely.affinity.translate(water, *c.rng.normal(0, half * 0.7, 2))
    c.lay(shifted.intersection(water.buffer(half * 0.6)), bank, ("scrub", 0.1, 40))
    c.lay(water.buffer(c.rng.uniform(0, 6)), bank)
    c.lay(water, "water", ("shallows", c.rng.uniform(0, 0.4), 150))
    if half < 60:
        for at in _along(c, shapely.line_merge(line) if line.geom_type == "MultiLineString" else line, 2500):
            wall = c.wander(at - half * 1.3, c.rng.uniform(0, 7), half * 3, 0)
            c.lay(wall.buffer(3).intersection(water.buffer(10)), "concrete")


def harbour(c: Canvas) -> None:
    """A harbour: quays, basins, piers with ships, breakwaters that reach out, a marina, container yards."""
    line, sea, out = _shore(c, 60)
    c.cleared.append(sea)
    c.lay(sea, "water", ("shallows", 0.1, 150))
    c.lay(line.buffer(c.rng.uniform(6, 40)), str(c.rng.choice(["sand", "concrete", "rock", "paving"])))
    seaward = np.array([np.cos(out), np.sin(out)])
    for start in _along(c, line, c.rng.uniform(350, 900)):
        kind = c.rng.choice(["breakwater", "pier", "quay", "marina"], p=[0.3, 0.3, 0.2, 0.2])
        if kind == "breakwater":
            arm = c.wander(
                start - 20 * seaward,
                out + c.rng.normal(0, 0.3),
                c.rng.uniform(200, 1600),
                c.rng.choice([0.02, 0.15]),
            )
            c.lay(
                arm.buffer(c.rng.uniform(5, 12)), str(c.rng.choice(["rock", "concrete", "shingle"])), None, 3
            )
        elif kind == "pier":
            for k in range(int(c.rng.integers(1, 4))):
                at = start + k * 90 * np.array([-seaward[1], seaward[0]]) - 20 * seaward
                c.lay(
                    c.wander(at, out, c.rng.uniform(80, 700), 0).buffer(c.rng.uniform(2, 12)),
                    str(c.rng.choice(["concrete", "paving", "asphalt"])),
                    None,
                    2,
                )
        elif kind == "quay":
            quay = c.blob(start + 60 * seaward, c.rng.uniform(120, 420), 1.8)
            c.lay(quay.minimum_rotated_rectangle, "concrete", ("asphalt", 0.4, 150))
            for stack in c.plots(
                quay, (c.rng.uniform(60, 200), c.rng.uniform(18, 40)), c.rng.uniform(8, 16), 0.7
            ):
                c.lay(stack, str(c.rng.choice(["tiles", "slate", "metal", "flat", "white"])), None, 8)
        else:
            basin = c.blob(start + 90 * seaward, 150).minimum_rotated_rectangle
            c.lay(basin.buffer(8).difference(basin), "rock")
            for jetty in c.plots(basin, (c.rng.uniform(70, 160), 28), 22):
                c.lay(jetty, "paving", ("white", 0.5, 12))
    for _ in range(int(c.rng.integers(0, 9))):
        ship = c.wander(c.place(0, 1), c.rng.uniform(0, 7), c.rng.uniform(60, 300), 0).buffer(
            c.rng.uniform(8, 20), cap_style="flat"
        )
        first = int(c.rng.integers(0, max(c.dates, 1)))
        c.lay(
            ship.intersection(sea),
            str(c.rng.choice(["metal", "tiles", "white"])),
            None,
            15,
            (first, first + 1),
        )


def saltpans(c: Canvas) -> None:
    """Salt pans: rectangles of brine, crust and mud of all colours between narrow bright bunds."""
    area = c.blob(c.place(0.3, 0.7), c.rng.uniform(600, 1900), 1.3).intersection(c.frame)
    c.cleared.append(area)
    c.lay(area, str(c.rng.choice(["mudflat", "soil", "gravel"])))
    gap, size = c.rng.uniform(4, 14), (c.rng.uniform(60, 400), c.rng.uniform(40, 250))
    names = ["brine", "shallows", "salt", "water", "mudflat", "seagrass"]
    weights = c.rng.dirichlet(np.ones(len(names)))
    for pan in c.plots(area, size, gap):
        c.lay(pan, str(c.rng.choice(names, p=weights)), ("salt", c.rng.uniform(0, 0.15), 40))
    for _ in range(2):
        c.lay(c.through(30).buffer(c.rng.uniform(5, 15)).intersection(area), "water")


def reservoir(c: Canvas) -> None:
    """A reservoir behind a dam: arms up the valleys, a bare bright rim where the level has fallen."""
    heights = c.hilly(c.rng.uniform(500, 1100), 5)
    level = c.rng.uniform(-0.5, 0.6)
    hold = c.above(-heights, level)
    c.cleared.append(hold)
    rim = c.above(-heights, level - c.rng.uniform(0.05, 0.35))
    c.lay(rim, str(c.rng.choice(["soil", "rock", "shingle"])), ("scrub", 0.15, 40))
    fall = c.rng.uniform(0, 0.12)
    for date in range(max(c.dates, 1)):
        water = c.above(-heights, level + fall * float(c.rng.random()))
        c.lay(water, "water", ("shallows", 0.05, 150), 0, (date, date + 1))
    for _ in range(3):
        at = c.place(0.2, 0.8)
        wall = c.wander(at, c.rng.uniform(0, 7), c.rng.uniform(200, 900), 0.05)
        if hold.intersects(wall):
            c.lay(wall.buffer(c.rng.uniform(4, 14)), str(c.rng.choice(["concrete", "rock", "lawn"])), None, 4)
            return


def sea(c: Canvas) -> None:
    """Open water, dark and even: perhaps an island, a beach with its surf, wakes of ships."""
    c.cleared.append(c.frame)
    c.lay(c.frame, "water", ("shallows", c.rng.uniform(0, 0.25), 150))
    for _ in range(int(c.rng.integers(0, 4))):
        island = c.blob(c.place(0, 1), c.rng.uniform(80, 700), c.rng.uniform(1, 2))
        c.lay(island.buffer(c.rng.uniform(40, 200)), "shallows", ("water", 0.3, 40))
        c.lay(island.buffer(20), str(c.rng.choice(["sand", "rock", "mudflat"])))
        c.lay(
            island, str(c.rng.choice(["scrub", "leafy", "rock", "mangrove", "meadow"])), ("rock", 0.2, 40), 3
        )
    for _ in range(int(c.rng.integers(0, 6))):
        first = int(c.rng.integers(0, max(c.dates, 1)))
        wake = c.wander(c.place(0, 1), c.rng.uniform(0, 7), c.rng.uniform(300, 2500), 0.04)
        c.lay(wake.buffer(c.rng.uniform(2, 6)), "shallows", ("white", 0.2, 12), 0, (first, first + 1))
        c.lay(Point(wake.coords[-1]).buffer(10), "metal", None, 5, (first, first + 1))
