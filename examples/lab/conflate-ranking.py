"""Whether more than the probability of a candidate tells if it is a road: a logistic regression, tried.

    python examples/lab/conflate-ranking.py MAPS DATASET --roads DIR --fit CITY ... --test PLACE ...

Roads are withheld and looked for as `conflate-precision.py` does it. Of every candidate: what it is like and
what is around it (`FEATURES`). The regression is fitted on the cities of --fit, all but one, and ranks
those of the one left out; then on all of them, and ranks those of --test, which had no part in it.
Printed: average precision, and the withheld roads found at 90 % and 70 % precision, in percent; last, what
the constant and the weights of `swath.conflation.candidates`.
"""

import argparse
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from scipy.spatial import cKDTree

from swath.conflation.candidates import evidence
from swath.conflation.conflate import conflate
from swath.dataset.catalog import read_dataset
from swath.dataset.site import read_labels
from swath.labels.features import read_features
from swath.legend import IGNORE, read_legend
from swath.maps.sitemaps import read_maps
from swath.metrics.linematch import distances_m, sample_lines, segments
from swath.metrics.linepieces import REACH_M, split_by_nearness

PRECISION = runpy.run_path(str(Path(__file__).with_name("conflate-precision.py")))
SHIPPED = ("p_mean", "p_line", "p_beside", "joined", "dates")
FEATURES = {
    "p_line": ("p_line",),
    "p_mean": ("p_mean",),
    "p_mean, p_line": ("p_mean", "p_line"),
    "p_mean, p_beside": ("p_mean", "p_beside"),
    "p_mean, joined": ("p_mean", "joined"),
    "p_mean, dates": ("p_mean", "dates"),
    "these five": SHIPPED,
    "and length": (*SHIPPED, "length"),
    "and least": (*SHIPPED, "least"),
    "and width, straight": (*SHIPPED, "width", "straight"),
    "and parallel, distance": (*SHIPPED, "parallel", "distance"),
    "and agree, alone": (*SHIPPED, "agree", "alone"),
}


def logit(p: np.ndarray) -> np.ndarray:
    """The logarithm of the odds, of what is neither sure nor impossible."""
    p = np.clip(p, 0.02, 0.98)
    return np.log(p / (1 - p))


def directions(points: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """(n, 2) unit vectors along lines at their samples."""
    same = np.diff(owner) == 0
    step = np.zeros_like(points)
    step[:-1][same] += np.diff(points, axis=0)[same]
    step[1:][same] += np.diff(points, axis=0)[same]
    return step / np.maximum(np.hypot(*step.T), 1e-9)[:, None]


def describe(found: pd.DataFrame, lines: np.ndarray, maps, drawn: np.ndarray) -> pd.DataFrame:
    """What candidates are like, and what is around them."""
    points, weight, owner = sample_lines(lines)
    along = directions(points, owner)

    def mean(values: np.ndarray) -> np.ndarray:
        values = np.nan_to_num(values)
        return np.bincount(owner, values * weight, len(lines)) / np.bincount(owner, weight, len(lines))

    away = np.minimum(distances_m(points, drawn, 150.0), 150.0)
    ends = shapely.get_coordinates([shapely.get_point(lines, 0), shapely.get_point(lines, -1)])
    own = segments(drawn)
    course = np.diff(shapely.get_coordinates(own).reshape(-1, 2, 2), axis=1)[:, 0]
    course /= np.maximum(np.hypot(*course.T), 1e-9)[:, None]
    point, other = shapely.STRtree(own).query(shapely.points(points), "dwithin", 60.0)
    beside = np.zeros(len(points))
    beside[point[np.abs((along[point] * course[other]).sum(axis=1)) > np.cos(np.radians(20))]] = 1
    pieces, _, near = split_by_nearness(maps.roads().geometry.to_numpy(), drawn)
    places, metres, whose = sample_lines(pieces, 10.0)
    middle = shapely.get_coordinates(shapely.line_interpolate_point(lines, 0.5, normalized=True))
    around = cKDTree(places).query_ball_point(middle, 300.0)
    by_osm = np.array([(metres[k] * near[whose[k]]).sum() for k in around])
    total = np.array([metres[k].sum() for k in around])
    length = shapely.length(lines)
    return pd.DataFrame(
        {
            **dict(zip(SHIPPED, evidence(found).T, strict=True)),
            "least": logit(found["p_min"].to_numpy()),
            "length": np.log(length),
            "parallel": mean(beside),
            "distance": np.log(mean(away)),
            "straight": np.hypot(*(ends[len(lines) :] - ends[: len(lines)]).T) / length,
            "width": np.log(found["width_m"].to_numpy()),
            "agree": logit((by_osm + 25) / (total + 50)),
            "alone": np.log(50 + total - by_osm),
        }
    )


def fit(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Coefficients of a logistic regression, the constant first; by Newton's method."""
    x = np.c_[np.ones(len(x)), x]
    b, slack = np.zeros(x.shape[1]), np.eye(x.shape[1])
    slack[0, 0] = 0
    for _ in range(30):
        q = 1 / (1 + np.exp(-x @ b))
        b += np.linalg.solve((x.T * (weight * q * (1 - q))) @ x + slack, x.T @ (weight * (y - q)) - slack @ b)
    return b


def fitted(tables: list[pd.DataFrame], names: tuple[str, ...]) -> np.ndarray:
    """The same of cities that count the same each, every metre of them too, of a candidate 600 at most."""
    train, metres = pd.concat(tables), [table["length_m"].clip(upper=600) for table in tables]
    weight = np.concatenate([share / share.sum() for share in metres]) * len(train) / len(tables)
    x = train[list(names)].to_numpy()
    middle, spread = x.mean(axis=0), x.std(axis=0)
    b = fit((x - middle) / spread, train["right"].to_numpy(), weight)
    return np.append(b[0] - (b[1:] * middle / spread).sum(), b[1:] / spread)


def scores(draws: list, rank: np.ndarray) -> list[float]:
    """Average precision, and recall at 90 % and 70 % precision, in percent."""
    found_by, start = [], 0
    for table, (point, line, metres) in draws:
        best = np.full(len(metres), -np.inf)
        np.maximum.at(best, point, rank[start : start + len(table)][line])
        found_by.append(best)
        start += len(table)
    metres = np.concatenate([metres for _, (_, _, metres) in draws])
    table = pd.concat([table for table, _ in draws])
    order = np.argsort(-rank, kind="stable")
    length = table["length_m"].to_numpy()[order]
    precision = (table["right"].to_numpy()[order] * length).cumsum() / length.cumsum()
    recall = PRECISION["recall_from"](np.concatenate(found_by), metres, rank[order])
    reached = [recall[np.flatnonzero(precision >= wanted)[-1:]].sum() for wanted in (0.9, 0.7)]
    return [100 * float(value) for value in (np.diff(recall, prepend=0) @ precision, *reached)]


def withhold(maps, dataset, roads: Path, seeds: int) -> list:
    """For every draw: the candidates with what they are like, and which withheld samples each finds."""
    import geopandas as gpd

    site = dataset.site(maps.site)
    path = roads / maps.site / "roads.geojson"
    features = read_features(path, read_legend("surroundings"), maps.grid, 10).reset_index(drop=True)
    mask = (read_labels(site) != IGNORE).astype(float)
    keys = [key for key in features.columns if key not in ("geometry", "class_id")]
    ways = features[[dataset.legend.foreground[0].matches(row) for row in features[keys].to_dict("records")]]
    named = gpd.read_file(path)
    if "name" in named.columns and len(named) == len(features):
        ways = ways.assign(name=named["name"].to_numpy()[ways.index])
    streets, covered = PRECISION["street_numbers"](ways), PRECISION["covered_share"]
    chosen, draws = np.unique(streets), []
    for seed in range(seeds):
        count = max(1, round(PRECISION["SHARE"] * len(chosen)))
        gone = np.isin(streets, np.random.default_rng(seed).choice(chosen, count, replace=False))
        kept = features.drop(index=ways.index[gone])
        withheld = shapely.get_parts(ways.geometry.to_numpy()[gone])
        found = conflate(maps, kept, "", "").map_only
        found = found[covered(found.geometry.to_numpy(), mask, site.map_grid) > 0.5]
        lines = found.geometry.to_numpy()
        table = describe(found, lines, maps, shapely.get_parts(kept.geometry.to_numpy()))
        points, weight, owner = sample_lines(lines)
        near = np.bincount(owner, weight * (distances_m(points, withheld) <= REACH_M), len(lines))
        length = shapely.length(lines)
        table = table.assign(right=near / length > 0.5, length_m=length)
        there, metres, _ = sample_lines(withheld)
        dots = shapely.linestrings(np.stack([there, there + 0.1], axis=1))
        inside = covered(dots, mask, site.map_grid) > 0.5
        finds = shapely.STRtree(lines).query(shapely.points(there[inside]), "dwithin", REACH_M)
        draws.append((table, (*finds, metres[inside])))
    return draws


def main() -> None:
    """Describe the candidates of all places, and rank them by each choice of features."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("maps", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--roads", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fit", nargs="+", required=True)
    parser.add_argument("--test", nargs="*", default=[])
    options = parser.parse_args()
    dataset = read_dataset(options.dataset)
    maps = {site.site: site for site in read_maps(options.maps)}
    places = {
        name: withhold(maps[name], dataset, options.roads, options.seeds)
        for name in (*options.fit, *options.test)
    }
    tables = {name: pd.concat([table for table, _ in draws]) for name, draws in places.items()}
    for title, names in FEATURES.items():
        rows = {}
        for name, draws in places.items():
            b = fitted([tables[city] for city in options.fit if city != name], names)
            rows[name] = scores(draws, b[0] + tables[name][list(names)].to_numpy() @ b[1:])
        for kind, chosen in (("left out", options.fit), ("test", options.test)):
            if chosen:
                mean = np.mean([rows[name] for name in chosen], axis=0)
                each = ", ".join(f"{name} {rows[name][0]:.1f}" for name in chosen)
                print(f"{title}, {kind}: " + " ".join(f"{v:.1f}" for v in mean) + f" ({each})")  # noqa: T201
    b = fitted([tables[city] for city in options.fit], SHIPPED)
    print({name: round(float(value), 2) for name, value in zip(("constant", *SHIPPED), b, strict=True)})  # noqa: T201


if __name__ == "__main__":
    main()
