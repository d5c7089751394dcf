"""What comes from outside, checked once: YAML into pydantic models, one line for what is wrong."""

from difflib import get_close_matches
from pathlib import Path
from reprlib import Repr
from typing import Annotated, TypeVar, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from swath.errors import InputError, SettingsError, printable
from swath.files import MOST_DEPTH, parse_whole, read_json, read_text

MOST_YAML = 4 << 20
"""Bytes of a YAML file."""

MOST_NODES = 200_000
"""Values in a YAML file; one that is named (`&`) counts as often as it is used (`*`)."""

MOST_SEED = 2**32 - 1

Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
"""What a random number generator begins with."""

_BRIEF = Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = 80
_BRIEF.maxlist = _BRIEF.maxtuple = _BRIEF.maxdict = 20


class Frozen(BaseModel):
    """The base of all that users write: finite values that do not change, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        kind = cls.model_fields[info.field_name or ""].annotation
        if _holds_bool(value) and _speaks_of(kind, {int, float}) and not _speaks_of(kind, {bool}):
            raise ValueError("expected a number, got true or false")
        return value


def _holds_bool(value: object) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return isinstance(value, bool) or any(map(_holds_bool, parts))


def _speaks_of(kind: object, types: set[type]) -> bool:
    return any(kind is one for one in types) or any(_speaks_of(part, types) for part in get_args(kind))


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
        value = load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2019-13-04
        deep = isinstance(error, RecursionError)
        reason = "nested too deep" if deep else printable(str(error))[:300]
        raise SettingsError(f"{source}: not YAML{'' if secret else ': ' + reason}") from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise SettingsError(f"{source}: {first_problem(error, model, secret=secret)}") from None


def read_yaml(path: Path, model: type[M]) -> M:
    """Read a YAML file into a pydantic model; see `parse_yaml`.

    Raises:
        SettingsError: The file is missing or breaks the format.
    """
    try:
        text = read_text(path, MOST_YAML)
    except InputError as error:
        raise SettingsError(str(error)) from None
    return parse_yaml(text, model, path)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, in which no key may stand twice and no number is endless."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        parse_whole("0" * len(node.value))
        return super().construct_yaml_int(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def load_yaml(text: str) -> object:
    """The value of a YAML document, within bounds.

    Raises:
        ValueError: A key stands twice, a tag or an escape has a value that cannot be, or it is nested
            deeper than `MOST_DEPTH`, contains itself or has more than `MOST_NODES` values.
        yaml.YAMLError: Not YAML.
    """
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _count(root, {}, MOST_DEPTH)
        value: object = loader.construct_document(root)
        return value
    except (AttributeError, LookupError, TypeError, OverflowError):  # as of `!!timestamp abc`
        raise ValueError("a tag (`!!`) or an escape in it has a value that cannot be") from None
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """How many values there are from a node on; `known` holds those that were counted."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        total = known[id(node)]
    else:
        known[id(node)] = MOST_NODES + 1  # met again before it is counted: it contains itself
        if depth == 0:
            raise ValueError(f"nested more than {MOST_DEPTH} deep")
        inner = [*node.value]
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            inner = [part for pair in node.value for part in pair]
        total = 1 + sum(_count(part, known, depth - 1) for part in inner)
        known[id(node)] = total
    if total > MOST_NODES:
        raise ValueError(f"more than {MOST_NODES} values, or one that contains itself")
    return total


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)
        if name in seen:
            line = key.start_mark.line + 1
            raise ValueError(f"the key {str(key.value)[:80]!r} stands twice, again in line {line}")
        seen.add(name)


def first_problem(
    error: ValidationError, model: type[BaseModel] | None = None, *, secret: bool = False
) -> str:
    """The first problem as one line: where, what, and (unless it is secret) the value got.

    Of an unknown key the keys that the `model` knows at that place are named, and the likeliest one.
    """
    problem = error.errors(include_url=False)[0]
    where = printable(".".join(str(part)[:80] for part in problem["loc"])) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where!r}{_known(model, problem['loc'])}"
    message = printable(problem["msg"].removeprefix("Value error, "))
    if problem["type"] == "model_type":
        message = "expected keys and their values"
    got = _BRIEF.repr(problem["input"])
    shown = len(got) <= 80 and "..." not in got and problem["type"] != "missing" and not secret
    tail = f" (got {got})" if shown else ""
    return f"{where}: {message}{tail}"


def _known(model: type[BaseModel] | None, place: tuple[int | str, ...]) -> str:
    """The keys that a model knows where an unknown one stands, as the end of a message."""
    for part in place[:-1]:
        if model is not None and part in model.model_fields:
            inner = _models(model.model_fields[str(part)].annotation)
            model = inner[0] if len(inner) == 1 else None
    if model is None:
        return ""
    meant = _likeliest(str(place[-1]), model)
    hint = f" (do you mean {meant!r}?)" if meant else ""
    return f"{hint}; known: {', '.join(model.model_fields)}"


def _likeliest(key: str, model: type[BaseModel]) -> str | None:
    """A key much like an unknown one, or the place one level down where it is known."""
    if close := get_close_matches(key, model.model_fields, 1):
        return close[0]
    places = (
        f"{name}.{key}"
        for name, field in model.model_fields.items()
        for inner in _models(field.annotation)
        if key in inner.model_fields
    )
    return next(places, None)


def _models(annotation: object) -> list[type[BaseModel]]:
    """The models that an annotation speaks of, such as that of `tuple[Phase, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def read_model(path: Path, model: type[M]) -> M:
    """Read a JSON file into a pydantic model.

    Raises:
        InputError: The file is missing, is not JSON, or is not what the model says.
    """
    try:
        return model.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from None
