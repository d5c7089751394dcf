"""Comparing models: a matrix of models, held-out sites and seeds, and its leaderboard.

comparisonfile.py: the file and what it asks for; cells.py: the cells; cost.py: the time they will
take; pretraining.py: what comes first; cell.py: one cell, trained, mapped and scored; result.py:
what it leaves; run.py: all of them, resumable; board.py: the leaderboard as a value;
board_write.py: its files.
"""

import swath.lab.baselines
import swath.lab.networks  # noqa: F401 - makes the rival networks known
