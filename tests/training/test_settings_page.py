"""docs/training.md names every setting, and what each preset has."""

from pathlib import Path

from pydantic import BaseModel

from swath.models.starter import STARTER
from swath.models.trained import load_model
from swath.training.presets import PRESETS, StageSettings, TrainSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def value(thing: object) -> str:
    """As the page writes it."""
    if thing is None:
        return "-"
    return f"{thing:g}" if isinstance(thing, float) else str(thing)


def rows(prefix: str, settings: list[BaseModel]) -> dict[str, list[str]]:
    """Setting -> its values in the presets."""
    found: dict[str, list[str]] = {}
    for name in type(settings[0]).model_fields:
        values = [getattr(each, name) for each in settings]
        if isinstance(values[0], StageSettings):
            found |= rows(f"{name}.", values)
        elif name == "phases":
            for field in type(values[0][0]).model_fields:
                parts = [", ".join(value(getattr(p, field)) for p in phases) for phases in values]
                found[f"`{prefix}phases` `{field}`"] = parts
        else:
            found[f"`{prefix}{name}`"] = [value(each) for each in values]
    return found


def test_the_page_has_every_setting_of_every_preset() -> None:
    text = PAGE.read_text("utf-8").split("## Settings")[1]
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    shown = {cells[0]: cells[1:4] for cells in lines}
    wanted = rows("", [PRESETS[name] for name in ("paper", "best", "demo")])
    assert shown == wanted
    assert {name.split(".")[0].strip("`") for name in shown} == set(TrainSettings.model_fields)
    assert all(cells[4] for cells in lines)


def test_the_page_builds_a_dataset_that_fits_the_starter() -> None:
    spec = load_model(STARTER).spec
    fine = f" --finer {spec.finer}" if spec.finer > 1 else ""
    options = f"--bands {','.join(spec.image.bands)} --encoding {spec.image.encoding}{fine}\n"
    assert f"    swath build SITES.yaml --out DATASET {options}" in PAGE.read_text("utf-8")
