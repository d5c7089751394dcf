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
        ends: (c, 2) the first and the last point of every chain; of a ring, which begins at its lowest
            point, they are the same.
        beside: (c, 2) the points of the chain next to them.
        of_link: (n,) the number of the chain that a link is part of.
        along: (n,) bool, whether the chain goes from the first point of a link to its second.
    """

    ends: Links
    beside: Links
    of_link: NDArray[np.int64]
    along: NDArray[np.bool_]


class Paths(NamedTuple):
    """The points of chains.

    Attributes:
        points: (p,) those of all chains, one chain after the other, each in its order; the first
            point of a ring is its last as well.
        owner: (p,) the number of the chain that a point stands in.
    """

    points: NDArray[np.int64]
    owner: NDArray[np.int64]

    @property
    def ends(self) -> NDArray[np.int64]:
        """(c, 2) where every chain begins and ends in `points`."""
        first = np.flatnonzero(np.diff(self.owner, prepend=-1))
        last = np.append(first[1:], len(self.owner))[: len(first)] - 1
        return np.stack([first, last], axis=1)


def join_links(links: Links) -> tuple[Chains, Paths]:
    """Join links to chains."""
    count = len(links)
    if not count:
        none = np.zeros(0, np.int64)
        return Chains(none.reshape(0, 2), none.reshape(0, 2), none, none.astype(bool)), Paths(none, none)
    steps, owner, _ = _walk(links, np.arange(2 * count), count, rings=True)
    source = links.T.ravel()
    # A chain has a point more than links: the target of its last step.
    length = np.bincount(owner) + 1
    last = np.cumsum(length) - 1
    points = np.empty(count + len(length), np.int64)
    points[np.arange(count) + owner] = source[steps]
    points[last] = source[(steps[last - np.arange(1, len(length) + 1)] + count) % (2 * count)]
    paths = Paths(points, np.repeat(np.arange(len(length)), length))
    of_link, along = np.empty(count, np.int64), np.empty(count, bool)
    of_link[steps % count] = owner
    along[steps % count] = steps < count
    first, last = paths.ends.T
    ends, beside = (
        np.stack([points[a], points[b]], axis=1) for a, b in ((first, last), (first + 1, last - 1))
    )
    return Chains(ends, beside, of_link, along), paths


def join_rest(chains: Chains, kept: NDArray[np.bool_], links: Links) -> Chains:
    """What `join_links` gives, from the chains of more links, of which those that are `kept` are left.

    Args:
        chains: Of all links.
        kept: (c,) bool.
        links: (n, 2) those of the chains that are kept, in their order.
    """
    if not len(links):
        return join_links(links)[0]
    link_kept = kept[chains.of_link]
    of_link = (np.cumsum(kept) - 1)[chains.of_link[link_kept]]
    along = chains.along[link_kept]
    ends, beside, count = chains.ends[kept], chains.beside[kept], int(kept.sum())
    height = int(links.max()) + 1
    steps, owner, ring = _walk(ends, step_ranks(ends, beside, height).T.ravel(), height * height, rings=False)
    starts, last = np.flatnonzero(np.diff(owner, prepend=-1)), np.flatnonzero(np.diff(owner, append=-1))
    number, turned = np.empty(count, np.int64), np.empty(count, bool)
    number[steps % count] = owner
    turned[steps % count] = steps >= count
    back = (steps[last] + count) % (2 * count)
    new_ends, new_beside = (
        np.stack([of_step[steps[starts]], of_step[back]], axis=1)
        for of_step in (ends.T.ravel(), beside.T.ravel())
    )
    in_ring = ring[of_link]
    of_link, along = number[of_link], along ^ turned[of_link]
    if in_ring.any():  # they begin elsewhere now
        again, _ = join_links(links[in_ring])
        of_link[in_ring], along[in_ring] = again.of_link + len(new_ends), again.along
        new_ends = np.concatenate([new_ends, again.ends])
        new_beside = np.concatenate([new_beside, again.beside])
    order = np.argsort(step_ranks(new_ends[:, 0], new_beside[:, 0], height))
    renumbered = np.empty_like(order)
    renumbered[order] = np.arange(len(order))
    return Chains(new_ends[order], new_beside[order], renumbered[of_link], along)


def step_ranks(source: NDArray[np.int64], target: NDArray[np.int64], height: int) -> NDArray[np.int64]:
    """Numbers in whose order steps between points below `height` stand among the steps of sorted links."""
    low, high = np.minimum(source, target), np.maximum(source, target)
    ranks: NDArray[np.int64] = low * height + high + (source > target) * height * height
    return ranks


def _walk(
    links: Links, rank: NDArray[np.int64], half: int, rings: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Walk all chains of links.

    A link is two steps, one each way: with n links, step k < n goes from the first point of link k to the
    second, step n + k back. A step inside a chain knows the step after it; with the last step of every
    chain followed by the first of the next chain, one walk in compiled code passes them all.

    Args:
        links: (n, 2).
        rank: (2 n,) decides in which order chains come, and which of its two directions each has.
        half: What the rank of a link's step back is above that of its step from the lower point.
        rings: Whether rings are walked, too, each from its lowest point.

    Returns:
        The steps that are walked; the number of the chain of each; (n,) bool, the links in rings.
    """
    count = len(links)
    back = np.roll(np.arange(2 * count), count)  # the same link the other way
    source, target = np.concatenate([links, links[:, ::-1]]).T
    through = np.bincount(source) == 2
    # Two steps leave a point inside a chain: the sum of both less the one is the other.
    leaving = np.bincount(source, weights=np.arange(2 * count)).astype(np.int64)
    following = np.where(through[target], leaving[target] - back, back)
    beside = (following % count).reshape(2, count).T.ravel()  # both links beside each, or itself
    part = connected_components(_followed(beside, 2), directed=False)[1]
    ring = np.bincount(part[np.flatnonzero(~through[source]) % count], minlength=part.max() + 1) == 0
    if rings and ring.any():
        at = np.flatnonzero(ring[part])
        lowest = np.full(len(ring), len(through))
        np.minimum.at(lowest, part[at], links[at].min(axis=1))
        through[lowest[ring]] = False
    begins = np.flatnonzero(~through[source])
    first, other = begins[np.argsort(part[begins % count], kind="stable")].reshape(-1, 2).T
    # Of the two directions of a chain, the one whose last step has the lower rank.
    ends = (rank[first] + half) % (2 * half), (rank[other] + half) % (2 * half)
    first, other = np.where(ends[0] > ends[1], (first, other), (other, first))
    order = np.argsort(rank[first])
    first, last = first[order], back[other[order]]
    if not len(first):
        return first, first, ring[part]
    following[last] = np.roll(first, -1)
    steps = breadth_first_order(_followed(following, 1), first[0], return_predecessors=False)
    begun = np.zeros(2 * count, bool)
    begun[first] = True
    return steps, np.cumsum(begun[steps]) - 1, ring[part]


def _followed(after: NDArray[np.int64], each: int) -> sparse.csr_array:
    """The graph in which every number is followed by `each` numbers of `after`."""
    count = len(after) // each
    starts = np.arange(0, len(after) + 1, each, dtype=np.int32)
    return sparse.csr_array((np.ones(len(after)), after.astype(np.int32), starts), (count, count))
