"""How much a candidate can be trusted, and what it may be instead of a road."""

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from swath.legend import Legend
from swath.metrics.linematch import Lines, sample_lines

BESIDE_M = 25.0
"""A candidate lies on something where so near to it."""

MOSTLY = 0.5
"""What share of a candidate must lie on something to be taken for it."""


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


def confidence(candidates: gpd.GeoDataFrame, ways: Lines) -> NDArray[np.float64]:
    """(n,) how much each candidate can be trusted, 0..1: what the list is ranked by."""
    p = candidates["p_mean"].to_numpy(np.float64)
    value: NDArray[np.float64] = np.where(candidates["false_friend"] == "", p, p / 2)
    return value
