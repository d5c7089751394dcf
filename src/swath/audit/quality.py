"""How good labels are: completeness, emptiness, age, and what that means for a site.

Measures on arrays; `swath.audit.check` reads the files.
"""

import datetime as dt
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from swath.audit.shift import BLOCK_PX, RESAMPLES, SEARCH_PX, Shift
from swath.dataset.site import Site
from swath.legend import IGNORE
from swath.metrics.bootstrap import block_weights, interval, resample
from swath.metrics.histogram import block_sums

MISALIGNED_PX = 0.5
"""A significant shift from here on is worth a warning: a 30 m road then loses a sixth of itself."""

DISAGREE_PX = 0.7
"""Dates whose shifts differ by this are not registered to one another."""

EMPTY_SHARE = 0.005
"""Less foreground among the labelled pixels than this is an empty site."""

EMPTY_BLOCKS = 0.5
"""More labelled blocks without foreground than this make a site look half mapped."""

STALE_DAYS = 3 * 365
"""Labels and images further apart than this are warned of."""

RING_PX = 2
"""Ignored strips up to twice this wide (the ring around a road) do not end the labelled ground."""

AWAY_PX = 2
"""Pixels further than this from every line of the template are `away` from the labels."""

_ON_LINE, _OFF_LINE = 0.1, 0.02
"""Values of the template in the middle of a line, and where it has faded."""

_THRESHOLDS = np.linspace(0.30, 0.80, 24)
"""Quantiles of the score on labelled lines at which both grounds are compared: above the last are a
few bright spots, which say nothing of the rest."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """How much of what looks like a labelled line is labelled, 0..1: a lower bound.

    `low` and `high` are the ends of its 95 % interval, from redrawn blocks.
    """

    least: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SiteCheck:
    """What was measured at one site.

    Attributes:
        site: The site.
        by_date: The shift on each of its dates, None where none was found.
        shift: The mean of those that were found; None where none was.
        completeness: None where it cannot be told.
        class_share: Class name -> share of the labelled pixels.
        foreground_share: Of the labelled pixels.
        ignore_share: Of all pixels.
        empty_blocks: Share of the labelled blocks (64 px) that hold no foreground.
        correlation: (LAGS, LAGS) correlation of labels and image over lags, the mean of the dates;
            None where nothing could be compared, as of single points.
    """

    site: Site
    by_date: tuple[Shift | None, ...]
    shift: Shift | None
    completeness: Completeness | None
    class_share: dict[str, float]
    foreground_share: float
    ignore_share: float
    empty_blocks: float
    correlation: NDArray[np.float64] | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the site, a line each; none where it looks well."""
        parts = (_alignment_warnings, _content_warnings, _age_warnings)
        return tuple(warning for part in parts for warning in part(self))

    @property
    def compared(self) -> bool:
        """Whether labels cover enough ground to be laid over the images: single points do not."""
        return self.correlation is not None

    @property
    def misaligned(self) -> bool:
        """Whether a shift is both significant and large enough to matter."""
        return self.shift is not None and self.shift.significant and self.shift.length >= MISALIGNED_PX

    @property
    def correction_m(self) -> tuple[float, float] | None:
        """`shift_m` for the sites file: east and north, with what is applied already; or None."""
        if self.shift is None or not self.misaligned:
            return None
        width, height = self.site.grid.resolution
        east, north = self.site.shift_m
        east += self.shift.east * width
        north -= self.shift.south * height
        return round(east, 1), round(north, 1)

    @property
    def apart_px(self) -> float:
        """The largest distance between the shifts of two dates; 0 with fewer than two."""
        known = [shift for shift in self.by_date if shift is not None]
        gaps = [np.hypot(a.east - b.east, a.south - b.south) for a, b in combinations(known, 2)]
        return float(max(gaps, default=0.0))

    @property
    def image_corrections_m(self) -> dict[dt.date, tuple[float, float]]:
        """`shift_m` for each scene, east and north, that brings its image under the labels.

        What is applied already is in it. Only dates whose shift is significant.
        """
        width, height = self.site.grid.resolution
        result = {}
        for image, shift in zip(self.site.acquisitions, self.by_date, strict=True):
            if shift is not None and shift.significant:
                east, north = image.shift_m
                east -= shift.east * width
                north += shift.south * height
                result[image.date] = round(east, 1), round(north, 1)
        return result

    @property
    def years_apart(self) -> float | None:
        """Years from the nearest image to the labels: positive where the labels are newer."""
        day = self.site.labels_date
        if day is None:
            return None
        days = [(day - date).days for date in self.site.dates]
        return min(days, key=abs) / 365.25


def covered(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) the labelled ground, thin strips of *ignore* (the rings around roads) filled."""
    known = np.pad(labels != IGNORE, RING_PX, mode="edge")
    side = 2 * RING_PX + 1
    grown = ndimage.maximum_filter(known, side)
    return np.asarray(ndimage.minimum_filter(grown, side)[RING_PX:-RING_PX, RING_PX:-RING_PX])


def block_counts(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(blocks, 2) labelled and foreground pixels of each block of 64 px of labels (H, W)."""
    known = labels != IGNORE
    return np.stack([_by_block(known), _by_block(known & (labels > 0))], axis=1)


def empty_share(counts: NDArray[np.int64]) -> float:
    """Share 0..1 of the blocks of `block_counts`, at least half labelled, without foreground."""
    labelled = counts[:, 0] * 2 >= BLOCK_PX**2
    return float((counts[labelled, 1] == 0).mean()) if labelled.any() else 0.0


@dataclass(frozen=True, slots=True)
class LineGround:
    """A window's score, on labelled lines and away from them.

    Attributes:
        score: (h, w) high where the image looks like a labelled line.
        on: (h, w) bool: in the middle of a labelled line.
        away: (h, w) bool: labelled ground at some distance from every line.
    """

    score: NDArray[np.float32]
    on: NDArray[np.bool_]
    away: NDArray[np.bool_]

    @classmethod
    def of(
        cls, score: NDArray[np.float32], drawn: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> "LineGround":
        """Divide a window by the template (h, w) of its lines; `mask` (h, w): what counts."""
        away = ndimage.maximum_filter(drawn, 2 * AWAY_PX + 1, mode="nearest") < _OFF_LINE
        return cls(score, mask & (drawn >= _ON_LINE), mask & away)


def completeness(windows: list[LineGround], seed: int = 0) -> Completeness | None:
    """How much of what looks like a labelled line is labelled, at least.

    Away from the lines, some pixels score like lines. If a share p of the ground there were
    unlabelled lines that look as the labelled do, then at every threshold t at least p times the
    share of line pixels above t would be above t there. The largest p that this allows is the least
    ratio over the thresholds. Other bright strips (tracks, roofs, railways) make it larger than the
    truth, so the completeness on / (on + p away) is a lower bound, not a best guess; halving the
    labels halves it.

    Returns:
        None where the windows of the site have too little ground of either kind (100 px).
    """
    lines = [window.score[window.on] for window in windows]
    if min(sum(map(len, lines)), sum(int(w.away.sum()) for w in windows)) < 100:
        return None
    edges = np.quantile(np.concatenate(lines), _THRESHOLDS)
    counts = np.concatenate([_counts_above(window, edges) for window in windows])
    counts = counts[counts[:, :, -1].any(axis=1)]
    weights = block_weights(len(counts), RESAMPLES, seed)
    least = _least(counts.sum(axis=0, dtype=np.float64)[None])[0]
    ends = interval(_least(resample(weights, counts)))
    return Completeness(float(least), *(ends or (0.0, 1.0)))


def _counts_above(window: LineGround, edges: NDArray[np.floating]) -> NDArray[np.int64]:
    """(blocks, 2, thresholds + 1): pixels on and away from lines above each; the last: all."""
    kinds = []
    for kind in (window.on, window.away):
        above = [_by_block(kind & (window.score > edge)) for edge in edges]
        kinds.append(np.stack([*above, _by_block(kind)], axis=-1))
    return np.stack(kinds, axis=1)


def _least(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2, thresholds + 1) pixels -> (n,) completeness."""
    total = np.maximum(counts[..., -1:], 1)
    on, away = np.moveaxis(counts[..., :-1] / total, 1, 0)
    share = np.minimum((away / np.maximum(on, 1e-9)).min(axis=-1), 1.0)
    lines, ground = counts[:, 0, -1], counts[:, 1, -1]
    return np.asarray(lines / np.maximum(lines + share * ground, 1))


def _by_block(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(H, W) bool -> (blocks,) number of True, from the north-west."""
    return block_sums(mask, BLOCK_PX).ravel()


def _alignment_warnings(check: SiteCheck) -> list[str]:
    if check.foreground_share == 0 or not check.compared:
        return []
    if check.shift is None:
        return [
            f"misaligned? no shift within {SEARCH_PX} px fits: the image does not show the labels, "
            "there is too little ground, or they are further off"
        ]
    warnings = []
    if check.misaligned:
        warnings.append(
            f"misaligned: the labels must move {_way(check.shift.east, 'east', 'west')} and "
            f"{_way(check.shift.south, 'south', 'north')}"
        )
    if check.apart_px >= DISAGREE_PX:
        warnings.append(
            f"the dates lie up to {check.apart_px:.1f} px apart: no constant shift suits them "
            "all; move the images instead of the labels"
        )
    return warnings


def _content_warnings(check: SiteCheck) -> list[str]:
    if check.foreground_share < EMPTY_SHARE:
        return [f"empty: only {check.foreground_share:.2%} of the labelled pixels are foreground"]
    if check.empty_blocks > EMPTY_BLOCKS:
        return [
            f"half empty: {check.empty_blocks:.0%} of the labelled ground (blocks of "
            f"{BLOCK_PX} px) holds no foreground; check the coverage"
        ]
    return []


def _age_warnings(check: SiteCheck) -> list[str]:
    years = check.years_apart
    if years is None or abs(years) * 365.25 <= STALE_DAYS:
        return []
    order = "newer" if years > 0 else "older"
    return [
        f"stale: the labels ({check.site.labels_date}) are {abs(years):.1f} years {order} than "
        "the nearest image"
    ]


def _way(pixels: float, positive: str, negative: str) -> str:
    return f"{abs(pixels):.2f} px {positive if pixels >= 0 else negative}"
