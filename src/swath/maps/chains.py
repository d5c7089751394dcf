"""Links joined to chains: what runs from one junction or free end to the next."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Links = NDArray[np.int64]
"""(n, 2) pairs of joined points, by number."""


class Chains(NamedTuple):
    """Links joined wherever exactly two meet: every junction and free end is an end of chains.

    Attributes:
        points: (p,) the points of all chains, one chain after the other, each in its order; the
            first point of a ring is its last as well.
        owner: (p,) the number of the chain that a point stands in.
        of_link: (n,) the number of the chain that a link is part of.
    """

    points: NDArray[np.int64]
    owner: NDArray[np.int64]
    of_link: NDArray[np.int64]

    @property
    def ends(self) -> NDArray[np.int64]:
        """(c, 2) where every chain begins and ends in `points`."""
        first = np.flatnonzero(np.diff(self.owner, prepend=-1))
        last = np.append(first[1:], len(self.owner))[: len(first)] - 1
        return np.stack([first, last], axis=1)


def join_links(links: Links) -> Chains:
    """Join links to chains.

    All links are walked at once, in both directions: a step knows the step after it, and by
    doubling the stride, in a few passes, the last one of its chain and how far that is.
    """
    count = len(links)
    if not count:
        return Chains(*(np.zeros(0, np.int64) for _ in range(3)))
    steps = np.arange(2 * count)
    back = np.roll(steps, count)  # the same link the other way
    source, target = np.concatenate([links, links[:, ::-1]]).T
    through = np.bincount(source) == 2
    # Two steps leave a point inside a chain: the sum of both less the one is the other.
    leaving = np.bincount(source, weights=steps).astype(np.int64)

    def follow() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return _last_steps(np.where(through[target], leaving[target] - back, steps))

    last, left = follow()
    if (endless := through[target[last]]).any():
        through[_ring_starts(source, target, leaving, back, endless)] = False
        last, left = follow()
    begins = np.flatnonzero(~through[source])
    # Of the two directions of a chain, the one whose last step has the lower number.
    begins = begins[last[begins] < back[begins]]
    number = np.full(2 * count, -1)
    number[last[begins]] = np.arange(len(begins))
    chain = number[last]
    taken = np.flatnonzero(chain >= 0)
    owner, after = chain[taken], left[taken]
    of_link = np.empty(count, np.int64)
    of_link[taken % count] = owner
    # A chain has a point more than links: the target of its last step.
    length = np.bincount(owner) + 1
    end = np.cumsum(length) - 1
    points = np.empty(len(taken) + len(begins), np.int64)
    points[end[owner] - 1 - after] = source[taken]
    ends = after == 0
    points[end[owner[ends]]] = target[taken[ends]]
    return Chains(points, np.repeat(np.arange(len(begins)), length), of_link)


def _last_steps(following: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every step the last one of its chain, and how many steps that is away, both (n,).

    `following` is the step after each, itself for a last one. Steps round a ring have some step of
    the ring instead.
    """
    ahead = following
    left = (ahead != np.arange(len(ahead))).astype(np.int64)
    moving = len(ahead) + 1
    while (now := int(np.count_nonzero(following[ahead] != ahead))) and now < moving:
        # The number stays the same when only rings are left.
        moving = now
        left += left[ahead]
        ahead = ahead[ahead]
    return ahead, left


def _ring_starts(
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    leaving: NDArray[np.int64],
    back: NDArray[np.int64],
    endless: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """The lowest point of every ring, from the steps that are `endless`."""
    ahead = np.where(endless, leaving[target] - back, np.arange(len(source)))
    lowest, before = source, None
    while before is None or (lowest != before).any():
        before = lowest
        lowest = np.minimum(lowest, lowest[ahead])
        ahead = ahead[ahead]
    return lowest[endless]
