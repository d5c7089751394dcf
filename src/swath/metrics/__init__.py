"""Scores of maps against labels: counts per block first, every score from those counts.

histogram.py counts pixels by score and truth; scores.py turns such counts into accuracy, IoU, F1
and the others; tolerance.py counts matches within a distance, for areas and for centre lines;
linematch.py matches vectors along their length, linenetwork.py compares their routes and counts faults;
bootstrap.py resamples blocks for confidence intervals. NumPy, SciPy, scikit-image and shapely only, no I/O.
"""
