"""MAPS of any weights on the ground that a dataset holds out, to compare runs with the starter.

python examples/lab/same-ground.py DATASET MAPS...

`swath evaluate` scores maps by the splits of their own run, and the starter's names Bercy and Paris as wholly
unseen. Here the regions of the dataset's only site count, whoever made the maps.
"""

import sys
from pathlib import Path

import swath.evaluation.evaluate as scoring
from swath.dataset.catalog import read_dataset
from swath.evaluation.truth import truth_of_site

dataset = read_dataset(Path(sys.argv[1]))
(site,) = dataset.sites
splits = {split: [site.name] for split in site.splits}
scoring.truths_of_dataset = lambda maps, _: [truth_of_site(site, dataset, splits, "") for _ in maps]
for folder in map(Path, sys.argv[2:]):
    report = scoring.evaluate(folder, dataset).report
    for row in report.rows:
        if row.model == "fused" and row.site == site.name:
            sys.stdout.write(
                f"{folder} {row.split} {row.threshold_rule}: PR-AUC {row.pr_auc:.3f}  IoU {row.iou:.3f}\n"
            )
    for line in report.lines:
        if line.site == site.name:
            f1 = "  ".join(f"{value:.3f}" for value in line.f1.values())
            sys.stdout.write(
                f"{folder} {line.split} {line.model}: F1 at 5, 10, 20 m {f1}  APLS {line.apls:.3f}\n"
            )
