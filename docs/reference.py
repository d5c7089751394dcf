"""Writes docs/reference/: commands, the sites file and settings, from the code. `make api`."""

import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from swath.cli import app
from swath.labels.burn import Widening
from swath.labels.source import LabelSettings
from swath.scenes.scene import SceneSettings
from swath.sentinel2 import ImageSettings
from swath.sites.schema import FetchSettings, RegionSettings, SiteSettings, SitesFile
from swath.training.presets import PRESETS, Phase, StageSettings, TrainSettings

FOLDER = Path(__file__).parent / "reference"

MADE = "This page is made from the code: `make api`.\n"

Row = tuple[str, ...]


def table(head: Row, rows: list[Row]) -> str:
    """A table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def cell(text: str) -> str:
    """Text that may stand in a table, in one line."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


# --- commands ---------------------------------------------------------------------------------


def commands(group: TyperGroup, name: str) -> Iterator[tuple[str, TyperCommand]]:
    """Every command that `--help` shows, with its whole name."""
    for key, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{name} {key}")
        elif not command.hidden:
            yield f"{name} {key}", command


def parameter(value: TyperArgument | TyperOption) -> Row:
    """What is typed, and what it does."""
    kind = value.type_descriptor.annotation
    choices = "\\|".join(map(str, typing.get_args(kind))) if typing.get_origin(kind) is typing.Literal else ""
    if isinstance(value, TyperArgument):
        what = (value.metavar or (value.name or "").upper()).replace("|", "\\|")
        return f"`{what}`", cell(value.help or ""), ""
    metavar = "" if value.is_flag else (value.metavar or choices or plain(kind).upper())
    names = "`, `".join([*value.opts, *value.secondary_opts])
    default = value.default if isinstance(value.default, str | int | float | Path) else None
    shown = "required" if value.required else "" if default is None or value.is_flag else f"`{default}`"
    if value.secondary_opts:
        shown = f"`{value.opts[0] if value.default else value.secondary_opts[0]}`"
    typed = f"`{names}`" + (f" {cell(metavar) if metavar != choices else choices}" if metavar else "")
    return typed, cell(value.help or ""), shown


def plain(kind: object) -> str:
    """A type as one says it."""
    if typing.get_origin(kind) is list:
        return plain(typing.get_args(kind)[0])
    return getattr(kind, "__name__", str(kind)).lower().replace("str", "text").replace("datetime", "day")


def commands_page() -> str:
    """All commands."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    parts = [
        "# Commands\n",
        MADE,
        "Every command explains itself with `--help` (`-h`), prints one JSON object with `--json`,\n"
        "says more with `--verbose` (`-v`), and nothing but results and errors with `--quiet` (`-q`).\n"
        "Exit codes: 0 done; 2 bad input or a full disk, one line says what to do; 130 interrupted;\n"
        "1 a bug.\n",
    ]
    for name, command in commands(group, "swath"):
        parts += [f"## `{name}`\n", inspect.cleandoc(command.help or "").replace("\f", "") + "\n"]
        shown = [parameter(value) for value in command.params if not getattr(value, "hidden", False)]
        parts.append(table(("argument or option", "what it does", "default"), shown))
    return "\n".join(parts)


# --- settings ---------------------------------------------------------------------------------

SITES_FILE: dict[str, type[BaseModel]] = {
    "The file": SitesFile,
    "A site, `sites: {NAME: ...}`": SiteSettings,
    "Its images, `scenes: [...]`": SceneSettings,
    "Its labels, `labels: ...`": LabelSettings,
    "Its parts, `regions: [...]`": RegionSettings,
    "What the network sees, `image: ...`": ImageSettings,
    "Widths of lines, `widening: ...`": Widening,
    "What is fetched, `fetch: ...`": FetchSettings,
}

TRAINING: dict[str, type[BaseModel]] = {
    "All settings": TrainSettings,
    "One network, `fcn: ...` and `rnn: ...`": StageSettings,
    "A phase, `phases: [...]`": Phase,
}


def said(model: type[BaseModel]) -> dict[str, str]:
    """Field -> what the docstring says of it."""
    text = inspect.getdoc(model) or ""
    block = text.partition("Attributes:\n")[2].split("\n\n")[0]
    items = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", block, re.MULTILINE)
    return {name: cell(what) for name, what in items}


def kind_of(annotation: object) -> str:
    """A type as a reader of YAML says it."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return kind_of(parts[0])
    if origin is typing.Literal:
        return " \\| ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(kind_of(part) for part in parts if part is not type(None)))
    if origin is tuple:
        many = len(parts) == 2 and parts[1] is Ellipsis
        return f"list of {kind_of(parts[0])}" if many else f"list of {len(parts)}"
    if origin is dict:
        return "table"
    names = {str: "text", int: "integer", float: "number", bool: "true or false", type(None): "null"}
    if annotation in names:
        return names[typing.cast("type", annotation)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return {"date": "day"}.get(getattr(annotation, "__name__", ""), "text")


def bounds(metadata: list[object]) -> str:
    """The limits of a number."""
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = [
        f"{word} {getattr(part, name):g}"
        for part in metadata
        for name, word in signs.items()
        if isinstance(getattr(part, name, None), int | float)
    ]
    return f", {' and '.join(found)}" if found else ""


def default_of(value: object) -> str:
    """A default as YAML would have it."""
    if value is PydanticUndefined:
        return "required"
    if value is None or value == ():
        return ""
    return "see below" if isinstance(value, BaseModel) else f"`{cell(str(value))}`"


def fields(model: type[BaseModel]) -> str:
    """The table of a model's fields."""
    words = said(model)
    rows = [
        (
            f"`{name}`",
            kind_of(field.annotation) + bounds(list(field.metadata)),
            default_of(field.default),
            words.get(name, ""),
        )
        for name, field in model.model_fields.items()
    ]
    return table(("key", "value", "default", "what it says"), rows)


def settings_page(title: str, intro: str, models: dict[str, type[BaseModel]]) -> str:
    """A page with a table a model."""
    parts = [f"# {title}\n", MADE, intro + "\n"]
    for heading, model in models.items():
        parts += [f"## {heading}\n", fields(model)]
    return "\n".join(parts)


def pages() -> dict[str, str]:
    """File name -> Markdown."""
    sites = "What `swath build` and `swath fetch` read. An unknown key is an error that names the known ones."
    training = (
        "What `swath train --settings FILE` may replace, key by key. Presets: "
        + ", ".join(f"`{name}`" for name in PRESETS)
        + ".\nTheir values, side by side: [training](../training.md#settings)."
    )
    return {
        "commands.md": commands_page(),
        "sites-file.md": settings_page("The sites file", sites, SITES_FILE),
        "settings.md": settings_page("Settings of a training", training, TRAINING),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in pages().items():
        (FOLDER / file).write_text(text, "utf-8")
