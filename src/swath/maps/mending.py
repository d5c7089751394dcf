"""What is mended in a graph of traced lines: spurs, crumbs, split junctions, gaps."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from swath.maps.faces import dissolve_faces
from swath.maps.graph import Graph, Places
from swath.maps.ridges import PixelSize, Scores

SPUR_M = 50.0
"""Dead ends shorter than this are bumps on the edge of a road, not streets."""

JUNCTION_M = 25.0
"""Junctions nearer than this to each other are one."""

CRUMB_M = 100.0
"""Lines that hang together for less than this, and with nothing else, are no roads."""

GAP_M = 60.0
"""Gaps up to this are closed, in the direction of travel, where the map supports it."""

GAP_COS = 0.85
"""Cosine of the angle at most between a line and what closes the gap after it."""

BACK_M = 40.0
"""The direction of travel is taken over this length."""

NEAREST = 64
"""Points that are looked at around an end."""

SAMPLES = 9
"""Places along a gap at which the map is asked."""


def mend(graph: Graph, surface: Scores, pixel_m: PixelSize, support: float, sure: float) -> Graph:
    """A graph of lines as a person would draw it.

    Args:
        graph: As traced.
        surface: (H, W) the score of the class.
        pixel_m: Height and width of a pixel.
        support: The score that a gap must have all along it.
        sure: The score that something must have somewhere to be a road.
    """
    graph = drop_spurs(merge_junctions(graph), 2.5 * max(pixel_m))
    graph = close_gaps(graph, surface, pixel_m, support)
    for _ in range(3):
        graph = merge_junctions(drop_spurs(dissolve_faces(graph), SPUR_M))
    return drop_crumbs(drop_spurs(graph, SPUR_M), sure)


def drop_spurs(graph: Graph, least_m: float) -> Graph:
    """Drop dead ends on other lines that are shorter than `least_m`, at each junction the shortest first."""
    for _ in range(4):
        if not len(graph.links):
            return graph
        ends = graph.chain_ends
        free = graph.free[ends]
        spur = (free.sum(axis=1) == 1) & (graph.degree[ends] > 2).any(axis=1)
        spur &= graph.chain_length < least_m
        if not spur.any():
            return graph
        at = np.flatnonzero(spur)
        junction = np.where(free[at, 0], ends[at, 1], ends[at, 0])
        order = np.lexsort((graph.chain_length[at], junction))
        shortest = at[order][np.diff(junction[order], prepend=-1) > 0]
        gone = np.zeros(len(ends), bool)
        gone[shortest] = True
        graph = graph.without(gone)
    return graph


def merge_junctions(graph: Graph) -> Graph:
    """Put together junctions that a chain shorter than `JUNCTION_M` joins."""
    if not len(graph.links):
        return graph
    ends = graph.chain_ends
    short = (graph.degree[ends] > 2).all(axis=1) & (graph.chain_length < JUNCTION_M)
    return graph.contracted(graph.links[short[graph.chains.of_link]]) if short.any() else graph


def drop_crumbs(graph: Graph, sure: float) -> Graph:
    """Drop what hangs together for less than `CRUMB_M`, or is nowhere `sure`.

    What the next sheet goes on with is kept: see `is_crumb`.
    """
    if not len(graph.links):
        return graph
    part = graph.components()
    count = int(part.max()) + 1
    length = np.bincount(part[graph.links[:, 0]], graph.length, count).astype(np.float64)
    peak = np.zeros(count)
    np.maximum.at(peak, part, graph.score)
    held = np.zeros(count, bool)
    held[part[graph.fixed & (graph.degree > 0)]] = True
    crumb = is_crumb(length, peak, sure) & ~held
    return graph.without(crumb[part[graph.chain_ends[:, 0]]])


def is_crumb(length_m: NDArray[np.float64], peak: NDArray[np.float64], sure: float) -> NDArray[np.bool_]:
    """(n,) bool: parts that are no roads, by the metres that hang together and their highest score."""
    crumb: NDArray[np.bool_] = (length_m < CRUMB_M) | (peak < sure)
    return crumb


def close_gaps(graph: Graph, surface: Scores, pixel_m: PixelSize, support: float) -> Graph:
    """Join free ends to the nearest line ahead of them, where the score between is high enough."""
    if not len(graph.links):
        return graph
    ends, heading, chain = _heading(graph)
    used = np.flatnonzero(graph.degree > 0)
    if not len(ends):
        return graph
    chain_of = np.full(len(graph.places), -1)
    chain_of[graph.chains.points] = graph.chains.owner
    tree = cKDTree(graph.places[used])
    far, near = tree.query(graph.places[ends], k=min(NEAREST, len(used)), distance_upper_bound=GAP_M)
    far, near = far.reshape(len(ends), -1), near.reshape(len(ends), -1)
    chain_of_used = np.append(chain_of[used], -1)  # a neighbour that is missing has the number after the last
    at, slot = np.nonzero(np.isfinite(far) & (far > 0) & (chain_of_used[near] != chain[:, None]))
    target, far = used[near[at, slot]], far[at, slot]
    x, y = graph.places.T
    ahead = ((x[target] - x[ends[at]]) * heading[at, 0] + (y[target] - y[ends[at]]) * heading[at, 1]) / far
    good = ahead > GAP_COS
    at, target, far, ahead = at[good], target[good], far[good], ahead[good]
    steps = np.linspace(0, 1, SAMPLES)[:, None, None]
    between = graph.places[ends[at]] * (1 - steps) + graph.places[target] * steps
    seen = sample(surface, between.reshape(-1, 2), pixel_m).reshape(SAMPLES, -1).min(axis=0)
    good = seen > support
    at, target = at[good], target[good]
    order = np.lexsort((far[good] / ahead[good] ** 4, at))
    first = order[np.diff(at[order], prepend=-1) > 0]
    return graph.linked(np.stack([ends[at[first]], target[first]], axis=1))


def _heading(graph: Graph) -> tuple[NDArray[np.int64], Places, NDArray[np.int64]]:
    """The free ends: (e,) their points; (e, 2) the unit vector in which each line ends; (e,) its chain."""
    owner, points = graph.chains.owner, graph.chains.points
    first, last = graph.chains.ends.T
    reach = max(1, round(BACK_M / graph.length.mean()))
    tips = np.concatenate([first, last])
    inner = np.concatenate([np.minimum(first + reach, last), np.maximum(last - reach, first)])
    free = graph.free[points[tips]]
    tips, inner = tips[free], inner[free]
    apart = graph.places[points[tips]] - graph.places[points[inner]]
    unit = apart / np.maximum(np.hypot(*apart.T), 1e-9)[:, None]
    return points[tips], unit, owner[tips]


def sample(surface: Scores, places: Places, pixel_m: PixelSize) -> NDArray[np.float64]:
    """(n,) a surface at places, between its pixels bilinearly."""
    rows, cols = places[:, 1] / pixel_m[0], places[:, 0] / pixel_m[1]
    values: NDArray[np.float64] = ndimage.map_coordinates(surface, [rows, cols], order=1, mode="nearest")
    return values.astype(np.float64)
