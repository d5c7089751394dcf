"""What thresholds cost: points of IoU below each site's own best one, from a finished comparison.

python examples/lab/threshold-loss.py DATASET COMPARISON

For every model, mean over test sites and seeds: with the threshold of the validation site; with
the one that the scene's own scores ask for; and how many points the scores say too much (too few).
"""

import sys
from pathlib import Path

import numpy as np

from swath.dataset.catalog import read_dataset
from swath.dataset.site import read_labels
from swath.legend import IGNORE
from swath.maps.sitemaps import read_maps, read_pmap
from swath.metrics.histogram import BINS, bin_values, class_score, confusion, score_bins
from swath.metrics.scores import best_edge, expected_edge, matrix_scores

CLASS = 1


dataset = read_dataset(Path(sys.argv[1]))
models: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
for folder in sorted(Path(sys.argv[2]).glob("cells/*/*/*/maps")):
    model, fold = folder.parts[-4], folder.parts[-3]
    counts = {}
    for maps in read_maps(folder):
        pmap, seen = read_pmap(maps.fused_path)
        label = read_labels(dataset.site(maps.site))
        known = seen & (label != IGNORE)
        score = class_score(pmap, CLASS)[known]
        road = label[known] == CLASS
        counts[maps.site] = np.stack(
            [np.bincount(score_bins(score[road == true]), minlength=BINS) for true in (False, True)]
        )
    tested = fold.split("+")
    (validation,) = set(counts) - set(tested)
    for site in tested:
        found = counts[site]
        scored = found.sum(axis=0)
        edges = best_edge(found), best_edge(counts[validation]), expected_edge(scored)
        best, *others = (float(matrix_scores(confusion(found, edge))["iou"]) for edge in edges)
        lost = [best - other for other in others]
        more = (scored @ bin_values() - found[1].sum()) / scored.sum()
        models.setdefault(model, {}).setdefault(site, []).append((*lost, more))

for model, sites in models.items():
    means = {site: 100 * np.mean(rows, axis=0) for site, rows in sites.items()}
    means["mean"] = np.mean(list(means.values()), axis=0)
    lines = [f"  {site:16}" + "".join(f"{value:7.2f}" for value in means[site]) for site in means]
    title = f"{model}: validation threshold, the scene's own, said too much (points)"
    sys.stdout.write("\n".join([title, *lines]) + "\n")
