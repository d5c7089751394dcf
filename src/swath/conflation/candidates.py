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

FITTED = {
    "constant": -2.61,
    "p_mean": 0.72,
    "p_line": 0.59,
    "p_beside": -1.82,
    "joined": 0.3,
    "dates": 0.78,
}
"""What each evidence adds to the log odds that a candidate is a road.

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


def joined_ends(lines: Lines, ways: Lines) -> NDArray[np.int32]:
    """(n,) how many ends of each candidate lie by a way of OpenStreetMap: 0, 1 or 2."""
    ends = shapely.get_coordinates([shapely.get_point(lines, 0), shapely.get_point(lines, -1)])
    by: NDArray[np.bool_] = distances_m(ends, ways, BESIDE_M) <= BESIDE_M
    joined: NDArray[np.int32] = by.reshape(2, -1).sum(axis=0, dtype=np.int32)
    return joined


def confidence(candidates: gpd.GeoDataFrame) -> NDArray[np.float64]:
    """(n,) how likely each candidate is a road, 0..1: what the list is ranked by.

    A logistic regression (`FITTED`), halved where a candidate may be something else. It is a probability
    where OpenStreetMap lacks a tenth of the streets of a town; elsewhere the order is what counts.

    Args:
        candidates: With `p_mean`, `p_line`, `p_beside`, `joined`, `dates_seen`, `dates_known`,
            `false_friend`; see `swath.conflation.conflate.Conflation`.
    """
    total = np.full(len(candidates), FITTED["constant"])
    for name, values in evidence(candidates).items():
        total += FITTED[name] * values
    likely = 1 / (1 + np.exp(-total))
    value: NDArray[np.float64] = np.where(candidates["false_friend"] == "", likely, likely / 2)
    return value


def evidence(candidates: gpd.GeoDataFrame) -> dict[str, NDArray[np.float64]]:
    """(n,) each: what `FITTED` weighs; of `p_mean` and `p_line` the log odds, of the dates the share."""

    def column(name: str) -> NDArray[np.float64]:
        values: NDArray[np.float64] = candidates[name].to_numpy(np.float64)
        return values

    def log_odds(name: str) -> NDArray[np.float64]:
        p = np.clip(np.nan_to_num(column(name)), 0.02, 0.98)
        odds: NDArray[np.float64] = np.log(p / (1 - p))
        return odds

    return {
        "p_mean": log_odds("p_mean"),
        "p_line": log_odds("p_line"),
        "p_beside": column("p_beside"),
        "joined": column("joined"),
        "dates": column("dates_seen") / np.maximum(column("dates_known"), 1),
    }
