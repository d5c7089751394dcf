"""The lines of a map against the lines of the truth, in metres along them."""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field

from swath.evaluation.measurement import POOLED
from swath.evaluation.row import Score
from swath.evaluation.truth import Truth
from swath.grid import Grid
from swath.groundsize import metres_per_unit, pixel_m
from swath.legend import IGNORE, LegendClass
from swath.maps.sitemaps import PMAP_NODATA, SiteMaps
from swath.metrics.linematch import TOLERANCES_M, Counted, Lines, cut_lines, line_counts, line_scores, moved
from swath.metrics.linenetwork import apls, count_faults
from swath.validation import Written


class LineModel(StrEnum):
    """Whose lines are scored."""

    MAP = "lines"
    """Those of roads.parquet."""

    CHANCE = "chance"
    """The same, moved: what their density alone scores."""


class LineRow(Written):
    """The lines of a site, or of all sites of a split, against the truth.

    Attributes:
        model: Whose lines.
        split: Of the ground.
        site: Its name; `all` for all sites of the split.
        class_name: The class; `class` in JSON.
        true_km: Length of the true lines where they are scored.
        mapped_km: Length of the mapped lines there.
        completeness: Metres of tolerance -> share of the true length that is mapped.
        correctness: The same of the mapped length that is true.
        f1: Their harmonic mean.
        quality: What both agree on, of all that either has.
        apls: Average path length similarity, 0..1; of several sites the mean by true length.
        loops: Faces with an outline under 100 m, all over the map, as the next three.
        dangles: Lines under 30 m that end freely.
        faces: Faces under 2,500 m2.
        lines: Lines between junctions and free ends.
    """

    model: LineModel
    split: str
    site: str
    class_name: str = Field(alias="class")
    true_km: float
    mapped_km: float
    completeness: dict[int, Score]
    correctness: dict[int, Score]
    f1: dict[int, Score]
    quality: dict[int, Score]
    apls: Score
    loops: int
    dangles: int
    faces: int
    lines: int


_Counts = tuple[NDArray[np.float64], float, NDArray[np.int64]]
"""Counts of `line_counts`; APLS; loops, dangles, faces and lines."""


def line_rows(pairs: Sequence[tuple[SiteMaps, Truth]], target: LegendClass) -> list[LineRow]:
    """Score the lines of a class of all mapped sites; none of a class of areas.

    Left out are sites whose labels are pixels only, and splits in which neither side has a line.

    Raises:
        InputError: The vectors of a map or of the truth cannot be read.
    """
    if target.geometry != "line":
        return []
    counted: dict[tuple[str, LineModel], dict[str, _Counts]] = {}
    for maps, truth in pairs:
        for (split, model), counts in _count_site(maps, truth, target):
            counted.setdefault((split, model), {})[truth.site] = counts
    return [
        row
        for (split, model), sites in counted.items()
        for site, members in {
            **{site: [one] for site, one in sites.items()},
            POOLED: list(sites.values()),
        }.items()
        if (row := _row((model, split, site, target.name), members))
    ]


def _row(of: tuple[LineModel, str, str, str], members: Sequence[_Counts]) -> LineRow:
    model, split, site, class_name = of
    counts = np.sum([counts for counts, _, _ in members], axis=0)
    scores = {
        name: dict(zip(map(int, TOLERANCES_M), map(float, values), strict=True))
        for name, values in line_scores(counts).items()
    }
    weight = np.array([counts[0, 2] for counts, _, _ in members])
    similar = np.array([value for _, value, _ in members])
    known = np.isfinite(similar) & (weight > 0)
    loops, dangles, faces, lines = np.sum([faults for _, _, faults in members], axis=0).tolist()
    return LineRow(
        model=model,
        split=split,
        site=site,
        class_name=class_name,
        true_km=float(counts[0, 2] / 1e3),
        mapped_km=float(counts[0, 0] / 1e3),
        apls=float(np.average(similar[known], weights=weight[known])) if known.any() else None,
        loops=loops,
        dangles=dangles,
        faces=faces,
        lines=lines,
        **scores,
    )


def _count_site(
    maps: SiteMaps, truth: Truth, target: LegendClass
) -> Iterator[tuple[tuple[str, LineModel], _Counts]]:
    features = truth.features(target)
    if features is None or not maps.parquet_path.is_file():
        return
    true = in_metres(features, truth.grid)
    roads = maps.roads()
    mapped = in_metres(roads.geometry[roads["class"] == target.name], truth.grid)
    labelled = (truth.read_labels() != IGNORE) & (maps.classes() != PMAP_NODATA)
    for split in truth.splits:
        scored = _inside(labelled & truth.inside(split), truth.grid)
        here = cut_lines(true, scored)
        for model, lines in ((LineModel.MAP, mapped), (LineModel.CHANCE, moved(mapped))):
            counts = line_counts(lines, true, scored)
            if counts[0, [0, 2]].any():
                faults = count_faults(mapped)
                similar = apls(here, cut_lines(lines, scored))
                numbers = np.array([faults.loops, faults.dangles, faults.faces, faults.lines])
                yield (split, model), (counts, similar, numbers)


def in_metres(features: gpd.GeoSeries, grid: Grid) -> Lines:
    """(n,) the lines of features in the CRS of a grid, each in one piece, in metres east and north."""
    parts = shapely.get_parts(shapely.force_2d(features.to_numpy()))
    lines = shapely.get_parts(shapely.line_merge(parts[shapely.get_dimensions(parts) == 1]))
    scale = metres_per_unit(grid)
    placed: Lines = shapely.transform(lines, lambda places: places * scale)
    return placed


def _inside(mask: NDArray[np.bool_], grid: Grid) -> Counted:
    """Whether points, as of `in_metres`, lie where (H, W) `mask` is True."""
    left, _, _, top = grid.bounds
    height, width = pixel_m(grid)
    x_size, y_size = grid.resolution

    def counted(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        cols = np.floor(points[:, 0] / width - left / x_size).astype(np.int64)
        rows = np.floor(top / y_size - points[:, 1] / height).astype(np.int64)
        within = (rows >= 0) & (rows < grid.height) & (cols >= 0) & (cols < grid.width)
        result = np.zeros(len(points), bool)
        result[within] = mask[rows[within], cols[within]]
        return result

    return counted
