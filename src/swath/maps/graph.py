"""Lines as a graph of points and links: the form in which they are mended."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from swath.maps.chains import Chains, Links, join_links

Places = NDArray[np.float64]
"""(n, 2) x and y in metres, from the middle of a sheet's first pixel to the right and down."""


@dataclass(frozen=True)
class Graph:
    """Points and the straight links between them. Nothing here is changed: what mends gives a new one.

    Attributes:
        places: (n, 2) where the points lie.
        links: (m, 2) the points that each link joins, lower first; no link is there twice.
        fixed: (n,) bool, points where the next sheet goes on: they stay where they are, and no line
            ends there.
        score: (n,) how sure the map is of the road there, 0..1.
    """

    places: Places
    links: Links
    fixed: NDArray[np.bool_]
    score: NDArray[np.float64]

    @cached_property
    def degree(self) -> NDArray[np.int64]:
        """(n,) links at every point."""
        return np.bincount(self.links.ravel(), minlength=len(self.places))

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """(n,) bool, the points at which a line just ends."""
        ends: NDArray[np.bool_] = (self.degree == 1) & ~self.fixed
        return ends

    @cached_property
    def length(self) -> NDArray[np.float64]:
        """(m,) metres of every link."""
        metres: NDArray[np.float64] = np.hypot(
            *(self.places[self.links[:, 0]] - self.places[self.links[:, 1]]).T
        )
        return metres

    @cached_property
    def chains(self) -> Chains:
        """The links joined to chains."""
        return join_links(self.links)

    @cached_property
    def chain_ends(self) -> NDArray[np.int64]:
        """(c, 2) the first and the last point of every chain."""
        return self.chains.points[self.chains.ends]

    @cached_property
    def chain_length(self) -> NDArray[np.float64]:
        """(c,) metres of every chain."""
        return self.chain_sum(self.length)

    @cached_property
    def chain_score(self) -> NDArray[np.float64]:
        """(c,) mean score along every chain."""
        middle = self.score[self.links].mean(axis=1)
        return self.chain_sum(middle * self.length) / np.maximum(self.chain_length, 1e-9)

    def chain_sum(self, of_link: NDArray[np.float64]) -> NDArray[np.float64]:
        """(c,) the sum over the links of every chain."""
        count = len(self.chain_ends)
        total: NDArray[np.float64] = np.bincount(self.chains.of_link, of_link, count).astype(np.float64)
        return total

    def components(self) -> NDArray[np.int64]:
        """(n,) the number of the connected part that every point is in."""
        return components(len(self.places), self.links)

    def without(self, chains: NDArray[np.bool_]) -> "Graph":
        """The graph without the chains that are marked in (c,) bool."""
        if not chains.any():
            return self
        return replace(self, links=self.links[~chains[self.chains.of_link]])

    def linked(self, links: Links) -> "Graph":
        """The graph with more links."""
        return replace(self, links=tidy(np.concatenate([self.links, links]), len(self.places)))

    def contracted(self, links: Links) -> "Graph":
        """The graph with the points that `links` join put together, in the middle of their junctions.

        Parts that a fixed point is in are left as they are.
        """
        group = components(len(self.places), links)
        held = np.zeros(len(self.places), bool)
        held[group[self.fixed]] = True
        weight = np.where(self.degree > 2, 1.0, 1e-6)
        total = np.bincount(group, weights=weight)
        middle = np.stack([np.bincount(group, weights=weight * axis) for axis in self.places.T], axis=1)
        first = np.full(len(total), len(self.places))
        np.minimum.at(first, group, np.arange(len(group)))
        moved = ~held[group] & (np.bincount(group)[group] > 1)
        target = np.where(moved, first[group], np.arange(len(group)))
        places = np.where(moved[:, None], middle[group] / total[group, None], self.places)
        return replace(self, places=places, links=tidy(target[self.links], len(self.places)))


def components(count: int, links: Links) -> NDArray[np.int64]:
    """(count,) the number of the connected part that every point is in."""
    ones = np.ones(len(links), bool)
    matrix = sparse.coo_array((ones, (links[:, 0], links[:, 1])), (count, count))
    number: NDArray[np.int64] = connected_components(matrix, directed=False)[1].astype(np.int64)
    return number


def tidy(links: Links, count: int) -> Links:
    """Links with the lower point first, each once; none from a point to itself."""
    ordered = np.sort(links, axis=1)
    codes = np.sort(ordered[:, 0] * count + ordered[:, 1])
    codes = codes[np.diff(codes, prepend=-1) > 0]
    pairs = np.stack(np.divmod(codes, max(count, 1)), axis=1)
    apart: Links = pairs[pairs[:, 0] != pairs[:, 1]]
    return apart


def pixel_links(lines: NDArray[np.bool_], rows: int, cols: int) -> Links:
    """Which pixels of middle lines are joined, as row * width + column.

    A diagonal is left out where a way round the corner exists: else each turn would be a triangle.
    Links between two pixels that are both beyond the first `rows` and `cols` belong to the next sheet.
    """
    width = lines.shape[1]
    # A row and a column more, so that no neighbour is that of another row.
    wide = width + 2
    padded = np.pad(lines, ((0, 1), (1, 1))).ravel()
    at = np.flatnonzero(padded)
    row, col = np.divmod(at, wide)
    right, under = padded[at + 1], padded[at + wide]
    fall = padded[at + wide + 1] & ~(right | under)
    rise = padded[at + wide - 1] & ~(padded[at - 1] | under)
    first = row * width + col - 1
    ways = (right & (row < rows), 1), (under & (col - 1 < cols), width), (fall, width + 1), (rise, width - 1)
    return np.concatenate([np.stack([first[go], first[go] + step], axis=1) for go, step in ways])


def smoothed(graph: Graph, times: int) -> Graph:
    """The graph with its points drawn towards the middle of their neighbours; ends and fixed points stay."""
    first, second = graph.links.T
    places = graph.places
    moving = (graph.degree >= 2) & ~graph.fixed
    degree = np.maximum(graph.degree, 1)[:, None]
    for _ in range(times):
        total = np.zeros_like(places)
        for axis in (0, 1):
            values = places[:, axis]
            total[:, axis] += np.bincount(first, weights=values[second], minlength=len(values))
            total[:, axis] += np.bincount(second, weights=values[first], minlength=len(values))
        places = np.where(moving[:, None], (places + total / degree) / 2, places)
    return replace(graph, places=places)
