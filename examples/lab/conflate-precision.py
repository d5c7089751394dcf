"""How far the candidates of `swath conflate` can be trusted: roads are withheld, and looked for.

    python examples/lab/conflate-precision.py MAPS DATASET [--roads DIR] [--seeds 5] [--sites ...] [--json]

A tenth of the streets of every city of DATASET is taken out of OpenStreetMap, whole streets at a time (by
name; without names, from junction to junction), again for every seed. A candidate is right where half of
it lies along a withheld street. What lies along nothing counts as wrong, even where it is a road that the
labels lack: the precision is a lower bound. Roads are read of DIR/<city>/roads.geojson where DIR is given
(all ways), else of the dataset (those of its legend). Only the part that the labels cover counts.

`right` is the share that is right of the candidates of a confidence, by their length.
`average precision` is the area under precision over recall. `along` is what withholding cannot better: of
the mapped length of a probability, the share that lies along a road when nothing is withheld.
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from swath.conflation.conflate import conflate
from swath.conflation.profile import probability_along
from swath.dataset.catalog import read_dataset
from swath.dataset.site import read_labels
from swath.labels.features import read_features
from swath.legend import IGNORE, read_legend
from swath.maps.sitemaps import read_maps
from swath.metrics.linematch import distances_m, sample_lines
from swath.metrics.linepieces import LEAST_M, REACH_M, split_by_nearness

SHARE, WANTED = 0.1, (0.5, 0.9, 0.95)
STEPS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.01)
EDGES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)


def street_numbers(ways: gpd.GeoDataFrame) -> np.ndarray:
    """(n,) the street of every way: by name, else by what joins it without a junction."""
    lines = ways.geometry.to_numpy()
    merged = shapely.get_parts(shapely.line_merge(shapely.union_all(lines)))
    tree = shapely.STRtree(merged)
    middle = shapely.line_interpolate_point(lines, 0.5, normalized=True)
    own, nearest = tree.query_nearest(middle, all_matches=False)
    number = np.full(len(ways), -1)
    number[own] = nearest
    names = ways["name"].to_numpy() if "name" in ways.columns else np.full(len(ways), None)
    known = np.array([isinstance(name, str) and bool(name) for name in names])
    _, by_name = np.unique(names[known].astype(str), return_inverse=True)
    number[known] = len(merged) + by_name
    return number


def covered_share(lines: np.ndarray, mask: np.ndarray, grid) -> np.ndarray:
    """(n,) the share of every line that the labels cover."""
    points, weight, owner = sample_lines(lines, 5.0)
    left, _, _, top = grid.bounds
    cols = np.clip(((points[:, 0] - left) / grid.resolution[0]).astype(int), 0, grid.width - 1)
    rows = np.clip(((top - points[:, 1]) / grid.resolution[1]).astype(int), 0, grid.height - 1)
    inside = mask[rows, cols] * weight
    return np.bincount(owner, inside, len(lines)) / np.maximum(np.bincount(owner, weight, len(lines)), 1e-9)


def withhold(maps, ways: gpd.GeoDataFrame, features: gpd.GeoDataFrame, mask, grid, seed: int):
    """Candidates of one draw, and the withheld roads."""
    streets = street_numbers(ways)
    chosen = np.unique(streets)
    generator = np.random.default_rng(seed)
    gone = np.isin(streets, generator.choice(chosen, max(1, round(SHARE * len(chosen))), replace=False))
    withheld = shapely.get_parts(ways.geometry.to_numpy()[gone])
    kept = features.drop(index=ways.index[gone])
    found = conflate(maps, kept, "", "").map_only
    found = found[covered_share(found.geometry.to_numpy(), mask, grid) > 0.5]
    points, weight, owner = sample_lines(found.geometry.to_numpy())
    near = distances_m(points, withheld) <= REACH_M
    right = np.bincount(owner, near * weight, len(found)) / np.bincount(owner, weight, len(found)) > 0.5
    there, metres, _ = sample_lines(withheld)
    inside = covered_share(shapely.linestrings(np.stack([there, there + 0.1], axis=1)), mask, grid) > 0.5
    there, metres = there[inside], metres[inside]
    found_by = np.zeros(len(there))
    tree = shapely.STRtree(found.geometry.to_numpy())
    point, line = tree.query(shapely.points(there), predicate="dwithin", distance=REACH_M)
    np.maximum.at(found_by, point, found["confidence"].to_numpy(float)[line])
    table = found.to_crs("EPSG:4326").assign(right=right, length=found.length, seed=seed, site=maps.site)
    return table, found_by, metres


def along_roads(maps, features: gpd.GeoDataFrame, mask, grid) -> np.ndarray:
    """(2, bins) metres of the map's lines by their probability: all, and those along a way."""
    near_m = np.zeros((2, len(EDGES) - 1))
    lines = shapely.get_parts(maps.roads().geometry.to_numpy())
    pieces, _, near = split_by_nearness(lines, shapely.get_parts(features.geometry.to_numpy()))
    length = shapely.length(pieces)
    counted = (length >= LEAST_M) & (covered_share(pieces, mask, grid) > 0.5)
    p = probability_along(maps, pieces[counted], maps.grid)
    for row, weight in enumerate((length[counted], (length * near)[counted])):
        near_m[row] = np.histogram(p, EDGES, weights=weight)[0]
    return near_m


def recall_from(found_by: np.ndarray, metres: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(n,) the share of the withheld metres that candidates of each confidence or more find."""
    order = np.argsort(found_by)
    below = np.append(0, metres[order].cumsum())
    return 1 - below[np.searchsorted(found_by[order], confidence)] / metres.sum()


def main() -> None:
    """Read what is asked for, measure it and say it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("maps", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--roads", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sites", nargs="*")
    parser.add_argument("--table", type=Path, help="Write all candidates there (GeoPackage).")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    dataset, legend = read_dataset(options.dataset), read_legend("surroundings")
    tables, scores, lengths, along = [], [], [], np.zeros((2, len(EDGES) - 1))
    for maps in read_maps(options.maps):
        if options.sites and maps.site not in options.sites:
            continue
        site = dataset.site(maps.site)
        path = site.roads if options.roads is None else options.roads / maps.site / "roads.geojson"
        features = read_features(path, legend, maps.grid, 10).reset_index(drop=True)
        mask = (read_labels(site) != IGNORE).astype(float)
        drivable = dataset.legend.foreground[0]
        keys = [key for key in features.columns if key not in ("geometry", "class_id")]
        rows = features[keys].to_dict("records")
        ways = features[[drivable.matches(row) for row in rows]]
        named = gpd.read_file(path) if options.roads else features
        if "name" in named.columns and len(named) == len(features):
            ways = ways.assign(name=named["name"].to_numpy()[ways.index])
        along += along_roads(maps, features, mask, site.map_grid)
        for seed in range(options.seeds):
            table, found_by, metres = withhold(maps, ways, features, mask, site.map_grid, seed)
            tables.append(table)
            scores.append(found_by)
            lengths.append(metres)
    import pandas as pd

    table = pd.concat(tables)
    if options.table:
        table.to_file(options.table)
    found_by, metres = np.concatenate(scores), np.concatenate(lengths)
    ranked = table.sort_values("confidence", ascending=False)
    precision = (ranked["right"] * ranked["length"]).cumsum() / ranked["length"].cumsum()
    result = {"candidates": len(table), "withheld_km": round(metres.sum() / 1e3, 1)}
    result["all"] = {
        "precision": round(float(precision.iloc[-1]), 3),
        "recall": round(float(metres[found_by > 0].sum() / metres.sum()), 3),
    }
    recall = recall_from(found_by, metres, ranked["confidence"].to_numpy(float))
    result["average precision"] = round(float(np.diff(recall, prepend=0) @ precision.to_numpy()), 3)
    bins = zip(EDGES, along[1] / np.maximum(along[0], 1), along[0] / 1e3, strict=False)
    result["along"] = {f"from {low}": f"{share:.1%} of {km:.1f} km" for low, share, km in bins}
    chosen = {
        f"from {low}": table[table["confidence"].between(low, high, "left")] for low, high in pairwise(STEPS)
    }
    result["right"] = {
        low: f"{(part['right'] * part['length']).sum() / part['length'].sum():.0%} of {len(part)}"
        for low, part in chosen.items()
        if len(part)
    }
    for wanted in WANTED:
        good = np.flatnonzero(precision.to_numpy() >= wanted)
        score = float(ranked["confidence"].iloc[good[-1]]) if len(good) else None
        reached = float(recall[good[-1]]) if len(good) else 0.0
        result[f"{wanted:.0%}"] = {"confidence": score, "recall": round(reached, 3)}
    print(json.dumps(result) if options.json else "\n".join(f"{k}: {v}" for k, v in result.items()))  # noqa: T201


if __name__ == "__main__":
    main()
