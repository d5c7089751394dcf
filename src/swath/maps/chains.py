"""Links joined to chains: what runs from one junction or free end to the next."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components

Links = NDArray[np.int64]
"""(n, 2) pairs of joined points, by number."""


class Chains(NamedTuple):
    """Links joined wherever exactly two meet: every junction and free end is an end of chains.

    Attributes:
        points: (p,) the points of all chains, one chain after the other, each in its order; the
            first point of a ring is its last as well.
        owner: (p,) the number of the chain that a point stands in.
        of_link: (n,) the number of the chain that a link is part of.
        along: (n,) bool, whether the chain goes from the first point of a link to its second.
    """

    points: NDArray[np.int64]
    owner: NDArray[np.int64]
    of_link: NDArray[np.int64]
    along: NDArray[np.bool_]

    @property
    def ends(self) -> NDArray[np.int64]:
        """(c, 2) where every chain begins and ends in `points`."""
        first = np.flatnonzero(np.diff(self.owner, prepend=-1))
        last = np.append(first[1:], len(self.owner))[: len(first)] - 1
        return np.stack([first, last], axis=1)


def join_links(links: Links) -> Chains:
    """Join links to chains.

    A link is two steps, one each way. A step inside a chain knows the step after it; with the last step
    of every chain followed by the first of the next chain, one walk in compiled code passes them all.
    """
    count = len(links)
    if not count:
        none = np.zeros(0, np.int64)
        return Chains(none, none, none, none > 0)
    back = np.roll(np.arange(2 * count), count)  # the same link the other way
    source, target = np.concatenate([links, links[:, ::-1]]).T
    through = np.bincount(source) == 2
    # Two steps leave a point inside a chain: the sum of both less the one is the other.
    leaving = np.bincount(source, weights=np.arange(2 * count)).astype(np.int64)
    following = np.where(through[target], leaving[target] - back, back)
    beside = (following % count).reshape(2, count).T.ravel()  # both links beside each, or itself
    part = connected_components(_followed(beside, 2), directed=False)[1]
    ring = np.bincount(part[np.flatnonzero(~through[source]) % count], minlength=part.max() + 1) == 0
    if ring.any():  # one begins at its lowest point
        at = np.flatnonzero(ring[part])
        lowest = np.full(len(ring), len(through))
        np.minimum.at(lowest, part[at], links[at].min(axis=1))
        through[lowest[ring]] = False
    begins = np.flatnonzero(~through[source])
    first, other = begins[np.argsort(part[begins % count], kind="stable")].reshape(-1, 2).T
    # Of the two directions of a chain, the one whose last step has the lower number.
    first, other = np.where(back[first] > back[other], (first, other), (other, first))
    order = np.argsort(first)
    first, last = first[order], back[other[order]]
    following[last] = np.roll(first, -1)
    walk = breadth_first_order(_followed(following, 1), first[0], return_predecessors=False)
    begun = np.zeros(2 * count, bool)
    begun[first] = True
    owner = np.cumsum(begun[walk]) - 1
    of_link, along = np.empty(count, np.int64), np.empty(count, bool)
    of_link[walk % count], along[walk % count] = owner, walk < count
    # A chain has a point more than links: the target of its last step.
    length = np.bincount(owner) + 1
    points = np.empty(count + len(first), np.int64)
    points[np.arange(count) + owner] = source[walk]
    points[np.cumsum(length) - 1] = target[last]
    return Chains(points, np.repeat(np.arange(len(first)), length), of_link, along)


def _followed(after: NDArray[np.int64], each: int) -> sparse.csr_array:
    """The graph in which every number is followed by `each` numbers of `after`."""
    count = len(after) // each
    starts = np.arange(0, len(after) + 1, each, dtype=np.int32)
    return sparse.csr_array((np.ones(len(after)), after.astype(np.int32), starts), (count, count))
