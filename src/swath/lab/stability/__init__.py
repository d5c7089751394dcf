"""How steady maps are: under clouds and other mishaps (robustness), and from day to day (variance).

perturbation.py plans what is done to a series, imagery.py does it to the images, robustness.py maps
and scores, variance.py compares days, robustness_report.py writes for people.
"""

import swath.lab.networks  # noqa: F401 - makes the rival networks known
