"""From a mask to the lines along its middle, in pixels."""

from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from swath.grid import Window

SPUR_PX = 3.0
"""Dead ends shorter than this are bumps on the edge of a road, not streets."""

Lines = NDArray[np.object_]
"""shapely LineStrings."""

Links = NDArray[np.int64]
"""(n, 2) pairs of neighbouring skeleton pixels, as row * width + column."""


def trace_lines(mask: NDArray[np.bool_], kept: Window | None = None) -> Lines:
    """Trace the skeleton of a mask.

    Every junction and dead end is an end of lines; a closed loop is one ring. A spot whose skeleton
    is one pixel gives no line.

    Args:
        mask: (H, W) bool.
        kept: The part to be traced; what lies around it only shapes the skeleton. Lines end at the
            first pixel beyond its lower and right edge, where those of the next part begin, and
            links between such pixels are left to that part. None: all.

    Returns:
        (n,) LineStrings through pixel centres, as (column, row) from the origin of `kept`,
        integers; a vertex a pixel.

    Source: the skeleton is that of Zhang and Suen.
    """
    skeleton: NDArray[np.bool_] = skeletonize(mask)  # type: ignore[no-untyped-call]
    part = kept or Window(0, 0, *mask.shape)
    skeleton = skeleton[part.row : part.row_end + 1, part.col : part.col_end + 1]
    links = _links(skeleton, part)
    links = links[~_spurs(links, skeleton.shape[1])]
    chains = _join(links)
    rows, cols = np.divmod(chains.pixels, skeleton.shape[1])
    places = np.stack([cols, rows], axis=1).astype(np.float64)
    lines: Lines = shapely.linestrings(places, indices=chains.owner)
    return lines


def _links(skeleton: NDArray[np.bool_], part: Window) -> Links:
    """Which skeleton pixels are joined.

    A diagonal is left out where a way round the corner exists: else each turn would be a triangle.
    Links between two pixels beyond the part belong to the next one.
    """
    across = skeleton[:, :-1] & skeleton[:, 1:]
    down = skeleton[:-1] & skeleton[1:]
    across[part.height :] = False
    down[:, part.width :] = False
    left, right = skeleton[:-1, :-1], skeleton[:-1, 1:]
    below_left, below_right = skeleton[1:, :-1], skeleton[1:, 1:]
    fall = left & below_right & ~(right | below_left)
    rise = right & below_left & ~(left | below_right)
    width = skeleton.shape[1]
    links = []
    for pairs, first, second in (
        (across, 0, 1),
        (down, 0, width),
        (fall, 0, width + 1),
        (rise, 1, width),
    ):
        rows, cols = np.nonzero(pairs)
        at = rows * width + cols
        links.append(np.stack([at + first, at + second], axis=1))
    return np.concatenate(links)


def _spurs(links: Links, width: int) -> NDArray[np.bool_]:
    """(n,) bool: the links of short dead ends that hang on other lines."""
    if not len(links):
        return np.zeros(0, bool)
    chains = _join(links)
    apart = links[:, 1] - links[:, 0]
    length = np.where((apart == 1) | (apart == width), 1.0, np.sqrt(2))
    whole = np.bincount(chains.of_link, weights=length)
    degree = np.bincount(links.ravel())
    first = np.flatnonzero(np.diff(chains.owner, prepend=-1))
    last = np.append(first[1:], len(chains.owner)) - 1
    ends = np.sort(degree[chains.pixels[np.stack([first, last])]], axis=0)
    spur = (ends[0] == 1) & (ends[1] > 2) & (whole < SPUR_PX)
    hanging: NDArray[np.bool_] = spur[chains.of_link]
    return hanging


class _Chains(NamedTuple):
    """Links joined wherever exactly two meet.

    Attributes:
        pixels: (p,) the pixels of all chains, one chain after the other, each in its order; the
            first pixel of a ring is its last as well.
        owner: (p,) the number of the chain that a pixel stands in.
        of_link: (n,) the number of the chain that a link is part of.
    """

    pixels: NDArray[np.int64]
    owner: NDArray[np.int64]
    of_link: NDArray[np.int64]


def _join(links: Links) -> _Chains:
    """Join links to chains.

    All links are walked at once, in both directions: a step knows the step after it, and by
    doubling the stride, in a few passes, the last one of its chain and how far that is.
    """
    count = len(links)
    if not count:
        return _Chains(*(np.zeros(0, np.int64) for _ in range(3)))
    steps = np.arange(2 * count)
    back = np.roll(steps, count)  # the same link the other way
    source, target = np.concatenate([links, links[:, ::-1]]).T
    through = np.bincount(source) == 2
    # Two steps leave a pixel inside a chain: the sum of both less the one is the other.
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
    taken = taken[np.lexsort((-left[taken], chain[taken]))]
    owner = chain[taken]
    of_link = np.empty(count, np.int64)
    of_link[taken % count] = owner
    # A chain has a pixel more than links: the target of its last step.
    pixels = np.empty(len(taken) + len(begins), np.int64)
    place = np.arange(len(taken)) + owner
    pixels[place] = source[taken]
    ends = left[taken] == 0
    pixels[place[ends] + 1] = target[taken[ends]]
    length = np.bincount(owner) + 1
    return _Chains(pixels, np.repeat(np.arange(len(begins)), length), of_link)


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
    """The lowest pixel of every ring, from the steps that are `endless`."""
    ahead = np.where(endless, leaving[target] - back, np.arange(len(source)))
    lowest, before = source, None
    while before is None or (lowest != before).any():
        before = lowest
        lowest = np.minimum(lowest, lowest[ahead])
        ahead = ahead[ahead]
    return lowest[endless]
