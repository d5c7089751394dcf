"""Scores of maps against labels: counts per block first, every score from those counts.

histogram.py counts pixels by score and truth; scores.py turns such counts into accuracy, IoU, F1
and the others; tolerance.py counts matches within a distance, for areas and for centre lines;
bootstrap.py resamples blocks for confidence intervals. NumPy, SciPy and scikit-image only, no I/O.
"""
