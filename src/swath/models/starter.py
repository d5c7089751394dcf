"""The starter weights: a trained model that comes with swath."""

from pathlib import Path

STARTER = Path(__file__).parent.parent / "starter"
"""Its folder, like any run's; its README.md says what it was trained and tested on."""
