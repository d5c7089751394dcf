"""Lines as a network: joined where they meet. What is wrong with it, and how well its routes agree."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from swath.metrics.linematch import Lines

LOOP_M = 100.0
DANGLE_M = 30.0
FACE_M2 = 2500.0

SNAP_M = 20.0
"""How far a place may be from the other network and still be on it."""

SPACING_M = 50.0
"""Distance of the places between which routes are compared, along the lines, at most."""

SOURCES = 200
"""Routes are compared from this many places to all others: it bounds the time in large towns."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What no map that people draw has.

    Attributes:
        loops: Faces with an outline under `LOOP_M`.
        dangles: Lines under `DANGLE_M` that end freely on either side.
        faces: Faces under `FACE_M2`.
        lines: Lines between junctions and free ends, for comparison.
    """

    loops: int
    dangles: int
    faces: int
    lines: int


def count_faults(lines: Lines) -> Faults:
    """Count the faults of a network of lines, in a plane in metres; lines that cross are cut there."""
    edges = noded(lines)
    if not len(edges):
        return Faults(0, 0, 0, 0)
    faces = shapely.get_parts(shapely.polygonize(edges))
    ends = _ends(edges)
    length = shapely.length(edges)
    free = (np.bincount(ends.ravel())[ends] == 1).any(axis=1)
    return Faults(
        int((shapely.length(faces) < LOOP_M).sum()),
        int((free & (length < DANGLE_M)).sum()),
        int((shapely.area(faces) < FACE_M2).sum()),
        len(edges),
    )


def noded(lines: Lines) -> Lines:
    """The lines cut where they cross and joined where just two meet: (n,) LineStrings."""
    if not len(lines):
        return np.zeros(0, object)
    edges: Lines = shapely.get_parts(shapely.line_merge(shapely.unary_union(lines)))
    return edges


def _ends(edges: Lines) -> NDArray[np.int64]:
    """(n, 2) the numbers of the places where edges begin and end."""
    places = np.concatenate([shapely.get_coordinates(shapely.get_point(edges, at)) for at in (0, -1)])
    _, number = np.unique(places, axis=0, return_inverse=True)
    return number.reshape(2, -1).T


@dataclass(frozen=True, slots=True)
class _Routes:
    """A network as a sparse graph: (n, 2) places and (n, n) metres between neighbours."""

    places: NDArray[np.float64]
    graph: sparse.csr_array

    def between(self, sources: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
        """(s, t) metres by the shortest way; infinite where there is none."""
        metres: NDArray[np.float64] = dijkstra(self.graph, directed=False, indices=sources)[:, targets]
        return metres


def _routes(lines: Lines, spacing_m: float) -> _Routes:
    """Cut the lines into pieces of at most `spacing_m` along them."""
    edges = noded(lines)
    ends = _ends(edges)
    known = int(ends.max()) + 1
    length = shapely.length(edges)
    pieces = np.maximum(1, np.ceil(length / spacing_m)).astype(np.int64)
    # Two edges between the same two junctions must stay two: each has a place of its own between.
    pieces = np.maximum(pieces, 2)
    owner = np.repeat(np.arange(len(edges)), pieces + 1)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(pieces + 1) - pieces - 1, pieces + 1)
    last = step == pieces[owner]
    inner = (step > 0) & ~last
    number = np.where(step == 0, ends[owner, 0], ends[owner, 1])
    number[inner] = known + np.arange(inner.sum())
    points = shapely.get_coordinates(
        shapely.line_interpolate_point(edges[owner], step / pieces[owner], normalized=True)
    )
    places = np.empty((known + int(inner.sum()), 2))
    places[number] = points
    metres = np.repeat(length / pieces, pieces)
    size = (len(places), len(places))
    graph = sparse.csr_array((metres, (number[~last], number[step > 0])), size)
    return _Routes(places, graph)


def apls(true: Lines, mapped: Lines, *, snap_m: float = SNAP_M, spacing_m: float = SPACING_M) -> float:
    """Average path length similarity of two networks of lines, 0..1; NaN where either has no lines.

    Places lie along the one network every `spacing_m` at most. For each pair that a way joins there,
    the length of the shortest way is compared with that between the nearest places of the other
    network: 1 - min(1, |difference| / length), and 0 where a place is more than `snap_m` off or no way
    joins them. The mean is taken over all pairs, both ways round, and the harmonic mean of the two.

    Source: Van Etten, Lindenbaum and Bacastow 2018, SpaceNet; differs: the other network's places are
    at most `SNAP_M / 8` apart in place of being put in one by one, and from more than `SOURCES`
    places, every k-th is a source.
    """
    if not len(true) or not len(mapped):
        return float("nan")
    one_way = [
        _similarity(_routes(first, spacing_m), _routes(second, snap_m / 8), snap_m)
        for first, second in ((true, mapped), (mapped, true))
    ]
    total = sum(one_way)
    return 2 * one_way[0] * one_way[1] / total if total > 0 else 0.0


def _similarity(ours: _Routes, theirs: _Routes, snap_m: float) -> float:
    count = len(ours.places)
    sources = np.unique(np.linspace(0, count - 1, min(count, SOURCES)).astype(np.int64))
    metres = ours.between(sources, np.arange(count))
    far, place = cKDTree(theirs.places).query(ours.places, distance_upper_bound=snap_m)
    found = np.isfinite(far)
    other = np.full(metres.shape, np.inf)
    usable = np.flatnonzero(found[sources])
    if len(usable):
        rows = theirs.between(place[sources[usable]], place[found])
        other[np.ix_(usable, np.flatnonzero(found))] = rows
    pairs = np.isfinite(metres) & (metres > 0)
    lost = np.where(np.isfinite(other), np.abs(metres - np.where(np.isfinite(other), other, 0)), np.inf)
    similar = 1 - np.minimum(1, lost[pairs] / metres[pairs])
    return float(similar.mean()) if len(similar) else 0.0
