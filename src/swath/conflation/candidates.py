"""How much a candidate can be trusted, and what it may be instead of a road."""

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from swath.legend import Legend
from swath.metrics.linematch import Lines, distances_m, sample_lines

BESIDE_M = 25.0
"""A candidate lies on something where so near to it."""

MOSTLY = 0.5
"""What share of a candidate must lie on something to be taken for it."""

CONSTANT, WEIGHTS = -2.61, (0.72, 0.59, -1.82, 0.3, 0.78)
"""The log odds that a candidate is a road, and what each `evidence` adds to them.

Source: `examples/lab/conflate-ranking.py`, on seven cities a tenth of whose streets was withheld.
"""


def false_friends(
    lines: Lines, features: gpd.GeoDataFrame, legend: Legend, scale: NDArray[np.float64]
) -> NDArray[np.object_]:
    """(n,) what each candidate mostly lies on or along: the class's name; empty if nothing is known.

    The outlines of areas count (shores), and their insides.

    Args:
        lines: (n,) candidates in metres.
        features: With `class_id` of `legend`, in the CRS of the map.
        legend: Class 1 is a way, all others are no roads.
        scale: Metres to a unit of the CRS, east and north.
    """
    names = np.full(len(lines), "", object)
    if not len(lines):
        return names
    points, _, owner = sample_lines(lines, step_m=10.0)
    places = shapely.points(points)
    count = np.bincount(owner, minlength=len(lines))
    most = np.full(len(lines), MOSTLY)
    for c in legend.foreground[1:]:
        geometries = features.geometry[features["class_id"] == c.id].to_numpy()
        if not len(geometries):
            continue
        tree = shapely.STRtree(shapely.transform(geometries, lambda xy: xy * scale))
        hit = np.zeros(len(points), bool)
        hit[tree.query(places, predicate="dwithin", distance=BESIDE_M)[0]] = True
        share = np.bincount(owner[hit], minlength=len(lines)) / count
        names[share > most] = c.name
        most = np.maximum(most, share)
    return names


def joined_ends(lines: Lines, ways: Lines) -> NDArray[np.int64]:
    """(n,) how many ends of each candidate lie by a way of OpenStreetMap: 0, 1 or 2."""
    ends = shapely.get_coordinates([shapely.get_point(lines, 0), shapely.get_point(lines, -1)])
    joined: NDArray[np.int64] = (distances_m(ends, ways, BESIDE_M) <= BESIDE_M).reshape(2, -1).sum(axis=0)
    return joined


def confidence(candidates: gpd.GeoDataFrame) -> NDArray[np.float64]:
    """(n,) how likely each candidate is a road, 0..1, halved where it may be something else; ranks the list.

    A probability in a town of which OpenStreetMap lacks a tenth; elsewhere only the order counts.
    """
    likely = 1 / (1 + np.exp(-CONSTANT - evidence(candidates) @ WEIGHTS))
    value: NDArray[np.float64] = np.where(candidates["false_friend"] == "", likely, likely / 2)
    return value


def evidence(candidates: gpd.GeoDataFrame) -> NDArray[np.float64]:
    """(n, 5) log odds of `p_mean` and `p_line`, `p_beside`, `joined`, and the share of dates that see it."""
    p = candidates[["p_mean", "p_line"]].fillna(0).clip(0.02, 0.98).to_numpy(np.float64)
    dates = candidates["dates_seen"] / candidates["dates_known"].clip(lower=1)
    return np.column_stack([np.log(p / (1 - p)), candidates["p_beside"], candidates["joined"], dates])
