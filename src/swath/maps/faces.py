"""The faces of a graph of lines: what lies between roads, and the faces that are none."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from swath.maps.graph import Graph

FACE_M2 = 3000.0
"""Faces smaller than this are holes in a road or a square, not blocks; smoothing shrinks them a little."""

THIN_M = 16.0
"""Faces narrower than this lie between the two edges of one wide road."""


def face_of_sides(graph: Graph) -> NDArray[np.int64]:
    """(2, m) the face that lies on each side of every link.

    The first is the side of the way from the first point of a link to the second, the other that of the
    way back. A face is walked by turning the same way wherever chains meet. Faces are numbered as the
    sides come.
    """
    chains = graph.chains
    count = len(graph.chain_ends)
    source, beside = (chains.points[chains.ends + step].T.ravel() for step in ([0, 0], [1, -1]))
    apart = graph.places[beside] - graph.places[source]
    low, high = np.sort([source, beside], axis=0)
    order = np.lexsort((high, low, source > beside, np.arctan2(apart[:, 1], apart[:, 0]), source))
    first = np.flatnonzero(np.diff(source[order], prepend=-1))
    before = np.arange(-1, 2 * count - 1)
    before[first] = np.append(first[1:], 2 * count) - 1
    turned = np.empty(2 * count, np.int64)
    turned[order] = order[before]
    following = np.roll(turned, count)
    ones = np.ones(2 * count, bool)
    walk = sparse.coo_array((ones, (np.arange(2 * count), following)), (2 * count, 2 * count))
    number = connected_components(walk, directed=False)[1]
    ahead, behind = number.reshape(2, count)[:, chains.of_link]
    sides = np.where(chains.along, (ahead, behind), (behind, ahead))
    seen = np.empty(number.max(initial=-1) + 1, np.int64)
    seen[sides.ravel()[::-1]] = np.arange(sides.size)[::-1]
    renumbered = np.empty_like(seen)
    renumbered[np.argsort(seen)] = np.arange(len(seen))
    return renumbered[sides]


def dissolve_faces(graph: Graph) -> Graph:
    """Open small and thin faces: the chain at each that the map is least sure of goes.

    Of the chains that go, no two open the same face, so nothing falls apart.
    """
    if not len(graph.links):
        return graph
    sides = face_of_sides(graph)
    (x0, x1), (y0, y1) = (values[graph.links.T] for values in graph.places.T)
    cross = (x0 * y1 - x1 * y0) / 2
    area = np.bincount(sides.ravel(), weights=np.concatenate([cross, -cross]))
    outline = np.bincount(sides.ravel(), weights=np.tile(graph.length, 2))
    # Outer faces, and those of trees, have no area or one of the other sign.
    inner = area > 0
    small = inner & ((area < FACE_M2) | (2 * area < THIN_M * outline))
    # A chain has the same two faces all along.
    one = np.zeros((len(graph.chain_ends), 2), np.int64)
    one[graph.chains.of_link] = sides.T
    apart = one[:, 0] != one[:, 1]
    cost = graph.chain_score * np.sqrt(graph.chain_length)
    gone = np.zeros(len(one), bool)
    entries = np.flatnonzero(apart & small[one].any(axis=1))
    owner = np.concatenate([one[entries, 0], one[entries, 1]])
    entries = np.concatenate([entries, entries])[small[owner]]
    owner = owner[small[owner]]
    order = np.lexsort((cost[entries], owner))
    weakest = entries[order][np.diff(owner[order], prepend=-1) > 0]
    gone[weakest] = True
    gone &= _forest(one, cost, gone, len(area))
    return graph.without(gone)


def _forest(
    faces: NDArray[np.int64], cost: NDArray[np.float64], chosen: NDArray[np.bool_], count: int
) -> NDArray[np.bool_]:
    """(c,) bool: of the chosen chains, those that may go together: none closes a ring of faces."""
    at = np.flatnonzero(chosen)
    low, high = np.sort(faces[at], axis=1).T
    # Of several chains between the same two faces only the cheapest is looked at.
    order = np.lexsort((cost[at], high, low))
    new = np.diff(low[order] * count + high[order], prepend=-1) != 0
    at = at[order][new]
    low, high = low[order][new], high[order][new]
    matrix = sparse.coo_array((np.arange(1, len(at) + 1, dtype=float), (low, high)), (count, count))
    tree = minimum_spanning_tree(matrix.tocsr()).tocoo()
    kept = np.zeros(len(faces), bool)
    kept[at[tree.data.astype(np.int64) - 1]] = True
    return kept
