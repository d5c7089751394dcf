"""Scores of maps against labels: counts per block first, every score from those counts.

histogram.py counts pixels by score and truth; scores.py turns such counts into accuracy, IoU, F1
and the others; tolerance.py counts matches within a distance, for areas and for centre lines;
bootstrap.py resamples blocks for confidence intervals. NumPy, SciPy and scikit-image only, no I/O.
"""

from swath.metrics.bootstrap import block_weights, interval, nested_resample, resample
from swath.metrics.histogram import (
    BINS,
    HALF,
    STEPS,
    Blocks,
    block_histogram,
    class_score,
    confusion,
    plan_blocks,
    score_bins,
    selected,
    threshold,
)
from swath.metrics.scores import (
    average_precision,
    best_edge,
    calibration_curve,
    calibration_error,
    expected_edge,
    matrix_scores,
    precision_recall_curve,
)
from swath.metrics.tolerance import (
    DISTANCES,
    centre_line,
    match_counts,
    tolerant_f1,
)

__all__ = [
    "BINS",
    "DISTANCES",
    "HALF",
    "STEPS",
    "Blocks",
    "average_precision",
    "best_edge",
    "block_histogram",
    "block_weights",
    "calibration_curve",
    "calibration_error",
    "centre_line",
    "class_score",
    "confusion",
    "expected_edge",
    "interval",
    "match_counts",
    "matrix_scores",
    "nested_resample",
    "plan_blocks",
    "precision_recall_curve",
    "resample",
    "score_bins",
    "selected",
    "threshold",
    "tolerant_f1",
]
