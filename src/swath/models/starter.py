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


def is_run(path: Path) -> bool:
    """Whether a path is meant as a run, and not as a scene."""
    if path.is_dir():
        return path.suffix.lower() != ".safe" and not any(path.glob("MTD_*.xml"))
    return not path.exists() and not path.suffix


def read_spec(run: Path = STARTER) -> ModelSpec:
    """What a run says of its model, the starter's by default: known without torch.

    Raises:
        InputError: No run is there.
    """
    return read_model(run / "model.json", ModelSpec)
