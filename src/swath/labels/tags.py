"""Tags of features in tables: in plain columns, or as converters bundle them in one."""

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from swath.legend import Legend

BUNDLES = ("tags", "other_tags", "all_tags")
"""Columns that hold many tags: JSON, or PostgreSQL's hstore as GDAL's driver of OpenStreetMap writes it."""

_PAIR = re.compile(r'"((?:[^"\\]|\\.)*)"\s*=>\s*(?:"((?:[^"\\]|\\.)*)"|NULL)', re.DOTALL)
_GDAL_LIST = re.compile(r"\(\d+:(.*)\)", re.DOTALL)
_LONGEST = 100_000
"""Characters of a value; what is longer is no tag."""


def tag_columns(frame: pd.DataFrame, legend: Legend) -> dict[str, list[str | None]]:
    """The legend's keys that a table has, each as text or None a feature.

    A plain column comes first, then what a column of `BUNDLES` says. Where several ways were merged
    a value is a list (osmnx): of it counts the first that the legend names, for or against a class.
    """
    named = _named(legend)
    bundles = [[_pairs(value) for value in frame[name]] for name in BUNDLES if name in frame.columns]
    columns = {}
    for key in legend.keys:
        sources: list[Iterable[object]] = [frame[key]] if key in frame.columns else []
        sources += [[pairs.get(key) for pairs in bundle] for bundle in bundles]
        if sources:
            options = [[_tag(value, named[key]) for value in source] for source in sources]
            columns[key] = [next((tag for tag in row if tag), None) for row in zip(*options, strict=True)]
    return columns


def _named(legend: Legend) -> dict[str, set[str]]:
    named: dict[str, set[str]] = {key: set() for key in legend.keys}
    for c in legend.classes:
        for key, values in (*c.tags.items(), *c.exclude.items()):
            named[key].update(values)
    return named


def _tag(value: object, named: set[str]) -> str | None:
    """A column's value as OSM would write it."""
    if isinstance(value, str):
        items = _items(value)
        return value if items is None else _tag(items, named)
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | np.ndarray):
        tags = [tag for item in value if not isinstance(item, list | tuple) and (tag := _tag(item, named))]
        chosen = (tag for tag in tags if tag in named or ("*" in named and tag != "no"))
        return next(chosen, tags[0] if tags else None)
    return str(value) if pd.api.types.is_scalar(value) and not pd.isna(value) else None


def _items(text: str) -> Sequence[object] | None:
    """The items of a list that was written as text; None if it is no list."""
    if match := _GDAL_LIST.fullmatch(text):
        return match[1].split(",")
    value = _literal(text) if text.startswith("[") else None
    return value if isinstance(value, list) else None


def _pairs(value: object) -> Mapping[str, object]:
    """The tags of a bundle; none where it holds something else."""
    if isinstance(value, str):
        if value.lstrip().startswith("{"):
            value = _literal(value.strip())
        elif len(value) <= _LONGEST:
            return {_plain(key): _plain(tag) for key, tag in _PAIR.findall(value)}
    if isinstance(value, list | tuple | np.ndarray):  # a map of Parquet
        value = {pair[0]: pair[1] for pair in value if isinstance(pair, tuple) and len(pair) == 2}
    return value if isinstance(value, Mapping) else {}


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _literal(text: str) -> object:
    """A value of JSON, or as Python prints it; None if it is neither."""
    if len(text) > _LONGEST:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None
