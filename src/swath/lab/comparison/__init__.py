"""Comparing models: a matrix of models, held-out sites and seeds, and its leaderboard.

plan.py: the file and the cells it asks for; cost.py: the time they will take; cell.py: one cell,
trained, mapped and scored; run.py: all of them, resumable; board.py: the leaderboard as a value;
board_write.py: its files.
"""

import swath.lab.baselines
import swath.lab.networks  # noqa: F401 - makes the rival networks known
