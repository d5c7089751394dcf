"""The starter weights: a trained model that comes with swath."""

from pathlib import Path

from swath.models.spec import ModelSpec
from swath.validation import read_model

STARTER = Path(__file__).parent.parent / "starter"
"""Its folder, like any run's; its README.md says what it was trained and tested on."""

STARTER_NAME = "starter"
"""How it is asked for where a run's folder may be named."""


def find_run(run: Path | str) -> Path:
    """The folder of a run by its path, or by `STARTER_NAME`."""
    return STARTER if str(run) == STARTER_NAME else Path(run)


def starter_spec() -> ModelSpec:
    """What the starter says of itself, known without torch."""
    return read_model(STARTER / "model.json", ModelSpec)
