"""Landscapes of works: airfields, railways, quarries, golf, greenhouses, wide roads."""

import numpy as np
import shapely
from shapely import affinity
from shapely.geometry import LineString

from swath.simulate.scenery import Canvas


def _offset(line: LineString, by_m: float) -> LineString:
    moved = line.offset_curve(by_m)
    return moved if moved.geom_type == "LineString" else line


def airfield(c: Canvas) -> None:
    """Runways, taxiways, an apron with halls, grass all around; or a strip of grass or earth."""
    middle, angle = c.place(0.3, 0.7), c.rng.uniform(0, np.pi)
    small = c.rng.random() < 0.35
    long, wide = (
        (c.rng.uniform(500, 1100), c.rng.uniform(10, 30))
        if small
        else (c.rng.uniform(1800, 3600), c.rng.uniform(45, 60))
    )
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    axis = LineString([middle - long / 2 * along, middle + long / 2 * along])
    field = axis.buffer(c.rng.uniform(120, 350))
    c.cleared.append(field)
    c.lay(field, str(c.rng.choice(["lawn", "meadow", "steppe", "soil"])), ("meadow", 0.3, 150))
    paved = str(
        c.rng.choice(["lawn", "soil", "asphalt"] if small else ["runway", "runway", "concrete", "asphalt"])
    )
    strips = [axis.buffer(wide / 2, cap_style="flat")]
    if c.rng.random() < 0.4:
        strips.append(
            affinity.rotate(axis, c.rng.uniform(30, 90), origin=tuple(c.place(0.4, 0.6))).buffer(
                wide / 2, cap_style="flat"
            )
        )
    if not small:
        away = c.rng.uniform(130, 220) * c.rng.choice([-1, 1])
        taxi = affinity.translate(axis, *(away * across))
        links = [
            LineString([at, at + away * across + c.rng.uniform(-60, 60) * along])
            for at in (
                middle + s * long / 2 * along for s in np.linspace(-0.98, 0.98, int(c.rng.integers(3, 8)))
            )
        ]
        c.lay(shapely.union_all([line.buffer(c.rng.uniform(8, 13)) for line in (taxi, *links)]), "asphalt")
        apron = affinity.rotate(shapely.box(-400, -110, 400, 110), angle, use_radians=True)
        apron = affinity.translate(apron, *(middle + 2 * away * across))
        c.lay(apron, "concrete", ("asphalt", 0.2, 150))
        c.cleared.append(apron)
        for hall in c.plots(apron, (110, 70), 35, 0.4):
            c.lay(hall, str(c.rng.choice(["metal", "flat", "white"])), None, 12)
    c.lay(shapely.union_all(strips), paved)


def railway(c: Canvas) -> None:
    """A line through the country and a yard on it: many tracks side by side, halls beside them."""
    line = c.through(c.rng.uniform(60, 250))
    tracks = int(c.rng.integers(1, 5))
    c.crossed.append(line.buffer(3 * tracks))
    c.lay(
        line.buffer(3 * tracks + c.rng.uniform(3, 12)),
        str(c.rng.choice(["scrub", "lawn", "meadow"])),
        ("leafy", 0.3, 12),
        1,
    )
    for number in range(tracks):
        c.line(
            "railway", _offset(line, 5.0 * (number - tracks / 2)).intersection(c.frame), c.rng.uniform(3.5, 6)
        )
    if c.rng.random() < 0.6:
        box = shapely.Point(c.place(0.3, 0.7)).buffer(c.rng.uniform(300, 900))
        part = line.intersection(box)
        half = c.rng.uniform(25, 110)
        yard = shapely.line_merge(part).buffer(half, cap_style="flat")
        c.cleared.append(yard)
        c.lay(yard, "ballast", ("scrub", 0.2, 12))
        for aside in np.arange(-half, half, c.rng.uniform(9, 14)):
            c.lay(
                _offset(line, float(aside)).intersection(box).buffer(2.2),
                str(c.rng.choice(["slate", "metal", "gravel", "tiles"], p=[0.5, 0.15, 0.25, 0.1])),
            )


def quarry(c: Canvas) -> None:
    """A quarry: pale benches one within the other, a pool at the bottom, heaps."""
    for _ in range(int(c.rng.integers(1, 4))):
        stone, centre = str(c.rng.choice(["rock", "sand", "gravel", "shingle", "soil"])), c.place(0.15, 0.85)
        pit = c.blob(centre, c.rng.uniform(120, 550), c.rng.uniform(1, 1.6))
        c.cleared.append(pit)
        c.lay(pit.buffer(15), "soil", ("scrub", 0.4, 12))
        for level in range(7):
            c.lay(
                pit,
                stone,
                (str(c.rng.choice(["rock", "gravel", "soil"])), c.rng.uniform(0, 0.5), 40),
                2.0 * (6 - level),
            )
            c.lay(
                pit.buffer(0).exterior.buffer(3) if pit.geom_type == "Polygon" else pit.boundary.buffer(3),
                str(c.rng.choice(["slate", "shingle"])),
            )
            pit = pit.buffer(-c.rng.uniform(18, 50))
            if pit.is_empty:
                break
        if not pit.is_empty and c.rng.random() < 0.6:
            c.lay(pit, str(c.rng.choice(["water", "shallows"])))


def golf(c: Canvas) -> None:
    """A golf course: bright curved fairways between trees, greens, bunkers, ponds."""
    area = c.blob(c.place(0.25, 0.75), c.rng.uniform(450, 900), 1.4).intersection(c.frame)
    c.cleared.append(area)
    c.lay(area, str(c.rng.choice(["meadow", "leafy", "conifer", "steppe"])), ("leafy", 0.3, 40), 5)
    for _ in range(int(c.rng.integers(9, 22))):
        hole = c.wander(
            np.asarray(c.rng.uniform(*np.reshape(area.bounds, (2, 2)))),
            c.rng.uniform(0, 7),
            c.rng.uniform(150, 480),
            0.12,
        )
        c.lay(hole.buffer(c.rng.uniform(12, 28)).intersection(area), "fairway")
        for spot in np.array(hole.coords)[[0, -1]]:
            bunker = c.blob(spot + c.rng.normal(0, 25, 2), c.rng.uniform(6, 16))
            c.lay(bunker.intersection(area), str(c.rng.choice(["sand", "salt", "water"], p=[0.6, 0.2, 0.2])))
        if c.rng.random() < 0.4:
            c.lay(hole.buffer(1.5).intersection(area), "paving")


def greenhouses(c: Canvas) -> None:
    """Rows of greenhouses or plastic, white or grey, with narrow gaps of earth between them."""
    for _ in range(int(c.rng.integers(1, 6))):
        area = c.blob(c.place(), c.rng.uniform(200, 900), 1.4).intersection(c.frame)
        c.cleared.append(area)
        c.lay(area, str(c.rng.choice(["soil", "gravel", "lawn"])))
        size, gap = (c.rng.uniform(60, 250), c.rng.uniform(25, 110)), c.rng.uniform(4, 14)
        for hall in c.plots(area, size, gap, c.rng.uniform(0.5, 1)):
            since = int(c.rng.integers(0, max(c.dates, 1))) if c.rng.random() < 0.1 else 0
            c.lay(
                hall,
                str(c.rng.choice(["plastic", "plastic", "white", "soil"])),
                None,
                4,
                (since, c.rng.choice([c.dates, 9999])),
            )


def motorway(c: Canvas) -> None:
    """A wide dark motorway with its junctions' ramps, true roads all, and a canal or a pipeline beside it."""
    angle, middle = c.rng.uniform(0, np.pi), c.place(0.3, 0.7)
    line = c.through(c.rng.uniform(50, 160), middle, angle)
    wide, apart = c.rng.uniform(10, 20), c.rng.uniform(3, 14)
    c.crossed.append(line.buffer(wide + apart))
    c.lay(line.buffer(wide + apart + c.rng.uniform(4, 20)), "lawn", ("scrub", 0.3, 12))
    for side in (-1, 1):
        c.line("road", _offset(line, side * (wide + apart) / 2).intersection(c.frame), wide, "motorway")
    for at in range(int(c.rng.integers(0, 3))):
        centre = np.array(line.interpolate(c.rng.uniform(0.35, 0.65), normalized=True).coords[0])
        for k in range(4):
            turn = angle + k * np.pi / 2 + np.pi / 4
            loop = affinity.rotate(shapely.Point(0, 0).buffer(1).exterior, turn, use_radians=True)
            loop = affinity.translate(
                affinity.scale(loop, 70, 70), *(centre + 95 * np.array([np.cos(turn), np.sin(turn)]))
            )
            c.line("road", LineString(loop.coords), 7, "motorway_link")
        over = c.wander(
            centre - 900 * np.array([-np.sin(angle), np.cos(angle)]), angle + np.pi / 2, 1800, 0.03
        )
        c.line("road", over.intersection(c.frame), c.rng.uniform(7, 12), ("primary", "secondary")[at % 2])
    if c.rng.random() < 0.5:
        away = c.rng.uniform(60, 400) * c.rng.choice([-1, 1])
        beside = _offset(line, away).intersection(c.frame)
        c.lay(beside.buffer(c.rng.uniform(5, 12)), str(c.rng.choice(["water", "meadow", "leafy"])))
