"""What `swath changes` finds where it is known what changed: a simulated series, and one without change.

    swath simulate LAYOUT --out came --dates 6 --change --seed 3
    swath map came/*.tif --orientations 1 --out came-maps
    python examples/lab/changes-simulated.py came-maps [--truth came/roads.gpkg] [--wider 8] [--json]

The first two dates are compared with the last two. True are roads wider than `--wider` metres, at least as
long as what `swath changes` reports, that came or went between them. Precision is by all true changes,
whatever their width; a metre found is right within 20 m of one.
"""

import argparse
import json
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

import swath
from swath.maps.roadchange import CHANGE_M
from swath.metrics.linematch import distances_m, sample_lines

REACH_M = 20.0


def near_m(lines: np.ndarray, others: np.ndarray) -> float:
    """Metres of lines that lie within `REACH_M` of others."""
    if not len(lines):
        return 0.0
    points, weight, _ = sample_lines(lines)
    return float(weight[distances_m(points, others, REACH_M) <= REACH_M].sum())


def main() -> None:
    """Compare, score and say it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("maps", type=Path)
    parser.add_argument("--truth", type=Path, help="roads.gpkg of a series with --change; else none changed")
    parser.add_argument("--wider", type=float, default=8.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    maps = swath.open_maps(options.maps).only
    first, last = maps.all_dates[:2], maps.all_dates[-2:]
    with tempfile.TemporaryDirectory() as folder:
        found = swath.changes(
            maps.folder.parent,
            None,
            Path(folder) / "changes.gpkg",
            before=f"{first[0]}..{first[-1]}",
            after=f"{last[0]}..{last[-1]}",
        )
    roads = maps.roads()[:0].assign(**{"from": None, "until": None})
    if options.truth:
        # Roads that are laid may run out of the picture.
        roads = gpd.read_file(options.truth, layer="roads").to_crs(maps.grid.crs).clip(maps.grid.bounds)
    came, went = (roads[name].astype("string").fillna("") for name in ("from", "until"))
    gone = (went > str(first[-1])) & (went <= str(last[0]))
    changed = {
        "new": (came > str(first[-1])) & (came <= str(last[0])) & ((went == "") | (went > str(last[-1]))),
        "vanished": gone & ((came == "") | (came <= str(first[0]))),
    }
    mapped_km = float(maps.roads()["length_m"].sum()) / 1e3
    result: dict[str, object] = {"mapped_km": round(mapped_km, 1)}
    for change, rows in changed.items():
        every = shapely.get_parts(roads.geometry.to_numpy()[rows])
        wide = shapely.get_parts(roads.geometry.to_numpy()[rows & (roads["width_m"] > options.wider)])
        wide = shapely.get_parts(shapely.line_merge(shapely.union_all(wide))) if len(wide) else wide
        wide = wide[shapely.length(wide) >= CHANGE_M]
        lines = found.geometry.to_numpy()[found["change"] == change]
        total, true = float(shapely.length(lines).sum()), float(shapely.length(wide).sum())
        precision = near_m(lines, every) / total if total else None
        recall = near_m(wide, lines) / true if true else None
        f1 = 2 * precision * recall / (precision + recall) if precision and recall else None
        result[change] = {
            "found_km": round(total / 1e3, 2),
            "true_km": round(true / 1e3, 2),
            "share_of_mapped": round(total / 1e3 / mapped_km, 4),
            "precision": precision and round(precision, 3),
            "recall": recall and round(recall, 3),
            "f1": f1 and round(f1, 3),
        }
    print(json.dumps(result) if options.json else "\n".join(f"{k}: {v}" for k, v in result.items()))  # noqa: T201


if __name__ == "__main__":
    main()
