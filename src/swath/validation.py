"""What comes from outside, checked once: YAML into pydantic models, one line for what is wrong."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from swath.errors import InputError, SettingsError
from swath.files import read_json


class Frozen(BaseModel):
    """The base of all that users write: values that do not change, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Written(Frozen):
    """The base of all results that are written as JSON, and can be read back."""

    # Scores of a model are called after it: `model_sha256`.
    model_config = ConfigDict(populate_by_name=True, protected_namespaces=())

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON values, under the names that the file has."""
        return self.model_dump(mode="json", by_alias=True)


M = TypeVar("M", bound=BaseModel)


def parse_yaml(text: str, model: type[M], source: object) -> M:
    """Parse YAML, called `source` in errors, into a pydantic model.

    Raises:
        SettingsError: Not YAML, an unknown key, or a bad value.
    """
    secret = bool(model.model_config.get("hide_input_in_errors"))
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2019-13-04
        what = "" if secret else f": {' '.join(str(error).split())}"
        raise SettingsError(f"{source}: not YAML{what}") from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise SettingsError(f"{source}: {first_problem(error, secret=secret)}") from None


def read_yaml(path: Path, model: type[M]) -> M:
    """Read a YAML file into a pydantic model; see `parse_yaml`.

    Raises:
        SettingsError: The file is missing or breaks the format.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise SettingsError(f"{path}: {reason}") from None
    return parse_yaml(text, model, path)


def first_problem(error: ValidationError, *, secret: bool = False) -> str:
    """The first problem as one line: where, what, and (unless it is secret) the value got."""
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where!r}"
    message = problem["msg"].removeprefix("Value error, ")
    got = repr(problem["input"])
    shown = len(got) <= 80 and problem["type"] != "missing" and not secret
    tail = f" (got {got})" if shown else ""
    return f"{where}: {message}{tail}"


def read_model(path: Path, model: type[M]) -> M:
    """Read a JSON file into a pydantic model.

    Raises:
        InputError: The file is missing, is not JSON, or is not what the model says.
    """
    try:
        return model.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from None
