"""From a probability map to the lines of its roads: traced and mended sheet by sheet."""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from swath.grid import Window
from swath.maps.chains import Chains
from swath.maps.graph import Graph, pixel_links, smoothed, tidy
from swath.maps.mending import mend
from swath.maps.ridges import LIGHT_PX, PixelSize, Scores, ridge_lines, smooth_scores
from swath.tiles import Tile

GAP, GROWN, SEED = 0.5, 2.0, 4.0
"""Lines go on while the odds of the score are so many times those of the threshold; somewhere on what
hangs together they must be as much as `SEED` times those, and where a gap is closed `GAP` times."""

FINE_M, FINE_GAP, FINE_GROWN = 7.5, 0.3, 0.6
"""On pixels no larger than this, lines are narrow: the threshold that suits their area lies above what
their middle has where the ground is hard to read. Chosen on Norcia, Peel and Rennes."""

EDGE_M = 20.0
"""No line is traced so near the edge of the data."""

SMOOTHINGS = 1
SIMPLIFY_PX = 0.3
"""How far a line may lie from the points that it was traced by."""

Lines = NDArray[np.object_]
"""shapely LineStrings."""


@dataclass(frozen=True, slots=True)
class SheetScores:
    """What is known of a sheet of the map: all (h, w), of the sheet and its margin.

    Attributes:
        score: Of the class against the likeliest other, 0..1.
        known: True = there is data.
        threshold: Of the score, above which a pixel is of the class.
        pixel_m: Of a pixel.
    """

    score: Scores
    known: NDArray[np.bool_]
    threshold: float
    pixel_m: PixelSize

    @property
    def fine(self) -> bool:
        """Whether lines are narrow here; see `FINE_M`."""
        return max(self.pixel_m) <= FINE_M

    def odds_above(self, times: float) -> float:
        """The score whose odds are so many times those of the threshold."""
        odds = times * self.threshold / max(1 - self.threshold, 1e-6)
        return odds / (1 + odds)


@dataclass(frozen=True, slots=True)
class TracedSheet:
    """The lines of a sheet, and the graph that they were drawn from.

    Attributes:
        lines: (c,) LineStrings in columns and rows of the whole map's pixels, from the middle of its first.
        graph: Its chains are the lines; `score` at its points is that of the map, slightly smoothed.
        pixels: (n, 2) column and row of every point in the whole map, fractions of pixels too.
    """

    lines: Lines
    graph: Graph
    pixels: NDArray[np.float64]


def class_odds_score(pmap: NDArray[np.float32], class_id: int) -> Scores:
    """The score of a class against the likeliest other one, (h, w) 0..1: above 0.5 it is the likelier.

    Args:
        pmap: (lc, h, w) probabilities, 0 where unknown.
        class_id: The class.
    """
    others = np.delete(pmap, class_id, axis=0).max(axis=0)
    total = pmap[class_id] + others
    score: Scores = np.divide(pmap[class_id], total, out=np.zeros_like(total), where=total > 0)
    return score


def trace_sheet(scores: SheetScores, sheet: Tile, whole: Window) -> TracedSheet:
    """Trace the lines of a sheet.

    Lines end at the first pixel beyond its lower and right edge, where those of the next sheet begin:
    nothing there is moved or dropped, so that they meet.

    Args:
        scores: Of what `sheet` reads.
        sheet: A part of the map.
        whole: The map.
    """
    size = (LIGHT_PX, LIGHT_PX)
    light = smooth_scores(scores.score, scores.known, size)
    allowed = _off_the_edge(scores.known, sheet.read, whole, scores.pixel_m)
    grown, gap = (FINE_GROWN, FINE_GAP) if scores.fine else (GROWN, GAP)
    allowed &= light > scores.odds_above(grown)
    traced = ridge_lines(scores.score, scores.known, allowed, scores.pixel_m)
    part = sheet.kept
    seen = (slice(part.row, part.row_end + 1), slice(part.col, part.col_end + 1))
    graph = _graph(traced[seen], light[seen], part, scores.pixel_m)
    graph = mend(graph, light[seen], scores.pixel_m, scores.odds_above(gap), scores.odds_above(SEED))
    graph = smoothed(graph, SMOOTHINGS)
    pixels = graph.places / scores.pixel_m[::-1] + [sheet.core.col, sheet.core.row]
    return TracedSheet(simplified(pixels, graph.chains), graph, pixels)


def simplified(pixels: NDArray[np.float64], chains: Chains) -> Lines:
    """Chains as lines with fewer points that do not cross themselves: what goes on towards its end cannot."""
    places, owner = pixels[chains.points], chains.owner
    lines: Lines = shapely.linestrings(places, indices=owner)
    towards = np.subtract(*places[chains.ends[:, ::-1].T])
    turned = ((places[1:] - places[:-1]) * towards[owner[1:]]).sum(axis=1) <= 0
    winding = np.zeros(len(lines), bool)
    winding[owner[1:][turned & (owner[1:] == owner[:-1])]] = True
    lines[winding] = shapely.simplify(lines[winding], SIMPLIFY_PX)
    lines[~winding] = shapely.simplify(lines[~winding], SIMPLIFY_PX, preserve_topology=False)
    return lines


def _off_the_edge(
    known: NDArray[np.bool_], read: Window, whole: Window, pixel_m: PixelSize
) -> NDArray[np.bool_]:
    """(h, w) bool: known, and more than `EDGE_M` from what is not, or from the end of the map."""
    sides = (
        (read.row == whole.row, read.row_end == whole.row_end),
        (read.col == whole.col, read.col_end == whole.col_end),
    )
    if known.all():
        far = known.copy()
        for side in range(2):
            near = math.floor(EDGE_M / pixel_m[side])
            first, last = (near if at_end else 0 for at_end in sides[side])
            along = np.moveaxis(far, side, 0)
            along[:first] = along[len(along) - last :] = False
        return far
    padded = np.pad(known, [tuple(map(int, ends)) for ends in sides])
    inside = ndimage.distance_transform_edt(padded, sampling=pixel_m) > EDGE_M
    top, left = int(sides[0][0]), int(sides[1][0])
    result: NDArray[np.bool_] = inside[top : top + known.shape[0], left : left + known.shape[1]]
    return result


def _graph(traced: NDArray[np.bool_], light: Scores, part: Window, pixel_m: PixelSize) -> Graph:
    """The graph of a sheet's middle lines, with one row and one column of the next sheets."""
    links = pixel_links(traced, part.height, part.width)
    pixels, number = np.unique(links, return_inverse=True)
    rows, cols = np.divmod(pixels, traced.shape[1])
    # The first row and column are traced by the sheet before as well, if there is one.
    fixed = (rows == part.height) | (cols == part.width)
    fixed |= ((rows == 0) & (part.row > 0)) | ((cols == 0) & (part.col > 0))
    places = np.stack([cols * pixel_m[1], rows * pixel_m[0]], axis=1)
    return Graph(
        places, tidy(number.reshape(-1, 2), len(pixels)), fixed, light[rows, cols].astype(np.float64)
    )
