"""The table of a map's lines: sheet by sheet first, then put together over their seams."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from swath.grid import Grid
from swath.groundsize import pixel_m
from swath.legend import LegendClass
from swath.maps.graph import components
from swath.maps.lines import SEED, SheetScores, TracedSheet, class_odds_score, trace_sheet
from swath.maps.mending import is_crumb, sample
from swath.maps.ridges import PixelSize
from swath.maps.sitemaps import SiteMaps, read_pmap
from swath.progress import track
from swath.tiles import Tile, plan_tiles

SHEET_PX = 2048
"""Lines are traced in sheets of at most this side: so many pixels are in memory at a time."""

SHEET_MARGIN_PX = 64
"""What is seen around a sheet: ridges do not know of the sheets."""

TRACERS = 2
"""Sheets that are traced at a time; more would take more memory than the networks do."""

LOOK_PX = 12
"""How far around a line its nearest edge is looked for before the distance of all pixels is computed."""

Columns = dict[str, NDArray[Any]]
"""Features: a value each, by column."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The lines of a sheet, and their ends and parts by numbers of its own.

    Attributes:
        lines: The columns of `write_vectors`, with `from_node`, `to_node`, `component`.
        peak: (n,) the highest score on every line.
        nodes: (k, 2) x and y of the ends of lines.
        seam: (k,) the pixel of the whole map that an end shared with another sheet lies in; else -1.
    """

    lines: Columns
    peak: NDArray[np.float64]
    nodes: NDArray[np.float64]
    seam: NDArray[np.int64]


def trace_class(maps: SiteMaps, grid: Grid, c: LegendClass, threshold: float) -> Iterator[Sheet]:
    """Trace the lines of a class, sheet by sheet, in the order of the sheets.

    Raises:
        InputError: A PMap cannot be read.
    """
    sheets = plan_tiles(grid.shape, SHEET_PX, SHEET_MARGIN_PX, 1)
    # NumPy, SciPy and GEOS let other threads run. No more sheets are begun than can be taken.
    with ThreadPoolExecutor(TRACERS) as pool:
        coming: deque[Future[Sheet]] = deque()
        for sheet in track(sheets, f"tracing {c.name}"):
            coming.append(pool.submit(_trace, maps, grid, sheet, c, threshold))
            if len(coming) >= TRACERS:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _trace(maps: SiteMaps, grid: Grid, sheet: Tile, c: LegendClass, threshold: float) -> Sheet:
    pmap, known = read_pmap(maps.fused_path, sheet.read)
    scores = SheetScores(class_odds_score(pmap, c.id), known, threshold, pixel_m(grid))
    traced = trace_sheet(scores, sheet, grid.window)
    graph = traced.graph
    columns = _measures(traced, sheet, scores, pmap[c.id])
    columns |= _dates(maps, traced, sheet, c, scores)
    peak = np.zeros(len(traced.lines))
    np.maximum.at(peak, graph.chains.owner, graph.score[graph.chains.points])
    ends, number = np.unique(graph.chain_ends, return_inverse=True)
    number = number.reshape(-1, 2)
    count = len(traced.lines)
    columns = {
        "class": np.full(count, c.name, dtype=object),
        **columns,
        "component": components(len(ends), number)[number[:, 0]] if count else np.zeros(0, np.int64),
        "from_node": number[:, 0],
        "to_node": number[:, 1],
        "geometry": shapely.transform(traced.lines, lambda pixels: _places(pixels, grid)),
    }
    pixels = np.rint(traced.pixels[ends]).astype(np.int64)
    seam = np.where(graph.fixed[ends], pixels[:, 1] * (grid.width + 1) + pixels[:, 0], -1)
    return Sheet(columns, peak, _places(traced.pixels[ends], grid), seam)


def _measures(
    traced: TracedSheet, sheet: Tile, scores: SheetScores, probability: NDArray[np.float32]
) -> Columns:
    """What the fused map says along every line."""
    graph = traced.graph
    own = traced.pixels - [sheet.read.col, sheet.read.row]
    here = own * scores.pixel_m[::-1]
    along = sample(probability, here, scores.pixel_m)
    least = np.ones(len(traced.lines))
    np.minimum.at(least, graph.chains.owner, along[graph.chains.points])
    inside = scores.score > scores.threshold
    between = np.zeros(inside.shape, bool)
    first = np.floor(own).astype(np.int64)
    for across, down in ((0, 0), (0, 1), (1, 0), (1, 1)):
        columns, rows = np.minimum(first + np.array([across, down]), np.subtract(inside.shape[::-1], 1)).T
        between[rows, columns] = True
    half = half_width(inside, between, scores.pixel_m)
    wide = 2 * sample(half, here, scores.pixel_m) - min(scores.pixel_m)
    return {
        "p_mean": _mean_along(traced, along).astype(np.float32),
        "p_min": least.astype(np.float32),
        "length_m": graph.chain_length,
        "width_m": np.maximum(_mean_along(traced, wide), min(scores.pixel_m)).astype(np.float32),
    }


def half_width(inside: NDArray[np.bool_], at: NDArray[np.bool_], pixel_m: PixelSize) -> NDArray[np.float32]:
    """(h, w) metres from the pixels `at` that are inside to the nearest that is not; 0 elsewhere.

    They are few and roads narrow: to look around them is quicker than the distance of every pixel.
    """
    outside = np.pad(~inside, LOOK_PX)
    half = np.zeros(outside.size, np.float32)
    here = np.flatnonzero(np.pad(at & inside, LOOK_PX))
    down, right = np.mgrid[-LOOK_PX : LOOK_PX + 1, -LOOK_PX : LOOK_PX + 1].reshape(2, -1)
    far, ring = np.unique(np.hypot(down * pixel_m[0], right * pixel_m[1]), return_inverse=True)
    for number in range(1, np.searchsorted(far, LOOK_PX * min(pixel_m))):
        steps = (down * outside.shape[1] + right)[ring == number]
        near = outside.ravel()[here[:, None] + steps].any(axis=1)
        half[here[near]] = far[number]
        here = here[~near]
    if len(here):
        half[here] = ndimage.distance_transform_edt(~outside, sampling=pixel_m).ravel()[here]
    return half.reshape(outside.shape)[LOOK_PX:-LOOK_PX, LOOK_PX:-LOOK_PX]


def _dates(maps: SiteMaps, traced: TracedSheet, sheet: Tile, c: LegendClass, scores: SheetScores) -> Columns:
    """How many dates know a line, and how many of them see it."""
    here = (traced.pixels - [sheet.read.col, sheet.read.row]) * scores.pixel_m[::-1]
    seen, known = (np.zeros(len(traced.lines), np.int32) for _ in range(2))
    for date in maps.dates if len(traced.lines) else ():
        pmap, valid = read_pmap(maps.pmap_path(date), sheet.read)
        score = _mean_along(traced, sample(class_odds_score(pmap, c.id), here, scores.pixel_m))
        has = _mean_along(traced, sample(valid.astype(np.float32), here, scores.pixel_m)) > 0.5
        known += has
        seen += has & (score > scores.threshold)
    return {"dates_seen": seen, "dates_known": known}


def _mean_along(traced: TracedSheet, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(c,) the mean along every line of values (n,) at the points."""
    graph = traced.graph
    middle = values[graph.links].mean(axis=1)
    return graph.chain_sum(middle * graph.length) / np.maximum(graph.chain_length, 1e-9)


def _places(pixels: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """(n, 2) columns and rows from the middle of the first pixel -> (n, 2) x and y."""
    left, _, _, top = grid.bounds
    x_size, y_size = grid.resolution
    places: NDArray[np.float64] = (pixels + 0.5) * [x_size, -y_size] + [left, top]
    return places


@dataclass(slots=True)
class Seams:
    """Ends and parts of the lines of all sheets, by numbers of the whole map.

    Lines are numbered on as the sheets come; `join` then says what is one over the seams.
    """

    _nodes: list[NDArray[np.float64]] = field(default_factory=list)
    _seam: list[NDArray[np.int64]] = field(default_factory=list)
    _part: list[NDArray[np.int64]] = field(default_factory=list)
    _lines: list[Mapping[str, NDArray[Any]]] = field(default_factory=list)
    _count: int = 0
    _parts: int = 0

    def add(self, sheet: Sheet) -> Columns:
        """Take a sheet in; its lines with numbers that no other sheet has."""
        lines = dict(sheet.lines)
        ends = np.stack([lines["from_node"], lines["to_node"]], axis=1)
        part = np.zeros(len(sheet.nodes), np.int64)
        part[ends] = lines["component"][:, None]
        lines["from_node"] = lines["from_node"] + self._count
        lines["to_node"] = lines["to_node"] + self._count
        lines["component"] = lines["component"] + self._parts
        self._nodes.append(sheet.nodes)
        self._seam.append(sheet.seam)
        self._part.append(part + self._parts)
        kept = ("from_node", "to_node", "component", "length_m")
        more = {"peak": sheet.peak, "box": shapely.bounds(lines["geometry"])}
        self._lines.append({name: lines[name] for name in kept} | more)
        self._count += len(sheet.nodes)
        self._parts += int(part.max()) + 1 if len(part) else 0
        return lines

    def join(self, threshold: float) -> "Joined":
        """What is one over the seams, without what is too short or too weak to be a road."""
        nodes = np.concatenate([np.zeros((0, 2)), *self._nodes])
        seam = np.concatenate([np.zeros(0, np.int64), *self._seam])
        part = np.concatenate([np.zeros(0, np.int64), *self._part])
        lines = {
            name: np.concatenate([lines[name] for lines in self._lines] or [np.zeros(0)])
            for name in ("from_node", "to_node", "component", "length_m", "peak")
        }
        at = np.flatnonzero(seam >= 0)
        at = at[np.argsort(seam[at], kind="stable")]
        same = np.diff(seam[at], prepend=-1) == 0
        first = at[np.maximum.accumulate(np.where(same, 0, np.arange(len(at))))] if len(at) else at
        node = np.arange(len(nodes))
        node[at] = first
        whole = components(self._parts, np.stack([part[at], part[first]], axis=1))
        group = whole[lines["component"].astype(np.int64)]
        length = np.bincount(group, lines["length_m"], self._parts).astype(np.float64)
        peak = np.zeros(self._parts)
        np.maximum.at(peak, group, lines["peak"])
        odds = SEED * threshold / max(1 - threshold, 1e-6)
        kept = ~is_crumb(length, peak, odds / (1 + odds))[group]
        ends = [node[lines[name].astype(np.int64)[kept]] for name in ("from_node", "to_node")]
        degree = np.bincount(np.concatenate(ends), minlength=len(nodes))
        used = degree > 0
        number = np.cumsum(used) - 1
        _, component = np.unique(group[kept], return_inverse=True)
        of_node = np.zeros(len(nodes), np.int64)
        of_node[ends[0]] = component
        of_node[ends[1]] = component
        boxes = np.concatenate([np.zeros((0, 4)), *(lines["box"] for lines in self._lines)])[kept]
        numbers = number[ends[0]], number[ends[1]]
        return Joined(kept, *numbers, component, nodes[used], degree[used], of_node[used], boxes)


@dataclass(frozen=True, slots=True)
class Joined:
    """The lines of the whole map, as they stand in the order of the sheets.

    Attributes:
        kept: (n,) bool, which of all lines are kept; the next three are of those.
        from_node: The node at which each begins.
        to_node: That at which it ends.
        component: The part of the network that it belongs to.
        nodes: (k, 2) x and y.
        degree: (k,) lines that end there.
        of_node: (k,) the part of the network of every node.
        boxes: (l, 4) least x and y, greatest x and y of every line that is kept.
    """

    kept: NDArray[np.bool_]
    from_node: NDArray[np.int64]
    to_node: NDArray[np.int64]
    component: NDArray[np.int64]
    nodes: NDArray[np.float64]
    degree: NDArray[np.int64]
    of_node: NDArray[np.int64]
    boxes: NDArray[np.float64]
